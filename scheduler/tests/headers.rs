//! Tasks of an owner's: bare headers in memory that outlives them.

mod common;

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::{Header, Policy, Priority, Scheduler, Step, VTable};

/// A task whose steps are written down before. It tells each run.
#[repr(C)]
struct Scripted {
    header: Header,
    script: &'static [Action],
    runs: AtomicU32,
    told: mpsc::Sender<u32>,
}

#[derive(Clone, Copy)]
enum Action {
    Step(Step),
    Panic,
}

static VTABLE: VTable = VTable {
    run,
    bound: None,
    name: None,
};

unsafe fn run(header: NonNull<Header>) -> Step {
    // SAFETY: all headers with this table are those of a `Scripted`, which is never freed.
    let task = unsafe { header.cast::<Scripted>().as_ref() };
    let run = task.runs.fetch_add(1, Ordering::Relaxed);
    let action = task.script.get(run as usize).copied();
    task.told.send(run + 1).expect("the test listens");
    match action.unwrap_or(Action::Step(Step::Idle)) {
        Action::Step(step) => step,
        Action::Panic => panic!("a task's own"),
    }
}

/// Type-stable memory: leaked, as small as it is.
fn task(
    scheduler: &Scheduler,
    script: &'static [Action],
) -> (&'static Scripted, NonNull<Header>, mpsc::Receiver<u32>) {
    let (told, runs) = mpsc::channel();
    let task: &'static mut Scripted = Box::leak(Box::new(Scripted {
        header: Header::new(scheduler, &VTABLE),
        script,
        runs: AtomicU32::new(0),
        told,
    }));
    let pointer = NonNull::from(&mut *task).cast();
    // SAFETY: leaked just now; shared from here on.
    (unsafe { pointer.cast().as_ref() }, pointer, runs)
}

#[test]
fn a_task_that_yields_runs_again_and_one_that_is_idle_waits() {
    let scheduler = scheduler(1);
    let (_, pointer, runs) = task(&scheduler, &[Action::Step(Step::Yield); 3]);
    // SAFETY: the memory is never freed.
    unsafe { scheduler.wake(pointer) };
    for run in 1..=4 {
        assert_eq!(next(&runs), run);
    }
    // The fourth run was idle: the fifth comes of a wake alone.
    scheduler.spawn(async {}).wait().unwrap();
    assert!(runs.try_recv().is_err());
    // SAFETY: as above; the scheduler lives.
    unsafe { Header::wake(pointer) };
    assert_eq!(next(&runs), 5);
}

#[test]
fn a_task_that_is_done_is_left_alone_until_its_memory_is_used_again() {
    let scheduler = scheduler(1);
    let (task, pointer, runs) = task(&scheduler, &[Action::Step(Step::Done)]);
    // SAFETY: the memory is never freed.
    unsafe { scheduler.start(pointer) };
    assert_eq!(next(&runs), 1);
    // SAFETY: as above: a stale wake.
    unsafe { scheduler.wake(pointer) };
    scheduler.spawn(async {}).wait().unwrap();
    assert!(runs.try_recv().is_err());
    // SAFETY: it is done, and nothing of it is to be written anew.
    unsafe { task.header.reset() };
    // SAFETY: as above.
    unsafe { scheduler.wake(pointer) };
    assert_eq!(next(&runs), 2);
}

#[test]
fn a_run_that_unwinds_is_counted_and_its_task_given_up() {
    let scheduler = scheduler(1);
    let (_, pointer, runs) = task(&scheduler, &[Action::Panic]);
    // SAFETY: the memory is never freed.
    unsafe { scheduler.wake(pointer) };
    assert_eq!(next(&runs), 1);
    scheduler.spawn(async {}).wait().unwrap();
    // Printing the panic may take so long that the task is bound by then, and others run first.
    let begun = Instant::now();
    let panics = || {
        let figures = scheduler.figures();
        figures.schedulers[0].panics + figures.bound_panics
    };
    while panics() == 0 {
        assert!(begun.elapsed() < LIMIT, "the panic is not counted");
        std::thread::yield_now();
    }
    assert_eq!(panics(), 1);
    // SAFETY: as above.
    unsafe { scheduler.wake(pointer) };
    scheduler.spawn(async {}).wait().unwrap();
    assert!(runs.try_recv().is_err());
}

/// Threads wake the former and the present task of the same memory; the present one ends all the same, each time.
#[test]
fn stale_wakes_do_no_harm() {
    const LIVES: u32 = 2_000;
    let scheduler = scheduler(2);
    let (task, pointer, runs) = task(&scheduler, &[]);
    let address = pointer.as_ptr() as usize;
    let noise: Vec<_> = (0..2)
        .map(|_| {
            let scheduler = scheduler.clone();
            thread::spawn(move || {
                for _ in 0..LIVES {
                    let pointer = NonNull::new(address as *mut Header).expect("not null");
                    // SAFETY: the memory is never freed.
                    unsafe { scheduler.wake(pointer) };
                    thread::yield_now();
                }
            })
        })
        .collect();
    for thread in noise {
        thread.join().unwrap();
    }
    // Every wake so far was counted or served; one more is served for certain.
    let before = task.runs.load(Ordering::Acquire);
    // SAFETY: as above.
    unsafe { scheduler.wake(pointer) };
    while next(&runs) <= before {}
}

/// As [`Scripted`], with one slice that lasts until it is told to end.
#[repr(C)]
struct Long {
    header: Header,
    count: AtomicU64,
    stop: AtomicBool,
    bound: AtomicU32,
}

impl Long {
    fn start(scheduler: &Scheduler) -> (&'static Long, NonNull<Header>) {
        static VTABLE: VTable = VTable {
            run: Long::run,
            bound: Some(Long::bound),
            name: None,
        };
        let task: &'static mut Long = Box::leak(Box::new(Long {
            header: Header::new(scheduler, &VTABLE),
            count: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            bound: AtomicU32::new(0),
        }));
        let pointer = NonNull::from(&mut *task).cast();
        // SAFETY: leaked, idle, and made for this scheduler.
        unsafe { scheduler.wake(pointer) };
        // SAFETY: leaked just now; shared from here on.
        (unsafe { pointer.cast().as_ref() }, pointer)
    }

    unsafe fn run(header: NonNull<Header>) -> Step {
        // SAFETY: the table is that of a `Long`, which is never freed.
        let task = unsafe { header.cast::<Long>().as_ref() };
        let begun = Instant::now();
        while !task.stop.load(Ordering::Relaxed) && begun.elapsed() < 3 * LIMIT {
            task.count.fetch_add(1, Ordering::Relaxed);
        }
        Step::Done
    }

    unsafe fn bound(header: NonNull<Header>) {
        // SAFETY: as above.
        let task = unsafe { header.cast::<Long>().as_ref() };
        task.bound.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_owner_of_a_task_is_told_that_it_was_bound_and_may_condemn_its_thread() {
    let scheduler = scheduler(1);
    let (doomed, pointer) = Long::start(&scheduler);
    until("it is told", || doomed.bound.load(Ordering::Relaxed) == 1);
    assert!(scheduler.bound_thread(pointer).is_some());
    assert_eq!(scheduler.figures().condemned, 0);
    scheduler.condemn(pointer);
    scheduler.condemn(pointer);
    assert_eq!(scheduler.figures().condemned, 1);
    // Where nothing else is to be run it gets on: by more than its share beside others.
    let before = doomed.count();
    until("it gets on", || doomed.count() > before + 1000);

    let (other, other_pointer) = Long::start(&scheduler);
    until("both are bound", || scheduler.figures().bound == 2);
    let (before, other_before) = (doomed.count(), other.count());
    until("it gets a turn now and then", || {
        other.count() - other_before > 1_000_000 && doomed.count() > before
    });
    // Programs of others may keep either from its core for a while; in the long run the share is small.
    until("its share is small", || {
        let (made, other_made) = (doomed.count() - before, other.count() - other_before);
        other_made > 20_000_000 && made < other_made / 5
    });

    doomed.stop.store(true, Ordering::Relaxed);
    until("its thread comes back", || {
        let figures = scheduler.figures();
        (figures.bound, figures.condemned) == (1, 0)
    });
    assert_eq!(scheduler.bound_thread(pointer), None);
    assert!(scheduler.bound_thread(other_pointer).is_some());
    // Nobody's any more.
    scheduler.condemn(pointer);
    assert_eq!(scheduler.figures().condemned, 0);
    other.stop.store(true, Ordering::Relaxed);
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
}

/// Starts the task on a thread of its own, which is bound when this answers, and waits for its turn.
fn start_native(scheduler: &Scheduler, pointer: NonNull<Header>) {
    let place = scheduler.native_place().expect("a place");
    // SAFETY: the memory is never freed; no slice of the task was started.
    unsafe { place.start(pointer) };
    let begun = Instant::now();
    while scheduler.bound_thread(pointer).is_none() {
        assert!(begun.elapsed() < LIMIT, "it is not known as bound");
        thread::yield_now();
    }
}

/// Keeps the only scheduler from giving turns until the flag is set: an urgent task goes before all bound threads.
fn held() -> (Scheduler, Arc<AtomicBool>) {
    let scheduler = scheduler(1);
    let release = Arc::new(AtomicBool::new(false));
    let released = Arc::clone(&release);
    let (began, begin) = mpsc::channel();
    scheduler.spawn_at(Priority::High, async move {
        began.send(()).expect("the test listens");
        let begun = Instant::now();
        while !released.load(Ordering::Relaxed) && begun.elapsed() < LIMIT {
            otp_scheduler::yield_now().await;
        }
    });
    next(&begin);
    (scheduler, release)
}

#[test]
fn a_native_task_that_waits_for_its_first_turn_has_its_priority() {
    let (scheduler, release) = held();
    let (told, order) = mpsc::channel();
    for (priority, runs) in [(Priority::Low, 100), (Priority::Normal, 200)] {
        let task: &'static mut Scripted = Box::leak(Box::new(Scripted {
            header: Header::new(&scheduler, &VTABLE),
            script: &[],
            runs: AtomicU32::new(runs),
            told: told.clone(),
        }));
        task.header.set_priority(priority);
        start_native(&scheduler, NonNull::from(task).cast());
    }
    release.store(true, Ordering::Relaxed);
    assert_eq!([next(&order), next(&order)], [201, 101]);
}

#[test]
fn a_native_task_that_waits_for_its_first_turn_can_be_condemned() {
    let (scheduler, release) = held();
    let (_, pointer, runs) = task(&scheduler, &[Action::Step(Step::Done)]);
    start_native(&scheduler, pointer);
    scheduler.condemn(pointer);
    assert_eq!(scheduler.figures().condemned, 1);
    release.store(true, Ordering::Relaxed);
    assert_eq!(next(&runs), 1);
}

/// Runs until it is released.
#[repr(C)]
struct Held {
    header: Header,
    begun: AtomicBool,
    release: AtomicBool,
}

static HOLDS: VTable = VTable {
    run: hold,
    bound: None,
    name: None,
};

unsafe fn hold(header: NonNull<Header>) -> Step {
    // SAFETY: all headers with this table are those of a `Held`, which is never freed.
    let held = unsafe { header.cast::<Held>().as_ref() };
    held.begun.store(true, Ordering::SeqCst);
    while !held.release.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    Step::Done
}

/// A `join` knows of it also while its thread is made, when nobody but the maker does. Else it would answer that all is
/// over, or wait for the thread without a limit.
#[test]
fn join_names_native_tasks_that_are_about_to_run() {
    for round in 0..200 {
        let scheduler = scheduler(1);
        let task: &'static mut Held = Box::leak(Box::new(Held {
            header: Header::new(&scheduler, &HOLDS),
            begun: AtomicBool::new(false),
            release: AtomicBool::new(false),
        }));
        let pointer = NonNull::from(&mut *task).cast();
        // SAFETY: leaked just now; shared from here on.
        let task: &'static Held = unsafe { pointer.cast().as_ref() };
        let place = scheduler.native_place().expect("a place");
        // SAFETY: the memory is never freed; no slice of the task was started.
        unsafe { place.start(pointer) };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(round) {}
        scheduler.stop();
        let joiner = scheduler.clone();
        let (out, joined) = mpsc::channel();
        thread::spawn(move || out.send(joiner.join(Duration::from_millis(5))));
        let is_over = next(&joined).is_ok();
        task.release.store(true, Ordering::SeqCst);
        scheduler.join(LIMIT).expect("no thread is left");
        assert!(!is_over || !task.begun.load(Ordering::SeqCst));
    }
}

/// Counts the CPU time of its thread, until it is told to stop.
#[repr(C)]
struct Burner {
    header: Header,
    cpu_ns: AtomicU64,
    stop: AtomicBool,
}

static BURNS: VTable = VTable {
    run: burn,
    bound: None,
    name: None,
};

unsafe fn burn(header: NonNull<Header>) -> Step {
    // SAFETY: all headers with this table are those of a `Burner`, which is never freed.
    let burner = unsafe { header.cast::<Burner>().as_ref() };
    let begun = Instant::now();
    while !burner.stop.load(Ordering::Relaxed) && begun.elapsed() < LIMIT {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: a valid place for the answer.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        let ns = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
        burner.cpu_ns.store(ns, Ordering::Relaxed);
    }
    Step::Done
}

/// It has a turn when it is let go, and nobody else who is bound waits for one.
#[test]
fn who_is_let_go_within_a_turn_does_not_go_on_beside_the_others() {
    let built = Scheduler::builder()
        .schedulers(1)
        .kernel_policy(Policy::Normal)
        .build();
    let scheduler = built.expect("worker threads start");
    let burner: &'static Burner = Box::leak(Box::new(Burner {
        header: Header::new(&scheduler, &BURNS),
        cpu_ns: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    }));
    let pointer = NonNull::from(burner).cast();
    // SAFETY: the memory is never freed.
    unsafe { scheduler.start(pointer) };
    let spent = || burner.cpu_ns.load(Ordering::Relaxed);
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < LIMIT, "{what}: {:?}", scheduler.figures());
            thread::sleep(Duration::from_millis(1));
        }
    };
    until("it is not bound", &|| scheduler.figures().bound == 1);
    let before = spent();
    until("it has no turn", &|| spent() > before);
    scheduler.condemn(pointer);
    let stop = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU64::new(0));
    let others: Vec<_> = (0..3)
        .map(|_| {
            let (stop, rounds) = (Arc::clone(&stop), Arc::clone(&rounds));
            scheduler.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    rounds.fetch_add(1, Ordering::Relaxed);
                    otp_scheduler::yield_now().await;
                }
            })
        })
        .collect();
    until("the others don't run", &|| {
        rounds.load(Ordering::Relaxed) > 1000
    });
    let (begun, before) = (Instant::now(), spent());
    until("no time passes", &|| {
        begun.elapsed() > Duration::from_secs(1)
    });
    let (lasted, used) = (begun.elapsed(), Duration::from_nanos(spent() - before));
    burner.stop.store(true, Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    for other in others {
        other.wait().expect("it ends by the flag");
    }
    until("it is still bound", &|| scheduler.figures().bound == 0);
    // A turn of a millisecond in 32.
    assert!(used < lasted / 5, "{used:?} of {lasted:?}");
}
