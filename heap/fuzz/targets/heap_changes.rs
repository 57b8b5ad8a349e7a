//! A process's heap under random changes, beside the same terms in blocks of their own.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use otp_heap::{
    Block, Builder, Heap, HeapError, Native, OwnedTerm, Root, SnapshotError, Term, from_term,
};
use otp_heap_fuzz::{Maker, assert_same, byte, limit_atoms, number};

/// Words of the terms of the model together at most, so that an input takes little time.
const WORDS_MAX: usize = 100_000;

/// Operations of a program that makes one term.
const OPERATIONS: usize = 20;

fuzz_target!(
    init: limit_atoms(),
    |data: &[u8]| {
        let mut input = Unstructured::new(data);
        let mut model = Model::default();
        while !input.is_empty() {
            model.change(&mut input);
        }
        model.check();
        let Model { heap, natives, .. } = model;
        drop(heap);
        // Each resource was released once.
        assert_eq!(Arc::strong_count(&natives), 1);
    }
);

#[derive(Default)]
struct Model {
    maker: Maker,
    heap: Heap,
    /// Each root, with what it should be.
    kept: Vec<(Root, OwnedTerm)>,
    /// Roots of terms with one resource each, which is a count of this.
    holders: Vec<Root>,
    natives: Arc<()>,
}

impl Model {
    fn change(&mut self, input: &mut Unstructured<'_>) {
        match byte(input) % 16 {
            0 | 1 => self.keep(input),
            2..=4 => self.build(input),
            5 => {
                // Built and not kept.
                let mut builder = self.heap.builder();
                self.maker.push(&mut builder, input, OPERATIONS);
            }
            6 | 7 => {
                if let Some(index) = self.pick(input) {
                    let (root, _) = self.kept.swap_remove(index);
                    self.heap.release(root).unwrap();
                }
            }
            8 => self.collect(byte(input)),
            9 => self.snapshot(input),
            10 => self.heap.set_max_bytes((1 << 10) << (byte(input) % 16)),
            11 => {
                // A copy out of the heap, of all or a part.
                if let Some(index) = self.pick(input) {
                    let choice = byte(input);
                    let (root, model) = &self.kept[index];
                    let part = part(self.heap.get(root).unwrap(), choice);
                    let copy = Block::copy_of((), part).unwrap();
                    assert_same(copy.root(), self::part(model.root(), choice));
                }
            }
            12 | 13 => self.keep_native(),
            14 => {
                if let Some(root) = self.holders.pop() {
                    if byte(input) % 2 == 0 {
                        let term = self.heap.get(&root).unwrap();
                        assert!(Block::copy_of((), term).is_err());
                        assert_eq!(self.heap.snapshot([&root]), Err(SnapshotError::Native));
                        let (_, native) = from_term::<(u8, Native<Arc<()>>)>(term).unwrap();
                        assert!(Arc::ptr_eq(&native.into_inner().unwrap(), &self.natives));
                    }
                    self.heap.release(root).unwrap();
                }
            }
            _ => self.check(),
        }
    }

    fn pick(&self, input: &mut Unstructured<'_>) -> Option<usize> {
        let count = self.kept.len();
        (count > 0).then(|| byte(input) % count)
    }

    fn add(&mut self, root: Result<Root, HeapError>, term: OwnedTerm) {
        match root {
            Ok(root) => self.kept.push((root, term)),
            Err(error) => assert!(matches!(error, HeapError::Full { .. }), "{error}"),
        }
        let words: usize = self.kept.iter().map(|(_, term)| term.bytes() / 8).sum();
        if words > WORDS_MAX {
            self.check();
            for (root, _) in self.kept.drain(..) {
                self.heap.release(root).unwrap();
            }
        }
    }

    fn keep(&mut self, input: &mut Unstructured<'_>) {
        let term = self.maker.term(input, OPERATIONS);
        let root = self.heap.keep(term.root());
        self.add(root, term);
    }

    /// A tuple of new terms and of kept ones or parts of them, which are shared.
    fn build(&mut self, input: &mut Unstructured<'_>) {
        let program = input.peek_bytes(input.len()).unwrap_or_default();
        let mut expected = Builder::new();
        let count = self.maker.push(&mut expected, input, OPERATIONS);
        let mut builder = self.heap.builder();
        // It may have collected, but no root is other than it was.
        assert_eq!(
            self.maker
                .push(&mut builder, &mut Unstructured::new(program), OPERATIONS),
            count
        );
        let parts = byte(input) % 4;
        let mut taken = 0;
        for _ in 0..parts.min(self.kept.len()) {
            let (root, model) = &self.kept[number(input) as usize % self.kept.len()];
            let choice = byte(input);
            builder.part(root, |term| Some(part(term, choice)));
            expected.term(part(model.root(), choice));
            taken += 1;
        }
        builder.tuple(count + taken);
        let root = builder.keep();
        self.add(root, expected.finish_tuple(()).unwrap());
    }

    fn keep_native(&mut self) {
        let native = Native::new(self.natives.clone());
        let mut builder = self.heap.builder();
        builder.value(&(1_u8, &native));
        match builder.keep() {
            Ok(root) => self.holders.push(root),
            Err(error) => assert!(matches!(error, HeapError::Full { .. }), "{error}"),
        }
    }

    fn collect(&mut self, budget: usize) {
        let mut collection = self.heap.collection();
        // Some are not finished by hand.
        for _ in 0..10_000 {
            if collection.is_finished() {
                break;
            }
            let work = collection.step(budget);
            assert!(work > 0 || collection.is_finished());
        }
        drop(collection);
        assert_eq!(Arc::strong_count(&self.natives), 1 + self.holders.len());
        if self.kept.is_empty() && self.holders.is_empty() {
            assert_eq!(self.heap.bytes(), 0);
        }
    }

    fn snapshot(&mut self, input: &mut Unstructured<'_>) {
        let count = byte(input) % 4;
        let chosen: Vec<usize> = (0..count).filter_map(|_| self.pick(input)).collect();
        let roots = chosen.iter().map(|index| &self.kept[*index].0);
        let bytes = self.heap.snapshot(roots).unwrap();
        match self.heap.restore(&bytes) {
            Ok(roots) => {
                let models = chosen
                    .iter()
                    .map(|index| self.kept[*index].1.try_clone().unwrap());
                let models: Vec<OwnedTerm> = models.collect();
                assert_eq!(roots.len(), models.len());
                for (root, term) in roots.into_iter().zip(models) {
                    self.kept.push((root, term));
                }
            }
            Err(error) => assert!(matches!(error, SnapshotError::Full { .. }), "{error}"),
        }
    }

    fn check(&self) {
        assert_eq!(self.heap.root_count(), self.kept.len() + self.holders.len());
        for (root, term) in &self.kept {
            assert_same(self.heap.get(root).unwrap(), term.root());
        }
        for root in &self.holders {
            assert_eq!(self.heap.get(root).unwrap().to_string(), "{1,#Native<>}");
        }
    }
}

/// A term, or one of the terms in it.
fn part(term: Term<'_>, choice: usize) -> Term<'_> {
    let inner = term
        .as_tuple()
        .and_then(|tuple| tuple.iter().nth(choice / 4));
    let Some(inner) = inner.filter(|_| choice % 2 == 0) else {
        return term;
    };
    match (choice % 4, inner.as_cons(), inner.as_map()) {
        (2, Some(cons), _) => cons.tail(),
        (2, _, Some(map)) => map.sorted().last().map_or(inner, |pair| pair.1),
        _ => inner,
    }
}
