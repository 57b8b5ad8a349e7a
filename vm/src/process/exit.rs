//! The end of a process.
//!
//! # Protocol
//! 1. The reason is decided: the body returned, panicked or called `exit`, or a signal said so.
//! 2. The body is dropped, as part of the process's own slice; a panic in a destructor is caught.
//! 3. The process leaves every index, in this order: its timers (those that send to it as soon as its state is taken
//!    out, step 5), its tables (to their heirs, or deleted), its name, its block on the schedulers, its place as system
//!    monitor. Who finds its name gone may make a table of the same name. Until then others may take the name away from
//!    it.
//! 4. Its serial is cleared: from here on a look-up by its pid fails; and so does one by an alias of it.
//! 5. In the same hold its mailbox is closed. What still came in is answered with `noproc` or with the reason.
//! 6. It is counted out, and only now is anybody told: links, and the holders of monitors.
//! 7. The slot may hold another process.
//!
//! A process that exits itself (`exit_process` with its own pid) is marked as ended before step 2, and so what its code
//! still does is discarded, whether it catches the unwinding or not.
//!
//! Steps 3 to 6 are the outside part. For a process in native code its deputy does it (`deputy.rs`), before step 2, and
//! whoever is through last sees to step 7.

use std::mem;
use std::sync::atomic::Ordering;

use otp_heap::Pid;
use otp_scheduler::{name_long_slice, uncounted};

use super::panics::quietly;
use super::strays::{answer_for_the_dead, answer_stray};
use super::{Answer, Attention, Process, State};
use crate::core::Core;
use crate::envelope::{self, Kind};
use crate::exit_reason::ExitReason;
use crate::host::OnExit;
use crate::mailbox::Queue;
use crate::trace::Event;

impl Process {
    /// Ends a process that will never run again.
    ///
    /// # Safety
    /// No slice of the process runs, now or later.
    pub(crate) unsafe fn end_unrun(&self) {
        if let Some(pid) = self.pid() {
            self.end(pid, ExitReason::killed());
        }
    }

    /// Ends the process. Called by its last slice, outside the lock.
    pub(super) fn end(&self, pid: Pid, reason: ExitReason) {
        let core = self.core();
        {
            let mut state = self.lock();
            if !self.is_claimed(&state, pid) {
                self.begin_end(&mut state, pid);
                state.exit = Some(reason);
            }
        }

        // SAFETY: this slice is the only one that reaches the body.
        let body = unsafe { (*self.body.get()).take() };
        drop_quietly(pid, body);
        // From here on it may have no name any more.
        name_long_slice(|| self.task_name(pid));

        let reason = {
            let mut state = self.lock();
            if self.is_claimed(&state, pid) {
                None
            } else {
                state.claimed = true;
                // Unless it exited itself, it is so already.
                self.ended.store(0, Ordering::Release);
                state.exit.take()
            }
        };
        let Some(reason) = reason else {
            self.part_is_over(core, pid);
            return;
        };
        let on_exit = self.leave(core, pid, &reason, || core.processes.count_leaving());
        core.processes.release(pid);
        core.processes.count_left();
        core.tell_of_an_end();
        on_exit.call(pid, &reason);
    }

    /// Under the lock, for the process's own slice before it claims its end: whether its deputy has.
    pub(super) fn is_claimed(&self, state: &State, pid: Pid) -> bool {
        state.claimed || !self.is(pid)
    }

    /// Ends the process by its own hand, once a signal that it sent itself has been taken in: the reason with which it
    /// ends, if it does. From here on what its code does is discarded; its slice does the rest. The caller holds the
    /// lock.
    pub(crate) fn end_itself(&self, state: &mut State, pid: Pid) -> Option<ExitReason> {
        let reason = state.exit.clone()?;
        self.begin_end(state, pid);
        self.ended.store(pid.serial(), Ordering::Release);
        Some(reason)
    }

    /// Under the lock: from here on the process is not alive, though it may still be there for a while.
    pub(super) fn begin_end(&self, state: &mut State, pid: Pid) {
        if !state.exiting {
            self.core().processes.note_end(pid);
            state.exiting = true;
            self.note(Attention::EXITING);
        }
    }

    /// Steps 3 to 6, by who has claimed the end; `count` counts the process out, if that is done here.
    pub(super) fn leave(
        &self,
        core: &Core,
        pid: Pid,
        reason: &ExitReason,
        count: impl FnOnce(),
    ) -> AtExit {
        let (timer, (owns_tables, has_name, blocks, is_system_monitor)) = {
            let mut state = self.lock();
            state.trace(core, pid, Event::Exit(reason));
            let rare = state.rare.as_deref();
            let owned = rare.map_or((false, false, false, false), |rare| {
                (
                    rare.owns_tables,
                    rare.name.is_some(),
                    rare.blocks_schedulers,
                    rare.is_system_monitor,
                )
            });
            (state.armed.take(), owned)
        };
        if let Some((_, timer)) = timer {
            uncounted(|| core.scheduler.cancel_timer(timer));
        }
        if owns_tables {
            core.tables_of_the_dead(pid);
        }
        if has_name {
            let mut state = self.lock();
            let name = state.rare.as_mut().and_then(|rare| rare.name.take());
            if let Some(name) = name
                && core.names.forget(name, pid)
            {
                state.trace(core, pid, Event::Unregister(name));
            }
        }

        if blocks {
            core.blockers.owner_died(core, pid);
        }
        if is_system_monitor {
            core.end_system_monitor_of(pid);
        }

        let mut state = State::default();
        let late = {
            let mut locked = self.lock();
            self.serial.store(0, Ordering::Release);
            // They stay, for who has to name a process that was ended and still runs.
            (state.label, state.initial_call) = (locked.label, locked.initial_call);
            mem::swap(&mut *locked, &mut state);
            // Under the lock, as all who take something out.
            self.mailbox.close()
        };

        if let Some(rare) = &mut state.rare {
            for (alias, _) in rare.aliases.drain() {
                core.aliases.remove(alias);
            }
            let timers = mem::take(&mut rare.timers);
            let references = timers.iter().map(|(&reference, ())| reference);
            core.timers_of_the_dead(references, |parcel| drop_quietly(pid, parcel));
        }
        count();
        self.tell(core, pid, &mut state, late, reason);
        let on_exit = state.rare.as_mut().and_then(|rare| rare.on_exit.take());
        self.discard(pid, &mut state);
        core.ended_with(reason);
        AtExit(on_exit)
    }

    /// The outside or the inside part of an end from outside is over: the second one sees to step 7.
    pub(super) fn part_is_over(&self, core: &Core, pid: Pid) {
        if self.half_gone.swap(true, Ordering::AcqRel) {
            self.half_gone.store(false, Ordering::Relaxed);
            self.ended.store(0, Ordering::Release);
            core.processes.release(pid);
            core.count_out();
        }
    }

    /// Step 6, and the answers of step 5.
    fn tell(&self, core: &Core, pid: Pid, state: &mut State, mut late: Queue, reason: &ExitReason) {
        // What came too late to be taken in. Whoever monitored or called while the process still stood learns why it
        // ended. If a signal ended it, that came before the monitor, and nobody was there any more.
        let noproc = ExitReason::noproc();
        let why_monitored = match self.attention().has(Attention::DOOMED) {
            true => &noproc,
            false => reason,
        };
        while let Some(parcel) = late.pop_front() {
            let envelope = parcel.header();
            if envelope.to != pid.serial() {
                answer_stray(core, pid.index(), envelope);
            } else if envelope.kind != Kind::Link || !state.is_linked(envelope.from) {
                if envelope.kind == Kind::Unlink {
                    state.links.remove(&envelope.from);
                }
                answer_for_the_dead(core, pid, envelope, why_monitored, reason);
            }
            // The other side of a link that stands is told below.
            drop_quietly(pid, parcel);
        }
        for (&linked, ()) in state.links.iter() {
            otp_scheduler::tick(1);
            core.signal(linked, envelope::exit(Kind::LinkExit, pid, reason));
        }
        for (&reference, &watcher) in state.monitored_by.iter() {
            otp_scheduler::tick(1);
            core.signal(watcher, envelope::down(pid, reference, reason));
        }
        self.tell_of_rare(core, pid, state);
        if state.monitors.is_empty() && state.requests.is_empty() {
            return;
        }
        let monitors = state.monitors.iter();
        let requests = state.requests.iter();
        let requests = requests.filter(|(_, request)| request.is_monitored());
        let requests = requests.map(|(reference, request)| (reference, &request.to));
        for (&reference, &watched) in monitors.chain(requests) {
            let demonitor = envelope::signal(Kind::Demonitor, pid, reference);
            core.signal(watched, demonitor);
        }
    }

    /// Drops what the process still held; natives in messages may run the program's code.
    fn discard(&self, pid: Pid, state: &mut State) {
        if !state.inbox.is_bare() {
            let mut left = mem::take(&mut state.inbox).into_queue();
            while let Some(parcel) = left.pop_front() {
                drop_quietly(pid, parcel);
            }
        }
        if let Some(receiver) = state.receiver.take() {
            // Somebody else may receive for the process, with its Context, and is to learn that
            // it ended.
            quietly(pid, || receiver.wake());
        }
        if state.rare.is_some() {
            for sender in state.take_waiting_senders().into_values() {
                // It looks again, and finds nobody.
                quietly(pid, || sender.wake());
            }
        }
        if !state.requests.is_empty() {
            for (_, request) in state.requests.drain() {
                if let Some(Answer::Reply(parcel)) = request.answer {
                    drop_quietly(pid, parcel);
                }
            }
        }
        quietly(pid, || *state = State::default());
    }
}

/// What is called once everybody was told.
#[must_use]
pub(super) struct AtExit(Option<OnExit>);

impl AtExit {
    pub(super) fn call(self, pid: Pid, reason: &ExitReason) {
        if let Some(OnExit(on_exit)) = self.0 {
            // Wakes the host's waker, or drops a result that nobody wants any more.
            quietly(pid, || on_exit(reason));
        }
    }
}

/// Drops the program's values; a panic of a destructor is reported and ends there.
fn drop_quietly<T>(pid: Pid, value: T) {
    quietly(pid, || drop(value));
}
