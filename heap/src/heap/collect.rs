//! The collection: Cheney's, from one space into another, in steps.
//!
//! 1. The living words are at most those in use, so the new space is made as large (or as large as the heap is to be at
//!    least), and never grows.
//! 2. *Trace.* A root's object is copied to the end of the new space, and its first word in the old one becomes the
//!    place it moved to. Then the new words are gone through from first to last: a word that still names an old object
//!    gets the place of its copy, which is made now if there is none yet. So what was shared stays shared, and no stack
//!    is needed. Root by root: what belongs together comes to lie together, and the largest term that has its words to
//!    itself is remembered, for copies.
//! 3. *Sweep.* The chain of off-heap objects is taken apart: what moved joins the chain of the new space, the rest is
//!    released. At each moment an object is in one of the two chains, so it is released once, whatever happens.
//! 4. The new space takes the place of the old one.

use std::ptr::NonNull;

use super::{Heap, Inner, Own, SHAPE};
use crate::off_heap::{self, END};
use crate::raw::Space;
use crate::word::{CONS, HEADER, NATIVE, SHARED_BINARY, TUPLE, Word};

/// A collection under way, by [`Heap::collection`]. It borrows the heap until it is done.
///
/// Dropped before, it is finished: nothing else could be done soundly with terms that have moved in part. (Forgotten by
/// `mem::forget`, it takes all terms along: the heap is empty then, and their memory lost.)
#[must_use = "a collection that is dropped is finished at once"]
pub struct Collection<'h> {
    heap: &'h mut Heap,
    work: Option<Work>,
}

struct Work {
    inner: Box<Inner>,
    to: Space,
    /// The first word of `to` not yet gone through.
    scan: u32,
    /// Roots that have been traced.
    roots: usize,
    /// What the last root traced reached first: from this word of `to` on.
    begin: u32,
    /// Whether it reached what an earlier one did, too, or an off-heap object.
    open: bool,
    /// The largest term so far that has its words to itself.
    largest: Own,
    /// Bytes of the shared binaries that live on, as far as they were swept.
    binary_bytes: usize,
}

impl std::fmt::Debug for Collection<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collection")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

impl Heap {
    /// Begins a collection, to be done by [`Collection::step`]. Mirrors `erlang:garbage_collect/0`.
    ///
    /// ```
    /// # use otp_heap::{Heap, to_term};
    /// # let mut heap = Heap::new();
    /// let root = heap.keep(to_term(&vec![1.5; 100])?.root())?;
    /// heap.release(root).unwrap();
    /// let mut collection = heap.collection();
    /// while !collection.is_finished() {
    ///     let _reductions = collection.step(1000);
    ///     // … others run …
    /// }
    /// drop(collection);
    /// assert_eq!(heap.bytes(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn collection(&mut self) -> Collection<'_> {
        let work = self.inner.take().map(|inner| {
            let words = inner.space().len().max(inner.least_room());
            Work {
                inner,
                to: Space::new(SHAPE, words, words),
                scan: 0,
                roots: 0,
                begin: 0,
                open: false,
                largest: Own {
                    word: Word::NIL,
                    start: 0,
                    end: 0,
                },
                binary_bytes: 0,
            }
        });
        Collection { heap: self, work }
    }
}

impl Collection<'_> {
    /// Does some of the work; gives how much, 0 once all is done.
    ///
    /// The unit is a word copied or gone through, a root, or a shared binary or native resource looked at: about 1 ns,
    /// but for the destructors of native resources. A step ends within the budget or with the object that passed it:
    /// one tuple is copied whole. A budget of 0 counts as 1.
    pub fn step(&mut self, budget: usize) -> usize {
        let Some(work) = &mut self.work else { return 0 };
        let budget = budget.max(1);
        let mut done = work.trace(budget);
        if done < budget {
            done += work.sweep(budget - done);
        }
        if work.is_done() {
            // The old space, whose chain is empty by now, goes with the replacement.
            if let Some(Work {
                mut inner,
                to,
                largest,
                binary_bytes,
                ..
            }) = self.work.take()
            {
                self.heap.collections = self.heap.collections.wrapping_add(1);
                if inner.roots.count > 0 || inner.min_words > 0 {
                    inner.making.0.replace_space(to);
                    inner.plan(binary_bytes, largest);
                    self.heap.inner = Some(inner);
                }
            }
        }
        done
    }

    /// Whether all is done, and the heap can be had again without work.
    pub fn is_finished(&self) -> bool {
        self.work.is_none()
    }
}

impl Drop for Collection<'_> {
    fn drop(&mut self) {
        self.step(usize::MAX);
    }
}

impl Work {
    fn is_done(&self) -> bool {
        self.roots == self.inner.roots.slots.len()
            && self.scan == self.to.len()
            && self.inner.space().off_heap() == END
    }

    /// Traces until the budget is used, or all is traced and some of it left.
    fn trace(&mut self, budget: usize) -> usize {
        let from = self.inner.space().base();
        let to = self.to.base();
        // Of the only root all words are, and all off-heap objects.
        let only = self.inner.roots.count == 1;
        let slots = &mut self.inner.roots.slots;
        let mut copied = Copied {
            from,
            to,
            len: self.to.len(),
            begin: self.begin,
            open: self.open,
        };
        let mut scan = self.scan;
        let mut done = 0;
        loop {
            // Words gone through and words copied, in one sum.
            let begin = u64::from(scan) + u64::from(copied.len);
            let stop = begin.saturating_add((budget - done) as u64);
            while scan < copied.len && u64::from(scan) + u64::from(copied.len) < stop {
                // SAFETY: `scan` is under the words written, and on no raw word; each boxed word from there on names an
                // object of the old space.
                unsafe {
                    let place = to.add(scan as usize);
                    let word = place.read();
                    scan += 1;
                    if word.is_boxed() {
                        place.write(copied.object(word));
                    } else if word.tag() == HEADER && word.header_kind() != TUPLE {
                        scan += word.raw_words();
                    }
                }
            }
            done += (u64::from(scan) + u64::from(copied.len) - begin) as usize;
            if scan < copied.len {
                break;
            }
            // All that the last root reached lies there now.
            let own = copied.len - copied.begin;
            if own > self.largest.end - self.largest.start && (!copied.open || only) {
                self.largest = Own {
                    word: slots[self.roots - 1],
                    start: copied.begin,
                    end: copied.len,
                };
            }
            if done >= budget {
                break;
            }
            let Some(root) = slots.get_mut(self.roots) else {
                break;
            };
            self.roots += 1;
            (copied.begin, copied.open) = (copied.len, false);
            done += 1;
            if root.is_boxed() {
                let before = copied.len;
                // SAFETY: a root names an object of the old space.
                *root = unsafe { copied.object(*root) };
                done += (copied.len - before) as usize;
            }
            if done >= budget {
                break;
            }
        }
        self.scan = scan;
        (self.begin, self.open) = (copied.begin, copied.open);
        // SAFETY: whole objects were copied behind the words of before.
        unsafe { self.to.extend(copied.len - self.to.len()) };
        done
    }

    /// Sweeps until the budget is used, or all is swept and some of it left.
    fn sweep(&mut self, budget: usize) -> usize {
        let mut done = 0;
        let base = self.inner.space().base();
        while done < budget {
            let from = self.inner.making.0.space_mut();
            let offset = from.off_heap();
            if offset == END {
                break;
            }
            done += 1;
            // SAFETY: the chain of the old space leads from one off-heap object to the next, whose first word tells
            // whether it moved; moved, the copy is its only owner, and joins the new chain. Either way the object
            // leaves the old chain first.
            unsafe {
                from.set_off_heap(off_heap::next(base, offset));
                match base.add(offset as usize).read().forwarded() {
                    Some(moved) => {
                        self.binary_bytes += off_heap::bytes_at(self.to.base(), moved);
                        off_heap::link(&mut self.to, moved);
                    }
                    None => off_heap::release(base, offset),
                }
            }
        }
        done
    }
}

/// # Safety
///
/// Both have N words.
#[inline(always)]
unsafe fn move_array<const N: usize>(source: NonNull<Word>, target: NonNull<Word>) {
    // SAFETY: by the caller's word.
    unsafe {
        let words = source.cast::<[Word; N]>().read();
        target.cast::<[Word; N]>().write(words);
    }
}

/// The two spaces while objects move: where they begin, and the words copied.
struct Copied {
    from: NonNull<Word>,
    to: NonNull<Word>,
    len: u32,
    /// See [`Work`].
    begin: u32,
    open: bool,
}

impl Copied {
    /// The word of an object in the new space, which is copied there unless it was before.
    ///
    /// # Safety
    ///
    /// `word` is boxed and names an object of the old space; the new one has room for all of those.
    #[inline(always)]
    unsafe fn object(&mut self, word: Word) -> Word {
        // SAFETY: the object is as long as its header says, or two words; each is copied once, so there is room.
        unsafe {
            let object = self.from.add(word.offset() as usize);
            let target = self.to.add(self.len as usize);
            let first = object.read();
            if let Some(moved) = first.forwarded() {
                self.open |= moved < self.begin;
                return Word::boxed(word.tag(), moved);
            }
            let moved = self.len;
            match word.tag() {
                CONS => {
                    target.write(first);
                    target.add(1).write(object.add(1).read());
                    self.len += 2;
                }
                TUPLE => {
                    // Most tuples are small, and of a length that the compiler knows a move is a few instructions.
                    let elements = first.header_len();
                    match elements {
                        2 => move_array::<3>(object, target),
                        3 => move_array::<4>(object, target),
                        4 => move_array::<5>(object, target),
                        _ => object.copy_to_nonoverlapping(target, elements as usize + 1),
                    }
                    self.len += 1 + elements;
                }
                tag => {
                    self.open |= matches!(tag, SHARED_BINARY | NATIVE);
                    let words = 1 + first.raw_words() + first.term_words() as u32;
                    object.copy_to_nonoverlapping(target, words as usize);
                    self.len += words;
                }
            }
            object.write(Word::forward(word.tag(), moved));
            Word::boxed(word.tag(), moved)
        }
    }
}
