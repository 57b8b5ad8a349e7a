//! The number of schedulers online, changed at run time.

mod common;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::lock::Mutex;
use otp_scheduler::net::{TcpListener, TcpStream};
use otp_scheduler::simulation::Simulation;
use otp_scheduler::{
    JoinHandle, Priority, REDUCTIONS_PER_SLICE, Scheduler, block_on, current_scheduler, sleep,
    tick, yield_now,
};

/// Waits until so many have gone offline.
fn until_offline(scheduler: &Scheduler, offline: usize) {
    until("schedulers go offline", || {
        scheduler.figures().offline == offline
    });
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "too late: {what}");
        thread::yield_now();
    }
}

/// How long the number is changed at random.
const SPAN: Duration = Duration::from_secs(1);

/// Numbers from 1 to 4, without an end.
fn numbers() -> impl Iterator<Item = usize> {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        1 + (seed % 4) as usize
    })
}

/// Tasks that never end by themselves, and note where they run.
struct Busy {
    stop: Arc<AtomicBool>,
    /// Rounds by scheduler.
    rounds: Arc<[AtomicU64; 4]>,
    tasks: Vec<JoinHandle<u64>>,
}

impl Busy {
    /// Loops of all priorities, timers, and a socket's two ends.
    fn start(scheduler: &Scheduler) -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let rounds: Arc<[AtomicU64; 4]> = Arc::default();
        let mut tasks = Vec::new();
        let round = {
            let rounds = Arc::clone(&rounds);
            move || {
                // A thread that the machine kept from running may be bound.
                if let Some(here) = current_scheduler() {
                    rounds[here].fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        for number in 0..32 {
            let priority = [
                Priority::Normal,
                Priority::Low,
                Priority::Normal,
                Priority::High,
            ][number % 4];
            let (stop, round) = (Arc::clone(&stop), round.clone());
            tasks.push(scheduler.spawn_at(priority, async move {
                let mut done = 0;
                while !stop.load(Ordering::SeqCst) {
                    round();
                    done += 1;
                    if priority == Priority::Normal {
                        tick(REDUCTIONS_PER_SLICE / 8);
                        yield_now().await;
                    } else {
                        sleep(Duration::from_micros(300)).await;
                    }
                }
                done
            }));
        }
        let listener = TcpListener::bind_on(scheduler, "127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = round.clone();
        tasks.push(scheduler.spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut done = 0;
            while stream.read(&mut [0]).await.unwrap() > 0 {
                heard();
                done += 1;
                stream.write_all(&[1]).await.unwrap();
            }
            done
        }));
        let ended = Arc::clone(&stop);
        tasks.push(scheduler.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut done = 0;
            while !ended.load(Ordering::SeqCst) {
                stream.write_all(&[1]).await.unwrap();
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
                round();
                done += 1;
            }
            done
        }));
        Busy {
            stop,
            rounds,
            tasks,
        }
    }

    fn rounds(&self) -> [u64; 4] {
        std::array::from_fn(|scheduler| self.rounds[scheduler].load(Ordering::SeqCst))
    }

    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            assert!(task.wait().unwrap() > 0, "a task got lost");
        }
    }
}

#[test]
fn work_goes_to_those_who_stay_and_comes_back() {
    let scheduler = scheduler(4);
    let busy = Busy::start(&scheduler);
    until("all work", || busy.rounds().iter().all(|&n| n > 100));

    assert_eq!(scheduler.set_schedulers_online(1), Ok(4));
    assert_eq!(scheduler.schedulers_online(), 1);
    until_offline(&scheduler, 3);
    let before = busy.rounds();
    until("the first goes on", || {
        busy.rounds()[0] > before[0] + 10_000
    });
    assert_eq!(busy.rounds()[1..], before[1..], "somebody is not offline");
    for worker in &scheduler.figures().schedulers[1..] {
        assert_eq!(worker.run_queue_length, 0);
    }

    assert_eq!(scheduler.set_schedulers_online(3), Ok(1));
    until_offline(&scheduler, 1);
    until("others get work again", || {
        let now = busy.rounds();
        (0..3).all(|n| now[n] > before[n] + 100)
    });
    assert_eq!(busy.rounds()[3], before[3]);
    assert_eq!(scheduler.set_schedulers_online(4), Ok(3));
    until("the last as well", || busy.rounds()[3] > before[3] + 100);
    busy.end();
}

#[test]
fn offline_is_idle_time() {
    let scheduler = scheduler(2);
    scheduler.set_schedulers_online(1).unwrap();
    until_offline(&scheduler, 1);
    let wall_time = || scheduler.figures().schedulers[1].wall_time;
    let before = wall_time();
    // Some time, in which the other one works.
    let begun = Instant::now();
    let works = scheduler.spawn(async move {
        while begun.elapsed() < Duration::from_millis(100) {
            yield_now().await;
        }
    });
    works.wait().unwrap();
    let spent = wall_time().since(before);
    assert!(spent.utilisation() < 0.5, "{spent:?}");
    assert!(spent.idle >= Duration::from_millis(50), "{spent:?}");
}

/// Timers that were started on a scheduler fire though it sleeps, with everyone idle.
#[test]
fn timers_of_those_offline_fire() {
    let scheduler = scheduler(2);
    let (out, fired) = channel();
    let started = Arc::new(AtomicUsize::new(0));
    // On both: each sleeps where it found itself.
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (out, started) = (out.clone(), Arc::clone(&started));
            scheduler.spawn(async move {
                while started.load(Ordering::SeqCst) == 0 {
                    if current_scheduler() == Some(1) {
                        break;
                    }
                    yield_now().await;
                }
                started.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(20)).await;
                out.send(current_scheduler()).unwrap();
            })
        })
        .collect();
    until("all timers run", || started.load(Ordering::SeqCst) == 64);
    scheduler.set_schedulers_online(1).unwrap();
    until_offline(&scheduler, 1);
    for task in tasks {
        task.wait().unwrap();
    }
    assert_eq!(fired.iter().take(64).count(), 64);
}

/// Whoever attends may be the one that goes: somebody else sees to sockets and timers then.
#[test]
fn an_idle_scheduler_that_shrinks_still_serves_timers_and_sockets() {
    for _ in 0..50 {
        let scheduler = scheduler(3);
        let listener = TcpListener::bind_on(&scheduler, "127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = scheduler.spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.read(&mut [0]).await.unwrap()
        });
        let slept = scheduler.spawn(async { sleep(Duration::from_millis(3)).await });
        scheduler.set_schedulers_online(1).unwrap();
        until_offline(&scheduler, 2);
        std::io::Write::write_all(&mut std::net::TcpStream::connect(address).unwrap(), &[1])
            .unwrap();
        assert_eq!(accepted.wait(), Ok(1));
        slept.wait().unwrap();
        scheduler.stop();
        scheduler.join(LIMIT).unwrap();
    }
}

/// A native loop keeps its thread; the scheduler is taken away, and goes offline without it.
#[test]
fn a_scheduler_whose_task_never_gives_way_goes_offline() {
    let scheduler = scheduler(2);
    let stop = Arc::new(AtomicBool::new(false));
    let (began, begin) = channel();
    let loops: Vec<_> = (0..2)
        .map(|number| {
            let (stop, began) = (Arc::clone(&stop), began.clone());
            scheduler.spawn(async move {
                began.send(()).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    // One of each: by force, and by choice.
                    if number == 0 {
                        otp_scheduler::checkpoint(1);
                    }
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    loops.iter().for_each(|_| next(&begin));
    scheduler.set_schedulers_online(1).unwrap();
    until_offline(&scheduler, 1);
    let answer = scheduler.spawn(async { current_scheduler() });
    assert_ne!(answer.wait().unwrap(), Some(1));
    stop.store(true, Ordering::SeqCst);
    loops.into_iter().for_each(|one| one.wait().unwrap());
}

/// Two tasks for each pair wake each other by turns, and others sleep, while the number changes at random.
#[test]
fn nothing_is_lost_while_the_number_changes() {
    const PAIRS: usize = 16;
    let scheduler = scheduler(4);
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..PAIRS {
        // Whose turn it is, and who waits for it.
        let ball = Arc::new(AtomicUsize::new(0));
        let wakers: Arc<[Mutex<Option<Waker>>; 2]> = Arc::default();
        for me in 0..2 {
            let (ball, wakers) = (Arc::clone(&ball), Arc::clone(&wakers));
            let over = Arc::clone(&over);
            tasks.push(scheduler.spawn(async move {
                let mut rounds = 0_u64;
                while ball.load(Ordering::SeqCst) < 2 {
                    poll_fn(|cx| {
                        *wakers[me].lock() = Some(cx.waker().clone());
                        match ball.load(Ordering::SeqCst) {
                            other if other == 1 - me => Poll::Pending,
                            _ => Poll::Ready(()),
                        }
                    })
                    .await;
                    rounds += 1;
                    if rounds.is_multiple_of(16) {
                        sleep(Duration::from_micros(50)).await;
                    }
                    let last = over.load(Ordering::SeqCst);
                    ball.store(if last { 2 } else { 1 - me }, Ordering::SeqCst);
                    let other = wakers[1 - me].lock().take();
                    if let Some(waker) = other {
                        waker.wake();
                    }
                }
                rounds
            }));
        }
    }
    let (mut numbers, mut changes) = (numbers(), 0);
    let begun = Instant::now();
    while begun.elapsed() < SPAN {
        scheduler
            .set_schedulers_online(numbers.next().unwrap())
            .unwrap();
        changes += 1;
        // From outside, while somebody goes or comes.
        let answer = scheduler.spawn(async { 7 });
        assert_eq!(answer.wait(), Ok(7), "after {changes} changes");
    }
    over.store(true, Ordering::SeqCst);
    let rounds: u64 = tasks.into_iter().map(|task| task.wait().unwrap()).sum();
    assert!(rounds > 0 && changes > 0);
    let online = scheduler.schedulers_online();
    until_offline(&scheduler, 4 - online);
}

/// Tasks of all kinds, with sockets and timers, beside loops that never give way and native tasks that sleep and
/// compute.
#[test]
fn everybody_gets_on_while_the_number_changes() {
    const PACE: Duration = Duration::from_millis(2);
    let scheduler = scheduler(4);
    let stop = Arc::new(AtomicBool::new(false));
    let rounds: Arc<[AtomicU64; 6]> = Arc::default();
    let round = |number: usize| {
        let (stop, rounds) = (Arc::clone(&stop), Arc::clone(&rounds));
        move || {
            rounds[number].fetch_add(1, Ordering::SeqCst);
            !stop.load(Ordering::SeqCst)
        }
    };
    let mut others = Vec::new();
    for number in 0..3 {
        let goes_on = round(number);
        others.push(scheduler.spawn(async move { while goes_on() {} }));
    }
    for number in 3..6 {
        let goes_on = round(number);
        let native = move || {
            while goes_on() {
                if number == 3 {
                    block_on(sleep(Duration::from_micros(200))).unwrap();
                }
            }
        };
        others.push(scheduler.spawn_native(native).unwrap());
    }
    let busy = Busy::start(&scheduler);

    let begun = Instant::now();
    for online in numbers() {
        scheduler.set_schedulers_online(online).unwrap();
        if begun.elapsed() > SPAN {
            break;
        }
        thread::sleep(PACE);
    }
    for online in [1, 4] {
        scheduler.set_schedulers_online(online).unwrap();
        until_offline(&scheduler, 4 - online);
        let now = || rounds.iter().map(|round| round.load(Ordering::SeqCst));
        let before: Vec<u64> = now().collect();
        until("all get on", || now().zip(&before).all(|(n, m)| n > *m));
        let before: u64 = busy.rounds().iter().sum();
        until("the others, too", || {
            busy.rounds().iter().sum::<u64>() > before + 100
        });
    }
    assert!(scheduler.figures().taken_away > 0, "the loops are bound");
    stop.store(true, Ordering::SeqCst);
    others.into_iter().for_each(|one| one.wait().unwrap());
    busy.end();
}

#[test]
fn a_simulation_has_one_scheduler() {
    let simulation = Simulation::new(7).unwrap();
    assert_eq!(simulation.scheduler().set_schedulers_online(1), Ok(1));
    assert!(simulation.scheduler().set_schedulers_online(2).is_err());
}

#[test]
fn stop_ends_those_that_are_offline() {
    let scheduler = scheduler(4);
    scheduler.set_schedulers_online(1).unwrap();
    until_offline(&scheduler, 3);
    assert_eq!(scheduler.spawn(async { 1 }).wait(), Ok(1));
    scheduler.stop();
    scheduler.join(LIMIT).unwrap();
}

#[test]
fn a_number_out_of_range_changes_nothing() {
    let scheduler = scheduler(2);
    for asked in [0, 3, usize::MAX] {
        let error = scheduler.set_schedulers_online(asked).unwrap_err();
        assert_eq!((error.asked, error.schedulers), (asked, 2));
        assert!(error.to_string().contains("from 1 to 2"), "{error}");
    }
    assert_eq!(scheduler.schedulers_online(), 2);
    assert_eq!(scheduler.set_schedulers_online(2), Ok(2));
}
