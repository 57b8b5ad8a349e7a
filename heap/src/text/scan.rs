//! Text to tokens, as `erl_scan` makes them.

use super::parse::{ParseError, ParseErrorKind};
use super::{begins_name, continues_name, is_space};

/// Characters of a token that an error shows.
const FOUND_CHARACTERS: usize = 24;

/// A token. What does not fit in a register lies in the scanner until the next token.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Token<'t> {
    End,
    /// A dot that ends the term: white space, a comment or nothing is after it.
    Dot,
    Comma,
    Bar,
    Colon,
    Slash,
    Plus,
    Minus,
    /// `=>`
    Arrow,
    Hash,
    BraceOpen,
    BraceClose,
    BracketOpen,
    BracketClose,
    ParenthesisOpen,
    ParenthesisClose,
    BinaryOpen,
    BinaryClose,
    /// Its magnitude is in [`Scanner::limbs`].
    Integer,
    Float(f64),
    /// `$c`
    Character(char),
    /// A name without quotes: an atom or a reserved word.
    Name(&'t str),
    /// A quoted atom; its name is in [`Scanner::string`].
    Quoted,
    /// All adjacent strings as one, in [`Scanner::string`].
    String,
    /// A pid, reference or port; the name of its node, if it has one, is in [`Scanner::string`].
    Identifier(Identifier),
    /// What no term has.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IdentifierKind {
    Pid,
    Reference,
    Port,
}

/// The text of a pid, reference or port, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identifier {
    pub(super) kind: IdentifierKind,
    /// `None` for one of this VM.
    pub(super) creation: Option<u32>,
    numbers: [u64; Identifier::NUMBERS_MAX],
    len: usize,
}

impl Identifier {
    /// A reference of another node has the most.
    const NUMBERS_MAX: usize = crate::ExternalRef::IDS_MAX;

    /// The numbers after that of the node, in the order of the text.
    pub(super) fn numbers(&self) -> &[u64] {
        &self.numbers[..self.len]
    }
}

pub(super) struct Scanner<'t> {
    text: &'t str,
    /// Byte where the last token begins.
    start: usize,
    /// Byte after it.
    at: usize,
    integer_digits_max: usize,
    pub(super) limbs: Vec<u64>,
    pub(super) string: String,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str, integer_digits_max: usize) -> Scanner<'t> {
        Scanner {
            text,
            start: 0,
            at: 0,
            integer_digits_max,
            limbs: Vec::new(),
            string: String::new(),
        }
    }

    /// An error at the last token.
    #[cold]
    pub(super) fn error(&self, kind: impl Into<ParseErrorKind>) -> ParseError {
        self.error_at(self.start, kind.into())
    }

    /// Something else than the last token should be there.
    #[cold]
    pub(super) fn expected(&self, expected: &'static str) -> ParseError {
        let token = &self.text[self.start..self.at];
        let mut found: String = token.chars().take(FOUND_CHARACTERS).collect();
        if found.len() < token.len() {
            found.push_str("...");
        }
        self.error(ParseErrorKind::Unexpected {
            expected,
            found: found.into(),
        })
    }

    #[cold]
    fn error_at(&self, byte: usize, kind: ParseErrorKind) -> ParseError {
        let before = &self.text[..byte];
        let line = before.rfind('\n').map_or(before, |end| &before[end + 1..]);
        let lines = before.bytes().filter(|byte| *byte == b'\n').count();
        ParseError::new(lines + 1, line.chars().count() + 1, kind)
    }

    #[cold]
    fn malformed(&self, what: &'static str) -> ParseError {
        self.error(ParseErrorKind::Malformed { what })
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        if found {
            self.at += character.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) {
        while let Some(character) = self.peek() {
            if character == '%' {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if is_space(character) {
                self.at += character.len_utf8();
            } else {
                return;
            }
        }
    }

    pub(super) fn next(&mut self) -> Result<Token<'t>, ParseError> {
        self.skip_space();
        self.start = self.at;
        let Some(first) = self.peek() else {
            return Ok(Token::End);
        };
        if first.is_ascii_digit() {
            return self.number();
        }
        if begins_name(first) {
            return Ok(Token::Name(self.name()));
        }
        self.at += first.len_utf8();
        Ok(match first {
            ',' => Token::Comma,
            '|' => Token::Bar,
            ':' => Token::Colon,
            '/' => Token::Slash,
            '+' => Token::Plus,
            '-' => Token::Minus,
            '{' => Token::BraceOpen,
            '}' => Token::BraceClose,
            '[' => Token::BracketOpen,
            ']' => Token::BracketClose,
            '(' => Token::ParenthesisOpen,
            ')' => Token::ParenthesisClose,
            '=' if self.skip('>') => Token::Arrow,
            '>' if self.skip('>') => Token::BinaryClose,
            '<' if self.skip('<') => Token::BinaryOpen,
            '.' if self.peek().is_none_or(|next| is_space(next) || next == '%') => Token::Dot,
            '$' => Token::Character(self.character()?),
            '\'' => {
                self.string.clear();
                self.quoted('\'')?;
                Token::Quoted
            }
            '"' => self.strings()?,
            '<' if self.begins_identifier(0) => self.identifier(IdentifierKind::Pid)?,
            '#' if self.rest().starts_with("Ref<") && self.begins_identifier(4) => {
                self.identifier(IdentifierKind::Reference)?
            }
            '#' if self.rest().starts_with("Port<") && self.begins_identifier(5) => {
                self.identifier(IdentifierKind::Port)?
            }
            '#' => Token::Hash,
            _ => Token::Other,
        })
    }

    fn name(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|next| !continues_name(next));
        let name = &rest[..end.unwrap_or(rest.len())];
        self.at += name.len();
        name
    }

    /// `1_000`, `16#ff`, `1.5e3`.
    fn number(&mut self) -> Result<Token<'t>, ParseError> {
        self.digits(10)?;
        if self.skip('#') {
            let base = match *self.limbs {
                [base @ 2..=36] => base as u32,
                _ => return Err(self.malformed("the base of an integer is 2 to 36")),
            };
            if self.digits(base)? == 0 {
                return Err(self.malformed("an integer with a base has digits after the '#'"));
            }
            return Ok(Token::Integer);
        }
        let fraction = self.rest().strip_prefix('.');
        if !fraction.is_some_and(|fraction| fraction.starts_with(|c: char| c.is_ascii_digit())) {
            return Ok(Token::Integer);
        }
        self.at += 1;
        self.skip_digits();
        if self.skip('e') || self.skip('E') {
            let _ = self.skip('+') || self.skip('-');
            if !self.peek().is_some_and(|next| next.is_ascii_digit()) {
                return Err(self.malformed("a float's exponent has digits"));
            }
            self.skip_digits();
        }
        let digits = self.text[self.start..self.at].replace('_', "");
        match digits.parse() {
            Ok(value) if f64::is_finite(value) => Ok(Token::Float(value)),
            _ => Err(self.malformed("this float is out of range")),
        }
    }

    fn skip_digits(&mut self) {
        while self.digit(10).is_some() {}
    }

    /// The next digit, over an underscore between two.
    fn digit(&mut self, base: u32) -> Option<u32> {
        let mut characters = self.rest().chars();
        let mut first = characters.next()?;
        let mut len = 1;
        let before = self.text[..self.at].chars().next_back();
        if first == '_' && before.is_some_and(|before| before.is_digit(base)) {
            first = characters.next()?;
            len = 2;
        }
        let digit = first.to_digit(base)?;
        self.at += len;
        Some(digit)
    }

    /// Reads an integer's digits into `limbs`, and counts them.
    fn digits(&mut self, base: u32) -> Result<usize, ParseError> {
        let base = u64::from(base);
        self.limbs.clear();
        let (mut count, mut part, mut scale) = (0, 0_u64, 1_u64);
        while let Some(digit) = self.digit(base as u32) {
            count += 1;
            if count > self.integer_digits_max {
                return Err(self.error(ParseErrorKind::IntegerTooLong {
                    digits_max: self.integer_digits_max,
                }));
            }
            let Some(next) = scale.checked_mul(base) else {
                multiply_add(&mut self.limbs, scale, part);
                (part, scale) = (digit.into(), base);
                continue;
            };
            (part, scale) = (part * base + u64::from(digit), next);
        }
        multiply_add(&mut self.limbs, scale, part);
        Ok(count)
    }

    /// What is after `$`.
    fn character(&mut self) -> Result<char, ParseError> {
        match self.peek() {
            Some('\\') => {
                self.at += 1;
                self.escape()
            }
            Some(character) => {
                self.at += character.len_utf8();
                Ok(character)
            }
            None => Err(self.malformed("'$' stands before a character")),
        }
    }

    /// The string that began, and those that follow it.
    fn strings(&mut self) -> Result<Token<'t>, ParseError> {
        self.string.clear();
        loop {
            self.quoted('"')?;
            let end = self.at;
            self.skip_space();
            if !self.skip('"') {
                self.at = end;
                return Ok(Token::String);
            }
        }
    }

    /// What is up to the closing quote, appended to `string`.
    fn quoted(&mut self, quote: char) -> Result<(), ParseError> {
        loop {
            let rest = self.rest();
            let Some(end) = rest.find([quote, '\\']) else {
                return Err(self.malformed("the closing quote is missing"));
            };
            self.string.push_str(&rest[..end]);
            self.at += end + 1;
            if rest[end..].starts_with(quote) {
                return Ok(());
            }
            let character = self.escape()?;
            self.string.push(character);
        }
    }

    /// What is after a backslash.
    fn escape(&mut self) -> Result<char, ParseError> {
        let Some(first) = self.peek() else {
            return Err(self.malformed("a backslash stands before a character"));
        };
        if first.is_digit(8) {
            let digits = self.rest().bytes().take(3);
            let digits = digits.take_while(|byte| matches!(byte, b'0'..=b'7'));
            return self.code(digits.count(), 8);
        }
        self.at += first.len_utf8();
        Ok(match first {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{0B}',
            'b' => '\u{08}',
            'f' => '\u{0C}',
            'e' => '\u{1B}',
            's' => ' ',
            'd' => '\u{7F}',
            '^' => match self.peek() {
                None => return Err(self.malformed("'\\^' stands before a character")),
                Some('\n') => {
                    self.at += 1;
                    '\n'
                }
                Some(key) => {
                    self.at += key.len_utf8();
                    char::from((u32::from(key) & 31) as u8)
                }
            },
            'x' if self.skip('{') => {
                let digits = self.rest().find(|c: char| !c.is_ascii_hexdigit());
                let character = self.code(digits.unwrap_or(0), 16)?;
                if !self.skip('}') {
                    return Err(self.malformed("'\\x{' has hexadecimal digits and a '}' after it"));
                }
                character
            }
            'x' => self.code(2, 16)?,
            other => other,
        })
    }

    /// The character whose code the next so many bytes are.
    fn code(&mut self, len: usize, base: u32) -> Result<char, ParseError> {
        let digits = self.rest().get(..len).unwrap_or("");
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = u32::from_str_radix(digits, base).ok().filter(|_| plain);
        let Some(character) = code.and_then(char::from_u32) else {
            return Err(self.malformed("this escape names no character"));
        };
        self.at += len;
        Ok(character)
    }

    /// Whether an identifier's numbers or its node are so many bytes on.
    fn begins_identifier(&self, skip: usize) -> bool {
        self.rest()[skip..].starts_with(|c: char| c.is_ascii_digit() || c == '\'' || begins_name(c))
    }

    /// What is after `<`, `#Ref<` or `#Port<`, as terms are printed.
    fn identifier(&mut self, kind: IdentifierKind) -> Result<Token<'t>, ParseError> {
        const SHAPE: &str = "an identifier is <0.1.2>, #Ref<0.1.2.3> or #Port<0.1>, \
            or has a node and its creation for the 0, as in <node@host/3.1.2>";
        let shape = |scanner: &Scanner<'_>| scanner.malformed(SHAPE);
        self.at = self.start + self.text[self.start..].find('<').unwrap_or(0) + 1;
        let creation = match self.peek() {
            Some('0'..='9') => match self.decimal() {
                Some(0) => None,
                _ => return Err(shape(self)),
            },
            first => {
                self.string.clear();
                if first == Some('\'') {
                    self.at += 1;
                    self.quoted('\'')?;
                } else {
                    let name = self.name();
                    self.string.push_str(name);
                }
                let creation = if self.skip('/') { self.decimal() } else { None };
                let creation = creation.and_then(|number| number.try_into().ok());
                Some(creation.ok_or_else(|| shape(self))?)
            }
        };
        let (mut numbers, mut len) = ([0; Identifier::NUMBERS_MAX], 0);
        while self.skip('.') {
            let place = numbers.get_mut(len).ok_or_else(|| shape(self))?;
            *place = self.decimal().ok_or_else(|| shape(self))?;
            len += 1;
        }
        if !self.skip('>') {
            return Err(shape(self));
        }
        Ok(Token::Identifier(Identifier {
            kind,
            creation,
            numbers,
            len,
        }))
    }

    fn decimal(&mut self) -> Option<u64> {
        let rest = self.rest();
        let end = rest.find(|next: char| !next.is_ascii_digit());
        let digits = &rest[..end.unwrap_or(rest.len())];
        self.at += digits.len();
        digits.parse().ok()
    }
}

/// `limbs * factor + summand`.
fn multiply_add(limbs: &mut Vec<u64>, factor: u64, summand: u64) {
    let mut carry = summand;
    for limb in limbs.iter_mut() {
        let wide = u128::from(*limb) * u128::from(factor) + u128::from(carry);
        (*limb, carry) = (wide as u64, (wide >> 64) as u64);
    }
    if carry != 0 {
        limbs.push(carry);
    }
}
