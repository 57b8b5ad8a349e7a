//! The cores that a scheduler's threads run on, and how many schedulers there are for them.

mod common;

use std::fs;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, scheduler};
use otp_scheduler::{Scheduler, block_on, checkpoint, current_scheduler, sleep, yield_now};

/// The cores that a thread of this program may use.
fn cores_of(task: &str) -> Vec<usize> {
    let status = fs::read_to_string(format!("/proc/{task}/status")).expect("the thread lives");
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("the kernel tells");
    let number = |text: &str| text.trim().parse::<usize>().expect("a number");
    list.split(',')
        .flat_map(|range| match range.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(range)..=number(range),
        })
        .collect()
}

fn cores() -> Vec<usize> {
    cores_of("thread-self")
}

fn pinned(schedulers: usize) -> Scheduler {
    Scheduler::builder()
        .schedulers(schedulers)
        .name("pinned")
        .pin(true)
        .build()
        .unwrap()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "too late: {what}");
        thread::yield_now();
    }
}

/// Has tasks run on every scheduler, which assert that it is on its core.
fn each_is_on_its_core(scheduler: &Scheduler) {
    let all = cores();
    let seen: Arc<Vec<AtomicU64>> = Arc::new(
        (0..scheduler.schedulers())
            .map(|_| AtomicU64::new(0))
            .collect(),
    );
    let begun = Instant::now();
    let tasks = (0..4 * scheduler.schedulers()).map(|_| {
        let (seen, all) = (Arc::clone(&seen), all.clone());
        scheduler.spawn(async move {
            while seen.iter().any(|count| count.load(Ordering::SeqCst) < 20)
                && begun.elapsed() < LIMIT
            {
                // A thread that the machine kept from running may be bound, or become so between the two looks.
                if let Some(here) = current_scheduler() {
                    let found = cores();
                    if current_scheduler() == Some(here) {
                        assert_eq!(found, [all[here % all.len()]], "scheduler {here}");
                        seen[here].fetch_add(1, Ordering::SeqCst);
                    }
                }
                yield_now().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.wait().unwrap();
    }
    assert!(
        seen.iter().all(|count| count.load(Ordering::SeqCst) >= 20),
        "{seen:?}"
    );
}

#[test]
fn each_scheduler_has_a_core_of_its_own_and_the_next_round_begins_with_the_first() {
    each_is_on_its_core(&pinned(cores().len() + 1));
}

/// Also the threads that take over from those that were bound.
#[test]
fn a_turn_is_on_the_core_of_the_scheduler_that_gives_it() {
    let scheduler = pinned(2);
    let all = cores();
    let stop = Arc::new(AtomicBool::new(false));
    let looks: Arc<[AtomicU64; 3]> = Arc::default();
    let hogs: Vec<_> = (0..3)
        .map(|number| {
            let (stop, looks, all) = (Arc::clone(&stop), Arc::clone(&looks), all.clone());
            scheduler.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let here = cores();
                    // One that the machine kept from its turn may pass for asleep.
                    if let [core] = here[..] {
                        assert!(all.iter().take(2).any(|&one| one == core), "{core}");
                        looks[number].fetch_add(1, Ordering::SeqCst);
                    }
                    if number == 0 {
                        checkpoint(100);
                    }
                    // Reading the file is the kernel's time; a task that does only that might seem to sleep.
                    for _ in 0..100_000 {
                        std::hint::spin_loop();
                    }
                }
            })
        })
        .collect();
    until("all are bound", || scheduler.figures().bound == 3);
    let before: Vec<u64> = looks
        .iter()
        .map(|look| look.load(Ordering::SeqCst))
        .collect();
    until("all get turns", || {
        looks
            .iter()
            .zip(&before)
            .all(|(look, before)| look.load(Ordering::SeqCst) > before + 3)
    });
    each_is_on_its_core(&scheduler);
    stop.store(true, Ordering::SeqCst);
    hogs.into_iter().for_each(|hog| hog.wait().unwrap());
    assert_eq!(scheduler.figures().pins_refused, 0);
}

/// True once the thread may use all these cores, at one moment: its next turn may pin it again.
fn is_seen_on(all: &[usize], rest: impl Fn()) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if cores() == all {
            return true;
        }
        rest();
    }
    false
}

#[test]
fn a_bound_thread_that_sleeps_in_the_kernel_may_wake_anywhere() {
    let scheduler = pinned(1);
    let all = cores();
    let woken = scheduler
        .spawn(async move { is_seen_on(&all, || thread::sleep(Duration::from_millis(20))) });
    assert_eq!(woken.wait(), Ok(true));
}

#[test]
fn helpers_pools_and_native_tasks_that_sleep_are_not_pinned() {
    let scheduler = pinned(1);
    let all = cores();
    assert_eq!(
        scheduler.try_blocking(cores).unwrap().wait(),
        Ok(all.clone())
    );
    let anywhere = all.clone();
    let native = scheduler.spawn_native(move || {
        // It comes back without a turn, if it used little lately.
        let rest = || block_on(sleep(Duration::from_millis(20))).unwrap();
        is_seen_on(&anywhere, rest)
    });
    assert_eq!(native.unwrap().wait(), Ok(true));
    let mut helpers = 0;
    for thread in fs::read_dir("/proc/self/task").unwrap() {
        let thread = thread.unwrap().file_name();
        let task = format!("self/task/{}", thread.to_str().unwrap());
        // Threads of other tests come and go.
        let Ok(name) = fs::read_to_string(format!("/proc/{task}/comm")) else {
            continue;
        };
        // The kernel keeps 15 letters of a name.
        if ["otp-pinned-moni", "otp-pinned-make"].contains(&name.trim()) {
            helpers += 1;
            assert_eq!(cores_of(&task), all, "{name}");
        }
    }
    assert!(helpers >= 2);
}

#[test]
fn nothing_is_pinned_unless_asked_for() {
    let scheduler = scheduler(2);
    assert_eq!(scheduler.spawn(async { cores() }).wait(), Ok(cores()));
}

/// Restricts the calling thread, and those that it makes, to one core.
fn keep_to_one_core() {
    // SAFETY: a set of no cores is all zero, and the number is that of a core; the set is a valid one of that size.
    let result = unsafe {
        let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init();
        libc::CPU_SET(*cores().last().unwrap(), &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    assert_eq!(result, 0);
}

#[test]
fn there_are_as_many_schedulers_as_cores_that_may_be_used() {
    let all = Scheduler::builder().build().unwrap();
    assert!(
        all.schedulers() <= cores().len(),
        "a container's quota may allow fewer"
    );
    let restricted = thread::spawn(|| {
        keep_to_one_core();
        let scheduler = Scheduler::builder().pin(true).build().unwrap();
        let here = scheduler.spawn(async { cores() }).wait().unwrap();
        (scheduler.schedulers(), here)
    });
    let last = *cores().last().unwrap();
    assert_eq!(restricted.join().unwrap(), (1, vec![last]));
}
