//! The start of an agent, as [`gen`](crate::r#gen) does it.

use std::fmt;
use std::marker::PhantomData;

use otp_vm::{Context, ExitReason, Pid};

use super::Agent;
use super::server::{Begin, Server};
use crate::r#gen::{self, Behaviour, New, Unmonitored};
use crate::gen_server::ServerProcess;

/// An agent about to start: await it. `Agent.start_link/2`, with its options as methods.
pub type StartAgent<'a, S, M = Unmonitored> = r#gen::Start<'a, AgentProcess<S>, M>;

/// The behaviour of an agent with the state `S`: a server's, with references of an agent's.
pub struct AgentProcess<S>(PhantomData<fn(S)>);

impl<S> fmt::Debug for AgentProcess<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Agent")
    }
}

impl<S: Send + 'static> Behaviour for AgentProcess<S> {
    type Args = Begin<S>;
    type Ref = Agent<S>;

    fn label() -> &'static str {
        "Agent"
    }

    fn reference(pid: Pid) -> Agent<S> {
        Agent::from_pid(pid)
    }

    fn run(cx: Context, new: Box<New<Begin<S>>>) -> impl Future<Output = ExitReason> + Send {
        ServerProcess::<Server<S>>::run(cx, new)
    }
}
