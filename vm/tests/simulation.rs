//! A whole VM in a simulation: many seeds over spawns, messages, links, monitors, timers and kills, and their replays.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_vm::simulation::{Failure, Simulation, SimulationError, Trace};
use otp_vm::{
    BoxFuture, Context, ExitReason, Pid, RandomState, Ref, RunError, SpawnError, SpawnOptions,
    TableOptions, Vm, random,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Seeds of the large test, and one in so many of them is run twice more.
const SEEDS: u64 = 1000;
const REPLAY_EACH: usize = 20;

const WORKERS: u64 = 12;
const ROUNDS: u64 = 60;

/// What the processes of a run saw. A panic would be one more exit among many, so what is wrong is written down.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    wrong: Vec<String>,
    kills: u64,
    messages: u64,
    timers: u64,
}

impl Book {
    fn with<R>(&self, f: impl FnOnce(&mut Entries) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    fn expect(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.with(|entries| entries.wrong.push(what()));
        }
    }
}

fn below(n: u64) -> u64 {
    random() % n
}

fn micros(n: u64) -> Duration {
    Duration::from_micros(below(n))
}

const NUMBERED: u8 = 0;
const LATE: u8 = 1;
const CANCELLED: u8 = 2;

/// Does things at random until it ends, by its own hand or another's.
async fn worker(mut cx: Context, book: Book) {
    let (_, peers): (u8, Vec<Pid>) = cx.receive().await.decode().unwrap();
    let mut sent: BTreeMap<Pid, u64> = BTreeMap::new();
    let mut seen: BTreeMap<Pid, u64> = BTreeMap::new();
    // Ends with it, whatever its reason: see `invariants`.
    cx.spawn_link(|mut cx| async move {
        loop {
            cx.receive().await;
        }
    })
    .unwrap();
    for _ in 0..ROUNDS {
        let peer = peers[below(peers.len() as u64) as usize];
        match below(8) {
            0 | 1 => {
                let number = sent.entry(peer).or_default();
                cx.send(peer, &(NUMBERED, cx.pid(), *number)).unwrap();
                *number += 1;
            }
            2 => {
                let at = Duration::from_nanos(cx.monotonic_time()) + Duration::from_micros(50);
                let message = (LATE, cx.pid(), at.as_nanos() as u64);
                cx.send_after(Duration::from_micros(50), peer, &message)
                    .unwrap();
            }
            3 => {
                let message = (CANCELLED, cx.pid(), 0_u64);
                let timer = cx.send_after(micros(200), cx.pid(), &message).unwrap();
                cx.sleep(micros(200)).await;
                if cx.cancel_timer(timer).is_none() {
                    let fired = cx.receive_where(Duration::from_secs(1), |message| {
                        let message: (u8, Pid, u64) = message.decode().ok()?;
                        (message.0 == CANCELLED).then_some(())
                    });
                    let fired = fired.await.is_some();
                    book.expect(fired, || "a timer that fired sent nothing".to_owned());
                }
            }
            4 => {
                let (begin, limit) = (cx.monotonic_time(), micros(300));
                if cx.receive_where(limit, |_| None::<()>).await.is_none() {
                    let passed = Duration::from_nanos(cx.monotonic_time() - begin);
                    book.expect(passed >= limit, || format!("{limit:?} took {passed:?}"));
                }
            }
            5 => {
                let (child, monitor) = cx
                    .spawn_monitor(|cx| async move { cx.tick(7).await })
                    .unwrap();
                if below(2) == 0 {
                    cx.exit_process(child, ExitReason::kill());
                }
                let down = cx.await_down_timeout(monitor, Duration::from_secs(1)).await;
                let down = down.is_some();
                book.expect(down, || format!("no DOWN of {child}"));
            }
            6 if below(4) == 0 => cx.exit(ExitReason::shutdown()),
            _ => cx.tick(below(30) as u32).await,
        }
        while let Some(message) = cx.receive_timeout(Duration::ZERO).await {
            let (what, from, number): (u8, Pid, u64) = message.decode().unwrap();
            book.with(|entries| entries.messages += 1);
            match what {
                NUMBERED => {
                    let next = seen.entry(from).or_default();
                    book.expect(*next == number, || {
                        format!("{}: {number} of {from} instead of {next}", cx.pid())
                    });
                    *next = number + 1;
                }
                LATE => {
                    let now = cx.monotonic_time();
                    book.with(|entries| entries.timers += 1);
                    book.expect(number <= now, || format!("sent at {now}, not at {number}"));
                }
                _ => book.expect(false, || "a timer sent that was cancelled".to_owned()),
            }
        }
    }
    cx.exit(ExitReason::shutdown());
}

/// Makes the workers, monitors each twice, kills some at random, and sees all end.
async fn root(mut cx: Context, book: Book) {
    let mut monitors: BTreeMap<Ref, Pid> = BTreeMap::new();
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let book = book.clone();
        let (pid, monitor) = cx.spawn_monitor(move |cx| worker(cx, book)).unwrap();
        workers.push(pid);
        monitors.insert(monitor, pid);
        if number % 2 == 0 {
            monitors.insert(cx.monitor(pid), pid);
        }
    }
    for &pid in &workers {
        cx.send(pid, &(NUMBERED, &workers)).unwrap();
    }
    let mut reasons: BTreeMap<Pid, ExitReason> = BTreeMap::new();
    while !monitors.is_empty() {
        if below(8) == 0 {
            let victim = workers[below(WORKERS) as usize];
            let kills = below(2) == 0;
            book.with(|entries| entries.kills += u64::from(kills));
            let reason = if kills {
                ExitReason::kill()
            } else {
                ExitReason::shutdown()
            };
            cx.exit_process(victim, reason);
        }
        let Some(message) = cx.receive_timeout(micros(400)).await else {
            continue;
        };
        let down = message.down().expect("nobody else sends to the root");
        let pid = down.object.pid().expect("it was monitored by pid");
        let known = monitors.remove(&down.reference);
        book.expect(known == Some(pid), || {
            format!("{pid} told twice, or of another: {known:?}")
        });
        let first = reasons.entry(pid).or_insert_with(|| down.reason.clone());
        book.expect(*first == down.reason, || {
            format!("{pid} ended by {first} and by {}", down.reason)
        });
    }
    cx.sleep(Duration::from_secs(1)).await;
    let more = cx.message_queue_len();
    book.expect(more == 0, || format!("{more} messages after the end"));
    let left = cx.vm().processes();
    book.expect(left == [cx.pid()], || format!("left: {left:?}"));
    for pid in workers {
        book.expect(!cx.vm().is_alive(pid), || format!("{pid} lives"));
    }
}

/// One run; the totals are kept in `book`.
fn invariants(simulation: &mut Simulation, book: &Book) -> Result {
    let vm = Vm::builder()
        .max_processes(100)
        .simulate(simulation)
        .build()?;
    let at_root = book.clone();
    simulation.block_on(vm.run(move |cx| root(cx, at_root)))??;
    let report = simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    book.expect(report.is_orderly() && report.ended == 0, || {
        format!("{report:?}")
    });
    match book.with(|entries| std::mem::take(&mut entries.wrong)) {
        wrong if wrong.is_empty() => Ok(()),
        wrong => Err(wrong.join("; ").into()),
    }
}

#[test]
fn a_thousand_seeds_keep_what_the_vm_promises_and_replay() {
    let book = Book::default();
    let seeds = Simulation::builder().explore(0..SEEDS, |simulation| invariants(simulation, &book));
    // One alone if the environment says so.
    if seeds.unwrap() < SEEDS {
        return;
    }
    book.with(|entries| {
        assert!(entries.kills > SEEDS, "{}", entries.kills);
        assert!(entries.messages > 5 * SEEDS, "{}", entries.messages);
        assert!(entries.timers > SEEDS, "{}", entries.timers);
    });
    for seed in (0..SEEDS).step_by(REPLAY_EACH) {
        let trace = Simulation::builder().replay(seed, |simulation| invariants(simulation, &book));
        assert!(trace.unwrap().len() > 100);
    }
}

/// Runs `body` as a process under the seed, then shuts down.
fn simulated<B, F, T>(seed: u64, body: B) -> (T, Trace)
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut simulation = Simulation::new(seed).unwrap();
    let vm = Vm::builder().simulate(&simulation).build().unwrap();
    let value = simulation.block_on(vm.run(body)).unwrap().unwrap();
    let shutdown = vm.shutdown(Duration::from_secs(5));
    simulation.block_on(shutdown).unwrap();
    (value, simulation.trace().clone())
}

#[test]
fn pids_references_random_numbers_and_the_order_of_tables_come_from_the_seed() {
    let run = |seed| {
        simulated(seed, async |cx: Context| {
            let table = cx.table_new("rows", TableOptions::set()).unwrap();
            for key in 0..100_u32 {
                table.insert(&cx, &key, &()).unwrap();
            }
            let mut rows = Vec::new();
            table
                .scan_with(&cx, 0, 1000, |key, _| rows.push(key.to_string()))
                .unwrap();
            assert_eq!(rows.len(), 100);
            let mut children = Vec::new();
            for _ in 0..2000 {
                children.push(cx.spawn(async |_: Context| ()).unwrap());
                cx.yield_now().await;
            }
            let numbers: std::collections::HashSet<u32, RandomState> = (0..100).collect();
            (
                (cx.pid(), cx.make_ref(), cx.random(), children),
                rows,
                numbers.into_iter().collect::<Vec<u32>>(),
            )
        })
    };
    let one = run(1);
    let again = run(1);
    let other = run(2);
    assert_eq!(one, again);
    assert!(
        one.0
            .0
            .3
            .iter()
            .any(|pid| pid.index() == one.0.0.3[0].index() && *pid != one.0.0.3[0])
    );
    assert_ne!(one.0.0, other.0.0);
    assert_ne!(one.0.1, other.0.1);
    assert_ne!(one.0.2, other.0.2);
}

#[test]
fn a_message_race_is_found_and_its_seed_fails_again() {
    // A server that takes whatever comes second for the answer to its own question.
    let race = |simulation: &mut Simulation| {
        let vm = Vm::builder().simulate(simulation).build()?;
        let first = simulation.block_on(vm.run(|mut cx| async move {
            let parent = cx.pid();
            for name in ["early", "late"] {
                cx.spawn(move |cx| async move {
                    cx.tick(10).await;
                    cx.send(parent, name).unwrap();
                })
                .unwrap();
            }
            cx.receive().await.to_string()
        }))??;
        drop(simulation.block_on(vm.shutdown(Duration::from_secs(1)))?);
        if first.contains("early") {
            Ok(())
        } else {
            Err("the second came first".into())
        }
    };
    let builder = Simulation::builder();
    let failure = builder.explore(0..100, race).unwrap_err();
    assert!(
        matches!(&failure, Failure::Failed { message, .. } if message == "the second came first")
    );
    assert_eq!(builder.replay(failure.seed(), race).unwrap_err(), failure);
}

#[test]
fn waiting_for_a_simulated_process_is_refused_with_the_way_to_do_it() {
    let mut simulation = Simulation::new(1).unwrap();
    let vm = Vm::builder().simulate(&simulation).build().unwrap();
    let error = vm.run(async |_: Context| ()).wait().unwrap_err();
    assert_eq!(error, RunError::Simulated);
    assert!(error.to_string().contains("block_on"), "{error}");
    let shutdown = vm.shutdown(Duration::from_secs(1));
    assert_eq!(vm.shutdown(Duration::ZERO).wait(), None);
    simulation.block_on(shutdown).unwrap();
    assert!(vm.shutdown(Duration::ZERO).wait().is_some());
}

#[test]
fn one_that_waits_for_a_message_that_nobody_sends_is_told() {
    let mut simulation = Simulation::new(1).unwrap();
    let vm = Vm::builder().simulate(&simulation).build().unwrap();
    let run = vm.run(|mut cx| async move { drop(cx.receive().await) });
    let error = simulation.block_on(run).unwrap_err();
    assert!(
        matches!(error, SimulationError::Stalled { waiting: 2, .. }),
        "{error}"
    );
    let report = simulation.block_on(vm.shutdown(Duration::from_secs(1)));
    assert_eq!(report.unwrap().ended, 1);
}

#[test]
fn what_does_not_end_within_the_limit_of_a_shutdown_is_killed_in_virtual_time() {
    let mut simulation = Simulation::new(1).unwrap();
    let vm = Vm::builder().simulate(&simulation).build().unwrap();
    vm.spawn(async |mut cx: Context| {
        cx.trap_exit(true);
        loop {
            cx.receive().await;
        }
    })
    .unwrap();
    let run = simulation.run().unwrap();
    let limit = Duration::from_secs(3600);
    let report = simulation.block_on(vm.shutdown(limit)).unwrap();
    assert_eq!((report.ended, report.killed), (0, 1));
    assert!(report.stuck.is_empty() && report.threads.is_empty());
    assert!(simulation.now() >= run.now + limit);
    // No timer is left of it.
    let end = simulation.run().unwrap();
    assert!(end.now < run.now + limit + Duration::from_secs(1));
    assert_eq!(
        vm.spawn(async |_: Context| ()),
        Err(SpawnError::ShuttingDown)
    );
}

/// A chain of processes of which each begins the next: so many plain ones, then one that takes a second to end, and one
/// below it, linked. Both of these trap exits.
fn chain(
    mut cx: Context,
    plain: usize,
    ended: Arc<Mutex<Vec<&'static str>>>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if plain > 0 {
            cx.spawn_link(move |cx| chain(cx, plain - 1, ended))
                .unwrap();
            cx.receive().await;
            return;
        }
        cx.trap_exit(true);
        let below = Arc::clone(&ended);
        cx.spawn_link(async move |mut cx: Context| {
            cx.trap_exit(true);
            cx.receive().await;
            below.lock().unwrap().push("below");
        })
        .unwrap();
        cx.receive().await;
        cx.sleep(Duration::from_secs(1)).await;
        ended.lock().unwrap().push("above");
    })
}

#[test]
fn a_shutdown_leaves_the_order_of_a_tree_to_its_top_whoever_started_it() {
    for plain in 0..3 {
        let explored = Simulation::builder().explore(0..20, |simulation| {
            let ended = Arc::default();
            let vm = Vm::builder().simulate(simulation).build()?;
            let its = Arc::clone(&ended);
            vm.spawn(move |cx| chain(cx, plain, its))?;
            simulation.run()?;
            let report = simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
            assert!(report.is_orderly(), "{report:?}");
            assert_eq!(*ended.lock().unwrap(), ["above", "below"]);
            Ok(())
        });
        assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 20);
    }
}

#[test]
fn the_end_of_a_simulation_ends_its_vm_and_what_its_processes_hold() {
    let held = Arc::new(());
    let mut simulation = Simulation::new(1).unwrap();
    let vm = Vm::builder().simulate(&simulation).build().unwrap();
    for slices in 0..3_u32 {
        let kept = Arc::clone(&held);
        let options = SpawnOptions::new().label("holder");
        vm.spawn_opt(options, move |mut cx| async move {
            for _ in 0..slices {
                cx.yield_now().await;
            }
            cx.send_after(Duration::from_secs(3600), cx.pid(), &1)
                .unwrap();
            cx.receive().await;
            drop(kept);
        })
        .unwrap();
    }
    let never = vm.run(|mut cx| async move { drop(cx.receive().await) });
    // They have started, and wait for an hour.
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let kept = Arc::clone(&held);
    vm.spawn(|_: Context| async move { drop(kept) }).unwrap();
    assert_eq!(Arc::strong_count(&held), 5);
    drop(simulation);
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(never.wait(), Err(RunError::Exit(ExitReason::killed())));
    assert_eq!(
        vm.spawn(async |_: Context| ()),
        Err(SpawnError::ShuttingDown)
    );
    // Whoever waits for a shut-down of it is told.
    assert!(vm.shutdown(Duration::from_secs(1)).wait().is_some());
}

#[test]
fn two_vms_share_a_simulation() {
    let mut simulation = Simulation::new(9).unwrap();
    let vms = ["a", "b"].map(|name| {
        Vm::builder()
            .name(name)
            .simulate(&simulation)
            .build()
            .unwrap()
    });
    let [first, second] = vms.each_ref().map(|vm| {
        vm.run(|cx| async move {
            cx.sleep(Duration::from_secs(60)).await;
            cx.pid()
        })
    });
    let first = simulation.block_on(first).unwrap().unwrap();
    simulation
        .block_on(vms[0].shutdown(Duration::from_secs(1)))
        .unwrap();
    let second = simulation.block_on(second).unwrap().unwrap();
    assert_ne!(first, second);
    assert!(simulation.now() < Duration::from_secs(61));
    simulation
        .block_on(vms[1].shutdown(Duration::from_secs(1)))
        .unwrap();
}

#[test]
fn a_process_that_panics_ends_as_elsewhere() {
    let (reason, _) = simulated(1, |mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(async |_: Context| panic!("planned"))
            .unwrap();
        let down = cx.receive_where(Duration::from_secs(1), |message| message.down());
        let down = down.await.unwrap();
        assert_eq!(down.reference, monitor);
        down.reason.to_string()
    });
    assert!(reason.contains("planned"), "{reason}");
}

#[test]
fn a_vm_that_is_dropped_is_shut_down_when_the_simulation_runs_on_or_ends() {
    let held = Arc::new(());
    for runs_on in [true, false] {
        let mut simulation = Simulation::new(1).unwrap();
        let vm = Vm::builder().simulate(&simulation).build().unwrap();
        let kept = Arc::clone(&held);
        vm.spawn(async move |mut cx: Context| {
            cx.receive().await;
            drop(kept);
        })
        .unwrap();
        simulation.run().unwrap();
        drop(vm);
        assert_eq!(Arc::strong_count(&held), 2);
        if runs_on {
            assert_eq!(simulation.run().unwrap().waiting, 0);
        } else {
            drop(simulation);
        }
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
