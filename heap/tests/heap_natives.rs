//! Native resources on a process's heap: each is dropped once, whatever its destructor does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use otp_heap::{Block, CopyError, Heap, Native, Root, SnapshotError, Term, from_term, to_term};

/// Counts its drops, and does something there.
struct OnDrop<F: FnMut() + Send + 'static>(F);

impl<F: FnMut() + Send + 'static> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn counted(drops: &Arc<AtomicUsize>) -> impl Send + 'static {
    let drops = drops.clone();
    OnDrop(move || {
        drops.fetch_add(1, Ordering::Relaxed);
    })
}

fn keep_native(heap: &mut Heap, native: impl Send + 'static) -> Root {
    let mut builder = heap.builder();
    builder.value(&(Native::new(native), 1));
    builder.keep().unwrap()
}

#[test]
fn a_native_is_dropped_once_when_it_is_reached_no_more() {
    let drops = Arc::new(AtomicUsize::new(0));
    let count = || drops.load(Ordering::Relaxed);
    let mut heap = Heap::new();
    let (first, second) = (
        keep_native(&mut heap, counted(&drops)),
        keep_native(&mut heap, counted(&drops)),
    );
    let error = Block::copy_of((), heap.get(&first).unwrap()).unwrap_err();
    assert_eq!(error, CopyError::Native);
    assert_eq!(heap.snapshot([&first]), Err(SnapshotError::Native));
    heap.collect();
    assert_eq!(count(), 0);
    heap.release(first).unwrap();
    assert_eq!(count(), 0);
    for budget in [1, 1, 1, usize::MAX] {
        heap.collection().step(budget);
        assert_eq!(count(), 1);
    }
    heap.builder().value(&Native::new(counted(&drops)));
    assert_eq!(count(), 2, "what was built and not kept is dropped");
    assert!(heap.get(&second).is_some());
    drop(heap);
    assert_eq!(count(), 3);
}

#[test]
fn a_native_is_taken_out_of_the_heap() {
    let mut heap = Heap::new();
    let root = keep_native(&mut heap, String::from("here"));
    heap.collect();
    let (native, _): (Native<String>, u8) = from_term(heap.get(&root).unwrap()).unwrap();
    assert_eq!(native.into_inner().as_deref(), Some("here"));
    heap.collect();
    assert!(from_term::<(Native<String>, u8)>(heap.get(&root).unwrap()).is_err());
}

#[test]
fn destructors_may_panic_and_use_heaps_of_their_own() {
    let drops = Arc::new(AtomicUsize::new(0));
    let inner_drops = drops.clone();
    let wild = OnDrop(move || {
        let mut heap = Heap::new();
        let dead = keep_native(&mut heap, counted(&inner_drops));
        let root = heap
            .keep(to_term(&vec![1.5; 1000]).unwrap().root())
            .unwrap();
        heap.release(dead).unwrap();
        heap.collection().step(10);
        assert_eq!(heap.get(&root).unwrap().list_len(), Some(1000));
        drop(heap);
        panic!("in a destructor");
    });
    let mut heap = Heap::new();
    let roots = [
        keep_native(&mut heap, counted(&drops)),
        keep_native(&mut heap, wild),
        keep_native(&mut heap, counted(&drops)),
    ];
    let stays = heap
        .keep(to_term(&"a".repeat(100)).unwrap().root())
        .unwrap();
    for root in roots {
        heap.release(root).unwrap();
    }
    heap.collect();
    assert_eq!(drops.load(Ordering::Relaxed), 3);
    assert_eq!(heap.get(&stays).unwrap().as_str(), Some(&*"a".repeat(100)));
}

#[test]
fn native_keys_of_maps_are_found_after_they_moved() {
    for len in [20, 200] {
        let drops = Arc::new(AtomicUsize::new(0));
        let mut heap = Heap::new();
        let mut builder = heap.builder();
        for _ in 0..len {
            builder.value(&Native::new(counted(&drops)));
        }
        builder.tuple(len);
        let natives = builder.keep().unwrap();
        // Traced first, so a collection brings the natives into the order opposite to that of the map.
        let mut builder = heap.builder();
        for place in (0..len).rev() {
            builder.part(&natives, |all| all.as_tuple()?.get(place));
        }
        builder.tuple(len);
        let reversed = builder.keep().unwrap();
        let mut builder = heap.builder();
        for place in 0..len {
            builder.part(&natives, |all| all.as_tuple()?.get(place));
            builder.integer(place as i64);
        }
        builder.map(len);
        let map = builder.keep().unwrap();
        heap.release(natives).unwrap();
        for _ in 0..3 {
            heap.collect();
            let keys = heap.get(&reversed).unwrap().as_tuple().unwrap();
            let found = heap.get(&map).unwrap().as_map().unwrap();
            let values = keys.iter().map(|key| found.get(key).and_then(Term::as_i64));
            assert!(values.eq((0..len as i64).rev().map(Some)));
            let sorted = found.sorted();
            assert!(sorted.is_sorted_by(|left, right| left.0 < right.0));
            // Changed by its keys, too: halving goes by their order.
            let mut builder = heap.builder();
            builder.root(&map);
            builder.part(&reversed, |all| all.as_tuple()?.get(0));
            builder.integer(len as i64 - 1).map_put();
            let changed = builder.keep().unwrap();
            assert_eq!(heap.get(&changed), heap.get(&map));
            heap.release(changed).unwrap();
        }
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        drop(heap);
        assert_eq!(drops.load(Ordering::Relaxed), len);
    }
}
