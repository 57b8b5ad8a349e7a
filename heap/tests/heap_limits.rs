//! The room of a heap: its limit, for which what lives counts and garbage does not, and the least that it keeps.

use otp_heap::{Heap, HeapError, SnapshotError, to_term};

#[test]
fn a_limit_counts_what_lives() {
    let mut heap = Heap::with_max_bytes(8 * 1000);
    let list = |len: usize| to_term(&vec![7; len]).unwrap();
    let error = heap.keep(list(501).root()).unwrap_err();
    assert_eq!(error, HeapError::Full { max_bytes: 8000 });
    assert!(error.to_string().contains("8000 bytes"), "{error}");
    for _ in 0..10 {
        let root = heap.keep(list(500).root()).unwrap();
        heap.release(root).unwrap();
    }
    let root = heap.keep(list(400).root()).unwrap();
    assert_eq!(heap.keep(list(101).root()).unwrap_err(), error);
    let mut builder = heap.builder();
    builder.root(&root);
    for n in 0..101 {
        builder.integer(n);
    }
    builder.list(101).tuple(2);
    assert_eq!(builder.keep().unwrap_err(), error);
    assert_eq!(heap.root_count(), 1);
    heap.collect();
    assert_eq!(heap.words(), 800);
    let second = heap.keep(list(100).root()).unwrap();
    let bytes = heap.snapshot([&root, &second]).unwrap();
    assert_eq!(
        heap.restore(&bytes),
        Err(SnapshotError::Full { max_bytes: 8000 })
    );
    heap.release(second).unwrap();
    assert_eq!(heap.get(&root).unwrap().list_len(), Some(400));
    heap.set_max_bytes(16_000);
    assert_eq!(heap.max_bytes(), 16_000);
    assert_eq!(heap.restore(&bytes).unwrap().len(), 2);
    // A term far over the limit is refused before it is copied.
    assert!(heap.keep(list(1_000_000).root()).is_err());
    assert!(heap.bytes() < 100_000);
}

#[test]
fn a_term_that_fits_is_kept_whatever_it_is_part_of() {
    for len in 1..200 {
        let pair = to_term(&(1, vec![(1.5, len); len])).unwrap();
        let part = pair.root().as_tuple().unwrap().get(1).unwrap();
        let mut heap = Heap::with_max_bytes(8 * part.words());
        let root = heap.keep(part).unwrap();
        assert_eq!(heap.get(&root), Some(part));
        let mut heap = Heap::with_max_bytes(8 * part.words() - 8);
        assert!(matches!(heap.keep(part), Err(HeapError::Full { .. })));
    }
}

#[test]
fn garbage_does_not_count_when_the_limit_is_lowered() {
    let list = |len: usize| to_term(&vec![7; len]).unwrap();
    let mut heap = Heap::new();
    let garbage = |heap: &mut Heap| {
        heap.set_max_bytes(1 << 20);
        let root = heap.keep(list(1000).root()).unwrap();
        heap.collect();
        heap.release(root).unwrap();
        heap.set_max_bytes(8 * 400);
        assert!(!heap.is_full());
    };
    garbage(&mut heap);
    let root = heap.keep(list(100).root()).unwrap();
    garbage(&mut heap);
    let mut builder = heap.builder();
    builder.integer(1).root(&root).cons();
    let longer = builder.keep().unwrap();
    let bytes = heap.snapshot([&longer]).unwrap();
    heap.release(root).unwrap();
    heap.release(longer).unwrap();
    garbage(&mut heap);
    assert_eq!(heap.restore(&bytes).unwrap().len(), 1);
    assert_eq!(heap.words(), 202);
}

#[test]
fn a_heap_with_a_minimum_keeps_its_room_until_it_is_shrunk() {
    const MIN: usize = 10_000;
    let mut heap = Heap::new();
    heap.set_min_words(233);
    assert_eq!(heap.bytes(), 0, "what every heap starts with");
    heap.set_min_words(MIN);
    let room = heap.bytes();
    assert!((MIN * 8..MIN * 8 + 1000).contains(&room), "{room}");
    let kept = heap.keep(to_term(&(1, 2)).unwrap().root()).unwrap();
    while heap.words() < MIN - 4 {
        let garbage = heap.keep(to_term(&(1, 2, 3)).unwrap().root()).unwrap();
        heap.release(garbage).unwrap();
    }
    assert_eq!((heap.is_full(), heap.collections()), (false, 0));
    heap.collect();
    assert_eq!(heap.words(), 3);
    assert!(heap.bytes() >= MIN * 8, "{}", heap.bytes());
    heap.shrink_to_fit();
    assert!(heap.bytes() < 1000, "{}", heap.bytes());
    assert_eq!(heap.get(&kept).unwrap().to_string(), "{1,2}");
    // It can be had again, also by one that is emptied.
    heap.set_min_words(MIN);
    heap.release(kept).unwrap();
    heap.collect();
    assert_eq!(heap.words(), 0);
    assert!(heap.bytes() >= MIN * 8, "{}", heap.bytes());
    heap.set_min_words(0);
    heap.collect();
    assert_eq!(heap.bytes(), 0);
    heap.set_min_words(MIN);
    heap.shrink_to_fit();
    assert_eq!(heap.bytes(), 0);
    // However much is asked for, not all of it is made at once.
    heap.set_min_words(usize::MAX);
    assert!(heap.bytes() < 200 << 20, "{}", heap.bytes());
}
