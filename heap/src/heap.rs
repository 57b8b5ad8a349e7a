//! A process's heap: terms that are kept, changed and dropped one by one.
//!
//! The words lie in a [`Space`], as those of a block that is being built: offsets, so the heap grows by reallocation,
//! and whole objects, so it can be walked. What is kept is reached from a table of roots. [`collect`] has the
//! collection.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::builder::{Builder, Making, Place};
use crate::encode::Encoder;
use crate::limits::{
    FIRST_WORDS, HEAP_BINARY_BYTES_MIN, HEAP_GROWTH, HEAP_ROOM_WORDS_MAX, HEAP_SHRINK,
    HEAP_WORDS_MAX, HEAP_WORDS_MIN,
};
use crate::raw::{Mark, Shape, Space};
use crate::term::Term;
use crate::word::{HEADER, Word};
use crate::{CopyError, EncodeError, HeapError, copy, off_heap};

mod collect;
mod snapshot;

pub use collect::Collection;

/// The terms that a process keeps: bump allocation, and a copying collection of what is no longer reached.
///
/// A term is copied in by [`Heap::keep`], or made in place by [`Heap::builder`], and stays until its [`Root`] is given
/// to [`Heap::release`]. An empty heap is 16 bytes and has allocated nothing.
///
/// ```
/// use otp_heap::{Block, Heap, to_term};
///
/// let mut heap = Heap::new();
/// let config = heap.keep(to_term(&("port", 8080))?.root())?;
///
/// // A tuple around the old term, which is not copied.
/// let mut builder = heap.builder();
/// builder.root(&config).integer(1).tuple(2);
/// let state = builder.keep()?;
/// heap.release(config).unwrap();
/// assert_eq!(heap.get(&state).unwrap().to_string(), r#"{{<<"port">>,8080},1}"#);
///
/// // Out of the heap, into a message.
/// let message = Block::copy_of((), heap.get(&state).unwrap())?;
/// # assert_eq!(message.root(), heap.get(&state).unwrap());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # When it collects
///
/// [`Heap::keep`] and [`Heap::builder`] first collect a heap that [is full](Heap::is_full): after a collection it may
/// grow to twice what was alive, and at least to 233 words. Who wants no pause asks `is_full` first, and collects by
/// [steps](Heap::collection). Nothing else collects, and no term moves meanwhile: the borrow of a [`Term`] sees to
/// that.
///
/// # No stale term
///
/// A term borrows the heap, and all that could move or drop it needs the heap mutably:
///
/// ```compile_fail,E0502
/// # use otp_heap::{Heap, atoms, to_term};
/// # let mut heap = Heap::new();
/// # let root = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// let term = heap.get(&root).unwrap();
/// heap.collect();
/// println!("{term}");
/// ```
/// ```compile_fail,E0502
/// # use otp_heap::{Heap, atoms, to_term};
/// # let mut heap = Heap::new();
/// # let root = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// let term = heap.get(&root).unwrap();
/// let other = heap.keep(term);
/// ```
/// ```compile_fail,E0502
/// # use otp_heap::{Heap, atoms, to_term};
/// # let mut heap = Heap::new();
/// # let root = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// let term = heap.get(&root).unwrap();
/// let builder = heap.builder();
/// println!("{term}");
/// ```
/// ```compile_fail,E0502
/// # use otp_heap::{Heap, atoms, to_term};
/// # let mut heap = Heap::new();
/// # let root = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// # let second = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// let term = heap.get(&root).unwrap();
/// heap.release(second);
/// println!("{term}");
/// ```
/// ```compile_fail,E0505
/// # use otp_heap::{Heap, atoms, to_term};
/// # let mut heap = Heap::new();
/// # let root = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// let term = heap.get(&root).unwrap();
/// drop(heap);
/// println!("{term}");
/// ```
///
/// A collection under way holds the heap, so nothing is seen half moved:
///
/// ```compile_fail,E0502
/// # use otp_heap::{Heap, atoms, to_term};
/// # let mut heap = Heap::new();
/// # let root = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// let mut collection = heap.collection();
/// let term = heap.get(&root);
/// collection.step(100);
/// ```
///
/// A root is released once:
///
/// ```compile_fail,E0382
/// # use otp_heap::{Heap, atoms, to_term};
/// # let mut heap = Heap::new();
/// # let root = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// heap.release(root);
/// heap.release(root);
/// ```
///
/// And what a builder looked at does not leave it:
///
/// ```compile_fail
/// # use otp_heap::{Heap, atoms, to_term};
/// # let mut heap = Heap::new();
/// # let root = heap.keep(to_term(&1).unwrap().root()).unwrap();
/// let mut seen = None;
/// let mut builder = heap.builder();
/// builder.part(&root, |term| { seen = Some(term); Some(term) });
/// println!("{:?}", seen.unwrap());
/// ```
pub struct Heap {
    inner: Option<Box<Inner>>,
    words_max: u32,
    collections: u32,
}

const _: () = assert!(size_of::<Heap>() == 16);

/// What a heap has once it is used.
struct Inner {
    /// Which heap of the program: its roots say the same.
    id: u64,
    making: Making,
    roots: Roots,
    /// Words from which the heap is full.
    collect_at: u32,
    /// Bytes of the shared binaries that the heap refers to; from how many it is full.
    binary_bytes: usize,
    collect_at_binary_bytes: usize,
    /// Words of the largest term that has its words to itself, as far as the heap knows.
    own_words: u32,
    /// Words under which this heap is never full; 0 for what every heap has.
    min_words: u32,
}

/// A term that has the words between two offsets to itself, or none of no words.
#[derive(Clone, Copy)]
struct Own {
    word: Word,
    start: u32,
    end: u32,
}

/// No header: the words begin right behind the fixed part.
const SHAPE: Shape = Shape::of::<()>();

/// Numbers the heaps of a program, so that a root is known by its heap. A heap takes a number when it is first used.
static HEAPS: AtomicU64 = AtomicU64::new(1);

/// A term kept on a [`Heap`]: what [`Heap::get`] finds it by. Keeps the term until [`Heap::release`], or as long as the
/// heap.
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use = "the heap keeps the term until the root is released"]
pub struct Root {
    heap: u64,
    slot: u32,
}

/// The words of the kept terms. A free slot holds the next free one as a header, which no term is.
struct Roots {
    slots: Vec<Word>,
    free: Option<u32>,
    count: u32,
}

impl Roots {
    const fn new() -> Roots {
        Roots {
            slots: Vec::new(),
            free: None,
            count: 0,
        }
    }

    fn insert(&mut self, word: Word) -> u32 {
        self.count += 1;
        match self.free {
            Some(slot) => {
                let next = std::mem::replace(&mut self.slots[slot as usize], word);
                self.free = (next.payload() != u64::from(u32::MAX)).then_some(next.offset());
                slot
            }
            None => {
                // A slot has 8 bytes: the memory ends before the numbers do.
                let slot = self.slots.len() as u32;
                assert!(slot < u32::MAX, "a heap has under 2^32 roots");
                self.slots.push(word);
                slot
            }
        }
    }

    #[inline]
    fn get(&self, slot: u32) -> Option<Word> {
        let word = *self.slots.get(slot as usize)?;
        (word.tag() != HEADER).then_some(word)
    }

    fn remove(&mut self, slot: u32) {
        if self.get(slot).is_some() {
            let next = self.free.unwrap_or(u32::MAX);
            self.slots[slot as usize] = Word::boxed(HEADER, next);
            self.free = Some(slot);
            self.count -= 1;
        }
    }
}

impl Default for Heap {
    fn default() -> Heap {
        Heap::new()
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("roots", &self.root_count())
            .field("words", &self.words())
            .field("binary_bytes", &self.binary_bytes())
            .finish_non_exhaustive()
    }
}

impl Heap {
    /// An empty heap, limited only by what offsets can tell apart (16 GiB).
    pub const fn new() -> Heap {
        Heap {
            inner: None,
            words_max: HEAP_WORDS_MAX,
            collections: 0,
        }
    }

    /// An empty heap whose living terms may take so many bytes. Mirrors `max_heap_size`.
    pub const fn with_max_bytes(max_bytes: usize) -> Heap {
        let mut heap = Heap::new();
        heap.set_max_bytes(max_bytes);
        heap
    }

    /// Sets the limit on living terms, in bytes, rounded down to words. Holds from the next addition on.
    ///
    /// Garbage does not count: when an addition passes the limit, a collection decides. Until then the words may take
    /// twice as much, and during a collection their copies come on top. An addition to a heap that is over its limit,
    /// because that was lowered, collects first.
    pub const fn set_max_bytes(&mut self, max_bytes: usize) {
        let words = max_bytes / size_of::<Word>();
        self.words_max = if words < HEAP_WORDS_MAX as usize {
            words as u32
        } else {
            HEAP_WORDS_MAX
        };
    }

    /// The limit on living terms, in bytes.
    pub const fn max_bytes(&self) -> usize {
        self.words_max as usize * size_of::<Word>()
    }

    /// Gives the heap room for so many words, and has it not be full with fewer. Mirrors `min_heap_size`.
    ///
    /// The room is made now, and after each collection, also of a heap that is empty then; [`Heap::shrink_to_fit`]
    /// gives it back. So many words as every heap starts with, 233, or fewer, take it back with the next collection. Of
    /// a very large room 128 MiB are made at once.
    ///
    /// ```
    /// # use otp_heap::{Heap, to_term};
    /// # let mut heap = Heap::new();
    /// heap.set_min_words(10_000);
    /// assert!(heap.bytes() >= 80_000);
    /// for _ in 0..1_000 {
    ///     let root = heap.keep(to_term(&(1, 2, 3))?.root())?;
    ///     heap.release(root).unwrap();
    /// }
    /// assert_eq!((heap.words(), heap.collections()), (4_000, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_min_words(&mut self, words: usize) {
        let words = words.min(HEAP_WORDS_MAX as usize) as u32;
        let words = if words > HEAP_WORDS_MIN { words } else { 0 };
        if words == 0 && self.inner.is_none() {
            return;
        }
        let inner = self.inner(0);
        inner.min_words = words;
        inner.collect_at = inner.collect_at.max(words);
        inner.make_room();
    }

    /// Gives back what is not in use, and the room of [`Heap::set_min_words`]. What is no longer reached is in use
    /// until it is collected.
    pub fn shrink_to_fit(&mut self) {
        let Some(inner) = &mut self.inner else { return };
        if inner.roots.count == 0 && inner.space().len() == 0 {
            self.inner = None;
            return;
        }
        inner.min_words = 0;
        inner.roots.slots.shrink_to_fit();
        let space = inner.making.0.space_mut();
        if space.capacity() > space.len().max(FIRST_WORDS) {
            space.resize(space.len().max(FIRST_WORDS));
        }
    }

    /// Bytes that the heap has allocated: words in use or not, and its tables. Shared binaries lie outside.
    pub fn bytes(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| {
            SHAPE.bytes(inner.space().capacity())
                + size_of::<Inner>()
                + inner.roots.slots.capacity() * size_of::<Word>()
        })
    }

    /// Words of 8 bytes that terms take, those no longer reached included. Mirrors `process_info(_, heap_size)`.
    pub fn words(&self) -> usize {
        self.inner
            .as_ref()
            .map_or(0, |inner| inner.space().len() as usize)
    }

    /// Bytes of the shared binaries that terms refer to, counted once a term, those no longer reached included.
    pub fn binary_bytes(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.binary_bytes)
    }

    /// Terms kept.
    pub fn root_count(&self) -> usize {
        self.inner
            .as_ref()
            .map_or(0, |inner| inner.roots.count as usize)
    }

    /// Collections finished, modulo 2^32. Mirrors `number_of_gcs`.
    pub fn collections(&self) -> u32 {
        self.collections
    }

    /// Whether the next addition will first collect: the words, or the bytes of shared binaries, have doubled since the
    /// last collection.
    pub fn is_full(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| {
            inner.space().len() >= inner.collect_at
                || inner.binary_bytes >= inner.collect_at_binary_bytes
        })
    }

    /// Keeps a copy of a term, from wherever it lies but this heap. Of a block's root it is one pass over its words.
    ///
    /// Collects first if the heap is full.
    ///
    /// # Errors
    ///
    /// [`HeapError::Full`] over the limit, [`HeapError::Copy`] if the term holds a native resource. The heap is then as
    /// it was.
    pub fn keep(&mut self, term: Term<'_>) -> Result<Root, HeapError> {
        let inner = self.prepare(copy::size_hint(term));
        let mark = inner.space().mark();
        match inner.making.0.copy(term) {
            Ok(word) => {
                let start = mark.len();
                let end = inner.space().len();
                let off_heap = inner.space().off_heap() != mark.off_heap();
                if !off_heap || mark.is_start() {
                    // SAFETY: the copy is all that was appended.
                    unsafe { inner.has_to_itself(word, start, end, off_heap) };
                }
                self.commit(mark, word)
            }
            Err(CopyError::TooLarge { .. }) => Err(self.full()),
            Err(error) => Err(error.into()),
        }
    }

    /// A builder whose terms lie on this heap. It can take up terms that are kept already.
    ///
    /// Collects first if the heap is full. What was built is dropped unless it is [kept](HeapBuilder::keep).
    pub fn builder(&mut self) -> HeapBuilder<'_> {
        let mark = self.prepare(0).space().mark();
        Builder::on(OnHeap {
            heap: self,
            mark,
            built: false,
        })
    }

    /// A term that is kept; `None` for the root of another heap.
    #[inline]
    pub fn get(&self, root: &Root) -> Option<Term<'_>> {
        let inner = self.inner.as_ref()?;
        let word = inner.root(root)?;
        // SAFETY: a root's word is that of a finished term of the heap, whose words move only when the heap is borrowed
        // mutably.
        Some(unsafe { Term::new(inner.space().base(), word) })
    }

    /// Keeps a term no longer. Its words are given back by the next collection.
    ///
    /// The root of another heap is given back.
    pub fn release(&mut self, root: Root) -> Result<(), Root> {
        match &mut self.inner {
            Some(inner) if inner.id == root.heap => {
                inner.roots.remove(root.slot);
                Ok(())
            }
            _ => Err(root),
        }
    }

    /// Collects at once; gives the work done, as [`Collection::step`].
    pub fn collect(&mut self) -> usize {
        self.collection().step(usize::MAX)
    }

    /// Ready for an addition: collected if it was full, with room for some words on the first use.
    fn prepare(&mut self, words: u32) -> &mut Inner {
        // Over the limit after it was lowered, a heap might have no room for garbage and addition together.
        if self.is_full() || self.words() > self.words_max as usize {
            self.collect();
        }
        self.inner(words)
    }

    /// What a heap in use has, with room for some words if it is used for the first time.
    fn inner(&mut self, words: u32) -> &mut Inner {
        let bound = self.words_max * HEAP_GROWTH;
        let inner = self.inner.get_or_insert_with(|| {
            Box::new(Inner {
                id: HEAPS.fetch_add(1, Ordering::Relaxed),
                making: Making(Encoder::within(Space::new(SHAPE, words, bound))),
                roots: Roots::new(),
                collect_at: HEAP_WORDS_MIN,
                binary_bytes: 0,
                collect_at_binary_bytes: HEAP_BINARY_BYTES_MIN,
                own_words: 0,
                min_words: 0,
            })
        });
        inner.making.0.space_mut().set_words_max(bound);
        inner
    }

    /// Makes a term that was appended since `mark` a root, if there is room for it.
    fn commit(&mut self, mark: Mark, word: Word) -> Result<Root, HeapError> {
        let root = self.insert(word);
        if !self.settle(mark) {
            let _ = self.release(root);
            self.collect();
            return Err(self.full());
        }
        Ok(root)
    }

    fn insert(&mut self, word: Word) -> Root {
        let inner = self.used();
        Root {
            heap: inner.id,
            slot: inner.roots.insert(word),
        }
    }

    /// Accounts for what was appended since `mark`; tells whether the living terms are within the limit.
    fn settle(&mut self, mark: Mark) -> bool {
        let words_max = self.words_max as usize;
        let inner = self.used();
        inner.binary_bytes += inner.binary_bytes_since(mark);
        if self.words() > words_max {
            self.collect();
        }
        self.words() <= words_max
    }

    /// What a heap has that something was added to.
    fn used(&mut self) -> &mut Inner {
        match &mut self.inner {
            Some(inner) => inner,
            None => unreachable!("a heap that is added to is in use"),
        }
    }

    #[cold]
    fn full(&self) -> HeapError {
        HeapError::Full {
            max_bytes: self.max_bytes(),
        }
    }
}

impl Inner {
    #[inline]
    fn space(&self) -> &Space {
        self.making.0.space()
    }

    #[inline]
    fn root(&self, root: &Root) -> Option<Word> {
        (self.id == root.heap)
            .then(|| self.roots.get(root.slot))
            .flatten()
    }

    /// Words that the heap has room for at least.
    fn least_room(&self) -> u32 {
        self.min_words.min(HEAP_ROOM_WORDS_MAX)
    }

    fn make_room(&mut self) {
        let least = self.least_room();
        let space = self.making.0.space_mut();
        if space.capacity() < least.min(space.words_max()) {
            space.resize(least.min(space.words_max()));
        }
    }

    /// Bytes of the shared binaries appended since a mark: the chain grows at its head.
    fn binary_bytes_since(&self, mark: Mark) -> usize {
        let space = self.space();
        let mut bytes = 0;
        let mut offset = space.off_heap();
        while offset != mark.off_heap() {
            // SAFETY: the chain of the heap's own space.
            unsafe {
                bytes += off_heap::bytes_at(space.base(), offset);
                offset = off_heap::next(space.base(), offset);
            }
        }
        bytes
    }

    /// A term has the words between two offsets to itself: then it is copied out as the root of a block is, whole. Of
    /// such terms the heap remembers the largest.
    ///
    /// # Safety
    ///
    /// As for [`Space::set_root`].
    unsafe fn has_to_itself(&mut self, word: Word, start: u32, end: u32, off_heap: bool) {
        if end - start > self.own_words {
            self.own_words = end - start;
            // SAFETY: by the caller's word.
            unsafe {
                self.making
                    .0
                    .space_mut()
                    .set_root(word, start, end, off_heap)
            };
        }
    }

    /// After a collection: when the next one is due; and gives back memory if most of it is unused.
    fn plan(&mut self, binary_bytes: usize, largest: Own) {
        self.binary_bytes = binary_bytes;
        self.collect_at_binary_bytes = binary_bytes
            .saturating_mul(HEAP_GROWTH as usize)
            .max(HEAP_BINARY_BYTES_MIN);
        let least = self.least_room();
        let space = self.making.0.space_mut();
        let space_len = space.len();
        let grown = space_len.saturating_mul(HEAP_GROWTH).max(FIRST_WORDS);
        self.collect_at = grown.max(HEAP_WORDS_MIN).max(self.min_words);
        if space.capacity() / HEAP_SHRINK > space.len().max(FIRST_WORDS).max(least) {
            space.resize(grown.max(least));
        }
        self.own_words = 0;
        let Own { word, start, end } = largest;
        let all = space_len == end - start;
        // SAFETY: the collection found that these words are those of the term. If they are all that there are, so are
        // the off-heap objects; else it found none among them.
        unsafe { self.has_to_itself(word, start, end, all) };
    }
}

/// A [`Builder`] whose terms lie on a [`Heap`].
pub type HeapBuilder<'h> = Builder<(), OnHeap<'h>>;

/// On a process's heap: see [`Heap::builder`].
#[derive(Debug)]
pub struct OnHeap<'h> {
    heap: &'h mut Heap,
    mark: Mark,
    built: bool,
}

impl Place for OnHeap<'_> {
    fn making(&mut self) -> &mut Making {
        &mut self.heap.used().making
    }
}

impl Drop for OnHeap<'_> {
    fn drop(&mut self) {
        if !self.built {
            let mark = self.mark;
            // No root refers to what was built, and older terms never refer to younger ones.
            self.making().0.space_mut().rollback(mark);
        }
    }
}

impl Builder<(), OnHeap<'_>> {
    /// A term that the heap keeps, by reference: it is not copied, and now part of two terms.
    pub fn root(&mut self, root: &Root) -> &mut Self {
        self.part(root, |term| Some(term))
    }

    /// Part of a term that the heap keeps, by reference: whatever `find` gives, if it lies inside the heap.
    ///
    /// ```
    /// # use otp_heap::{Heap, to_term};
    /// # let mut heap = Heap::new();
    /// let pair = heap.keep(to_term(&(vec![1, 2], 3))?.root())?;
    /// let mut builder = heap.builder();
    /// builder.part(&pair, |pair| pair.as_tuple()?.get(0)).integer(4).tuple(2);
    /// let changed = builder.keep()?;
    /// assert_eq!(heap.get(&changed).unwrap().to_string(), "{[1,2],4}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn part(
        &mut self,
        root: &Root,
        find: impl for<'a> FnOnce(Term<'a>) -> Option<Term<'a>>,
    ) -> &mut Self {
        self.step(|builder| {
            let heap = &*builder.place().heap;
            let whole = heap.get(root).ok_or(EncodeError::Root)?;
            let part = find(whole).ok_or(EncodeError::Root)?;
            if part.word().is_boxed() && part.base() != whole.base() {
                return Err(EncodeError::Root);
            }
            Ok(part.word())
        })
    }

    /// Keeps the one term of the stack.
    ///
    /// # Errors
    ///
    /// [`HeapError::Full`] over the limit; [`HeapError::Encode`] with the first error of the building, or
    /// [`EncodeError::Stack`] unless one term is left. The heap is then as it was.
    pub fn keep(self) -> Result<Root, HeapError> {
        let (mut place, result) = self.into_parts();
        match result {
            Ok(word) => {
                place.built = true;
                let mark = place.mark;
                place.heap.commit(mark, word)
            }
            Err(EncodeError::TooLarge { .. }) => Err(place.heap.full()),
            Err(error) => Err(error.into()),
        }
    }
}
