//! What an owner hears of its task: `{Ref, Result}`, or the `DOWN` of the monitor.

use std::fmt;
use std::marker::PhantomData;

use otp_vm::{Atom, ExitReason, Message, Native, OwnedTerm, Ref, Term, atoms, from_term};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// What became of a task.
pub(super) enum News<T> {
    Reply(T),
    /// It ended, and no result came before.
    Down(ExitReason),
    /// Nobody knows: the connection to its node is gone.
    Lost(Atom),
}

/// The message as news of a task that is `wanted`, in a process of `node`. The result moves out of the message.
pub(super) fn news<T: Send + 'static>(
    message: &Message,
    node: Atom,
    wanted: impl FnOnce(Ref) -> bool,
) -> Option<(Ref, News<T>)> {
    let tuple = message.term().as_tuple()?;
    match tuple.len() {
        2 => {
            let reference = tuple.get(0)?.as_ref()?;
            if !wanted(reference) {
                return None;
            }
            // Something else under this reference is not the task's, and stays.
            let (_, result) = message.decode::<(Ref, Native<T>)>().ok()?;
            Some((reference, News::Reply(result.into_inner()?)))
        }
        5 => {
            let reference = tuple.get(1)?.as_ref()?;
            if tuple.get(0)?.as_atom()? != atoms::DOWN || !wanted(reference) {
                return None;
            }
            let reason = from_term::<ExitReason>(tuple.get(4)?).ok()?;
            let news = match reason.as_atom() {
                Some(atoms::NOCONNECTION) => News::Lost(node_of(tuple.get(3)?, node)),
                _ => News::Down(reason),
            };
            Some((reference, news))
        }
        _ => None,
    }
}

/// The node of what was monitored: a pid, or `{Name, Node}`.
fn node_of(object: Term<'_>, own: Atom) -> Atom {
    let name = object.as_tuple().filter(|name| name.len() == 2);
    name.and_then(|name| name.get(1)?.as_atom()).unwrap_or(own)
}

/// A message about a task, for a server that does not wait for it: the [`Info`](crate::GenServer::Info) of one that
/// starts tasks, or a part of it.
///
/// The task is told by its [reference](super::Task::reference). After a [`Reply`](Self::Reply) its `Down` comes as
/// well, with `normal`; who does not want that takes the monitor back by
/// [`demonitor_flush`](otp_vm::Context::demonitor_flush).
///
/// ```
/// use otp_stdlib::prelude::*;
/// use otp_stdlib::task::TaskMessage;
/// use otp_vm::{Context, Timeout, Vm};
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let sum = vm.run(async |mut cx: Context| {
///     let task = Task::async_(&cx, async |_| 40 + 2).unwrap();
///     match cx.receive_as::<TaskMessage<i32>>(Timeout::Infinity).await.unwrap() {
///         TaskMessage::Reply(reference, sum) if reference == task.reference() => sum,
///         other => panic!("{other:?}"),
///     }
/// });
/// assert_eq!(sum.wait()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum TaskMessage<T> {
    /// `{Ref, Result}`: it is done.
    Reply(Ref, T),
    /// `{'DOWN', Ref, process, Object, Reason}`: it has ended.
    Down(Ref, ExitReason),
}

impl<'de, T: Send + 'static> Deserialize<'de> for TaskMessage<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MessageVisitor(PhantomData))
    }
}

struct MessageVisitor<T>(PhantomData<fn() -> T>);

impl<'de, T: Send + 'static> Visitor<'de> for MessageVisitor<T> {
    type Value = TaskMessage<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the result of a task, or the DOWN of a monitor")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut message: A) -> Result<Self::Value, A::Error> {
        let lacks = |at| A::Error::invalid_length(at, &self);
        let tag: OwnedTerm = message.next_element()?.ok_or_else(|| lacks(0))?;
        if let Some(reference) = tag.root().as_ref() {
            let result: Native<T> = message.next_element()?.ok_or_else(|| lacks(1))?;
            let moved = || A::Error::custom("the result of the task was received before");
            return Ok(TaskMessage::Reply(
                reference,
                result.into_inner().ok_or_else(moved)?,
            ));
        }
        if tag.root().as_atom() != Some(atoms::DOWN) {
            return Err(A::Error::custom(
                "it begins with neither a reference nor DOWN",
            ));
        }
        let reference = message.next_element()?.ok_or_else(|| lacks(1))?;
        let _process: OwnedTerm = message.next_element()?.ok_or_else(|| lacks(2))?;
        let _object: OwnedTerm = message.next_element()?.ok_or_else(|| lacks(3))?;
        let reason = message.next_element()?.ok_or_else(|| lacks(4))?;
        Ok(TaskMessage::Down(reference, reason))
    }
}
