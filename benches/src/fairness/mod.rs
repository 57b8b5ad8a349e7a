//! `fairness`: how long others wait while processes loop without end.
//!
//! # Protocol
//! 1. Bare threads run the hogs' loop, as many as there will be hogs; then they end.
//! 2. The hogs are spawned by the host thread, and get time to spread.
//! 3. The host thread fixes the start and the end, and spawns a ticker, and a caller with its
//!    server. The ticker's beats are due at start + k ms, however late the ones before were.
//! 4. The host thread sleeps until the end; it needs no process for that. It closes the logs: what
//!    comes later doesn't count. A beat that is due and not served, and a call without a reply,
//!    count with the time that they have waited until then.
//! 5. The hogs see that the run is over and return, so that the VM can be taken down. Until then
//!    they never do.
//!
//! If the ticker got no beat, or the caller no reply, within the whole run, the report says
//! `stalled`.

mod hogs;
mod log;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use otp_stdlib::gen_server::GenServer;
use otp_vm::{Context, Priority, SpawnOptions, Timeout};

use crate::echo::Echo;
use crate::harness::{BenchError, Settings, end, seconds};
use crate::report::Report;
use crate::samples::{Names, Samples};
use hogs::{Yard, jain, total};
use log::Log;

/// How long others wait while processes loop without end
#[derive(Debug, Clone, Args)]
pub struct Fairness {
    /// Processes that loop without end
    #[arg(long, visible_alias = "n", default_value_t = 100, value_parser = hogs)]
    pub hogs: usize,
    /// What their loop is made of
    #[arg(long, value_enum, default_value_t = HogKind::Tick)]
    pub hog_kind: HogKind,
    /// How long to look, in seconds
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Priority of the ticker, the caller and its server
    #[arg(long, value_enum, default_value_t = Level::Normal)]
    pub priority: Level,
}

/// The most hogs: each has a plain thread to be compared with.
const HOGS_MAX: usize = 10_000;

/// Parses how many hogs there are.
fn hogs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(hogs) if hogs <= HOGS_MAX => Ok(hogs),
        _ => Err(format!("a number from 0 to {HOGS_MAX} is wanted")),
    }
}

/// What a hog's loop is made of. Each turn is a step of a linear congruential generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HogKind {
    /// A step and one `tick(1)`, awaited
    Tick,
    /// Steps only: native code that never awaits
    Native,
    /// 5 ms of steps, then one `tick(1)`, awaited
    Burst,
}

/// A process's priority, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// For work that may wait
    Low,
    /// The default
    Normal,
    /// For the few that others wait for
    High,
}

impl From<Level> for Priority {
    fn from(level: Level) -> Self {
        match level {
            Level::Low => Self::Low,
            Level::Normal => Self::Normal,
            Level::High => Self::High,
        }
    }
}

/// From one beat, or call, to the next.
const PERIOD: Duration = Duration::from_millis(1);

/// Time for the hogs to spread over the schedulers, before anything is measured.
const SPREAD: Duration = Duration::from_millis(300);

/// From the spawn of the ticker to the start: so that making it is not its first lateness.
const LEAD: Duration = Duration::from_millis(5);

/// The time span of a run, fixed beforehand.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: Instant,
    end: Instant,
}

impl Span {
    /// When a beat, counted from 1, is due.
    fn due(self, beat: u64) -> Instant {
        self.start + Duration::from_millis(beat)
    }

    /// The first beat that is not yet due at `now`.
    fn next_beat(self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.start).as_nanos() / PERIOD.as_nanos()) as u64 + 1
    }
}

impl Fairness {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let seconds = Duration::from_secs_f64(self.seconds);
        let bare_work = hogs::bare_work(self.hogs, seconds.min(hogs::BARE_SPAN))?;

        let vm = settings.build()?;
        let yard = Arc::new(Yard::new(self.hogs));
        for number in 0..self.hogs {
            let yard = Arc::clone(&yard);
            match self.hog_kind {
                HogKind::Tick => vm.spawn(move |cx| hogs::tick(cx, yard, number)),
                HogKind::Native => vm.spawn(move |_| hogs::native(yard, number)),
                HogKind::Burst => vm.spawn(move |cx| hogs::burst(cx, yard, number)),
            }?;
        }
        thread::sleep(SPREAD);

        let start = Instant::now() + LEAD;
        let span = Span {
            start,
            end: start + seconds,
        };
        let (beats, calls) = (Arc::new(Log::default()), Arc::new(Log::default()));
        let options = SpawnOptions::new().priority(self.priority.into());
        let log = Arc::clone(&beats);
        vm.spawn_opt(options.clone(), move |cx| ticker(cx, span, log))?;
        let log = Arc::clone(&calls);
        vm.spawn_opt(options, move |cx| caller(cx, span, log))?;

        thread::sleep(span.start.saturating_duration_since(Instant::now()));
        let before = yard.iterations();
        thread::sleep(span.end.saturating_duration_since(Instant::now()));
        let (beats, calls) = (beats.close(), calls.close());
        let shares = yard.rates_since(&before, span.start.elapsed());
        yard.stop();
        end(&vm)?;

        let kind = self
            .hog_kind
            .to_possible_value()
            .expect("every kind has a name");
        let priority = self
            .priority
            .to_possible_value()
            .expect("every level has a name");
        let mut report = Report::new("fairness")
            .with("hogs", self.hogs)
            .with("hog_kind", kind.get_name())
            .with("seconds", self.seconds)
            .with("priority", priority.get_name())
            .with("samples", beats.served.len())
            .with("calls", calls.served.len())
            .with("schedulers", vm.system_info().schedulers);
        let missed = missed_beats(span, beats.served.len() as u64);
        report = report.with("missed", missed.len());
        if beats.served.is_empty() || calls.served.is_empty() {
            report = report.with("stalled", true);
        }
        let late = Samples::new([beats.served, missed].concat());
        report = late.report(report, TICK);
        let pending = calls
            .pending
            .map(|began| nanoseconds(span.end.saturating_duration_since(began)));
        let waits = Samples::new(calls.served.into_iter().chain(pending).collect());
        report = waits.report(report, CALL);
        let hog_work = total(&shares);
        if let Some(jain) = jain(&shares) {
            report = report.figure("jain", jain);
        }
        report = report
            .figure("hog_work", hog_work)
            .figure("bare_work", bare_work);
        if bare_work > 0.0 {
            report = report.figure("hog_work_ratio", hog_work / bare_work);
        }
        Ok(report)
    }
}

const TICK: Names = Names {
    p50: "tick_p50_us",
    p99: "tick_p99_us",
    p999: "tick_p999_us",
    max: "tick_max_us",
};
const CALL: Names = Names {
    p50: "call_p50_us",
    p99: "call_p99_us",
    p999: "call_p999_us",
    max: "call_max_us",
};

/// Wakes for each beat. One slice that comes late may serve several.
async fn ticker(cx: Context, span: Span, log: Arc<Log>) {
    let mut beat = 1;
    while span.due(beat) < span.end {
        let due = span.due(beat);
        cx.sleep(due.saturating_duration_since(Instant::now()))
            .await;
        let now = Instant::now();
        while span.due(beat) <= now && span.due(beat) < span.end {
            log.served(nanoseconds(now - span.due(beat)));
            beat += 1;
        }
    }
}

/// Calls a server for each beat, and leaves out those that pass while it waits for a reply.
async fn caller(mut cx: Context, span: Span, log: Arc<Log>) {
    let server = Echo::start_link(&mut cx, ())
        .await
        .expect("the server starts");
    loop {
        let due = span.due(span.next_beat(Instant::now()));
        if due >= span.end {
            return;
        }
        cx.sleep(due.saturating_duration_since(Instant::now()))
            .await;
        let began = Instant::now();
        log.begin(began);
        server
            .call_timeout(&mut cx, 1, Timeout::Infinity)
            .await
            .expect("the server replies");
        log.served(nanoseconds(began.elapsed()));
    }
}

/// The beats of the whole run that were not served, with the time that they have waited.
fn missed_beats(span: Span, served: u64) -> Vec<u64> {
    let due = (served + 1..).map(|beat| span.due(beat));
    due.take_while(|&due| due < span.end)
        .map(|due| nanoseconds(span.end - due))
        .collect()
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::assert_positive;

    fn run(hogs: usize, hog_kind: HogKind) -> Report {
        let fairness = Fairness {
            hogs,
            hog_kind,
            seconds: 0.2,
            priority: Level::Normal,
        };
        fairness
            .run(&Settings {
                schedulers: Some(1),
                ..Settings::default()
            })
            .expect("the run ends, whatever the hogs do")
    }

    #[test]
    fn hogs_that_tick_let_the_others_get_on() {
        let report = run(3, HogKind::Tick);
        assert_eq!(report.get("stalled"), None, "{report}");
        let figures = [
            "samples",
            "calls",
            "tick_p50_us",
            "tick_max_us",
            "call_p50_us",
            "call_max_us",
        ];
        assert_positive(&report, &figures);
        assert_positive(
            &report,
            &["jain", "hog_work", "bare_work", "hog_work_ratio"],
        );
        assert_eq!(
            report.number("samples").unwrap_or(0.0) + report.number("missed").unwrap_or(0.0),
            199.0
        );
    }

    #[test]
    fn every_beat_of_a_run_that_stalls_counts_with_its_whole_delay() {
        let span = Span {
            start: Instant::now(),
            end: Instant::now(),
        };
        let span = Span {
            end: span.start + Duration::from_millis(5),
            ..span
        };
        assert_eq!(
            missed_beats(span, 0),
            [4_000_000, 3_000_000, 2_000_000, 1_000_000]
        );
        assert_eq!(missed_beats(span, 3), [1_000_000]);
        assert!(
            missed_beats(span, 4).is_empty(),
            "what is due at the end is not late"
        );
    }

    #[test]
    fn the_run_ends_although_native_hogs_never_give_way() {
        let report = run(2, HogKind::Native);
        assert_positive(&report, &["hog_work", "bare_work"]);
    }

    #[test]
    fn the_next_beat_is_after_now() {
        let start = Instant::now();
        let span = Span {
            start,
            end: start + Duration::from_secs(1),
        };
        assert_eq!(span.next_beat(start), 1);
        assert_eq!(span.next_beat(start + Duration::from_micros(1999)), 2);
        assert_eq!(span.next_beat(start + Duration::from_micros(2000)), 3);
    }
}
