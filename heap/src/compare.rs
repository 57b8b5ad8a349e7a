//! Erlang's order and equality, at any depth without recursion.
//!
//! Two terms are walked side by side, by runs: words that lie in a row on both sides, such as the
//! elements of a tuple, or the head and the tail of a cell. Where two words of a run are objects
//! that nest, the rest of the run goes to a stack and the walk goes on inside. A run of one word
//! has no rest, so neither the tail of a list nor the last element of a tuple costs stack. Objects
//! that hold the same numbers, atoms and short binaries are passed without being opened: [`rows`].

use std::cmp::Ordering;

use crate::limits::FLAT_MAP_PAIRS_MAX;
use crate::term::Term;
use crate::word::{ATOM, CONS, INTEGER, MAP, TUPLE, Word};
use crate::{Atom, Map};

use large::{Large, Next};
use rows::{Level, Rows};

mod large;
mod leaf;
mod rows;

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
        let (word, other_word) = (self.word(), other.word());
        // The keys of most maps that are sorted: an order without a call.
        if word.tag() == INTEGER && other_word.tag() == INTEGER {
            return word.small_value().cmp(&other_word.small_value());
        }
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
        .from(step),
    }
}

/// Words in a row on both sides, by the offset of the first.
#[derive(Clone, Copy, Debug)]
struct Run {
    left: u32,
    right: u32,
    count: u32,
    /// So many words at the end are compared by value, those before them exactly: as a map's keys
    /// are always.
    by_value: u32,
}

impl Run {
    /// Nothing: what is around it goes on.
    const NONE: Run = Run {
        left: 0,
        right: 0,
        count: 0,
        by_value: 0,
    };

    /// The words of two objects alike, each without its header: all of one mode, but for a map's
    /// keys.
    #[inline(always)]
    fn of(left: Word, right: Word, count: u32, mode: Mode) -> Run {
        let is_cell = left.tag() == CONS;
        let by_value = match (mode, left.tag()) {
            (Mode::Exact, _) => 0,
            (Mode::Value, MAP) => count / 2,
            (Mode::Value, _) => count,
        };
        Run {
            left: left.offset() + u32::from(!is_cell),
            right: right.offset() + u32::from(!is_cell),
            count,
            by_value,
        }
    }

    /// How the first word is compared.
    #[inline(always)]
    fn mode(&self) -> Mode {
        if self.count <= self.by_value {
            Mode::Value
        } else {
            Mode::Exact
        }
    }

    /// Without its first words.
    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.left += count;
        self.right += count;
        self.count -= count;
    }
}

/// What two words are to each other.
enum Step<'h> {
    Decided(Ordering),
    Into(Run),
    Large(Map<'h>, Map<'h>, Mode),
}

/// Two words that may be anything.
#[inline(never)]
fn pair<'h, const EQUALITY: bool>(left: Term<'h>, right: Term<'h>, mode: Mode) -> Step<'h> {
    let (left_word, right_word) = (left.word(), right.word());
    if left_word == right_word && (!left_word.is_boxed() || left.base() == right.base()) {
        return Step::Decided(Ordering::Equal);
    }
    let (tag, right_tag) = (left_word.tag(), right_word.tag());
    if tag != right_tag {
        return Step::Decided(leaf::compare::<EQUALITY>(left, right, mode));
    }
    let into = |count: u32| Step::Into(Run::of(left_word, right_word, count, mode));
    match tag {
        INTEGER => Step::Decided(left_word.small_value().cmp(&right_word.small_value())),
        ATOM => {
            let atom = |word: Word| Atom::from_index(word.payload() as u32);
            Step::Decided(atom(left_word).cmp(&atom(right_word)))
        }
        CONS => into(2),
        TUPLE => {
            let len = left.object_word(0).header_len();
            match len.cmp(&right.object_word(0).header_len()) {
                Ordering::Equal => into(len),
                differ => Step::Decided(differ),
            }
        }
        MAP => match (left.as_map(), right.as_map()) {
            (Some(left), Some(right)) => match left.len().cmp(&right.len()) {
                Ordering::Equal if left.len() > FLAT_MAP_PAIRS_MAX => {
                    Step::Large(left, right, mode)
                }
                Ordering::Equal => into(2 * left.len() as u32),
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
    fn from(mut self, mut step: Step<'h>) -> Ordering {
        loop {
            step = match step {
                Step::Into(run) => self.run(run),
                Step::Large(left, right, mode) => {
                    let outside = std::mem::replace(&mut self.outside, self.runs.len());
                    let large = Box::new(Large::new(left, right, mode));
                    self.large.push((large, outside));
                    Step::Decided(Ordering::Equal)
                }
                Step::Decided(order) => match self.resume(order) {
                    Ok(step) => step,
                    Err(order) => return order,
                },
            };
        }
    }

    /// Walks a run and all inside it, and then the runs around it, up to a difference or to a large
    /// map.
    fn run(&mut self, mut run: Run) -> Step<'h> {
        let rows = Rows::new(self.left, self.right);
        loop {
            if run.count == 0 {
                if self.runs.len() == self.outside {
                    return Step::Decided(Ordering::Equal);
                }
                let Some(around) = self.runs.pop() else {
                    unreachable!("there are more than outside");
                };
                run = around;
            }
            let (left, right) = rows.words(run.left, run.right);
            let mode = run.mode();
            run.skip(1);
            if rows.same_leaf(left, right) {
                continue;
            }
            match rows.level(left, right, mode) {
                Level::Same => {}
                Level::Into(inner) => {
                    self.push(run);
                    run = inner;
                }
                Level::Cells => {
                    self.push(run);
                    run = self.cells(rows, left, right, mode);
                }
                Level::Other => match pair::<EQUALITY>(
                    self.left.with_word(left),
                    self.right.with_word(right),
                    mode,
                ) {
                    Step::Decided(Ordering::Equal) => {}
                    Step::Into(inner) => {
                        self.push(run);
                        run = inner;
                    }
                    Step::Decided(differ) => return Step::Decided(differ),
                    large => {
                        self.push(run);
                        return large;
                    }
                },
            }
        }
    }

    /// Walks along the cells of two lists as long as their heads are the same at first sight; gives
    /// what is to be walked next.
    #[inline(never)]
    fn cells(&mut self, rows: Rows<'h>, mut left: Word, mut right: Word, mode: Mode) -> Run {
        loop {
            let ([left_head, left_tail], [right_head, right_tail]) = rows.cells(left, right);
            let rest = |skip| {
                let mut rest = Run::of(left, right, 2, mode);
                rest.skip(skip);
                rest
            };
            if rows.same_leaf(left_head, right_head) {
                if !rows.are_cells(left_tail, right_tail) {
                    return rest(1);
                }
                (left, right) = rows.even_cells((left_tail, right_tail), (left, right));
                continue;
            }
            match rows.level(left_head, right_head, mode) {
                Level::Same if rows.are_cells(left_tail, right_tail) => {
                    (left, right) = (left_tail, right_tail);
                }
                Level::Same => return rest(1),
                Level::Into(inner) => {
                    self.push(rest(1));
                    return inner;
                }
                Level::Cells | Level::Other => return rest(0),
            }
        }
    }

    #[inline(always)]
    fn push(&mut self, rest: Run) {
        if rest.count > 0 {
            self.runs.push(rest);
        }
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
                    return Ok(pair::<EQUALITY>(left, right, mode));
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

    /// A list whose cells lie one after the other, forth or back, but for a gap of two words behind each of those
    /// named.
    fn cells(
        encoder: &mut Encoder,
        heads: &[i64],
        tail: Word,
        forth: bool,
        gaps: &[usize],
    ) -> Word {
        let mut offsets = vec![0; heads.len()];
        for nth in 0..heads.len() {
            let index = if forth { nth } else { heads.len() - 1 - nth };
            let cell = encoder.cons(Word::NIL, Word::NIL).unwrap();
            offsets[index] = cell.offset();
            if gaps.contains(&index) {
                encoder.float(0.5).unwrap();
            }
        }
        let mut list = tail;
        for (offset, head) in offsets.iter().zip(heads).rev() {
            encoder.fill(*offset, Word::small(*head).unwrap());
            encoder.fill(offset + 1, list);
            list = Word::boxed(crate::word::CONS, *offset);
        }
        list
    }

    #[test]
    fn lists_may_step_as_they_like_and_meet() {
        const LEN: usize = 12;
        let gaps: [&[usize]; 6] = [&[], &[0], &[5], &[5, 6, 7], &[10], &[3, 9]];
        let plain: Vec<i64> = (0..LEN as i64).collect();
        for (forth, back) in [(true, true), (true, false), (false, true), (false, false)] {
            for (left_gaps, right_gaps) in
                gaps.iter().flat_map(|l| gaps.iter().map(move |r| (l, r)))
            {
                for differs in 0..=LEN {
                    let mut other = plain.clone();
                    if let Some(head) = other.get_mut(differs) {
                        *head += 1;
                    }
                    let expected = plain.cmp(&other);
                    let case = format!("{forth} {back} {left_gaps:?} {right_gaps:?} {differs}");
                    // In one block, meeting in a tail or not; and in two.
                    for shared in [false, true] {
                        let mut encoder = Encoder::new(Shape::of::<()>(), BLOCK_WORDS_MAX);
                        let mut tail = || cells(&mut encoder, &[7; 6], Word::NIL, forth, &[2]);
                        let first = tail();
                        let second = if shared { first } else { tail() };
                        let left = cells(&mut encoder, &plain, first, forth, left_gaps);
                        let right = cells(&mut encoder, &other, second, back, right_gaps);
                        let pair = encoder.tuple_of(&[left, right]).unwrap();
                        let block = encoder.finish((), pair);
                        let pair = block.root().as_tuple().unwrap();
                        let (left, right) = (pair.get(0).unwrap(), pair.get(1).unwrap());
                        assert_eq!(left.cmp_exact(right), expected, "{case}");
                        assert_eq!(right.cmp_value(left), expected.reverse(), "{case}");
                        assert_eq!(left == right, differs == LEN, "{case}");
                        let copy = OwnedTerm::copy_of((), right).unwrap();
                        assert_eq!(left.cmp_exact(copy.root()), expected, "{case}");
                        assert_eq!(copy.root() == left, differs == LEN, "{case}");
                    }
                    let block = |heads: &[i64], forth, gaps| {
                        let mut encoder = Encoder::new(Shape::of::<()>(), BLOCK_WORDS_MAX);
                        let list = cells(&mut encoder, heads, Word::NIL, forth, gaps);
                        encoder.finish((), list)
                    };
                    let left = block(&plain, forth, left_gaps);
                    let right = block(&other, back, right_gaps);
                    assert_eq!(left.root().cmp_value(right.root()), expected, "{case}");
                    assert_eq!(left == right, differs == LEN, "{case}");
                }
            }
        }
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
