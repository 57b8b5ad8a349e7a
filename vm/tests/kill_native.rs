//! Processes that are ended while they are in native code: for everybody else at once.

mod common;

use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{self, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use common::{LIMIT, bounded, down, exit, expect, run};
use otp_vm::{
    Context, ExitReason, Pid, Priority, RegisterError, SpawnError, SpawnOptions, TableError,
    TableOptions, Vm,
};

/// Native code that counts, and ends by its flag; or when the test has failed.
#[derive(Clone, Default)]
struct Hog {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Hog {
    fn spin(&self) {
        let begun = Instant::now();
        while !self.stop.load(Ordering::Relaxed) && begun.elapsed() < 3 * LIMIT {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Until it has made headway since `before`: it runs.
    fn await_headway(&self, before: u64) {
        until("the hog runs", || self.count() > before + 1000);
    }
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn until_in(cx: &Context, what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "in vain: {what}");
        cx.sleep(Duration::from_millis(1)).await;
    }
}

const CHILD: &str = "OTP_VM_TEST_ENDLESS";
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(300);

/// In a process of its own, since it leaves threads and memory behind.
#[test]
fn a_killed_endless_loop_is_gone_for_everybody_else() {
    if std::env::var_os(CHILD).is_some() {
        endless();
        return;
    }
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args([
            "--exact",
            "a_killed_endless_loop_is_gone_for_everybody_else",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .spawn()
        .expect("a child process");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            break status;
        }
        if begun.elapsed() > 3 * LIMIT {
            child.kill().expect("it can be killed");
            panic!("the child process hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
}

fn endless() {
    let vm = Vm::builder().schedulers(2).build().expect("a VM");
    let hog = Hog::default();
    let doomed = hog.clone();
    let pid = vm
        .run(move |mut cx| async move {
            cx.trap_exit(true);
            let (parent, hog) = (cx.pid(), doomed.clone());
            let options = SpawnOptions::new().link().monitor().label("hog");
            let spawned = cx.spawn_opt(options, move |cx| async move {
                cx.register("hog", cx.pid()).expect("a free name");
                cx.table_new("hogs", TableOptions::set().named())
                    .expect("a table");
                cx.send(parent, &true).expect("the parent is there");
                hog.spin();
            });
            let spawned = spawned.expect("a process");
            assert!(expect::<bool>(&mut cx).await);
            let bound = || cx.vm().system_info().schedulers_figures.bound;
            until_in(&cx, "the hog is bound", || bound() == 1).await;
            assert!(cx.is_alive(spawned.pid).await, "its deputy answers");

            cx.exit_process(spawned.pid, ExitReason::kill());
            assert!(!cx.is_alive(spawned.pid).await);
            let monitor = spawned.monitor.expect("asked for");
            assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
            assert_eq!(exit(&mut cx, spawned.pid).await, ExitReason::killed());
            assert_eq!(cx.whereis("hog"), None);
            assert!(cx.table("hogs").is_none());
            assert!(cx.process_info(spawned.pid).is_none());
            assert!(!cx.vm().is_alive(spawned.pid));
            let late = cx.monitor(spawned.pid);
            assert_eq!(down(&mut cx, late).await, ExitReason::noproc());
            cx.link(spawned.pid);
            assert_eq!(exit(&mut cx, spawned.pid).await, ExitReason::noproc());
            cx.register("hog", cx.pid()).expect("the name is free");
            spawned.pid
        })
        .wait()
        .expect("a result");
    hog.await_headway(hog.count());
    until("it is condemned", || {
        vm.system_info().schedulers_figures.condemned == 1
    });

    // As many as there are schedulers, so that the condemned one has no scheduler to itself.
    let others: Vec<_> = (0..3).map(|_| Hog::default()).collect();
    let pids: Vec<Pid> = others
        .iter()
        .map(|other| {
            let other = other.clone();
            vm.spawn(move |_| async move { other.spin() })
                .expect("a process")
        })
        .collect();
    until("all are bound", || {
        vm.system_info().schedulers_figures.bound == 4
    });
    let counts = || -> Vec<u64> { others.iter().map(Hog::count).collect() };
    let (before, others_before) = (hog.count(), counts());
    // Programs of others may keep any of them from its core for a while; in the long run the share is small, but there.
    until("its share is the lowest", || {
        let made = hog.count() - before;
        let others_made = counts()
            .iter()
            .zip(&others_before)
            .map(|(now, before)| now - before)
            .min();
        let others_made = others_made.expect("three");
        others_made > 20_000_000 && made > 0 && made < others_made / 5
    });

    let begun = Instant::now();
    let report = vm.shutdown(SHUTDOWN_LIMIT).wait().expect("a report");
    let lasted = begun.elapsed();
    assert!(lasted >= SHUTDOWN_LIMIT, "{lasted:?}");
    assert!(lasted < SHUTDOWN_LIMIT + LIMIT, "{lasted:?}");
    let named = |pid: Pid| {
        let name = format!("process {pid}");
        let is_its = |thread: &&String| thread.contains(&name) && thread.contains("bound thread");
        report.threads.iter().find(is_its).cloned()
    };
    for &pid in &pids {
        assert!(report.stuck.contains(&pid), "{report:?}");
        assert!(named(pid).is_some(), "{report:?}");
    }
    assert!(report.stuck.contains(&pid), "{report:?}");
    let name = named(pid).expect("it is named");
    assert!(name.ends_with("(hog)"), "{name}");
    // Behind no gate.
    for left in others.iter().chain([&hog]) {
        left.await_headway(left.count());
    }
}

struct Tell(Arc<AtomicBool>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn what_an_ended_process_still_does_is_discarded() {
    bounded(2, |mut cx| async move {
        cx.trap_exit(true);
        let hog = Hog::default();
        let (parent, spins) = (cx.pid(), hog.clone());
        let dropped = Arc::new(AtomicBool::new(false));
        let tell = Tell(Arc::clone(&dropped));
        let (told, outcome) = mpsc::channel();
        let other = cx.spawn(common::idle).expect("a process");
        let public = cx
            .table_new("public", TableOptions::set().named().public())
            .expect("a table");
        let body = move |mut inner: Context| async move {
            let _tell = tell;
            let own = inner
                .table_new("own", TableOptions::set())
                .expect("a table");
            spins.spin();
            inner.send(parent, "from beyond").expect("silent");
            inner.cast(parent, "from beyond").expect("silent");
            inner
                .send_after(Duration::ZERO, parent, "from beyond")
                .expect("silent");
            inner.exit_process(other, ExitReason::kill());
            inner.exit_process(parent, "from beyond");
            inner.link(parent);
            inner.monitor(parent);
            let done = (
                inner.register("zombie", inner.pid()),
                inner.register("zombie", other),
                inner.spawn(common::idle),
                own.insert(&inner, &1, &1),
                public.insert(&inner, &1, &1),
                inner.table_new("zombies", TableOptions::set()).map(|_| ()),
                inner.call::<_, ()>(parent, &1, LIMIT).await.is_err(),
                inner.is_alive(inner.pid()).await,
            );
            told.send(done).expect("the test listens");
            inner.receive_timeout(LIMIT).await;
            unreachable!("an await ends it");
        };
        let (pid, monitor) = cx.spawn_monitor(body).expect("a process");
        let figures = |cx: &Context| cx.vm().system_info().schedulers_figures;
        until_in(&cx, "it is bound", || figures(&cx).bound >= 1).await;
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        assert!(!dropped.load(Ordering::Acquire), "its body is still there");
        let before = cx.vm().system_info().process_count;
        hog.stop();
        until_in(&cx, "its destructors run", || {
            dropped.load(Ordering::Acquire)
        })
        .await;
        let done = outcome.try_recv().expect("it was told before");
        assert!(matches!(done.0, Err(RegisterError::NoProcess)));
        assert!(matches!(done.1, Err(RegisterError::NoProcess)));
        assert!(matches!(done.2, Err(SpawnError::MakerEnded)));
        assert!(matches!(done.3, Err(TableError::Ended)));
        assert!(matches!(done.4, Err(TableError::Ended)));
        assert!(matches!(done.5, Err(TableError::OwnerGone)));
        assert!(done.6);
        assert!(!done.7);
        let info = || cx.vm().system_info();
        until_in(&cx, "it is counted out", || {
            info().process_count == before - 1
        })
        .await;
        until_in(&cx, "its thread comes back", || {
            let figures = info().schedulers_figures;
            (figures.bound, figures.condemned) == (0, 0)
        })
        .await;
        assert_eq!(info().discarded_sends, 5, "five were sent");
        assert!(cx.is_alive(other).await);
        assert_eq!(cx.whereis("zombie"), None);
        assert_eq!(cx.process_info(cx.pid()).expect("itself").links, []);
        cx.sleep(Duration::from_millis(20)).await;
        // No second DOWN, nothing that it sent.
        let nothing = cx.receive_timeout(Duration::ZERO).await;
        assert!(nothing.is_none(), "{nothing:?}");
    });
}

#[test]
fn a_bound_process_that_traps_exits_is_ended_by_kill_alone() {
    run(|mut cx| async move {
        let hog = Hog::default();
        let spins = hog.clone();
        let (pid, monitor) = cx
            .spawn_monitor(move |inner| async move {
                inner.trap_exit(true);
                spins.spin();
            })
            .expect("a process");
        let figures = |cx: &Context| cx.vm().system_info().schedulers_figures;
        until_in(&cx, "it is bound", || figures(&cx).bound >= 1).await;
        cx.exit_process(pid, "enough");
        assert!(cx.is_alive(pid).await);
        cx.exit_process(pid, ExitReason::kill());
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        hog.stop();
    });
}

/// The mailbox is looked into by whoever binds the process.
#[test]
fn a_kill_from_before_the_process_is_bound_counts() {
    run(|mut cx| async move {
        for _ in 0..20 {
            let hog = Hog::default();
            let (spins, runs) = (hog.clone(), hog.clone());
            let (pid, monitor) = cx
                .spawn_monitor(move |_| async move { spins.spin() })
                .expect("a process");
            // From outside: this process does not get on until the hog is bound, if there is one scheduler.
            let vm = cx.vm().clone();
            let killer = std::thread::spawn(move || {
                runs.await_headway(0);
                vm.exit(pid, ExitReason::kill());
            });
            assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
            assert!(!hog.stop.load(Ordering::Relaxed), "it still runs");
            hog.stop();
            killer.join().expect("it told");
        }
    });
}

#[test]
fn a_kill_ends_a_process_whose_destructor_does_not_return() {
    struct Slow(Hog);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.spin();
        }
    }
    run(|mut cx| async move {
        let hog = Hog::default();
        let slow = Slow(hog.clone());
        let (pid, monitor) = cx
            .spawn_monitor(move |cx| async move {
                let _slow = slow;
                common::idle(cx).await;
            })
            .expect("a process");
        assert!(cx.is_alive(pid).await);
        cx.exit_process(pid, "enough");
        let figures = |cx: &Context| cx.vm().system_info().schedulers_figures;
        until_in(&cx, "it is bound", || figures(&cx).bound >= 1).await;
        // Everybody waits for destructors: what they close is closed when a successor starts.
        let early = cx.receive_timeout(Duration::from_millis(20)).await;
        assert!(early.is_none(), "{early:?}");
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("enough"));
        hog.stop();
    });
}

/// Whoever is told may be of a priority that keeps all others from the scheduler until then.
#[test]
fn a_process_of_high_priority_that_never_waits_is_told_of_the_end() {
    bounded(1, |mut cx| async move {
        let hog = Hog::default();
        let spins = hog.clone();
        let (pid, monitor) = cx
            .spawn_monitor(move |_| async move { spins.spin() })
            .expect("a process");
        let figures = |cx: &Context| cx.vm().system_info().schedulers_figures;
        until_in(&cx, "it is bound", || figures(&cx).bound >= 1).await;
        cx.set_priority(Priority::High);
        cx.yield_now().await;
        cx.exit_process(pid, ExitReason::kill());
        let begun = Instant::now();
        loop {
            let message = cx.receive_timeout(Duration::ZERO).await;
            if message
                .is_some_and(|message| message.down().is_some_and(|down| down.reference == monitor))
            {
                break;
            }
            assert!(begun.elapsed() < LIMIT, "nobody tells it");
            cx.yield_now().await;
        }
        hog.stop();
    });
}

/// An executor of the program's own, which no scheduler knows of.
fn block_on_by_hand<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        let mut cx = task::Context::from_waker(&waker);
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Ended before it waits there, and while it does.
#[test]
fn a_killed_process_leaves_the_executors_that_it_runs_by_itself() {
    for (waits, way) in [true, false]
        .into_iter()
        .flat_map(|waits| (0..3).map(move |way| (waits, way)))
    {
        bounded(1, move |mut cx| async move {
            let other = cx.spawn(common::idle).expect("a process");
            let hog = Hog::default();
            let spins = hog.clone();
            let dropped = Arc::new(AtomicBool::new(false));
            let tell = Tell(Arc::clone(&dropped));
            let (pid, monitor) = cx
                .spawn_monitor(move |mut inner| async move {
                    let _tell = tell;
                    if !waits {
                        spins.spin();
                    }
                    match way {
                        0 => drop(block_on_by_hand(inner.receive())),
                        1 => {
                            block_on_by_hand(inner.receive_where(3 * LIMIT, |_| None)).unwrap_or(())
                        }
                        _ => block_on_by_hand(inner.call::<_, ()>(other, &1, 3 * LIMIT))
                            .expect("an answer"),
                    }
                    unreachable!("nobody sends");
                })
                .expect("a process");
            let figures = |cx: &Context| cx.vm().system_info().schedulers_figures;
            until_in(&cx, "it is bound", || figures(&cx).bound >= 1).await;
            cx.exit_process(pid, ExitReason::kill());
            assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
            hog.stop();
            until_in(&cx, "its thread comes back", || {
                let figures = figures(&cx);
                (figures.bound, figures.condemned) == (0, 0)
            })
            .await;
            assert!(dropped.load(Ordering::Acquire));
        });
    }
}

/// What a supervisor does, in short.
#[test]
fn who_restarts_a_killed_process_does_so_at_once() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let hogs: Vec<Hog> = (0..4).map(|_| Hog::default()).collect();
        for hog in &hogs {
            let (spins, parent) = (hog.clone(), cx.pid());
            let child = cx
                .spawn_link(move |cx| async move {
                    cx.register("child", cx.pid()).expect("a free name");
                    cx.send(parent, &true).expect("the parent is there");
                    spins.spin();
                })
                .expect("a process");
            assert!(expect::<bool>(&mut cx).await);
            assert_eq!(cx.whereis("child"), Some(child));
            hog.await_headway(hog.count());
            cx.exit_process(child, ExitReason::kill());
            assert_eq!(exit(&mut cx, child).await, ExitReason::killed());
        }
        hogs.iter().for_each(Hog::stop);
    });
}

/// Kills at all moments of processes that are bound and come back all the time.
#[test]
fn each_monitor_and_each_link_is_told_once() {
    const ROUNDS: u64 = 60;
    const AT_ONCE: u64 = 4;
    let vm = Vm::builder().schedulers(2).build().expect("a VM");
    let running = vm.run(|mut cx| async move {
        cx.trap_exit(true);
        for round in 0..ROUNDS {
            let children: Vec<_> = (0..AT_ONCE)
                .map(|number| {
                    let options = SpawnOptions::new().link().monitor();
                    let child = cx.spawn_opt(options, move |cx| async move {
                        let name = format!("child {number}");
                        let _ = cx.register(&name, cx.pid());
                        loop {
                            let begun = Instant::now();
                            while begun.elapsed() < Duration::from_millis(5) {
                                std::hint::spin_loop();
                            }
                            cx.yield_now().await;
                            let _ = cx.send(cx.pid(), &1);
                        }
                    });
                    child.expect("a process")
                })
                .collect();
            cx.sleep(Duration::from_micros(5_000 + 777 * (round % 31)))
                .await;
            for child in &children {
                for _ in 0..1 + round % 2 {
                    cx.exit_process(child.pid, ExitReason::kill());
                }
                cx.sleep(Duration::from_micros(613 * (round % 7))).await;
            }
            for child in &children {
                let monitor = child.monitor.expect("asked for");
                assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
                assert_eq!(exit(&mut cx, child.pid).await, ExitReason::killed());
            }
            let names = cx.vm().registered();
            assert!(names.is_empty(), "{names:?}");
        }
        let vm = cx.vm().clone();
        until_in(&cx, "all are counted out", || {
            vm.system_info().process_count == 1
        })
        .await;
        let more = cx.receive_timeout(Duration::ZERO).await;
        assert!(more.is_none(), "told twice: {more:?}");
        assert_eq!(cx.process_info(cx.pid()).expect("itself").links, []);
    });
    running.wait().expect("no assertion failed");
    until("all threads come back", || {
        let figures = vm.system_info().schedulers_figures;
        (figures.bound, figures.condemned) == (0, 0)
    });
    let report = vm.shutdown(LIMIT).wait().expect("a report");
    assert!(report.stuck.is_empty(), "{report:?}");
    assert!(report.threads.is_empty(), "{report:?}");
}
