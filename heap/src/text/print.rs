//! Terms to text, as `io_lib:format("~0p")` and `"~0tp"` write them.
//!
//! One printer for both. It holds the compounds that are open on a stack of its own, and counts
//! the bytes that it may still write; what lies past that limit is not looked at.

use std::fmt::{self, Write};

use crate::number::BigInt;
use crate::term::{Term, TupleIter, View};
use crate::{Atom, Export};

use super::{begins_name, continues_name, is_reserved};

/// What replaces the rest of a text that is cut off.
const ELLIPSIS: &str = "...";

/// Digits of a limb of 64 bits in base 16; in base 10 it has more.
const LIMB_DIGITS: usize = 16;

/// The least float that is always written with an exponent: from here on not all integers are floats.
const FLOAT_EXACT_MAX: f64 = (1_u64 << 53) as f64;

/// Characters that are written as themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Charset {
    /// Those up to 255: `~p`.
    Latin1,
    /// All that print: `~tp` in a node with `+pc unicode`.
    Unicode,
}

impl<'h> Term<'h> {
    /// The term as text, cut off after so many bytes and then marked by `...`: for reports.
    ///
    /// Printing stops at the limit, however large the term, and looks at nothing beyond it. So,
    /// where the rest is cut off, a list counts as a string by the characters that are shown, a
    /// map may show any of its pairs first, and a very long integer is shown in base 16.
    pub fn display_limited(self, bytes: usize) -> DisplayLimited<'h> {
        DisplayLimited { term: self, bytes }
    }

    /// The term as text of Latin-1 characters, as `io_lib:format("~0p", [Term])` gives it.
    ///
    /// [`Display`](fmt::Display) is `~0tp` in a node that prints Unicode (`erl +pc unicode`):
    ///
    /// ```
    /// let term = otp_heap::parse(r#"{'Ω', "日本", "é", <<"é"/utf8>>}"#)?;
    /// assert_eq!(term.to_string(), r#"{'Ω',"日本","é",<<"é"/utf8>>}"#);
    /// assert_eq!(
    ///     term.root().display_latin1().to_string(),
    ///     r#"{'\x{3A9}',[26085,26412],"é",<<"Ã©">>}"#,
    /// );
    /// # Ok::<(), otp_heap::ParseError>(())
    /// ```
    pub fn display_latin1(self) -> DisplayLatin1<'h> {
        DisplayLatin1 { term: self }
    }
}

/// See [`Term::display_limited`].
#[derive(Clone, Copy)]
pub struct DisplayLimited<'h> {
    term: Term<'h>,
    bytes: usize,
}

impl fmt::Display for DisplayLimited<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer {
            left: self.bytes,
            ..Printer::new(f, Charset::Unicode)
        };
        let result = printer.print(self.term);
        if printer.cut {
            f.write_str(ELLIPSIS)
        } else {
            result
        }
    }
}

impl fmt::Debug for DisplayLimited<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// See [`Term::display_latin1`].
#[derive(Clone, Copy)]
pub struct DisplayLatin1<'h> {
    term: Term<'h>,
}

impl fmt::Display for DisplayLatin1<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printer::new(f, Charset::Latin1).print(self.term)
    }
}

impl fmt::Debug for DisplayLatin1<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As `io_lib:format("~0tp", [Term])` in a node that prints Unicode (`erl +pc unicode`), on one
/// line.
///
/// Two things have a text of their own, since OTP's means something only in the node that printed
/// it: identifiers of other nodes are `<there@host/3.7.9>`, `#Port<there@host/3.7>` and
/// `#Ref<there@host/3.1.2.3>` with the node's name and creation, and a native resource is
/// `#Native<>`. Maps of any size are in the order of their keys (`~0ktp` of OTP 26).
impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printer::new(f, Charset::Unicode).print(*self)
    }
}

impl fmt::Debug for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! debug_as_term {
    ($($type:ident)*) => {
        $(impl fmt::Debug for crate::$type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.term(), f)
            }
        })*
    };
}

debug_as_term!(Tuple Map Cons);

macro_rules! debug_as_list {
    ($($type:ident)*) => {
        $(impl fmt::Debug for crate::$type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.clone()).finish()
            }
        })*
    };
}

debug_as_list!(TupleIter MapIter ListIter);

/// `<<"text">>` if it can be read, `<<1,2,255>>` if not.
pub(crate) fn write_binary(bytes: &[u8], out: &mut dyn Write) -> fmt::Result {
    Printer::new(out, Charset::Unicode).binary(bytes)
}

/// The name, quoted where Erlang needs the quotes.
pub(crate) fn write_atom(atom: Atom, out: &mut dyn Write) -> fmt::Result {
    Printer::new(out, Charset::Unicode).atom(atom)
}

/// A compound whose first part is written, or being so.
enum Open<'h> {
    Tuple(TupleIter<'h>),
    /// What is left of the list.
    List(Term<'h>),
    /// The tail of an improper list is the last thing before its bracket.
    Tail,
    /// The value of the key just written, and the pairs after it.
    Map(Option<Term<'h>>, std::vec::IntoIter<(Term<'h>, Term<'h>)>),
}

struct Printer<'a> {
    out: &'a mut dyn Write,
    charset: Charset,
    /// Bytes that may still be written. Every loop over bytes, characters or elements that
    /// writes nothing yet is bounded by it.
    left: usize,
    cut: bool,
}

impl Write for Printer<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.left {
            self.left -= text.len();
            return self.out.write_str(text);
        }
        let end = text.floor_char_boundary(self.left);
        self.left = 0;
        self.cut = true;
        self.out.write_str(&text[..end])?;
        Err(fmt::Error)
    }
}

impl<'a> Printer<'a> {
    fn new(out: &'a mut dyn Write, charset: Charset) -> Printer<'a> {
        Printer {
            out,
            charset,
            left: usize::MAX,
            cut: false,
        }
    }

    fn print(&mut self, term: Term<'_>) -> fmt::Result {
        let mut open = Vec::new();
        let mut term = term;
        loop {
            if let Some(first) = self.begin(term, &mut open)? {
                term = first;
                continue;
            }
            // The next part of the innermost compound, after the ends of those that are done.
            term = loop {
                let Some(innermost) = open.last_mut() else {
                    return Ok(());
                };
                match innermost {
                    Open::Tuple(elements) => match elements.next() {
                        Some(element) => {
                            self.write_str(",")?;
                            break element;
                        }
                        None => self.write_str("}")?,
                    },
                    Open::List(rest) => match rest.view() {
                        View::Nil => self.write_str("]")?,
                        View::Cons(cons) => {
                            *rest = cons.tail();
                            self.write_str(",")?;
                            break cons.head();
                        }
                        _ => {
                            let tail = *rest;
                            *innermost = Open::Tail;
                            self.write_str("|")?;
                            break tail;
                        }
                    },
                    Open::Tail => self.write_str("]")?,
                    Open::Map(value, pairs) => {
                        if let Some(value) = value.take() {
                            self.write_str(" => ")?;
                            break value;
                        }
                        match pairs.next() {
                            Some((key, next)) => {
                                *value = Some(next);
                                self.write_str(",")?;
                                break key;
                            }
                            None => self.write_str("}")?,
                        }
                    }
                }
                open.pop();
            };
        }
    }

    /// Writes a term that has no parts, or the beginning of one that has; then gives the first.
    fn begin<'h>(
        &mut self,
        term: Term<'h>,
        open: &mut Vec<Open<'h>>,
    ) -> Result<Option<Term<'h>>, fmt::Error> {
        match term.view() {
            View::Int(value) => write!(self, "{value}")?,
            View::BigInt(value) => self.big(value)?,
            View::Float(value) => self.float(value)?,
            View::Atom(atom) => self.atom(atom)?,
            View::Pid(pid) => write!(self, "{pid}")?,
            View::Ref(reference) => write!(self, "{reference}")?,
            View::Port(port) => write!(self, "{port}")?,
            View::ExternalPid(pid) => {
                self.node("<", pid.node, pid.creation)?;
                write!(self, ".{}.{}>", pid.id, pid.serial)?;
            }
            View::ExternalPort(port) => {
                self.node("#Port<", port.node, port.creation)?;
                write!(self, ".{}>", port.id)?;
            }
            View::ExternalRef(external) => {
                self.node("#Ref<", external.node, external.creation)?;
                let mut ids = external.ids().iter().rev();
                ids.try_for_each(|id| write!(self, ".{id}"))?;
                self.write_str(">")?;
            }
            View::Export(fun) => self.fun(fun)?,
            View::Native => self.write_str("#Native<>")?,
            View::Binary(bytes) => self.binary(bytes)?,
            View::Bits(bits) => {
                let (last, whole) = bits.bytes().split_last().unwrap_or((&0, &[]));
                self.write_str("<<")?;
                whole.iter().try_for_each(|byte| write!(self, "{byte},"))?;
                let count = bits.last_bits();
                write!(self, "{}:{count}>>", last >> (8 - count))?;
            }
            View::Nil => self.write_str("[]")?,
            View::Cons(_) if self.is_string(term) => self.string(term)?,
            View::Cons(cons) => {
                self.write_str("[")?;
                open.push(Open::List(cons.tail()));
                return Ok(Some(cons.head()));
            }
            View::Tuple(tuple) => {
                self.write_str("{")?;
                let mut elements = tuple.iter();
                if let Some(first) = elements.next() {
                    open.push(Open::Tuple(elements));
                    return Ok(Some(first));
                }
                self.write_str("}")?;
            }
            View::Map(map) => {
                self.write_str("#{")?;
                // Of more pairs than bytes are left, not all will be seen: no need to sort.
                let pairs = if map.len() > self.left {
                    map.iter().take(self.left).collect()
                } else {
                    map.sorted()
                };
                let mut pairs = pairs.into_iter();
                if let Some((key, value)) = pairs.next() {
                    open.push(Open::Map(Some(value), pairs));
                    return Ok(Some(key));
                }
                self.write_str("}")?;
            }
        }
        Ok(None)
    }

    fn node(&mut self, begin: &str, node: Atom, creation: u32) -> fmt::Result {
        self.write_str(begin)?;
        self.atom(node)?;
        write!(self, "/{creation}")
    }

    fn big(&mut self, value: BigInt<'_>) -> fmt::Result {
        let (last, limbs) = value.limbs().split_last().unwrap_or((&0, &[]));
        if limbs.len().saturating_mul(LIMB_DIGITS) <= self.left {
            return write!(self, "{value}");
        }
        // It will be cut off in either base. The first digits of base 10 need a division of the
        // whole, those of base 16 do not.
        let sign = if value.is_negative() { "-" } else { "" };
        write!(self, "{sign}16#{last:X}")?;
        let mut limbs = limbs.iter().rev();
        limbs.try_for_each(|limb| write!(self, "{limb:016X}"))
    }

    fn atom(&mut self, atom: Atom) -> fmt::Result {
        let name = atom.as_str();
        if name.starts_with(begins_name) && name.chars().all(continues_name) && !is_reserved(name) {
            return self.write_str(name);
        }
        self.quoted(name, '\'')
    }

    /// OTP's emulator writes funs itself, and its quotes differ: around `@`, not around reserved
    /// words, which mean nothing else there.
    fn fun(&mut self, fun: Export) -> fmt::Result {
        self.write_str("fun ")?;
        for (atom, end) in [(fun.module, ":"), (fun.function, "/")] {
            let name = atom.as_str();
            if name.starts_with(begins_name) && name.chars().all(|c| continues_name(c) && c != '@')
            {
                self.write_str(name)?;
            } else {
                self.quoted(name, '\'')?;
            }
            self.write_str(end)?;
        }
        write!(self, "{}", fun.arity)
    }

    /// Whether a list that is not empty is written as a string: a proper one of characters that
    /// print. (Past the limit nothing is looked at.)
    fn is_string(&self, list: Term<'_>) -> bool {
        let mut elements = list.list_iter();
        let seen = elements.by_ref().take(self.left.saturating_add(1));
        for element in seen {
            match element.view() {
                View::Int(value) if self.is_printable(value) => {}
                _ => return false,
            }
        }
        let rest = elements.tail();
        rest.is_nil() || rest.as_cons().is_some()
    }

    fn string(&mut self, list: Term<'_>) -> fmt::Result {
        self.write_str("\"")?;
        for element in list.list_iter() {
            let code = element.as_i64().and_then(|code| u32::try_from(code).ok());
            let character = code.and_then(char::from_u32).ok_or(fmt::Error)?;
            self.character(character, '"')?;
        }
        self.write_str("\"")
    }

    fn is_printable(&self, code: i64) -> bool {
        match code {
            0x08..=0x0D | 0x1B | 0x20..=0x7E | 0xA0..=0xFF => true,
            0x100.. if self.charset == Charset::Latin1 => false,
            0x100..=0xD7FF | 0xE000..=0xFFFD | 0x1_0000..=0x10_FFFF => true,
            _ => false,
        }
    }

    fn binary(&mut self, bytes: &[u8]) -> fmt::Result {
        if bytes.is_empty() {
            return self.write_str("<<>>");
        }
        let seen = &bytes[..bytes.len().min(self.left)];
        let text = match std::str::from_utf8(seen) {
            _ if self.charset == Charset::Latin1 => None,
            Ok(text) => Some(text),
            // The limit may stand within a character.
            Err(error) if error.error_len().is_none() && seen.len() < bytes.len() => {
                std::str::from_utf8(&seen[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        self.write_str("<<")?;
        match text {
            Some(text) if text.chars().all(|c| self.is_printable(u32::from(c).into())) => {
                self.quoted(text, '"')?;
                self.write_str(if text.is_ascii() { "" } else { "/utf8" })?;
            }
            None if seen.iter().all(|byte| self.is_printable((*byte).into())) => {
                self.write_str("\"")?;
                let mut characters = seen.iter().map(|byte| char::from(*byte));
                characters.try_for_each(|character| self.character(character, '"'))?;
                self.write_str("\"")?;
            }
            _ => {
                let (last, others) = bytes.split_last().unwrap_or((&0, &[]));
                others.iter().try_for_each(|byte| write!(self, "{byte},"))?;
                write!(self, "{last}")?;
            }
        }
        self.write_str(">>")
    }

    fn quoted(&mut self, text: &str, quote: char) -> fmt::Result {
        let mut bytes = [0; 4];
        let quote_text: &str = quote.encode_utf8(&mut bytes);
        self.write_str(quote_text)?;
        // Runs of what needs no escape go out whole.
        let mut rest = text;
        while let Some(end) = rest.find(|character| self.is_escaped(character, quote)) {
            let (run, escaped) = rest.split_at(end);
            self.write_str(run)?;
            let mut characters = escaped.chars();
            if let Some(character) = characters.next() {
                self.character(character, quote)?;
            }
            rest = characters.as_str();
        }
        self.write_str(rest)?;
        self.write_str(quote_text)
    }

    fn is_escaped(&self, character: char, quote: char) -> bool {
        match character {
            '\\' | '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' => true,
            '\u{100}'.. => self.charset == Charset::Latin1,
            other => other == quote,
        }
    }

    fn character(&mut self, character: char, quote: char) -> fmt::Result {
        if !self.is_escaped(character, quote) {
            return self.write_char(character);
        }
        let code = u32::from(character);
        match character {
            '\n' => self.write_str("\\n"),
            '\r' => self.write_str("\\r"),
            '\t' => self.write_str("\\t"),
            '\u{0B}' => self.write_str("\\v"),
            '\u{08}' => self.write_str("\\b"),
            '\u{0C}' => self.write_str("\\f"),
            '\u{1B}' => self.write_str("\\e"),
            '\u{7F}' => self.write_str("\\d"),
            '\u{100}'.. => write!(self, "\\x{{{code:X}}}"),
            '\0'..='\u{1F}' | '\u{80}'.. => write!(self, "\\{code:03o}"),
            _ => write!(self, "\\{character}"),
        }
    }

    /// The shortest digits that read back as the same float (the even ones of two), with or
    /// without exponent, whichever is shorter, and with one from 2^53 on: the rule of
    /// `float_to_list(Float, [short])`.
    fn float(&mut self, value: f64) -> fmt::Result {
        if value.is_sign_negative() {
            self.write_str("-")?;
        }
        if value == 0.0 {
            return self.write_str("0.0");
        }
        let mut buffer = [0; FLOAT_DIGITS_MAX];
        let (digits, exponent) = shortest(value.abs(), &mut buffer);
        let (first, rest) = digits.split_at(1);
        // The decimal point stands `place` digits from the first one.
        let (place, len) = (exponent + 1, digits.len() as i32);
        // What is written beside the digits with an exponent: it, its `e`, and `.` or `.0`.
        let cost = if exponent < 0 { 1 } else { 0 }
            + exponent.unsigned_abs().checked_ilog10().unwrap_or(0) as i32
            + if len == 1 { 4 } else { 3 };
        if value.abs() < FLOAT_EXACT_MAX {
            if 0 < place && place < len {
                let (whole, fraction) = digits.split_at(place as usize);
                return write!(self, "{whole}.{fraction}");
            }
            if place <= 0 && 2 - place <= cost {
                let zeros = &ZEROS[..-place as usize];
                return write!(self, "0.{zeros}{digits}");
            }
            if place > 0 && place - len + 2 <= cost {
                let zeros = &ZEROS[..(place - len) as usize];
                return write!(self, "{digits}{zeros}.0");
            }
        }
        let rest = if rest.is_empty() { "0" } else { rest };
        write!(self, "{first}.{rest}e{exponent}")
    }
}

/// As many as a float may have that is written without exponent; more would be longer.
const ZEROS: &str = "00000000";

/// Digits, with the zeros around them, that the shortest text of a float has at most.
const FLOAT_DIGITS_MAX: usize = 24;

/// The digits of a float over zero, the first and the last of which are not 0, and the exponent
/// of the first.
fn shortest(value: f64, buffer: &mut [u8; FLOAT_DIGITS_MAX]) -> (&str, i32) {
    let mut text = zmij::Buffer::new();
    let text = text.format_finite(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (mut len, mut place, mut point) = (0, 0, None);
    for byte in mantissa.bytes() {
        match byte {
            b'.' => point = Some(place),
            // A zero before the first digit only moves that.
            b'0' if len == 0 => place += 1,
            digit => {
                buffer[len] = digit;
                len += 1;
                place += 1;
            }
        }
    }
    let point = point.unwrap_or(place);
    let first = place - len as i32;
    let used = buffer[..len].iter().rposition(|digit| *digit != b'0');
    let digits = &buffer[..used.map_or(0, |last| last + 1)];
    (
        str::from_utf8(digits).unwrap_or("0"),
        exponent + point - first - 1,
    )
}
