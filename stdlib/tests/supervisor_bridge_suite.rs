//! Cases of OTP's `supervisor_bridge_SUITE`, under their own names.

mod common;

use std::sync::{Arc, Mutex, mpsc};

use common::*;
use otp_stdlib::StartError;
use otp_stdlib::proc_lib::Format;
use otp_stdlib::supervisor_bridge::{self, BridgeReport, Bridged, SupervisorBridge};
use otp_stdlib::sys;
use otp_vm::{Atom, Context, ExitReason, OwnedTerm, Pid, Vm};

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

/// A subsystem whose arguments are a list, and which dies of that list.
struct Lists;

impl SupervisorBridge for Lists {
    type Args = Vec<u32>;

    fn module() -> &'static str {
        "a_module"
    }

    fn show_args(args: &Vec<u32>) -> OwnedTerm {
        sys::term(args)
    }

    async fn init(args: Vec<u32>, cx: &mut Context) -> Bridged<Self> {
        let main = cx.spawn_link(async move |mut cx: Context| {
            cx.receive().await;
            ExitReason::new(&args)
        });
        Bridged::Ok(main.unwrap(), Lists)
    }

    async fn terminate(&mut self, _reason: &ExitReason, _cx: &mut Context) {}
}

/// The report of a start and that of an end, in each of the formats; the bridge, and the subsystem's process. A bridge
/// without a name is known by its pid.
fn texts(name: Option<&'static str>, formats: &[Format]) -> (Pid, Pid, Vec<[String; 2]>) {
    let formats = formats.to_vec();
    let (sender, reported) = mpsc::channel();
    let vm = Vm::builder().schedulers(1).report_handler(move |report| {
        if let Some(report) = report.downcast_ref::<BridgeReport>() {
            let texts: Vec<String> = formats
                .iter()
                .map(|format| report.format(*format))
                .collect();
            sender.send((report.pid, report.main, texts)).unwrap();
        }
    });
    let vm = vm.build().unwrap();
    let run = vm.run(async move |mut cx: Context| {
        cx.trap_exit(true);
        let start = supervisor_bridge::start_link::<Lists>(&mut cx, (1..=15).collect());
        let bridge = match name {
            Some(name) => start.name(name).await,
            None => start.await,
        };
        let bridge = bridge.unwrap().pid().unwrap();
        let links = cx.process_info(bridge).unwrap().links;
        let main = links.into_iter().find(|pid| *pid != cx.pid());
        cx.send(main.unwrap(), "die").unwrap();
        let reason = exit_of(&mut cx, bridge).await;
        assert_eq!(reason.to_string(), LIST);
    });
    run.wait().unwrap();
    vm.shutdown(LIMIT).wait();
    let (pid, main, started) = reported.recv().unwrap();
    let (_, _, ended) = reported.recv().unwrap();
    let both = started.into_iter().zip(ended);
    (
        pid,
        main,
        both.map(|(started, ended)| [started, ended]).collect(),
    )
}

const LIST: &str = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]";
/// Cut off at a depth of 10: `[…|...]` in OTP's text.
const LIMITED: &str = "[1,2,3,4,5,6,7,8,9,'...']";

#[test]
fn format_log_1() {
    let formats = [Format::new(), Format::new().depth(10)];
    let (_, main, texts) = texts(Some("my_supervisor"), &formats);
    let by = "    supervisor: {local,my_supervisor}\n";
    let offender = format!("[{{pid,{main}}},{{mod,a_module}}]");
    for ([started, ended], list) in texts.iter().zip([LIST, LIMITED]) {
        let expected = format!(
            "{by}    errorContext: child_terminated\n    reason: {list}\n    offender: {offender}\n"
        );
        assert_eq!(*ended, expected);
        let start = format!("{by}    started: [{{pid,{main}}},{{mfa,{{a_module,init,[");
        assert!(started.starts_with(&start), "{started}");
    }
    let [started, _] = &texts[0];
    assert_eq!(
        *started,
        format!("{by}    started: [{{pid,{main}}},{{mfa,{{a_module,init,[{LIST}]}}}}]\n")
    );
    let [started, _] = &texts[1];
    assert!(started.contains("'...'"), "{started}");
}

#[test]
fn format_log_2() {
    let single = Format::new().single_line(true);
    let formats = [
        Format::new(),
        Format::new().depth(10),
        Format::new().chars_limit(1000),
        Format::new().chars_limit(80),
        single,
        single.depth(10),
        single.chars_limit(1000),
        single.chars_limit(80),
    ];
    let (bridge, main, texts) = texts(None, &formats);
    let name = format!("{{{bridge},a_module}}");
    let lines = |list: &str| {
        format!(
            "    supervisor: {name}\n    errorContext: child_terminated\n    reason: {list}\n    \
             offender: [{{pid,{main}}},{{mod,a_module}}]\n"
        )
    };
    let line = |list: &str| {
        format!(
            "Supervisor: {name}. Context: child_terminated. Reason: {list}. \
             Offender: pid={main},mod=a_module."
        )
    };
    let ended = |at: usize| &texts[at][1];
    assert_eq!(*ended(0), lines(LIST));
    assert_eq!(*ended(1), lines(LIMITED));
    assert_eq!(*ended(2), lines(LIST));
    assert_eq!(*ended(4), line(LIST));
    assert_eq!(*ended(5), line(LIMITED));
    assert_eq!(*ended(6), line(LIST));
    let started = |at: usize| &texts[at][0];
    let start =
        format!("    supervisor: {name}\n    started: [{{pid,{main}}},{{mfa,{{a_module,init,");
    assert_eq!(*started(0), format!("{start}[{LIST}]}}}}]\n"));
    assert!(started(1).starts_with(&start) && started(1).contains("'...'"));
    let call = format!("Supervisor: {name}. Started: pid={main},mfa={{a_module,init,");
    assert_eq!(*started(4), format!("{call}[{LIST}]}}."));
    assert!(started(5).starts_with(&call) && started(5).contains("'...'"));
    // Within a limit of characters they begin the same, and are shorter.
    for (limited, all) in [(3, 0), (7, 4)] {
        for (limited, all) in texts[limited].iter().zip(&texts[all]) {
            assert!(limited.len() < all.len(), "{limited}");
            assert_eq!(limited[..15], all[..15]);
        }
    }
}
