//! Who waits for a reply.

use std::fmt;
use std::marker::PhantomData;

use otp_vm::{Context, Pid, ReplyTo, SendError};
use serde::{Deserialize, Serialize};

/// Who waits for the reply to a call. May be kept, or sent to another process, which then
/// replies. OTP's `From`.
///
/// A call of a shape of one's own (`message.kind()` gave a [`ReplyTo`]) has one as well: `From::from(reply_to)`.
pub struct From<R> {
    to: ReplyTo,
    reply: PhantomData<fn(R)>,
}

impl<R> From<R> {
    pub(crate) fn new(to: ReplyTo) -> Self {
        Self {
            to,
            reply: PhantomData,
        }
    }

    /// The caller.
    pub fn pid(&self) -> Pid {
        self.to.pid()
    }

    /// Where the reply goes, untyped: for [`Context::reply`] with a reply of another type.
    pub fn reply_to(&self) -> ReplyTo {
        self.to
    }
}

impl<R> From<R> {
    /// The same, who waits for a reply of a type that the caller knows.
    #[doc(hidden)]
    pub fn retyped<T>(self) -> From<T> {
        From::new(self.to)
    }
}

impl<R: Serialize> From<R> {
    /// Replies. To a caller that gave up, or got its reply already, it does nothing.
    /// `gen_server:reply/2`.
    ///
    /// # Errors
    /// When the reply can't be serialised.
    pub fn reply(&self, cx: &Context, reply: &R) -> Result<(), SendError> {
        cx.reply(&self.to, reply)
    }
}

impl<R> std::convert::From<ReplyTo> for From<R> {
    fn from(to: ReplyTo) -> Self {
        Self::new(to)
    }
}

impl<R> Clone for From<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for From<R> {}

impl<R> PartialEq for From<R> {
    fn eq(&self, other: &Self) -> bool {
        self.to == other.to
    }
}

impl<R> Eq for From<R> {}

impl<R> fmt::Debug for From<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("From").field(&self.to).finish()
    }
}

impl<R> Serialize for From<R> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to.serialize(serializer)
    }
}

impl<'de, R> Deserialize<'de> for From<R> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ReplyTo::deserialize(deserializer).map(Self::new)
    }
}
