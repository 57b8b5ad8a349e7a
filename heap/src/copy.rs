//! Copying a term into a space.
//!
//! The root of a block, or a term of a heap that has its words to itself, is copied whole: they go over in one pass,
//! offsets moved by the place they land at. Any other term is copied object by object: the words of an object go over
//! as they are, and those of them that still name an object of the source are mended one after the other, depth first;
//! the cells of a list by a loop of their own. What is left of an object while a part of it is copied waits on a stack,
//! which is allocated only when something nests before the end of an object: list tails and last elements need none. An
//! object that is reached twice is copied twice, as OTP's messages do.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::CopyError;
use crate::off_heap;
use crate::raw::{Fixed, Space};
use crate::term::Term;
use crate::word::{CONS, NATIVE, SHARED_BINARY, TUPLE, Word};

/// Words to begin with for a copy of the term: exact for one that is copied whole.
pub(crate) fn size_hint(term: Term<'_>) -> u32 {
    term.whole_block()
        .map_or(0, |fixed| fixed.len - fixed.start)
}

/// Copies a term; gives the word of the copy. A failure leaves the space as it was.
pub(crate) fn copy_into(space: &mut Space, term: Term<'_>) -> Result<Word, CopyError> {
    if !term.word().is_boxed() {
        return Ok(term.word());
    }
    if let Some(fixed) = term.whole_block() {
        return copy_whole(space, term, fixed);
    }
    let mark = space.mark();
    // SAFETY: the term's block or heap is borrowed, so the space is another one.
    let copied = unsafe { copy_part(space, term.base(), term.word()) };
    if copied.is_err() {
        space.rollback(mark);
    }
    copied
}

fn copy_whole(space: &mut Space, term: Term<'_>, fixed: &Fixed) -> Result<Word, CopyError> {
    // SAFETY: the chain is that of the term's own block.
    if unsafe { off_heap::has_native(term.base(), fixed.off_heap) } {
        return Err(CopyError::Native);
    }
    let len = fixed.len - fixed.start;
    space.reserve(len.into())?;
    let delta = i64::from(space.len()) - i64::from(fixed.start);
    // SAFETY: `reserve` made room behind `len` in another allocation than the source, which is
    // borrowed by `term` and has the words written that its fixed part tells.
    unsafe {
        let source = term.base().add(fixed.start as usize);
        let target = space.base().add(space.len() as usize);
        move_words(source, target, len as usize, delta);
        space.extend(len);
        off_heap::adopt(space, delta, fixed.off_heap);
    }
    Ok(term.word().moved(delta))
}

/// Words that are moved at once, by instructions that take several.
const CHUNK: usize = 8;

/// Copies words that name only each other to where their offsets are `delta` more.
///
/// # Safety
///
/// The source has `len` words, all of them whole objects; the target has room for as many, apart from it.
unsafe fn move_words(source: NonNull<Word>, target: NonNull<Word>, len: usize, delta: i64) {
    // SAFETY: every index is under `len`, by the caller's word.
    unsafe {
        if delta == 0 {
            return source.copy_to_nonoverlapping(target, len);
        }
        let mut index = 0;
        while index + CHUNK <= len {
            let words = source.add(index).cast::<[Word; CHUNK]>().read();
            let mut moved = words;
            let mut raw = 0;
            for (moved, word) in moved.iter_mut().zip(words) {
                *moved = word.moved(delta);
                raw |= word.raw_bit();
            }
            target.add(index).cast::<[Word; CHUNK]>().write(moved);
            if raw & Word::RAW_BIT == 0 {
                index += CHUNK;
                continue;
            }
            // What comes after the header of raw words was taken for terms, and is written again.
            let header = words.iter().position(|word| word.may_open_raw());
            index += header.unwrap_or(0);
            index += move_head(source.add(index), target.add(index), delta);
        }
        while index < len {
            index += move_head(source.add(index), target.add(index), delta);
        }
    }
}

/// Copies one word, and the raw words that it opens; gives how many they are together.
///
/// # Safety
///
/// As for [`move_words`]; the word is none of an object's raw ones.
#[inline(always)]
unsafe fn move_head(source: NonNull<Word>, target: NonNull<Word>, delta: i64) -> usize {
    // SAFETY: by the caller's word, a header's raw words follow it.
    unsafe {
        let word = source.read();
        target.write(word.moved(delta));
        if !word.may_open_raw() {
            return 1;
        }
        let raw = word.raw_words() as usize;
        copy_words(source.add(1), target.add(1), raw);
        1 + raw
    }
}

/// Copies words as they are: raw ones may hold pointers.
///
/// # Safety
///
/// Both have so many, apart from each other.
#[inline(always)]
unsafe fn copy_words(source: NonNull<Word>, target: NonNull<Word>, count: usize) {
    // SAFETY: by the caller's word.
    unsafe {
        if count > CHUNK {
            return source.copy_to_nonoverlapping(target, count);
        }
        // A loop, not a call: most objects are small.
        for index in 0..count {
            let word = source.add(index).cast::<MaybeUninit<Word>>().read();
            target.add(index).cast::<MaybeUninit<Word>>().write(word);
        }
    }
}

/// Words of the copy, from one offset to before another.
#[derive(Clone, Copy, Debug)]
struct Range {
    at: u32,
    end: u32,
}

impl Range {
    const NONE: Range = Range { at: 0, end: 0 };

    #[inline(always)]
    fn one(at: u32) -> Range {
        Range { at, end: at + 1 }
    }

    #[inline(always)]
    fn is_empty(self) -> bool {
        self.at >= self.end
    }
}

/// Words copied one object at a time from which they are counted before the space grows: growing step by step costs
/// more by then.
const COUNT_FROM: u32 = 1024;

/// What the space grows by until then, in times of what was copied.
const GROWTH: u32 = 8;

/// # Safety
///
/// `root` is the word of a finished term of the living block or heap at `source`, which is not `space`.
unsafe fn copy_part(
    space: &mut Space,
    source: NonNull<Word>,
    root: Word,
) -> Result<Word, CopyError> {
    let mut walk = Walk::new(space, source, root);
    let mut waiting: Vec<Range> = Vec::new();
    // SAFETY: by the caller's word, here and for every word of the source that is reached; a range lies inside the
    // words written, and has words of the source.
    unsafe {
        let (copied, mut range) = walk.object(root)?;
        loop {
            while !range.is_empty() {
                let word = walk.get(range.at);
                if !word.is_boxed() {
                    range.at += 1;
                    continue;
                }
                let (inner, rest) = if word.tag() == CONS {
                    walk.list(range.at, word)?
                } else {
                    let (copied, inner) = walk.object(word)?;
                    walk.set(range.at, copied);
                    (inner, Range::NONE)
                };
                range.at += 1;
                if !inner.is_empty() {
                    if !range.is_empty() {
                        waiting.push(range);
                    }
                    if !rest.is_empty() {
                        waiting.push(rest);
                    }
                    range = inner;
                }
            }
            match waiting.pop() {
                Some(left) => range = left,
                None => return Ok(copied),
            }
        }
    }
}

/// A copy of a term, object by object. It has the end of the space's words to itself, so that the compiler may keep
/// that in registers; [`Walk::hand_back`] is what the space learns of it.
struct Walk<'s> {
    space: &'s mut Space,
    source: NonNull<Word>,
    root: Word,
    /// The space's words when the copy began, and now.
    begin: u32,
    len: u32,
    /// The words that there is room for, and where they begin.
    room: u32,
    base: NonNull<Word>,
}

impl<'s> Walk<'s> {
    #[inline(always)]
    fn new(space: &'s mut Space, source: NonNull<Word>, root: Word) -> Walk<'s> {
        let (base, len, room) = (space.base(), space.len(), space.room());
        Walk {
            space,
            source,
            root,
            begin: len,
            len,
            room,
            base,
        }
    }

    /// A word of the copy.
    ///
    /// # Safety
    ///
    /// `offset` is under `len`.
    #[inline(always)]
    unsafe fn get(&self, offset: u32) -> Word {
        // SAFETY: by the caller's word.
        unsafe { self.base.add(offset as usize).read() }
    }

    /// # Safety
    ///
    /// As for [`Walk::get`].
    #[inline(always)]
    unsafe fn set(&mut self, offset: u32, word: Word) {
        // SAFETY: by the caller's word.
        unsafe { self.base.add(offset as usize).write(word) }
    }

    /// The space has all words of the copy.
    ///
    /// # Safety
    ///
    /// They are whole objects.
    #[inline(always)]
    unsafe fn hand_back(&mut self) {
        // SAFETY: by the caller's word.
        unsafe { self.space.extend(self.len - self.space.len()) }
    }

    /// Room for so many words more.
    #[inline(always)]
    fn reserve(&mut self, count: u32) -> Result<(), CopyError> {
        if u64::from(self.len) + u64::from(count) <= u64::from(self.room) {
            return Ok(());
        }
        let grown = grow(
            self.space,
            self.source,
            self.root,
            self.begin,
            self.len,
            count,
        );
        self.base = self.space.base();
        self.room = self.space.room();
        grown
    }

    /// Copies an object; gives its word, and which words of the copy still name objects of the source.
    ///
    /// # Safety
    ///
    /// As for [`copy_part`].
    #[inline(always)]
    unsafe fn object(&mut self, word: Word) -> Result<(Word, Range), CopyError> {
        // SAFETY: a boxed word leads to its object, which has at least one word; a cell has two.
        unsafe {
            let object = self.source.add(word.offset() as usize);
            match word.tag() {
                TUPLE => self.tuple(object),
                CONS => {
                    let at = self.cell(object)?;
                    Ok((Word::boxed(CONS, at), Range { at, end: at + 2 }))
                }
                _ => self.other(object, word),
            }
        }
    }

    /// Copies a cell as it is; gives its offset.
    ///
    /// # Safety
    ///
    /// A cell lies there.
    #[inline(always)]
    unsafe fn cell(&mut self, object: NonNull<Word>) -> Result<u32, CopyError> {
        self.reserve(2)?;
        let at = self.len;
        // SAFETY: room is reserved.
        unsafe { copy_words(object, self.base.add(at as usize), 2) };
        self.len += 2;
        Ok(at)
    }

    /// Copies a list to which a word of the copy leads: cell by cell, each with what its head is, until a head is a
    /// list or has parts that are objects. Gives what is to be mended: first inside that head, then the rest.
    ///
    /// # Safety
    ///
    /// As for [`copy_part`]; `word` is a cell's, and `place` is where it stands.
    #[inline(always)]
    unsafe fn list(&mut self, mut place: u32, mut word: Word) -> Result<(Range, Range), CopyError> {
        // SAFETY: by the caller's word; room is reserved where words are written.
        unsafe {
            loop {
                let mut object = self.source.add(word.offset() as usize);
                if object.read().tag() != CONS {
                    (self.len, place) =
                        copy_run(self.source, self.base, self.room, self.len, place, word);
                    word = self.get(place);
                    if word.tag() != CONS {
                        return Ok((self.trimmed(Range::one(place)), Range::NONE));
                    }
                    object = self.source.add(word.offset() as usize);
                }
                let (head, tail) = (object.read(), object.add(1).read());
                let at = self.cell(object)?;
                self.set(place, Word::boxed(CONS, at));
                if head.tag() == CONS {
                    return Ok((Range { at, end: at + 2 }, Range::NONE));
                }
                if head.is_boxed() {
                    let (copied, inner) = self.object(head)?;
                    self.set(at, copied);
                    if !inner.is_empty() {
                        return Ok((inner, self.trimmed(Range::one(at + 1))));
                    }
                }
                (place, word) = (at + 1, tail);
                if word.tag() != CONS {
                    return Ok((self.trimmed(Range::one(place)), Range::NONE));
                }
            }
        }
    }

    /// # Safety
    ///
    /// A tuple lies there.
    #[inline(always)]
    unsafe fn tuple(&mut self, object: NonNull<Word>) -> Result<(Word, Range), CopyError> {
        // SAFETY: the object has the words that its header tells, and room for them is reserved.
        unsafe {
            let count = object.read().header_len();
            self.reserve(count.saturating_add(1))?;
            let start = self.len;
            let target = self.base.add(start as usize);
            self.len += count + 1;
            copy_words(object, target, count as usize + 1);
            let elements = Range {
                at: start + 1,
                end: self.len,
            };
            Ok((Word::boxed(TUPLE, start), self.trimmed(elements)))
        }
    }

    /// The range without the immediates at its end.
    ///
    /// # Safety
    ///
    /// It lies inside the words written.
    #[inline(always)]
    unsafe fn trimmed(&self, mut range: Range) -> Range {
        // SAFETY: by the caller's word.
        while !range.is_empty() && unsafe { !self.get(range.end - 1).is_boxed() } {
            range.end -= 1;
        }
        range
    }

    /// The same for an object that is neither cell nor tuple.
    ///
    /// # Safety
    ///
    /// As for [`copy_part`].
    #[inline(always)]
    unsafe fn other(
        &mut self,
        object: NonNull<Word>,
        word: Word,
    ) -> Result<(Word, Range), CopyError> {
        // SAFETY: the object has the words that its header tells, and room for them is reserved.
        unsafe {
            let header = object.read();
            let start = self.len;
            if matches!(word.tag(), SHARED_BINARY | NATIVE) {
                self.hand_back();
                push_off_heap(self.space, self.source, word)?;
                (self.base, self.len, self.room) =
                    (self.space.base(), self.space.len(), self.space.room());
                return Ok((Word::boxed(word.tag(), start), Range::NONE));
            }
            let (raw, terms) = (header.raw_words(), header.term_words());
            let words = 1 + u64::from(raw) + terms;
            self.reserve(u32::try_from(words).unwrap_or(u32::MAX))?;
            let target = self.base.add(start as usize);
            copy_words(object, target, words as usize);
            self.len += words as u32;
            let inner = Range {
                at: start + 1 + raw,
                end: self.len,
            };
            Ok((Word::boxed(word.tag(), start), self.trimmed(inner)))
        }
    }
}

impl Drop for Walk<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: an object is counted in `len` once it is written whole.
        unsafe { self.hand_back() }
    }
}

/// Words that a cell and what [`copy_run`] copies with it have at most.
const RUN_WORDS: u32 = 6;

/// Copies cells as long as there are any, there is room, and each head is an immediate or a tuple of two or three small
/// integers, atoms, pids or references.
///
/// Begins with the cell of `word`, which stands at `place`. Gives the words of the copy then, and the place of the word
/// that leads on.
///
/// Most long terms are mostly this: so a function of its own, whose few values stay in registers.
///
/// # Safety
///
/// As for [`copy_part`]; the words of the copy at `base` have room for `room`, of which `len` are written, `place` with
/// them.
#[inline(never)]
unsafe fn copy_run(
    source: NonNull<Word>,
    base: NonNull<Word>,
    room: u32,
    mut len: u32,
    mut place: u32,
    mut word: Word,
) -> (u32, u32) {
    // SAFETY: by the caller's word; for each cell there is room for all that is copied with it.
    unsafe {
        base.add(place as usize).write(Word::boxed(CONS, len));
        while word.tag() == CONS && len.saturating_add(RUN_WORDS) <= room {
            let object = source.add(word.offset() as usize);
            let (mut head, tail) = (object.read(), object.add(1).read());
            let cell = base.add(len as usize);
            let mut next = len + 2;
            if head.tag() == TUPLE {
                let (tuple, target) = (source.add(head.offset() as usize), cell.add(2));
                let header = tuple.read();
                let count = header.header_len();
                if count.wrapping_sub(2) > 1 {
                    break;
                }
                // The second of two elements is the last but one of three: no branch on their number.
                let last = count as usize;
                let first = tuple.add(1).read();
                let (before, after) = (tuple.add(last - 1).read(), tuple.add(last).read());
                target.write(header);
                target.add(1).write(first);
                target.add(last - 1).write(before);
                target.add(last).write(after);
                if !Word::are_common([first, before, after]) {
                    break;
                }
                head = Word::boxed(TUPLE, next);
                next += 1 + count;
            } else if head.is_boxed() {
                break;
            }
            cell.write(head);
            // As if another cell came next; else it is mended below.
            cell.add(1).write(Word::boxed(CONS, next));
            place = len + 1;
            len = next;
            word = tail;
        }
        base.add(place as usize).write(word);
    }
    (len, place)
}

/// Appends another reference to a shared binary.
///
/// # Safety
///
/// `word` is that of a shared binary or a native resource of the living block or heap at `source`.
#[inline(never)]
unsafe fn push_off_heap(
    space: &mut Space,
    source: NonNull<Word>,
    word: Word,
) -> Result<(), CopyError> {
    if word.tag() == NATIVE {
        return Err(CopyError::Native);
    }
    // SAFETY: by the caller's word and the tag.
    unsafe {
        let header = source.add(word.offset() as usize).read();
        let shared = off_heap::binary_at(source, word.offset()).clone();
        off_heap::push_binary(space, shared, header.header_bits())?;
    }
    Ok(())
}

/// Makes room behind `len` for `count` words more of a copy that began at `begin`: for as many as the whole term takes,
/// once it is worth counting them.
#[cold]
#[inline(never)]
fn grow(
    space: &mut Space,
    source: NonNull<Word>,
    root: Word,
    begin: u32,
    len: u32,
    count: u32,
) -> Result<(), CopyError> {
    let (copied, ahead) = (len - begin, len - space.len());
    let words = if copied < COUNT_FROM {
        // Not past the limit: the term may end before.
        let left = space.words_max().saturating_sub(len);
        u64::from(count.max(left.min(copied * (GROWTH - 1))))
    } else {
        let room = (space.words_max() - begin) as usize;
        // SAFETY: `copy_part` was called with a finished term, which is borrowed.
        let term = unsafe { Term::new(source, root) };
        let all = term.words_within(room).ok_or(CopyError::TooLarge {
            words_max: space.words_max(),
        })?;
        (all as u64).saturating_sub(copied.into()).max(count.into())
    };
    space.reserve(u64::from(ahead) + words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Binary, Builder, Heap, OwnedTerm, Pid, atoms, to_term};

    /// A list with heads of every shape and every length that is a case of its own.
    fn mixed(len: usize) -> OwnedTerm {
        let mut builder = Builder::new();
        for index in 0..len {
            match index % 11 {
                0 => builder.integer(index as i64),
                1 => builder.float(index as f64).integer(-1).tuple(2),
                2 => builder.bytes(vec![0xFF_u8; index % 65]),
                3 => builder.limbs(true, &vec![u64::MAX; 1 + index % 9]),
                4 => builder.atom(atoms::OK).pid(Pid::from_parts(1, 2)).tuple(2),
                5 => builder.integer(1).integer(2).integer(3).tuple(3),
                6 => builder.nil().integer(1).nil().tuple(3),
                7 => {
                    for element in 0..index % 9 {
                        builder.integer(element as i64);
                    }
                    builder.tuple(index % 9)
                }
                8 => builder.integer(1).list(1).integer(2).list(2),
                9 => builder.binary(&Binary::from(vec![7_u8; 65 + index])),
                _ => builder.integer(1).float(0.5).map(1).integer(3).cons(),
            };
        }
        builder.list(len);
        builder.finish(()).unwrap()
    }

    #[test]
    fn a_part_is_copied_as_it_is() {
        for len in (0..60).chain([500, 1000, 3000]) {
            let whole = mixed(len);
            // Moved by five words at least.
            let pair = to_term(&((1, 2), &whole)).unwrap();
            let part = pair.root().as_tuple().unwrap().get(1).unwrap();
            assert_eq!(part.to_string(), whole.to_string());
            // Walked.
            let copied = OwnedTerm::copy_of((), part).unwrap();
            assert_eq!(copied, whole);
            assert_eq!(copied.root().words(), whole.root().words());
        }
    }

    #[test]
    fn a_copied_part_has_no_word_too_many() {
        for len in (0..60).chain([500, 1000, 3000]) {
            let pair = to_term(&(1, &mixed(len))).unwrap();
            let part = pair.root().as_tuple().unwrap().get(1).unwrap();
            let shape = crate::raw::Shape::of::<()>();
            let mut space = Space::new(shape, 0, 1 << 20);
            copy_into(&mut space, part).unwrap();
            assert_eq!(space.len() as usize, part.words());
            // No word more is needed.
            let mut space = Space::new(shape, 0, part.words() as u32);
            copy_into(&mut space, part).unwrap();
            assert_eq!(space.len() as usize, part.words());
            // One word less is refused, and leaves nothing behind.
            let words_max = part.words().saturating_sub(1) as u32;
            let mut space = Space::new(shape, 0, words_max);
            if part.word().is_boxed() {
                assert_eq!(
                    copy_into(&mut space, part),
                    Err(CopyError::TooLarge { words_max })
                );
                assert_eq!((space.len(), space.off_heap()), (0, off_heap::END));
            }
        }
    }

    #[test]
    fn a_term_of_a_heap_of_several_is_copied_as_it_is() {
        let mut heap = Heap::new();
        let mut kept = Vec::new();
        for len in [3, 700, 40, 701, 9] {
            let term = mixed(len);
            kept.push((heap.keep(term.root()).unwrap(), term));
            let plain = to_term(&vec![(1, 2, len); len]).unwrap();
            kept.push((heap.keep(plain.root()).unwrap(), plain));
        }
        for round in 0..4 {
            for (root, term) in &kept {
                let copied = OwnedTerm::copy_of((), heap.get(root).unwrap()).unwrap();
                assert_eq!(copied, *term, "round {round}");
            }
            if round == 1 {
                // Two roots that share: neither has its words to itself.
                let mut builder = heap.builder();
                builder.integer(round).root(&kept[7].0).tuple(2);
                let shared = builder.keep().unwrap();
                let term = to_term(&(round, &kept[7].1)).unwrap();
                kept.push((shared, term));
            }
            let mut collection = heap.collection();
            while !collection.is_finished() {
                collection.step(1 + round as usize * 17);
            }
        }
    }
}
