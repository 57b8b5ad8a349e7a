//! What the reports say: who it was, and what to look at.

mod common;

use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once};

use common::*;
use otp_stdlib::prelude::*;
use otp_vm::{Context, ExitReason};
use tracing::field::{Field, Visit};
use tracing::span;

/// Keeps the text of each event, in the order in which they came.
struct Keeper;

static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = writeln!(self.0, "{field}={value:?}");
    }
}

impl tracing::Subscriber for Keeper {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        EVENTS.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Keeps events from here on; each test looks for what only its own say.
fn keep() {
    static SET: Once = Once::new();
    SET.call_once(|| tracing::subscriber::set_global_default(Keeper).unwrap());
}

/// The one event that has all of these.
fn said(all: &[&str]) -> String {
    let events = EVENTS.lock().unwrap();
    let mut fitting = events
        .iter()
        .filter(|event| all.iter().all(|part| event.contains(part)));
    let event = fitting
        .next()
        .unwrap_or_else(|| panic!("none has {all:?}: {events:#?}"));
    assert_eq!(fitting.next(), None, "{all:?} is reported twice");
    event.clone()
}

#[test]
fn a_panic_of_a_callback_tells_whose_it_was() {
    keep();
    run(async |mut cx: Context| {
        let args = ProbeArgs::new("a", cx.pid());
        let server = Probe::start(&mut cx, args)
            .name("reported")
            .label("the label")
            .await
            .unwrap();
        let pid = server.pid().unwrap();
        let monitor = cx.monitor(pid);
        server.cast(&cx, Do::Panic).unwrap();
        down(&mut cx, monitor).await;
        let pid = format!("pid={pid}\n");
        let who = ["registered_name=\"reported\"", "label=\"the label\"", &pid];
        // What happened comes first: a backtrace behind it may be long.
        said(&[&who[..], &["message=process panicked: as told\n"]].concat());
        let report = said(&[&who[..], &["gen_server_terminated"]].concat());
        assert!(report.contains("Probe"), "{report}");
        assert!(report.contains("as told"), "{report}");
    });
}

#[test]
fn a_panic_of_a_plain_process_tells_whose_it_was() {
    keep();
    run(async |mut cx: Context| {
        let me = cx.pid();
        let (_, monitor) = cx
            .spawn_monitor(async move |cx: Context| {
                cx.register("plain", cx.pid()).unwrap();
                assert_eq!(cx.pid(), me, "a plain panic");
            })
            .unwrap();
        down(&mut cx, monitor).await;
        let crash = said(&["a plain panic", "process panicked"]);
        assert!(crash.contains("registered_name=\"plain\""), "{crash}");
    });
}

#[test]
fn a_text_in_the_place_of_an_atom_is_hinted_at() {
    keep();
    run(async |mut cx: Context| {
        let args = ProbeArgs::new("b", cx.pid());
        let server = Probe::start(&mut cx, args).await.unwrap();
        let pid = server.pid().unwrap();
        cx.cast(pid, "ping by cast").unwrap();
        cx.cast(pid, &("stop by cast", 7)).unwrap();
        cx.send(pid, "ping by message").unwrap();
        let called: Result<(), _> = cx.call(pid, "ping by call", LIMIT).await;
        assert!(called.is_err());
        cx.cast(pid, &(40_007, "no hint")).unwrap();
        server.call(&mut cx, Do::Ping).await.unwrap();
        for text in [
            "ping by cast",
            "stop by cast",
            "ping by message",
            "ping by call",
        ] {
            let warning = said(&[text, "gen_server_unknown_message"]);
            assert!(warning.contains("a variant's name an atom"), "{warning}");
        }
        let warning = said(&["40007", "gen_server_unknown_message"]);
        assert!(!warning.contains("hint="), "{warning}");
        server
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
}
