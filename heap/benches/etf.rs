//! Terms of 100 kB to the external format and back, beside `benches/peers/etf.escript`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use otp_heap::etf::{self, DecodeOptions, EncodeOptions, Encoder};
use otp_heap::{Atom, Binary, Builder, OwnedTerm};

/// Pushes what the rows of each shape are made of.
struct Row<'a>(&'a mut Builder<()>);

impl Row<'_> {
    fn key(&mut self, name: &str) -> &mut Self {
        self.0.atom(Atom::new(name).expect("a short name"));
        self
    }

    fn keys(&mut self, names: &[&str]) -> &mut Self {
        names.iter().for_each(|name| {
            self.key(name);
        });
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.bytes(text);
        self
    }
}

fn atoms(row: &mut Row<'_>, id: i64) {
    row.key("id").0.integer(id);
    row.keys(&["kind", "order", "status", "active"]);
    row.keys(&["priority", "high", "region", "europe"]);
    row.keys(&["flags", "urgent", "paid", "shipped"]).0.list(3);
    row.keys(&["owner", "type", "customer", "level", "gold"])
        .0
        .map(2);
    row.keys(&["state", "pending"]).0.integer(id % 7);
    row.key("undefined").0.tuple(3).map(8);
}

fn strings(row: &mut Row<'_>, id: i64) {
    row.key("id").0.integer(id);
    row.key("name").text(&format!("customer number {id}"));
    row.key("email")
        .text(&format!("customer.{id}@mail.example.com"));
    row.key("street")
        .text(&format!("A Street With Quite A Long Name {}", id % 100));
    row.key("note")
        .text("please ring twice, the bell is broken");
    row.key("tags")
        .text("regular")
        .text("newsletter")
        .text("priority mail");
    row.0.list(3).map(6);
}

fn numbers(row: &mut Row<'_>, id: i64) {
    let builder = &mut row.0;
    builder
        .integer(id)
        .integer(id * 1000)
        .integer(id * 1_000_000_000_000);
    builder.float(id as f64 / 3.0);
    builder
        .integer(id % 200)
        .integer(id % 90)
        .integer(id + 70_000)
        .list(3);
    builder.tuple(5);
}

fn rows(count: i64, row: fn(&mut Row<'_>, i64)) -> OwnedTerm {
    let mut builder = Builder::new();
    (1..=count).for_each(|id| row(&mut Row(&mut builder), id));
    builder.list(count as usize);
    builder.finish(()).expect("it is within the limits")
}

fn external(criterion: &mut Criterion) {
    for (name, term) in [
        ("atoms", rows(560, atoms)),
        ("strings", rows(340, strings)),
        ("numbers", rows(1900, numbers)),
    ] {
        let bytes = etf::term_to_binary(term.root()).expect("it has a format");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("encode", |bencher| {
            bencher.iter(|| etf::term_to_binary(black_box(&term).root()))
        });
        group.bench_function("encode_minor_version_1", |bencher| {
            let options = EncodeOptions::new().minor_version(etf::MinorVersion::One);
            bencher.iter(|| etf::encode(black_box(&term).root(), &options))
        });
        let mut room = Vec::new();
        group.bench_function("encode_into_a_used_buffer", |bencher| {
            bencher.iter(|| {
                let mut out = std::mem::take(&mut room);
                out.clear();
                let mut encoder =
                    Encoder::append(out, black_box(&term).root(), &EncodeOptions::new());
                encoder.step(usize::MAX).expect("it has a format");
                room = encoder.finish();
            })
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| etf::binary_to_term(black_box(&bytes)))
        });
        let shared = Binary::from(bytes.clone());
        group.bench_function("decode_shared", |bencher| {
            bencher.iter(|| etf::decode_shared((), black_box(&shared), &DecodeOptions::new()))
        });
        group.finish();
    }
    let mut builder = Builder::new();
    builder.atom(otp_heap::atoms::OK).integer(7).tuple(2);
    let term = builder.finish(()).expect("it is within the limits");
    let bytes = etf::term_to_binary(term.root()).expect("it has a format");
    criterion.bench_function("small/encode", |bencher| {
        bencher.iter(|| etf::term_to_binary(black_box(&term).root()))
    });
    criterion.bench_function("small/decode", |bencher| {
        bencher.iter(|| etf::binary_to_term(black_box(&bytes)))
    });
}

criterion_group!(benches, external);
criterion_main!(benches);
