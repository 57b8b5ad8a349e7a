//! A scheduler with a ticker and a caller on it, and tasks that hog it; what all of them got is looked at afterwards.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use otp_scheduler::{Builder, JoinHandle, Scheduler, lock};

/// A beat later than that is a stall.
pub const STALL: Duration = Duration::from_secs(1);

/// Only a test that fails waits so long.
pub const LIMIT: Duration = Duration::from_secs(20);

const MS: u64 = 1_000_000;

/// Cases run one after the other: what one measures, another would disturb.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until something holds; fails when it does not for too long.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The result of a task; fails when it does not end.
pub fn result<T: Send + 'static>(what: &str, task: JoinHandle<T>) -> T {
    until(what, || task.is_finished());
    task.wait()
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Waits for a time on the scheduler's clock.
pub async fn sleep_until(scheduler: &Scheduler, at: u64) {
    let due = Arc::new(AtomicBool::new(false));
    let mut started = false;
    poll_fn(|cx| {
        if due.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !started {
            started = true;
            let (due, waker) = (Arc::clone(&due), cx.waker().clone());
            let fire = move |_| {
                due.store(true, Ordering::Release);
                waker.wake();
            };
            scheduler.start_timer(at, fire);
        }
        Poll::Pending
    })
    .await;
}

/// A place for messages, as numbers.
#[derive(Debug, Default)]
pub struct Mailbox(lock::Mutex<Messages>);

#[derive(Debug, Default)]
struct Messages {
    messages: Vec<u64>,
    waker: Option<Waker>,
}

impl Mailbox {
    pub fn send(&self, message: u64) {
        let mut inside = self.0.lock();
        inside.messages.push(message);
        let waker = inside.waker.take();
        drop(inside);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// All that is there; waits for one at least.
    pub async fn receive(&self) -> Vec<u64> {
        poll_fn(|cx| {
            let mut inside = self.0.lock();
            if inside.messages.is_empty() {
                inside.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut inside.messages))
        })
        .await
    }
}

/// Times of something that shall happen each millisecond.
#[derive(Debug, Default)]
pub struct Beats {
    latest_ns: AtomicU64,
    /// When the next is due.
    due: AtomicU64,
}

impl Beats {
    fn record(&self, due: u64, now: u64) {
        self.latest_ns
            .fetch_max(now.saturating_sub(due), Ordering::Relaxed);
        self.due.store(now + MS, Ordering::Relaxed);
    }

    /// The latest one, that which is not here yet included.
    fn latest(&self, now: u64) -> Duration {
        let missing = now.saturating_sub(self.due.load(Ordering::Relaxed));
        Duration::from_nanos(missing.max(self.latest_ns.load(Ordering::Relaxed)))
    }
}

/// What a hog knows of its case.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    pub fn goes_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    pub fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub struct Rig {
    pub scheduler: Scheduler,
    pub flag: Arc<Flag>,
    ticker: Arc<Beats>,
    caller: Arc<Beats>,
    /// The kernel's ids of the threads that the hogs began on.
    threads: Vec<Arc<AtomicI32>>,
    hogs: Vec<JoinHandle<()>>,
}

impl Rig {
    pub fn new(schedulers: usize) -> Rig {
        Rig::with(Scheduler::builder().schedulers(schedulers))
    }

    /// The ticker and the caller beat from now on.
    pub fn with(builder: Builder) -> Rig {
        let scheduler = builder
            .name("fair")
            .build()
            .expect("scheduler threads start");
        let (ticker, caller) = (Arc::default(), Arc::default());
        start_ticker(&scheduler, Arc::clone(&ticker));
        start_caller(&scheduler, Arc::clone(&caller));
        Rig {
            scheduler,
            flag: Arc::default(),
            ticker,
            caller,
            threads: Vec::new(),
            hogs: Vec::new(),
        }
    }

    /// Starts a task that runs `hog`, which shall not give way, until the flag says so.
    pub fn hog(&mut self, hog: impl FnOnce(&Flag) + Send + 'static) {
        self.task(async move |flag| hog(&flag));
    }

    /// The same for a future.
    pub fn task<F>(&mut self, hog: impl FnOnce(Arc<Flag>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let flag = Arc::clone(&self.flag);
        let thread = Arc::new(AtomicI32::new(0));
        self.threads.push(Arc::clone(&thread));
        self.hogs.push(self.scheduler.spawn(async move {
            // SAFETY: a call without arguments.
            let id = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
            thread.store(id, Ordering::Relaxed);
            hog(flag).await;
        }));
    }

    /// The same for a native task.
    pub fn native(&mut self, hog: impl FnOnce(&Flag) + Send + 'static) {
        let flag = Arc::clone(&self.flag);
        let thread = Arc::new(AtomicI32::new(0));
        self.threads.push(Arc::clone(&thread));
        let native = self.scheduler.spawn_native(move || {
            // SAFETY: a call without arguments.
            let id = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
            thread.store(id, Ordering::Relaxed);
            hog(&flag);
        });
        self.hogs.push(native.expect("there is a place for it"));
    }

    pub fn until_all_have_begun(&self) {
        until("a hog does not begin", || {
            self.threads
                .iter()
                .all(|thread| thread.load(Ordering::Relaxed) != 0)
        });
    }

    /// Lets time go by, and fails if the ticker or the caller stands still meanwhile.
    pub fn watch(&self, for_so_long: Duration) {
        thread::sleep(for_so_long);
        self.check_beats();
    }

    pub fn check_beats(&self) {
        let now = self.scheduler.now();
        for (name, beats) in [("ticker", &self.ticker), ("caller", &self.caller)] {
            let latest = beats.latest(now);
            assert!(
                latest < STALL,
                "the {name} stood still for {latest:?}: {:?}",
                self.scheduler.figures()
            );
        }
    }

    /// The hogs' CPU time so far.
    fn spent(&self) -> Vec<u64> {
        let ids = self.threads.iter();
        ids.map(|thread| cpu_ns(thread.load(Ordering::Relaxed)))
            .collect()
    }

    /// The hogs get even shares (by Jain's index). Other programs that want the cores may spoil a measurement, but not
    /// one after another, and not the sum of them.
    pub fn check_shares(&self, for_so_long: Duration) {
        until("a hog is not bound", || {
            self.scheduler.figures().bound >= self.hogs.len()
        });
        let used = |from: &[u64], to: &[u64]| -> Vec<u64> {
            to.iter().zip(from).map(|(to, from)| to - from).collect()
        };
        let first = self.spent();
        let mut before = first.clone();
        let mut seen = Vec::new();
        for _ in 0..8 {
            self.watch(for_so_long);
            let now = self.spent();
            let (last, all) = (jain(&used(&before, &now)), jain(&used(&first, &now)));
            if last >= 0.8 || all >= 0.8 {
                return;
            }
            seen.push((last, all));
            before = now;
        }
        panic!("uneven: {seen:?}, {:?}", self.scheduler.figures());
    }

    /// Ends the hogs. All unbind, and no thread is left.
    pub fn end(mut self) {
        self.flag.end();
        for hog in self.hogs.drain(..) {
            result("a hog does not end with its flag", hog);
        }
        self.check_beats();
        until("a thread stays bound", || {
            self.scheduler.figures().bound == 0
        });
        self.scheduler.stop();
        self.scheduler.join(LIMIT).expect("no thread is left");
        assert_eq!(self.scheduler.figures().bound, 0);
    }
}

impl Drop for Rig {
    /// For a case that fails: the next ones shall have the machine.
    fn drop(&mut self) {
        self.flag.end();
        self.scheduler.stop();
    }
}

fn start_ticker(scheduler: &Scheduler, beats: Arc<Beats>) {
    let clock = scheduler.clone();
    let mut due = clock.now() + MS;
    beats.due.store(due, Ordering::Relaxed);
    scheduler.spawn(async move {
        loop {
            sleep_until(&clock, due).await;
            let now = clock.now();
            beats.record(due, now);
            // On absolute times; those that went by meanwhile are left out.
            due += ((now - due) / MS + 1) * MS;
        }
    });
}

/// One asks another each millisecond, and waits for the answer.
fn start_caller(scheduler: &Scheduler, beats: Arc<Beats>) {
    let (question, answer) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
    {
        let (question, answer) = (Arc::clone(&question), Arc::clone(&answer));
        scheduler.spawn(async move {
            loop {
                for number in question.receive().await {
                    answer.send(number);
                }
            }
        });
    }
    let clock = scheduler.clone();
    let mut due = clock.now() + MS;
    beats.due.store(due, Ordering::Relaxed);
    scheduler.spawn(async move {
        for number in 0.. {
            sleep_until(&clock, due).await;
            question.send(number);
            assert_eq!(answer.receive().await, [number]);
            let now = clock.now();
            beats.record(due, now);
            due += ((now - due) / MS + 1) * MS;
        }
    });
}

/// CPU time of a thread of this program.
fn cpu_ns(thread: i32) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel's encoding of a thread's clock, and a valid place for the answer.
    let result = unsafe { libc::clock_gettime((!thread << 3) | 6, &mut time) };
    assert_eq!(result, 0, "thread {thread} has gone");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares.max(1.0))
}
