//! The start of a server, as [`gen`](crate::r#gen) does it.

use std::fmt;
use std::marker::PhantomData;

use otp_vm::{Context, ExitReason, Pid};

use super::server_loop::{Server, life};
use super::system::Watched;
use super::{Action, GenServer, ServerRef};
use crate::r#gen::{self, Behaviour, New, Origin, Unmonitored, short_name};

/// A server about to start: await it. `gen_server:start_link/3,4`, with its options as methods.
pub type Start<'a, S, M = Unmonitored> = r#gen::Start<'a, ServerProcess<S>, M>;

/// The behaviour of a server with the callbacks of `S`.
pub struct ServerProcess<S>(PhantomData<fn(S)>);

impl<S> fmt::Debug for ServerProcess<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(short_name::<S>())
    }
}

/// What a server's body starts from. Boxed on its way: an idle server has no use for the room.
pub(super) enum Seed<S: GenServer> {
    /// A new server's.
    New(Box<New<S::Args>>),
    /// One that was another process, with what it does first.
    Entered(S, Action<S>, Origin),
    /// One that has hibernated.
    Awake(Server<S>),
    /// One that hibernated in the hands of `sys`.
    Watched(Box<Watched<S>>),
}

impl<S: GenServer> Behaviour for ServerProcess<S> {
    type Args = S::Args;
    type Ref = ServerRef<S>;

    fn label() -> &'static str {
        short_name::<S>()
    }

    fn reference(pid: Pid) -> ServerRef<S> {
        ServerRef::from_pid(pid)
    }

    fn run(cx: Context, new: Box<New<S::Args>>) -> impl Future<Output = ExitReason> + Send {
        life::<S>(cx, Box::new(Seed::New(new)))
    }
}
