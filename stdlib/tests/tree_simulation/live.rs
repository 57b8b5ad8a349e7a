//! The processes of a tree, and what must hold where it happens: the order of starts and ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use otp_stdlib::StartError;
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{ChildError, ChildInfo};
use otp_vm::{Context, ExitReason, Pid, Timeout};

use super::model::{Answer, Call, Looks, Seen};
use super::shape::{Ends, Kind, Shape, Strategy, below};

/// All steps are within it, but for a pause, which is longer.
pub const PERIOD: Duration = Duration::from_secs(600);
/// How long a worker has that is told to end.
const SHUTDOWN: Duration = Duration::from_millis(5);
/// More than it takes to tell all children of a dynamic supervisor, less than the wait for one that is stuck.
const AT_ONCE: Duration = Duration::from_millis(4);

/// What went wrong, of the whole tree.
pub type Wrong = Arc<Mutex<Vec<String>>>;

/// A supervisor that was started. Each start has one of its own.
pub struct Live {
    shape: Arc<Shape>,
    wrong: Wrong,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pid: Option<Pid>,
    /// Children in the order of starts.
    order: Vec<usize>,
    attempts: Vec<u32>,
    /// As the model's.
    fails: Vec<u32>,
    pids: Vec<Option<Pid>>,
    below: Vec<Option<Arc<Live>>>,
    /// The child that somebody started or ends by a call: in no order.
    by_hand: Option<usize>,
    /// When the first child of a dynamic supervisor was told to end, but for those by hand.
    told_ns: Option<u64>,
}

type Seeing<'a> = Pin<Box<dyn Future<Output = Result<Seen, String>> + Send + 'a>>;

impl Live {
    /// Starts a supervisor. It fails in its init if `failing`.
    pub async fn start(
        shape: &Arc<Shape>,
        wrong: &Wrong,
        failing: bool,
        cx: &mut Context,
    ) -> Result<Arc<Self>, StartError> {
        let children = shape.children.len();
        let first: Vec<usize> = shape.first().collect();
        let mut fails = vec![0; children];
        if failing {
            let at = below(first.len().max(1) as u64) as usize;
            match first.get(at) {
                Some(&id) => fails[id] = 1,
                None => panic!("before its init"),
            }
        }
        let live = Arc::new(Self {
            shape: Arc::clone(shape),
            wrong: Arc::clone(wrong),
            state: Mutex::new(State {
                attempts: vec![0; children],
                fails,
                pids: vec![None; children],
                below: vec![None; children],
                ..State::default()
            }),
        });
        let specs = first.iter().map(|&id| live.spec(id)).collect();
        let pid = if shape.strategy == Strategy::Dynamic {
            let flags = DynamicSupervisorFlags::new()
                .intensity(shape.max_restarts as u32, PERIOD)
                .max_children(shape.max_children as u64);
            DynamicSupervisor::start_link(cx, flags).await?.pid()
        } else {
            let flags = match shape.strategy {
                Strategy::RestForOne => SupervisorFlags::rest_for_one(),
                Strategy::OneForAll => SupervisorFlags::one_for_all(),
                _ => SupervisorFlags::one_for_one(),
            };
            let flags = flags.intensity(shape.max_restarts as u32, PERIOD);
            let flags = flags.auto_shutdown(shape.auto_shutdown);
            Supervisor::start_link(cx, flags, specs).await?.pid()
        };
        live.state().pid = pid;
        Ok(live)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    pub fn pid(&self) -> Pid {
        self.state().pid.expect("it started")
    }

    pub fn child(&self, id: usize) -> Option<Pid> {
        self.state().pids[id]
    }

    /// The supervisor at the end of a path.
    pub fn at(self: &Arc<Self>, path: &[(usize, u32)]) -> Arc<Self> {
        let Some((&(id, _), rest)) = path.split_first() else {
            return Arc::clone(self);
        };
        let below = self.state().below[id].clone();
        below.expect("it started").at(rest)
    }

    pub fn fail(&self, id: usize, which: u32) {
        self.state().fails[id] = which;
    }

    pub fn forget_by_hand(&self) {
        self.state().by_hand = None;
    }

    fn spec(self: &Arc<Self>, id: usize) -> ChildSpec {
        let child = &self.shape.children[id];
        let live = Arc::clone(self);
        let spec = ChildSpec::new(format!("{id}"), move |cx| {
            let live = Arc::clone(&live);
            Box::pin(async move { live.start_child(id, cx).await })
        });
        let spec = match child.kind {
            Kind::Below(_) => spec.shutdown(Shutdown::Infinity),
            Kind::Worker(Ends::ByKill) => spec.shutdown(Shutdown::BrutalKill),
            Kind::Worker(_) => spec.shutdown(Shutdown::After(SHUTDOWN)),
        };
        spec.restart(child.restart).significant(child.significant)
    }

    async fn start_child(self: Arc<Self>, id: usize, cx: &mut Context) -> Result<Pid, StartError> {
        self.look_at_start(id, cx);
        let fails = {
            let mut state = self.state();
            state.attempts[id] += 1;
            let fails = state.fails[id] & 1 == 1;
            state.fails[id] >>= 1;
            fails
        };
        if fails || below(4) == 0 {
            // Others die meanwhile, and calls come.
            cx.sleep(Duration::from_millis(below(8))).await;
        }
        let pid = match &self.shape.children[id].kind {
            Kind::Below(shape) => {
                let below = Self::start(shape, &self.wrong, fails, cx).await?;
                let pid = below.pid();
                self.state().below[id] = Some(below);
                pid
            }
            Kind::Worker(_) if fails && below(2) == 0 => panic!("in init"),
            Kind::Worker(_) if fails => {
                return Err(StartError::Exit(ExitReason::new("fails")));
            }
            Kind::Worker(ends) => {
                let (ends, above) = (*ends, Arc::clone(&self));
                cx.spawn_link(async move |cx| above.work(id, ends, cx).await)?
            }
        };
        self.state().pids[id] = Some(pid);
        Ok(pid)
    }

    /// Where children have an order, those behind one that starts are not there.
    fn look_at_start(&self, id: usize, cx: &Context) {
        let mut state = self.state();
        let temporary = self.shape.children[id].restart == Restart::Temporary;
        // A temporary child is started again by being added again.
        if temporary || !state.order.contains(&id) {
            state.order.retain(|&known| known != id);
            state.order.push(id);
        }
        let ordered = matches!(
            self.shape.strategy,
            Strategy::RestForOne | Strategy::OneForAll
        );
        if (ordered && state.by_hand != Some(id) || state.pid.is_none())
            && let Some(other) = state.lives_behind(id, cx)
        {
            drop(state);
            self.wrong(format!("{id} starts before {other}, behind it, ended"));
        }
    }

    /// Where children have an order, those behind one that is told to end are not there; else all are told at once.
    fn look_at_end(&self, id: usize, cx: &Context) {
        let mut state = self.state();
        if state.by_hand == Some(id) {
            return;
        }
        if self.shape.strategy == Strategy::Dynamic {
            let now_ns = cx.monotonic_time();
            let passed_ns = now_ns - *state.told_ns.get_or_insert(now_ns);
            if u128::from(passed_ns) >= AT_ONCE.as_nanos() {
                drop(state);
                self.wrong(format!("{id} is told to end {passed_ns} ns after another"));
            }
        } else if let Some(other) = state.lives_behind(id, cx) {
            drop(state);
            self.wrong(format!("{id} is ended before {other}, behind it"));
        }
    }

    async fn work(&self, id: usize, ends: Ends, mut cx: Context) {
        cx.trap_exit(!matches!(ends, Ends::AtOnce));
        let Some(exit) = cx.receive().await.exit() else {
            return;
        };
        if exit.reason == ExitReason::shutdown() {
            self.look_at_end(id, &cx);
            if matches!(ends, Ends::Never) {
                // Until its supervisor is killed, which would leave it for ever in OTP.
                let killed = cx.receive_where(Timeout::Infinity, |message| {
                    let exit = message.exit();
                    exit.filter(|exit| exit.reason != ExitReason::shutdown())
                });
                killed.await;
            }
        }
        cx.sleep(Duration::from_millis(below(4))).await;
    }

    /// Calls the supervisor. If it is a dynamic one, the child to be ended is that process.
    pub async fn call(
        self: Arc<Self>,
        call: Call,
        id: usize,
        child: Pid,
        cx: &mut Context,
    ) -> Answer {
        let pid = {
            let mut state = self.state();
            state.by_hand = Some(id);
            state.pid.expect("it started")
        };
        let name = format!("{id}");
        let done = if self.shape.strategy == Strategy::Dynamic {
            let supervisor = DynamicSupervisorRef::from_pid(pid);
            match call {
                Call::Start => {
                    let started = supervisor.start_child(cx, self.spec(id)).await;
                    started.map(|_| ())
                }
                _ => supervisor.terminate_child(cx, child).await,
            }
        } else {
            let supervisor = SupervisorRef::from_pid(pid);
            match call {
                Call::Start => {
                    let started = supervisor.start_child(cx, self.spec(id)).await;
                    started.map(|_| ())
                }
                Call::Restart => supervisor.restart_child(cx, name).await.map(|_| ()),
                Call::Terminate => supervisor.terminate_child(cx, name).await,
                Call::Delete => supervisor.delete_child(cx, name).await,
            }
        };
        match done {
            Ok(()) => Answer::Done,
            Err(ChildError::NotFound) => Answer::NotFound,
            Err(ChildError::Running) => Answer::Running,
            Err(ChildError::Restarting) => Answer::Restarting,
            Err(ChildError::AlreadyStarted(_)) => Answer::AlreadyStarted,
            Err(ChildError::AlreadyPresent) => Answer::AlreadyPresent,
            Err(ChildError::MaxChildren(_)) => Answer::MaxChildren,
            Err(ChildError::Start(_)) => Answer::Failed,
            Err(ChildError::Supervisor(_)) => Answer::Nobody,
            Err(other) => panic!("{other}"),
        }
    }

    /// What the supervisor lists, with what is below.
    pub fn see<'a>(self: &'a Arc<Self>, cx: &'a mut Context) -> Seeing<'a> {
        Box::pin(async move {
            let pid = self.pid();
            let dynamic = self.shape.strategy == Strategy::Dynamic;
            let listed = if dynamic {
                DynamicSupervisorRef::from_pid(pid).which_children(cx).await
            } else {
                SupervisorRef::from_pid(pid).which_children(cx).await
            };
            let listed = listed.map_err(|error| format!("{pid}: {error}"))?;
            let mut kids = Vec::new();
            for child in &listed {
                kids.push(self.see_child(child, cx).await?);
            }
            if dynamic {
                kids.sort_by_key(|&(id, _)| id);
            }
            let mut state = self.state();
            if !dynamic {
                state.order = kids.iter().map(|&(id, _)| id).collect();
            }
            let attempts = state.attempts.clone();
            Ok(Seen { attempts, kids })
        })
    }

    async fn see_child(
        &self,
        child: &ChildInfo,
        cx: &mut Context,
    ) -> Result<(usize, Looks), String> {
        let id: usize = child.id.as_str().parse().map_err(|_| "a foreign child")?;
        let (known, below) = {
            let state = self.state();
            (state.pids[id], state.below[id].clone())
        };
        let looks = match child.pid {
            _ if child.restarting => return Err(format!("{child:?} still restarts")),
            None => Looks::Stopped,
            Some(pid) if Some(pid) != known || !cx.vm().is_alive(pid) => {
                return Err(format!("{child:?} is not the last that was started"));
            }
            Some(_) => match below {
                Some(below) => Looks::Below(below.see(cx).await?),
                None => Looks::Worker,
            },
        };
        Ok((id, looks))
    }
}

impl State {
    fn lives_behind(&self, id: usize, cx: &Context) -> Option<usize> {
        let behind = self.order.iter().skip_while(|&&other| other != id).skip(1);
        let alive = |&&other: &&usize| self.pids[other].is_some_and(|pid| cx.vm().is_alive(pid));
        behind.copied().find(|other| alive(&other))
    }
}
