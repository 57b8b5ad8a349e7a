//! Replies, written as bytes.

use otp_vm::TableError;

use super::{Decimal, ProtocolError};

/// Bytes ready to go to a client.
#[derive(Debug, Default)]
pub struct Reply {
    bytes: Vec<u8>,
}

impl Reply {
    /// Nothing yet.
    pub fn new() -> Reply {
        Reply::default()
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, leaving nothing.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Forgets what was written, keeping its room.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets what was written after `length`.
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Forgets the first `count` bytes.
    pub fn remove_front(&mut self, count: usize) {
        self.bytes.drain(..count);
    }

    /// Gives back room above `capacity` bytes.
    pub fn shrink(&mut self, capacity: usize) {
        self.bytes.shrink_to(capacity);
    }

    /// Replies that somebody else wrote.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// `+text`, which has no line's end in it.
    pub fn simple(&mut self, text: &str) {
        self.bytes.push(b'+');
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// `-text`, whose line's ends become spaces.
    pub fn error(&mut self, text: &str) {
        self.bytes.push(b'-');
        self.bytes.extend(text.bytes().map(|byte| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                byte
            }
        }));
        self.raw(b"\r\n");
    }

    /// `-ERR Protocol error: …`, after which the connection is closed.
    pub fn protocol_error(&mut self, error: ProtocolError) {
        self.error(&format!("ERR Protocol error: {error}"));
    }

    /// `:value`.
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// `:count`.
    pub fn count(&mut self, count: usize) {
        self.header(b':', i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// `:1` or `:0`.
    pub fn flag(&mut self, flag: bool) {
        self.raw(if flag { b":1\r\n" } else { b":0\r\n" });
    }

    /// `$length`, then the bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.raw(bytes);
        self.raw(b"\r\n");
    }

    /// The missing bulk string.
    pub fn null(&mut self) {
        self.raw(b"$-1\r\n");
    }

    /// The missing array.
    pub fn null_array(&mut self) {
        self.raw(b"*-1\r\n");
    }

    /// The head of an array of `length` elements, which follow.
    pub fn array(&mut self, length: usize) {
        self.header(b'*', i64::try_from(length).unwrap_or(i64::MAX));
    }

    fn header(&mut self, kind: u8, value: i64) {
        self.bytes.push(kind);
        if let 0..=9 = value {
            self.bytes.push(b'0' + value as u8);
        } else {
            self.raw(Decimal::new(value).as_bytes());
        }
        self.raw(b"\r\n");
    }
}

/// Why a command was not done; its text is the error reply, Redis's own word for word.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// An argument or a value is no 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// A hash field is no 64-bit integer.
    #[error("ERR hash value is not an integer")]
    HashNotAnInteger,
    /// A count must not be negative.
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    /// Unknown or contradicting options.
    #[error("ERR syntax error")]
    Syntax,
    /// The sum leaves 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// The negative of the decrement leaves 64 bits.
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    /// The time to live is none.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// The number of arguments is not what the command takes.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    /// The value would be over the limit.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    ValueTooBig,
    /// The reply would be over the limit of what is kept for one client.
    #[error(
        "ERR the reply exceeds the client's output limit; ask for less, or start with a larger --max-output-bytes"
    )]
    ReplyTooBig,
    /// EXPIRE has no such option.
    #[error("ERR Unsupported option {0}")]
    UnsupportedOption(String),
    /// EXPIRE's NX beside another option.
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    ExpireNxWithOthers,
    /// EXPIRE's GT and LT at once.
    #[error("ERR GT and LT options at the same time are not compatible")]
    ExpireGtWithLt,
    /// SCAN's cursor is no number.
    #[error("ERR invalid cursor")]
    InvalidCursor,
    /// The tables are out of reach for the moment; nothing was changed by this command.
    #[error("ERR the data is not available: {0}")]
    Table(#[from] TableError),
    /// The pub/sub server is being restarted.
    #[error("ERR publish and subscribe are not available for the moment; try again")]
    NoPubsub,
    /// A row is not what this server writes.
    #[error("ERR the data of this key is damaged; delete the key")]
    Damaged,
}
