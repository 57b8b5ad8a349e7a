//! What the tests share: a VM for each, and a bound on every wait.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{self, Poll, Wake, Waker};
use std::time::Duration;

use otp_vm::{Context, ExitReason, Pid, Ref, Vm};

/// No wait of a test takes longer; one that does has failed.
pub const LIMIT: Duration = Duration::from_secs(20);

/// As [`bounded`], with one and with two schedulers.
pub fn run<B, F>(body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    for schedulers in [1, 2] {
        bounded(schedulers, body.clone());
    }
}

/// Runs `body` as a process of a fresh VM, then shuts down; fails when either takes too long: so a
/// hang is told.
pub fn bounded<B, F>(schedulers: usize, body: B)
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let vm = Vm::builder().schedulers(schedulers).build().expect("a VM");
    let (done, is_done) = mpsc::channel();
    let running = vm.run(body);
    std::thread::spawn(move || done.send(running.wait()));
    // A body may have several waits, and end by the first that takes too long.
    let result = is_done.recv_timeout(3 * LIMIT).expect("an end in time");
    if let Err(error) = result {
        panic!("with {schedulers} schedulers: {error}");
    }
    let report = vm.shutdown(LIMIT).wait().expect("not a scheduler thread");
    assert!(report.stuck.is_empty(), "{report:?}");
}

/// The next message, decoded; fails when none comes.
pub async fn expect<T: serde::de::DeserializeOwned>(cx: &mut Context) -> T {
    let message = cx.receive_timeout(LIMIT).await.expect("a message in time");
    message
        .decode()
        .unwrap_or_else(|error| panic!("{message}: {error}"))
}

/// Why a process ended, as its monitor tells; fails when it doesn't.
pub async fn down(cx: &mut Context, monitor: Ref) -> ExitReason {
    let down = cx.await_down_timeout(monitor, LIMIT).await;
    down.expect("a DOWN in time").reason
}

/// Why a process ended, as its link tells; fails when it doesn't.
pub async fn exit(cx: &mut Context, pid: Pid) -> ExitReason {
    let exit = cx.receive_where(LIMIT, |message| {
        message.exit().filter(|exit| exit.from == pid)
    });
    exit.await.expect("an EXIT in time").reason
}

/// A process that waits for ever.
pub async fn idle(mut cx: Context) {
    loop {
        cx.receive().await;
    }
}

/// Panics when it is dropped.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("boom");
    }
}

/// Polls its future with a waker of its own, and only when that was woken, as collections of
/// futures do.
pub struct Foreign<F> {
    future: F,
    pub flag: Arc<Flag>,
}

#[derive(Default)]
pub struct Flag {
    pub woken: AtomicBool,
    outer: Mutex<Option<Waker>>,
    /// Dropped with the last waker.
    pub cargo: Mutex<Option<Box<dyn std::any::Any + Send>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let outer = self.outer.lock().unwrap().clone();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

impl<F> Foreign<F> {
    pub fn new(future: F) -> Self {
        let flag = Arc::new(Flag::default());
        flag.woken.store(true, Ordering::SeqCst);
        Self { future, flag }
    }
}

impl<F: Future + Unpin> Future for Foreign<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<F::Output> {
        *self.flag.outer.lock().unwrap() = Some(task.waker().clone());
        if !self.flag.woken.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.flag));
        Pin::new(&mut self.future).poll(&mut task::Context::from_waker(&waker))
    }
}
