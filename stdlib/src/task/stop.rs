//! Giving a task up: ending it, or letting it run.

use std::time::Duration;

use otp_vm::{Context, ExitReason, Pid, Ref, Timeout};

use super::failure::{self, Function, Pair, nodedown};
use super::news::{News, news};
use super::{Task, TaskResult, limit};
use crate::supervisor::Shutdown;

/// Which end a shutdown asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Shutdown,
    BrutalKill,
    /// It did not end in time.
    TimeoutKill,
}

impl Asked {
    /// Whether the task ended as it was told, so that there is nothing to tell.
    fn is_met_by(self, reason: &ExitReason) -> bool {
        match self {
            Self::Shutdown | Self::TimeoutKill => *reason == ExitReason::shutdown(),
            Self::BrutalKill => *reason == ExitReason::killed(),
        }
    }
}

impl<T: Send + 'static> Task<T> {
    /// Ends the task, and waits for its end. Gives the value if it was done before, the reason if it ended in another
    /// way than asked, else None. `Task.shutdown/2`; the default there is 5 seconds,
    /// [`WORKER_SHUTDOWN`](crate::supervisor::WORKER_SHUTDOWN).
    ///
    /// The link goes first, so that the end does not come back by it. A task that is not there any more, whose messages
    /// were received, is `noproc`. One without a process, which is [completed](Self::completed), gives its value.
    ///
    /// **Exits the caller** when the task's node is gone, with `{{nodedown, Node}, {task, shutdown, [Pid, Limit]}}`.
    /// Dropping the future leaves the task ending, and its messages in the mailbox.
    ///
    /// # Panics
    /// As [`await_`](Self::await_).
    pub async fn shutdown(mut self, cx: &mut Context, shutdown: Shutdown) -> Option<TaskResult<T>> {
        self.shut_down(cx, shutdown).await
    }

    /// As [`shutdown`](Self::shutdown). Nothing more comes of the task.
    pub(super) async fn shut_down(
        &mut self,
        cx: &mut Context,
        shutdown: Shutdown,
    ) -> Option<TaskResult<T>> {
        self.check_owner(cx);
        let Some(pid) = self.pid else {
            return self.let_go(cx).await;
        };
        let (mut asked, signal, mut after) = match shutdown {
            Shutdown::BrutalKill => (Asked::BrutalKill, ExitReason::kill(), Timeout::Infinity),
            Shutdown::After(limit) => (
                Asked::Shutdown,
                ExitReason::shutdown(),
                Timeout::After(limit),
            ),
            Shutdown::Infinity => (Asked::Shutdown, ExitReason::shutdown(), Timeout::Infinity),
        };
        // The task's own monitor may have told its end already.
        let monitor = cx.monitor(pid);
        unlink_and_exit(cx, pid, signal);
        let (reason, node) = loop {
            match down(cx, monitor, after).await {
                Some(News::Down(reason)) => break (reason, None),
                Some(News::Lost(node)) => break (nodedown(node), Some(node)),
                _ => {
                    cx.exit_process(pid, ExitReason::kill());
                    (asked, after) = (Asked::TimeoutKill, Timeout::Infinity);
                }
            }
        };
        let told = match reason {
            // It had ended before: its own monitor knows how.
            reason if reason == ExitReason::noproc() => {
                match down(cx, self.reference, Timeout::After(Duration::ZERO)).await {
                    Some(News::Down(reason)) => (reason, None),
                    Some(News::Lost(node)) => (nodedown(node), Some(node)),
                    _ => (reason, None),
                }
            }
            reason => (reason, node),
        };
        cx.demonitor_flush(self.reference);
        if let Some(value) = self.value_there(cx).await {
            return Some(Ok(value));
        }
        match told {
            (reason, Some(_)) => {
                let arguments = Pair(self.pid, limit(shutdown));
                failure::exit(cx, reason, Function::Shutdown, arguments)
            }
            (reason, None) if asked.is_met_by(&reason) => None,
            (reason, None) => Some(Err(reason)),
        }
    }

    /// Lets the task run on, without its link: nothing comes of it any more. Gives its value or its reason if it has
    /// ended by now. `Task.ignore/1`.
    ///
    /// To have something run of which nobody wants to know more there is [`TaskSupervisor::start_child`].
    ///
    /// # Panics
    /// As [`await_`](Self::await_).
    ///
    /// [`TaskSupervisor::start_child`]: super::TaskSupervisor::start_child
    pub async fn ignore(mut self, cx: &mut Context) -> Option<TaskResult<T>> {
        self.let_go(cx).await
    }

    /// As [`ignore`](Self::ignore).
    pub(super) async fn let_go(&mut self, cx: &mut Context) -> Option<TaskResult<T>> {
        let now = Timeout::After(Duration::ZERO);
        let news = self.news(cx, now).await;
        match news {
            Some(News::Lost(node)) => {
                let arguments = [self.pid];
                failure::exit(cx, nodedown(node), Function::Ignore, arguments.as_slice())
            }
            Some(News::Down(reason)) => Some(Err(reason)),
            ended => {
                if let Some(pid) = self.pid {
                    cx.unlink(pid);
                }
                cx.demonitor_flush(self.reference);
                match ended {
                    Some(News::Reply(value)) => Some(Ok(value)),
                    _ => None,
                }
            }
        }
    }

    /// The value, if its message is there.
    async fn value_there(&self, cx: &mut Context) -> Option<T> {
        let (reference, node) = (self.reference, cx.node());
        let select = |message: &otp_vm::Message| match news(message, node, |of| of == reference)? {
            (_, News::Reply(value)) => Some(value),
            _ => None,
        };
        cx.receive_where(Duration::ZERO, select).await
    }
}

/// Waits for a monitor's message, of which `T` is of no account.
async fn down(cx: &mut Context, monitor: Ref, after: Timeout) -> Option<News<()>> {
    let node = cx.node();
    let select = |message: &otp_vm::Message| {
        // What else begins with the reference is the task's value.
        message.term().as_tuple().filter(|tuple| tuple.len() == 5)?;
        news::<()>(message, node, |of| of == monitor).map(|(_, news)| news)
    };
    cx.receive_where(after, select).await
}

/// Ends the task without hearing of it by the link. If the owner itself is ended in between (from outside, while it is
/// in native code) what it sends goes nowhere, and the link is gone: then the VM sends in its place. Elixir has a
/// process for this that waits and sees.
fn unlink_and_exit(cx: &Context, pid: Pid, reason: ExitReason) {
    cx.unlink(pid);
    cx.exit_process(pid, reason.clone());
    if !cx.vm().is_alive(cx.pid()) {
        cx.vm().exit(pid, reason);
    }
}
