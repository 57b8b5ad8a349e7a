//! A `tracing` subscriber that panics at whatever it is told. It belongs to the program, so its tests are a program of
//! their own.

mod common;

use std::ops::ControlFlow;
use std::panic::panic_any;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::{Header, JoinError, Scheduler, Step, TaskName, VTable};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static EVENTS: AtomicU32 = AtomicU32::new(0);

struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target().starts_with("otp_scheduler") {
            EVENTS.fetch_add(1, Ordering::Relaxed);
            panic!("in the subscriber");
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Panics).expect("the first one");
    });
}

/// Runs tasks as before, and comes to its end.
fn is_sound(scheduler: &Scheduler) {
    let (done, is_done) = channel();
    scheduler.spawn(async move { done.send(()) });
    next(&is_done);
    scheduler.stop();
    assert_eq!(scheduler.join(LIMIT), Ok(()));
}

/// A payload, or anything else, that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

/// Of a task with a bare header.
#[repr(C)]
struct Bare {
    header: Header,
    told: Sender<&'static str>,
}

static PANICS: VTable = VTable {
    run: panics,
    bound: None,
    name: None,
};

unsafe fn panics(header: NonNull<Header>) -> Step {
    // SAFETY: all headers with this table are those of a `Bare`, which is never freed.
    let bare = unsafe { header.cast::<Bare>().as_ref() };
    bare.told.send("runs").expect("the test listens");
    panic_any(Bomb);
}

static IS_BOUND: VTable = VTable {
    run: spins,
    bound: Some(bound),
    name: None,
};

unsafe fn spins(_: NonNull<Header>) -> Step {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(50) {
        std::hint::spin_loop();
    }
    Step::Yield
}

unsafe fn bound(header: NonNull<Header>) {
    // SAFETY: as for `panics`.
    let bare = unsafe { header.cast::<Bare>().as_ref() };
    bare.told.send("bound").expect("the test listens");
    panic_any(Bomb);
}

static HAS_NO_NAME: VTable = VTable {
    run: spins,
    bound: None,
    name: Some(name_panics),
};

unsafe fn name_panics(_: NonNull<Header>) -> TaskName {
    panic_any(Bomb);
}

/// Tells, then panics.
struct Rings(Sender<()>);

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        self.0.send(()).expect("the test listens");
        panic_any(Bomb);
    }
}

#[test]
fn a_run_and_a_bound_hook_that_panic_leave_the_scheduler_sound() {
    install();
    for table in [&PANICS, &IS_BOUND] {
        let scheduler = scheduler(1);
        let (told, heard) = channel();
        let bare: &'static mut Bare = Box::leak(Box::new(Bare {
            header: Header::new(&scheduler, table),
            told,
        }));
        // SAFETY: the memory is never freed.
        unsafe { scheduler.start(NonNull::from(bare).cast()) };
        next(&heard);
        is_sound(&scheduler);
    }
}

#[test]
fn names_and_handlers_of_long_slices_that_panic_leave_the_reporter_sound() {
    install();
    let (told, heard) = channel();
    let built = Scheduler::builder()
        .schedulers(1)
        .long_schedule(Duration::from_millis(5), move |slice| {
            told.send(slice.task.name).expect("the test listens");
            panic_any(Bomb);
        })
        .build();
    let scheduler = built.expect("worker threads start");
    let task: &'static mut Header = Box::leak(Box::new(Header::new(&scheduler, &HAS_NO_NAME)));
    // SAFETY: the memory is never freed.
    unsafe { scheduler.start(NonNull::from(task)) };
    // It yields and runs again for ever.
    for _ in 0..3 {
        assert_eq!(next(&heard), "a task without a name");
    }
    is_sound(&scheduler);
}

#[test]
fn timers_that_panic_leave_the_scheduler_sound() {
    install();
    let scheduler = scheduler(1);
    let (told, heard) = channel();
    let others = told.clone();
    scheduler.start_timer(scheduler.now(), move |_: u64| {
        told.send("once").expect("the test listens");
        panic_any(Bomb);
    });
    let beats = scheduler.start_periodic(scheduler.now(), 1_000_000, move |_| {
        others.send("periodic").expect("the test listens");
        blows_up()
    });
    next(&heard);
    next(&heard);
    is_sound(&scheduler);
    assert_eq!(beats.expect("a period").cancel(), None, "it is over");
}

fn blows_up() -> ControlFlow<()> {
    panic_any(Bomb);
}

/// Of those who wait for the tasks that the end cancels each is told, whatever the wakers of the others do.
#[test]
fn wakers_that_panic_at_the_end_keep_nobody_from_being_told() {
    install();
    let scheduler = scheduler(1);
    let (rings, rung) = channel();
    let handles: Vec<_> = (0..8)
        .map(|_| {
            let mut handle = scheduler.spawn(async {
                let _bomb = Bomb;
                std::future::pending::<()>().await;
            });
            let waker = Waker::from(Arc::new(Rings(rings.clone())));
            let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            handle
        })
        .collect();
    is_sound(&scheduler);
    for mut handle in handles {
        next(&rung);
        let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Err(JoinError::Cancelled | JoinError::Panicked(_))) = polled else {
            panic!("not told: {polled:?}");
        };
    }
}

#[test]
fn closures_and_wakers_that_panic_on_blocking_threads_leave_the_pool_sound() {
    install();
    let built = Scheduler::builder()
        .schedulers(1)
        .blocking_threads(1)
        .build();
    let scheduler = built.expect("worker threads start");
    let (rings, rung) = channel();
    let mut first = scheduler.try_blocking(|| panic_any(Bomb)).expect("room");
    let waker = Waker::from(Arc::new(Rings(rings)));
    let polled: Poll<Result<(), _>> = Pin::new(&mut first).poll(&mut Context::from_waker(&waker));
    if polled.is_pending() {
        next(&rung);
    }
    // Nobody wants its result, whose destructor panics.
    drop(scheduler.try_blocking(|| Bomb).expect("room"));
    let (done, is_done) = channel();
    drop(scheduler.try_blocking(move || done.send(())).expect("room"));
    next(&is_done);
    is_sound(&scheduler);
    assert!(EVENTS.load(Ordering::Relaxed) > 0);
}
