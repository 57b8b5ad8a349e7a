//! Requests, parsed in place and bit by bit.
//!
//! A request is an array of bulk strings, or a line of words ("inline"). The parser keeps its place between calls, so
//! that a request which arrives in a thousand pieces is looked at once, not a thousand times; and it gives spans of
//! the buffer, so that nothing is copied out of it.

use super::number::parse_i64;

/// Longest line of a request: an inline command, or the count in front of an array or a string. Redis's own
/// (`PROTO_INLINE_MAX_SIZE`).
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Arguments for which an idle parser keeps room.
const KEPT_ARGUMENTS: usize = 1024;

/// How large a request may be.
#[derive(Clone, Copy, Debug)]
pub struct ParserLimits {
    /// Bytes of a whole request.
    pub frame_bytes: usize,
    /// Bytes of one argument.
    pub value_bytes: usize,
    /// Arguments of a request.
    pub arguments: usize,
}

/// Why a client that sent this cannot be understood any more. Its text is Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An inline request without an end.
    #[error("too big inline request")]
    InlineTooBig,
    /// An inline request whose quotes don't match.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The count of arguments has no end.
    #[error("too big mbulk count string")]
    CountTooBig,
    /// The count of arguments is none, or is over the limit.
    #[error("invalid multibulk length")]
    InvalidCount,
    /// The length of an argument has no end.
    #[error("too big bulk count string")]
    LengthTooBig,
    /// The length of an argument is none, or is over the limit.
    #[error("invalid bulk length")]
    InvalidLength,
    /// An argument does not begin as one.
    #[error("expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// The request as a whole is over the limit.
    #[error("too big request")]
    FrameTooBig,
}

/// Where an argument lies in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// From `start` to before `end`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }
}

/// A complete request: its arguments, as parts of the bytes they came in.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    raw: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Arguments<'a> {
    /// The parts of `raw` at `spans`.
    pub fn new(raw: &'a [u8], spans: &'a [Span]) -> Arguments<'a> {
        Arguments { raw, spans }
    }

    /// How many there are, the command's name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it is an empty request, which gets no answer.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`; the name is at 0.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans
            .get(index)
            .map(|span| &self.raw[span.start..span.end])
    }

    /// All of them from `index` on.
    pub fn from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let raw = self.raw;
        self.spans
            .get(index..)
            .unwrap_or_default()
            .iter()
            .map(move |span| &raw[span.start..span.end])
    }
}

impl std::ops::Index<usize> for Arguments<'_> {
    type Output = [u8];

    fn index(&self, index: usize) -> &[u8] {
        let span = self.spans[index];
        &self.raw[span.start..span.end]
    }
}

/// Finds the requests at the head of a buffer, one at a time.
#[derive(Debug)]
pub struct Parser {
    limits: ParserLimits,
    spans: Vec<Span>,
    /// Where to go on, from the request's first byte.
    position: usize,
    /// Arguments that are still to come; `None` before the count is known.
    missing: Option<usize>,
    /// The words of an inline request, whose quotes and escapes are gone. An array's arguments stay where they came.
    inline: Vec<u8>,
    is_inline: bool,
    /// The last call gave a request, so the next one begins anew.
    complete: bool,
}

impl Parser {
    /// A parser at the start of a request.
    pub fn new(limits: ParserLimits) -> Parser {
        Parser {
            limits,
            spans: Vec::new(),
            position: 0,
            missing: None,
            inline: Vec::new(),
            is_inline: false,
            complete: false,
        }
    }

    /// Looks for a request at the start of `buffer`, which begins where it began at the last call unless that gave a
    /// request. Gives the request's length in the buffer, or `None` if its end has not come yet.
    ///
    /// # Errors
    ///
    /// When this is no request, or a too large one. The parser is of no use afterwards.
    pub fn parse(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if self.complete {
            self.complete = false;
            self.spans.clear();
            self.spans.shrink_to(KEPT_ARGUMENTS);
            self.position = 0;
            self.missing = None;
            self.inline.clear();
            self.is_inline = false;
        }
        let length = match buffer.first() {
            None => return Ok(None),
            Some(b'*') => self.parse_array(buffer)?,
            Some(_) => self.parse_inline(buffer)?,
        };
        self.complete = length.is_some();
        Ok(length)
    }

    /// The request that the last call of [`parse`](Parser::parse) found in `buffer`, `length` bytes long.
    pub fn arguments<'a>(&'a self, buffer: &'a [u8], length: usize) -> Arguments<'a> {
        let raw = if self.is_inline {
            &self.inline
        } else {
            &buffer[..length]
        };
        Arguments {
            raw,
            spans: &self.spans,
        }
    }

    fn parse_array(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let mut missing = match self.missing {
            Some(missing) => missing,
            None => {
                let Some((count, next)) = header(
                    buffer,
                    1,
                    ProtocolError::CountTooBig,
                    ProtocolError::InvalidCount,
                )?
                else {
                    return Ok(None);
                };
                self.position = next;
                let count =
                    usize::try_from(count.max(0)).map_err(|_| ProtocolError::InvalidCount)?;
                if count > self.limits.arguments {
                    return Err(ProtocolError::InvalidCount);
                }
                count
            }
        };
        while missing > 0 {
            self.missing = Some(missing);
            match buffer.get(self.position) {
                None => return Ok(None),
                Some(b'$') => {}
                Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
            }
            let Some((length, start)) = header(
                buffer,
                self.position + 1,
                ProtocolError::LengthTooBig,
                ProtocolError::InvalidLength,
            )?
            else {
                return Ok(None);
            };
            let length = usize::try_from(length).map_err(|_| ProtocolError::InvalidLength)?;
            if length > self.limits.value_bytes {
                return Err(ProtocolError::InvalidLength);
            }
            let end = start + length;
            // What follows an argument is taken for a line's end unseen, as Redis does.
            let next = end + 2;
            if next > self.limits.frame_bytes {
                return Err(ProtocolError::FrameTooBig);
            }
            if next > buffer.len() {
                return Ok(None);
            }
            self.spans.push(Span { start, end });
            self.position = next;
            missing -= 1;
        }
        Ok(Some(self.position))
    }

    fn parse_inline(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some(end) = buffer[self.position..]
            .iter()
            .position(|byte| *byte == b'\n')
        else {
            self.position = buffer.len();
            if buffer.len() > LINE_BYTES_MAX {
                return Err(ProtocolError::InlineTooBig);
            }
            return Ok(None);
        };
        let end = self.position + end;
        let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
        let words = split_words(line).ok_or(ProtocolError::UnbalancedQuotes)?;
        if words.len() > self.limits.arguments {
            return Err(ProtocolError::InvalidCount);
        }
        self.is_inline = true;
        for word in &words {
            let start = self.inline.len();
            self.inline.extend_from_slice(word);
            self.spans.push(Span {
                start,
                end: self.inline.len(),
            });
        }
        Ok(Some(end + 1))
    }
}

/// A number and the line's end behind it, at `start`: the number, and where the next line begins. `None` when the
/// line has not come in full.
fn header(
    buffer: &[u8],
    start: usize,
    too_big: ProtocolError,
    invalid: ProtocolError,
) -> Result<Option<(i64, usize)>, ProtocolError> {
    // Nearly every count has one to three digits.
    let mut value = 0;
    for (index, byte) in buffer[start..].iter().take(4).enumerate() {
        match byte {
            b'1'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            b'0' if index > 0 && value > 0 => value *= 10,
            b'\r' if index > 0 && buffer.len() > start + index + 1 => {
                return Ok(Some((value, start + index + 2)));
            }
            _ => break,
        }
    }
    let rest = &buffer[start..];
    match rest.iter().position(|byte| *byte == b'\r') {
        Some(end) if rest.len() > end + 1 => {
            let value = parse_i64(&rest[..end]).ok_or(invalid)?;
            Ok(Some((value, start + end + 2)))
        }
        Some(_) => Ok(None),
        None if rest.len() > LINE_BYTES_MAX => Err(too_big),
        None => Ok(None),
    }
}

/// Splits a line at white space, with Redis's quotes and escapes (`sdssplitargs`). `None` when quotes don't match.
fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match rest {
                [] => break,
                [b'"', tail @ ..] => {
                    rest = double_quoted(tail, &mut word)?;
                    if rest.first().is_some_and(|byte| !is_space(*byte)) {
                        return None;
                    }
                    break;
                }
                [b'\'', tail @ ..] => {
                    rest = single_quoted(tail, &mut word)?;
                    if rest.first().is_some_and(|byte| !is_space(*byte)) {
                        return None;
                    }
                    break;
                }
                [byte, ..] if is_space(*byte) || *byte == 0 => break,
                [byte, tail @ ..] => {
                    word.push(*byte);
                    rest = tail;
                }
            }
        }
        words.push(word);
        // A zero byte ends a word in Redis, whose lines are C strings; here it separates.
        if let [0, tail @ ..] = rest {
            rest = tail;
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |byte: &u8| (*byte as char).to_digit(16).unwrap_or_default() as u8;
                word.push(digit(high) * 16 + digit(low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 11 | 12)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LIMITS: ParserLimits = ParserLimits {
        frame_bytes: 4096,
        value_bytes: 1024,
        arguments: 64,
    };

    fn request(arguments: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    /// Parses all of `bytes`, given in pieces that end at `cuts`.
    fn parse_all(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut parser = Parser::new(LIMITS);
        let mut commands = Vec::new();
        let mut start = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            while let Some(length) = parser.parse(&bytes[start..cut])? {
                let arguments = parser.arguments(&bytes[start..cut], length);
                commands.push(arguments.from(0).map(<[u8]>::to_vec).collect());
                start += length;
            }
        }
        Ok(commands)
    }

    #[test]
    fn errors_are_those_of_redis() {
        let cases: &[(&[u8], &str)] = &[
            (b"*x\r\n", "invalid multibulk length"),
            (b"*65\r\n", "invalid multibulk length"),
            (b"*1\r\n+OK\r\n", "expected '$', got '+'"),
            (b"*1\r\n'OK\r\n", "expected '$', got '''"),
            (b"*1\r\n\\OK\r\n", "expected '$', got '\\'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$2000\r\n", "invalid bulk length"),
            (b"*1\r\n$01\r\n", "invalid bulk length"),
            (b"get \"a\r\n", "unbalanced quotes in request"),
            (b"get \"a\"b\r\n", "unbalanced quotes in request"),
        ];
        for (bytes, text) in cases {
            assert_eq!(parse_all(bytes, &[]).unwrap_err().to_string(), *text);
        }
        assert_eq!(
            parse_all(&[b'a'; LINE_BYTES_MAX + 1], &[]),
            Err(ProtocolError::InlineTooBig)
        );
        let mut endless = vec![b'*'];
        endless.resize(LINE_BYTES_MAX + 3, b'1');
        assert_eq!(parse_all(&endless, &[]), Err(ProtocolError::CountTooBig));
        let large = vec![vec![b'x'; 1000]; 5];
        assert_eq!(
            parse_all(&request(&large), &[]),
            Err(ProtocolError::FrameTooBig)
        );
    }

    #[test]
    fn a_request_of_many_arguments_leaves_no_large_room() {
        let mut parser = Parser::new(ParserLimits {
            frame_bytes: usize::MAX,
            arguments: usize::MAX,
            ..LIMITS
        });
        let many = request(&vec![Vec::new(); 10 * KEPT_ARGUMENTS]);
        for bytes in [&many[..], b"PING\r\n"] {
            assert_eq!(parser.parse(bytes), Ok(Some(bytes.len())));
        }
        assert!(parser.spans.capacity() <= KEPT_ARGUMENTS);
    }

    #[test]
    fn inline_requests_have_quotes_and_escapes() {
        let bytes = b"SET a \"x\\x41\\n\\\"\" 'it\\'s'\r\n\r\n  \r\nPING\n*0\r\n*-1\r\n";
        let commands = parse_all(bytes, &[]).unwrap();
        let set: Vec<Vec<u8>> = vec![b"SET".into(), b"a".into(), b"xA\n\"".into(), b"it's".into()];
        assert_eq!(
            commands,
            vec![set, vec![], vec![], vec![b"PING".to_vec()], vec![], vec![]]
        );
    }

    proptest! {
        #[test]
        fn requests_split_anywhere_are_the_same_requests(
            commands in vec(vec(vec(any::<u8>(), 0..40), 1..6), 1..5),
            cuts in vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes: Vec<u8> = commands.iter().flat_map(|command| request(command)).collect();
            prop_assert_eq!(&parse_all(&bytes, &[]).unwrap(), &commands);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.sort_unstable();
            prop_assert_eq!(&parse_all(&bytes, &cuts).unwrap(), &commands);
            let every: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(&parse_all(&bytes, &every).unwrap(), &commands);
        }

        #[test]
        fn any_bytes_are_requests_or_an_error_and_splitting_changes_nothing(bytes in vec(any::<u8>(), 0..200)) {
            let whole = parse_all(&bytes, &[]);
            let every: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(whole, parse_all(&bytes, &every));
        }
    }
}
