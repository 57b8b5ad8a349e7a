//! The life of an application.

mod common;

use common::*;
use otp_stdlib::prelude::*;
use otp_stdlib::{StartError, application};
use otp_vm::{Context, ExitReason, Pid};

/// A tree of one probe, whose witness is registered as `witness`.
struct App;

impl Application for App {
    async fn start(args: Vec<String>, cx: &mut Context) -> Result<Pid, StartError> {
        if args == ["fail"] {
            return Err(StartError::Exit(reason("as told")));
        }
        let witness = cx.whereis("witness").expect("a witness");
        let flags = SupervisorFlags::one_for_one().intensity(0, LIMIT);
        application::tree(Supervisor::start_link(cx, flags, vec![probe("leaf", witness)]).await)
    }

    async fn stop(cx: &mut Context) {
        let event = Event::Terminated("app".into(), ExitReason::normal());
        cx.send("witness", &event).expect("a witness");
    }
}

#[test]
fn is_shut_down_in_order() {
    run(async |mut cx: Context| {
        cx.register("witness", cx.pid()).unwrap();
        let (app, monitor) = cx
            .spawn_monitor(|cx| application::run::<App>(cx, vec![]))
            .unwrap();
        started(&mut cx, "leaf").await;
        cx.exit_process(app, ExitReason::shutdown());
        // The tree first, then stop, then the end.
        assert_eq!(terminated(&mut cx, "leaf").await, ExitReason::shutdown());
        terminated(&mut cx, "app").await;
        assert_eq!(down(&mut cx, monitor).await, ExitReason::shutdown());
    });
}

#[test]
fn ends_with_its_tree() {
    run(async |mut cx: Context| {
        cx.register("witness", cx.pid()).unwrap();
        let (_, monitor) = cx
            .spawn_monitor(|cx| application::run::<App>(cx, vec![]))
            .unwrap();
        let leaf = started(&mut cx, "leaf").await;
        // No restart is allowed: the tree gives up.
        stop_probe(&mut cx, leaf, reason("oops")).await;
        assert_eq!(down(&mut cx, monitor).await, ExitReason::shutdown());
    });
}

#[test]
fn a_failed_start_is_its_reason() {
    run(async |mut cx: Context| {
        let fail = |cx| application::run::<App>(cx, vec!["fail".into()]);
        let (_, monitor) = cx.spawn_monitor(fail).unwrap();
        assert_eq!(down(&mut cx, monitor).await, reason("as told"));
    });
}
