//! The builder that `start` and `start_link` return.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use otp_vm::{Atom, Context, OwnedTerm, Pid, RegisterError as NameError, Timeout, to_term};
use serde::Serialize;

use super::server_loop::{Server, life};
use super::{GenServer, ServerRef};
use crate::proc_lib::{Refusal, StartError, StartOptions, start_opt};
use crate::registry::{RegisterError, Registry};

/// A server about to start: await it. `gen_server:start_link/3,4`, with its options as methods.
#[must_use = "a start does nothing until it is awaited"]
pub struct Start<'a, S: GenServer> {
    cx: &'a mut Context,
    args: S::Args,
    options: StartOptions,
    linked: bool,
    name: Option<Result<Name, StartError>>,
}

/// What a server's body starts from. Boxed on its way: an idle server has no use for the room.
pub(super) enum Seed<S: GenServer> {
    /// A new server's.
    New(NewServer<S>),
    /// One that has hibernated.
    Awake(Server<S>),
}

/// What a new server starts from.
pub(super) struct NewServer<S: GenServer> {
    pub(super) args: S::Args,
    pub(super) name: Option<Name>,
    pub(super) linked: bool,
}

/// The name that a server is to take.
pub(super) enum Name {
    Local(Atom),
    Via {
        registry: Registry<OwnedTerm, OwnedTerm>,
        key: OwnedTerm,
        value: OwnedTerm,
    },
}

impl Name {
    /// Takes the name for the calling process.
    pub(super) async fn take(&self, cx: &mut Context) -> Result<(), Refusal> {
        match self {
            Self::Local(name) => match cx.register(name.as_str(), cx.pid()) {
                Ok(()) => Ok(()),
                // Not by another look at the name: its holder may be gone by now.
                Err(NameError::Taken(holder)) => Err(Refusal::AlreadyStarted(holder)),
                Err(error) => Err(Refusal::BadName(error.to_string())),
            },
            Self::Via {
                registry,
                key,
                value,
            } => match registry.register(cx, key, value).await {
                Ok(()) => Ok(()),
                Err(RegisterError::AlreadyRegistered(holder)) => {
                    Err(Refusal::AlreadyStarted(holder))
                }
                Err(error) => Err(Refusal::BadName(error.to_string())),
            },
        }
    }
}

impl<'a, S: GenServer> Start<'a, S> {
    pub(super) fn new(cx: &'a mut Context, args: S::Args, linked: bool) -> Self {
        let options = StartOptions::new().link(linked).label(short_name::<S>());
        Self {
            cx,
            args,
            options,
            linked,
            name: None,
        }
    }

    /// The server takes this name before `init`; if a process has it, the start fails with
    /// [`StartError::AlreadyStarted`]. `{local, Name}`.
    pub fn name(mut self, name: &str) -> Self {
        let name = Atom::new(name).map(Name::Local);
        self.name = Some(name.map_err(|error| StartError::BadName(error.to_string())));
        self
    }

    /// The server registers itself under `key`, with the default value. Elixir's
    /// `{:via, Registry, {Registry, Key}}`.
    pub fn via<K, V>(self, registry: &Registry<K, V>, key: &K) -> Self
    where
        K: Serialize,
        V: Serialize + Default,
    {
        self.via_with(registry, key, &V::default())
    }

    /// As [`via`](Self::via), with a value.
    pub fn via_with<K: Serialize, V: Serialize>(
        mut self,
        registry: &Registry<K, V>,
        key: &K,
        value: &V,
    ) -> Self {
        let name = to_term(key).and_then(|key| {
            let value = to_term(value)?;
            Ok(Name::Via {
                registry: registry.of_terms(),
                key,
                value,
            })
        });
        self.name = Some(name.map_err(|error| StartError::BadName(error.to_string())));
        self
    }

    /// Kills the server if `init` takes longer. Without it, the start waits as long as it takes.
    pub fn timeout(mut self, after: impl Into<Timeout>) -> Self {
        self.options = self.options.timeout(after);
        self
    }

    /// What the process is called in lists and reports; the server's type unless told otherwise.
    pub fn label(mut self, label: &'static str) -> Self {
        self.options = self.options.label(label);
        self
    }

    /// Starts the server and gives its pid: what supervisors use.
    pub(crate) async fn run(self) -> Result<Pid, StartError> {
        let Self {
            cx,
            args,
            options,
            linked,
            name,
        } = self;
        let seed = Box::new(Seed::New(NewServer {
            args,
            name: name.transpose()?,
            linked,
        }));
        start_opt(cx, options, move |cx| life::<S>(cx, seed)).await
    }
}

impl<'a, S: GenServer> IntoFuture for Start<'a, S> {
    type Output = Result<ServerRef<S>, StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await.map(ServerRef::from_pid) })
    }
}

impl<S: GenServer> fmt::Debug for Start<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Start")
            .field("server", &std::any::type_name::<S>())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The type's name without its path: labels are read by people.
fn short_name<S>() -> &'static str {
    let full = std::any::type_name::<S>();
    let generics = full.find('<').unwrap_or(full.len());
    full[..generics]
        .rfind("::")
        .map_or(full, |at| &full[at + 2..])
}
