//! RESP2, the Redis protocol: requests in place out of a buffer, replies as bytes.

mod number;
mod parser;
mod reply;

pub use number::{Decimal, parse_i64};
pub use parser::{Arguments, Parser, ParserLimits, ProtocolError, Span};
pub use reply::{Refusal, Reply};
