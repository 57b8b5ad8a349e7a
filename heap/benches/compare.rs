//! Equal terms of 1,000 words compared, and hashed. `benches/peers/compare.escript` does the same
//! on the BEAM. A walk (`exactly_equal`, `less`) takes no profit of how the terms lie; blocks that
//! were made alike (`equal_blocks`) need none.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use otp_heap::{Atom, Builder, OwnedTerm};

fn made(make: impl FnOnce(&mut Builder<()>)) -> OwnedTerm {
    let mut builder = Builder::new();
    make(&mut builder);
    builder.finish(()).unwrap()
}

fn list(builder: &mut Builder<()>) {
    for number in 1..=500 {
        builder.integer(number);
    }
    builder.list(500);
}

fn rows(builder: &mut Builder<()>) {
    for number in 1..=167 {
        builder
            .integer(number)
            .integer(number + 1)
            .integer(number + 2)
            .tuple(3);
    }
    builder.list(167);
}

fn tree(builder: &mut Builder<()>, levels: u32) {
    if levels == 0 {
        builder.integer(7);
        return;
    }
    for _ in 0..9 {
        tree(builder, levels - 1);
    }
    builder.tuple(9);
}

fn maps(builder: &mut Builder<()>) {
    let [id, size, kind, row] = ["id", "size", "kind", "row"].map(|name| Atom::new(name).unwrap());
    for number in 1..=100 {
        builder.atom(id).integer(number);
        builder.atom(size).integer(number + 1);
        builder.atom(kind).atom(row).map(3);
    }
    builder.list(100);
}

fn strings(builder: &mut Builder<()>) {
    for number in 1..=143 {
        let text = (1_000_000 + number).to_string();
        builder.integer(number).bytes(text).tuple(2);
    }
    builder.list(143);
}

fn shape(shape: &str) -> OwnedTerm {
    made(|builder| match shape {
        "list" => list(builder),
        "rows" => rows(builder),
        "tree" => tree(builder, 3),
        "maps" => maps(builder),
        _ => strings(builder),
    })
}

fn compare(criterion: &mut Criterion) {
    for name in ["list", "rows", "tree", "maps", "strings"] {
        let (left, right) = (shape(name), shape(name));
        let terms = || black_box((left.root(), right.root()));
        criterion.bench_function(&format!("exactly_equal/{name}"), |bencher| {
            bencher.iter(|| {
                let (left, right) = terms();
                left == right
            })
        });
        criterion.bench_function(&format!("equal_blocks/{name}"), |bencher| {
            bencher.iter(|| black_box(&left) == black_box(&right))
        });
        criterion.bench_function(&format!("less/{name}"), |bencher| {
            bencher.iter(|| {
                let (left, right) = terms();
                left.cmp_value(right)
            })
        });
        criterion.bench_function(&format!("phash2/{name}"), |bencher| {
            bencher.iter(|| terms().0.phash2())
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(700));
    targets = compare
}
criterion_main!(benches);
