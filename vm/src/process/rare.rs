//! What few processes need of the state.
//!
//! When a process needs nothing of it any more, it gives the room back. That is looked at where others make a process
//! need such a thing for a while (a trace, a suspension, a link taken back), and where it hibernates; not where a
//! process itself comes and goes (timers, aliases): it would pay for the room each time.

use std::sync::Arc;

use otp_heap::{Atom, OwnedTerm, Pid, Ref};

use super::memory::Memory;
use super::occupancy::Occupancy;
use super::{AliasLife, Extras, NextBody, State, Suspension};
use crate::host::OnExit;
use crate::origin::Origin;
use crate::small_map::SmallMap;
use crate::trace::Mark;

/// Parts of the state that few processes need.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) name: Option<Atom>,
    pub(crate) owns_tables: bool,
    /// It has blocked the other schedulers.
    pub(crate) blocks_schedulers: bool,
    /// Links that this process takes back, and under what number: `links`.
    pub(super) unlinking: SmallMap<Pid, Ref>,
    /// Monitors that it holds by name or with a tag.
    pub(crate) extras: SmallMap<Ref, Extras>,
    /// Its active aliases.
    pub(super) aliases: SmallMap<Ref, AliasLife>,
    /// Timers that send to this process, and go with it.
    pub(crate) timers: SmallMap<Ref, ()>,
    /// What it goes on with after hibernation.
    pub(crate) next_body: Option<NextBody>,
    /// What those that it starts share.
    pub(crate) child_origin: Option<Arc<Origin>>,
    /// Who traces it.
    pub(crate) marks: Vec<Mark>,
    /// Called when everybody has been told.
    pub(crate) on_exit: Option<OnExit>,
    /// What it keeps as terms, and its limit.
    pub(crate) memory: Option<Box<Memory>>,
    /// Who has suspended it.
    pub(crate) suspenders: SmallMap<Pid, ()>,
    /// Whom it has suspended.
    pub(crate) suspending: SmallMap<Pid, Suspension>,
    /// What the messages about suspensions say that it waits for.
    pub(super) suspend_tags: SmallMap<Ref, Arc<OwnedTerm>>,
    /// Who waits until it rests.
    pub(crate) rest_awaited: Vec<(Pid, Ref)>,
    pub(crate) is_native: bool,
    /// It gets the events of the system's monitor.
    pub(crate) is_system_monitor: bool,
    /// The limit on its mailbox, and so on.
    pub(super) occupancy: Option<Box<Occupancy>>,
}

impl State {
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn shed_rare(&mut self) {
        if self.rare.as_deref().is_some_and(Rare::is_empty) {
            self.rare = None;
        }
    }
}

impl Rare {
    /// Each part by its name: whoever adds one decides here.
    fn is_empty(&self) -> bool {
        let Self {
            name,
            owns_tables,
            blocks_schedulers,
            unlinking,
            extras,
            aliases,
            timers,
            next_body,
            child_origin,
            marks,
            on_exit,
            memory,
            suspenders,
            suspending,
            suspend_tags,
            rest_awaited,
            is_native,
            is_system_monitor,
            occupancy,
        } = self;
        let flags = *owns_tables || *blocks_schedulers || *is_native || *is_system_monitor;
        let relations = unlinking.is_empty()
            && extras.is_empty()
            && aliases.is_empty()
            && timers.is_empty()
            && suspenders.is_empty()
            && suspending.is_empty()
            && suspend_tags.is_empty()
            && rest_awaited.is_empty()
            && marks.is_empty();
        let possessions = name.is_some()
            || next_body.is_some()
            || child_origin.is_some()
            || on_exit.is_some()
            || memory.is_some()
            || occupancy.is_some();
        relations && !flags && !possessions
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use otp_heap::{Atom, Pid, Ref};

    use super::*;
    use crate::{Context, SuspendOptions, TraceFlags, Tracer, Vm};

    fn has_rare(cx: &Context, pid: Pid) -> bool {
        cx.core()
            .with_state(pid, |state| state.rare.is_some())
            .expect("it is there")
    }

    #[test]
    fn what_others_made_a_process_keep_is_gone_with_it() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let run = vm.run(async |mut cx: Context| {
            let pid = cx.spawn(|_| std::future::pending::<()>()).unwrap();

            let options = SuspendOptions::new();
            assert!(cx.suspend_process(pid, options).await.unwrap());
            assert!(has_rare(&cx, pid));
            cx.resume_process(pid).unwrap();
            // After all signals so far.
            assert!(cx.is_alive(pid).await);
            assert!(!has_rare(&cx, pid));

            let session = cx.vm().trace_session(Tracer::handler(|_| {}));
            session.trace(pid, TraceFlags::RECEIVE).unwrap();
            assert!(has_rare(&cx, pid));
            session.stop(pid, TraceFlags::RECEIVE);
            assert!(!has_rare(&cx, pid));
        });
        run.wait().unwrap();
    }

    #[test]
    fn what_a_process_needs_stays() {
        let mut state = State::default();
        state.rare().name = Some(Atom::new("name").unwrap());
        state.shed_rare();
        assert!(state.name().is_some());
        state.rare().name = None;
        state.shed_rare();
        assert!(state.rare.is_none());

        let (other, number) = (Pid::from_parts(1, 1), Ref::from_u64(1));
        assert!(state.link(other) && state.unlink(other, number));
        assert!(state.rare.is_some());
        state.unlinked(other, number);
        assert!(state.rare.is_none());
    }
}
