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
pub struct Builder<H> {
    encoder: Encoder,
    // Each term with the levels that it nests.
    stack: Vec<(Word, u32)>,
    error: Option<EncodeError>,
    header: PhantomData<fn(H)>,
}

impl<H> Default for Builder<H> {
    fn default() -> Builder<H> {
        Builder::new()
    }
}

impl<H> std::fmt::Debug for Builder<H> {
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
        Builder {
            encoder: Encoder::new(Shape::of::<H>(), BLOCK_WORDS_MAX),
            stack: Vec::new(),
            error: None,
            header: PhantomData,
        }
    }

    fn step(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<(Word, u32), EncodeError>,
    ) -> &mut Self {
        if self.error.is_none() {
            match make(self) {
                Ok(term) => self.stack.push(term),
                Err(error) => self.error = Some(error),
            }
        }
        self
    }

    /// Takes the last terms off the stack; and how deep they reach.
    fn pop(&mut self, count: usize) -> Result<(Vec<Word>, u32), EncodeError> {
        let present = self.stack.len();
        let Some(start) = present.checked_sub(count) else {
            return Err(EncodeError::Stack {
                needed: count,
                present,
            });
        };
        let depth = self.stack[start..]
            .iter()
            .map(|term| term.1)
            .max()
            .unwrap_or(0);
        Ok((
            self.stack.drain(start..).map(|term| term.0).collect(),
            depth,
        ))
    }

    /// An integer.
    pub fn integer(&mut self, value: impl Into<i128>) -> &mut Self {
        let value = value.into();
        self.step(|builder| Ok((builder.encoder.wide(value)?, 0)))
    }

    /// A float; it must be finite.
    pub fn float(&mut self, value: f64) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.float(value)?, 0)))
    }

    /// An atom.
    pub fn atom(&mut self, atom: Atom) -> &mut Self {
        self.step(|_| Ok((Word::atom(atom), 0)))
    }

    /// A pid.
    pub fn pid(&mut self, pid: Pid) -> &mut Self {
        self.step(|_| Ok((Word::pid(pid), 0)))
    }

    /// A reference.
    pub fn reference(&mut self, reference: Ref) -> &mut Self {
        self.step(|_| Ok((Word::reference(reference), 0)))
    }

    /// A port.
    pub fn port(&mut self, port: Port) -> &mut Self {
        self.step(|_| Ok((Word::port(port), 0)))
    }

    /// A process of another node.
    pub fn external_pid(&mut self, pid: ExternalPid) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.external_pid(pid)?, 0)))
    }

    /// A reference made by another node.
    pub fn external_ref(&mut self, reference: &ExternalRef) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.external_ref(reference)?, 0)))
    }

    /// A port of another node.
    pub fn external_port(&mut self, port: ExternalPort) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.external_port(port)?, 0)))
    }

    /// An exported fun.
    pub fn export(&mut self, fun: Export) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.export(fun)?, 0)))
    }

    /// An integer of any size: its sign, and the limbs of its magnitude, least significant first.
    pub fn limbs(&mut self, negative: bool, limbs: &[u64]) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.limbs(negative, limbs)?, 0)))
    }

    /// A bitstring: so many bits of the bytes, from the most significant one of the first.
    pub fn bits(&mut self, bytes: impl AsRef<[u8]>, bits: usize) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.bits(bytes.as_ref(), bits)?, 0)))
    }

    /// A binary of these bytes, copied.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.bytes(bytes.as_ref())?, 0)))
    }

    /// A binary, shared if it is over 64 bytes.
    pub fn binary(&mut self, binary: &Binary) -> &mut Self {
        self.step(|builder| Ok((builder.encoder.binary(binary)?, 0)))
    }

    /// A copy of a term.
    pub fn term(&mut self, term: Term<'_>) -> &mut Self {
        self.step(|builder| builder.encoder.measured(|encoder| encoder.copy(term)))
    }

    /// What a value serialises as; so come native resources in, too.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.step(|builder| builder.encoder.measured(|encoder| value.serialize(encoder)))
    }

    /// The empty list.
    pub fn nil(&mut self) -> &mut Self {
        self.step(|_| Ok((Word::NIL, 0)))
    }

    /// A tuple of the last `len` terms.
    pub fn tuple(&mut self, len: usize) -> &mut Self {
        self.step(|builder| {
            let (elements, depth) = builder.pop(len)?;
            Ok((
                builder.encoder.tuple_of(&elements)?,
                builder.encoder.over(depth)?,
            ))
        })
    }

    /// A proper list of the last `len` terms.
    pub fn list(&mut self, len: usize) -> &mut Self {
        self.step(|builder| {
            let (elements, depth) = builder.pop(len)?;
            let mut list = Word::NIL;
            for element in elements.into_iter().rev() {
                list = builder.encoder.cons(element, list)?;
            }
            Ok((list, builder.encoder.over(depth)?))
        })
    }

    /// A cell of the last two terms, head and tail: `[head | tail]`.
    pub fn cons(&mut self) -> &mut Self {
        self.step(|builder| {
            let present = builder.stack.len();
            let Some([(head, head_depth), (tail, tail_depth)]) =
                builder.stack.last_chunk().copied()
            else {
                return Err(EncodeError::Stack { needed: 2, present });
            };
            builder.stack.truncate(present - 2);
            // A list's tail is no level deeper: walks go along it without recursion.
            let below = if tail.is_list() {
                tail_depth.saturating_sub(1)
            } else {
                tail_depth
            };
            let depth = builder.encoder.over(below.max(head_depth))?;
            Ok((builder.encoder.cons(head, tail)?, depth))
        })
    }

    /// A map of the last `pairs` pairs, each a key and then its value; the last of equal keys
    /// counts.
    pub fn map(&mut self, pairs: usize) -> &mut Self {
        self.step(|builder| {
            let (terms, depth) = builder.pop(pairs.saturating_mul(2))?;
            let map = builder.encoder.map_of(&terms)?;
            Ok((map, builder.encoder.over(depth)?))
        })
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
        self.step(|builder| {
            let [map, key, value] = builder.pop_map()?;
            let word = builder
                .encoder
                .change(|space| map_change::put(space, map.0, key.0, value.0))?;
            let below = builder.encoder.over(key.1.max(value.1))?;
            Ok((word, map.1.max(below)))
        })
    }

    /// The same for a key that the map has, else it is [`EncodeError::BadKey`]. Mirrors `maps:update/3`.
    pub fn map_update(&mut self) -> &mut Self {
        if self.error.is_none()
            && let Some([(map, _), (key, _), _]) = self.stack.last_chunk().copied()
            && map.tag() == MAP
            && !map_change::has(self.encoder.space(), map, key)
        {
            self.error = Some(EncodeError::BadKey);
        }
        self.map_put()
    }

    /// Takes a key out of a map, if it is there; the last two terms are the map and the key. Mirrors `maps:remove/2`.
    pub fn map_remove(&mut self) -> &mut Self {
        self.step(|builder| {
            let [map, key] = builder.pop_map()?;
            let word = builder
                .encoder
                .change(|space| map_change::remove(space, map.0, key.0))?;
            Ok((word, map.1))
        })
    }

    /// Makes one map of the last two, whose second counts for a key in both. Mirrors `maps:merge/2`.
    pub fn map_merge(&mut self) -> &mut Self {
        self.step(|builder| {
            let [left, right] = builder.pop_map()?;
            if right.0.tag() != MAP {
                return Err(EncodeError::BadMap);
            }
            let word = builder
                .encoder
                .change(|space| map_change::merge(space, left.0, right.0))?;
            Ok((word, left.1.max(right.1)))
        })
    }

    /// Takes the last terms off the stack, the first of which is a map; each with the levels that it nests.
    fn pop_map<const N: usize>(&mut self) -> Result<[(Word, u32); N], EncodeError> {
        let present = self.stack.len();
        let Some(terms) = self.stack.last_chunk().copied() else {
            return Err(EncodeError::Stack { needed: N, present });
        };
        self.stack.truncate(present - N);
        if terms[0].0.tag() != MAP {
            return Err(EncodeError::BadMap);
        }
        Ok(terms)
    }

    /// The block, with the one term of the stack as its root.
    ///
    /// # Errors
    ///
    /// The first error of the building, or [`EncodeError::Stack`] unless one term is left.
    pub fn finish(mut self, header: H) -> Result<Block<H>, EncodeError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        match *self.stack.as_slice() {
            [(root, _)] => Ok(self.encoder.finish(header, root)),
            _ => Err(EncodeError::Stack {
                needed: 1,
                present: self.stack.len(),
            }),
        }
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
