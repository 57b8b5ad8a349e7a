//! What the workloads have in common: a VM, a driver process, a gate for many processes at once.
//!
//! A workload's processes say that something is wrong by panicking: the panic's text becomes
//! their exit reason, the driver's, and at last the [`BenchError`].

use std::time::{Duration, Instant};

use clap::Args;
use otp_vm::{Context, ExitReason, Pid, Ref, RunError, Timeout, Vm};
use serde::{Deserialize, Serialize};

use crate::report::Report;

/// Most processes of a workload's VM: as many as the Erlang programs are run with (`+P 4000000`).
const MAX_PROCESSES: usize = 4_000_000;

/// The most members that a workload may be asked for: its driver and helpers find room beside them.
pub(crate) const MEMBERS_MAX: u64 = 3_500_000;

/// How long a workload's processes, once killed, may take to be gone. A million of them take a
/// second or two.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Time for processes that were just made to reach their first receive, before the clock starts.
pub(crate) const SETTLE: Duration = Duration::from_millis(50);

/// What every workload's VM is built with.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// Scheduler threads [default: as many as there are cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub schedulers: Option<u16>,
    /// Pin each scheduler to a core
    #[arg(long, global = true)]
    pub pin: bool,
}

/// Why a workload gave no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The VM could not be built.
    #[error("the workload's VM could not be built: {0}")]
    Build(#[from] otp_vm::BuildError),
    /// The driver or one of its processes failed: the text has the reason.
    #[error("the workload failed: {0}")]
    Run(#[from] RunError),
    /// The options leave nothing to measure.
    #[error("{0}")]
    NoWork(String),
    /// A process that the workload needs could not be made.
    #[error(transparent)]
    Spawn(#[from] otp_vm::SpawnError),
    /// A plain thread, to compare with, could not be started.
    #[error("a plain thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// After the run there were processes or threads that even a kill did not end.
    #[error("{processes} processes and {threads} threads did not end after the run")]
    LeftOver {
        /// Processes that did not end.
        processes: usize,
        /// Scheduler threads that did not end.
        threads: usize,
    },
}

/// What each of `count` does of `n` in all, by the name of the option that says how many they are.
///
/// # Errors
/// [`BenchError::NoWork`] when there is nobody, or not one for each.
pub(crate) fn each_of(n: u64, count: u64, option: &str) -> Result<u64, BenchError> {
    match n.checked_div(count) {
        Some(each) if each > 0 => Ok(each),
        Some(_) => Err(BenchError::NoWork(format!(
            "--n {n} is not one for each of --{option} {count}; give --n {count} or more"
        ))),
        None => Err(BenchError::NoWork(format!(
            "--{option} 0 leaves nobody to measure; give 1 or more"
        ))),
    }
}

/// Parses how long to look, in seconds. Less than ten beats of a millisecond, or steps of the kernel's clock, show
/// nothing.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds from 0.01 to 86400 are wanted".to_owned()),
    }
}

impl Settings {
    /// A VM for one run.
    pub(crate) fn build(&self) -> Result<Vm, BenchError> {
        self.build_within(MAX_PROCESSES)
    }

    fn build_within(&self, max_processes: usize) -> Result<Vm, BenchError> {
        let mut builder = Vm::builder()
            .name("bench")
            .max_processes(max_processes)
            .pin(self.pin);
        if let Some(schedulers) = self.schedulers {
            builder = builder.schedulers(schedulers.into());
        }
        Ok(builder.build()?)
    }

    /// Runs `driver` as the first process of a new VM, and ends what it leaves behind.
    pub(crate) fn measure<B, F>(&self, driver: B) -> Result<Report, BenchError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = Report> + Send + 'static,
    {
        self.measure_within(MAX_PROCESSES, driver)
    }

    /// The same in a VM with room for so many processes.
    pub(crate) fn measure_within<B, F>(
        &self,
        max_processes: usize,
        driver: B,
    ) -> Result<Report, BenchError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = Report> + Send + 'static,
    {
        let vm = self.build_within(max_processes)?;
        let report = vm.run(driver).wait();
        let schedulers = vm.system_info().schedulers;
        end(&vm)?;
        Ok(report?.with("schedulers", schedulers))
    }
}

/// Kills whatever processes there still are, and takes the VM down.
pub(crate) fn end(vm: &Vm) -> Result<(), BenchError> {
    for pid in vm.processes() {
        vm.exit(pid, ExitReason::kill());
    }
    let report = vm.shutdown(END_LIMIT).wait().unwrap_or_default();
    if report.stuck.is_empty() && report.threads.is_empty() {
        return Ok(());
    }
    Err(BenchError::LeftOver {
        processes: report.stuck.len(),
        threads: report.threads.len(),
    })
}

/// Opens a gate. A message of its own, so that nothing else opens one.
#[derive(Debug, Serialize, Deserialize)]
enum Opening {
    Go,
}

/// Processes that wait to be told to begin all at once.
#[derive(Debug)]
pub(crate) struct Gate {
    waiting: Vec<(Pid, Ref)>,
}

impl Gate {
    /// Makes `count` processes that will run `body` with their number, from 0.
    pub(crate) async fn new<B, F>(cx: &Context, count: u64, body: B) -> Self
    where
        B: FnOnce(u64, Context) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let wait_and_run = |number: u64| {
            let body = body.clone();
            move |mut cx: Context| async move {
                let Opening::Go = cx
                    .receive()
                    .await
                    .decode()
                    .expect("the first message opens the gate");
                body(number, cx).await;
            }
        };
        let waiting = (0..count).map(|number| {
            cx.spawn_monitor(wait_and_run(number))
                .expect("room for its processes")
        });
        let waiting = waiting.collect();
        cx.sleep(SETTLE).await;
        Self { waiting }
    }

    pub(crate) fn open(&self, cx: &Context) {
        for (pid, _) in &self.waiting {
            cx.send(*pid, &Opening::Go).expect("a pid needs no name");
        }
    }

    /// Waits until all have ended.
    ///
    /// # Panics
    /// When one ended otherwise than by returning.
    pub(crate) async fn all_done(self, cx: &mut Context) {
        for _ in &self.waiting {
            let down = cx
                .receive_where(Timeout::Infinity, |message| message.down())
                .await;
            let down = down.expect("no time limit was given");
            assert!(
                down.reason.is_normal(),
                "a process of the workload failed: {}",
                down.reason
            );
        }
    }
}

/// Runs `body` in `count` processes at once: the time from the opening of the gate until all
/// have ended.
pub(crate) async fn at_once<B, F>(cx: &mut Context, count: u64, body: B) -> Duration
where
    B: FnOnce(u64, Context) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let gate = Gate::new(cx, count, body).await;
    let began = Instant::now();
    gate.open(cx);
    gate.all_done(cx).await;
    began.elapsed()
}

/// Ends a supervisor that the caller started: its end in order, until it is gone.
pub(crate) async fn stop_supervisor(cx: &mut Context, pid: Pid) {
    // The caller doesn't trap exits, and is not to end with it.
    cx.unlink(pid);
    let monitor = cx.monitor(pid);
    cx.exit_process(pid, ExitReason::shutdown());
    let down = cx.await_down(monitor).await;
    assert_eq!(
        down.reason,
        ExitReason::shutdown(),
        "the supervisor ends as it was told"
    );
}

/// Nanoseconds for each of `count`.
pub(crate) fn ns_each(elapsed: Duration, count: u64) -> f64 {
    elapsed.as_nanos() as f64 / count.max(1) as f64
}

/// Milliseconds.
pub(crate) fn ms(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1000.0
}

/// How many a second.
pub(crate) fn per_second(elapsed: Duration, count: u64) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::workload::Workload;

    /// Runs a workload on two schedulers; [`Settings::measure`] has made sure that all its
    /// processes are gone.
    pub(crate) fn run(workload: Workload) -> Report {
        workload
            .run(&Settings {
                schedulers: Some(2),
                ..Settings::default()
            })
            .expect("the workload runs")
    }

    /// That the report has these figures, and that each took time.
    pub(crate) fn assert_positive(report: &Report, names: &[&str]) {
        for name in names {
            let number = report.number(name);
            assert!(
                number.is_some_and(|number| number > 0.0),
                "{name} is {number:?} in {}",
                report.to_json()
            );
        }
    }

    #[test]
    fn a_gate_lets_all_its_processes_run_and_none_before_it_opens() {
        let ran = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&ran);
        let settings = Settings {
            schedulers: Some(2),
            ..Settings::default()
        };
        let driver = |mut cx: Context| async move {
            let body = {
                let counter = Arc::clone(&counter);
                move |number: u64, _cx: Context| async move {
                    counter.fetch_add(number, Ordering::Relaxed);
                }
            };
            let gate = Gate::new(&cx, 4, body).await;
            let before = counter.load(Ordering::Relaxed);
            gate.open(&cx);
            gate.all_done(&mut cx).await;
            Report::new("gate").with("before", before)
        };
        let report = settings.measure(driver).expect("it runs");
        assert_eq!(report.number("before"), Some(0.0));
        assert_eq!(ran.load(Ordering::Relaxed), 1 + 2 + 3);
    }

    #[test]
    fn a_failing_process_fails_the_workload_with_its_reason() {
        let driver = |mut cx: Context| async move {
            at_once(&mut cx, 2, |number, _cx| async move {
                assert_eq!(number, 0, "one too many")
            })
            .await;
            Report::new("fails")
        };
        let error = Settings::default()
            .measure(driver)
            .expect_err("a process panics");
        assert!(error.to_string().contains("one too many"), "{error}");
    }

    #[test]
    fn processes_that_wait_for_ever_are_ended_with_the_run() {
        let driver = |cx: Context| async move {
            for _ in 0..10 {
                cx.spawn(|cx: Context| crate::idle::until_told(cx))
                    .expect("room for ten");
            }
            Report::new("idle")
        };
        assert!(Settings::default().measure(driver).is_ok());
    }
}
