//! Any bytes as a snapshot: restored or refused; what was restored is sound, and a snapshot again.
//!
//! Some are a real snapshot with a few of its words changed, which goes deeper than the fuzzer's own bytes.
#![no_main]

use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use otp_heap::{Heap, Root, to_term};
use otp_heap_fuzz::{Maker, byte, limit_atoms, number, walk};

/// Bytes of living terms that the heap may have.
const HEAP_BYTES_MAX: usize = 1 << 20;

/// Terms that are looked at in a restored one: what is shared may look like any number.
const TERMS_MAX: usize = 20_000;

/// Bytes of a word of a snapshot.
const WORD_BYTES: usize = 8;

fuzz_target!(
    init: limit_atoms(),
    |data: &[u8]| {
        let mut input = Unstructured::new(data);
        let (choice, max_bytes) = (byte(&mut input), byte(&mut input));
        let bytes = match choice % 4 {
            0 => data.to_vec(),
            1 => [&b"otp-heap\x01\0\0\0\0\0\0\0"[..], input.take_rest()].concat(),
            _ => forged(&mut input, choice / 4),
        };
        let mut heap = Heap::with_max_bytes(HEAP_BYTES_MAX >> (max_bytes % 16));
        let before = heap.keep(to_term(&("before", 1)).unwrap().root());
        let words = heap.words();
        match heap.restore(&bytes) {
            Ok(roots) => {
                let snapshot = check(&heap, &roots);
                // It lives through a collection, and through being written and read.
                while heap.collection().step(100) > 0 && heap.is_full() {}
                heap.collect();
                assert!(heap.words() * 8 <= heap.max_bytes());
                assert_eq!(check(&heap, &roots), snapshot);
                let mut other = Heap::new();
                let again = other.restore(&snapshot).unwrap();
                assert_eq!(check(&other, &again), snapshot);
                for (root, again) in roots.iter().zip(&again) {
                    let (left, right) = (heap.get(root).unwrap(), other.get(again).unwrap());
                    if walk(left, TERMS_MAX) {
                        assert!(left == right);
                    }
                }
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(heap.words() <= words);
            }
        }
        if let Ok(before) = before {
            assert_eq!(heap.get(&before).unwrap().to_string(), r#"{<<"before">>,1}"#);
        }
    }
);

fn check(heap: &Heap, roots: &[Root]) -> Vec<u8> {
    for root in roots {
        let term = heap.get(root).unwrap();
        walk(term, TERMS_MAX);
        let _ = term.display_limited(1000).to_string();
    }
    heap.snapshot(roots).unwrap()
}

/// The snapshot of a random term, with some of its words changed.
fn forged(input: &mut Unstructured<'_>, changes: usize) -> Vec<u8> {
    let changes: Vec<[u64; 2]> = (0..changes % 16)
        .map(|_| [number(input), number(input)])
        .collect();
    let mut heap = Heap::new();
    let root = heap.keep(Maker::default().term(input, 100).root()).unwrap();
    let mut bytes = heap.snapshot([&root]).unwrap();
    for [place, value] in changes {
        let words = bytes.len() / WORD_BYTES;
        if words == 0 {
            // Cut off before.
            break;
        }
        let word_at = |place: u64| place as usize % words * WORD_BYTES;
        let (at, from) = (word_at(place >> 4), word_at(value));
        let old = u64::from_le_bytes(bytes[at..at + WORD_BYTES].try_into().unwrap());
        let new = match place % 16 {
            0..4 => old.wrapping_add(1),
            4..8 => old.wrapping_sub(1),
            8 | 9 => old ^ 1 << (value % 64),
            10 | 11 => old.wrapping_add(value),
            12 => value,
            13 => {
                bytes.truncate(bytes.len().saturating_sub(value as usize % 16));
                continue;
            }
            _ => u64::from_le_bytes(bytes[from..from + WORD_BYTES].try_into().unwrap()),
        };
        bytes[at..at + WORD_BYTES].copy_from_slice(&new.to_le_bytes());
    }
    bytes
}
