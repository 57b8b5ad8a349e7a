//! Maps: looking up, putting one by one, making at once. `benches/peers/maps.escript` does the same on the BEAM.
//!
//! Times are per key. The keys looked up are copies of those in the map, in an order of their own.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use otp_heap::{Atom, Builder, OwnedTerm, to_term};

const SIZES: [usize; 3] = [10, 100, 100_000];

/// The keys of a kind in no order, all in one tuple.
fn keys(kind: &str, size: usize) -> OwnedTerm {
    let mut builder = Builder::new();
    for index in 0..size {
        // A step that has no factor in common with any size goes to each index once.
        let number = (index * 7919 + 3) % size;
        match kind {
            "integer" => builder.integer(number as i64),
            "binary" => builder.bytes(format!("key:{number}")),
            "atom" => builder.atom(Atom::new(&format!("key_{number}")).unwrap()),
            _ => builder.value(&(number / 10, number % 10)),
        };
    }
    builder.finish_tuple(()).unwrap()
}

fn made(keys: &OwnedTerm) -> OwnedTerm {
    let mut builder = Builder::new();
    let keys = keys.root().as_tuple().unwrap();
    for (number, key) in keys.iter().enumerate() {
        builder.term(key).integer(number as i64);
    }
    builder.map(keys.len());
    builder.finish(()).unwrap()
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, kind: &str, size: usize) {
    let keys = keys(kind, size);
    let map = made(&keys);
    group.throughput(Throughput::Elements(size as u64));
    group.bench_function(format!("get/{kind}/{size}"), |bencher| {
        bencher.iter(|| {
            let map = black_box(&map).root().as_map().unwrap();
            let keys = keys.root().as_tuple().unwrap().iter();
            keys.map(|key| map.get(key).unwrap().as_i64().unwrap())
                .sum::<i64>()
        })
    });
    group.bench_function(format!("put/{kind}/{size}"), |bencher| {
        bencher.iter(|| {
            let mut builder = Builder::new();
            builder.map(0);
            for key in black_box(&keys).root().as_tuple().unwrap() {
                builder.term(key).integer(0).map_put();
            }
            builder.finish(()).unwrap()
        })
    });
    group.bench_function(format!("make/{kind}/{size}"), |bencher| {
        bencher.iter(|| made(black_box(&keys)))
    });
    group.bench_function(format!("iterate/{kind}/{size}"), |bencher| {
        bencher.iter(|| {
            let map = black_box(&map).root().as_map().unwrap();
            map.iter().map(|pair| pair.1.as_i64().unwrap()).sum::<i64>()
        })
    });
}

fn maps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("maps");
    group.sample_size(20);
    for kind in ["integer", "binary", "atom", "tuple"] {
        for size in SIZES {
            bench(&mut group, kind, size);
        }
    }
    group.finish();
    // A small message's map, for what a flat map must not cost.
    let pairs: std::collections::BTreeMap<&str, u32> =
        [("a", 1), ("b", 2), ("c", 3), ("d", 4)].into();
    criterion.bench_function("encode_map_of_4", |bencher| {
        bencher.iter(|| to_term(black_box(&pairs)).unwrap())
    });
}

criterion_group!(benches, maps);
criterion_main!(benches);
