//! What is traced of a process: its marks, in the rare part of its state, and the bit that tells of them.
//!
//! `Attention::TRACED` stands while there are any, in a word that slices, sends and receives read anyway. Marks whose
//! tracer is gone, or whose stream was stopped, count as none; the process drops them in its next slice.

use std::sync::Arc;

use otp_heap::{Pid, Term};

use super::event::Event;
use super::flags::TraceFlags;
use super::stream::Stream;
use super::{SessionId, TraceError, boxed};
use crate::core::Core;
use crate::destination::Destination;
use crate::envelope::Parcel;
use crate::process::{Attention, Leftovers, Process, Start, State, TypeName, quietly};

/// What one session traces of a process. Dropping it runs nothing of the program's.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(super) session: SessionId,
    pub(super) flags: TraceFlags,
    pub(super) stream: Arc<Stream>,
}

impl Mark {
    /// More flags; with another's stream only if nobody is told by the one that is here.
    pub(super) fn join(&mut self, core: &Core, other: &Mark) -> Result<(), TraceError> {
        if !Arc::ptr_eq(&self.stream, &other.stream) {
            if self.stream.is_live(core) {
                return Err(TraceError::Traced {
                    by: self.stream.tracer(),
                });
            }
            *self = other.clone();
        }
        self.flags |= other.flags;
        Ok(())
    }
}

/// Tells all who trace it. May be called under the lock of `pid`.
#[cold]
fn tell_all(marks: &[Mark], core: &Core, pid: Pid, event: Event<'_>) {
    for mark in marks {
        if mark.flags.contains(event.flag()) {
            mark.stream.tell(core, pid, mark.flags, event);
        }
    }
}

/// The same, where there is nearly always nobody.
#[inline]
fn tell(marks: &[Mark], core: &Core, pid: Pid, event: Event<'_>) {
    if !marks.is_empty() {
        tell_all(marks, core, pid, event);
    }
}

impl State {
    fn marks(&self) -> &[Mark] {
        self.rare.as_ref().map_or(&[], |rare| &rare.marks)
    }

    /// Tells of an event of the process, `pid`, whose state this is.
    #[inline]
    pub(crate) fn trace(&self, core: &Core, pid: Pid, event: Event<'_>) {
        tell(self.marks(), core, pid, event);
    }
}

impl Process {
    #[inline]
    pub(crate) fn is_traced(&self) -> bool {
        self.attention().has(Attention::TRACED)
    }

    /// Under the lock, of one that is traced: a slice begins.
    pub(crate) fn trace_in(&self, state: &mut State, pid: Pid) {
        let core = self.core();
        self.remove_marks(state, |mark| !mark.stream.is_live(core));
        state.trace(core, pid, Event::In(initial_call(state)));
    }

    /// It gives way.
    #[cold]
    pub(crate) fn trace_out(&self, pid: Pid) {
        let state = self.lock();
        if self.is(pid) {
            state.trace(self.core(), pid, Event::Out(initial_call(&state)));
        }
    }

    /// Under the lock: a parcel has come that is a message for the program.
    #[cold]
    pub(crate) fn trace_received(&self, state: &State, parcel: &Parcel) {
        let received = Event::Receive {
            from: parcel.header().from,
            message: parcel.root(),
        };
        self.trace_signal(state, received);
    }

    /// Under the lock: a signal has done something. Of one whose end is decided nothing more is told but that.
    #[cold]
    pub(crate) fn trace_signal(&self, state: &State, event: Event<'_>) {
        if let (Some(pid), None, false) = (self.pid(), &state.exit, state.exiting) {
            state.trace(self.core(), pid, event);
        }
    }

    /// Under the lock: the process is about to send a message.
    #[cold]
    pub(crate) fn trace_send(&self, state: &State, pid: Pid, to: &Destination, message: Term<'_>) {
        let core = self.core();
        let is_there = core
            .resolve(to)
            .is_ok_and(|to| core.with_process(to.pid, |_| ()).is_some());
        state.trace(
            core,
            pid,
            Event::Send {
                message,
                to,
                is_there,
            },
        );
    }

    fn remove_marks(&self, state: &mut State, unwanted: impl Fn(&Mark) -> bool) {
        if let Some(rare) = &mut state.rare {
            rare.marks.retain(|mark| !unwanted(mark));
            if rare.marks.is_empty() {
                rare.marks = Vec::new();
                self.forget(Attention::TRACED);
                state.shed_rare();
            }
        }
    }
}

fn initial_call(state: &State) -> TypeName {
    state.initial_call.unwrap_or(|| "")
}

/// Has a process traced.
pub(super) fn mark(core: &Core, pid: Pid, new: &Mark) -> Result<(), TraceError> {
    let marked = core.with_locked(pid, |process, state| {
        // What lies in the mailbox came before; and the next message finds it empty, so that the process is woken for
        // it.
        let leftovers = if new.flags.contains(TraceFlags::RECEIVE) {
            process.drain(state)
        } else {
            Leftovers::default()
        };
        let marks = &mut state.rare().marks;
        let present = marks.iter_mut().find(|mark| mark.session == new.session);
        let marked = match present {
            Some(present) => present.join(core, new),
            None => {
                if !new.flags.is_empty() {
                    marks.push(new.clone());
                    process.note(Attention::TRACED);
                }
                Ok(())
            }
        };
        (marked, leftovers)
    });
    let (marked, leftovers) = marked.ok_or(TraceError::NoProcess)?;
    quietly(pid, || leftovers.finish());
    marked
}

/// Takes flags of a session from a process. False if it is gone.
pub(super) fn unmark(core: &Core, pid: Pid, session: SessionId, flags: TraceFlags) -> bool {
    core.with_locked(pid, |process, state| {
        if let Some(rare) = &mut state.rare {
            for mark in &mut rare.marks {
                if mark.session == session {
                    mark.flags = mark.flags.without(flags);
                }
            }
        }
        process.remove_marks(state, |mark| mark.flags.is_empty());
    })
    .is_some()
}

/// The mark of a session on a process; the inner None if there is none that tells anybody anything.
pub(super) fn find(core: &Core, pid: Pid, session: SessionId) -> Option<Option<Mark>> {
    core.with_state(pid, |state| {
        let mut marks = state.marks().iter();
        marks
            .find(|mark| mark.session == session && mark.stream.is_live(core))
            .cloned()
    })
}

/// Under the maker's lock: tells that it spawns `child`, and gives what the child inherits.
#[cold]
pub(crate) fn spawns(
    core: &Core,
    state: &mut State,
    maker: Pid,
    child: Pid,
    start: &Start,
) -> Option<Box<[Mark]>> {
    let initial_call = start.initial_call.unwrap_or(|| "");
    state.trace(core, maker, Event::Spawn(child, initial_call));
    if start.link {
        state.trace(core, maker, Event::Link(child));
    }
    let rare = state.rare.as_mut()?;
    let inherited = rare.marks.iter_mut().filter_map(|mark| {
        let before = mark.flags;
        let mut handed_on = false;
        let spawn = TraceFlags::SET_ON_SPAWN | TraceFlags::SET_ON_FIRST_SPAWN;
        let link = TraceFlags::SET_ON_LINK | TraceFlags::SET_ON_FIRST_LINK;
        // Having handed them on once ends the lasting form, too.
        for (either, first, applies) in [
            (spawn, TraceFlags::SET_ON_FIRST_SPAWN, true),
            (link, TraceFlags::SET_ON_FIRST_LINK, start.link),
        ] {
            if applies && before.has_any(either) {
                handed_on = true;
                if before.contains(first) {
                    mark.flags = mark.flags.without(either);
                }
            }
        }
        (handed_on && mark.stream.stopped().is_none()).then(|| mark.clone())
    });
    boxed(inherited.collect())
}

/// Tells that a process was made that is traced from its beginning.
#[cold]
pub(crate) fn spawned(core: &Core, pid: Pid, start: &Start) {
    let initial_call = start.initial_call.unwrap_or(|| "");
    let spawned = Event::Spawned(start.parent, initial_call);
    let marks = start.marks.as_deref().unwrap_or_default();
    tell(marks, core, pid, spawned);
    if start.link {
        tell(marks, core, pid, Event::GettingLinked(start.parent));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use otp_scheduler::simulation::Simulation;

    use crate::{Context, TraceFlags, Vm};

    fn is_traced(cx: &Context, pid: otp_heap::Pid) -> Option<bool> {
        cx.core().with_process(pid, |process| {
            let state = process.lock();
            assert_eq!(process.is_traced(), !state.marks().is_empty());
            process.is_traced()
        })
    }

    async fn idle(mut cx: Context) {
        loop {
            cx.receive().await;
        }
    }

    /// The bit stands while there are marks, and those of a tracer that is gone are dropped in the next slice.
    #[test]
    fn the_bit_is_there_while_somebody_traces() {
        let explored = Simulation::builder().explore(0..20, |simulation| {
            let vm = Vm::builder().simulate(simulation).build()?;
            simulation.block_on(vm.run(|mut cx| async move {
                let (traced, tracer) = (cx.spawn(idle).unwrap(), cx.spawn(idle).unwrap());
                let session = cx.vm().trace_session(tracer);
                assert_eq!(is_traced(&cx, traced), Some(false));
                session.trace(traced, TraceFlags::SEND).unwrap();
                cx.trace(traced, TraceFlags::PROCS).unwrap();
                session.stop(traced, TraceFlags::RECEIVE);
                cx.vm().trace_stop(traced, TraceFlags::ALL);
                assert_eq!(is_traced(&cx, traced), Some(true));
                cx.exit_process(tracer, "die");
                assert!(!cx.is_alive(tracer).await);
                cx.send(traced, &1).unwrap();
                assert!(cx.is_alive(traced).await);
                cx.sleep(Duration::from_secs(1)).await;
                assert_eq!(is_traced(&cx, traced), Some(false));
                cx.trace(traced, TraceFlags::SEND).unwrap();
                assert_eq!(is_traced(&cx, traced), Some(true));
                cx.vm().trace_stop(traced, TraceFlags::SEND);
                assert_eq!(is_traced(&cx, traced), Some(false));
            }))??;
            Ok(())
        });
        if let Err(failure) = explored {
            panic!("{failure}");
        }
    }
}
