//! Bytes to blocks.

use std::marker::PhantomData;

use super::Progress;
use super::compress::Inflater;
use super::error::{DecodeError, DecodeErrorKind};
use super::limits::{FIRST_WORDS_MAX, FIRST_WORDS_PER_1000_BYTES};
use super::options::DecodeOptions;
use super::tags::{COMPRESSED, VERSION};
use crate::encode::Encoder;
use crate::raw::Shape;
use crate::{Binary, Block};

mod frame;
mod input;
mod quick;
mod rare;
mod reader;
mod term;

use input::Input;
use reader::Reader;

/// Reads a term by steps, to be behind a header of type `H`.
///
/// ```
/// use otp_heap::etf::{DecodeOptions, Decoder, term_to_binary};
/// use otp_heap::to_term;
///
/// let term = to_term(&vec!["text"; 1000])?;
/// let bytes = term_to_binary(term.root())?;
/// let mut decoder = Decoder::new(&bytes, &DecodeOptions::new());
/// while !decoder.step(100)?.done {}
/// let (block, used) = decoder.finish(());
/// assert_eq!((block, used), (term, bytes.len()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Decoder<'a, H = ()> {
    input: &'a [u8],
    // The binary that is `input`, if its parts may be shared.
    shared: Option<&'a Binary>,
    options: DecodeOptions,
    state: State,
    header: PhantomData<fn(H)>,
}

enum State {
    Begin,
    Inflating(Box<Inflater>),
    /// The bytes of the term if they were inflated, and how many of the input they are made of.
    Reading(Box<Reader>, Option<(Vec<u8>, usize)>),
    Failed(DecodeError),
}

impl<H> std::fmt::Debug for Decoder<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("bytes", &self.input.len())
            .finish_non_exhaustive()
    }
}

impl<'a, H> Decoder<'a, H> {
    /// A decoder that has done nothing yet.
    pub fn new(input: &'a [u8], options: &DecodeOptions) -> Decoder<'a, H> {
        Decoder {
            input,
            shared: None,
            options: *options,
            state: State::Begin,
            header: PhantomData,
        }
    }

    /// The same; binaries over 64 bytes in the term will be parts of the input, not copied.
    pub fn shared(input: &'a Binary, options: &DecodeOptions) -> Decoder<'a, H> {
        Decoder {
            shared: Some(input),
            ..Decoder::new(input, options)
        }
    }

    /// Goes on for about so many units of work (see [`Progress`]), at least for one.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`]; further steps give the same error.
    pub fn step(&mut self, budget: usize) -> Result<Progress, DecodeError> {
        let budget = budget.max(1);
        let mut work = 0;
        let mut done = false;
        while !done && work < budget {
            let stepped = match &mut self.state {
                State::Begin => self.begin().map(|()| 1),
                State::Inflating(inflater) => {
                    // Behind version, tag and size.
                    let stream = &self.input[6..];
                    match inflater.step(stream) {
                        Ok((work, false)) => Ok(work),
                        Ok((work, true)) => {
                            let used = 6 + inflater.used();
                            let bytes = std::mem::take(&mut inflater.out);
                            self.state = self.reading(0, Some((bytes, used)));
                            Ok(work)
                        }
                        Err(kind) => Err(DecodeError {
                            offset: 6 + inflater.used(),
                            inflated: false,
                            kind,
                        }),
                    }
                }
                State::Reading(reader, inflated) => {
                    let (input, shared) = match &inflated {
                        Some((bytes, _)) => (&bytes[..], None),
                        None => (self.input, self.shared),
                    };
                    let read = reader.run(input, shared, &self.options, budget - work);
                    done = reader.root().is_some();
                    read.map_err(|kind| DecodeError {
                        offset: reader.begin,
                        inflated: inflated.is_some(),
                        kind,
                    })
                }
                State::Failed(error) => Err(*error),
            };
            match stepped {
                Ok(units) => work += units,
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
        Ok(Progress { work, done })
    }

    fn begin(&mut self) -> Result<(), DecodeError> {
        let at = |offset| {
            move |kind| DecodeError {
                offset,
                inflated: false,
                kind,
            }
        };
        let mut input = Input {
            bytes: self.input,
            at: 0,
        };
        let version = "the version, 131";
        match input.byte(version).map_err(at(0))? {
            VERSION => {}
            found => {
                let expected = version;
                return Err(at(0)(DecodeErrorKind::Expected { expected, found }));
            }
        }
        self.state = if self.input.get(1) == Some(&COMPRESSED) {
            input.at = 2;
            let announced = input.long("the size of the plain term").map_err(at(2))?;
            let inflated_bytes_max = self.options.inflated_bytes_max;
            if announced as usize > inflated_bytes_max {
                return Err(at(2)(DecodeErrorKind::InflatedTooLarge {
                    announced,
                    inflated_bytes_max,
                }));
            }
            State::Inflating(Box::new(Inflater::new(announced)))
        } else {
            self.reading(1, None)
        };
        Ok(())
    }

    fn reading(&self, at: usize, inflated: Option<(Vec<u8>, usize)>) -> State {
        let bytes = match &inflated {
            Some((bytes, _)) => bytes.len(),
            None => self.input.len(),
        };
        let words = bytes.saturating_mul(FIRST_WORDS_PER_1000_BYTES) / 1000;
        let words = words.min(FIRST_WORDS_MAX) as u32;
        let encoder = Encoder::with_room(Shape::of::<H>(), words, self.options.words_max);
        let reader = Reader::new(encoder, at);
        State::Reading(Box::new(reader), inflated)
    }

    /// The term behind its header, and the bytes of the input that it took.
    ///
    /// # Panics
    ///
    /// Unless the last step said that all is done.
    pub fn finish(self, header: H) -> (Block<H>, usize) {
        let State::Reading(reader, inflated) = self.state else {
            panic!("steps are left");
        };
        let root = reader.root().expect("steps are left");
        let used = inflated.map_or(reader.at, |(_, used)| used);
        (reader.encoder.finish(header, root), used)
    }
}
