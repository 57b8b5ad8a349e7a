//! What the program gave panics as it is dropped: specifications, arguments, what an application kept. Nobody falls.

use std::sync::Arc;

use otp_stdlib::application::{
    self, ApplicationError, ApplicationSpec, Config, Controller, ControllerOptions, StartType,
};
use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{Supervise, SupervisorInit};
use otp_stdlib::{ChildError, StartError};
use otp_vm::{Context, ExitReason, Pid, Term};
use serde::{Serialize, Serializer};

use super::panics::{Field, Mine};
use crate::common::*;

/// A child whose specification panics when it is forgotten.
fn dropped(witness: Pid) -> ChildSpec {
    let mine = Arc::new(Mine("drop".into()));
    let args = ProbeArgs::new("dropped", witness);
    ChildSpec::worker("dropped", move |cx| {
        let _held = &mine;
        Probe::start_link(cx, args.clone())
    })
    .restart(Restart::Temporary)
}

#[test]
fn a_specification_that_panics_when_it_is_forgotten_ends_nobody() {
    run(async |mut cx: Context| {
        let witness = cx.pid();
        let flags = SupervisorFlags::one_for_one();
        let children = vec![probe("sibling", witness), dropped(witness)];
        let tree = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let sibling = started(&mut cx, "sibling").await;
        let pid = started(&mut cx, "dropped").await;
        cx.exit_process(pid, ExitReason::kill());
        while tree.count_children(&mut cx).await.unwrap().specs == 2 {}
        let children = tree.which_children(&mut cx).await.unwrap();
        assert_eq!(children[0].pid, Some(sibling));
        let kept = tree.start_child(&mut cx, dropped(witness).restart(Restart::Permanent));
        kept.await.unwrap();
        tree.terminate_child(&mut cx, "dropped").await.unwrap();
        tree.delete_child(&mut cx, "dropped").await.unwrap();
        assert_eq!(tree.count_children(&mut cx).await.unwrap().specs, 1);

        let flags = DynamicSupervisorFlags::new();
        let sessions = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
        let child = sessions
            .start_child(&mut cx, dropped(witness))
            .await
            .unwrap();
        cx.exit_process(child, ExitReason::kill());
        while sessions.count_children(&mut cx).await.unwrap().specs == 1 {}
        sessions
            .start_child(&mut cx, probe("only", witness))
            .await
            .unwrap();
    });
}

#[test]
fn a_specification_that_panics_when_it_is_refused_ends_nobody() {
    run(async |mut cx: Context| {
        let witness = cx.pid();
        let fails = || {
            let mine = Arc::new(Mine("drop".into()));
            ChildSpec::new("fails", move |_| {
                let _held = &mine;
                Box::pin(std::future::ready(Err(StartError::Exit(reason("no")))))
            })
        };
        let failed = Err(ChildError::Start(StartError::Exit(reason("no"))));

        let flags = DynamicSupervisorFlags::new().max_children(1);
        let sessions = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
        assert_eq!(sessions.start_child(&mut cx, fails()).await, failed);
        sessions
            .start_child(&mut cx, probe("only", witness))
            .await
            .unwrap();
        let full = Err(ChildError::MaxChildren(1));
        assert_eq!(sessions.start_child(&mut cx, dropped(witness)).await, full);
        let mine = Mine("drop".into());
        let task = async move |_: Context| drop(mine);
        let task = TaskSupervisor::start_child(&sessions, &mut cx, task).await;
        assert_eq!(task, full);
        assert_eq!(sessions.count_children(&mut cx).await.unwrap().active, 1);

        let flags = SupervisorFlags::one_for_one();
        let children = vec![probe("dropped", witness)];
        let tree = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let there = tree.start_child(&mut cx, dropped(witness)).await;
        assert!(matches!(there, Err(ChildError::AlreadyStarted(_))));
        let started = tree.start_child(&mut cx, fails()).await;
        assert_eq!(started.map(|_| witness), failed);
        assert_eq!(tree.count_children(&mut cx).await.unwrap().active, 1);
    });
}

/// A supervisor by a callback whose arguments panic when they are forgotten; it starts unless it is told not to.
struct Undermined;

impl Supervise for Undermined {
    type Args = (Mine, bool);

    async fn init((_, starts): &Self::Args, _: &mut Context) -> SupervisorInit {
        match starts {
            true => SupervisorInit::Ok(SupervisorFlags::one_for_one(), Vec::new()),
            false => SupervisorInit::Stop(reason("no")),
        }
    }
}

#[test]
fn arguments_that_panic_when_a_supervisor_forgets_them_are_not_its_end() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let cx = &mut cx;
        let mine = || Mine("drop".into());
        let refused = Supervisor::start_link_with::<Undermined>(cx, (mine(), false)).await;
        assert_eq!(refused.unwrap_err(), StartError::Exit(reason("no")));
        let tree = Supervisor::start_link_with::<Undermined>(cx, (mine(), true))
            .await
            .unwrap();
        tree.stop(cx, reason("told"), LIMIT).await.unwrap();

        let held = Arc::new(mine());
        let flags = PartitionFlags::new().partitions(2);
        let partitions = PartitionSupervisor::<Field>::start_link(cx, "held", flags, move |_| {
            let _held = &held;
            ChildSpec::process("idle", async |mut cx: Context| for_ever(&mut cx).await)
        });
        let partitions = partitions.await.unwrap();
        assert_eq!(partitions.resize(cx, 1).await, Ok(2));
        partitions.stop(cx, reason("told"), LIMIT).await.unwrap();
    });
}

/// The arguments of an application's start.
#[derive(Clone)]
struct Shared(#[allow(dead_code, reason = "it is there to be dropped")] Arc<Mine>);

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

struct Undermining;

impl Application for Undermining {
    type Args = Shared;

    async fn start(_: StartType, _: Shared, cx: &mut Context) -> Result<(Pid, Self), StartError> {
        let flags = SupervisorFlags::one_for_one();
        let top = application::tree(Supervisor::start_link(cx, flags, Vec::new()).await)?;
        Ok((top, Self))
    }
}

#[test]
fn a_specification_that_panics_when_the_controller_forgets_it_ends_no_application() {
    fn undermining() -> ApplicationSpec {
        let args = Shared(Arc::new(Mine("drop".into())));
        ApplicationSpec::new("undermining").module::<Undermining>(args)
    }
    run(async |mut cx: Context| {
        let cx = &mut cx;
        let controller = Controller::start(cx, ControllerOptions::new())
            .await
            .unwrap();
        let pid = controller.pid().unwrap();
        for _ in 0..2 {
            application::define(cx, undermining()).await.unwrap();
        }
        application::start(cx, undermining()).await.unwrap();
        let again = application::load(cx, undermining()).await;
        assert!(matches!(again, Err(ApplicationError::AlreadyLoaded(_))));
        let changed = vec![undermining()];
        application::change_application_data(cx, changed, Config::new())
            .await
            .unwrap();
        application::stop(cx, "undermining").await.unwrap();
        application::unload(cx, "undermining").await.unwrap();
        assert!(cx.is_alive(pid).await);
        controller
            .stop(cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
}

/// Its phase fails, and what it keeps panics when it is dropped.
struct Halfway(#[expect(dead_code, reason = "it is dropped")] Mine);

impl Application for Halfway {
    type Args = ();

    async fn start(_: StartType, (): (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
        let flags = SupervisorFlags::one_for_one();
        let top = application::tree(Supervisor::start_link(cx, flags, Vec::new()).await)?;
        Ok((top, Self(Mine("drop".into()))))
    }

    async fn start_phase(
        _: &str,
        _: StartType,
        _: Term<'_>,
        _: &mut Context,
    ) -> Result<(), ExitReason> {
        Err(reason("the phase's"))
    }
}

#[test]
fn a_phase_that_fails_gives_its_reason_though_what_was_kept_panics() {
    run(async |mut cx: Context| {
        let cx = &mut cx;
        Controller::start_link(cx, ControllerOptions::new())
            .await
            .unwrap();
        let spec = ApplicationSpec::new("halfway").module::<Halfway>(());
        let error = application::start(cx, spec.start_phase("open", &())).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the phase's"), "{error}");
    });
}
