//! The reasons of those who waited for a task in vain: `{Reason, {task, Function, [Task, Timeout]}}`.

use otp_vm::{Atom, Context, ExitReason, OwnedTerm, Timeout, atoms};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::r#gen::milliseconds;
use crate::supervisor::Shutdown;

/// Where the owner was.
#[derive(serde::Serialize)]
pub(super) enum Function {
    Await,
    AwaitMany,
    Yield,
    YieldMany,
    Shutdown,
    Ignore,
    AsyncStream,
}

/// How long it meant to wait.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(super) struct Limit(OwnedTerm);

impl From<Timeout> for Limit {
    fn from(after: Timeout) -> Self {
        Self(milliseconds(after))
    }
}

impl From<Shutdown> for Limit {
    fn from(shutdown: Shutdown) -> Self {
        match shutdown {
            Shutdown::BrutalKill => Self(atoms::BRUTAL_KILL.into()),
            Shutdown::After(limit) => Timeout::After(limit).into(),
            Shutdown::Infinity => Timeout::Infinity.into(),
        }
    }
}

/// Arguments: a list of two that differ.
pub(super) struct Pair<A, B>(pub(super) A, pub(super) B);

impl<A: Serialize, B: Serialize> Serialize for Pair<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(2))?;
        list.serialize_element(&self.0)?;
        list.serialize_element(&self.1)?;
        list.end()
    }
}

#[derive(serde::Serialize)]
enum Module {
    Task,
}

#[derive(serde::Serialize)]
enum NodeDown {
    Nodedown(Atom),
}

/// `{nodedown, Node}`.
pub(super) fn nodedown(node: Atom) -> ExitReason {
    ExitReason::new(&NodeDown::Nodedown(node))
}

/// Ends the owner.
pub(super) fn exit(
    cx: &Context,
    reason: ExitReason,
    function: Function,
    arguments: impl Serialize,
) -> ! {
    cx.exit(ExitReason::new(&(
        reason,
        (Module::Task, function, arguments),
    )))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use otp_vm::to_term;

    use super::*;

    #[test]
    fn arguments_are_a_list() {
        let limits: [Limit; 4] = [
            Timeout::After(Duration::from_secs(5)).into(),
            Timeout::Infinity.into(),
            Shutdown::BrutalKill.into(),
            Shutdown::After(Duration::MAX).into(),
        ];
        let texts = limits.map(|limit| to_term(&Pair(1, limit)).unwrap().to_string());
        let most = format!("[1,{}]", u64::MAX);
        assert_eq!(
            texts,
            ["[1,5000]", "[1,infinity]", "[1,brutal_kill]", &most]
        );
    }
}
