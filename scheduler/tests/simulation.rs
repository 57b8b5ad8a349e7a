//! Simulations: what a seed decides, that it decides the same each time, and what is told when it does not.

use std::error::Error;
use std::future::{pending, poll_fn};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use otp_scheduler::simulation::{
    Builder, End, Event, Failure, SEED_VARIABLE, Simulation, SimulationError,
};
use otp_scheduler::{
    JoinError, NativeError, Priority, RandomState, Scheduler, TimerKey, checkpoint,
    current_scheduler, net, proceed, random, tick, yield_now,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Waits for so much virtual time.
async fn sleep(scheduler: Scheduler, duration: Duration) {
    let at = scheduler.now() + duration.as_nanos() as u64;
    let mut timer = None;
    poll_fn(|cx| {
        if scheduler.now() >= at {
            return Poll::Ready(());
        }
        if timer.is_none() {
            let waker = cx.waker().clone();
            timer = Some(scheduler.start_timer(at, move |_: u64| waker.wake()));
        }
        Poll::Pending
    })
    .await;
}

/// A list that tasks write to, in the order in which they run.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u64>>>);

impl Log {
    fn add(&self, entry: u64) {
        self.0.lock().unwrap().push(entry);
    }

    fn entries(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

/// Tasks that spawn tasks, charge, yield, sleep, cancel timers, wake each other and panic.
fn workload(simulation: &mut Simulation, log: &Log) -> Result {
    let scheduler = simulation.scheduler().clone();
    for number in 0..8 {
        let (scheduler, log) = (scheduler.clone(), log.clone());
        simulation.scheduler().spawn(async move {
            for round in 0..5 {
                proceed(random() as u32 % 100).await;
                log.add(number * 10 + round);
                let child = log.clone();
                let child = scheduler.spawn(async move {
                    yield_now().await;
                    child.add(100 + number);
                    assert!(round != 3, "planned");
                });
                sleep(scheduler.clone(), Duration::from_micros(random() % 500)).await;
                let timer = scheduler.start_timer(scheduler.now() + 1_000_000, {
                    let log = log.clone();
                    move |_: u64| log.add(1000 + number)
                });
                let ended = child.await;
                assert_eq!(ended.is_err(), round == 3);
                if random().is_multiple_of(2) {
                    scheduler.cancel_timer(timer);
                }
            }
        });
    }
    let outcome = simulation.run()?;
    assert_eq!(outcome.waiting, 0);
    Ok(())
}

fn run_of(seed: u64) -> (otp_scheduler::simulation::Trace, Vec<u64>) {
    let (mut simulation, log) = (Simulation::new(seed).unwrap(), Log::default());
    workload(&mut simulation, &log).unwrap();
    (simulation.trace().clone(), log.entries())
}

#[test]
fn the_same_seed_does_the_same_again() {
    for seed in 0..50 {
        let (first, second) = (run_of(seed), run_of(seed));
        assert!(first.0.len() > 200, "{}", first.0);
        assert_eq!(first, second);
        assert_eq!(first.0.to_string(), second.0.to_string());
    }
}

#[test]
fn different_seeds_do_different_things() {
    let (mut hashes, mut logs) = (Vec::new(), Vec::new());
    for seed in 0..50 {
        let (trace, log) = run_of(seed);
        hashes.push(trace.hash());
        logs.push(log);
    }
    hashes.sort_unstable();
    hashes.dedup();
    logs.sort_unstable();
    logs.dedup();
    assert_eq!((hashes.len(), logs.len()), (50, 50));
}

#[test]
fn a_replay_of_a_thousand_steps_gives_their_trace() {
    let log = Log::default();
    let trace = Simulation::builder()
        .keep_steps(3)
        .replay(7, |simulation| workload(simulation, &log))
        .unwrap();
    assert_eq!(trace.last_steps().len(), 3);
    assert_eq!(trace.hash(), run_of(7).0.hash());
    let (first, second) = {
        let entries = log.entries();
        let (first, second) = entries.split_at(entries.len() / 2);
        (first.to_vec(), second.to_vec())
    };
    assert_eq!(first, second);
}

#[test]
fn all_orders_of_three_tasks_and_a_due_timer_come_up() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..500 {
        let (mut simulation, log) = (Simulation::new(seed).unwrap(), Log::default());
        for number in 0..4 {
            let log = log.clone();
            if number == 3 {
                let fire = move |_: u64| log.add(number);
                simulation.scheduler().start_timer(0, fire);
            } else {
                simulation.scheduler().spawn(async move { log.add(number) });
            }
        }
        simulation.run().unwrap();
        seen.insert(log.entries());
    }
    assert_eq!(seen.len(), 24, "{seen:?}");
}

#[test]
fn virtual_time_passes_in_no_time_and_timers_keep_their_order_with_it() {
    let mut simulation = Simulation::new(1).unwrap();
    let scheduler = simulation.scheduler().clone();
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    let log = Log::default();
    for number in [3, 1, 2] {
        let (scheduler, log) = (scheduler.clone(), log.clone());
        simulation.scheduler().spawn(async move {
            sleep(scheduler.clone(), days(number)).await;
            assert_eq!(scheduler.coarse_now(), scheduler.now());
            log.add(number);
        });
    }
    let outcome = simulation
        .run_for(days(2) - Duration::from_secs(1))
        .unwrap();
    assert_eq!((log.entries(), outcome.waiting), (vec![1], 2));
    assert_eq!(outcome.now, days(2) - Duration::from_secs(1));
    let outcome = simulation.run().unwrap();
    assert_eq!((log.entries(), outcome.waiting), (vec![1, 2, 3], 0));
    assert!(outcome.now >= days(3) && outcome.now < days(3) + Duration::from_secs(1));
    assert_eq!(scheduler.figures().timers, 0);
}

#[test]
fn a_cancelled_timer_neither_fires_nor_moves_the_time() {
    let mut simulation = Simulation::new(1).unwrap();
    let scheduler = simulation.scheduler().clone();
    let fire = |_: u64| panic!("it was cancelled");
    let key: TimerKey = scheduler.start_timer(3_600_000_000_000, fire);
    assert_eq!(scheduler.read_timer(key), Some(3_600_000_000_000));
    let cancelled = simulation.block_on({
        let scheduler = scheduler.clone();
        async move { scheduler.cancel_timer(key) }
    });
    assert_eq!(cancelled.unwrap(), Some(3_600_000_000_000));
    assert!(simulation.run().unwrap().now < Duration::from_secs(1));
    assert_eq!(scheduler.figures().schedulers[0].panics, 0);
}

#[test]
fn a_timer_that_panics_is_counted_and_the_rest_goes_on() {
    let mut simulation = Simulation::new(1).unwrap();
    let scheduler = simulation.scheduler().clone();
    scheduler.start_timer(5, Box::new(|_: u64| panic!("planned")));
    let log = Log::default();
    let late = log.clone();
    scheduler.start_timer(6, move |_: u64| late.add(1));
    simulation.run().unwrap();
    assert_eq!(log.entries(), [1]);
    let figures = scheduler.figures();
    assert_eq!(figures.schedulers[0].panics, 1);
    assert_eq!(figures.schedulers[0].timers_fired, 2);
}

#[test]
fn tiny_slices_end_at_nearly_each_tick_that_is_awaited() {
    let slices_with = |budget: u32| {
        let builder = Builder::default().budgets([budget..=budget]);
        let mut simulation = builder.build(1).unwrap();
        let sum = simulation.block_on(async {
            let mut sum = 0;
            for n in 0..1000_u64 {
                proceed(1).await;
                sum += n;
            }
            sum
        });
        assert_eq!(sum.unwrap(), 499_500);
        simulation.scheduler().figures().schedulers[0].slices
    };
    assert_eq!(slices_with(1), 1001);
    assert_eq!(slices_with(10), 101);
    assert_eq!(slices_with(4000), 1);
}

#[test]
fn a_task_finds_itself_on_scheduler_nought_and_a_checkpoint_only_charges() {
    let builder = Builder::default().budgets([100..=100]);
    let mut simulation = builder.keep_steps(9).build(1).unwrap();
    simulation
        .block_on(async {
            assert_eq!(current_scheduler(), Some(0));
            for _ in 0..10_000 {
                checkpoint(1);
            }
            assert!(tick(1), "the slice is over");
        })
        .unwrap();
    let slices = simulation
        .trace()
        .last_steps()
        .filter_map(|step| match step.event {
            Event::Slice { used, end, .. } => Some((used, end)),
            _ => None,
        });
    assert_eq!(slices.collect::<Vec<_>>(), [(10_001, End::Done)]);
    assert_eq!(current_scheduler(), None);
}

#[test]
fn one_that_waits_for_ever_is_told() {
    let mut simulation = Simulation::new(3).unwrap();
    let scheduler = simulation.scheduler().clone();
    scheduler.spawn(pending::<()>());
    let stalled = simulation.block_on({
        async move {
            sleep(scheduler, Duration::from_millis(5)).await;
            pending::<()>().await;
        }
    });
    let error = stalled.unwrap_err();
    let SimulationError::Stalled {
        now,
        waiting,
        trace,
    } = &error
    else {
        panic!("{error}");
    };
    assert!(*now >= Duration::from_millis(5));
    assert_eq!(*waiting, 2);
    assert_eq!(**trace, *simulation.trace());
    let text = error.to_string();
    assert!(
        text.contains("tasks: 2") && text.contains("waits\n"),
        "{text}"
    );
    // Nothing is broken by it.
    assert_eq!(simulation.block_on(async { 5 }).unwrap(), 5);
}

#[test]
fn one_that_never_ends_reaches_the_limit_of_steps() {
    let builder = Simulation::builder().max_steps(100);
    let mut simulation = builder.build(3).unwrap();
    simulation.scheduler().spawn(async {
        loop {
            yield_now().await;
        }
    });
    let error = simulation.run().unwrap_err();
    assert!(
        matches!(error, SimulationError::TooManySteps { limit: 100, .. }),
        "{error}"
    );
    assert_eq!(simulation.trace().len(), 100);
    assert!(error.to_string().contains("was woken meanwhile"), "{error}");
    // One more than it takes is enough.
    let ready_and_run = 2;
    let builder = Simulation::builder().max_steps(ready_and_run);
    let mut simulation = builder.build(3).unwrap();
    simulation.block_on(async {}).unwrap();
    assert_eq!(simulation.trace().len(), ready_and_run);
}

#[test]
fn budgets_that_hold_nothing_are_refused() {
    let none: [std::ops::RangeInclusive<u32>; 0] = [];
    #[expect(clippy::reversed_empty_ranges, reason = "that is the case")]
    let empty = Simulation::builder().budgets([1..=4, 5..=3]).build(0);
    for refused in [empty, Simulation::builder().budgets(none).build(0)] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("1..=50"), "{error}");
    }
}

#[test]
fn sockets_are_refused() {
    let mut simulation = Simulation::new(11).unwrap();
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listening.set_nonblocking(true).unwrap();
    let address = listening.local_addr().unwrap();
    let scheduler = simulation.scheduler().clone();
    let on_named = net::TcpListener::bind_on(&scheduler, "127.0.0.1:0").unwrap_err();
    let connected = net::TcpStream::connect_on(&scheduler, address);
    let mut errors = simulation
        .block_on(async move {
            let bound = net::TcpListener::bind("127.0.0.1:0").unwrap_err();
            let mut source = mio::net::TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let readable = otp_scheduler::Interest::READABLE;
            vec![
                bound,
                net::TcpStream::connect(address).await.unwrap_err(),
                connected.await.unwrap_err(),
                scheduler.register(&mut source, readable).unwrap_err(),
            ]
        })
        .unwrap();
    errors.push(on_named);
    for error in errors {
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("seed 11"), "{error}");
    }
    let nobody = listening.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn waiting_for_a_task_does_not_run_it_and_says_so() {
    let mut simulation = Simulation::new(1).unwrap();
    let handle = simulation.scheduler().spawn(async { 1 });
    assert_eq!(handle.wait(), Err(JoinError::Simulated));
    let handle = simulation.scheduler().spawn(async { 2 });
    simulation.run().unwrap();
    assert_eq!(handle.wait(), Ok(2));
    let scheduler = simulation.scheduler().clone();
    let left = scheduler.join(Duration::MAX).unwrap_err();
    assert!(left[0].contains("seed 1"), "{left:?}");
    drop(simulation);
    scheduler.join(Duration::MAX).unwrap();
}

#[test]
fn a_simulation_within_a_task_is_refused() {
    let mut simulation = Simulation::new(1).unwrap();
    let inner = simulation.block_on(async {
        let mut inner = Simulation::new(2).unwrap();
        assert_eq!(inner.run(), Err(SimulationError::OnSchedulerThread));
        inner.block_on(async {})
    });
    assert_eq!(inner, Ok(Err(SimulationError::OnSchedulerThread)));
    assert_eq!(simulation.trace().len(), 2);
}

#[test]
fn a_panic_of_the_future_and_a_stop_are_told() {
    let mut simulation = Simulation::new(1).unwrap();
    let panicked = simulation.block_on(async { assert!(tick(0), "planned") });
    assert_eq!(panicked, Err(SimulationError::Panicked("planned".into())));
    let scheduler = simulation.scheduler().clone();
    let stopped = simulation.block_on(async move {
        scheduler.stop();
        pending::<()>().await;
    });
    assert_eq!(stopped, Err(SimulationError::Stopped));
}

#[test]
fn the_end_of_a_simulation_drops_what_its_tasks_and_timers_hold() {
    let held = Arc::new(());
    let mut simulation = Simulation::new(1).unwrap();
    let scheduler = simulation.scheduler().clone();
    let kept = Arc::clone(&held);
    let never = scheduler.spawn(async move {
        pending::<()>().await;
        drop(kept);
    });
    let kept = Arc::clone(&held);
    scheduler.start_timer(u64::MAX, move |_: u64| drop(kept));
    let kept = Arc::clone(&held);
    // Due, and perhaps not fired: the simulation stops at nought.
    scheduler.start_timer(0, move |_: u64| drop(kept));
    simulation.run_for(Duration::ZERO).unwrap();
    assert_eq!(Arc::strong_count(&held), 4);
    drop(simulation);
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(never.wait(), Err(JoinError::Cancelled));
    assert_eq!(scheduler.spawn(async {}).wait(), Err(JoinError::Cancelled));
}

#[test]
fn random_numbers_and_hash_keys_come_from_the_seed() {
    use std::hash::BuildHasher;
    let numbers = |seed: u64| {
        let mut simulation = Simulation::new(seed).unwrap();
        let outside = simulation.scheduler().random();
        let inside = simulation.block_on(async { (random(), RandomState::new().hash_one("a")) });
        (outside, inside.unwrap())
    };
    assert_eq!(numbers(1), numbers(1));
    let ((outside, inside), (other_outside, other)) = (numbers(1), numbers(2));
    assert!(outside != other_outside && inside.0 != other.0 && inside.1 != other.1);
    assert_ne!(random(), random());
}

/// Checks that the room is free, gives way, and takes it: two tasks may both find it free.
fn check_then_act(simulation: &mut Simulation) -> Result {
    let (rooms, log) = (Arc::new(AtomicU64::new(1)), Log::default());
    let guests = [0, 1].map(|guest| {
        let (rooms, log) = (Arc::clone(&rooms), log.clone());
        simulation.scheduler().spawn(async move {
            proceed(5).await;
            if rooms.load(Ordering::Relaxed) > 0 {
                // One reduction: only a slice that ends just here gives way.
                proceed(1).await;
                rooms.fetch_sub(1, Ordering::Relaxed);
                log.add(guest);
            }
        })
    });
    for guest in guests {
        simulation.block_on(guest)??;
    }
    match log.entries().len() {
        1 => Ok(()),
        guests => Err(format!("{guests} guests in one room").into()),
    }
}

#[test]
fn a_check_that_another_task_makes_void_is_found_and_its_seed_fails_again() {
    let builder = Simulation::builder();
    let failure = builder.explore(0..1000, check_then_act).unwrap_err();
    let Failure::Failed { seed, message, .. } = &failure else {
        panic!("{failure}");
    };
    assert_eq!(message, "2 guests in one room");
    let text = failure.to_string();
    assert!(text.contains(&format!("{SEED_VARIABLE}={seed}")), "{text}");
    assert!(
        text.contains("gives way") || text.contains("was woken"),
        "{text}"
    );
    // It is the order: not every seed comes upon it.
    let whole = builder.clone().budgets([4000..=4000]);
    assert_eq!(whole.explore(0..1000, check_then_act).unwrap(), 1000);
    for _ in 0..2 {
        let again = builder.explore([*seed], check_then_act).unwrap_err();
        assert_eq!(again, failure);
    }
    assert_eq!(builder.replay(*seed, check_then_act).unwrap_err(), failure);
}

#[test]
fn a_panic_of_the_run_names_the_seed() {
    let failure = Simulation::builder()
        .explore(40..50, |simulation| {
            assert!(simulation.seed() != 42, "planned");
            Ok(())
        })
        .unwrap_err();
    assert_eq!(failure.seed(), 42);
    assert!(format!("{failure:?}").contains("a panic: planned"));
}

/// Prints a line for each seed that it runs, for the test below.
#[test]
fn seeds_one_to_three() {
    let ran = Simulation::builder().explore(1..=3, |simulation| {
        println!("ran seed {}", simulation.seed());
        Ok(())
    });
    println!("{ran:?}");
    if std::env::var_os(SEED_VARIABLE).is_none() {
        assert_eq!(ran.unwrap(), 3);
    }
}

#[test]
fn a_seed_of_the_environment_runs_alone() {
    let run = |seed: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "seeds_one_to_three", "--nocapture"])
            .env(SEED_VARIABLE, seed)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let alone = run("77");
    assert!(alone.contains("ran seed 77\nOk(1)"), "{alone}");
    let refused = run("many");
    assert!(!refused.contains("ran seed"), "{refused}");
    assert!(refused.contains("give the number of the seed"), "{refused}");
}

#[test]
fn a_run_that_depends_on_the_outside_is_found_with_its_first_step() {
    // Something that goes on while nobody looks, as the real clock does.
    let outside = AtomicU64::new(0);
    let depends = |simulation: &mut Simulation| {
        let seen = outside.fetch_add(1, Ordering::Relaxed);
        simulation.block_on(async move {
            for _ in 0..10 {
                yield_now().await;
            }
            tick(seen as u32);
        })?;
        Ok(())
    };
    let failure = Simulation::builder().replay(5, depends).unwrap_err();
    let Failure::Differs { seed, steps, trace } = &failure else {
        panic!("{failure}");
    };
    assert_eq!(*seed, 5);
    let used = steps.map(|step| match step.map(|step| step.event) {
        Some(Event::Slice { used, .. }) => used,
        other => panic!("{other:?}"),
    });
    assert_eq!(used, [0, 1]);
    // One that becomes ready, and ten slices.
    assert_eq!(trace.len(), 11);
    assert_eq!(steps[0].unwrap().number, 11);
    let text = failure.to_string();
    assert!(
        text.contains("first:") && text.contains("second:"),
        "{text}"
    );
}

#[test]
fn a_run_that_looks_at_the_real_clock_is_found() {
    let begin = Instant::now();
    let failure = Simulation::builder()
        .replay(5, |simulation| {
            simulation.block_on(async move { tick(begin.elapsed().subsec_nanos()) })?;
            Ok(())
        })
        .unwrap_err();
    assert!(matches!(failure, Failure::Differs { .. }), "{failure}");
}

#[test]
fn a_run_that_ends_early_the_second_time_is_found() {
    let runs = AtomicU64::new(0);
    let failure = Simulation::builder().keep_steps(2).replay(5, |simulation| {
        if runs.fetch_add(1, Ordering::Relaxed) == 0 {
            simulation.block_on(yield_now())?;
        }
        Ok(())
    });
    let failure = failure.unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("second: has ended"), "{text}");
}

#[test]
fn a_wake_from_another_thread_is_taken_in() {
    let mut simulation = Simulation::new(1).unwrap();
    let place: Arc<Mutex<Option<Waker>>> = Arc::default();
    let (waker, flag) = (Arc::clone(&place), Arc::new(AtomicU64::new(0)));
    let seen = Arc::clone(&flag);
    let handle = simulation.scheduler().spawn(poll_fn(move |cx| {
        if seen.load(Ordering::Acquire) == 1 {
            return Poll::Ready(());
        }
        *waker.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }));
    assert_eq!(simulation.run().unwrap().waiting, 1);
    std::thread::spawn(move || {
        flag.store(1, Ordering::Release);
        place.lock().unwrap().take().unwrap().wake();
    })
    .join()
    .unwrap();
    simulation.block_on(handle).unwrap().unwrap();
}

#[test]
fn the_urgent_go_first_under_every_seed() {
    let run = |simulation: &mut Simulation| -> Result {
        let order: Arc<Mutex<Vec<Priority>>> = Arc::default();
        for priority in [
            Priority::Low,
            Priority::High,
            Priority::Normal,
            Priority::Max,
        ] {
            let order = Arc::clone(&order);
            simulation.scheduler().spawn_at(priority, async move {
                for _ in 0..3 {
                    order.lock().unwrap().push(priority);
                    yield_now().await;
                }
            });
        }
        simulation.run()?;
        let order = order.lock().unwrap();
        assert!(order.starts_with(&[Priority::Max; 3]) && order[3..6] == [Priority::High; 3]);
        Ok(())
    };
    Simulation::builder().explore(0..50, run).unwrap();
}

#[test]
fn blocking_closures_run_in_one_step_and_native_tasks_are_refused() {
    let mut simulation = Simulation::new(1).unwrap();
    let scheduler = simulation.scheduler().clone();
    let refused = scheduler.spawn_native(|| ()).map(drop).unwrap_err();
    assert_eq!(refused, NativeError::Simulated);
    let answer = simulation.block_on(async move { scheduler.blocking(|| 42).await });
    assert_eq!(answer.unwrap().unwrap(), 42);
}
