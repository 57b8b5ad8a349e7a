//! The simulation that the cases run in: time is virtual, and what is reported is told.

use std::sync::mpsc;
use std::time::Duration;

use otp_stdlib::gen_statem::Terminated;
use otp_stdlib::proc_lib::{CrashReport, Format};
use otp_stdlib::sys::Traced;
use otp_vm::simulation::Simulation;
use otp_vm::{Atom, Context, Pid, Vm};

/// Each case runs in the orders of so many seeds.
const SEEDS: u64 = 10;

pub const SECOND: Duration = Duration::from_secs(1);

pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn atom(name: &str) -> Atom {
    Atom::new(name).expect("an atom")
}

/// The reports of a run, in order.
#[derive(Debug)]
pub enum Report {
    Machine(Box<Shown>),
    Crash(Box<CrashReport>),
    /// A line of a trace, or of a log that was printed.
    Line(String),
}

/// What the report of a machine says, as text.
#[derive(Debug)]
pub struct Shown {
    pub pid: Pid,
    pub text: String,
    pub queue: Vec<String>,
    pub postponed: Vec<String>,
    pub timeouts: Vec<String>,
    pub state: String,
    pub reason: String,
    pub client: Option<Pid>,
    pub log: Vec<String>,
}

impl Shown {
    fn of(report: &Terminated) -> Self {
        let texts = |terms: &[otp_vm::OwnedTerm]| terms.iter().map(ToString::to_string).collect();
        Self {
            pid: report.pid,
            text: report.format(Format::new()),
            queue: texts(&report.queue),
            postponed: texts(&report.postponed),
            timeouts: texts(&report.timeouts),
            state: report.state.to_string(),
            reason: report.reason.to_string(),
            client: report.client.map(|client| client.pid),
            log: texts(&report.log),
        }
    }
}

pub type Reports = mpsc::Receiver<Report>;

/// Runs `body` as a process of a simulated VM, under some seeds.
pub fn simulate<B, F>(body: B)
where
    B: Fn(Context, Reports) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let explored = Simulation::builder().explore(0..SEEDS, |simulation| {
        let (sender, reports) = mpsc::channel();
        let vm = Vm::builder()
            .simulate(simulation)
            .report_handler(move |report| {
                let report = if let Some(report) = report.downcast_ref::<Terminated>() {
                    Report::Machine(Box::new(Shown::of(report)))
                } else if let Some(report) = report.downcast_ref::<CrashReport>() {
                    Report::Crash(Box::new(report.clone()))
                } else if let Some(Traced { text, .. }) = report.downcast_ref() {
                    Report::Line(text.clone())
                } else {
                    return;
                };
                // A case that is over wants no report any more.
                let _ = sender.send(report);
            })
            .build()?;
        let body = body.clone();
        simulation.block_on(vm.run(move |cx| body(cx, reports)))??;
        simulation.block_on(vm.shutdown(SECOND))?;
        Ok(())
    });
    explored.unwrap_or_else(|failure| panic!("{failure}"));
}

/// As [`simulate`], for those that look at no report.
pub fn simulated<B, F>(body: B)
where
    B: Fn(Context) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    simulate(move |cx, _| body(cx));
}
