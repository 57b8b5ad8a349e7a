//! Terms made by hand.

use std::marker::PhantomData;

use serde::ser::Serialize;

use crate::block::Block;
use crate::encode::Encoder;
use crate::limits::BLOCK_WORDS_MAX;
use crate::raw::Shape;
use crate::term::Term;
use crate::word::{MAP, Word};
use crate::{
    Atom, Binary, EncodeError, Export, ExternalPid, ExternalPort, ExternalRef, Pid, Port, Ref,
    map_change,
};

/// Terms that a builder's stack has room for from the start. Chosen by feel: a map of 16 keys grows nothing.
const STACK: usize = 32;

/// Builds a term by hand, on a stack: values push, compounds pop their parts and push themselves.
///
/// The first error is kept and given by [`Builder::finish`]; what comes after it does nothing.
///
/// ```
/// use otp_heap::{Builder, atoms};
///
/// let mut builder = Builder::new();
/// builder.atom(atoms::OK).integer(1).integer(2).list(2).tuple(2);
/// assert_eq!(builder.finish(()).unwrap().to_string(), "{ok,[1,2]}");
/// ```
pub struct Builder<H, P = Making> {
    place: P,
    stack: Vec<Word>,
    error: Option<EncodeError>,
    header: PhantomData<fn(H)>,
}

/// Where a [`Builder`] makes its terms: in words of its own, which become a block, or on a heap.
pub trait Place: sealed::Sealed {
    #[doc(hidden)]
    fn making(&mut self) -> &mut Making;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Making {}
    impl Sealed for crate::heap::OnHeap<'_> {}
}

/// Words in the making: those of a new block, unless they are a heap's.
#[derive(Debug)]
pub struct Making(pub(crate) Encoder);

impl Place for Making {
    #[inline]
    fn making(&mut self) -> &mut Making {
        self
    }
}

impl<H> Default for Builder<H> {
    fn default() -> Builder<H> {
        Builder::new()
    }
}

impl<H, P> std::fmt::Debug for Builder<H, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("terms", &self.stack.len())
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<H> Builder<H> {
    /// A builder with nothing on its stack.
    pub fn new() -> Builder<H> {
        let encoder = Encoder::new(Shape::of::<H>(), BLOCK_WORDS_MAX);
        Builder::on(Making(encoder))
    }
}

impl<H, P: Place> Builder<H, P> {
    pub(crate) fn on(place: P) -> Builder<H, P> {
        Builder {
            place,
            stack: Vec::with_capacity(STACK),
            error: None,
            header: PhantomData,
        }
    }

    fn encoder(&mut self) -> &mut Encoder {
        &mut self.place.making().0
    }

    pub(crate) fn place(&self) -> &P {
        &self.place
    }

    /// Where it was built, and the one term of the stack.
    pub(crate) fn into_parts(self) -> (P, Result<Word, EncodeError>) {
        let root = match (self.error, self.stack.as_slice()) {
            (Some(error), _) => Err(error),
            (None, [root]) => Ok(*root),
            (None, stack) => Err(EncodeError::Stack {
                needed: 1,
                present: stack.len(),
            }),
        };
        (self.place, root)
    }

    pub(crate) fn step(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<Word, EncodeError>,
    ) -> &mut Self {
        if self.error.is_none() {
            match make(self) {
                Ok(term) => self.stack.push(term),
                Err(error) => self.error = Some(error),
            }
        }
        self
    }

    /// Makes a term of the last ones of the stack, and takes them off.
    fn compound(
        &mut self,
        count: usize,
        make: impl FnOnce(&mut Encoder, &[Word]) -> Result<Word, EncodeError>,
    ) -> &mut Self {
        self.step(|builder| {
            let present = builder.stack.len();
            let Some(start) = present.checked_sub(count) else {
                return Err(EncodeError::Stack {
                    needed: count,
                    present,
                });
            };
            let word = make(&mut builder.place.making().0, &builder.stack[start..])?;
            builder.stack.truncate(start);
            Ok(word)
        })
    }

    /// An integer.
    pub fn integer(&mut self, value: impl Into<i128>) -> &mut Self {
        let value = value.into();
        self.step(|builder| builder.encoder().wide(value))
    }

    /// A float; it must be finite.
    pub fn float(&mut self, value: f64) -> &mut Self {
        self.step(|builder| builder.encoder().float(value))
    }

    /// An atom.
    pub fn atom(&mut self, atom: Atom) -> &mut Self {
        self.step(|_| Ok(Word::atom(atom)))
    }

    /// A pid.
    pub fn pid(&mut self, pid: Pid) -> &mut Self {
        self.step(|_| Ok(Word::pid(pid)))
    }

    /// A reference.
    pub fn reference(&mut self, reference: Ref) -> &mut Self {
        self.step(|_| Ok(Word::reference(reference)))
    }

    /// A port.
    pub fn port(&mut self, port: Port) -> &mut Self {
        self.step(|_| Ok(Word::port(port)))
    }

    /// A process of another node.
    pub fn external_pid(&mut self, pid: ExternalPid) -> &mut Self {
        self.step(|builder| builder.encoder().external_pid(pid))
    }

    /// A reference made by another node.
    pub fn external_ref(&mut self, reference: &ExternalRef) -> &mut Self {
        self.step(|builder| builder.encoder().external_ref(reference))
    }

    /// A port of another node.
    pub fn external_port(&mut self, port: ExternalPort) -> &mut Self {
        self.step(|builder| builder.encoder().external_port(port))
    }

    /// An exported fun.
    pub fn export(&mut self, fun: Export) -> &mut Self {
        self.step(|builder| builder.encoder().export(fun))
    }

    /// An integer of any size: its sign, and the limbs of its magnitude, least significant first.
    pub fn limbs(&mut self, negative: bool, limbs: &[u64]) -> &mut Self {
        self.step(|builder| builder.encoder().limbs(negative, limbs))
    }

    /// A bitstring: so many bits of the bytes, from the most significant one of the first.
    pub fn bits(&mut self, bytes: impl AsRef<[u8]>, bits: usize) -> &mut Self {
        self.step(|builder| builder.encoder().bits(bytes.as_ref(), bits))
    }

    /// A binary of these bytes, copied.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.step(|builder| builder.encoder().bytes(bytes.as_ref()))
    }

    /// A binary, shared if it is over 64 bytes.
    pub fn binary(&mut self, binary: &Binary) -> &mut Self {
        self.step(|builder| builder.encoder().binary(binary))
    }

    /// A copy of a term.
    pub fn term(&mut self, term: Term<'_>) -> &mut Self {
        self.step(|builder| Ok(builder.encoder().copy(term)?))
    }

    /// What a value serialises as; so come native resources in, too.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.step(|builder| builder.encoder().value(value))
    }

    /// The empty list.
    pub fn nil(&mut self) -> &mut Self {
        self.step(|_| Ok(Word::NIL))
    }

    /// A tuple of the last `len` terms.
    pub fn tuple(&mut self, len: usize) -> &mut Self {
        self.compound(len, Encoder::tuple_of)
    }

    /// A proper list of the last `len` terms.
    pub fn list(&mut self, len: usize) -> &mut Self {
        self.compound(len, |encoder, elements| {
            let mut list = Word::NIL;
            for element in elements.iter().rev() {
                list = encoder.cons(*element, list)?;
            }
            Ok(list)
        })
    }

    /// A cell of the last two terms, head and tail: `[head | tail]`.
    pub fn cons(&mut self) -> &mut Self {
        self.compound(2, |encoder, parts| encoder.cons(parts[0], parts[1]))
    }

    /// A map of the last `pairs` pairs, each a key and then its value; the last of equal keys
    /// counts.
    pub fn map(&mut self, pairs: usize) -> &mut Self {
        self.compound(pairs.saturating_mul(2), Encoder::map_of)
    }

    /// Puts a pair into a map; the last three terms are the map, the key, the value. Mirrors `maps:put/3`.
    ///
    /// This and the other changes share with the map before what they can, and leave in the block what they can not.
    ///
    /// ```
    /// use otp_heap::{Builder, atoms};
    ///
    /// let mut builder = Builder::new();
    /// builder.atom(atoms::OK).integer(1).map(1);
    /// builder.atom(atoms::ERROR).integer(2).map_put();
    /// builder.atom(atoms::OK).map_remove();
    /// assert_eq!(builder.finish(()).unwrap().to_string(), "#{error => 2}");
    /// ```
    pub fn map_put(&mut self) -> &mut Self {
        self.change_map(3, |encoder, parts| {
            encoder.change(|space| map_change::put(space, parts[0], parts[1], parts[2]))
        })
    }

    /// The same for a key that the map has, else it is [`EncodeError::BadKey`]. Mirrors `maps:update/3`.
    pub fn map_update(&mut self) -> &mut Self {
        self.change_map(3, |encoder, parts| {
            if !map_change::has(encoder.space(), parts[0], parts[1]) {
                return Err(EncodeError::BadKey);
            }
            encoder.change(|space| map_change::put(space, parts[0], parts[1], parts[2]))
        })
    }

    /// Takes a key out of a map, if it is there; the last two terms are the map and the key. Mirrors `maps:remove/2`.
    pub fn map_remove(&mut self) -> &mut Self {
        self.change_map(2, |encoder, parts| {
            encoder.change(|space| map_change::remove(space, parts[0], parts[1]))
        })
    }

    /// Makes one map of the last two, whose second counts for a key in both. Mirrors `maps:merge/2`.
    pub fn map_merge(&mut self) -> &mut Self {
        self.change_map(2, |encoder, parts| {
            if parts[1].tag() != MAP {
                return Err(EncodeError::BadMap);
            }
            encoder.change(|space| map_change::merge(space, parts[0], parts[1]))
        })
    }

    /// As [`Builder::compound`], for terms the first of which is a map.
    fn change_map(
        &mut self,
        count: usize,
        change: impl FnOnce(&mut Encoder, &[Word]) -> Result<Word, EncodeError>,
    ) -> &mut Self {
        self.compound(count, |encoder, parts| {
            if parts[0].tag() != MAP {
                return Err(EncodeError::BadMap);
            }
            change(encoder, parts)
        })
    }
}

impl<H> Builder<H> {
    /// The block, with the one term of the stack as its root.
    ///
    /// # Errors
    ///
    /// The first error of the building, or [`EncodeError::Stack`] unless one term is left.
    pub fn finish(self, header: H) -> Result<Block<H>, EncodeError> {
        let (place, root) = self.into_parts();
        Ok(place.0.finish(header, root?))
    }

    /// The block, with all terms of the stack in one tuple as its root.
    ///
    /// # Errors
    ///
    /// The first error of the building.
    pub fn finish_tuple(mut self, header: H) -> Result<Block<H>, EncodeError> {
        self.tuple(self.stack.len());
        self.finish(header)
    }
}
