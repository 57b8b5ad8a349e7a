//! Who looks how long others are kept waiting: a process of high priority, and a bare thread to compare with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use otp_vm::{Context, Priority, Ref, SpawnOptions};

/// From one beat to the next.
const BEAT: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    late: AtomicU64,
    bare_late: AtomicU64,
}

pub(super) struct Beat {
    shared: Arc<Shared>,
    ticker: Ref,
    thread: JoinHandle<()>,
}

impl Beat {
    pub(super) fn begin(cx: &Context) -> Self {
        let shared = Arc::new(Shared::default());
        let options = SpawnOptions::new().priority(Priority::High).monitor();
        let beating = Arc::clone(&shared);
        let ticker = cx
            .spawn_opt(options, |cx| async move {
                while !beating.is_over.load(Ordering::Relaxed) {
                    let due = Instant::now() + BEAT;
                    cx.sleep(BEAT).await;
                    note(&beating.late, due);
                }
            })
            .expect("room for the ticker");
        let beating = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !beating.is_over.load(Ordering::Relaxed) {
                let due = Instant::now() + BEAT;
                thread::sleep(BEAT);
                note(&beating.bare_late, due);
            }
        });
        Self {
            shared,
            ticker: ticker.monitor.expect("a monitor was asked for"),
            thread,
        }
    }

    /// How late the ticker was at worst, and the bare thread.
    pub(super) async fn end(self, cx: &mut Context) -> (Duration, Duration) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        cx.await_down(self.ticker).await;
        let thread = self.thread;
        cx.blocking(move || thread.join())
            .await
            .expect("the closure runs")
            .expect("a thread that sleeps does not panic");
        let worst = |late: &AtomicU64| Duration::from_nanos(late.load(Ordering::Relaxed));
        (worst(&self.shared.late), worst(&self.shared.bare_late))
    }
}

fn note(late: &AtomicU64, due: Instant) {
    late.fetch_max(due.elapsed().as_nanos() as u64, Ordering::Relaxed);
}
