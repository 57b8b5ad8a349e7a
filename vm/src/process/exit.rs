//! The end of a process.
//!
//! # Protocol
//! 1. The reason is decided: the body returned, panicked or called `exit`, or a signal said so.
//! 2. The body is dropped, as part of the process's own slice; a panic in a destructor is caught.
//! 3. The process leaves every index: its name, its tables (to their heirs, or deleted).
//! 4. Its serial is cleared: from here on a look-up by its pid fails.
//! 5. Its mailbox is closed. What still came in is answered with `noproc` or with the reason.
//! 6. Only now is anybody told: links, and the holders of monitors.
//! 7. After the epoch the slot may hold another process.
//!
//! Steps 3 to 6 are the outside part. For a process in native code its deputy does it (`deputy.rs`), before step 2, and
//! whoever is through last sees to step 7.

use std::mem;
use std::sync::atomic::Ordering;

use crossbeam_epoch as epoch;
use otp_heap::Pid;
use otp_scheduler::{name_long_slice, uncounted};

use super::panics::quietly;
use super::{Answer, Attention, Process, State};
use crate::core::Core;
use crate::envelope::{self, Kind};
use crate::exit_reason::ExitReason;
use crate::host::OnExit;
use crate::mailbox::Queue;
use crate::trace::{self, Event};

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
            if !self.was_ended(pid) {
                state.exiting = true;
                state.exit = Some(reason);
                self.note(Attention::EXITING);
            }
        }

        // SAFETY: this slice is the only one that reaches the body.
        let body = unsafe { (*self.body.get()).take() };
        drop_quietly(pid, body);
        // From here on it may have no name any more.
        name_long_slice(|| self.task_name(pid));

        let reason = {
            let mut state = self.lock();
            if self.was_ended(pid) {
                None
            } else {
                state.claimed = true;
                state.exit.take()
            }
        };
        let Some(reason) = reason else {
            self.part_is_over(core, pid);
            return;
        };
        let on_exit = self.leave(core, pid, &reason);
        self.vacate(core, pid);
        on_exit.call(pid, &reason);
    }

    /// Steps 3 to 6, by who has claimed the end.
    pub(super) fn leave(&self, core: &Core, pid: Pid, reason: &ExitReason) -> AtExit {
        let (name, owns_tables, marks) = {
            let mut state = self.lock();
            let marks = state.take_marks();
            // Under the lock, as all events of the process; it has none after these.
            trace::tell(&marks, core, pid, Event::Exit(reason));
            let rare = state.rare.as_deref_mut();
            let (name, owns_tables) =
                rare.map_or((None, false), |rare| (rare.name.take(), rare.owns_tables));
            (name, owns_tables, marks)
        };
        if let Some(name) = name {
            core.names.forget(name, pid);
            trace::tell(&marks, core, pid, Event::Unregister(name));
        }
        if owns_tables {
            core.tables_of_the_dead(pid);
        }

        self.serial.store(0, Ordering::Release);
        let (late, mut state) = {
            let mut state = self.lock();
            // Under the lock, as all who take something out.
            let late = self.mailbox.close();
            // It stays, for who has to name a process that was ended and still runs.
            let (label, initial_call) = (state.label, state.initial_call);
            let state = mem::replace(
                &mut *state,
                State {
                    label,
                    initial_call,
                    ..State::default()
                },
            );
            (late, state)
        };

        self.tell(core, pid, &state, late, reason);
        let on_exit = state.rare.as_mut().and_then(|rare| rare.on_exit.take());
        self.discard(core, pid, state);
        core.ended_with(reason);
        AtExit(on_exit)
    }

    /// The outside or the inside part of an end from outside is over: the second one sees to step 7.
    pub(super) fn part_is_over(&self, core: &Core, pid: Pid) {
        if self.half_gone.swap(true, Ordering::AcqRel) {
            self.half_gone.store(false, Ordering::Relaxed);
            self.ended.store(0, Ordering::Release);
            self.vacate(core, pid);
        }
    }

    /// Step 7.
    fn vacate(&self, core: &Core, pid: Pid) {
        if core.scheduler.is_simulated() {
            // Its one thread is in no epoch section here. And an epoch ends when all threads of the program let it, those
            // of other simulations as well: that would decide which slot, and so which pid, the next process gets.
            core.processes.release(self.index, pid.serial());
        } else {
            self.release_after_epoch(core, pid);
        }
        core.count_out();
    }

    fn release_after_epoch(&self, core: &Core, pid: Pid) {
        let weak = core.weak();
        let index = self.index;
        let _section = otp_scheduler::lock::section();
        let guard = epoch::pin();
        // SAFETY: the closure owns what it uses, and may run on any thread.
        unsafe {
            guard.defer_unchecked(move || {
                if let Some(core) = weak.upgrade() {
                    core.processes.release(index, pid.serial());
                }
            });
        }
    }

    /// Step 6, and the answers of step 5.
    fn tell(&self, core: &Core, pid: Pid, state: &State, mut late: Queue, reason: &ExitReason) {
        // What came too late to be taken in. Whoever monitored or called while the process still
        // stood learns why it ended.
        while let Some(parcel) = late.pop_front() {
            let envelope = parcel.header();
            let (from, reference) = (envelope.from, envelope.reference);
            match envelope.kind {
                Kind::Link => {
                    let noproc = ExitReason::noproc();
                    core.signal(from, envelope::exit(Kind::LinkExit, pid, &noproc));
                }
                Kind::Call | Kind::Monitor | Kind::AliveRequest => {
                    core.signal(from, envelope::down(pid, reference, reason));
                }
                _ => {}
            }
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
    fn discard(&self, core: &Core, pid: Pid, mut state: State) {
        if let Some((_, timer)) = state.armed.take() {
            uncounted(|| core.scheduler.cancel_timer(timer));
        }
        for mut queue in [mem::take(&mut state.skipped), mem::take(&mut state.inbox)] {
            while let Some(parcel) = queue.pop_front() {
                drop_quietly(pid, parcel);
            }
        }
        if let Some(receiver) = state.receiver.take() {
            // Somebody else may receive for the process, with its Context, and is to learn that
            // it ended.
            quietly(pid, || receiver.wake());
        }
        for (_, request) in state.requests.drain() {
            if let Some(Answer::Reply(parcel)) = request.answer {
                drop_quietly(pid, parcel);
            }
        }
        drop_quietly(pid, state);
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
