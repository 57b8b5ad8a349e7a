//! Requests whose responses come later, as messages.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use otp_vm::{
    AliasMode, CallError, Context, Due, ExitReason, Message, MessageKind, MonitorOptions, Pid, Ref,
    SendError, Timeout, atoms, from_term,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Target;

/// A request that was sent, by which its response is known. OTP's `request_id()`.
///
/// A plain value: it can be copied and kept; only the process that sent the request can wait by it. A request that
/// nobody comes back to leaves its response in the mailbox: [`abandon`](Self::abandon) it then.
pub struct RequestId<R> {
    reference: Ref,
    owner: Pid,
    reply: PhantomData<fn() -> R>,
}

/// How long to wait for a response. OTP's `response_timeout()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseTimeout {
    /// For ever.
    Infinity,
    /// This long. Zero: only look.
    After(std::time::Duration),
    /// Until this point in time, in nanoseconds on the clock of [`Context::monotonic_time`]. `{abs, Time}`.
    At(u64),
}

impl From<std::time::Duration> for ResponseTimeout {
    fn from(after: std::time::Duration) -> Self {
        Self::After(after)
    }
}

impl From<Timeout> for ResponseTimeout {
    fn from(after: Timeout) -> Self {
        match after {
            Timeout::Infinity => Self::Infinity,
            Timeout::After(after) => Self::After(after),
        }
    }
}

impl From<Option<std::time::Duration>> for ResponseTimeout {
    fn from(after: Option<std::time::Duration>) -> Self {
        Timeout::from(after).into()
    }
}

impl From<Due> for ResponseTimeout {
    fn from(due: Due) -> Self {
        match due {
            Due::After(after) => Self::After(after),
            Due::At(at) => Self::At(at),
        }
    }
}

impl ResponseTimeout {
    /// From now on.
    pub(super) fn left(self, cx: &Context) -> Timeout {
        match self {
            Self::Infinity => Timeout::Infinity,
            Self::After(after) => Timeout::After(after),
            Self::At(at) => {
                let left = at.saturating_sub(cx.monotonic_time());
                Timeout::After(std::time::Duration::from_nanos(left))
            }
        }
    }
}

/// Sends `{'$gen_call', {Pid, Ref}, Request}`. Who isn't there is told by the response. `gen:send_request/3`.
///
/// # Errors
/// When the request can't be serialised, or the server's mailbox refuses it: then there is no request.
pub(crate) fn send_request<M: Serialize, R>(
    cx: &Context,
    target: &Target,
    request: &M,
) -> Result<RequestId<R>, SendError> {
    let owner = cx.pid();
    // Looked up once: a name may have another holder the next time.
    let Some(pid) = target.whereis(cx) else {
        let reference = cx.make_ref();
        let reason = match target.other_node(cx) {
            Some(_) => atoms::NOCONNECTION,
            None => atoms::NOPROC,
        };
        let nobody = (atoms::UNDEFINED, cx.node());
        let down = (atoms::DOWN, reference, atoms::PROCESS, nobody, reason);
        cx.send(owner, &down)?;
        return Ok(RequestId::new(reference, owner));
    };
    let reference = if pid == owner {
        // No process monitors itself; its reply comes all the same.
        cx.alias_reply()
    } else {
        let options = MonitorOptions::new().alias(AliasMode::ReplyDemonitor);
        cx.monitor_opt(pid, options)
    };
    match cx.send(pid, &(atoms::GEN_CALL, (owner, reference), request)) {
        Ok(()) => Ok(RequestId::new(reference, owner)),
        Err(error) => {
            cx.unalias(reference);
            cx.demonitor_flush(reference);
            Err(error)
        }
    }
}

impl<R> RequestId<R> {
    fn new(reference: Ref, owner: Pid) -> Self {
        Self {
            reference,
            owner,
            reply: PhantomData,
        }
    }

    /// The request's reference: the tag of the reply, `{Ref, Reply}`.
    pub fn reference(&self) -> Ref {
        self.reference
    }

    /// Whether this process sent it.
    pub(super) fn is_of(&self, cx: &Context) -> bool {
        self.owner == cx.pid()
    }

    /// Gives the request up: no response comes from now on, and one that is there already goes.
    pub async fn abandon(self, cx: &mut Context) {
        if self.is_of(cx) {
            cx.unalias(self.reference);
            cx.demonitor(self.reference);
            let mut is_response = |message: &Message| is_of(message, self.reference).then_some(());
            cx.receive_where(std::time::Duration::ZERO, &mut is_response)
                .await;
        }
    }
}

impl<R: DeserializeOwned + Send> RequestId<R> {
    /// Waits for the response; when the time is over, the request is abandoned.
    /// `gen_server:receive_response/2`.
    ///
    /// Dropping the future leaves the request as it is.
    ///
    /// # Errors
    /// As those of a call; `noproc` for a request of another process's.
    pub async fn receive_response(
        self,
        cx: &mut Context,
        after: impl Into<ResponseTimeout>,
    ) -> Result<R, CallError> {
        let response = self.wait_response(cx, after).await;
        if matches!(response, Err(CallError::Timeout)) {
            self.abandon(cx).await;
        }
        response
    }

    /// Waits for the response; when the time is over, one can wait for it again.
    /// `gen_server:wait_response/2`.
    ///
    /// Dropping the future leaves the request as it is.
    ///
    /// # Errors
    /// As those of a call; `noproc` for a request of another process's. Who has taken the response waits in vain.
    pub async fn wait_response(
        self,
        cx: &mut Context,
        after: impl Into<ResponseTimeout>,
    ) -> Result<R, CallError> {
        if !self.is_of(cx) {
            return Err(CallError::Exit(ExitReason::noproc()));
        }
        let left = after.into().left(cx);
        let response = cx
            .receive_where(left, |message| response(message, self.reference))
            .await;
        response.unwrap_or(Err(CallError::Timeout))
    }

    /// Takes a message that the process has received as the response, if it is that; else gives it back.
    /// `gen_server:check_response/2`.
    ///
    /// # Errors
    /// The message, which is something else. That the server failed is in what is given.
    pub fn check_response(&self, message: Message) -> Result<Result<R, CallError>, Message> {
        response(&message, self.reference).ok_or(message)
    }
}

/// The reference that a response would be known by.
pub(super) fn reference_of(message: &Message) -> Option<Ref> {
    if let MessageKind::Down { reference, .. } = message.kind() {
        return Some(reference);
    }
    let tuple = message.term().as_tuple().filter(|tuple| tuple.len() == 2)?;
    tuple.get(0)?.as_ref()
}

fn is_of(message: &Message, reference: Ref) -> bool {
    reference_of(message) == Some(reference)
}

/// What a message says as the response to the request of that reference.
pub(super) fn response<R: DeserializeOwned>(
    message: &Message,
    reference: Ref,
) -> Option<Result<R, CallError>> {
    if !is_of(message, reference) {
        return None;
    }
    if let Some(down) = message.down() {
        return Some(Err(CallError::Exit(down.reason)));
    }
    let reply = message.term().as_tuple()?.get(1)?;
    Some(from_term(reply).map_err(CallError::from))
}

impl<R> Clone for RequestId<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for RequestId<R> {}

impl<R> PartialEq for RequestId<R> {
    fn eq(&self, other: &Self) -> bool {
        self.reference == other.reference
    }
}

impl<R> Eq for RequestId<R> {}

impl<R> Hash for RequestId<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reference.hash(state);
    }
}

impl<R> fmt::Debug for RequestId<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("RequestId")
            .field(&self.reference)
            .finish()
    }
}

impl<R> Serialize for RequestId<R> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.owner, self.reference).serialize(serializer)
    }
}

impl<'de, R> Deserialize<'de> for RequestId<R> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (owner, reference) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(reference, owner))
    }
}
