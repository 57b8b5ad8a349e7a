//! Where messages go.

use std::sync::Arc;

use otp_heap::{Atom, EncodeError, Pid, Ref, atoms, to_block};
use serde::Serialize;

use crate::core::Core;
use crate::envelope::{Envelope, HOST, Kind, NO_REF, Parcel};
use crate::mailbox_limit::MailboxFull;
use crate::message_size::MessageTooLarge;
use crate::process::Undelivered;

/// The node that every VM is, as long as there is no other.
pub(crate) const NODE: Atom = atoms::NONODE_NOHOST;

/// Whom a message is for: a pid, a registered name, a name and its node, or an alias. All ways to one process are one
/// path: what a process sends by them in turn arrives in that order.
///
/// ```
/// use otp_vm::{Vm, Context};
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let got = vm.run(|mut cx: Context| async move {
///     cx.register("me", cx.pid()).unwrap();
///     let alias = cx.alias();
///     cx.send(cx.pid(), &1).unwrap();
///     cx.send("me", &2).unwrap();
///     cx.send(("me", cx.node()), &3).unwrap();
///     cx.send(alias, &4).unwrap();
///     let mut got = Vec::new();
///     while got.len() < 4 {
///         got.push(cx.receive().await.decode::<i32>().unwrap());
///     }
///     got
/// });
/// assert_eq!(got.wait()?, [1, 2, 3, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Destination {
    /// This incarnation and no other.
    Pid(Pid),
    /// Whoever has the name when it is resolved, at each use.
    Name(Atom),
    /// The same, at a node. Who isn't there, or on another node, gets nothing, and that is no error.
    NameAt(Atom, Atom),
    /// A name that is no atom, and so nobody's yet. It is looked for again at each use.
    Text {
        /// The name.
        name: Arc<str>,
        /// The node, if it was given.
        node: Option<Atom>,
    },
    /// The process that has made the alias, as long as it is active: see [`Context::alias`](crate::Context::alias).
    Alias(Ref),
    /// Nobody, as a name that nobody has.
    Nobody,
}

impl From<Pid> for Destination {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<Atom> for Destination {
    fn from(name: Atom) -> Self {
        Self::Name(name)
    }
}

impl From<Ref> for Destination {
    fn from(alias: Ref) -> Self {
        Self::Alias(alias)
    }
}

impl From<&str> for Destination {
    /// Looking a text up doesn't make it an atom.
    fn from(name: &str) -> Self {
        Atom::existing(name).map_or_else(|| text(name, None), Self::Name)
    }
}

impl From<(Atom, Atom)> for Destination {
    fn from((name, node): (Atom, Atom)) -> Self {
        Self::NameAt(name, node)
    }
}

impl From<(&str, Atom)> for Destination {
    /// Looking a text up doesn't make it an atom.
    fn from((name, node): (&str, Atom)) -> Self {
        Atom::existing(name).map_or_else(|| text(name, Some(node)), |name| Self::NameAt(name, node))
    }
}

fn text(name: &str, node: Option<Atom>) -> Destination {
    Destination::Text {
        name: name.into(),
        node,
    }
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No process has the name. `badarg` in OTP.
    #[error("no process is registered under that name: start it first, or send to its pid")]
    NoName,
    /// The message could not be serialised.
    #[error("the message could not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The receiver's mailbox is full, and its limit makes that an error: see [`MailboxLimit`](crate::MailboxLimit).
    #[error(transparent)]
    MailboxFull(#[from] MailboxFull),
    /// The message is larger than the VM was built for.
    #[error(transparent)]
    TooLarge(#[from] MessageTooLarge),
}

/// What a sender learns: sending to who is gone is no error.
#[inline]
pub(crate) fn sent(sent: Result<(), Undelivered>) -> Result<(), SendError> {
    match sent {
        Ok(()) => Ok(()),
        Err(Undelivered::Gone(parcel)) => {
            drop(parcel);
            Ok(())
        }
        Err(Undelivered::Full(full)) => Err(full.into()),
    }
}

/// A destination, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) pid: Pid,
    /// The alias that the message goes through; [`NO_REF`] without one.
    alias: Ref,
}

impl Address {
    /// In front of a message there.
    #[inline]
    pub(crate) fn envelope(self, from: Pid) -> Envelope {
        let kind = if self.alias == NO_REF {
            Kind::Message
        } else {
            Kind::Alias
        };
        Envelope::new(kind, from, self.alias)
    }

    /// A message of the program's.
    #[inline]
    pub(crate) fn message<M: Serialize + ?Sized>(
        self,
        from: Pid,
        message: &M,
    ) -> Result<Parcel, EncodeError> {
        to_block(self.envelope(from), message)
    }
}

impl From<Pid> for Address {
    #[inline]
    fn from(pid: Pid) -> Self {
        Self { pid, alias: NO_REF }
    }
}

impl Core {
    /// Who is behind a destination, now; [`HOST`] for who gets nothing without an error.
    #[inline]
    pub(crate) fn resolve(&self, destination: &Destination) -> Result<Address, SendError> {
        match destination {
            Destination::Pid(pid) => Ok(Address::from(*pid)),
            Destination::Name(name) => {
                let pid = self.names.whereis(*name).ok_or(SendError::NoName)?;
                Ok(Address::from(pid))
            }
            other => self.resolve_other(other),
        }
    }

    fn resolve_other(&self, destination: &Destination) -> Result<Address, SendError> {
        if let Destination::Alias(alias) = *destination {
            let owner = self.aliases.owner(alias);
            return Ok(owner.map_or_else(|| Address::from(HOST), |pid| Address { pid, alias }));
        }
        let (name, node) = name_of(destination).ok_or(SendError::NoName)?;
        let is_here = node.is_none_or(|node| node == NODE);
        let pid = name
            .filter(|_| is_here)
            .and_then(|name| self.names.whereis(name));
        match pid {
            None if node.is_none() => Err(SendError::NoName),
            pid => Ok(Address::from(pid.unwrap_or(HOST))),
        }
    }

    /// Whom a monitor is for, and the name that it was asked for by. A text becomes an atom here, since the monitor's
    /// message has it; one that can't is told as `undefined`.
    pub(crate) fn monitored(&self, destination: &Destination) -> (Pid, Option<Atom>) {
        match destination {
            Destination::Pid(pid) => (*pid, None),
            Destination::Alias(_) => (HOST, None),
            named => {
                let pid = self.resolve(named).map_or(HOST, |address| address.pid);
                let name = match named {
                    Destination::Text { name, .. } => Atom::new(name).ok(),
                    _ => name_of(named).and_then(|(name, _)| name),
                };
                (pid, Some(name.unwrap_or(atoms::UNDEFINED)))
            }
        }
    }
}

/// The name in a destination, if it is an atom by now, and the node.
fn name_of(destination: &Destination) -> Option<(Option<Atom>, Option<Atom>)> {
    match destination {
        Destination::Name(name) => Some((Some(*name), None)),
        Destination::NameAt(name, node) => Some((Some(*name), Some(*node))),
        Destination::Text { name, node } => Some((Atom::existing(name), *node)),
        Destination::Pid(_) | Destination::Alias(_) | Destination::Nobody => None,
    }
}
