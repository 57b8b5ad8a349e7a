//! A program that is an application: it runs until its tree ends, or until it is told to stop, and then ends in order.
//!
//! `cargo run -p otp-stdlib --example application`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::application::{self, Application};
use otp_stdlib::prelude::*;
use otp_vm::{Context, ExitReason, Pid, Vm};
use serde::{Deserialize, Serialize};

/// The one server of the tree.
struct Clock {
    ticks: u32,
}

/// What it sends itself.
#[derive(Serialize, Deserialize)]
struct Tick;

impl GenServer for Clock {
    type Args = u32;
    type Call = NoMessage;
    type Reply = ();
    type Cast = NoMessage;
    type Info = Tick;
    type Continue = NoMessage;

    async fn init(ticks: u32, cx: &mut Context) -> Init<Self> {
        cx.send_after(Duration::from_millis(1), cx.pid(), &Tick)
            .expect("a term");
        Init::ok(Self { ticks })
    }

    async fn handle_info(&mut self, _: Tick, cx: &mut Context) -> NoReply<Self> {
        println!("{} to go", self.ticks);
        if self.ticks == 0 {
            return NoReply::stop(ExitReason::shutdown());
        }
        self.ticks -= 1;
        cx.send_after(Duration::from_millis(1), cx.pid(), &Tick)
            .expect("a term");
        NoReply::new()
    }
}

struct Countdown;

impl Application for Countdown {
    async fn start(args: Vec<String>, cx: &mut Context) -> Result<Pid, StartError> {
        let ticks = args
            .first()
            .and_then(|ticks| ticks.parse().ok())
            .unwrap_or(3);
        // The clock is the top of the tree: with it the application ends.
        application::tree(Clock::start_link(cx, ticks).name("clock").await)
    }

    async fn stop(_cx: &mut Context) {
        println!("the tree has ended");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().name("countdown").schedulers(1).build()?;
    let args = std::env::args().skip(1).collect();
    // The process is the application's; its result is why it stopped. `.await` it in an async program.
    let reason = vm
        .run(|cx| application::run::<Countdown>(cx, args))
        .wait()?;
    println!("stopped: {reason}");
    let report = vm
        .shutdown(Duration::from_secs(5))
        .wait()
        .ok_or("this is a thread of the VM")?;
    assert!(report.is_orderly(), "{report:?}");
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
