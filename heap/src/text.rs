//! Erlang's syntax of terms, written and read.
//!
//! [`print`] writes as `io_lib` does, [`parse`] reads as `erl_scan` and `erl_parse` do; neither
//! recurses on a term's depth. Here is what the two share: characters and words. The tests in
//! `tests/erlang/text.rs` hold both against a real node.

pub(crate) mod parse;
pub(crate) mod print;
mod scan;
mod segment;
#[cfg(test)]
mod tests;

/// Words that are no atoms unless quoted (`erl_scan:reserved_word/1`; `maybe` and `else` are none
/// as long as OTP's feature `maybe_expr` is off).
const RESERVED: &[&str] = &[
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
    "catch", "cond", "div", "end", "fun", "if", "let", "not", "of", "or", "orelse", "receive",
    "rem", "try", "when", "xor",
];

fn is_reserved(name: &str) -> bool {
    (2..=7).contains(&name.len()) && RESERVED.contains(&name)
}

/// Whether a name without quotes may begin so: Erlang counts the letters of Latin-1.
fn begins_name(character: char) -> bool {
    matches!(character, 'a'..='z' | 'ß'..='ö' | 'ø'..='ÿ')
}

/// Whether a name without quotes may go on so.
fn continues_name(character: char) -> bool {
    begins_name(character)
        || matches!(character, 'A'..='Z' | 'À'..='Ö' | 'Ø'..='Þ' | '0'..='9' | '_' | '@')
}

/// What Erlang's scanner skips: the control characters of both halves of Latin-1, and their spaces.
fn is_space(character: char) -> bool {
    matches!(character, '\0'..=' ' | '\u{80}'..='\u{A0}')
}
