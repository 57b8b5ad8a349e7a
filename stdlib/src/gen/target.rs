//! Whom a request is for.

use std::sync::Arc;

use otp_vm::{Atom, Context, Destination, ExitReason, Native, OwnedTerm, Pid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::via::ViaName;
use crate::partition_supervisor::whereis_partition;
use crate::registry::whereis_key;

/// Whom a request is for, without the type of the server: a pid, or a name that is looked up at each use.
/// OTP's `server_ref()`.
///
/// A message may carry it. One by a [`Via`](super::Via) other than a registry carries that as a native resource, so it
/// can be in a message, but in nothing that is copied: a table, an exit reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Target {
    /// This incarnation and no other.
    Pid(Pid),
    /// Whoever has the name.
    Name(Atom),
    /// The same, at a node.
    NameAt(Atom, Atom),
    /// Whoever has the key of a registry.
    #[serde(with = "shared")]
    Registry(Arc<RegistryKey>),
    /// The partition that a key belongs to.
    #[serde(with = "shared")]
    Partitioned(Arc<PartitionKey>),
    /// Whoever has a name that something else keeps.
    #[serde(with = "native")]
    Via(ViaName),
}

/// A key of a registry, by the registry's name.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegistryKey {
    pub(crate) registry: Atom,
    pub(crate) key: OwnedTerm,
}

/// A key of a partition supervisor, by whom that is.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartitionKey {
    pub(crate) supervisor: Target,
    pub(crate) key: OwnedTerm,
}

/// What is behind an `Arc` travels by value.
mod shared {
    use super::*;

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        key: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(key, serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

/// Each message carries one of its own.
mod native {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        name: &ViaName,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Native::new(name.clone()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ViaName, D::Error> {
        let native = Native::<ViaName>::deserialize(deserializer)?;
        native
            .into_inner()
            .ok_or_else(|| serde::de::Error::custom("the name has moved out of the message"))
    }
}

impl Target {
    /// Who it is now. One by pid is that pid, alive or not. `GenServer.whereis/1`; None for a name at another node.
    pub fn whereis(&self, cx: &Context) -> Option<Pid> {
        match self {
            Self::Pid(pid) => Some(*pid),
            Self::Name(name) => cx.whereis(name.as_str()),
            Self::NameAt(name, node) if *node == cx.node() => cx.whereis(name.as_str()),
            Self::NameAt(..) => None,
            Self::Registry(at) => whereis_key(cx, at.registry, &at.key),
            Self::Partitioned(at) => whereis_partition(cx, &at.supervisor, at.key.root()),
            Self::Via(name) => name.whereis(cx),
        }
    }

    /// Where a message to it goes.
    #[inline]
    pub(crate) fn resolve(&self, cx: &Context) -> Destination {
        match self {
            Self::Pid(pid) => Destination::Pid(*pid),
            Self::Name(name) => Destination::Name(*name),
            other => other
                .whereis(cx)
                .map_or(Destination::Nobody, Destination::Pid),
        }
    }

    /// The node that it is at, if that is not this one: nobody is there as long as nodes don't connect.
    pub(crate) fn other_node(&self, cx: &Context) -> Option<Atom> {
        match self {
            Self::NameAt(_, node) if *node != cx.node() => Some(*node),
            _ => None,
        }
    }

    /// As OTP writes it: the pid, the name, `{Name, Node}` or `{via, Module, Name}`.
    pub fn to_term(&self) -> OwnedTerm {
        let via = via();
        let term = match self {
            Self::Pid(pid) => otp_vm::to_term(pid),
            Self::Name(name) => otp_vm::to_term(name),
            Self::NameAt(name, node) => otp_vm::to_term(&(name, node)),
            Self::Registry(at) => otp_vm::to_term(&(via, at.registry, &at.key)),
            Self::Partitioned(at) => {
                let name = (at.supervisor.to_term(), &at.key);
                otp_vm::to_term(&(via, Keeper::PartitionSupervisor, name))
            }
            Self::Via(name) => otp_vm::to_term(&(via, name.module(), name.name())),
        };
        term.unwrap_or_else(|_| OwnedTerm::from(otp_vm::atoms::UNDEFINED))
    }

    /// Nobody is at the node. `{nodedown, Node}`.
    pub(crate) fn node_down(node: Atom) -> ExitReason {
        #[derive(Serialize)]
        enum Reason {
            Nodedown(Atom),
        }
        ExitReason::new(&Reason::Nodedown(node))
    }
}

impl From<Pid> for Target {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<Atom> for Target {
    fn from(name: Atom) -> Self {
        Self::Name(name)
    }
}

impl From<&Target> for Target {
    fn from(target: &Target) -> Self {
        target.clone()
    }
}

/// Whose names a partition's are.
#[derive(Serialize)]
enum Keeper {
    PartitionSupervisor,
}

fn via() -> OwnedTerm {
    #[derive(Serialize)]
    enum Tag {
        Via,
    }
    otp_vm::to_term(&Tag::Via).unwrap_or_else(|_| OwnedTerm::from(otp_vm::atoms::UNDEFINED))
}
