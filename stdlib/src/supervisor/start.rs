//! How supervisors are started.

use otp_vm::{Call, Context};

use super::callback::Callback;
use super::child::ChildSpec;
use super::{Supervise, Supervisor, SupervisorFlags};
use crate::gen_server::{GenServer, Start};

/// What a supervisor starts from. Made by [`Supervisor::start_link`] and its like.
#[derive(Debug)]
pub struct SupervisorArgs(pub(super) Source);

#[derive(Debug)]
pub(super) enum Source {
    Given(SupervisorFlags, Vec<ChildSpec>),
    Callback(Callback),
}

impl Supervisor {
    /// Starts a supervisor with its children, linked to the caller. `supervisor:start_link/2,3`.
    ///
    /// Await the result, perhaps after `name`. It returns when all children have started.
    pub fn start_link(
        cx: &mut Context,
        flags: SupervisorFlags,
        children: Vec<ChildSpec>,
    ) -> Start<'_, Self> {
        let args = SupervisorArgs(Source::Given(flags, children));
        <Self as GenServer>::start_link(cx, args)
    }

    /// As [`start_link`](Self::start_link), with the flags and children that a callback gives: see [`Supervise`].
    pub fn start_link_with<S: Supervise>(cx: &mut Context, args: S::Args) -> Start<'_, Self> {
        let args = SupervisorArgs(Source::Callback(Callback::of::<S>(args)));
        <Self as GenServer>::start_link(cx, args)
    }

    /// As [`start_link`](Self::start_link), with the flags and children that a function of a process module gives, as
    /// data: `{ok, {Flags, [ChildSpec]}}`, or `ignore`. What is wrong with them ends the start with OTP's reasons:
    /// `{bad_return, {Module, Function, Term}}`, `{supervisor_data, Error}`, `{start_spec, Error}`,
    /// `{bad_start_spec, Term}`.
    pub fn start_link_call(cx: &mut Context, init: Call) -> Start<'_, Self> {
        let args = SupervisorArgs(Source::Callback(Callback::by_call(init)));
        <Self as GenServer>::start_link(cx, args)
    }
}
