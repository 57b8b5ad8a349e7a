//! A message within a VM: serialised, sent, received, decoded.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use otp_vm::{Pid, Vm};
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Add { from: Pid, number: u64 },
}

/// A process sends to itself: no switch between processes.
fn to_itself(vm: &Vm, rounds: u64) -> Duration {
    let run = vm.run(move |mut cx| async move {
        let began = Instant::now();
        for number in 0..rounds {
            cx.send(
                cx.pid(),
                &Request::Add {
                    from: cx.pid(),
                    number,
                },
            )
            .expect("a pid needs no name");
            let Request::Add {
                number: received, ..
            } = cx.receive().await.decode().expect("its own message");
            assert_eq!(received, number);
        }
        began.elapsed()
    });
    run.wait().expect("the process answers")
}

/// A process sends to another, which answers: two messages, two switches.
fn to_another(vm: &Vm, rounds: u64) -> Duration {
    let run = vm.run(move |mut cx| async move {
        let adder = cx.spawn_link(|mut cx| async move {
            loop {
                let Request::Add { from, number } = cx.receive().await.decode().expect("a request");
                if number == u64::MAX {
                    return;
                }
                cx.send(from, &(number + 1)).expect("a pid needs no name");
            }
        });
        let adder = adder.expect("room for one");
        let began = Instant::now();
        for number in 0..rounds {
            cx.send(
                adder,
                &Request::Add {
                    from: cx.pid(),
                    number,
                },
            )
            .expect("a pid needs no name");
            let sum: u64 = cx.receive().await.decode().expect("a number");
            assert_eq!(sum, number + 1);
        }
        let elapsed = began.elapsed();
        cx.send(
            adder,
            &Request::Add {
                from: cx.pid(),
                number: u64::MAX,
            },
        )
        .expect("a pid needs no name");
        elapsed
    });
    run.wait().expect("the process answers")
}

fn send_receive(criterion: &mut Criterion) {
    let vm = Vm::builder().name("bench").build().expect("a VM");
    let mut group = criterion.benchmark_group("send_receive");
    group.bench_function("to_itself", |bencher| {
        bencher.iter_custom(|rounds| to_itself(&vm, rounds))
    });
    group.bench_function("to_another_and_back", |bencher| {
        bencher.iter_custom(|rounds| to_another(&vm, rounds))
    });
    group.finish();
    vm.shutdown(Duration::from_secs(1)).wait();
}

criterion_group!(benches, send_receive);
criterion_main!(benches);
