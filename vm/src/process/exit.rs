//! The end of a process.
//!
//! # Protocol
//! 1. The reason is decided: the body returned, panicked or called `exit`, or a signal said so.
//! 2. The body is dropped, as part of the process's own slice; a panic in a destructor is caught.
//! 3. The process leaves every index, in this order: its tables (to their heirs, or deleted), its name, its block on
//!    the schedulers, its place as system monitor. Who finds its name gone may make a table of the same name. Until
//!    then others may take the name away from it. Most stand in none of these (`Rare`).
//! 4. Its serial is cleared: from here on a look-up by its pid fails; and so does one by an alias of it.
//! 5. In the same hold its mailbox is closed, and what it leaves behind taken out of its state. What still came in is
//!    answered with `noproc` or with the reason.
//! 6. Its timers end and its aliases, it is counted out, and only now is anybody told: links, and the holders of
//!    monitors.
//! 7. The slot may hold another process.
//!
//! A process that exits itself (`exit_process` with its own pid) is marked as ended before step 2, and so what its code
//! still does is discarded, whether it catches the unwinding or not.
//!
//! Steps 3 to 6 are the outside part. For a process in native code its deputy does it (`deputy.rs`), before step 2, and
//! whoever is through last sees to step 7.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use otp_heap::{Pid, Ref};
use otp_scheduler::lock::MutexGuard;
use otp_scheduler::{TimerKey, name_long_slice, uncounted};

use super::panics::quietly;
use super::strays::{answer_for_the_dead, answer_stray};
use super::{Answer, Attention, Process, Rare, Request, State};
use crate::core::Core;
use crate::envelope::{self, Kind};
use crate::exit_reason::ExitReason;
use crate::host::OnExit;
use crate::inbox::Inbox;
use crate::mailbox::Queue;
use crate::origin::Origin;
use crate::small_map::SmallMap;
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

        let mut state = self.lock();
        if self.is_claimed(&state, pid) {
            drop(state);
            return self.part_is_over(core, pid);
        }
        // Unless it exited itself, it is so already.
        self.ended.store(0, Ordering::Release);
        let reason = state.exit.take().unwrap_or_else(ExitReason::killed);
        let mut estate = if state.rare.is_none() {
            // It stands in no index but that of pids.
            self.depart(state)
        } else {
            state.claimed = true;
            drop(state);
            self.leave_indexes(core, pid, &reason)
        };
        let count = || core.processes.count_leaving();
        let on_exit = self.settle(core, pid, &reason, &mut estate, count);
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

    /// Steps 3 to 6, by who has claimed the end from outside; the process stays counted.
    pub(super) fn leave(&self, core: &Core, pid: Pid, reason: &ExitReason) -> AtExit {
        let mut estate = self.leave_indexes(core, pid, reason);
        self.settle(core, pid, reason, &mut estate, || {})
    }

    /// Steps 3 to 5.
    #[cold]
    fn leave_indexes(&self, core: &Core, pid: Pid, reason: &ExitReason) -> Estate {
        let (owns_tables, has_name, blocks, is_system_monitor) = {
            let state = self.lock();
            state.trace(core, pid, Event::Exit(reason));
            let rare = state.rare.as_deref();
            rare.map_or((false, false, false, false), |rare| {
                (
                    rare.owns_tables,
                    rare.name.is_some(),
                    rare.blocks_schedulers,
                    rare.is_system_monitor,
                )
            })
        };
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
        self.depart(self.lock())
    }

    /// Steps 4 and 5, under the lock, as all who take something out. The state is left as the slot's next process wants
    /// it, but for what says how to call one that was ended and still runs.
    #[inline]
    fn depart(&self, mut state: MutexGuard<'_, State>) -> Estate {
        self.serial.store(0, Ordering::Release);
        state.exit = None;
        (state.exiting, state.claimed, state.killed) = (false, false, false);
        state.answered = false;
        Estate {
            late: self.mailbox.close(),
            inbox: mem::take(&mut state.inbox),
            links: mem::take(&mut state.links),
            monitors: mem::take(&mut state.monitors),
            monitored_by: mem::take(&mut state.monitored_by),
            requests: mem::take(&mut state.requests),
            receiver: state.receiver.take(),
            armed: state.armed.take(),
            origin: state.origin.take(),
            rare: state.rare.take(),
        }
    }

    /// Step 6; `count` counts the process out, if that is done here.
    fn settle(
        &self,
        core: &Core,
        pid: Pid,
        reason: &ExitReason,
        estate: &mut Estate,
        count: impl FnOnce(),
    ) -> AtExit {
        if let Some((_, timer)) = estate.armed.take() {
            uncounted(|| core.scheduler.cancel_timer(timer));
        }
        if let Some(rare) = &mut estate.rare {
            for (alias, _) in rare.aliases.drain() {
                core.aliases.remove(alias);
            }
            let timers = mem::take(&mut rare.timers);
            let references = timers.iter().map(|(&reference, ())| reference);
            core.timers_of_the_dead(references, |parcel| drop_quietly(pid, parcel));
        }
        count();
        self.tell(core, pid, estate, reason);
        let on_exit = estate.rare.as_mut().and_then(|rare| rare.on_exit.take());
        estate.discard(pid);
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

    /// What step 6 says, and the answers of step 5.
    fn tell(&self, core: &Core, pid: Pid, estate: &mut Estate, reason: &ExitReason) {
        if !estate.late.is_empty() {
            self.answer_late(core, pid, estate, reason);
        }
        let index_of = Pid::index;
        estate.links.for_each_by_place(
            |linked, ()| index_of(linked),
            |linked, ()| {
                otp_scheduler::tick(1);
                core.signal(linked, envelope::exit(Kind::LinkExit, pid, reason));
            },
        );
        estate.monitored_by.for_each_by_place(
            |_, watcher| index_of(watcher),
            |reference, watcher| {
                otp_scheduler::tick(1);
                core.signal(watcher, envelope::down(pid, reference, reason));
            },
        );
        if let Some(rare) = &estate.rare {
            rare.tell_of_an_end(core, pid);
        }
        if estate.monitors.is_empty() && estate.requests.is_empty() {
            return;
        }
        let demonitor = |reference, watched| {
            let demonitor = envelope::signal(Kind::Demonitor, pid, reference);
            core.signal(watched, demonitor);
        };
        estate
            .monitors
            .for_each_by_place(|_, watched| index_of(watched), demonitor);
        for (&reference, request) in estate.requests.iter() {
            if request.is_monitored() {
                demonitor(reference, request.to);
            }
        }
    }

    /// Answers what came too late to be taken in. Whoever monitored or called while the process still stood learns why
    /// it ended. If a signal ended it, that came before the monitor, and nobody was there any more.
    #[cold]
    fn answer_late(&self, core: &Core, pid: Pid, estate: &mut Estate, reason: &ExitReason) {
        let noproc = ExitReason::noproc();
        let why_monitored = match self.attention().has(Attention::DOOMED) {
            true => &noproc,
            false => reason,
        };
        while let Some(parcel) = estate.late.pop_front() {
            let envelope = parcel.header();
            if envelope.to != pid.serial() {
                answer_stray(core, pid.index(), envelope);
            } else if envelope.kind != Kind::Link || estate.links.get(&envelope.from).is_none() {
                if envelope.kind == Kind::Unlink {
                    estate.links.remove(&envelope.from);
                }
                answer_for_the_dead(core, pid, envelope, why_monitored, reason);
            }
            // The other side of a link that stands is told as all are.
            drop_quietly(pid, parcel);
        }
    }
}

/// What a process leaves behind.
#[derive(Debug)]
struct Estate {
    /// What came too late to be taken in.
    late: Queue,
    inbox: Inbox,
    links: SmallMap<Pid, ()>,
    monitors: SmallMap<Ref, Pid>,
    monitored_by: SmallMap<Ref, Pid>,
    requests: SmallMap<Ref, Request>,
    receiver: Option<Waker>,
    /// The timer of its deadline.
    armed: Option<(u64, TimerKey)>,
    #[expect(dead_code, reason = "dropped with the rest")]
    origin: Option<Arc<Origin>>,
    rare: Option<Box<Rare>>,
}

impl Estate {
    /// Drops what the process still held; natives in messages may run the program's code.
    #[inline]
    fn discard(&mut self, pid: Pid) {
        if !self.inbox.is_bare() {
            let mut left = mem::take(&mut self.inbox).into_queue();
            while let Some(parcel) = left.pop_front() {
                drop_quietly(pid, parcel);
            }
        }
        if let Some(receiver) = self.receiver.take() {
            // Somebody else may receive for the process, with its Context, and is to learn that
            // it ended.
            quietly(pid, || receiver.wake());
        }
        if let Some(mut rare) = self.rare.take() {
            for sender in rare.take_waiting_senders().into_values() {
                // It looks again, and finds nobody.
                quietly(pid, || sender.wake());
            }
            drop_quietly(pid, rare);
        }
        if !self.requests.is_empty() {
            for (_, request) in self.requests.drain() {
                if let Some(Answer::Reply(parcel)) = request.answer {
                    drop_quietly(pid, parcel);
                }
            }
        }
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
