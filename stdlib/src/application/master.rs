//! An application's two processes: the master, and the one that runs the callbacks.
//!
//! The master is the group leader of all that belong to the application, and the controller's link to it. It is never
//! in the program's code, so it can always be told to stop. The other, its child, runs `start`, the phases, `prep_stop`
//! and `stop`, is the parent of the tree's top, and keeps what the application gave.
//!
//! # Ends
//!
//! | of | what follows |
//! | --- | --- |
//! | a stop, or the controller | the child ends the tree by `shutdown`, in all its time, then kills who is left |
//! | the top | `prep_stop` and `stop` are called; the master ends with the top's reason |
//! | the child, killed | its tree ends by its parent's death; the master kills who is left, and ends with `killed` |
//! | the master, killed | the child ends the tree, with the master's reason; then kills who is left |
//! | both, killed | the controller kills who is left |
//!
//! Who is left is killed by the child and by the master, each by a process of its own: so one more of all these may be
//! killed meanwhile.

use std::collections::HashSet;
use std::sync::Arc;

use otp_vm::{
    Atom, Context, ExitReason, Message, Pid, RandomState, Ref, SpawnError, SpawnOptions, Timeout,
};

use super::callback::{Begun, Callbacks, Kept};
use super::env::group_leader_of;
use super::spec::ApplicationSpec;
use super::wire::{Child, FromMaster, ToMaster, ToStarter};
use super::{StartType, phases};
use crate::unwind::{Caught, drop_caught};

/// Whose processes these are.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) spec: Arc<ApplicationSpec>,
    pub(super) callbacks: Arc<dyn Callbacks>,
    /// The applications that it includes, near and far.
    pub(super) included: Vec<Arc<ApplicationSpec>>,
    pub(super) start_type: StartType,
}

/// Makes the master. It waits for [`ToMaster::Begin`].
pub(super) fn spawn(cx: &Context, plan: Plan) -> Result<Pid, SpawnError> {
    let controller = cx.pid();
    let options = options(&plan.spec);
    let master = Master { controller, plan };
    let spawned = cx.spawn_opt(options, move |cx| async move { master.run(cx).await });
    spawned.map(|spawned| spawned.pid)
}

fn options(spec: &ApplicationSpec) -> SpawnOptions {
    let options = SpawnOptions::new().link().trap_exit();
    options.label(spec.name.as_str())
}

struct Master {
    controller: Pid,
    plan: Plan,
}

/// What a master does about a message.
enum Next {
    Begin,
    Started(Result<(), ExitReason>),
    GetChild(Pid, Ref),
    Exit(Pid, ExitReason),
    Stop,
    MaxTime,
}

/// The next message that means something.
async fn next(cx: &mut Context) -> Next {
    loop {
        let message = cx.receive().await;
        if let Some(exit) = message.exit() {
            return Next::Exit(exit.from, exit.reason);
        }
        return match message.decode() {
            Ok(ToMaster::Begin) => Next::Begin,
            Ok(ToMaster::Stop) => Next::Stop,
            Ok(ToMaster::Started(_, reason)) => Next::Started(reason.map_or(Ok(()), Err)),
            Ok(ToMaster::GetChild(from, tag)) => Next::GetChild(from, tag),
            Ok(ToMaster::MaxTime) => Next::MaxTime,
            // OTP's masters drop them as well.
            Err(_) => continue,
        };
    }
}

impl Master {
    async fn run(self, mut cx: Context) -> ExitReason {
        let me = cx.pid();
        // Its own: the calling process is alive.
        let _ = cx.set_group_leader(me, me);
        loop {
            match next(&mut cx).await {
                Next::Begin => break,
                Next::Exit(from, reason) if from == self.controller => return reason,
                _ => {}
            }
        }
        let child = match self.spawn_child(&cx) {
            Ok(child) => child,
            Err(error) => return error.into(),
        };
        loop {
            match next(&mut cx).await {
                Next::Started(Ok(())) => break,
                Next::Started(Err(reason)) => {
                    // It is on its way out, with whoever is linked to it.
                    self.ended(&mut cx, child).await;
                    return reason;
                }
                Next::Exit(from, reason) if from == child || from == self.controller => {
                    kill_all(&mut cx, me).await;
                    return reason;
                }
                Next::GetChild(from, tag) => answer_none(&cx, from, tag),
                _ => {}
            }
        }
        if let Timeout::After(after) = self.plan.spec.max_time {
            // The time is over for who runs; a VM that has no room for a timer has none for a limit.
            let _ = cx.send_after(after, cx.pid(), &ToMaster::MaxTime);
        }
        let started = FromMaster::ApplicationStarted(cx.pid());
        let _ = cx.send(self.controller, &started);
        let reason = loop {
            match next(&mut cx).await {
                Next::Exit(from, reason) if from == child => {
                    kill_all(&mut cx, me).await;
                    return reason;
                }
                Next::Exit(from, reason) if from == self.controller => break reason,
                Next::Stop | Next::MaxTime => break ExitReason::normal(),
                Next::GetChild(from, tag) => ask_child(&cx, child, from, tag),
                _ => {}
            }
        };
        let _ = cx.send(child, &ToStarter::Terminate);
        self.ended(&mut cx, child).await;
        kill_all(&mut cx, me).await;
        reason
    }

    fn spawn_child(&self, cx: &Context) -> Result<Pid, SpawnError> {
        let options = options(&self.plan.spec);
        let starter = Starter {
            master: cx.pid(),
            plan: self.plan.clone(),
        };
        let spawned = cx.spawn_opt(options, move |cx| async move { starter.run(cx).await });
        spawned.map(|spawned| spawned.pid)
    }

    /// Waits for the child's end.
    async fn ended(&self, cx: &mut Context, child: Pid) {
        loop {
            match next(cx).await {
                Next::Exit(from, _) if from == child => return,
                Next::GetChild(from, tag) => ask_child(cx, child, from, tag),
                _ => {}
            }
        }
    }
}

fn ask_child(cx: &Context, child: Pid, from: Pid, tag: Ref) {
    let _ = cx.send(child, &ToStarter::GetChild(from, tag));
}

/// There is no top yet.
fn answer_none(cx: &Context, from: Pid, tag: Ref) {
    let _ = cx.send(from, &Child::Child(tag, None));
}

/// The process of the callbacks.
struct Starter {
    master: Pid,
    plan: Plan,
}

impl Starter {
    async fn run(self, mut cx: Context) -> ExitReason {
        let (top, kept) = match self.start(&mut cx).await {
            Ok(begun) => begun,
            Err(reason) => {
                let failed = ToMaster::Started(cx.pid(), Some(reason));
                let _ = cx.send(self.master, &failed);
                // Whoever is linked, and does not trap exits, ends with it.
                return ExitReason::shutdown();
            }
        };
        let _ = cx.send(self.master, &ToMaster::Started(cx.pid(), None));
        self.watch(&mut cx, top, kept).await
    }

    async fn start(&self, cx: &mut Context) -> Result<Begun, ExitReason> {
        let Plan {
            spec,
            callbacks,
            included,
            start_type,
        } = &self.plan;
        let begun = callbacks.start(*start_type, cx).await;
        let (top, kept) = begun.map_err(|failure| {
            failure.of_start(callbacks.module(), *start_type, callbacks.args())
        })?;
        cx.link(top);
        if let Err(reason) = phases::run(spec, included, *start_type, cx).await {
            // OTP lets it go; then nobody would end it.
            cx.exit_process(top, ExitReason::shutdown());
            self.ended(cx, top).await;
            drop_caught(kept);
            return Err(reason);
        }
        Ok((top, kept))
    }

    /// Until the end.
    async fn watch(&self, cx: &mut Context, top: Pid, mut kept: Box<dyn Kept>) -> ExitReason {
        let (reason, signal) = loop {
            let message = cx.receive().await;
            match message.exit() {
                // All reasons are the application's, `normal` as well.
                Some(exit) if exit.from == top => break (exit.reason, None),
                Some(exit) if exit.from == self.master => {
                    break (exit.reason.clone(), Some(exit.reason));
                }
                Some(_) => continue,
                None => {}
            }
            match message.decode() {
                Ok(ToStarter::Terminate) => {
                    break (ExitReason::normal(), Some(ExitReason::shutdown()));
                }
                Ok(ToStarter::GetChild(from, tag)) => {
                    let child = Child::Child(tag, Some((top, self.plan.callbacks.module())));
                    let _ = cx.send(from, &child);
                }
                Err(_) => {}
            }
        };
        if let Err(reason) = Caught(kept.prep_stop(cx)).await {
            self.failed("prep_stop", &reason);
        }
        if let Some(signal) = signal {
            cx.exit_process(top, signal);
            self.ended(cx, top).await;
        }
        if let Err(reason) = Caught(kept.stop(cx)).await {
            self.failed("stop", &reason);
        }
        // The master does so as well, unless it is killed.
        kill_all(cx, self.master).await;
        reason
    }

    /// Waits for the top's end. A master that is killed meanwhile had its time: then all are killed.
    async fn ended(&self, cx: &mut Context, top: Pid) {
        loop {
            let master = self.master;
            let exit = cx.receive_where(Timeout::Infinity, |message| {
                let exit = message.exit();
                exit.filter(|exit| exit.from == top || exit.from == master)
            });
            match exit.await {
                Some(exit) if exit.from == master => {
                    kill_all(cx, master).await;
                    // It may belong to somebody else.
                    cx.exit_process(top, ExitReason::kill());
                }
                _ => return,
            }
        }
    }

    fn failed(&self, callback: &str, reason: &ExitReason) {
        tracing::error!(
            event = "application_shutdown_error",
            application = %self.plan.spec.name,
            callback,
            %reason,
            "a callback of the application failed as it stopped"
        );
    }
}

/// The process of the callbacks, which a master that is gone has left.
pub(super) fn child_left(cx: &Context, master: Pid) -> Option<Pid> {
    let mut processes = cx.vm().processes().into_iter();
    processes.find(|&pid| {
        let info = cx.process_info(pid);
        info.is_some_and(|info| info.parent == Some(master) && info.group_leader == master)
    })
}

/// Kills all that have `leader` as their group leader, but for the caller, until none is left. A process of its own
/// does it, so that they end though the caller is killed meanwhile.
pub(super) async fn kill_all(cx: &mut Context, leader: Pid) {
    let caller = cx.pid();
    let killing = async move |mut cx: Context| kill_all_but(&mut cx, caller, leader).await;
    if let Ok((_, monitor)) = cx.spawn_monitor(killing)
        && cx.await_down(monitor).await.reason == ExitReason::normal()
    {
        return;
    }
    // It was killed itself, or there was no room for it.
    kill_all_but(cx, caller, leader).await;
}

async fn kill_all_but(cx: &mut Context, caller: Pid, leader: Pid) {
    let spared = [cx.pid(), caller, leader];
    let mut killed = HashSet::with_hasher(RandomState::new());
    loop {
        let mut ends = Vec::new();
        for pid in cx.vm().processes() {
            cx.tick(1).await;
            let is_member = !spared.contains(&pid) && group_leader_of(cx, pid) == Some(leader);
            // Each once: one in native code is listed for a while, though all see its end.
            if is_member && killed.insert(pid) {
                ends.push(cx.monitor(pid));
                cx.exit_process(pid, ExitReason::kill());
            }
        }
        if ends.is_empty() {
            return;
        }
        // One that runs may start another before it sees the signal.
        for end in ends {
            cx.await_down(end).await;
        }
    }
}

/// The answer to [`ToMaster::GetChild`], if a message is it.
pub(super) fn child_of(message: &Message, tag: Ref) -> Option<Option<(Pid, Atom)>> {
    let Child::Child(reference, child) = message.decode().ok()?;
    (reference == tag).then_some(child)
}
