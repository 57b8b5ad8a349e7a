//! Wakers are the program's code: what their clones and drops do, and that they panic, holds nobody up and loses
//! nothing.

mod common;

use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;

use common::{next, scheduler};
use otp_scheduler::{Interest, Registration, block_on, yield_now};

/// What happens to a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    Clone,
    Drop,
}

type Hook = Box<dyn Fn(Touch) + Send + Sync>;

const TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, |_| (), release);

/// A waker that calls the hook before it is cloned and after it was dropped.
fn hooked(hook: impl Fn(Touch) + Send + Sync + 'static) -> Waker {
    let hook: Arc<Hook> = Arc::new(Box::new(hook));
    // SAFETY: the functions of the table keep to the contract: each waker has a reference of its own.
    unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(hook).cast(), &TABLE)) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker's reference, which stays its own.
    let hook = ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Hook>()) });
    hook(Touch::Clone);
    RawWaker::new(Arc::into_raw(Arc::clone(&*hook)).cast(), &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker's reference, consumed.
    unsafe { release(data) };
}

unsafe fn release(data: *const ()) {
    // SAFETY: the waker's reference, consumed.
    let hook = unsafe { Arc::from_raw(data.cast::<Hook>()) };
    hook(Touch::Drop);
}

/// Fails if it does not come to its end.
fn within_the_limit<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (out, done) = mpsc::channel();
    thread::spawn(move || out.send(test()));
    next(&done)
}

/// The awaited task ends, on its scheduler, while a clone of the waker is made, or the one before is dropped.
fn ends_during(touch: Touch) -> (Poll<u32>, bool) {
    within_the_limit(move || {
        let scheduler = scheduler(1);
        let ends = Arc::new(AtomicBool::new(false));
        let alive = Arc::new(());
        let mut handle = scheduler.spawn({
            let (ends, alive) = (Arc::clone(&ends), Arc::clone(&alive));
            async move {
                while !ends.load(Ordering::Relaxed) {
                    yield_now().await;
                }
                drop(alive);
                7
            }
        });
        let waker = hooked(move |touched| {
            if touched != touch || ends.swap(true, Ordering::Relaxed) {
                return;
            }
            while Arc::strong_count(&alive) > 1 {
                thread::yield_now();
            }
            // The only scheduler comes to this one when it is through with the other.
            scheduler.spawn(async {}).wait().expect("it runs");
        });
        let mut polls = |waker: &Waker| Pin::new(&mut handle).poll(&mut Context::from_waker(waker));
        let first = polls(&waker);
        let polled = match touch {
            Touch::Clone => first,
            Touch::Drop => polls(Waker::noop()),
        };
        (polled.map(|result| result.unwrap()), handle.is_finished())
    })
}

#[test]
fn a_task_may_end_while_the_waker_that_waits_for_it_is_cloned() {
    assert_eq!(ends_during(Touch::Clone), (Poll::Ready(7), true));
}

#[test]
fn a_task_may_end_while_the_waker_before_is_dropped() {
    assert_eq!(ends_during(Touch::Drop), (Poll::Pending, true));
}

/// Nothing is ready: the other end of the pair, which must stay, says nothing.
fn registered() -> (Arc<Registration>, impl Sized) {
    let scheduler = scheduler(1);
    let (mut source, other) = mio::net::UnixStream::pair().expect("a pair of sockets");
    let registered = scheduler.register(&mut source, Interest::READABLE | Interest::WRITABLE);
    let registration = registered.expect("it is registered");
    // The poller tells of the free buffer once, by an event that comes later than this.
    block_on(std::future::poll_fn(|cx| {
        let ready = registration.readiness();
        registration.clear_ready(ready, Interest::READABLE);
        registration.poll_ready(cx, Interest::WRITABLE)
    }))
    .expect("this may block");
    registration.clear_ready(registration.readiness(), Interest::READABLE);
    (Arc::new(registration), (scheduler, source, other))
}

#[test]
fn a_waker_may_ask_the_same_source_when_it_is_cloned_and_dropped() {
    within_the_limit(|| {
        let (registration, _kept) = registered();
        let touches = Arc::new(AtomicUsize::new(0));
        let waker = {
            let (registration, touches) = (Arc::clone(&registration), Arc::clone(&touches));
            hooked(move |_| {
                touches.fetch_add(1, Ordering::Relaxed);
                let mut cx = Context::from_waker(Waker::noop());
                let asked = registration.poll_ready(&mut cx, Interest::READABLE);
                assert_eq!(asked, Poll::Pending);
            })
        };
        for _ in 0..2 {
            let mut cx = Context::from_waker(&waker);
            let asked = registration.poll_ready(&mut cx, Interest::READABLE);
            assert_eq!(asked, Poll::Pending);
        }
        assert!(touches.load(Ordering::Relaxed) > 0);
    });
}

/// Panics when it is cloned for the `n`-th time.
fn breaks_at(n: usize) -> Waker {
    let clones = AtomicUsize::new(0);
    hooked(move |touch| {
        if touch == Touch::Clone {
            assert_ne!(clones.fetch_add(1, Ordering::Relaxed) + 1, n, "no clone");
        }
    })
}

#[test]
fn a_waker_that_panics_when_it_is_cloned_leaves_no_timer_behind() {
    let scheduler = scheduler(1);
    for n in 1..=2 {
        let mut sleep = pin!(scheduler.sleep_until(u64::MAX / 4));
        let waker = breaks_at(n);
        let mut cx = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| sleep.as_mut().poll(&mut cx)));
        assert!(polled.is_err());
        assert_eq!(scheduler.figures().timers, 0);
    }
}

#[test]
fn a_waker_that_panics_when_it_is_cloned_loses_no_closure() {
    let scheduler = scheduler(1);
    let mut blocking = scheduler.blocking(|| 7);
    let waker = breaks_at(1);
    let polled = catch_unwind(AssertUnwindSafe(|| {
        Pin::new(&mut blocking).poll(&mut Context::from_waker(&waker))
    }));
    assert!(polled.is_err());
    assert_eq!(block_on(blocking), Ok(Ok(7)));
}
