//! What a message costs: encoding, decoding, copying.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use otp_heap::{Block, OwnedTerm, Pid, Ref, atoms, from_term, to_block, to_term};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Request {
    Get(u64),
    Put(u64, u64),
    Delete(u64),
    Stop,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: u64,
    name: String,
    size: u32,
    owner: Pid,
    active: bool,
}

fn messages(criterion: &mut Criterion) {
    let request = Request::Put(1, 2);
    criterion.bench_function("enum_encode_decode", |bencher| {
        bencher.iter(|| {
            let block = to_block([0_u64; 2], black_box(&request)).unwrap();
            from_term::<Request>(block.root()).unwrap()
        })
    });
    criterion.bench_function("enum_encode_drop", |bencher| {
        bencher.iter(|| to_block([0_u64; 2], black_box(&request)).unwrap())
    });
    let block = to_term(&request).unwrap();
    criterion.bench_function("enum_decode", |bencher| {
        bencher.iter(|| from_term::<Request>(black_box(&block).root()).unwrap())
    });
    let (pid, reference) = (Pid::from_parts(1, 2), Ref::from_u64(3));
    criterion.bench_function("gen_call_encode_drop", |bencher| {
        bencher.iter(|| {
            let call = (atoms::GEN_CALL, (pid, reference), black_box(&request));
            to_block([0_u64; 2], &call).unwrap()
        })
    });
    let entry = Entry {
        id: 1,
        name: "entry".into(),
        size: 2,
        owner: pid,
        active: true,
    };
    criterion.bench_function("struct_encode_decode", |bencher| {
        bencher.iter(|| {
            let block = to_block([0_u64; 2], black_box(&entry)).unwrap();
            from_term::<Entry>(block.root()).unwrap()
        })
    });
    criterion.bench_function("struct_encode_drop", |bencher| {
        bencher.iter(|| to_block([0_u64; 2], black_box(&entry)).unwrap())
    });
}

fn copies(criterion: &mut Criterion) {
    let rows: Vec<(u64, (bool, f64), Vec<u8>)> = (0..1000)
        .map(|n| (n, (true, n as f64), vec![1, 2]))
        .collect();
    let term = to_term(&rows).unwrap();
    let name = format!("copy_root_{}_words", term.root().words());
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| OwnedTerm::copy_of((), black_box(&term).root()).unwrap())
    });
    criterion.bench_function("copy_root_into_a_tuple", |bencher| {
        bencher.iter(|| to_term(&(1, black_box(&term))).unwrap())
    });
    let wrapped = to_term(&(1, &term)).unwrap();
    criterion.bench_function("copy_part", |bencher| {
        bencher.iter(|| {
            let part = black_box(&wrapped)
                .root()
                .as_tuple()
                .unwrap()
                .get(1)
                .unwrap();
            Block::copy_of((), part).unwrap()
        })
    });
}

criterion_group!(benches, messages, copies);
criterion_main!(benches);
