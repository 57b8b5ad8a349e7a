//! A stream of news with handlers that come and go: a log that is a file's worth of lines, and a count of alarms that
//! takes itself out when it has seen enough. The log is swapped for another while it runs, and hands over what it has.
//! Whoever added the count is told when it is gone.
//!
//! `cargo run -p otp-stdlib --example event_log`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::gen_event::{
    Answer, EventHandler, EventManager, GenEventExit, Handler, Init, Install, Next, Terminate,
};
use otp_stdlib::prelude::*;
use otp_vm::{Context, OwnedTerm, Timeout, Vm, from_term, to_term};
use serde::{Deserialize, Serialize};

/// What happens in the plant.
#[derive(Debug, Serialize, Deserialize)]
enum News {
    Started { unit: String },
    Alarm { unit: String, degrees: u32 },
}

/// Keeps lines.
struct Log {
    prefix: &'static str,
    lines: Vec<String>,
}

impl EventHandler for Log {
    type Event = News;
    type Args = &'static str;
    type Call = ();
    type Reply = Vec<String>;
    type Info = NoMessage;

    async fn init(prefix: &'static str, _cx: &mut Context) -> Init<Self> {
        let lines = Vec::new();
        Init::ok(Log { prefix, lines })
    }

    /// Goes on where another log left off.
    async fn init_swapped(
        prefix: &'static str,
        old: Option<OwnedTerm>,
        _cx: &mut Context,
    ) -> Init<Self> {
        let lines = old.and_then(|lines| from_term(lines.root()).ok());
        let lines = lines.unwrap_or_default();
        Init::ok(Log { prefix, lines })
    }

    async fn handle_event(&mut self, news: &News, _cx: &mut Context) -> Next<News> {
        let line = match news {
            News::Started { unit } => format!("{}: {unit} started", self.prefix),
            News::Alarm { unit, degrees } => format!("{}: {unit} at {degrees}", self.prefix),
        };
        self.lines.push(line);
        Next::ok()
    }

    async fn handle_call(&mut self, _request: (), _cx: &mut Context) -> Answer<Vec<String>, News> {
        Answer::new(self.lines.clone())
    }

    /// What it gives goes to the log that takes its place, or to whoever deletes it.
    async fn terminate(&mut self, _why: Terminate<'_>, _cx: &mut Context) -> OwnedTerm {
        to_term(&self.lines).expect("lines are a term")
    }
}

/// Counts alarms down.
struct Enough(u32);

impl EventHandler for Enough {
    type Event = News;
    type Args = u32;
    type Call = NoMessage;
    type Reply = NoMessage;
    type Info = NoMessage;

    async fn init(alarms: u32, _cx: &mut Context) -> Init<Self> {
        Init::ok(Enough(alarms))
    }

    async fn handle_event(&mut self, news: &News, _cx: &mut Context) -> Next<News> {
        if let News::Alarm { .. } = news {
            self.0 = self.0.saturating_sub(1);
        }
        match self.0 {
            0 => Next::remove(),
            _ => Next::ok(),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().schedulers(2).build()?;
    let run = vm.run(async |mut cx: Context| {
        let manager = vec![EventManager::<News>::child_spec("news")];
        let flags = SupervisorFlags::one_for_one();
        let tree = Supervisor::start_link(&mut cx, flags, manager).await;
        tree.expect("the tree starts");

        let news = EventManagerRef::<News>::from_name("news").expect("a name");
        let (day, night) = (Handler::<Log>::new(), Handler::<Log>::with_id("night"));
        let night = night.expect("a term");
        let added = news.add_handler(&mut cx, day.clone(), "day").await;
        added.expect("the log is added");
        let enough = Handler::<Enough>::new();
        let added = news.add_sup_handler(&mut cx, enough.clone(), 2).await;
        added.expect("the count is added");

        let unit = || "boiler".to_owned();
        let alarm = |degrees| News::Alarm {
            unit: unit(),
            degrees,
        };
        news.notify(&cx, &News::Started { unit: unit() })
            .expect("a term");
        news.notify(&cx, &alarm(90)).expect("a term");
        let install = Install::new(night.clone(), "night");
        let swapped = news.swap_handler(&mut cx, (&day, &()), install).await;
        swapped.expect("the night log takes over");
        news.notify(&cx, &alarm(95)).expect("a term");

        // Two alarms are enough: the count has gone, and says so.
        let gone = cx.receive_where(Timeout::Infinity, GenEventExit::of).await;
        let gone = gone.expect("a wait without an end ends by a message");
        assert_eq!(gone.handler, *enough.id());
        println!("{gone}");
        news.call(&mut cx, &night, ())
            .await
            .expect("the log answers")
    });
    let lines = run.wait()?;
    lines.iter().for_each(|line| println!("{line}"));
    let expected = [
        "day: boiler started",
        "day: boiler at 90",
        "night: boiler at 95",
    ];
    assert_eq!(lines, expected);
    vm.shutdown(Duration::from_secs(5)).wait();
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
