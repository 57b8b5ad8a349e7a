//! Copying a term into a space.
//!
//! The root of a block, or the only term of a heap, is copied whole: its words go over in one pass, offsets moved by the place
//! they land at. Any other term is copied object by object: the words of an object go over as they
//! are, and those of them that still name an object of the source are mended one after the other,
//! depth first. What is left of an object while a part of it is copied waits on a stack, which is
//! allocated only when something nests before the end of an object: list tails and last elements
//! need none. An object that is reached twice is copied twice, as OTP's messages do.

use std::ptr::NonNull;

use crate::CopyError;
use crate::off_heap;
use crate::raw::{Fixed, Space};
use crate::term::Term;
use crate::word::{CONS, HEADER, NATIVE, SHARED_BINARY, TUPLE, Word};

/// Words to begin with for a copy of the term: exact for the root of a block.
pub(crate) fn size_hint(term: Term<'_>) -> u32 {
    term.whole_block().map_or(0, |fixed| fixed.len)
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
    space.reserve(fixed.len.into())?;
    let delta = space.len();
    // SAFETY: `reserve` made room behind `len` in another allocation than the source, which is
    // borrowed by `term` and has `len` written words.
    unsafe {
        let target = space.base().add(delta as usize);
        move_words(term.base(), target, fixed.len as usize, delta);
        space.extend(fixed.len);
        off_heap::adopt(space, delta, fixed.off_heap);
    }
    Ok(moved(term.word(), delta))
}

/// Copies the words of a block to where its first word gets the offset `delta`.
///
/// # Safety
///
/// The source has `len` words, all of them whole objects; the target has room for as many, apart from it.
unsafe fn move_words(source: NonNull<Word>, target: NonNull<Word>, len: usize, delta: u32) {
    // SAFETY: every index is under `len`, by the caller's word.
    unsafe {
        if delta == 0 {
            return source.copy_to_nonoverlapping(target, len);
        }
        let mut index = 0;
        while index < len {
            let word = source.add(index).read();
            target.add(index).write(moved(word, delta));
            index += 1;
            if word.tag() == HEADER {
                // Raw words may hold pointers: copied untyped, as many as the header says.
                let raw = word.raw_words() as usize;
                if raw > 0 {
                    source
                        .add(index)
                        .copy_to_nonoverlapping(target.add(index), raw);
                    index += raw;
                }
            }
        }
    }
}

/// The word of the same term when its block begins `delta` words later.
#[inline]
fn moved(word: Word, delta: u32) -> Word {
    if word.is_boxed() {
        Word::boxed(word.tag(), word.offset() + delta)
    } else {
        word
    }
}

/// Words of a space, from one offset to before another.
#[derive(Clone, Copy, Debug)]
struct Range {
    at: u32,
    end: u32,
}

/// Words copied one object at a time from which they are counted first: growing step by step costs more by then.
const COUNT_FROM: u32 = 4096;

/// # Safety
///
/// `root` is the word of a finished term of the living block or heap at `source`, which is not `space`.
unsafe fn copy_part(
    space: &mut Space,
    source: NonNull<Word>,
    root: Word,
) -> Result<Word, CopyError> {
    let begin = space.len();
    let mut counted = false;
    let mut waiting: Vec<Range> = Vec::new();
    // SAFETY: by the caller's word, here and for every word of the source that is reached.
    let (copied, mut range) = unsafe { copy_object(space, source, root)? };
    loop {
        while range.at < range.end {
            // SAFETY: a range lies inside the words written.
            let word = unsafe { space.base().add(range.at as usize).read() };
            if !word.is_boxed() {
                range.at += 1;
                continue;
            }
            if space.len() - begin >= COUNT_FROM && !counted {
                counted = true;
                // SAFETY: as above.
                let term = unsafe { Term::new(source, root) };
                reserve_all(space, begin, term)?;
            }
            // SAFETY: the range holds words of the source.
            let (copied, inner) = unsafe { copy_object(space, source, word)? };
            // SAFETY: as above; the space may have moved meanwhile.
            unsafe { space.base().add(range.at as usize).write(copied) };
            range.at += 1;
            if inner.at < inner.end {
                if range.at < range.end {
                    waiting.push(range);
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

/// Makes room for all words of a term whose copy began at `begin`, or finds that they are too many.
#[cold]
fn reserve_all(space: &mut Space, begin: u32, term: Term<'_>) -> Result<(), CopyError> {
    let too_large = CopyError::TooLarge {
        words_max: space.words_max(),
    };
    let room = (space.words_max() - begin) as usize;
    let words = term.words_within(room).ok_or(too_large)? as u64;
    space.reserve(words - u64::from(space.len() - begin))
}

/// Copies the words of one object; tells which of the new ones still name objects of the source.
///
/// # Safety
///
/// As for [`copy_part`].
#[inline(always)]
unsafe fn copy_object(
    space: &mut Space,
    source: NonNull<Word>,
    word: Word,
) -> Result<(Word, Range), CopyError> {
    // SAFETY: a boxed word leads to its object.
    let object = unsafe { source.add(word.offset() as usize) };
    // SAFETY: an object has at least one word.
    let first = unsafe { object.read() };
    match word.tag() {
        CONS => {
            // SAFETY: a cell has two words.
            let tail = unsafe { object.add(1).read() };
            let at = space.push([first, tail])?;
            let end = if tail.is_boxed() {
                at + 2
            } else {
                at + u32::from(first.is_boxed())
            };
            Ok((Word::boxed(CONS, at), Range { at, end }))
        }
        TUPLE => {
            let count = first.header_len();
            space.reserve(u64::from(count) + 1)?;
            let start = space.len();
            let mut last = 0;
            // SAFETY: room is reserved; the object has the words that its header tells.
            unsafe {
                let target = space.base().add(start as usize);
                target.write(first);
                for index in 1..=count {
                    let word = object.add(index as usize).read();
                    target.add(index as usize).write(word);
                    last = if word.is_boxed() { index } else { last };
                }
                space.extend(count + 1);
            }
            let inner = Range {
                at: start + 1,
                end: start + 1 + last,
            };
            Ok((Word::boxed(TUPLE, start), inner))
        }
        // SAFETY: by the caller's word.
        _ => unsafe { copy_other(space, source, word) },
    }
}

/// The same for an object that is neither cell nor tuple.
///
/// # Safety
///
/// As for [`copy_part`].
#[inline(never)]
unsafe fn copy_other(
    space: &mut Space,
    source: NonNull<Word>,
    word: Word,
) -> Result<(Word, Range), CopyError> {
    // SAFETY: a boxed word leads to its object, whose header tells its words; room is reserved where it is written, and a
    // shared binary lies where the tag says so.
    unsafe {
        let object = source.add(word.offset() as usize);
        let header = object.read();
        let start = match word.tag() {
            SHARED_BINARY => {
                let shared = off_heap::binary_at(source, word.offset());
                off_heap::push_binary(space, shared.clone(), header.header_bits())?
            }
            NATIVE => return Err(CopyError::Native),
            _ => {
                let words = 1 + u64::from(header.raw_words()) + header.term_words();
                space.reserve(words)?;
                let start = space.len();
                let target = space.base().add(start as usize);
                object.copy_to_nonoverlapping(target, words as usize);
                space.extend(words as u32);
                start
            }
        };
        let inner = Range {
            at: start + 1 + header.raw_words(),
            end: space.len(),
        };
        Ok((Word::boxed(word.tag(), start), inner))
    }
}
