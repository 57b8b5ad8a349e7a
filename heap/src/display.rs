//! Terms in Erlang's syntax.

use std::fmt::{self, Write};

use crate::term::{Term, View};

/// What replaces the rest of a text that is cut off.
const ELLIPSIS: &str = "...";

impl<'h> Term<'h> {
    /// The term as text, cut off after so many bytes and then marked by `...`: for reports.
    ///
    /// Printing stops at the limit, however large the term.
    pub fn display_limited(self, bytes: usize) -> DisplayLimited<'h> {
        DisplayLimited { term: self, bytes }
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
        let mut limited = Limited {
            out: f,
            left: self.bytes,
            cut: false,
        };
        let result = write_term(self.term, &mut limited);
        if limited.cut {
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

/// Fails once the limit is reached, which stops the printing.
struct Limited<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    left: usize,
    cut: bool,
}

impl Write for Limited<'_, '_> {
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

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_term(*self, f)
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

fn write_term(term: Term<'_>, out: &mut dyn Write) -> fmt::Result {
    match term.view() {
        View::Int(value) => write!(out, "{value}"),
        View::BigInt(value) => write!(out, "{value}"),
        View::Float(value) => write_float(value, out),
        View::Atom(atom) => write!(out, "{atom}"),
        View::Pid(pid) => write!(out, "{pid}"),
        View::Ref(reference) => write!(out, "{reference}"),
        View::Port(port) => write!(out, "{port}"),
        View::ExternalPid(pid) => write!(out, "<{}.{}.{}>", pid.node, pid.id, pid.serial),
        View::ExternalPort(port) => write!(out, "#Port<{}.{}>", port.node, port.id),
        View::ExternalRef(external) => {
            write!(out, "#Ref<{}", external.node)?;
            let mut ids = external.ids().iter().rev();
            ids.try_for_each(|id| write!(out, ".{id}"))?;
            out.write_str(">")
        }
        View::Export(fun) => {
            write!(out, "fun {}:{}/{}", fun.module, fun.function, fun.arity)
        }
        View::Tuple(tuple) => {
            out.write_str("{")?;
            for (index, element) in tuple.iter().enumerate() {
                separate(index, out)?;
                write_term(element, out)?;
            }
            out.write_str("}")
        }
        View::Nil => out.write_str("[]"),
        View::Cons(_) => {
            out.write_str("[")?;
            let mut elements = term.list_iter();
            for (index, element) in elements.by_ref().enumerate() {
                separate(index, out)?;
                write_term(element, out)?;
            }
            if !elements.tail().is_nil() {
                out.write_str("|")?;
                write_term(elements.tail(), out)?;
            }
            out.write_str("]")
        }
        View::Map(map) => {
            out.write_str("#{")?;
            for (index, (key, value)) in map.iter().enumerate() {
                separate(index, out)?;
                write_term(key, out)?;
                out.write_str(" => ")?;
                write_term(value, out)?;
            }
            out.write_str("}")
        }
        View::Binary(bytes) => write_binary(bytes, out),
        View::Bits(bits) => {
            out.write_str("<<")?;
            let (last, whole) = bits.bytes().split_last().unwrap_or((&0, &[]));
            whole.iter().try_for_each(|byte| write!(out, "{byte},"))?;
            let count = bits.last_bits();
            write!(out, "{}:{count}>>", last >> (8 - count))
        }
        View::Native => out.write_str("#Native<>"),
    }
}

fn separate(index: usize, out: &mut dyn Write) -> fmt::Result {
    if index > 0 {
        out.write_str(",")
    } else {
        Ok(())
    }
}

/// `<<"text">>` if it can be read, `<<1,2,255>>` if not.
pub(crate) fn write_binary(bytes: &[u8], out: &mut dyn Write) -> fmt::Result {
    let readable = std::str::from_utf8(bytes).ok().filter(|text| {
        text.chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    });
    out.write_str("<<")?;
    match readable {
        Some("") => {}
        Some(text) => {
            out.write_str("\"")?;
            for character in text.chars() {
                match character {
                    '"' | '\\' => write!(out, "\\{character}")?,
                    '\n' => out.write_str("\\n")?,
                    '\r' => out.write_str("\\r")?,
                    '\t' => out.write_str("\\t")?,
                    other => out.write_char(other)?,
                }
            }
            out.write_str(if text.is_ascii() { "\"" } else { "\"/utf8" })?;
        }
        None => {
            for (index, byte) in bytes.iter().enumerate() {
                separate(index, out)?;
                write!(out, "{byte}")?;
            }
        }
    }
    out.write_str(">>")
}

/// The shortest digits that read back as the same float, with or without exponent, whichever is
/// shorter: the rule of `io_lib_format:fwrite_g/1`.
fn write_float(value: f64, out: &mut dyn Write) -> fmt::Result {
    let scientific = format!("{:e}", value.abs());
    if value.is_sign_negative() {
        out.write_str("-")?;
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    let exponent: i32 = exponent.parse().map_err(|_| fmt::Error)?;
    // The decimal point stands `place` digits from the first one.
    let (place, len) = (exponent + 1, digits.len() as i32);
    if value == 0.0 {
        return out.write_str("0.0");
    }
    if 0 < place && place < len {
        let (whole, fraction) = digits.split_at(place as usize);
        return write!(out, "{whole}.{fraction}");
    }
    let cost = exponent.to_string().len() as i32 + 1 + if len == 1 { 2 } else { 1 };
    if place <= 0 && 2 - place <= cost {
        return write!(out, "0.{}{digits}", "0".repeat(-place as usize));
    }
    if place > 0 && place - len + 2 <= cost {
        return write!(out, "{digits}{}.0", "0".repeat((place - len) as usize));
    }
    let (first, rest) = digits.split_at(1);
    write!(
        out,
        "{first}.{}e{exponent}",
        if rest.is_empty() { "0" } else { rest }
    )
}
