//! Erlang's order and equality, at any depth without recursion.
//!
//! Two terms are walked side by side, by runs: words that lie in a row on both sides, such as the
//! elements of a tuple, or the head and the tail of a cell. Where two words of a run are objects
//! that nest, the rest of the run goes to a stack and the walk goes on inside. A run of one word
//! has no rest, so neither the tail of a list nor the last element of a tuple costs stack.

use std::cmp::Ordering;

use crate::Map;
use crate::limits::FLAT_MAP_PAIRS_MAX;
use crate::term::Term;
use crate::word::{CONS, HEAP_BINARY, INTEGER, MAP, TUPLE, Word};

use large::{Large, Next};

mod large;
mod leaf;

/// What numbers of one value are.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    /// `1` and `1.0` are equal: `==`.
    Value,
    /// All integers come before all floats, `-0.0` before `0.0`: `=:=`, and the keys of maps.
    Exact,
}

impl Term<'_> {
    /// The total order in which two terms are equal only if they are `=:=`: as [`Term::cmp_value`]
    /// but for numbers, of which every integer comes before every float. The order in which Erlang
    /// holds the keys of a map.
    ///
    /// `-0.0` comes before `0.0` and is another term, as from OTP 27 on; to OTP 25 and 26 they are
    /// one.
    ///
    /// ```
    /// use otp_heap::to_term;
    ///
    /// let (two, less) = (to_term(&2)?, to_term(&1.5)?);
    /// assert!(two.root().cmp_exact(less.root()).is_lt());
    /// assert!(two.root().cmp_value(less.root()).is_gt());
    /// # Ok::<(), otp_heap::EncodeError>(())
    /// ```
    #[inline]
    pub fn cmp_exact(self, other: Term<'_>) -> Ordering {
        compare::<false>(self, other, Mode::Exact)
    }

    /// Erlang's `<` and `==`: number < atom < reference < fun < port < pid < tuple < map < nil <
    /// list < bitstring. Numbers compare by value, without rounding, except as the keys of maps.
    ///
    /// A native resource, which to Erlang is a reference, comes after all others of those; of two
    /// the one that became a term first.
    /// Identifiers of this VM compare with those of other nodes as if it were `nonode@nohost`.
    #[inline]
    pub fn cmp_value(self, other: Term<'_>) -> Ordering {
        compare::<false>(self, other, Mode::Value)
    }
}

impl PartialEq for Term<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        compare::<true>(*self, *other, Mode::Exact).is_eq()
    }
}

impl Eq for Term<'_> {}

impl PartialOrd for Term<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Term<'_> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_exact(*other)
    }
}

/// With `EQUALITY` only whether the result is `Equal` means something.
#[inline]
fn compare<const EQUALITY: bool>(left: Term<'_>, right: Term<'_>, mode: Mode) -> Ordering {
    match pair::<EQUALITY>(left, right, mode) {
        Step::Decided(order) => order,
        step => Walk::<EQUALITY> {
            left,
            right,
            runs: Vec::new(),
            large: Vec::new(),
            outside: 0,
        }
        .from(step, mode),
    }
}

/// Words in a row on both sides, by the offset of the first.
#[derive(Clone, Copy, Debug)]
struct Run {
    left: u32,
    right: u32,
    count: u32,
    mode: Mode,
}

impl Run {
    /// Nothing: what is around it goes on.
    const NONE: Run = Run {
        left: 0,
        right: 0,
        count: 0,
        mode: Mode::Exact,
    };
}

/// What two words are to each other.
enum Step<'h> {
    Decided(Ordering),
    Into(Run),
    Maps(Map<'h>, Map<'h>),
}

/// Two words that may be anything.
#[inline]
fn pair<'h, const EQUALITY: bool>(left: Term<'h>, right: Term<'h>, mode: Mode) -> Step<'h> {
    let (left_word, right_word) = (left.word(), right.word());
    if left_word == right_word && (!left_word.is_boxed() || left.base() == right.base()) {
        return Step::Decided(Ordering::Equal);
    }
    let (tag, right_tag) = (left_word.tag(), right_word.tag());
    if tag != right_tag {
        return Step::Decided(leaf::compare::<EQUALITY>(left, right, mode));
    }
    let into = |skip: u32, count: u32| {
        Step::Into(Run {
            left: left_word.offset() + skip,
            right: right_word.offset() + skip,
            count,
            mode,
        })
    };
    match tag {
        INTEGER => Step::Decided(left_word.small_value().cmp(&right_word.small_value())),
        CONS => into(0, 2),
        TUPLE => {
            let len = left.object_word(0).header_len();
            match len.cmp(&right.object_word(0).header_len()) {
                Ordering::Equal => into(1, len),
                differ => Step::Decided(differ),
            }
        }
        MAP => match (left.as_map(), right.as_map()) {
            (Some(left), Some(right)) => match left.len().cmp(&right.len()) {
                Ordering::Equal => Step::Maps(left, right),
                differ => Step::Decided(differ),
            },
            _ => unreachable!("the tag says that they are maps"),
        },
        _ => Step::Decided(leaf::compare::<EQUALITY>(left, right, mode)),
    }
}

struct Walk<'h, const EQUALITY: bool> {
    // Any terms of the two blocks that are walked now.
    left: Term<'h>,
    right: Term<'h>,
    // What is left of the runs around the innermost one, if all was equal so far.
    runs: Vec<Run>,
    // The large maps around it, each with the runs that were open outside; and those of the
    // innermost one.
    large: Vec<(Box<Large<'h>>, usize)>,
    outside: usize,
}

impl<'h, const EQUALITY: bool> Walk<'h, EQUALITY> {
    fn from(mut self, first: Step<'h>, mode: Mode) -> Ordering {
        let mut step = match first {
            Step::Maps(left, right) => self.maps(left, right, mode),
            step => step,
        };
        loop {
            step = match step {
                Step::Into(run) => self.run(run),
                Step::Decided(order) => match self.resume(order) {
                    Ok(step) => step,
                    Err(order) => return order,
                },
                Step::Maps(..) => unreachable!("maps are opened where they are met"),
            };
        }
    }

    /// Walks a run and all inside it, and then the runs around it, up to a difference or to the end
    /// of a large map's part.
    fn run(&mut self, run: Run) -> Step<'h> {
        let (left_block, right_block) = (self.left, self.right);
        let one_block = left_block.base() == right_block.base();
        // Equal words are equal terms, unless they are offsets in two blocks.
        let same = |left: Word, right: Word| left == right && (one_block || !left.is_boxed());
        let Run {
            left: mut left_offset,
            right: mut right_offset,
            mut count,
            mut mode,
        } = run;
        loop {
            if count == 0 {
                if self.runs.len() == self.outside {
                    return Step::Decided(Ordering::Equal);
                }
                let Some(run) = self.runs.pop() else {
                    unreachable!("there are more than outside");
                };
                (left_offset, right_offset) = (run.left, run.right);
                (count, mode) = (run.count, run.mode);
            }
            let (left, right) = (left_block.at(left_offset), right_block.at(right_offset));
            let (left_word, right_word) = (left.word(), right.word());
            left_offset += 1;
            right_offset += 1;
            count -= 1;
            if same(left_word, right_word) {
                continue;
            }
            let rest = Run {
                left: left_offset,
                right: right_offset,
                count,
                mode,
            };
            if left_word.tag() == CONS && right_word.tag() == CONS {
                self.push(rest);
                // Along the cells as long as their heads are the same.
                (left_offset, right_offset) = (left_word.offset(), right_word.offset());
                count = loop {
                    let at = (left_block.at(left_offset), right_block.at(right_offset));
                    if !same(at.0.word(), at.1.word()) {
                        break 2;
                    }
                    left_offset += 1;
                    right_offset += 1;
                    let left = left_block.at(left_offset).word();
                    let right = right_block.at(right_offset).word();
                    if left.tag() != CONS || right.tag() != CONS || same(left, right) {
                        break 1;
                    }
                    let left_step = left.offset().wrapping_sub(left_offset - 1);
                    let right_step = right.offset().wrapping_sub(right_offset - 1);
                    (left_offset, right_offset) = (left.offset(), right.offset());
                    // Cells made one after the other lie in even steps. As long as they do, where
                    // the next one lies is known before its offset is loaded.
                    loop {
                        let left_next = left_offset.wrapping_add(left_step);
                        let right_next = right_offset.wrapping_add(right_step);
                        let (left, right) = (
                            left_block.at(left_offset).word(),
                            right_block.at(right_offset).word(),
                        );
                        if !same(left, right)
                            || left_block.at(left_offset + 1).word() != Word::boxed(CONS, left_next)
                            || right_block.at(right_offset + 1).word()
                                != Word::boxed(CONS, right_next)
                        {
                            break;
                        }
                        (left_offset, right_offset) = (left_next, right_next);
                    }
                };
                continue;
            }
            let tag = left_word.tag();
            if (tag == TUPLE || tag == MAP) && tag == right_word.tag() {
                let header = left.object_word(0);
                // Two tuples of one length, or flat maps of one size.
                if header == right.object_word(0) && header.header_kind() == tag {
                    let count_all = header.term_words() as u32;
                    let inner = (left_word.offset() + 1, right_word.offset() + 1);
                    let words = left_block.words_at(inner.0, count_all).iter();
                    let mut words = words.zip(right_block.words_at(inner.1, count_all));
                    // What has nothing but the same numbers and atoms is never opened.
                    let Some(index) = words.position(|(left, right)| !same(*left, *right)) else {
                        continue;
                    };
                    self.push(rest);
                    let index = index as u32;
                    let mut end = count_all;
                    if tag == MAP && mode == Mode::Value && index < count_all / 2 {
                        // All keys first, exactly; then the values.
                        end = count_all / 2;
                        self.push(Run {
                            left: inner.0 + end,
                            right: inner.1 + end,
                            count: end,
                            mode,
                        });
                        mode = Mode::Exact;
                    }
                    (left_offset, right_offset) = (inner.0 + index, inner.1 + index);
                    count = end - index;
                    continue;
                }
            }
            if tag == HEAP_BINARY && tag == right_word.tag() {
                match leaf::heap_binaries::<EQUALITY>(left, right) {
                    Ordering::Equal => continue,
                    differ => return Step::Decided(differ),
                }
            }
            match pair::<EQUALITY>(left, right, mode) {
                Step::Decided(Ordering::Equal) => {}
                Step::Decided(differ) => return Step::Decided(differ),
                Step::Maps(left, right) => {
                    self.push(rest);
                    match self.maps(left, right, mode) {
                        Step::Into(run) => {
                            (left_offset, right_offset) = (run.left, run.right);
                            (count, mode) = (run.count, run.mode);
                        }
                        step => return step,
                    }
                }
                Step::Into(_) => unreachable!("cells and alike tuples were seen above"),
            }
        }
    }

    #[inline]
    fn push(&mut self, rest: Run) {
        if rest.count > 0 {
            self.runs.push(rest);
        }
    }

    /// Opens two maps of one size: all keys first, then the values.
    fn maps(&mut self, left: Map<'h>, right: Map<'h>, mode: Mode) -> Step<'h> {
        let len = left.len();
        if len > FLAT_MAP_PAIRS_MAX {
            let outside = std::mem::replace(&mut self.outside, self.runs.len());
            let large = Box::new(Large::new(left, right, mode));
            self.large.push((large, outside));
            return Step::Decided(Ordering::Equal);
        }
        let len = len as u32;
        let run = |skip: u32, count: u32, mode: Mode| Run {
            left: left.term().word().offset() + skip,
            right: right.term().word().offset() + skip,
            count,
            mode,
        };
        if mode == Mode::Exact {
            return Step::Into(run(1, 2 * len, mode));
        }
        self.push(run(1 + len, len, mode));
        Step::Into(run(1, len, Mode::Exact))
    }

    /// Goes on after a part was decided; the result of the whole in `Err` when nothing is left.
    fn resume(&mut self, mut order: Ordering) -> Result<Step<'h>, Ordering> {
        if EQUALITY && order.is_ne() {
            return Err(order);
        }
        while let Some((mut large, outside)) = self.large.pop() {
            // They come after the difference, if there is one; else there are none.
            self.runs.truncate(self.outside);
            match large.take::<EQUALITY>(order) {
                Next::Compare(left, right, mode) => {
                    // The two may lie in one block, or in the blocks the other way round.
                    (self.left, self.right) = (left, right);
                    self.large.push((large, outside));
                    return Ok(match pair::<EQUALITY>(left, right, mode) {
                        Step::Maps(left, right) => self.maps(left, right, mode),
                        step => step,
                    });
                }
                Next::Done(result) => {
                    (self.left, self.right) = large.terms();
                    self.outside = outside;
                    order = result;
                    if order.is_eq() && self.runs.len() > outside {
                        return Ok(Step::Into(Run::NONE));
                    }
                }
            }
        }
        Err(order)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;
    use std::hash::{BuildHasher, RandomState};

    use crate::encode::Encoder;
    use crate::limits::BLOCK_WORDS_MAX;
    use crate::raw::Shape;
    use crate::word::Word;
    use crate::{Builder, OwnedTerm, to_term};

    /// Levels that would need more stack than a test has, if one of them took any.
    const LEVELS: u32 = 300_000;

    fn nested(innermost: i64, around: impl Fn(&mut Encoder, u32, Word) -> Word) -> OwnedTerm {
        let mut encoder = Encoder::new(Shape::of::<()>(), BLOCK_WORDS_MAX);
        let mut word = encoder.integer(innermost).unwrap();
        for level in 0..LEVELS {
            word = around(&mut encoder, level, word);
        }
        encoder.finish((), word)
    }

    fn around_all_sides(encoder: &mut Encoder, level: u32, word: Word) -> Word {
        let other = Word::number(level);
        match level % 6 {
            0 => encoder.tuple_of(&[word]),
            1 => encoder.tuple_of(&[other, word, other]),
            2 => encoder.cons(word, other),
            3 => encoder.cons(other, word),
            4 => encoder.map_of(&[word, other]),
            _ => encoder.map_of(&[other, word]),
        }
        .unwrap()
    }

    #[test]
    fn depth_takes_no_stack() {
        let [less, same, more] = [7, 7, 8].map(|number| nested(number, around_all_sides));
        assert!(less == same);
        assert!(less != more);
        assert_eq!(less.root().cmp_value(more.root()), Ordering::Less);
        assert_eq!(more.root().cmp_exact(same.root()), Ordering::Greater);
        let hasher = RandomState::new();
        assert_eq!(hasher.hash_one(&less), hasher.hash_one(&same));
        assert_ne!(hasher.hash_one(&less), hasher.hash_one(&more));
        assert_eq!(less.root().phash2(), same.root().phash2());
        assert_ne!(less.root().phash2(), more.root().phash2());
    }

    #[test]
    fn the_first_difference_decides_wherever_the_walk_is() {
        let build = |numbers: [i64; 5]| {
            let [a, b, c, d, e] = numbers;
            let mut builder = Builder::<()>::new();
            // {a, [{b}, c], #{1 => d}, e}
            builder.integer(a).integer(b).tuple(1).integer(c).list(2);
            builder.integer(1).integer(d).map(1).integer(e).tuple(4);
            builder.finish(()).unwrap()
        };
        let low = build([0; 5]);
        for place in 0..5 {
            // Greater in one place, less in all behind it.
            let mut numbers = [-1; 5];
            numbers[..place].fill(0);
            numbers[place] = 1;
            let high = build(numbers);
            assert_eq!(low.root().cmp_value(high.root()), Ordering::Less);
            assert_eq!(high.root().cmp_exact(low.root()), Ordering::Greater);
            assert!(low != high);
        }
    }

    #[test]
    fn exactly_all_integers_come_before_all_floats() {
        let [two, less, zero, minus] = [
            to_term(&2).unwrap(),
            to_term(&1.5).unwrap(),
            to_term(&0.0).unwrap(),
            to_term(&-0.0).unwrap(),
        ];
        assert!(two < minus && minus < zero && zero < less);
        assert!(minus != zero);
        assert_eq!(minus.root().cmp_value(zero.root()), Ordering::Equal);
        assert_eq!(less.root().cmp_value(two.root()), Ordering::Less);
        assert_eq!(minus.root().phash2(), zero.root().phash2());
    }

    /// A map with so many pairs more than one of its own.
    fn large(key: &OwnedTerm, value: &OwnedTerm, more: i64) -> OwnedTerm {
        let mut builder = Builder::new();
        builder.term(key.root()).term(value.root());
        for number in 0..more {
            builder.integer(number).float(number as f64);
        }
        builder.map(1 + more as usize);
        builder.finish(()).unwrap()
    }

    #[test]
    fn large_maps_inside_large_maps_compare_on() {
        let leaf = |number: f64| to_term(&number).unwrap();
        let mut pairs = [(leaf(1.0), leaf(1.0)), (leaf(1.0), leaf(2.0))];
        for level in 0..20 {
            pairs = pairs.map(|(left, right)| {
                let one = to_term(&-1).unwrap();
                match level % 2 {
                    0 => (large(&left, &one, 40), large(&right, &one, 40)),
                    _ => (large(&one, &left, 40), large(&one, &right, 40)),
                }
            });
            let [(left, same), (lesser, greater)] = &pairs;
            assert!(left == same);
            assert_eq!(left.root().cmp_value(same.root()), Ordering::Equal);
            assert!(lesser != greater);
            assert_eq!(lesser.root().cmp_value(greater.root()), Ordering::Less);
            assert_eq!(greater.root().cmp_exact(lesser.root()), Ordering::Greater);
        }
    }
}
