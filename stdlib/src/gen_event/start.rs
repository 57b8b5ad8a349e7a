//! The start of a manager, as [`gen`](crate::r#gen) does it.

use std::fmt;
use std::marker::PhantomData;

use otp_vm::{Context, ExitReason, Pid};

use super::manager::{Seed, life};
use super::{Event, EventManagerRef};
use crate::r#gen::{self, Behaviour, Monitored, New, Unmonitored};
use crate::supervisor::{ChildSpec, Modules};

/// A process that hands events of the type `E` to its handlers: an event manager. A value of it does not exist; what
/// its starts give is an [`EventManagerRef`].
pub struct EventManager<E>(PhantomData<fn(E)>);

/// A manager about to start: await it. `gen_event:start_link/0,1,2`, with its options as methods.
pub type Start<'a, E, M = Unmonitored> = r#gen::Start<'a, EventManager<E>, M>;

impl<E: Event> EventManager<E> {
    /// Starts a manager linked to the caller, who becomes its parent. Await the result, perhaps after
    /// [`name`](Start::name). It has no handlers yet. `gen_event:start_link/0,1,2`.
    pub fn start_link(cx: &mut Context) -> Start<'_, E> {
        Start::new(cx, (), true)
    }

    /// Starts a manager without a link and without a parent. `gen_event:start/0,1,2`.
    pub fn start(cx: &mut Context) -> Start<'_, E> {
        Start::new(cx, (), false)
    }

    /// Starts a manager without a link, and monitors it from before it runs: gives the reference and the monitor. The
    /// caller is its parent. `gen_event:start_monitor/0,1,2`.
    pub fn start_monitor(cx: &mut Context) -> Start<'_, E, Monitored> {
        Start::new(cx, (), false).monitor()
    }

    /// A manager as a child of a supervisor, with that name, which is its id as well: permanent, 5 seconds to shut
    /// down, its modules `dynamic`. Each start of it is without handlers: who adds them does so again (a process that
    /// does that, and is to be told when one fails, stands behind the manager under the same
    /// [`rest_for_one`](crate::SupervisorFlags::rest_for_one)).
    pub fn child_spec(name: &'static str) -> ChildSpec {
        ChildSpec {
            modules: Modules::Dynamic,
            ..ChildSpec::new(name, move |cx| {
                Box::pin(Self::start_link(cx).name(name).run())
            })
        }
    }
}

impl<E: Event> Behaviour for EventManager<E> {
    type Args = ();
    type Ref = EventManagerRef<E>;

    fn label() -> &'static str {
        "gen_event"
    }

    fn reference(pid: Pid) -> EventManagerRef<E> {
        EventManagerRef::from_pid(pid)
    }

    fn run(cx: Context, new: Box<New<()>>) -> impl Future<Output = ExitReason> + Send {
        life::<E>(cx, Seed::New(new))
    }
}

impl<E> fmt::Debug for EventManager<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EventManager")
    }
}
