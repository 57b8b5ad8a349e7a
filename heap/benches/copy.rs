//! What a word costs: a block's root, a part of a block, out of a process's heap, into it, and a collection.
//!
//! The term is a list of rows, each a list of ten tuples of three small integers. Throughput is in
//! words: 1 Gelem/s is 1 ns a word. Memory is what the allocator gives again, but in `first_touch`,
//! which writes as many words to pages that the kernel has yet to give.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use otp_heap::{Block, Heap, OwnedTerm, Term, to_term};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Words of a row, and of the cell that holds it.
const ROW_WORDS: usize = 62;

fn table(words: usize) -> OwnedTerm {
    let rows: Vec<Vec<(i64, i64, i64)>> = (0..(words / ROW_WORDS) as i64)
        .map(|row| (0..10).map(|n| (row, n, row + n)).collect())
        .collect();
    to_term(&rows).unwrap()
}

fn copies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("copy");
    for size in SIZES {
        let term = table(size);
        let words = term.root().words();
        group.throughput(Throughput::Elements(words as u64));
        group.bench_function(BenchmarkId::new("block_root", size), |bencher| {
            bencher.iter(|| OwnedTerm::copy_of((), black_box(&term).root()).unwrap())
        });
        let mut heap = Heap::new();
        let root = heap.keep(term.root()).unwrap();
        let small = to_term(&(1, 2)).unwrap();
        // A term that has its words to itself is copied as a block is, be there others or not; a part of one is walked.
        group.bench_function(BenchmarkId::new("heap_to_block", size), |bencher| {
            bencher.iter(|| Block::copy_of((), heap.get(black_box(&root)).unwrap()).unwrap())
        });
        let other = heap.keep(small.root()).unwrap();
        group.bench_function(BenchmarkId::new("one_of_heap_to_block", size), |bencher| {
            bencher.iter(|| Block::copy_of((), heap.get(black_box(&root)).unwrap()).unwrap())
        });
        heap.release(other).unwrap();
        let pair = to_term(&(1, &term)).unwrap();
        group.bench_function(BenchmarkId::new("part_to_block", size), |bencher| {
            bencher.iter(|| Block::copy_of((), second(black_box(&pair))).unwrap())
        });
        group.bench_function(BenchmarkId::new("block_to_heap", size), |bencher| {
            bencher.iter(|| {
                // Not the first term of the heap: that one would need no new offsets.
                let mut heap = Heap::new();
                let first = heap.keep(small.root()).unwrap();
                let second = heap.keep(black_box(&term).root()).unwrap();
                (heap, first, second)
            })
        });
        group.bench_function(BenchmarkId::new("part_to_heap", size), |bencher| {
            bencher.iter(|| {
                let mut heap = Heap::new();
                let first = heap.keep(small.root()).unwrap();
                let second = heap.keep(second(black_box(&pair))).unwrap();
                (heap, first, second)
            })
        });
        group.bench_function(BenchmarkId::new("collect", size), |bencher| {
            bencher.iter(|| heap.collect())
        });
        group.bench_function(BenchmarkId::new("words", size), |bencher| {
            bencher.iter(|| heap.get(black_box(&root)).unwrap().words())
        });
        group.bench_function(BenchmarkId::new("first_touch", size), |bencher| {
            bencher.iter_batched_ref(
                fresh_pages,
                |pages| pages[..words].fill(black_box(1)),
                BatchSize::PerIteration,
            )
        });
    }
    group.finish();
}

fn second(pair: &OwnedTerm) -> Term<'_> {
    pair.root().as_tuple().unwrap().get(1).unwrap()
}

/// Words of zeros that no one has written yet: so many that the system's allocator asks the kernel each time.
fn fresh_pages() -> Vec<u64> {
    vec![0; 5_000_000]
}

criterion_group!(benches, copies);
criterion_main!(benches);
