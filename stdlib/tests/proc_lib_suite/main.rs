//! Cases of OTP's `proc_lib_SUITE`, under their own names: time is a simulation's, so nothing waits, and "not within a
//! second" is exact.

#[path = "../common/mod.rs"]
mod common;

mod crashing;
mod failed_starts;
mod starting;
mod stopping;

use std::sync::mpsc;
use std::time::Duration;

use otp_stdlib::proc_lib::{self, CrashReport};
use otp_vm::simulation::Simulation;
use otp_vm::{Atom, Call, Context, Pid, Vm, module};

module! {
    /// What the cases start.
    pub mod proc_lib_suite {
        /// Dies when it is told to.
        pub async fn sp1(cx: &mut Context) {
            told(cx, "die").await;
            cx.exit(atom("die"));
        }

        /// The same, with a child that is linked.
        pub async fn sp2(cx: &mut Context) {
            let sp1 = Call::new("proc_lib_suite", "sp1", &()).expect("a call");
            proc_lib::spawn_link(cx, sp1.body()).expect("a process");
            told(cx, "die").await;
            cx.exit(atom("die"));
        }

        /// Answers, hibernates or crashes, as it is asked.
        pub async fn hib_loop(cx: &mut Context, state: String) {
            loop {
                let asked = cx.receive().await.decode::<(String, Pid)>().expect("a request");
                match asked.0.as_str() {
                    "ping" => cx.send(asked.1, &("pong", &state)).expect("a pid"),
                    "hibernate" => {
                        let call = Call::new("proc_lib_suite", "awaken", &(asked.1, state));
                        let call = call.expect("a call");
                        proc_lib::hibernate(cx, call.continuation()).await
                    }
                    _ => cx.exit(atom("i_crashed")),
                }
            }
        }

        /// Tells that it is awake, and goes on.
        pub async fn awaken(cx: &mut Context, whom: Pid, state: String) {
            cx.send(whom, &("awaken", &state)).expect("a pid");
            hib_loop(cx, state).await;
        }
    }
}

/// A second, the time in which OTP's cases expect what is to come.
const SECOND: Duration = Duration::from_secs(1);

/// Enough orders to find one in which a case does not hold; each takes a millisecond.
const SEEDS: u64 = 40;

fn atom(name: &str) -> Atom {
    Atom::new(name).expect("an atom")
}

/// Waits for a word.
async fn told(cx: &mut Context, word: &str) {
    cx.receive_where(otp_vm::Timeout::Infinity, |message| {
        message.decode::<String>().ok().filter(|got| got == word)
    })
    .await;
}

/// Runs `body` as a process under many seeds. The reports of a crash are made in the process that crashes, so they are
/// in the channel before its end is told.
fn simulate<B, F>(body: B)
where
    B: Fn(Context, mpsc::Receiver<CrashReport>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let explored = Simulation::builder().explore(0..SEEDS, |simulation| {
        let (sender, reports) = mpsc::channel();
        let vm = Vm::builder()
            .simulate(simulation)
            .module(proc_lib_suite::module())
            .report_handler(move |report| {
                if let Some(report) = report.downcast_ref::<CrashReport>() {
                    // A case that is over wants no report any more.
                    let _ = sender.send(report.clone());
                }
            })
            .build()?;
        let body = body.clone();
        simulation.block_on(vm.run(move |cx| body(cx, reports)))??;
        simulation.block_on(vm.shutdown(SECOND))?;
        Ok(())
    });
    explored.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Waits until a process waits in its turn.
async fn until_it_waits(cx: &Context, pid: Pid) {
    while cx.vm().process_info(pid).map(|info| info.status) != Some(otp_vm::Status::Waiting) {
        cx.yield_now().await;
    }
}

/// Fails if anything comes within the time.
async fn nothing_comes(cx: &mut Context, within: Duration) {
    if let Some(message) = cx.receive_timeout(within).await {
        panic!("nothing was to come: {message}");
    }
}
