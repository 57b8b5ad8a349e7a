//! The agent's process. Elixir's `Agent.Server`.

use std::any::Any;
use std::fmt;

use otp_vm::{Context, ExitReason, InitialCall, Native, Origin, atoms};

use crate::gen_server::{From, GenServer, Init, NoMessage, NoReply, Reply};

/// A function on the state, and its value.
pub(super) type Run<S> = Box<dyn FnOnce(&mut S) -> Box<dyn Any + Send> + Send>;

/// What makes the state.
pub struct Begin<S> {
    init: Box<dyn FnOnce() -> S + Send>,
    initial_call: InitialCall,
}

impl<S> Begin<S> {
    pub(super) fn new<F: FnOnce() -> S + Send + 'static>(init: F) -> Self {
        Self::of::<F>(init)
    }

    /// What the process is said to have begun with is `F`.
    pub(super) fn of<F>(init: impl FnOnce() -> S + Send + 'static) -> Self {
        Self {
            init: Box::new(init),
            initial_call: InitialCall::Fun(std::any::type_name::<F>()),
        }
    }
}

/// The process's state.
pub struct Server<S> {
    state: S,
}

impl<S: Send + 'static> GenServer for Server<S> {
    type Args = Begin<S>;
    type Call = Native<Run<S>>;
    type Reply = Native;
    type Cast = Native<Run<S>>;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(begin: Begin<S>, cx: &mut Context) -> Init<Self> {
        let origin = cx.origin();
        let origin = Origin {
            initial_call: Some(begin.initial_call),
            ..origin.map_or_else(Origin::default, |origin| (*origin).clone())
        };
        cx.set_origin(Some(origin.into()));
        let state = (begin.init)();
        Init::ok(Self { state })
    }

    async fn handle_call(
        &mut self,
        run: Native<Run<S>>,
        _from: From<Native>,
        _cx: &mut Context,
    ) -> Reply<Self> {
        match run.into_inner() {
            Some(run) => Reply::new(Native::new(run(&mut self.state))),
            // Never: a function that was taken before does not decode, and `handle_unknown` tells the caller.
            None => Reply::stop(ExitReason::from(atoms::BADARG)),
        }
    }

    async fn handle_cast(&mut self, run: Native<Run<S>>, _cx: &mut Context) -> NoReply<Self> {
        if let Some(run) = run.into_inner() {
            run(&mut self.state);
        }
        NoReply::new()
    }

    /// What functions of `sys` get is what the agent keeps.
    fn system_state(&mut self) -> &mut dyn Any {
        &mut self.state
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Begin<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Begin")
            .field(&self.initial_call)
            .finish()
    }
}
