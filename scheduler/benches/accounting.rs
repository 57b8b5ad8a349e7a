//! What the accounting allocator costs: an allocation and its release through it, on a scheduler thread and off it, and
//! by mimalloc called directly.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use otp_scheduler::{AccountingAllocator, Scheduler};

#[global_allocator]
static ALLOCATOR: AccountingAllocator = AccountingAllocator;

/// Blocks that live at once: an allocation is seldom freed at once.
const KEPT: usize = 16;

/// The time of so many allocations and releases.
#[inline(never)]
fn pairs(allocator: &impl GlobalAlloc, size: usize, rounds: u64) -> Duration {
    let layout = black_box(Layout::from_size_align(size, 8).expect("a layout"));
    let mut kept = [std::ptr::null_mut(); KEPT];
    let start = Instant::now();
    for _ in 0..rounds / KEPT as u64 {
        // SAFETY: the size is not zero, and each block is freed once, with its layout.
        unsafe {
            for place in &mut kept {
                *place = black_box(allocator.alloc(layout));
            }
            for &block in &kept {
                allocator.dealloc(block, layout);
            }
        }
    }
    start.elapsed()
}

fn accounting(criterion: &mut Criterion) {
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .name("bench")
        .build()
        .expect("worker threads start");
    let mut group = criterion.benchmark_group("allocate and free");
    for size in [16, 64, 1024] {
        let on_scheduler = |work: fn(usize, u64) -> Duration, rounds| {
            let task = scheduler.spawn(async move { work(size, rounds) });
            task.wait().expect("the work ends")
        };
        group.bench_function(BenchmarkId::new("mimalloc", size), |bencher| {
            bencher.iter_custom(|rounds| {
                on_scheduler(|size, rounds| pairs(&MiMalloc, size, rounds), rounds)
            });
        });
        group.bench_function(BenchmarkId::new("accounting", size), |bencher| {
            bencher.iter_custom(|rounds| {
                on_scheduler(
                    |size, rounds| pairs(&AccountingAllocator, size, rounds),
                    rounds,
                )
            });
        });
        group.bench_function(BenchmarkId::new("accounting, elsewhere", size), |bencher| {
            bencher.iter_custom(|rounds| pairs(&AccountingAllocator, size, rounds));
        });
    }
    group.finish();
}

criterion_group!(benches, accounting);
criterion_main!(benches);
