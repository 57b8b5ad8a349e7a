//! Restarts that wait: [`SupervisorFlags::back_off`]. In simulations, where time is exact.

mod common;
#[path = "common/simulated.rs"]
mod simulated;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{exit_of, for_ever};
use otp_stdlib::StartError;
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{ChildCounts, ChildError};
use otp_vm::{Context, ExitReason, Pid};
use simulated::simulated;

const FIRST: Duration = tenths(10);
const LONGEST: Duration = tenths(70);
const PERIOD: Duration = tenths(1_000);
/// More than a restart takes in a simulation, which has some of its timers and processes come late by milliseconds.
const WORK: Duration = Duration::from_millis(50);

/// So many tenths of a second.
const fn tenths(tenths: u64) -> Duration {
    Duration::from_millis(100 * tenths)
}

fn flags() -> SupervisorFlags {
    SupervisorFlags::one_for_one()
        .intensity(100, PERIOD)
        .back_off(FIRST, LONGEST)
}

/// When a child was started, and its process, if that did not fail.
type Start = (Duration, Option<Pid>);

/// A child, and when it was started.
#[derive(Clone, Default)]
struct Starts(Arc<Mutex<Vec<Start>>>);

impl Starts {
    fn spec(&self, id: &'static str) -> ChildSpec {
        self.failing(id, |_| false)
    }

    /// One whose starts, counted from 0, fail where `fails` says so.
    fn failing(&self, id: &'static str, fails: fn(usize) -> bool) -> ChildSpec {
        let starts = self.clone();
        ChildSpec::new(id, move |cx| {
            let starts = starts.clone();
            Box::pin(async move {
                let pid = if fails(starts.count()) {
                    None
                } else {
                    Some(cx.spawn_link(async |mut cx: Context| for_ever(&mut cx).await)?)
                };
                starts.0.lock().unwrap().push((now(cx), pid));
                pid.ok_or_else(|| StartError::Exit(ExitReason::new("fails")))
            })
        })
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn last(&self) -> Start {
        *self.0.lock().unwrap().last().expect("it was started")
    }

    /// Kills it, and gives when.
    fn kill(&self, cx: &Context) -> Duration {
        cx.exit_process(self.last().1.expect("it runs"), ExitReason::kill());
        now(cx)
    }

    /// Kills it, and sees that it is started again after the wait.
    async fn waits(&self, wait: Duration, cx: &mut Context) {
        let (count, killed) = (self.count(), self.kill(cx));
        cx.sleep(wait + 2 * WORK).await;
        assert_eq!(self.count(), count + 1, "not after {wait:?}");
        self.after(killed, wait);
    }

    fn after(&self, killed: Duration, wait: Duration) {
        let waited = self.last().0 - killed;
        assert!(
            (wait..wait + WORK).contains(&waited),
            "{waited:?}, not {wait:?}"
        );
    }
}

fn now(cx: &Context) -> Duration {
    Duration::from_nanos(cx.monotonic_time())
}

async fn start(
    cx: &mut Context,
    flags: SupervisorFlags,
    children: Vec<ChildSpec>,
) -> SupervisorRef {
    cx.trap_exit(true);
    let started = Supervisor::start_link(cx, flags, children).await;
    started.expect("it starts")
}

async fn is_restarting(cx: &mut Context, supervisor: &SupervisorRef) -> Vec<bool> {
    let children = supervisor.which_children(cx).await.unwrap();
    let restarting = |child: &otp_stdlib::supervisor::ChildInfo| {
        assert!(!child.restarting || child.pid.is_none());
        child.restarting
    };
    children.iter().map(restarting).collect()
}

#[test]
fn it_is_off_unless_asked_for() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        let flags = SupervisorFlags::one_for_one().intensity(100, PERIOD);
        start(&mut cx, flags, vec![child.spec("a")]).await;
        for _ in 0..5 {
            child.waits(Duration::ZERO, &mut cx).await;
        }
    });
}

#[test]
fn a_wait_of_nothing_is_none() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        let flags = flags().back_off(Duration::ZERO, LONGEST);
        start(&mut cx, flags, vec![child.spec("a")]).await;
        for _ in 0..5 {
            child.waits(Duration::ZERO, &mut cx).await;
        }
    });
}

#[test]
fn each_restart_waits_twice_as_long_up_to_the_longest() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        start(&mut cx, flags(), vec![child.spec("a")]).await;
        for wait in [10, 20, 40, 70, 70, 70] {
            child.waits(tenths(wait), &mut cx).await;
        }
    });
}

#[test]
fn after_the_period_waits_are_short_again() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        start(&mut cx, flags(), vec![child.spec("a")]).await;
        for wait in [10, 20, 40] {
            child.waits(tenths(wait), &mut cx).await;
        }
        cx.sleep(PERIOD - tenths(40)).await;
        // Of three restarts the last, 40 ms behind the second, is still within the period.
        child.waits(tenths(20), &mut cx).await;
        cx.sleep(PERIOD + WORK).await;
        child.waits(tenths(10), &mut cx).await;
    });
}

#[test]
fn children_wait_by_the_restarts_of_all() {
    simulated(async |mut cx: Context| {
        let (first, second) = (Starts::default(), Starts::default());
        let children = vec![first.spec("a"), second.spec("b")];
        start(&mut cx, flags(), children).await;
        first.waits(tenths(10), &mut cx).await;
        second.waits(tenths(20), &mut cx).await;
        first.waits(tenths(40), &mut cx).await;
    });
}

#[test]
fn a_restart_that_fails_waits_again() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        let spec = child.failing("a", |start| (1..3).contains(&start));
        start(&mut cx, flags(), vec![spec]).await;
        let killed = child.kill(&cx);
        cx.sleep(tenths(10 + 20 + 40) + 4 * WORK).await;
        let starts: Vec<_> = child.0.lock().unwrap()[1..].to_vec();
        let waited = starts.iter().zip([10, 30, 70]);
        for (&(at, _), sum) in waited {
            let late = (at - killed).checked_sub(tenths(sum));
            assert!(late.is_some_and(|late| late < 3 * WORK), "{sum}: {late:?}");
        }
        assert_eq!(starts.len(), 3);
        assert!(child.last().1.is_some());
    });
}

#[test]
fn who_waits_is_listed_as_restarting() {
    simulated(async |mut cx: Context| {
        let (child, other) = (Starts::default(), Starts::default());
        let children = vec![child.spec("a"), other.spec("b")];
        let supervisor = start(&mut cx, flags(), children).await;
        let killed = child.kill(&cx);
        cx.sleep(FIRST / 2).await;
        assert_eq!(is_restarting(&mut cx, &supervisor).await, [true, false]);
        let counts = supervisor.count_children(&mut cx).await.unwrap();
        let (specs, active, supervisors, workers) = (2, 1, 0, 2);
        let one = ChildCounts {
            specs,
            active,
            supervisors,
            workers,
        };
        assert_eq!(counts, one);
        let restarted = supervisor.restart_child(&mut cx, "a").await;
        assert_eq!(restarted, Err(ChildError::Restarting));
        let deleted = supervisor.delete_child(&mut cx, "a").await;
        assert_eq!(deleted, Err(ChildError::Restarting));
        let started = supervisor.start_child(&mut cx, child.spec("a")).await;
        assert_eq!(started, Err(ChildError::AlreadyPresent));
        // None of it changed when it is due.
        cx.sleep(FIRST).await;
        child.after(killed, FIRST);
        assert_eq!(is_restarting(&mut cx, &supervisor).await, [false, false]);
    });
}

#[test]
fn siblings_run_on_until_the_restart_is_due() {
    for flags in [
        SupervisorFlags::one_for_all(),
        SupervisorFlags::rest_for_one(),
    ] {
        let flags = flags.intensity(100, PERIOD).back_off(FIRST, LONGEST);
        simulated(move |mut cx: Context| {
            let flags = flags.clone();
            async move {
                let (child, other) = (Starts::default(), Starts::default());
                let children = vec![child.spec("a"), other.spec("b")];
                start(&mut cx, flags, children).await;
                let before = other.last().1.expect("it runs");
                let killed = child.kill(&cx);
                cx.sleep(FIRST - WORK).await;
                assert!(cx.vm().is_alive(before));
                assert_eq!((child.count(), other.count()), (1, 1));
                cx.sleep(3 * WORK).await;
                assert!(!cx.vm().is_alive(before));
                assert_eq!((child.count(), other.count()), (2, 2));
                child.after(killed, FIRST);
            }
        });
    }
}

#[test]
fn a_supervisor_that_ends_does_not_wait() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        let flags = flags().back_off(LONGEST, LONGEST);
        let supervisor = start(&mut cx, flags, vec![child.spec("a")]).await;
        let killed = child.kill(&cx);
        cx.sleep(tenths(5)).await;
        let reason = ExitReason::shutdown();
        supervisor.stop(&mut cx, reason, LONGEST).await.unwrap();
        assert!(now(&cx) - killed < tenths(5) + WORK);
        cx.sleep(2 * LONGEST).await;
        assert_eq!(child.count(), 1);
        assert_eq!(cx.vm().processes(), [cx.pid()]);
    });
}

#[test]
fn who_is_terminated_waits_no_more() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        let supervisor = start(&mut cx, flags(), vec![child.spec("a")]).await;
        child.kill(&cx);
        cx.sleep(FIRST / 2).await;
        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        assert_eq!(is_restarting(&mut cx, &supervisor).await, [false]);
        cx.sleep(2 * FIRST).await;
        assert_eq!(child.count(), 1, "it was started");
        supervisor.restart_child(&mut cx, "a").await.unwrap();
        assert_eq!(child.count(), 2);
        child.waits(FIRST, &mut cx).await;
    });
}

#[test]
fn a_wait_that_was_given_up_does_not_shorten_the_next() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        let supervisor = start(&mut cx, flags(), vec![child.spec("a")]).await;
        child.kill(&cx);
        cx.sleep(FIRST / 2).await;
        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        supervisor.restart_child(&mut cx, "a").await.unwrap();
        child.waits(FIRST, &mut cx).await;
    });
}

#[test]
fn a_restart_counts_when_it_is_made() {
    simulated(async |mut cx: Context| {
        let child = Starts::default();
        let flags = flags().intensity(1, PERIOD);
        let supervisor = start(&mut cx, flags, vec![child.spec("a")]).await;
        child.waits(tenths(10), &mut cx).await;
        let killed = child.kill(&cx);
        let ended = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(ended, ExitReason::shutdown());
        let waited = now(&cx) - killed;
        assert!(
            (tenths(20)..tenths(20) + WORK).contains(&waited),
            "{waited:?}"
        );
        assert_eq!(child.count(), 2);
    });
}
