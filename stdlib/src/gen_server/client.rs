//! The client's side: typed references, calls, casts, replies.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use otp_vm::{
    Atom, AtomError, CallError, Context, Destination, EncodeError, ExitReason, OwnedTerm, Pid,
    ReplyTo, RequestId, SendError, Timeout, to_term,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::GenServer;
use crate::proc_lib::{self, StopError};
use crate::registry::{Registry, whereis_key};

/// How long a call waits unless told otherwise: OTP's 5 seconds.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A typed reference to a server: by pid, by name, or through a registry.
///
/// Cheap to clone, and a message may carry it. A name is resolved at each use, so a reference by
/// name or registry survives a restart of the server; one by pid names this incarnation only.
pub struct ServerRef<S> {
    target: Target,
    server: PhantomData<fn(S)>,
}

/// Whom a reference names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Target {
    Pid(Pid),
    Name(Atom),
    #[serde(with = "shared")]
    Via(Arc<Via>),
}

/// A key of a registry.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Via {
    pub(crate) registry: Atom,
    pub(crate) key: OwnedTerm,
}

/// What is behind an `Arc` travels by value.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Via;

    pub(super) fn serialize<S: Serializer>(via: &Via, serializer: S) -> Result<S::Ok, S::Error> {
        via.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Via>, D::Error> {
        Via::deserialize(deserializer).map(Arc::new)
    }
}

impl Target {
    fn resolve(&self, cx: &Context) -> Destination {
        match self {
            Self::Pid(pid) => Destination::Pid(*pid),
            Self::Name(name) => Destination::Name(*name),
            Self::Via(via) => whereis_key(cx, via.registry, &via.key)
                .map_or(Destination::Nobody, Destination::Pid),
        }
    }
}

impl<S: GenServer> ServerRef<S> {
    fn new(target: Target) -> Self {
        Self {
            target,
            server: PhantomData,
        }
    }

    /// The server with this pid. That it runs an `S` is taken on trust: one that does not will
    /// treat the messages as unknown.
    pub fn from_pid(pid: Pid) -> Self {
        Self::new(Target::Pid(pid))
    }

    /// Whichever server has this name when the reference is used.
    ///
    /// # Errors
    /// When the text can't be an atom: longer than 255 characters, or the table of atoms is full.
    pub fn from_name(name: &str) -> Result<Self, AtomError> {
        Ok(Self::new(Target::Name(Atom::new(name)?)))
    }

    /// Whichever server has this key in the registry when the reference is used. Elixir's
    /// `{:via, Registry, {Registry, Key}}`.
    ///
    /// # Errors
    /// When the key can't be a term.
    pub fn via<K: Serialize, V>(registry: &Registry<K, V>, key: &K) -> Result<Self, EncodeError> {
        let via = Via {
            registry: registry.atom(),
            key: to_term(key)?,
        };
        Ok(Self::new(Target::Via(Arc::new(via))))
    }

    /// The pid behind the reference now, if the name is taken. `GenServer.whereis/1`. A reference
    /// by pid gives the pid, alive or not.
    pub fn whereis(&self, cx: &Context) -> Option<Pid> {
        match self.target.resolve(cx) {
            Destination::Pid(pid) => Some(pid),
            Destination::Name(name) => cx.whereis(name.as_str()),
            _ => None,
        }
    }

    /// The pid of a reference by pid, such as `start_link` gives.
    pub fn pid(&self) -> Option<Pid> {
        match self.target {
            Target::Pid(pid) => Some(pid),
            _ => None,
        }
    }

    /// Sends a request and waits for the reply, for at most [`CALL_TIMEOUT`].
    /// `gen_server:call/2`.
    ///
    /// Dropping the future gives the call up; the server handles the request all the same.
    ///
    /// # Errors
    /// [`CallError::Exit`] carries the reason with which the server ended (`noproc`: there was
    /// none), [`CallError::Timeout`] that it took too long. A late reply is dropped.
    /// [`CallError::Decode`]: the server is not an `S`, or does not know the request.
    pub async fn call(&self, cx: &mut Context, request: S::Call) -> Result<S::Reply, CallError> {
        cx.call(self.target.resolve(cx), &request, CALL_TIMEOUT)
            .await
    }

    /// As [`call`](Self::call), with a time of the caller's. `gen_server:call/3`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_timeout(
        &self,
        cx: &mut Context,
        request: S::Call,
        after: impl Into<Timeout>,
    ) -> Result<S::Reply, CallError> {
        cx.call(self.target.resolve(cx), &request, after).await
    }

    /// Sends a message and does not wait. Silent if nobody is there. `gen_server:cast/2`.
    ///
    /// # Errors
    /// Only when the message can't be serialised.
    pub fn cast(&self, cx: &Context, request: S::Cast) -> Result<(), SendError> {
        cx.cast(self.target.resolve(cx), &request)
    }

    /// Sends a request and returns at once; the reply is fetched later.
    /// `gen_server:send_request/2`.
    ///
    /// # Errors
    /// When nobody is there, or the request can't be serialised.
    pub fn send_request(&self, cx: &Context, request: S::Call) -> Result<Pending<S>, CallError> {
        let request = cx.send_request(self.target.resolve(cx), &request)?;
        Ok(Pending {
            request,
            server: PhantomData,
        })
    }

    /// Asks the server to end with `reason`, and waits until it has. `gen_server:stop/3`.
    ///
    /// The server takes the request in its turn among the messages, and calls `terminate`.
    ///
    /// # Errors
    /// [`StopError::Exit`] when it ended with another reason (`noproc`: it was not there),
    /// [`StopError::Timeout`] when it did not end in time; the request stands.
    pub async fn stop(
        &self,
        cx: &mut Context,
        reason: impl Into<ExitReason>,
        after: impl Into<Timeout>,
    ) -> Result<(), StopError> {
        let Some(pid) = self.whereis(cx) else {
            return Err(StopError::Exit(ExitReason::noproc()));
        };
        proc_lib::stop(cx, pid, reason, after).await
    }
}

impl<S> Clone for ServerRef<S> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            server: PhantomData,
        }
    }
}

impl<S> fmt::Debug for ServerRef<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("ServerRef")
            .field(&self.target)
            .finish()
    }
}

impl<S> PartialEq for ServerRef<S> {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}

impl<S> Eq for ServerRef<S> {}

impl<S> Serialize for ServerRef<S> {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.target.serialize(serializer)
    }
}

impl<'de, S> Deserialize<'de> for ServerRef<S> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let target = Target::deserialize(deserializer)?;
        Ok(Self {
            target,
            server: PhantomData,
        })
    }
}

/// A request that was sent, and whose reply was not fetched yet. Dropping it gives the call up.
#[derive(Debug)]
pub struct Pending<S> {
    request: RequestId,
    server: PhantomData<fn(S)>,
}

impl<S: GenServer> Pending<S> {
    /// Waits for the reply. When the time is over the call is given up.
    /// `gen_server:receive_response/2`.
    ///
    /// # Errors
    /// As [`ServerRef::call`].
    pub async fn receive_response(
        self,
        cx: &mut Context,
        after: impl Into<Timeout>,
    ) -> Result<S::Reply, CallError> {
        cx.receive_response(self.request, after).await
    }
}

/// Who waits for the reply to a call. May be kept, or sent to another process, which then
/// replies. OTP's `From`.
pub struct From<R> {
    to: ReplyTo,
    reply: PhantomData<fn(R)>,
}

impl<R> From<R> {
    pub(super) fn new(to: ReplyTo) -> Self {
        Self {
            to,
            reply: PhantomData,
        }
    }

    /// The caller.
    pub fn pid(&self) -> Pid {
        self.to.pid()
    }
}

impl<R: Serialize + DeserializeOwned> From<R> {
    /// Replies. To a caller that gave up, or got its reply already, it does nothing.
    /// `gen_server:reply/2`.
    ///
    /// # Errors
    /// When the reply can't be serialised.
    pub fn reply(&self, cx: &Context, reply: &R) -> Result<(), SendError> {
        cx.reply(&self.to, reply)
    }
}

impl<R> Clone for From<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for From<R> {}

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
