//! The same request to many servers at once.

use std::time::Duration;

use otp_vm::{CallError, Context, SendError, Timeout};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;

/// What a call to many servers gave. `{Replies, BadNodes}` of `gen_server:multi_call/2,3,4`.
#[derive(Debug)]
pub struct MultiCall<S, R> {
    /// Who answered, and what, in the order in which the servers were given.
    pub replies: Vec<(S, R)>,
    /// Who did not, and why, in that order.
    pub bad: Vec<BadServer<S>>,
}

/// A server that gave no reply.
#[derive(Debug)]
pub struct BadServer<S> {
    /// Who.
    pub server: S,
    /// Why: it ended, was not there, or took too long.
    pub error: CallError,
}

/// Asks all, then waits for all: as long as the slowest takes, at most the limit.
pub(crate) async fn multi_call<'s, S, M, R>(
    cx: &mut Context,
    servers: impl IntoIterator<Item = &'s S>,
    target: impl Fn(&S) -> &Target,
    request: &M,
    after: Timeout,
) -> MultiCall<S, R>
where
    S: Clone + 's,
    M: Serialize,
    R: DeserializeOwned,
{
    let begun = cx.monotonic_time();
    let servers = servers.into_iter();
    // The replies of these go straight to the requests, and giving up is dropping them.
    let asked: Vec<_> = servers
        .map(|server| {
            let target = target(server);
            let sent = match target.other_node(cx) {
                Some(node) => Err(CallError::Exit(Target::node_down(node))),
                None => cx.send_request(target.resolve(cx), request),
            };
            (server, sent)
        })
        .collect();
    let mut called = MultiCall {
        replies: Vec::new(),
        bad: Vec::new(),
    };
    for (server, sent) in asked {
        let left = match after {
            Timeout::Infinity => Timeout::Infinity,
            Timeout::After(limit) => {
                let passed = Duration::from_nanos(cx.monotonic_time().saturating_sub(begun));
                Timeout::After(limit.saturating_sub(passed))
            }
        };
        let answer = match sent {
            Ok(sent) => cx.receive_response(sent, left).await,
            Err(error) => Err(error),
        };
        let server = server.clone();
        match answer {
            Ok(reply) => called.replies.push((server, reply)),
            Err(error) => called.bad.push(BadServer { server, error }),
        }
    }
    called
}

/// Casts to all, whether they are there or not.
///
/// # Errors
/// The first that a mailbox refused, or that could not be serialised; the others got theirs.
pub(crate) fn abcast<'t, M: Serialize>(
    cx: &Context,
    targets: impl IntoIterator<Item = &'t Target>,
    request: &M,
) -> Result<(), SendError> {
    let mut result = Ok(());
    for target in targets {
        result = result.and(super::cast(cx, target, request));
    }
    result
}
