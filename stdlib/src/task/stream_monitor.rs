//! The process behind a stream of tasks: it starts them, watches them and their time, and ends them.
//!
//! # Protocol
//!
//! 1. The consumer *casts* `Spawn(Position, Job)` for each element. The monitor runs the job, which gives the task's
//!    process, watches it, and only then tells it to begin: so no end goes unseen.
//! 2. Each end is an event `{Position, Fate}`. Events are numbered and kept until the consumer has acknowledged them.
//! 3. The consumer *calls* `Events(Seen)`, which acknowledges as many, and is answered when there are newer ones: with
//!    all of them. So whoever gives the call up and asks again misses nothing, and nothing ever comes to the consumer's
//!    mailbox.
//! 4. A task that takes too long is killed, whatever the consumer makes of it.
//! 5. `Stop`, or the exit signal that a dropped stream sends, kills all tasks. When all are gone the monitor ends, with
//!    `normal`: that is the answer to `Stop`.
//! 6. If the consumer ends, the tasks that are linked end with its reason, and the monitor too.
//! 7. If a linked task fails, and the consumer did not trap exits when the stream began, they are what a link would
//!    make of them: the consumer and all tasks get the reason as an exit signal. A link itself would outlive a stream
//!    that is dropped, where nobody can take it back.

use std::collections::VecDeque;
use std::time::Duration;

use otp_vm::{
    Context, ExitReason, HOST, Message, MessageKind, Native, Pid, Ref, ReplyTo, Timeout, from_term,
};
use serde::{Deserialize, Serialize};

use super::supervised;
use crate::supervisor::{BoxFuture, ChildError};
use crate::vm_made::MapByVmMade;

/// Starts a task, and gives its process.
pub(super) type Job =
    Box<dyn for<'a> FnOnce(&'a mut Context) -> BoxFuture<'a, Result<Pid, ChildError>> + Send>;

/// A cast of the consumer.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    Spawn(u64, Native<Job>),
}

/// A call of the consumer.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    Events(u64),
    Stop,
}

/// What became of a task. Its value, if there is one, is where the consumer sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Fate {
    Down(ExitReason),
    TimedOut,
    /// It did not start; no other is started any more.
    Refused(ChildError),
}

/// The reply to [`Ask::Events`].
pub(super) type Events = Vec<(u64, Fate)>;

/// What the monitor is told when it starts.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) consumer: Pid,
    /// Whether the consumer trapped exits.
    pub(super) traps_exits: bool,
    /// Whether tasks and consumer fall together.
    pub(super) is_linked: bool,
    /// What each task has.
    pub(super) timeout: Timeout,
}

struct Running {
    position: u64,
    pid: Pid,
    has_timed_out: bool,
}

struct Monitor {
    plan: Plan,
    running: MapByVmMade<Ref, Running>,
    /// When each task's time is over, by the VM's clock in nanoseconds; the earliest first, since all have the same.
    deadlines: VecDeque<(u64, Ref)>,
    events: VecDeque<(u64, Fate)>,
    /// How many events the consumer has acknowledged: the number of the first that is kept.
    acknowledged: u64,
    waits: Option<ReplyTo>,
    is_refused: bool,
}

/// The monitor's body.
pub(super) async fn monitor(mut cx: Context, plan: Plan) -> ExitReason {
    cx.trap_exit(true);
    let consumer = cx.monitor(plan.consumer);
    let mut monitor = Monitor {
        plan,
        running: MapByVmMade::default(),
        deadlines: VecDeque::new(),
        events: VecDeque::new(),
        acknowledged: 0,
        waits: None,
        is_refused: false,
    };
    loop {
        let Some(message) = cx.receive_timeout(monitor.next_deadline(&cx)).await else {
            monitor.kill_late(&cx);
            continue;
        };
        match message.kind() {
            MessageKind::Cast(order) => {
                if let Ok(Order::Spawn(position, job)) = from_term(order) {
                    drop(message);
                    monitor.spawn(&mut cx, position, job).await;
                }
            }
            MessageKind::Call { from, request } => match from_term(request) {
                Ok(Ask::Events(seen)) => monitor.acknowledge(&cx, from, seen),
                Ok(Ask::Stop) => return monitor.stop(&mut cx).await,
                Err(_) => {}
            },
            MessageKind::Exit { from: HOST, .. } => return monitor.stop(&mut cx).await,
            MessageKind::Down { reference, .. } => {
                let Some(down) = message.down() else { continue };
                if reference == consumer {
                    return monitor.end_with_consumer(&cx, down.reason);
                }
                if let Err(reason) = monitor.down(&cx, reference, down.reason) {
                    return reason;
                }
            }
            _ => {}
        }
    }
}

impl Monitor {
    fn next_deadline(&mut self, cx: &Context) -> Timeout {
        while let Some((deadline, task)) = self.deadlines.front() {
            if self.running.contains_key(task) {
                let left = deadline.saturating_sub(cx.monotonic_time());
                return Timeout::After(Duration::from_nanos(left));
            }
            self.deadlines.pop_front();
        }
        Timeout::Infinity
    }

    /// Kills the tasks whose time is over.
    fn kill_late(&mut self, cx: &Context) {
        let now = cx.monotonic_time();
        while let Some((_, task)) = self
            .deadlines
            .pop_front_if(|(deadline, _)| *deadline <= now)
        {
            if let Some(running) = self.running.get_mut(&task) {
                running.has_timed_out = true;
                cx.exit_process(running.pid, ExitReason::kill());
            }
        }
    }

    async fn spawn(&mut self, cx: &mut Context, position: u64, job: Native<Job>) {
        if self.is_refused {
            return;
        }
        let Some(job) = job.into_inner() else { return };
        match job(cx).await {
            Ok(pid) => {
                if self.plan.is_linked {
                    cx.link(pid);
                }
                let task = cx.monitor(pid);
                if let Timeout::After(after) = self.plan.timeout {
                    let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
                    let deadline = cx.monotonic_time().saturating_add(after);
                    self.deadlines.push_back((deadline, task));
                }
                let running = Running {
                    position,
                    pid,
                    has_timed_out: false,
                };
                self.running.insert(task, running);
                supervised::begin(cx, pid, task);
            }
            Err(error) => {
                self.is_refused = true;
                self.tell(cx, position, Fate::Refused(error));
            }
        }
    }

    /// A process has ended. An error ends the monitor: step 7 of the protocol.
    fn down(&mut self, cx: &Context, task: Ref, reason: ExitReason) -> Result<(), ExitReason> {
        let Some(ended) = self.running.remove(&task) else {
            return Ok(());
        };
        if ended.has_timed_out {
            self.tell(cx, ended.position, Fate::TimedOut);
            return Ok(());
        }
        if self.plan.is_linked && !self.plan.traps_exits && !reason.is_normal() {
            cx.exit_process(self.plan.consumer, reason.clone());
            return Err(reason);
        }
        self.tell(cx, ended.position, Fate::Down(reason));
        Ok(())
    }

    fn tell(&mut self, cx: &Context, position: u64, fate: Fate) {
        self.events.push_back((position, fate));
        self.answer(cx);
    }

    fn acknowledge(&mut self, cx: &Context, from: ReplyTo, seen: u64) {
        while self.acknowledged < seen && self.events.pop_front().is_some() {
            self.acknowledged += 1;
        }
        self.waits = Some(from);
        self.answer(cx);
    }

    /// Answers the consumer, if it waits and there is something to tell.
    fn answer(&mut self, cx: &Context) {
        if !self.events.is_empty()
            && let Some(from) = self.waits.take()
        {
            // Whoever gave the call up asks again.
            let _ = cx.reply(&from, &self.events);
        }
    }

    async fn stop(mut self, cx: &mut Context) -> ExitReason {
        for running in self.running.values() {
            cx.exit_process(running.pid, ExitReason::kill());
        }
        while !self.running.is_empty() {
            let down = |message: &Message| message.down().map(|down| down.reference);
            if let Some(task) = cx.receive_where(Timeout::Infinity, down).await {
                self.running.remove(&task);
            }
        }
        ExitReason::normal()
    }

    fn end_with_consumer(&self, cx: &Context, reason: ExitReason) -> ExitReason {
        // Nobody takes the results of a consumer that just returned.
        let signal = if reason.is_normal() {
            ExitReason::kill()
        } else {
            reason
        };
        if self.plan.is_linked {
            for running in self.running.values() {
                cx.exit_process(running.pid, signal.clone());
            }
        }
        ExitReason::normal()
    }
}
