//! Cases of OTP's `supervisor_bridge_SUITE`, under their own names.

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use otp_stdlib::StartError;
use otp_stdlib::supervisor_bridge::{self, Bridged, SupervisorBridge};
use otp_vm::{Atom, Context, ExitReason, Pid};

/// The reasons for which bridges ended.
type Ended = Arc<Mutex<Vec<ExitReason>>>;

enum Args {
    Ignore,
    Error,
    Work(Ended),
}

/// A subsystem of one process, which is named `work`, answers messages with their pids, and dies of a text.
struct Work {
    worker: Pid,
    ended: Ended,
}

async fn worker(mut cx: Context) -> ExitReason {
    loop {
        let message = cx.receive().await;
        match message.decode::<Pid>() {
            Ok(from) => cx.send(from, "answer").unwrap(),
            Err(_) => return died(),
        }
    }
}

fn died() -> ExitReason {
    ExitReason::from(Atom::new("died").unwrap())
}

impl SupervisorBridge for Work {
    type Args = Args;

    async fn init(args: Args, cx: &mut Context) -> Bridged<Self> {
        match args {
            Args::Ignore => Bridged::Ignore,
            Args::Error => Bridged::Error(reason("testing")),
            Args::Work(ended) => {
                let worker = cx.spawn_link(worker).unwrap();
                cx.register("work", worker).unwrap();
                Bridged::Ok(worker, Self { worker, ended })
            }
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        cx.exit_process(self.worker, ExitReason::kill());
        self.ended.lock().unwrap().push(reason.clone());
    }
}

#[test]
fn starting() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let ignored = supervisor_bridge::start_link::<Work>(&mut cx, Args::Ignore)
            .name("bridge")
            .await;
        assert_eq!(ignored.unwrap_err(), StartError::Ignore);
        let error = supervisor_bridge::start_link::<Work>(&mut cx, Args::Error)
            .name("bridge")
            .await;
        assert_eq!(error.unwrap_err(), StartError::Exit(reason("testing")));
        assert_eq!(cx.whereis("bridge"), None);
    });
}

/// A client is answered by the worker, which then ends: so does the bridge.
async fn mini(end: fn(&Context, Pid), with: ExitReason, mut cx: Context) {
    cx.trap_exit(true);
    let ended = Ended::default();
    let args = Args::Work(Arc::clone(&ended));
    let bridge = supervisor_bridge::start_link::<Work>(&mut cx, args)
        .name("bridge")
        .await
        .unwrap();
    let worker = cx.whereis("work").unwrap();
    cx.send(worker, &cx.pid()).unwrap();
    assert_eq!(
        cx.receive_as::<String>(LIMIT).await.as_deref(),
        Some("answer")
    );
    end(&cx, worker);
    assert_eq!(exit_of(&mut cx, bridge.pid().unwrap()).await, with);
    assert_eq!(*ended.lock().unwrap(), [with]);
    assert_eq!(cx.whereis("work"), None);
}

#[test]
fn mini_terminate() {
    let kill = |cx: &Context, worker| cx.exit_process(worker, ExitReason::kill());
    run(move |cx| mini(kill, ExitReason::killed(), cx));
}

#[test]
fn mini_die() {
    let die = |cx: &Context, worker| cx.send(worker, "die").unwrap();
    run(move |cx| mini(die, died(), cx));
}

#[test]
fn badstart() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let long = "b".repeat(256);
        let error = supervisor_bridge::start_link::<Work>(&mut cx, Args::Ignore)
            .name(&long)
            .await;
        assert!(matches!(error, Err(StartError::BadName(_))), "{error:?}");
        assert!(
            cx.receive_timeout(std::time::Duration::ZERO)
                .await
                .is_none()
        );

        let ended = Ended::default();
        let args = || Args::Work(Arc::clone(&ended));
        let bridge = supervisor_bridge::start_link::<Work>(&mut cx, args())
            .name("bridge")
            .await
            .unwrap();
        let pid = bridge.pid().unwrap();
        let again = supervisor_bridge::start_link::<Work>(&mut cx, args())
            .name("bridge")
            .await;
        assert_eq!(again.unwrap_err(), StartError::AlreadyStarted(pid));
        let worker = cx.whereis("work").unwrap();
        cx.exit_process(worker, ExitReason::kill());
        assert_eq!(exit_of(&mut cx, pid).await, ExitReason::killed());
    });
}

/// Its supervisor ends a bridge as it would any child, and the subsystem with it.
#[test]
fn a_bridge_that_is_told_to_end_ends_its_subsystem() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let ended = Ended::default();
        let args = Args::Work(Arc::clone(&ended));
        let bridge = supervisor_bridge::start_link::<Work>(&mut cx, args)
            .await
            .unwrap();
        let worker = cx.whereis("work").unwrap();
        bridge
            .stop(&mut cx, ExitReason::shutdown(), LIMIT)
            .await
            .unwrap();
        common::ended(&mut cx, worker).await;
        assert_eq!(*ended.lock().unwrap(), [ExitReason::shutdown()]);
    });
}
