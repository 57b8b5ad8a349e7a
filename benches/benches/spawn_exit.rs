//! A process's whole life: made, run, ended, and its end seen.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use otp_vm::{Context, Vm};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Makes `count` processes, then waits for their ends.
async fn wave(cx: &mut Context, count: u64) {
    for _ in 0..count {
        cx.spawn_monitor(|_| async {}).expect("room for a wave");
    }
    for _ in 0..count {
        let down = cx.receive().await.down().expect("only ends arrive");
        assert!(down.reason.is_normal());
    }
}

/// `total` processes in waves of `size`.
fn waves(vm: &Vm, total: u64, size: u64) -> Duration {
    let run = vm.run(move |mut cx| async move {
        let began = Instant::now();
        for _ in 0..total / size {
            wave(&mut cx, size).await;
        }
        wave(&mut cx, total % size).await;
        began.elapsed()
    });
    run.wait().expect("the process answers")
}

fn spawn_exit(criterion: &mut Criterion) {
    let vm = Vm::builder().name("bench").build().expect("a VM");
    let mut group = criterion.benchmark_group("spawn_exit");
    group.bench_function("one_at_a_time", |bencher| {
        bencher.iter_custom(|total| waves(&vm, total, 1))
    });
    group.bench_function("waves_of_1000", |bencher| {
        bencher.iter_custom(|total| waves(&vm, total, 1000))
    });
    group.finish();
    vm.shutdown(Duration::from_secs(1)).wait();
}

criterion_group!(benches, spawn_exit);
criterion_main!(benches);
