//! A tokio runtime, and many tasks that begin at once.

use std::num::NonZero;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Time for what was just started to wait for its first message, before the clock starts: as `otp-vm bench` gives.
pub const SETTLE: Duration = Duration::from_millis(50);

/// How many cores there are: so many threads run actors.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Runs the driver of a workload as a task of a runtime with a worker for each core: on a worker, as a program's own
/// actors are, and not on the thread that waits for it.
pub fn block_on<F>(driver: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores())
        .enable_time()
        .build()
        .expect("the runtime starts");
    let output = runtime.block_on(async { tokio::spawn(driver).await });
    // Idle actors needn't be taken down one by one.
    runtime.shutdown_background();
    output.expect("the driver returns")
}

/// Tasks that wait to be told to begin all at once.
pub struct Gate {
    waiting: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Gate {
    /// Makes `count` tasks that will run `body` with their number, from 0.
    pub async fn new<B, F>(count: u64, body: B) -> Self
    where
        B: Fn(u64) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let wait_and_run = |number| {
            let (gate, opened) = oneshot::channel();
            let work = body(number);
            let task = tokio::spawn(async move {
                opened.await.expect("the gate opens");
                work.await;
            });
            (gate, task)
        };
        let waiting = (0..count).map(wait_and_run).collect();
        tokio::time::sleep(SETTLE).await;
        Self { waiting }
    }

    /// Lets them begin.
    pub fn open(self) -> Begun {
        let begin = |(gate, task): (oneshot::Sender<()>, _)| {
            gate.send(()).expect("the task waits at the gate");
            task
        };
        Begun(self.waiting.into_iter().map(begin).collect())
    }
}

/// Tasks that have begun.
pub struct Begun(Vec<JoinHandle<()>>);

impl Begun {
    /// Waits until all have returned.
    pub async fn all_done(self) {
        for task in self.0 {
            task.await.expect("the task does its work");
        }
    }
}

/// Runs `body` in `count` tasks at once, each with its number: the time from the opening of the gate until all have
/// returned.
pub async fn at_once<B, F>(count: u64, body: B) -> Duration
where
    B: Fn(u64) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let gate = Gate::new(count, body).await;
    let began = Instant::now();
    gate.open().all_done().await;
    began.elapsed()
}
