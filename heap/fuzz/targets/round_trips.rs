//! A random term is the same after every way out of a block and back.
#![no_main]

use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use otp_heap::etf::{self, DecodeOptions, Decoder, EncodeOptions, Encoder, MinorVersion};
use otp_heap::{
    Atom, Binary, Block, Heap, OwnedTerm, ParseOptions, Term, from_term, to_block, to_term,
};
use otp_heap_fuzz::{Maker, assert_same, byte, limit_atoms, walk};

fuzz_target!(
    init: limit_atoms(),
    |data: &[u8]| {
        let mut input = Unstructured::new(data);
        let (choice, budget) = (byte(&mut input), byte(&mut input));
        let term = Maker::default().term(&mut input, 400);
        let root = term.root();
        assert!(walk(root, usize::MAX));
        copied(&term);
        collected(root, budget);
        external(root, choice, budget);
        printed(root, budget);
        for part in root.as_tuple().unwrap() {
            let copy = OwnedTerm::copy_of((), part).unwrap();
            assert_same(copy.root(), part);
            assert_eq!(copy.root().words(), part.words());
        }
    }
);

fn copied(term: &OwnedTerm) {
    let root = term.root();
    let copy = Block::copy_of([7_u8; 40], root).unwrap();
    assert_same(copy.root(), root);
    assert_eq!(copy.root().words(), root.words());
    assert!(copy.with_header(1_u64).root() == root);
    // As part of a greater one, behind other words.
    let block = to_block((), &("before", term, 1)).unwrap();
    let part = block.root().as_tuple().unwrap().get(1).unwrap();
    assert_same(part, root);
    assert!(from_term::<OwnedTerm>(part).unwrap() == *term);
    assert!(to_term(term).unwrap() == *term);
}

fn collected(root: Term<'_>, budget: usize) {
    let mut heap = Heap::new();
    let garbage = heap.keep(root).unwrap();
    let kept = heap.keep(root).unwrap();
    heap.release(garbage).unwrap();
    let mut collection = heap.collection();
    while !collection.is_finished() {
        // Few steps for a large heap: each is a call.
        let work = collection.step(1 + budget * 16);
        assert!(work > 0 || collection.is_finished());
    }
    drop(collection);
    assert_same(heap.get(&kept).unwrap(), root);
    let snapshot = heap.snapshot([&kept]).unwrap();
    let restored = heap.restore(&snapshot).unwrap();
    assert_same(heap.get(&restored[0]).unwrap(), root);
    assert!(heap.snapshot(&restored).unwrap() == snapshot);
    let message = Block::copy_of((), heap.get(&kept).unwrap()).unwrap();
    assert!(message.root() == root);
}

fn external(root: Term<'_>, choice: usize, budget: usize) {
    let mut write = EncodeOptions::new();
    let mut read = DecodeOptions::new().depth_max(u32::MAX);
    if choice & 1 != 0 {
        write = write.minor_version(MinorVersion::One);
    }
    if choice & 2 != 0 {
        write = write.deterministic(true);
    }
    if choice & 4 != 0 {
        write = write.compressed((choice / 16) as u8);
    }
    if choice & 8 != 0 {
        let here = Atom::new("here@host").unwrap();
        write = write.node(here, 7);
        read = read.node(here, 7);
    }
    let bytes = etf::encode(root, &write).unwrap();
    let budget = budget * 16;
    let mut encoder = Encoder::append(b"before".to_vec(), root, &write);
    while !encoder.step(budget).unwrap().done {}
    assert!(encoder.finish() == [&b"before"[..], &bytes].concat());
    let (whole, used) = etf::decode((), &bytes, &read).unwrap();
    assert_eq!(used, bytes.len());
    assert_same(whole.root(), root);
    let input = Binary::from(&bytes[..]);
    for mut decoder in [Decoder::new(&bytes, &read), Decoder::shared(&input, &read)] {
        while !decoder.step(budget).unwrap().done {}
        assert!(decoder.finish(()).0.root() == root);
    }
    // Any part of it is too little.
    let less = bytes.len() * (choice / 16) / 16;
    assert!(etf::decode((), &bytes[..less], &read).is_err());
}

fn printed(root: Term<'_>, budget: usize) {
    let options = ParseOptions::new().depth_max(u32::MAX);
    let text = root.to_string();
    assert_same(options.parse(&text).unwrap().root(), root);
    let latin1 = root.display_latin1().to_string();
    assert_same(options.parse(&latin1).unwrap().root(), root);
    let cut = root.display_limited(budget).to_string();
    assert!(cut == text || cut.ends_with("...") && cut.len() <= budget + "...".len());
}
