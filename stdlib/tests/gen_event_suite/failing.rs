//! Handlers that fail, and what is reported of them.

use otp_stdlib::gen_event::{Answer, EventHandler, FormatStatus, Handler, Init, Next, NoMessage};

use super::dummies::{Args1, Call, OcEvent, dummy1};
use super::*;

#[test]
fn error_format_status() {
    simulate(async |mut cx: Context, reports: Reports| {
        let cx = &mut cx;
        cx.trap_exit(true);
        for module in ["dummy1_h", "dummy_h"] {
            let manager = manager(cx).await;
            let pid = manager.whereis(cx).unwrap();
            let parent = cx.pid();
            match module {
                "dummy_h" => add_sup(cx, &manager).await,
                _ => {
                    let args = Args1::Parent(parent);
                    let added = manager.add_sup_handler(cx, dummy1(None), args).await;
                    added.unwrap();
                }
            }
            manager.notify(cx, &Event::DoCrash).unwrap();
            let gone = told(cx).await;
            let start = format!("{{gen_event_EXIT,{module},{{'EXIT',");
            assert!(gone.starts_with(&start), "{gone}");
            let report = reports.try_recv();
            let Ok(Report::Terminated {
                pid: of,
                handler,
                name,
                last,
                state,
                reason,
            }) = report
            else {
                panic!("the report of a handler: {report:?}")
            };
            assert_eq!((of, &*handler, &*name), (pid, module, "my_dummy_handler"));
            assert_eq!(last.as_deref(), Some("do_crash"));
            assert_eq!(state, "<<\"dummy1_h handler state\">>");
            assert!(
                reason.starts_with("{'EXIT',") && reason.contains("badmatch, 4"),
                "{reason}"
            );
            assert!(reports.try_recv().is_err());
            cx.unlink(pid);
            stop(cx, &manager).await;
        }
    });
}

/// `oc_event:start/0`.
async fn oc_event(cx: &mut Context) -> Manager {
    let start = EventManager::<Event>::start(cx).name("oc_event").await;
    let manager = start.unwrap();
    let added = manager.add_handler(cx, Handler::<OcEvent>::new(), ()).await;
    added.unwrap();
    manager
}

#[test]
fn undef_handle_call() {
    simulate(async |mut cx: Context, reports: Reports| {
        let manager = oc_event(&mut cx).await;
        let handler = Handler::<OcEvent>::new();
        let failed = manager.call(&mut cx, &handler, Call::Hejsan).await;
        let HandlerError::Error(reason) = handler_error(failed) else {
            panic!("it has no handle_call")
        };
        assert_eq!(reason.to_string(), "{bad_call,hejsan}");
        assert!(which(&mut cx, &manager).await.is_empty());
        let report = reports.try_recv();
        assert!(
            matches!(&report, Ok(Report::Terminated { last: Some(last), .. }) if last == "hejsan"),
            "{report:?}"
        );
        stop(&mut cx, &manager).await;
    });
}

#[test]
fn undef_handle_info() {
    simulate(async |mut cx: Context, reports: Reports| {
        let manager = oc_event(&mut cx).await;
        let pid = manager.pid().unwrap();
        cx.send(pid, &atom("hej")).unwrap();
        assert_eq!(which(&mut cx, &manager).await, ["oc_event"]);
        let report = reports.try_recv();
        let Ok(Report::NoHandleInfo {
            pid: of,
            module,
            message,
            text,
        }) = report
        else {
            panic!("a warning: {report:?}")
        };
        assert_eq!(
            (of, module, message.as_deref()),
            (pid, "oc_event", Some("hej"))
        );
        assert!(
            text.starts_with("** Undefined handle_info in oc_event\n"),
            "{text}"
        );
        stop(&mut cx, &manager).await;
    });
}

#[test]
fn undef_terminate() {
    simulate(async |mut cx: Context, reports: Reports| {
        let manager = oc_event(&mut cx).await;
        let handler = Handler::<OcEvent>::new();
        let deleted = manager.delete_handler(&mut cx, handler, &()).await;
        assert_eq!(deleted.unwrap().to_string(), "ok");
        assert!(which(&mut cx, &manager).await.is_empty());
        assert!(reports.try_recv().is_err());
        stop(&mut cx, &manager).await;
    });
}

#[test]
fn undef_in_terminate() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let args = Args::CrashesInTerminate;
        manager.add_handler(&mut cx, dummy(), args).await.unwrap();
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h"]);
        let deleted = manager.delete_handler(&mut cx, dummy(), &()).await;
        let HandlerError::Exit(reason) = handler_error(deleted) else {
            panic!("its terminate panics")
        };
        assert!(reason.to_string().contains("undef: terminate"), "{reason}");
        assert!(which(&mut cx, &manager).await.is_empty());
        stop(&mut cx, &manager).await;
    });
}

/// A handler whose state, last event and reason are lists of 15.
struct Lists;

impl EventHandler for Lists {
    type Event = Vec<u32>;
    type Args = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Info = NoMessage;

    fn module() -> &'static str {
        "my_handler"
    }

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Lists)
    }

    async fn handle_event(&mut self, event: &Vec<u32>, _cx: &mut Context) -> Next<Vec<u32>> {
        Next::error(ExitReason::new(event))
    }

    async fn handle_call(
        &mut self,
        request: NoMessage,
        _cx: &mut Context,
    ) -> Answer<NoMessage, Vec<u32>> {
        match request {}
    }

    fn format_status(&self, mut status: FormatStatus) -> FormatStatus {
        status.set_state(&(1..=15).collect::<Vec<u32>>());
        status
    }
}

/// Texts of the two reports, in each of the formats; and the pid.
fn texts(formats: Vec<Format>) -> (String, Vec<(String, String)>) {
    let (sender, texts) = mpsc::channel();
    let vm = Vm::builder()
        .schedulers(1)
        .report_handler(move |report| {
            let formats = formats.iter();
            let texts: Vec<String> = if let Some(report) = report.downcast_ref::<Terminated>() {
                formats.map(|format| report.format(*format)).collect()
            } else if let Some(report) = report.downcast_ref::<NoHandleInfo>() {
                formats.map(|format| report.format(*format)).collect()
            } else {
                return;
            };
            sender.send(texts).unwrap();
        })
        .build()
        .unwrap();
    let pid = vm.run(async |mut cx: Context| {
        let list: Vec<u32> = (1..=15).collect();
        let manager = EventManager::<Vec<u32>>::start(&mut cx).await.unwrap();
        let pid = manager.pid().unwrap();
        let lists = Handler::<Lists>::new();
        manager
            .add_handler(&mut cx, lists.clone(), ())
            .await
            .unwrap();
        cx.send(pid, &list).unwrap();
        manager.sync_notify(&mut cx, &list).await.unwrap();
        let stopped = manager.stop(&mut cx, ExitReason::normal(), LIMIT);
        stopped.await.unwrap();
        pid.to_string()
    });
    let pid = pid.wait().unwrap();
    vm.shutdown(LIMIT).wait();
    let warned = texts.recv().unwrap();
    let terminated = texts.recv().unwrap();
    (pid, terminated.into_iter().zip(warned).collect())
}

const LIST: &str = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]";

#[test]
fn format_log_1() {
    let (pid, texts) = texts(vec![Format::new(), Format::new().depth(10)]);
    for ((terminated, warned), list) in texts.into_iter().zip([LIST, "[1,2,3,4,5,6,7,8,9,'...']"]) {
        let expected = format!(
            "** gen_event handler my_handler crashed.\n** Was installed in {pid}\n\
             ** Last event was: {list}\n** When handler state == {list}\n** Reason == {list}\n"
        );
        assert_eq!(terminated, expected);
        let expected =
            format!("** Undefined handle_info in my_handler\n** Unhandled message: {list}\n");
        assert_eq!(warned, expected);
    }
}

#[test]
fn format_log_2() {
    let single = Format::new().single_line(true);
    let (pid, texts) = texts(vec![
        Format::new(),
        Format::new().depth(10),
        Format::new().chars_limit(200),
        Format::new().chars_limit(80),
        single,
        single.depth(10),
        single.chars_limit(200),
        single.chars_limit(80),
    ]);
    // A list that is cut off is `[…|...]` in OTP's text, and `[…,'...']` here, as in `format_log_1`.
    let limited = "[1,2,3,4,5,6,7,8,9,'...']";
    for (at, list) in [(0, LIST), (1, limited)] {
        let (terminated, warned) = &texts[at];
        let expected = format!(
            "** gen_event handler my_handler crashed.\n** Was installed in {pid}\n\
             ** Last event was: {list}\n** When handler state == {list}\n** Reason == {list}\n"
        );
        assert_eq!(*terminated, expected);
        let expected =
            format!("** Undefined handle_info in my_handler\n** Unhandled message: {list}\n");
        assert_eq!(*warned, expected);
        let (terminated, warned) = &texts[at + 4];
        let expected = format!(
            "Generic event handler my_handler crashed. Installed: {pid}. Last event: {list}. \
             State: {list}. Reason: {list}."
        );
        assert_eq!(*terminated, expected);
        let expected = format!("Undefined handle_info in my_handler. Unhandled message: {list}.");
        assert_eq!(*warned, expected);
    }
    // Within a limit of characters they begin the same, and are shorter.
    let start = "** gen_event handler my_handler crashed.\n** Was installed";
    assert!(texts[2].0.starts_with(start) && texts[2].0.len() < texts[0].0.len());
    let start = "** Undefined handle_info in my_handler\n** Unhandled message: ";
    assert!(texts[3].1.starts_with(start) && texts[3].1.len() < texts[0].1.len());
    let start = "Generic event handler my_handler crashed. Installed: ";
    assert!(texts[6].0.starts_with(start) && texts[6].0.len() < texts[4].0.len());
    let start = "Undefined handle_info in my_handler. ";
    assert!(texts[7].1.starts_with(start) && texts[7].1.len() < texts[4].1.len());
}
