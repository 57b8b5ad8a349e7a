//! The start of a state machine, as [`gen`](crate::r#gen) does it.

use std::fmt;
use std::marker::PhantomData;

use otp_vm::{Context, ExitReason, Pid};

use super::machine::{Machine, Wait, life};
use super::returns::Actions;
use super::{GenStatem, StatemRef};
use crate::r#gen::{self, Behaviour, New, Unmonitored, short_name};

/// A state machine about to start: await it. `gen_statem:start_link/3,4`, with its options as methods.
pub type Start<'a, M, K = Unmonitored> = r#gen::Start<'a, StatemProcess<M>, K>;

/// The behaviour of a state machine with the callbacks of `M`.
pub struct StatemProcess<M>(PhantomData<fn(M)>);

impl<M> fmt::Debug for StatemProcess<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(short_name::<M>())
    }
}

/// What a machine's body starts from. Boxed on its way: an idle machine has no use for the room.
pub(super) enum Seed<M: GenStatem> {
    /// A new machine's.
    New(Box<New<M::Args>>),
    /// One that was another process, with what it does first.
    Entered(Machine<M>, Actions<M>),
    /// One that has hibernated, and what it waited in: it hibernates on after a system message if it was told to, not
    /// if it had just waited long enough.
    Awake(Machine<M>, Wait),
    /// One that hibernated and is suspended.
    Suspended(Machine<M>),
}

impl<M: GenStatem> Behaviour for StatemProcess<M> {
    type Args = M::Args;
    type Ref = StatemRef<M>;

    fn label() -> &'static str {
        short_name::<M>()
    }

    fn reference(pid: Pid) -> StatemRef<M> {
        StatemRef::from_pid(pid)
    }

    fn run(cx: Context, new: Box<New<M::Args>>) -> impl Future<Output = ExitReason> + Send {
        life::<M>(cx, Box::new(Seed::New(new)))
    }
}
