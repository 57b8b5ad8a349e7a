//! Copying a term into a space.
//!
//! The root of a block is copied whole: its words go over in one pass, offsets moved by the place
//! they land at. Any other term is copied by walking it, depth first, lists along their tails;
//! the recursion is bounded by the depth of a term.

use crate::CopyError;
use crate::limits::DEPTH_MAX;
use crate::off_heap;
use crate::raw::{Fixed, Space};
use crate::term::Term;
use crate::word::{CONS, HEADER, MAP, NATIVE, SHARED_BINARY, TUPLE, Word};

/// Words to begin with for a copy of the term: exact for the root of a block.
pub(crate) fn size_hint(term: Term<'_>) -> u32 {
    // SAFETY: terms given to a copy come from finished blocks.
    let fixed = unsafe { term.fixed() };
    if term.word() == fixed.root {
        fixed.len
    } else {
        0
    }
}

/// Copies a term that will lie `level` levels deep; gives its word and the depth it reaches.
pub(crate) fn copy_into(
    space: &mut Space,
    term: Term<'_>,
    level: u32,
) -> Result<(Word, u32), CopyError> {
    if !term.word().is_boxed() {
        return Ok((term.word(), level));
    }
    // SAFETY: terms given to a copy come from finished blocks.
    let fixed = unsafe { term.fixed() };
    if term.word() == fixed.root {
        return copy_whole(space, term, fixed, level);
    }
    let mut deepest = level;
    let word = copy_part(space, term, level, &mut deepest)?;
    Ok((word, deepest))
}

fn copy_whole(
    space: &mut Space,
    term: Term<'_>,
    fixed: &Fixed,
    level: u32,
) -> Result<(Word, u32), CopyError> {
    let depth = level + fixed.depth;
    if depth > DEPTH_MAX {
        return Err(CopyError::TooDeep);
    }
    // SAFETY: the chain is that of the term's own block.
    if unsafe { off_heap::has_native(term.base(), fixed.off_heap) } {
        return Err(CopyError::Native);
    }
    space.reserve(fixed.len.into())?;
    let delta = space.len();
    let source = term.base();
    // SAFETY: `reserve` made room behind `len` in another allocation than the source, which is
    // borrowed by `term` and has `len` written words.
    unsafe {
        let target = space.base().add(delta as usize);
        if delta == 0 {
            source.copy_to_nonoverlapping(target, fixed.len as usize);
        } else {
            let mut index = 0;
            while index < fixed.len as usize {
                let word = source.add(index).read();
                index += 1;
                if word.tag() == HEADER {
                    // Raw words may hold pointers: copied untyped, as many as the header says.
                    let raw = word.raw_words() as usize;
                    target.add(index - 1).write(word);
                    source
                        .add(index)
                        .copy_to_nonoverlapping(target.add(index), raw);
                    index += raw;
                } else {
                    target.add(index - 1).write(moved(word, delta));
                }
            }
        }
        space.extend(fixed.len);
        off_heap::adopt(space, delta, fixed.off_heap);
    }
    Ok((moved(term.word(), delta), depth))
}

#[inline]
fn moved(word: Word, delta: u32) -> Word {
    if word.is_boxed() {
        Word::boxed(word.tag(), word.offset() + delta)
    } else {
        word
    }
}

fn copy_part(
    space: &mut Space,
    term: Term<'_>,
    level: u32,
    deepest: &mut u32,
) -> Result<Word, CopyError> {
    let word = term.word();
    let at = |index: usize| {
        // SAFETY: the index is inside the term's object, as its tag and header tell below.
        let word = unsafe { term.base().add(word.offset() as usize + index).read() };
        // SAFETY: used only for words of the object that are terms, of the same block.
        (word, unsafe { Term::new(term.base(), word) })
    };
    match word.tag() {
        CONS => copy_list(space, term, level, deepest),
        TUPLE | MAP => {
            let level = deeper(level, deepest)?;
            let header = at(0).0;
            let count = header.term_words();
            let offset = space.push_blank(header, count)?;
            for index in 1..=count as u32 {
                let (word, element) = at(index as usize);
                let copied = if word.is_boxed() {
                    copy_part(space, element, level, deepest)?
                } else {
                    word
                };
                space.set(offset + index, copied);
            }
            Ok(Word::boxed(word.tag(), offset))
        }
        SHARED_BINARY => {
            // SAFETY: the tag says that a shared binary lies there.
            let shared = unsafe { off_heap::binary_at(term.base(), word.offset()) };
            let bits = at(0).0.header_bits();
            let offset = off_heap::push_binary(space, shared.clone(), bits)?;
            Ok(Word::boxed(SHARED_BINARY, offset))
        }
        NATIVE => Err(CopyError::Native),
        tag if word.is_boxed() => {
            let words = 1 + at(0).0.raw_words() + at(0).0.term_words() as u32;
            space.reserve(words.into())?;
            let offset = space.len();
            // SAFETY: room is reserved; the object has `words` words in another allocation.
            unsafe {
                let source = term.base().add(word.offset() as usize);
                source.copy_to_nonoverlapping(space.base().add(offset as usize), words as usize);
                space.extend(words);
            }
            Ok(Word::boxed(tag, offset))
        }
        _ => Ok(word),
    }
}

fn copy_list(
    space: &mut Space,
    list: Term<'_>,
    level: u32,
    deepest: &mut u32,
) -> Result<Word, CopyError> {
    let level = deeper(level, deepest)?;
    let mut first = Word::NIL;
    let mut last = None;
    let mut elements = list.list_iter();
    for head in elements.by_ref() {
        let offset = space.push([Word(0), Word::NIL])?;
        let cell = Word::boxed(CONS, offset);
        match last {
            None => first = cell,
            Some(previous) => space.set(previous + 1, cell),
        }
        last = Some(offset);
        if head.word().is_boxed() {
            let head = copy_part(space, head, level, deepest)?;
            space.set(offset, head);
        } else {
            space.set(offset, head.word());
        }
    }
    if let Some(last) = last {
        let tail = copy_part(space, elements.tail(), level, deepest)?;
        space.set(last + 1, tail);
    }
    Ok(first)
}

/// One level down, if the limit allows it.
#[inline]
fn deeper(level: u32, deepest: &mut u32) -> Result<u32, CopyError> {
    let level = level + 1;
    if level > DEPTH_MAX {
        return Err(CopyError::TooDeep);
    }
    *deepest = level.max(*deepest);
    Ok(level)
}
