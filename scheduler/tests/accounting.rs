//! The accounting allocator, installed.

mod common;
#[path = "fairness/kinds.rs"]
#[allow(dead_code, reason = "one kind is enough here")]
mod kinds;
#[path = "fairness/rig.rs"]
#[allow(dead_code, reason = "shared with the fairness suite")]
mod rig;

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::cell::RefCell;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::{LIMIT, next, scheduler};
use otp_scheduler::{AccountingAllocator, allocated_bytes, counts_allocations, uncounted};
use rig::{Rig, alone};

#[global_allocator]
static ALLOCATOR: AccountingAllocator = AccountingAllocator;

/// The result of `work`, as a task.
fn in_task<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let scheduler = scheduler(1);
    let (result, results) = mpsc::channel();
    let task = scheduler.spawn(async move {
        // A panic is the test's.
        let _ = result.send(catch_unwind(AssertUnwindSafe(work)));
    });
    let outcome = next(&results);
    task.wait().expect("it ends");
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
    outcome.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

/// Fails unless the block is there and aligned.
fn checked(block: *mut u8, align: usize) -> *mut u8 {
    assert!(!block.is_null());
    assert_eq!(block.addr() % align, 0, "not aligned to {align}");
    black_box(block)
}

/// Bytes that `work` allocated, minus those that it freed.
fn change(work: impl FnOnce()) -> i64 {
    let before = allocated_bytes();
    work();
    allocated_bytes() - before
}

#[test]
fn counts_are_exact() {
    in_task(|| {
        assert!(counts_allocations());
        for (size, align) in [
            (1, 1),
            (24, 8),
            (24, 16),
            (1000, 8),
            (100, 4096),
            (3 << 20, 1 << 20),
        ] {
            let (size_of_it, larger) = (layout(size, align), layout(10 * size, align));
            // SAFETY: sizes that are not zero; each block is used and freed once, with its layout.
            unsafe {
                let mut block = std::ptr::null_mut();
                let expected = |bytes: usize| bytes as i64;
                assert_eq!(
                    change(|| block = checked(alloc(size_of_it), align)),
                    expected(size)
                );
                block.write_bytes(7, size);
                assert_eq!(
                    change(|| {
                        block = checked(realloc(block, size_of_it, larger.size()), align)
                    }),
                    expected(9 * size)
                );
                assert_eq!((*block, *block.add(size - 1)), (7, 7));
                assert_eq!(
                    change(|| block = checked(realloc(block, larger, size), align)),
                    -expected(9 * size)
                );
                assert_eq!((*block, *block.add(size - 1)), (7, 7));
                assert_eq!(change(|| dealloc(block, size_of_it)), -expected(size));
                assert_eq!(
                    change(|| block = checked(alloc_zeroed(size_of_it), align)),
                    expected(size)
                );
                let bytes = std::slice::from_raw_parts(block, size);
                assert!(bytes.iter().all(|&byte| byte == 0));
                assert_eq!(change(|| dealloc(block, size_of_it)), -expected(size));
            }
        }
    });
}

#[test]
fn blocks_that_grow_or_shrink_in_place_count_too() {
    in_task(|| {
        let (small, large) = (layout(20, 1), layout(24, 1));
        // SAFETY: as above.
        unsafe {
            let before = allocated_bytes();
            let block = checked(alloc(small), 1);
            let grown = realloc(block, small, large.size());
            assert_eq!(grown, block, "it fits");
            assert_eq!(allocated_bytes() - before, 24);
            let shrunk = realloc(grown, large, small.size());
            assert_eq!(shrunk, block, "it fits");
            assert_eq!(allocated_bytes() - before, 20);
            dealloc(shrunk, small);
            assert_eq!(allocated_bytes() - before, 0);
        }
    });
}

/// mimalloc is not told of small alignments.
#[test]
fn every_small_size_is_aligned_as_asked_for() {
    for align in [1, 2, 4, 8, 16, 32, 64] {
        for size in 1..2000 {
            let size_of_it = layout(size, align);
            // SAFETY: as above.
            let blocks: [_; 3] = std::array::from_fn(|turn| unsafe {
                let zeroed = turn == 1;
                let block = if zeroed {
                    alloc_zeroed(size_of_it)
                } else {
                    alloc(size_of_it)
                };
                checked(block, align)
            });
            for block in blocks {
                // SAFETY: as above.
                unsafe { dealloc(block, size_of_it) };
            }
        }
    }
}

#[test]
fn nothing_is_counted_where_no_task_runs() {
    let kept = black_box(vec![0_u8; 1000]);
    assert_eq!(allocated_bytes(), 0);
    drop(kept);
    assert_eq!(allocated_bytes(), 0);
    // Nor of what a task's threads of its own do.
    let other = in_task(|| {
        change(|| {
            let kept = thread::spawn(|| black_box(vec![0_u8; 1 << 20])).join();
            uncounted(|| drop(kept));
        })
    });
    assert!(other < 1 << 19, "{other} bytes");
}

#[test]
fn nothing_of_no_size_is_counted() {
    in_task(|| {
        assert_eq!(
            change(|| drop(black_box((Vec::<u8>::new(), vec![(); 100])))),
            0
        );
    });
}

#[test]
fn memory_that_cannot_be_had_is_not_counted() {
    in_task(|| {
        let too_much = layout(1 << 60, 8);
        assert_eq!(
            change(|| {
                // SAFETY: the size is not zero.
                assert!(black_box(unsafe { alloc(too_much) }).is_null());
                let mut bytes = black_box(Vec::<u8>::with_capacity(100));
                assert!(bytes.try_reserve_exact(1 << 60).is_err());
            }),
            0
        );
    });
}

#[test]
fn what_another_allocated_makes_it_negative() {
    let foreign = vec![0_u8; 5000];
    assert_eq!(in_task(move || change(|| drop(foreign))), -5000);
}

#[test]
fn uncounted_leaves_the_count_as_it_was() {
    in_task(|| {
        let mut kept = None;
        assert_eq!(
            change(|| kept = uncounted(|| Some(black_box(vec![0_u8; 1 << 20])))),
            0
        );
        assert_eq!(change(|| uncounted(|| drop(kept))), 0);
        // Through a panic, too; what the unwinder makes in there and frees out here is small.
        let through_panic = change(|| {
            let panic = catch_unwind(|| {
                uncounted(|| {
                    std::mem::forget(black_box(vec![0_u8; 1 << 20]));
                    std::panic::resume_unwind(Box::new(()));
                })
            });
            assert!(panic.is_err());
        });
        assert!(through_panic.abs() < 1 << 10, "{through_panic} bytes");
    });
    assert_eq!(uncounted(|| 7), 7);
}

/// Allocates when it is dropped.
struct AtTheEnd(mpsc::Sender<i64>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let kept: Vec<Vec<u8>> = (0..100).map(|size| black_box(vec![1; size])).collect();
        assert_eq!(
            kept[99].iter().map(|&byte| u64::from(byte)).sum::<u64>(),
            99
        );
        let _ = self.0.send(allocated_bytes());
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

#[test]
fn destructors_of_thread_locals_may_allocate() {
    let (ended, ends) = mpsc::channel();
    in_task(move || AT_THE_END.set(Some(AtTheEnd(ended))));
    // The thread has given its slot back by then.
    assert_eq!(next(&ends), 0);
}

#[test]
fn a_panic_leaves_the_thread_able_to_wait_at_its_gate() {
    let scheduler = scheduler(1);
    for _ in 0..100 {
        let panics = scheduler.spawn(async {
            let _kept = black_box(vec![0_u8; 100]);
            std::panic::resume_unwind(Box::new(String::from("a payload")));
        });
        assert!(panics.wait().is_err());
    }
    // Those threads lose the scheduler as ever.
    let stop = Arc::new(AtomicBool::new(false));
    let hogs = [0, 1].map(|_| {
        let stop = Arc::clone(&stop);
        scheduler.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        })
    });
    rig::until("both are bound", || scheduler.figures().bound == 2);
    stop.store(true, Ordering::Relaxed);
    for hog in hogs {
        hog.wait().expect("it ends by its flag");
    }
}

/// A task that is in the allocator nearly always loses its scheduler like any other, and its share is not more.
#[test]
fn endless_allocation_by_ten_stalls_nobody() {
    let _alone = alone();
    for largest in [1000, 200_000] {
        let mut rig = Rig::new(2);
        for _ in 0..10 {
            rig.hog(move |flag| kinds::allocation(flag, largest));
        }
        rig.until_all_have_begun();
        rig.watch(Duration::from_secs(2));
        println!(
            "blocks up to {largest} bytes: {:?}",
            rig.scheduler.figures()
        );
        rig.end();
    }
}
