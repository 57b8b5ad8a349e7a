//! Failures, and what is reported of them.

use otp_stdlib::proc_lib::Format;

use super::suite::{
    Args, Call, Info, Report, Reports, State, Suite, down_within, exit_within, is, simulate, suite,
};
use super::*;

/// The report of a server.
pub fn reported(reports: &Reports) -> (Pid, Option<String>, String, String, Option<Pid>, String) {
    match reports.try_recv() {
        Ok(Report::Server {
            pid,
            text,
            last_message,
            state,
            reason,
            client,
            ..
        }) => (pid, last_message, state, reason, client, text),
        other => panic!("the report of a server: {other:?}"),
    }
}

pub fn crash_reported(reports: &Reports, pid: Pid, reason: &str) {
    match reports.try_recv() {
        Ok(Report::Crash(report)) => {
            assert_eq!(report.pid, pid);
            assert_eq!(report.error_info.reason.to_string(), reason);
        }
        other => panic!("a crash report: {other:?}"),
    }
}

#[test]
fn crash() {
    simulate(async |mut cx: Context, reports: Reports| {
        cx.trap_exit(true);
        // None of these makes a report.
        for (call, reason) in [
            (Call::ShutdownReason, "{shutdown,reason}"),
            (Call::StopShutdownReason, "{shutdown,stop_reason}"),
            (Call::ExitShutdown, "shutdown"),
            (Call::StopShutdown, "shutdown"),
        ] {
            let server = suite(&mut cx).await;
            let error = server.call(&mut cx, call).await.unwrap_err();
            assert_eq!(error.reason().to_string(), reason);
            let exit = exit_within(&mut cx, server.pid().unwrap()).await;
            assert_eq!(exit.to_string(), reason);
        }
        assert!(reports.try_recv().is_err());
        cx.trap_exit(false);
        // This makes two, the server's first.
        let shown = Args::State(State::Shown("state4"));
        let server = Suite::start(&mut cx, shown).await.unwrap();
        let pid = server.pid().unwrap();
        let error = server.call(&mut cx, Call::Crash).await.unwrap_err();
        assert!(is(&error.reason(), "crashed"));
        common::ended(&mut cx, pid).await;
        let (who, last, state, reason, client, text) = reported(&reports);
        assert_eq!((who, client), (pid, Some(cx.pid())));
        let last = last.expect("the call");
        assert!(
            last.starts_with("{'$gen_call',{") && last.ends_with(",crash}"),
            "{last}"
        );
        assert_eq!((&*state, &*reason), ("{formatted,state4}", "crashed"));
        assert!(
            text.starts_with(&format!("** Generic server {pid} terminating")),
            "{text}"
        );
        crash_reported(&reports, pid, "crashed");
        assert!(reports.try_recv().is_err());
    });
}

#[test]
fn error_format_status() {
    simulate(async |mut cx: Context, reports: Reports| {
        cx.trap_exit(true);
        let shown = Args::State(State::Shown("called format_status"));
        let server = Suite::start_link(&mut cx, shown).await.unwrap();
        let pid = server.pid().unwrap();
        assert!(server.call(&mut cx, Call::Crash).await.is_err());
        assert!(is(&exit_within(&mut cx, pid).await, "crashed"));
        let (who, last, state, reason, client, _) = reported(&reports);
        assert_eq!((who, client), (pid, Some(cx.pid())));
        assert!(last.expect("the call").ends_with(",crash}"));
        assert_eq!(state, "{formatted,'called format_status'}");
        assert_eq!(reason, "crashed");
        crash_reported(&reports, pid, "crashed");
    });
}

#[test]
fn terminate_crash_format() {
    simulate(async |mut cx: Context, reports: Reports| {
        cx.trap_exit(true);
        let state = Args::State(State::CrashTerminate);
        let server = Suite::start_link(&mut cx, state).await.unwrap();
        let pid = server.pid().unwrap();
        server.call(&mut cx, Call::Stop).await.unwrap();
        assert_eq!(
            exit_within(&mut cx, pid).await.to_string(),
            "{crash,terminate}"
        );
        let (who, last, state, reason, client, _) = reported(&reports);
        assert_eq!((who, client), (pid, Some(cx.pid())));
        assert!(last.expect("the call").ends_with(",stop}"));
        assert_eq!(state, "{formatted,crash_terminate}");
        assert_eq!(reason, "{crash,terminate}");
        crash_reported(&reports, pid, "{crash,terminate}");
    });
}

#[test]
fn the_name_of_a_server_is_in_its_report() {
    simulate(async |mut cx: Context, reports: Reports| {
        let keeper = super::names::DummyVia::default();
        for via in [false, true] {
            let start = Suite::start(&mut cx, Args::Ok);
            let start = match via {
                true => start.via(&keeper, "some name"),
                false => start.name("some_name"),
            };
            let server = start.await.unwrap();
            assert!(server.call(&mut cx, Call::Crash).await.is_err());
            common::ended(&mut cx, server.pid().unwrap()).await;
            let text = reported(&reports).5;
            let name = if via {
                "<<\"some name\">>"
            } else {
                "some_name"
            };
            assert!(
                text.starts_with(&format!("** Generic server {name} term")),
                "{text}"
            );
            crash_reported(&reports, server.pid().unwrap(), "crashed");
        }
    });
}

/// A server with nothing but an init.
struct Oc;

impl GenServer for Oc {
    type Args = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Oc)
    }
}

#[test]
fn undef_terminate1() {
    simulate(async |mut cx: Context, _: Reports| {
        let (server, monitor) = Oc::start_monitor(&mut cx, ()).await.unwrap();
        server
            .stop(&mut cx, ExitReason::normal(), Timeout::Infinity)
            .await
            .unwrap();
        assert_eq!(down_within(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn undef_terminate2() {
    simulate(async |mut cx: Context, _: Reports| {
        let (server, monitor) = Oc::start_monitor(&mut cx, ()).await.unwrap();
        let reason = ExitReason::new(&("error", "test"));
        server
            .stop(&mut cx, reason.clone(), Timeout::Infinity)
            .await
            .unwrap();
        assert_eq!(down_within(&mut cx, monitor).await, reason);
    });
}

#[test]
fn undef_handle_info() {
    simulate(async |mut cx: Context, reports: Reports| {
        let server = Oc::start(&mut cx, ()).await.unwrap();
        let pid = server.pid().unwrap();
        cx.send(pid, &super::suite::atom("hej")).unwrap();
        let report = loop {
            match reports.try_recv() {
                Ok(report) => break report,
                Err(_) => cx.yield_now().await,
            }
        };
        assert!(
            matches!(&report, Report::NoHandleInfo(message) if message == "hej"),
            "{report:?}"
        );
        assert!(cx.is_alive(pid).await);
    });
}

#[test]
fn undef_in_terminate() {
    simulate(async |mut cx: Context, _: Reports| {
        let state = Args::State(State::UndefInTerminate);
        let server = Suite::start(&mut cx, state).await.unwrap();
        let stopped = server
            .stop(&mut cx, ExitReason::normal(), Timeout::Infinity)
            .await;
        let Err(StopError::Exit(reason)) = stopped else {
            panic!("another reason: {stopped:?}")
        };
        assert!(reason.to_string().contains("undef: terminate"), "{reason}");
    });
}

#[test]
fn undef_in_handle_info() {
    simulate(async |mut cx: Context, _: Reports| {
        let (server, monitor) = Suite::start_monitor(&mut cx, Args::Ok).await.unwrap();
        cx.send(server.pid().unwrap(), &Info::CallUndefFun).unwrap();
        let reason = down_within(&mut cx, monitor).await;
        assert!(
            reason.to_string().contains("undef: handle_info"),
            "{reason}"
        );
    });
}

/// A server whose state, last message and reason are lists of 15.
struct Lists;

impl GenServer for Lists {
    type Args = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = Vec<u32>;
    type Continue = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Lists)
    }

    async fn handle_info(&mut self, list: Vec<u32>, _cx: &mut Context) -> NoReply<Self> {
        NoReply::stop(ExitReason::new(&list))
    }

    fn format_status(
        &self,
        mut status: otp_stdlib::gen_server::FormatStatus,
    ) -> otp_stdlib::gen_server::FormatStatus {
        status.set_state(&(1..=15).collect::<Vec<u32>>());
        status
    }
}

/// Texts of the two reports, in each of the formats; and the pid.
fn texts(formats: Vec<Format>) -> (String, Vec<(String, String)>) {
    use otp_stdlib::gen_server::{NoHandleInfo, Terminated};

    let (sender, texts) = std::sync::mpsc::channel();
    let vm = Vm::builder()
        .schedulers(1)
        .report_handler(move |report| {
            let texts: Vec<String> = if let Some(report) = report.downcast_ref::<Terminated>() {
                formats
                    .iter()
                    .map(|format| report.format(*format))
                    .collect()
            } else if let Some(report) = report.downcast_ref::<NoHandleInfo>() {
                formats
                    .iter()
                    .map(|format| report.format(*format))
                    .collect()
            } else {
                return;
            };
            sender.send(texts).unwrap();
        })
        .build()
        .unwrap();
    let pid = vm.run(async |mut cx: Context| {
        let list: Vec<u32> = (1..=15).collect();
        let (server, monitor) = Lists::start_monitor(&mut cx, ()).await.unwrap();
        cx.send(server.pid().unwrap(), &list).unwrap();
        down(&mut cx, monitor).await;
        let (oc, monitor) = Oc::start_monitor(&mut cx, ()).await.unwrap();
        cx.send(oc.pid().unwrap(), &list).unwrap();
        oc.stop(&mut cx, ExitReason::normal(), LIMIT).await.unwrap();
        down(&mut cx, monitor).await;
        server.pid().unwrap().to_string()
    });
    let pid = pid.wait().unwrap();
    vm.shutdown(LIMIT).wait();
    let terminated = texts.recv().unwrap();
    let warned = texts.recv().unwrap();
    (pid, terminated.into_iter().zip(warned).collect())
}

#[test]
fn format_log_1() {
    let (pid, texts) = texts(vec![Format::new(), Format::new().depth(10)]);
    let list = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]";
    let limited = "[1,2,3,4,5,6,7,8,9,'...']";
    for ((terminated, warned), list) in texts.into_iter().zip([list, limited]) {
        let lines: Vec<&str> = terminated.lines().collect();
        let expected = [
            format!("** Generic server {pid} terminating"),
            format!("** Last message in was {list}"),
            format!("** When server state was {list}"),
            format!("** Reason: {list}"),
        ];
        assert_eq!(lines, expected);
        let (head, message) = warned.split_once("\n** ").unwrap();
        assert!(
            head.starts_with("** Undefined handle_info in ") && head.ends_with("Oc"),
            "{head}"
        );
        assert_eq!(message, format!("Unhandled message: {list}"));
    }
}

#[test]
fn format_log_2() {
    let single = Format::new().single_line(true);
    let (pid, texts) = texts(vec![
        Format::new(),
        Format::new().depth(10),
        Format::new().chars_limit(200),
        single,
        single.depth(10),
        single.chars_limit(200),
    ]);
    for (terminated, warned) in &texts[..3] {
        let start = format!("** Generic server {pid} terminating\n** Last message in was ");
        assert!(terminated.starts_with(&start), "{terminated}");
        assert!(
            warned.starts_with("** Undefined handle_info in ")
                && warned.contains("\n** Unhandled message: ")
        );
    }
    for (terminated, warned) in &texts[3..] {
        let start = format!("Generic server {pid} terminating. Reason: ");
        assert!(terminated.starts_with(&start), "{terminated}");
        assert!(!terminated.contains('\n'));
        assert!(
            warned.starts_with("Undefined handle_info in ")
                && warned.contains("Oc. Unhandled message: ")
        );
    }
    let len = |at: usize| (texts[at].0.len(), texts[at].1.len());
    let shorter = |a: (usize, usize), b: (usize, usize)| a.0 < b.0 && a.1 < b.1;
    assert!(shorter(len(1), len(0)) && shorter(len(2), len(0)));
    assert!(shorter(len(3), len(0)));
    assert!(shorter(len(4), len(3)) && shorter(len(5), len(3)));
}
