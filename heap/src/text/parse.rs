//! Text to terms, as `erl_parse:parse_term/1` makes them.
//!
//! The parser goes from token to token; the compounds that are open, and the words of their parts,
//! lie on two stacks of its own. A compound is made when it closes.

use std::str::FromStr;

use thiserror::Error;

use crate::encode::Encoder;
use crate::limits::{
    BLOCK_WORDS_MAX, PARSE_BINARY_BYTES_MAX, PARSE_DEPTH_MAX, PARSE_INTEGER_DIGITS_MAX,
};
use crate::raw::Shape;
use crate::word::Word;
use crate::{
    Atom, EncodeError, Export, ExternalPid, ExternalPort, ExternalRef, OwnedTerm, Pid, Port, Ref,
};

use super::is_reserved;
use super::scan::{Identifier, IdentifierKind, Scanner, Token};
use super::segment::{Bitstring, Integer, SegmentError, Types, Value};

/// Reads a term in Erlang's syntax, with or without the dot at its end.
///
/// Mirrors `erl_scan:string/1` and `erl_parse:parse_term/1`: integers in any base, floats,
/// characters, atoms, adjacent strings, lists with tails, tuples, maps, binaries with sizes and
/// types, `fun m:f/a`, numbers with signs, parentheses, comments. Strings are lists. What
/// [`Display`](std::fmt::Display) prints is read as well: pids, references and ports; a native
/// resource has no text to be read.
///
/// The limits are those of [`ParseOptions::new`]. It makes atoms: for text that is not trusted,
/// use [`ParseOptions::existing_atoms`].
///
/// # Errors
///
/// See [`ParseError`], which tells where.
///
/// ```
/// let term = otp_heap::parse("#{pid => <0.4.1>, text => \"ab\" \"c\", bits => <<16#5:3>>}.")?;
/// assert_eq!(term.to_string(), r#"#{bits => <<5:3>>,pid => <0.4.1>,text => "abc"}"#);
///
/// let error = otp_heap::parse("{ok,\n  }").unwrap_err();
/// assert_eq!(error.to_string(), "2:3: expected a term, found '}'");
/// # Ok::<(), otp_heap::ParseError>(())
/// ```
pub fn parse(text: &str) -> Result<OwnedTerm, ParseError> {
    ParseOptions::new().parse(text)
}

/// As [`parse`].
impl FromStr for OwnedTerm {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<OwnedTerm, ParseError> {
        parse(text)
    }
}

/// How to parse: limits, and what to do with names that are no atoms yet.
///
/// ```
/// use otp_heap::{ParseErrorKind, ParseOptions};
///
/// let options = ParseOptions::new().existing_atoms(true).depth_max(2);
/// assert!(options.parse("{ok, [1]}").is_ok());
/// let error = options.parse("{ok, [{}]}").unwrap_err();
/// assert_eq!(error.kind(), &ParseErrorKind::TooDeep { depth_max: 2 });
/// let error = options.parse("{ok, surely_never_an_atom_before}").unwrap_err();
/// assert!(matches!(error.kind(), ParseErrorKind::NoSuchAtom { .. }));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions {
    depth_max: u32,
    words_max: u32,
    binary_bytes_max: usize,
    integer_digits_max: usize,
    existing_atoms: bool,
}

impl Default for ParseOptions {
    fn default() -> ParseOptions {
        ParseOptions::new()
    }
}

impl ParseOptions {
    /// All limits at their defaults; atoms are made.
    pub fn new() -> ParseOptions {
        ParseOptions {
            depth_max: PARSE_DEPTH_MAX,
            words_max: BLOCK_WORDS_MAX,
            binary_bytes_max: PARSE_BINARY_BYTES_MAX,
            integer_digits_max: PARSE_INTEGER_DIGITS_MAX,
            existing_atoms: false,
        }
    }

    /// Levels that the text nests at most; [`PARSE_DEPTH_MAX`](crate::PARSE_DEPTH_MAX) unless set.
    pub fn depth_max(self, levels: u32) -> ParseOptions {
        ParseOptions {
            depth_max: levels,
            ..self
        }
    }

    /// Words of 8 bytes of the block at most; [`BLOCK_WORDS_MAX`](crate::BLOCK_WORDS_MAX) unless
    /// set. (A word takes two characters of text at least, but for strings: two a character.)
    pub fn words_max(self, words: u32) -> ParseOptions {
        ParseOptions {
            words_max: words,
            ..self
        }
    }

    /// Bytes of all binaries together at most;
    /// [`PARSE_BINARY_BYTES_MAX`](crate::PARSE_BINARY_BYTES_MAX) unless set.
    pub fn binary_bytes_max(self, bytes: usize) -> ParseOptions {
        ParseOptions {
            binary_bytes_max: bytes,
            ..self
        }
    }

    /// Digits of an integer at most;
    /// [`PARSE_INTEGER_DIGITS_MAX`](crate::PARSE_INTEGER_DIGITS_MAX) unless set. The time for one
    /// grows with the square of its digits.
    pub fn integer_digits_max(self, digits: usize) -> ParseOptions {
        ParseOptions {
            integer_digits_max: digits,
            ..self
        }
    }

    /// Whether a name that is no atom yet is an error: for text that is not trusted.
    pub fn existing_atoms(self, only: bool) -> ParseOptions {
        ParseOptions {
            existing_atoms: only,
            ..self
        }
    }

    /// As [`parse()`], with these options.
    ///
    /// # Errors
    ///
    /// See [`ParseError`].
    pub fn parse(self, text: &str) -> Result<OwnedTerm, ParseError> {
        Parser {
            scanner: Scanner::new(text, self.integer_digits_max),
            encoder: Encoder::new(Shape::of::<()>(), self.words_max),
            words: Vec::new(),
            frames: Vec::new(),
            top: Frame::new(Kind::Top, 0),
            bytes_left: self.binary_bytes_max,
            options: self,
        }
        .run()
    }
}

/// A text is no term: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{line}:{column}: {kind}")]
pub struct ParseError {
    line: usize,
    column: usize,
    kind: Box<ParseErrorKind>,
}

impl ParseError {
    #[cold]
    pub(super) fn new(line: usize, column: usize, kind: ParseErrorKind) -> ParseError {
        ParseError {
            line,
            column,
            kind: Box::new(kind),
        }
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character in its line, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong.
    pub fn kind(&self) -> &ParseErrorKind {
        &self.kind
    }
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Something else should stand there.
    #[error("expected {expected}, found {}", Found(.found))]
    Unexpected {
        /// What should.
        expected: &'static str,
        /// What does; empty at the end of the text.
        found: Box<str>,
    },
    /// What stands there begins well, and is wrong.
    #[error("{what}")]
    Malformed {
        /// What it should be like.
        what: &'static str,
    },
    /// A name is no atom yet, and [`ParseOptions::existing_atoms`] asks that it be one.
    #[error("there is no atom {name:?}, and none may be made of this text")]
    NoSuchAtom {
        /// The name.
        name: Box<str>,
    },
    /// The text nests too deeply.
    #[error("the term nests deeper than {depth_max} levels: raise the limit, or make it flatter")]
    TooDeep {
        /// The limit in force.
        depth_max: u32,
    },
    /// An integer is too long.
    #[error("an integer has more than {digits_max} digits: raise the limit, or use a binary")]
    IntegerTooLong {
        /// The limit in force.
        digits_max: usize,
    },
    /// The binaries are too long.
    #[error("the binaries are over {bytes_max} bytes together: raise the limit, or read in parts")]
    BinariesTooLarge {
        /// The limit in force.
        bytes_max: usize,
    },
    /// The term could not be made: the block is too large, or an atom too long.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A piece of text in quotes, or the end.
struct Found<'a>(&'a str);

impl std::fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "" => f.write_str("the end"),
            text => write!(f, "'{}'", text.escape_debug()),
        }
    }
}

/// What is open, and what is read in it next or was read last.
#[derive(Debug)]
enum Kind {
    /// The text itself.
    Top,
    Tuple,
    List,
    /// After the bar of a list.
    Tail,
    Key,
    /// After an arrow of a map.
    Value,
    Binary(Bitstring),
}

/// A compound that is open.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// Where its parts begin on the stack of words.
    first: usize,
    /// Parentheses open around the part that is being read.
    parentheses: u32,
    /// The sign before that part, which then is a number; true for minus.
    negative: Option<bool>,
    /// Whether a part was read, so that what closes it may not stand for the next one.
    begun: bool,
}

impl Frame {
    fn new(kind: Kind, first: usize) -> Frame {
        Frame {
            kind,
            first,
            parentheses: 0,
            negative: None,
            begun: false,
        }
    }
}

/// What is after a part.
enum Next {
    /// Another part begins.
    Part,
    /// A compound closed, and is itself a part now.
    Closed,
    /// The text is over.
    End,
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    encoder: Encoder,
    /// Parts of the open compounds.
    words: Vec<Word>,
    /// The compounds around `top`, from the outermost.
    frames: Vec<Frame>,
    top: Frame,
    /// What binaries may still take.
    bytes_left: usize,
    options: ParseOptions,
}

impl<'t> Parser<'t> {
    fn run(mut self) -> Result<OwnedTerm, ParseError> {
        loop {
            let token = self.scanner.next()?;
            if !self.part(token)? {
                continue;
            }
            loop {
                match self.follow()? {
                    Next::Part => break,
                    Next::Closed => {}
                    Next::End => return Ok(self.encoder.finish((), self.words[0])),
                }
            }
        }
    }

    /// Reads a part from its first token; whether it is complete.
    fn part(&mut self, token: Token<'t>) -> Result<bool, ParseError> {
        if let Some(sign) = self.top.negative {
            return self.signed(token, sign);
        }
        match token {
            Token::ParenthesisOpen => {
                self.top.parentheses += 1;
                Ok(false)
            }
            Token::Plus | Token::Minus => {
                self.top.negative = Some(token == Token::Minus);
                Ok(false)
            }
            Token::BraceOpen => self.open(Kind::Tuple),
            Token::BracketOpen => self.open(Kind::List),
            Token::BinaryOpen => self.open(Kind::Binary(Bitstring::default())),
            Token::Hash => match self.scanner.next()? {
                Token::BraceOpen => self.open(Kind::Key),
                _ => Err(self.scanner.expected("'{' after the '#' of a map")),
            },
            Token::BraceClose if self.is_fresh() => match self.top.kind {
                Kind::Tuple | Kind::Key => self.close(),
                _ => Err(self.scanner.expected("a term")),
            },
            Token::BracketClose if self.is_fresh() && matches!(self.top.kind, Kind::List) => {
                self.close()
            }
            Token::BinaryClose if self.is_fresh() && matches!(self.top.kind, Kind::Binary(_)) => {
                self.close()
            }
            Token::Integer | Token::Float(_) | Token::Character(_) => self.number(token, false),
            Token::String => self.string(),
            _ if matches!(self.top.kind, Kind::Binary(_)) => {
                Err(self.scanner.expected("a number, a string or a binary"))
            }
            Token::Name("fun") => self.fun(),
            Token::Name(name) if !is_reserved(name) => {
                let atom = self.atom_named(name)?;
                self.put(Word::atom(atom))
            }
            Token::Quoted => {
                let atom = self.atom_quoted()?;
                self.put(Word::atom(atom))
            }
            Token::Identifier(identifier) => self.identifier(identifier),
            _ => Err(self.scanner.expected("a term")),
        }
    }

    /// What is after a sign.
    fn signed(&mut self, token: Token<'t>, negative: bool) -> Result<bool, ParseError> {
        match token {
            Token::ParenthesisOpen => {
                self.top.parentheses += 1;
                Ok(false)
            }
            Token::Integer | Token::Float(_) | Token::Character(_) => {
                self.top.negative = None;
                self.number(token, negative)
            }
            _ => Err(self.scanner.expected("a number after its sign")),
        }
    }

    /// Reads what is after a part.
    fn follow(&mut self) -> Result<Next, ParseError> {
        self.top.begun = true;
        let mut token = self.scanner.next()?;
        if self.top.parentheses > 0 {
            self.top.parentheses -= 1;
            return match token {
                Token::ParenthesisClose => Ok(Next::Closed),
                _ => Err(self.scanner.expected("')'")),
            };
        }
        if matches!(self.top.kind, Kind::Binary(_)) {
            token = self.segment(token)?;
        }
        match (&self.top.kind, token) {
            (Kind::Top, Token::Dot) => match self.scanner.next()? {
                Token::End => Ok(Next::End),
                _ => Err(self.scanner.expected("the end after the dot")),
            },
            (Kind::Top, Token::End) => Ok(Next::End),
            (Kind::Tuple | Kind::List | Kind::Binary(_), Token::Comma) => Ok(Next::Part),
            (Kind::List, Token::Bar) => {
                self.top.kind = Kind::Tail;
                Ok(Next::Part)
            }
            (Kind::Key, Token::Arrow) => {
                self.top.kind = Kind::Value;
                Ok(Next::Part)
            }
            (Kind::Value, Token::Comma) => {
                self.top.kind = Kind::Key;
                Ok(Next::Part)
            }
            (Kind::Tuple | Kind::Value, Token::BraceClose)
            | (Kind::List | Kind::Tail, Token::BracketClose)
            | (Kind::Binary(_), Token::BinaryClose) => {
                self.close()?;
                Ok(Next::Closed)
            }
            (kind, _) => Err(self.scanner.expected(match kind {
                Kind::Top => "the end of the term",
                Kind::Tuple | Kind::Value => "',' or '}'",
                Kind::List => "',', '|' or ']'",
                Kind::Tail => "']' after the tail of the list",
                Kind::Key => "'=>' after the key",
                Kind::Binary(_) => "',' or '>>'",
            })),
        }
    }

    /// Whether the innermost compound has no part yet: it may close at once.
    fn is_fresh(&self) -> bool {
        !self.top.begun && self.top.parentheses == 0
    }

    fn open(&mut self, kind: Kind) -> Result<bool, ParseError> {
        if self.frames.len() >= self.options.depth_max as usize {
            return Err(self.scanner.error(ParseErrorKind::TooDeep {
                depth_max: self.options.depth_max,
            }));
        }
        let frame = Frame::new(kind, self.words.len());
        self.frames.push(std::mem::replace(&mut self.top, frame));
        Ok(false)
    }

    /// Makes the innermost compound, and a part of it.
    fn close(&mut self) -> Result<bool, ParseError> {
        let Some(around) = self.frames.pop() else {
            return Err(self.scanner.expected("a term"));
        };
        let frame = std::mem::replace(&mut self.top, around);
        if let Kind::Binary(bitstring) = frame.kind {
            return self.bitstring(bitstring);
        }
        let made = self.compound(&frame);
        let word = made.map_err(|error| self.scanner.error(error))?;
        self.words.truncate(frame.first);
        self.put(word)
    }

    fn compound(&mut self, frame: &Frame) -> Result<Word, EncodeError> {
        let parts = &self.words[frame.first..];
        let (tail, elements) = match (&frame.kind, parts.split_last()) {
            (Kind::Tuple, _) => return self.encoder.tuple_of(parts),
            (Kind::Key | Kind::Value, _) => return self.encoder.map_of(parts),
            (Kind::Tail, Some((tail, elements))) => (*tail, elements),
            _ => (Word::NIL, parts),
        };
        let mut elements = elements.iter().rev();
        elements.try_fold(tail, |tail, head| self.encoder.cons(*head, tail))
    }

    /// A part is complete.
    fn put(&mut self, word: Word) -> Result<bool, ParseError> {
        self.words.push(word);
        Ok(true)
    }

    /// As [`Parser::put`], for what the encoder made.
    fn put_made(&mut self, made: Result<Word, EncodeError>) -> Result<bool, ParseError> {
        let word = made.map_err(|error| self.scanner.error(error))?;
        self.put(word)
    }

    fn number(&mut self, token: Token<'t>, negative: bool) -> Result<bool, ParseError> {
        let code;
        let limbs = match token {
            Token::Float(value) => {
                let value = if negative { -value } else { value };
                if let Kind::Binary(bitstring) = &mut self.top.kind {
                    bitstring.value = Some(Value::Float(value));
                    return Ok(true);
                }
                let made = self.encoder.float(value);
                return self.put_made(made);
            }
            Token::Character(character) => {
                code = [u32::from(character).into()];
                &code[..]
            }
            _ => &self.scanner.limbs,
        };
        if let Kind::Binary(bitstring) = &mut self.top.kind {
            bitstring.value = Some(Value::Integer(Integer::new(negative, limbs)));
            return Ok(true);
        }
        let made = self.encoder.limbs(negative, limbs);
        self.put_made(made)
    }

    fn string(&mut self) -> Result<bool, ParseError> {
        if let Kind::Binary(bitstring) = &mut self.top.kind {
            bitstring.value = Some(Value::Text(std::mem::take(&mut self.scanner.string)));
            return Ok(true);
        }
        let characters = self.scanner.string.chars().rev();
        let cell = |tail, code: u32| self.encoder.cons(Word::number(code), tail);
        let list = characters.map(u32::from).try_fold(Word::NIL, cell);
        let list = list.map_err(|error| self.scanner.error(error))?;
        self.put(list)
    }

    fn bitstring(&mut self, bitstring: Bitstring) -> Result<bool, ParseError> {
        let Bitstring { bytes, bits, .. } = bitstring;
        if let Kind::Binary(around) = &mut self.top.kind {
            around.value = Some(Value::Bits { bytes, bits });
            return Ok(true);
        }
        let made = self.encoder.bits(&bytes, bits);
        self.put_made(made)
    }

    /// Reads size and types of a segment whose value was read; gives the token after them.
    fn segment(&mut self, mut token: Token<'t>) -> Result<Token<'t>, ParseError> {
        let mut size = None;
        if token == Token::Colon {
            size = Some(self.size()?);
            token = self.scanner.next()?;
        }
        let mut types = Types::default();
        let mut more = token == Token::Slash;
        while more {
            let added = match self.scanner.next()? {
                Token::Name("unit") => match (self.scanner.next()?, self.scanner.next()?) {
                    (Token::Colon, Token::Integer) => types.add_unit(&self.scanner.limbs),
                    _ => return Err(self.scanner.expected("':' and an integer after 'unit'")),
                },
                Token::Name(name) => types.add(name),
                Token::Quoted => types.add(&self.scanner.string),
                _ => return Err(self.scanner.expected("a type of the segment")),
            };
            added.map_err(|what| self.scanner.error(ParseErrorKind::Malformed { what }))?;
            token = self.scanner.next()?;
            more = token == Token::Minus;
        }
        let Kind::Binary(bitstring) = &mut self.top.kind else {
            return Ok(token);
        };
        match bitstring.put(size, types, &mut self.bytes_left) {
            Ok(()) => Ok(token),
            Err(SegmentError::Wrong(what)) => {
                Err(self.scanner.error(ParseErrorKind::Malformed { what }))
            }
            Err(SegmentError::TooLarge) => {
                Err(self.scanner.error(ParseErrorKind::BinariesTooLarge {
                    bytes_max: self.options.binary_bytes_max,
                }))
            }
        }
    }

    /// A segment's size: an integer that is not negative, or one in parentheses.
    fn size(&mut self) -> Result<u64, ParseError> {
        const SIZE: &str = "the size of a segment, an integer";
        let (mut parentheses, mut negative) = (0_usize, None);
        let size = loop {
            match self.scanner.next()? {
                Token::ParenthesisOpen => parentheses += 1,
                sign @ (Token::Plus | Token::Minus) if parentheses > 0 && negative.is_none() => {
                    negative = Some(sign == Token::Minus);
                }
                Token::Integer => match *self.scanner.limbs {
                    [] => break 0,
                    [_] if negative == Some(true) => return Err(self.scanner.expected(SIZE)),
                    [size] => break size,
                    _ => break u64::MAX,
                },
                Token::Character(character) if negative != Some(true) => {
                    break u32::from(character).into();
                }
                _ => return Err(self.scanner.expected(SIZE)),
            }
        };
        for _ in 0..parentheses {
            if self.scanner.next()? != Token::ParenthesisClose {
                return Err(self.scanner.expected("')'"));
            }
        }
        Ok(size)
    }

    /// What is after `fun`.
    fn fun(&mut self) -> Result<bool, ParseError> {
        let module = self.fun_name("a module, as in 'fun m:f/1'")?;
        if self.scanner.next()? != Token::Colon {
            return Err(self.scanner.expected("':' after the module"));
        }
        let function = self.fun_name("a function")?;
        if self.scanner.next()? != Token::Slash {
            return Err(self.scanner.expected("'/' after the function"));
        }
        const ARITY: &str = "an arity, an integer up to 255";
        let arity = match (self.scanner.next()?, &*self.scanner.limbs) {
            (Token::Integer, []) => Ok(0),
            (Token::Integer, [arity]) => u8::try_from(*arity).map_err(|_| ()),
            _ => Err(()),
        };
        let arity = arity.map_err(|()| self.scanner.expected(ARITY))?;
        let made = self.encoder.export(Export {
            module,
            function,
            arity,
        });
        self.put_made(made)
    }

    /// A name in a fun. Printed ones have reserved words without quotes.
    fn fun_name(&mut self, expected: &'static str) -> Result<Atom, ParseError> {
        match self.scanner.next()? {
            Token::Name(name) => self.atom_named(name),
            Token::Quoted => self.atom_quoted(),
            _ => Err(self.scanner.expected(expected)),
        }
    }

    fn atom_named(&self, name: &str) -> Result<Atom, ParseError> {
        if self.options.existing_atoms {
            return Atom::existing(name).ok_or_else(|| {
                self.scanner
                    .error(ParseErrorKind::NoSuchAtom { name: name.into() })
            });
        }
        Atom::new(name).map_err(|error| self.scanner.error(EncodeError::Atom(error)))
    }

    fn atom_quoted(&self) -> Result<Atom, ParseError> {
        self.atom_named(&self.scanner.string)
    }

    fn identifier(&mut self, identifier: Identifier) -> Result<bool, ParseError> {
        let Some(word) = self.identifier_word(identifier)? else {
            let what = "the numbers of this identifier are too many, too few or too large";
            return Err(self.scanner.error(ParseErrorKind::Malformed { what }));
        };
        self.put_made(word)
    }

    /// `None` if there is no such identifier.
    fn identifier_word(
        &mut self,
        identifier: Identifier,
    ) -> Result<Option<Result<Word, EncodeError>>, ParseError> {
        use IdentifierKind::{Pid as PID, Port as PORT, Reference as REFERENCE};
        let numbers = identifier.numbers();
        let half = |index: usize| u32::try_from(numbers[index]).ok();
        let Some(creation) = identifier.creation else {
            return Ok(match (identifier.kind, numbers.len()) {
                (PID, 2) => half(0)
                    .filter(|index| *index <= Pid::INDEX_MAX)
                    .zip(half(1))
                    .map(|(index, serial)| Ok(Word::pid(Pid::from_parts(index, serial)))),
                (REFERENCE, 3) => [2, 1, 0]
                    .map(half)
                    .into_iter()
                    .collect::<Option<Vec<u32>>>()
                    .and_then(|numbers| Ref::from_numbers(&numbers))
                    .map(|reference| Ok(Word::reference(reference))),
                (PORT, 1) => Some(numbers[0])
                    .filter(|number| *number < 1 << 60)
                    .map(|number| Ok(Word::port(Port::from_u64(number)))),
                _ => None,
            });
        };
        let node = self.atom_quoted()?;
        Ok(match (identifier.kind, numbers.len()) {
            (PID, 2) => half(0).zip(half(1)).map(|(id, serial)| {
                self.encoder.external_pid(ExternalPid {
                    node,
                    creation,
                    id,
                    serial,
                })
            }),
            (PORT, 1) => {
                let id = numbers[0];
                Some(
                    self.encoder
                        .external_port(ExternalPort { node, creation, id }),
                )
            }
            (REFERENCE, len) => {
                let ids: Option<Vec<u32>> = (0..len).rev().map(half).collect();
                ids.and_then(|ids| ExternalRef::new(node, creation, &ids))
                    .map(|reference| self.encoder.external_ref(&reference))
            }
            _ => None,
        })
    }
}
