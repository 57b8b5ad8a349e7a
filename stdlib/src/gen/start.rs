//! The builder that a behaviour's starts return.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;

use otp_vm::{Context, ExitReason, Pid, Ref, SpawnOptions, Timeout};
use serde::Serialize;

use super::{Name, Via};
use crate::proc_lib::{StartError, StartOptions, start_monitor, start_opt};
use crate::registry::{Registry, Valued};
use crate::sys::DebugOption;

/// What a [`Start`] starts. Implemented by each behaviour of the library, and by one of your own that wants the same
/// start.
pub trait Behaviour: Sized + 'static {
    /// What the new process begins with. Moved, never serialised.
    type Args: Send + 'static;
    /// The reference that a start gives.
    type Ref;

    /// What the process is called in lists and reports, unless told otherwise.
    fn label() -> &'static str;

    /// The reference to a process that has started.
    fn reference(pid: Pid) -> Self::Ref;

    /// The body of the process. It takes the request to begin ([`Starter`](crate::proc_lib::Starter)), the name, and
    /// answers.
    fn run(
        cx: Context,
        new: Box<New<Self::Args>>,
    ) -> impl Future<Output = ExitReason> + Send + 'static;
}

/// What a new process begins with.
#[derive(Debug)]
#[non_exhaustive]
pub struct New<A> {
    /// The arguments of its `init`.
    pub args: A,
    /// The name that it is to take first.
    pub name: Option<Name>,
    /// Whether its starter is its parent.
    pub linked: bool,
    /// How long it waits for a message before it hibernates.
    pub hibernate_after: Timeout,
    /// With what debug options it starts.
    pub debug: Vec<DebugOption>,
}

/// A process about to start: await it. The options of `gen:start/5,6` are its methods.
///
/// It gives the reference, or after [`monitor`](Self::monitor) the reference and the monitor.
#[must_use = "a start does nothing until it is awaited"]
pub struct Start<'a, B: Behaviour, M = Unmonitored> {
    cx: &'a mut Context,
    args: B::Args,
    options: StartOptions,
    linked: bool,
    name: Option<Result<Name, StartError>>,
    hibernate_after: Timeout,
    debug: Vec<DebugOption>,
    monitored: PhantomData<fn(M)>,
}

/// What is needed to make the process.
type Begin<'a, B> = (
    &'a mut Context,
    StartOptions,
    Box<New<<B as Behaviour>::Args>>,
);

/// The mark of a start that gives a reference.
#[derive(Debug, Clone, Copy)]
pub enum Unmonitored {}

/// The mark of a start that gives a reference and a monitor.
#[derive(Debug, Clone, Copy)]
pub enum Monitored {}

impl<'a, B: Behaviour> Start<'a, B> {
    /// A start as a behaviour offers it.
    pub fn new(cx: &'a mut Context, args: B::Args, linked: bool) -> Self {
        Self {
            cx,
            args,
            options: StartOptions::new().link(linked).label(B::label()),
            linked,
            name: None,
            hibernate_after: Timeout::Infinity,
            debug: Vec::new(),
            monitored: PhantomData,
        }
    }

    /// Monitors the process from before it runs: the start gives `(reference, monitor)`.
    /// `gen_server:start_monitor/3,4`. A start that fails leaves no `DOWN` behind. The caller is the process's parent,
    /// as in OTP, linked or not.
    pub fn monitor(self) -> Start<'a, B, Monitored> {
        Start {
            cx: self.cx,
            args: self.args,
            options: self.options,
            linked: true,
            name: self.name,
            hibernate_after: self.hibernate_after,
            debug: self.debug,
            monitored: PhantomData,
        }
    }
}

impl<'a, B: Behaviour, M> Start<'a, B, M> {
    /// The process takes this name before `init`; if another has it, the start fails with
    /// [`StartError::AlreadyStarted`]. `{local, Name}`.
    pub fn name(mut self, name: &str) -> Self {
        let name = Name::local(name);
        self.name = Some(name.map_err(|error| StartError::BadName(error.to_string())));
        self
    }

    /// The process takes a name that `via` keeps, before `init`. `{via, Module, Name}`.
    ///
    /// With a [`Registry`] the process registers itself under a key, with the default value.
    pub fn via<V: Via>(mut self, via: &V, name: &V::Name) -> Self {
        let name = Name::via(via, name);
        self.name = Some(name.map_err(|error| StartError::BadName(error.to_string())));
        self
    }

    /// The process registers itself under `key`, with a value. Elixir's
    /// `{:via, Registry, {Registry, Key, Value}}`.
    pub fn via_with<K, V>(self, registry: &Registry<K, V>, key: &K, value: &V) -> Self
    where
        K: Serialize + 'static,
        V: Serialize,
    {
        match Valued::new(registry, value) {
            Ok(valued) => self.via(&valued, key),
            Err(error) => Self {
                name: Some(Err(StartError::BadName(error.to_string()))),
                ..self
            },
        }
    }

    /// The process takes this name before `init`.
    pub fn named(mut self, name: Name) -> Self {
        self.name = Some(Ok(name));
        self
    }

    /// Kills the process if `init` takes longer. Without it, the start waits as long as it takes. `{timeout, Time}`.
    pub fn timeout(mut self, after: impl Into<Timeout>) -> Self {
        self.options = self.options.timeout(after);
        self
    }

    /// What the process is called in lists and reports; the type's name unless told otherwise.
    pub fn label(mut self, label: &'static str) -> Self {
        self.options = self.options.label(label);
        self
    }

    /// Hibernates the process whenever no message came for so long. `{hibernate_after, Time}`.
    pub fn hibernate_after(mut self, after: impl Into<Timeout>) -> Self {
        self.hibernate_after = after.into();
        self
    }

    /// With these options the process is looked at from its beginning, as [`sys`](crate::sys) would do it later.
    /// `{debug, Options}`.
    ///
    /// ```
    /// use otp_stdlib::prelude::*;
    /// use otp_stdlib::sys::{self, DebugOption};
    /// # use otp_vm::{Context, Vm};
    ///
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(async |mut cx: Context| {
    /// let agent = Agent::start_link(&mut cx, || 0).debug([DebugOption::Log, DebugOption::Statistics]).await.unwrap();
    /// agent.update(&mut cx, |count| *count += 1).await.unwrap();
    /// let counts = sys::get_statistics(&agent).call(&mut cx).await.unwrap().unwrap();
    /// assert_eq!((counts.messages_in, counts.messages_out), (1, 1));
    /// # });
    /// # run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn debug(mut self, options: impl IntoIterator<Item = DebugOption>) -> Self {
        self.debug = options.into_iter().collect();
        self
    }

    /// How the process is made: its priority, its heap, its mailbox. `{spawn_opt, Options}`. A link among the options
    /// makes a linked start, without making the starter the parent; a monitor fails the start: see
    /// [`monitor`](Start::monitor).
    pub fn spawn_opt(mut self, options: SpawnOptions) -> Self {
        self.options = self.options.spawn_opt(options);
        self
    }

    fn begin(self) -> Result<Begin<'a, B>, StartError> {
        let new = Box::new(New {
            args: self.args,
            name: self.name.transpose()?,
            linked: self.linked,
            hibernate_after: self.hibernate_after,
            debug: self.debug,
        });
        Ok((self.cx, self.options, new))
    }
}

impl<B: Behaviour> Start<'_, B> {
    /// Starts the process and gives its pid: what supervisors use.
    pub(crate) async fn run(self) -> Result<Pid, StartError> {
        let (cx, options, new) = self.begin()?;
        start_opt(cx, options, move |cx| B::run(cx, new)).await
    }
}

impl<B: Behaviour> Start<'_, B, Monitored> {
    async fn run_monitored(self) -> Result<(Pid, Ref), StartError> {
        let (cx, options, new) = self.begin()?;
        let (started, monitor) = start_monitor(cx, options, move |cx| B::run(cx, new)).await?;
        match started {
            Ok(pid) => Ok((pid, monitor)),
            Err(error) => {
                cx.demonitor_flush(monitor);
                Err(error)
            }
        }
    }
}

impl<'a, B: Behaviour> IntoFuture for Start<'a, B> {
    type Output = Result<B::Ref, StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await.map(B::reference) })
    }
}

impl<'a, B: Behaviour> IntoFuture for Start<'a, B, Monitored> {
    type Output = Result<(B::Ref, Ref), StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let started = self.run_monitored().await;
            started.map(|(pid, monitor)| (B::reference(pid), monitor))
        })
    }
}

impl<B: Behaviour, M> fmt::Debug for Start<'_, B, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Start")
            .field("process", &B::label())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A type's name without its path: labels are read by people.
pub(crate) fn short_name<S>() -> &'static str {
    let full = std::any::type_name::<S>();
    // Each start comes here: by hand, in one go, it takes a fifth of what searches for texts do.
    let mut begin = 0;
    for (at, byte) in full.bytes().enumerate() {
        match byte {
            b'<' => break,
            b':' => begin = at + 1,
            _ => {}
        }
    }
    &full[begin..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_name_is_shown_without_its_path() {
        assert_eq!(
            short_name::<Vec<std::time::Duration>>(),
            "Vec<core::time::Duration>"
        );
        assert_eq!(short_name::<u8>(), "u8");
    }
}
