//! Unknown messages, ignored in silence: a clause that takes whatever comes. A misspelt request then leaves its caller
//! to its timeout, and a message that got lost leaves no trace. The library does the right thing by itself, as long as
//! requests and messages have types: what does not decode is logged, and who called is told at once. (`handle_unknown`
//! is there for who wants something else.)

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_vm::{CallError, Context, OwnedTerm, term};
use serde::{Deserialize, Serialize};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::Failure;

/// Any term is a request, and any a message: those that it does not know it drops.
struct Wrong;

impl GenServer for Wrong {
    type Args = ();
    type Call = OwnedTerm;
    type Reply = u32;
    type Cast = NoMessage;
    type Info = OwnedTerm;
    type Continue = NoMessage;

    async fn init((): (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Wrong)
    }

    async fn handle_call(
        &mut self,
        request: OwnedTerm,
        _from: From<u32>,
        _cx: &mut Context,
    ) -> Reply<Self> {
        match request.to_string().as_str() {
            "answer" => Reply::new(42),
            _ => Reply::later(),
        }
    }

    async fn handle_info(&mut self, _message: OwnedTerm, _cx: &mut Context) -> NoReply<Self> {
        NoReply::new()
    }
}

/// Its messages have types.
struct Right;

#[derive(Serialize, Deserialize)]
enum Note {
    Forget,
}

#[gen_server]
impl Right {
    fn init() -> Self {
        Right
    }

    #[call]
    fn answer(&self) -> u32 {
        42
    }

    #[info]
    fn note(&mut self, note: Note) {
        match note {
            Note::Forget => {}
        }
    }
}

async fn shows(mut cx: Context) -> Result<String, Failure> {
    let cx = &mut cx;
    let wrong = Wrong::start_link(cx, ()).await?.pid();
    let right = Right::start_link(cx, ()).await?.pid();
    let servers = [wrong, right].map(|pid| pid.expect("a start gives a pid"));
    let mut told = Vec::new();
    for server in servers {
        let limit = Duration::from_secs(5);
        let answer: u32 = cx.call(server, &term!(answer), limit).await?;
        assert_eq!(answer, 42);
        cx.send(server, &term!(forgett))?;
        let begun = cx.monotonic_time();
        let misspelt = cx.call::<_, u32>(server, &term!(anwser), limit).await;
        let after = Duration::from_nanos(cx.monotonic_time() - begun);
        told.push((misspelt.expect_err("there is no such request"), after));
    }
    assert!(matches!(&told[0], (CallError::Timeout, after) if after.as_secs() == 5));
    assert!(matches!(&told[1], (CallError::Decode(_), after) if after.as_secs() == 0));
    Ok(format!(
        "the caller is told nothing for {:.0?}, or at once: {}",
        told[0].1, told[1].0
    ))
}

/// Counts warnings: in place of a program's log.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

pub(crate) fn run() -> Result<String, Box<dyn Error>> {
    let warnings = Warnings::default();
    // A simulation runs on this thread.
    let shown = tracing::subscriber::with_default(warnings.clone(), || crate::explore(shows))?;
    // Of the server with types: one for the message, one for the request, under each seed.
    let warned = warnings.0.load(Ordering::Relaxed) as u64;
    assert_eq!(warned, 2 * crate::SEEDS);
    Ok(shown)
}
