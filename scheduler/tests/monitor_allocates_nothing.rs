//! The monitor takes schedulers away while some thread may hold the allocator's lock. So it allocates nothing: counted
//! by an allocator of this test's own, which is why the test is a program of its own.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::LIMIT;
use otp_scheduler::{Scheduler, yield_now};

/// The kernel's id of the thread whose allocations are counted.
static WATCHED: AtomicI32 = AtomicI32::new(0);
static COUNT: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count() {
    let watched = WATCHED.load(Ordering::Relaxed);
    // SAFETY: a call without arguments.
    if watched != 0 && unsafe { libc::gettid() } == watched {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A thread of this program by the end of its name.
fn thread_named(end: &str) -> i32 {
    let begun = Instant::now();
    loop {
        for thread in fs::read_dir("/proc/self/task").expect("it is there") {
            let path = thread.expect("it is there").path();
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            if name.trim_end().ends_with(end) {
                let id = path.file_name().expect("it has one").to_string_lossy();
                return id.parse().expect("a number");
            }
        }
        assert!(begun.elapsed() < LIMIT, "no thread is called {end}");
        std::thread::yield_now();
    }
}

#[test]
fn the_monitor_allocates_nothing() {
    const HOGS: usize = 40;
    // Some find no room, which is noted.
    let builder = Scheduler::builder().schedulers(2).max_bound(HOGS - 5);
    let scheduler = builder.name("n").build().expect("worker threads start");
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < LIMIT, "{what}: {:?}", scheduler.figures());
            std::thread::yield_now();
        }
    };
    // Once it has taken something away it is past its beginning.
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let first = scheduler.spawn(async move { while !stopped.load(Ordering::Relaxed) {} });
    until("nothing is taken away", &|| {
        scheduler.figures().taken_away > 0
    });
    stop.store(true, Ordering::Relaxed);
    first.wait().expect("it ends by the flag");
    WATCHED.store(thread_named("monitor"), Ordering::Relaxed);
    let stop = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..HOGS)
        .map(|n| {
            let stop = Arc::clone(&stop);
            scheduler.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if n % 4 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                yield_now().await;
            })
        })
        .collect();
    until("the limit is not reached", &|| {
        let figures = scheduler.figures();
        figures.bound == HOGS - 5 && figures.held_up > 0
    });
    stop.store(true, Ordering::Relaxed);
    until("somebody does not end", &|| {
        hogs.iter().all(|hog| hog.is_finished())
    });
    assert_eq!(COUNT.load(Ordering::Relaxed), 0);
    // It would count, if there were something to count.
    // SAFETY: a call without arguments.
    WATCHED.store(unsafe { libc::gettid() }, Ordering::Relaxed);
    drop(Box::new(1));
    assert!(COUNT.load(Ordering::Relaxed) > 0);
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
}
