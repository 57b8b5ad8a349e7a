//! Supervision trees of random shape in a simulation: children are killed and end by themselves, restarts fail by
//! panics, ends are slow or stuck. A model says of each step what is there then, and whether somebody gave up; what
//! must hold in between (the order of starts and ends) is looked at where it happens.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use otp_stdlib::StartError;
use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, ExitReason, Pid, Timeout, Vm, random};

const SEEDS: u64 = 2_000;
const REPLAY_EACH: usize = 100;
const STEPS: u64 = 12;
/// Longer than all that follows from one end.
const STEP: Duration = Duration::from_millis(200);
/// All steps are within it, but for a pause, which is longer.
const PERIOD: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(60);

fn below(bound: u64) -> u64 {
    random() % bound
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Strategy {
    OneForOne,
    RestForOne,
    OneForAll,
}

/// How a worker ends when it is told to.
#[derive(Clone, Copy, Debug)]
enum Ends {
    AtOnce,
    Slowly,
    Never,
    ByKill,
}

#[derive(Clone)]
enum Kind {
    Worker(Ends),
    Below(Arc<Level>),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Expected {
    Running,
    Stopped,
    Gone,
}

/// A supervisor with its children, and what is to be of them.
struct Level {
    strategy: Strategy,
    max_restarts: usize,
    children: Vec<(Restart, Kind)>,
    /// Where it stands in the level above.
    above: Option<(Weak<Level>, usize)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Its children start for the first time: none of them fails then.
    beginning: bool,
    gave_up: bool,
    pids: Vec<Option<Pid>>,
    expected: Vec<Expected>,
    restarts: VecDeque<u64>,
    /// What went wrong.
    wrong: Vec<String>,
}

impl Level {
    fn random(depth: u64, above: Option<(Weak<Level>, usize)>) -> Arc<Self> {
        Arc::new_cyclic(|this| {
            let child = |at| {
                if depth > 0 && below(4) == 0 {
                    let level = Self::random(depth - 1, Some((this.clone(), at)));
                    return (Restart::Permanent, Kind::Below(level));
                }
                let restart = [Restart::Permanent, Restart::Transient, Restart::Temporary];
                let ends = [Ends::AtOnce, Ends::Slowly, Ends::Never, Ends::ByKill];
                (
                    restart[below(3) as usize],
                    Kind::Worker(ends[below(4) as usize]),
                )
            };
            let strategies = [
                Strategy::OneForOne,
                Strategy::RestForOne,
                Strategy::OneForAll,
            ];
            Self {
                strategy: strategies[below(3) as usize],
                max_restarts: below(5) as usize,
                children: (0..1 + below(4) as usize).map(child).collect(),
                above,
                state: Mutex::default(),
            }
        })
    }

    fn flags(&self) -> SupervisorFlags {
        let flags = match self.strategy {
            Strategy::OneForOne => SupervisorFlags::one_for_one(),
            Strategy::RestForOne => SupervisorFlags::rest_for_one(),
            Strategy::OneForAll => SupervisorFlags::one_for_all(),
        };
        flags.intensity(self.max_restarts as u32, PERIOD)
    }

    async fn start(self: Arc<Self>, cx: &mut Context) -> Result<Pid, StartError> {
        {
            let mut state = self.state.lock().unwrap();
            let wrong = std::mem::take(&mut state.wrong);
            *state = State {
                beginning: true,
                pids: vec![None; self.children.len()],
                expected: vec![Expected::Running; self.children.len()],
                wrong,
                ..State::default()
            };
        }
        let specs = (0..self.children.len()).map(|at| self.spec(at)).collect();
        let started = Supervisor::start_link(cx, self.flags(), specs).await?;
        self.state.lock().unwrap().beginning = false;
        Ok(started.pid().expect("by pid"))
    }

    fn spec(self: &Arc<Self>, at: usize) -> ChildSpec {
        let level = Arc::clone(self);
        let (restart, kind) = &self.children[at];
        let spec = ChildSpec::new(format!("{at}"), move |cx| {
            let level = Arc::clone(&level);
            Box::pin(async move {
                level.look_at_start(at, cx);
                let pid = match &level.children[at].1 {
                    Kind::Below(below) => Arc::clone(below).start(cx).await?,
                    Kind::Worker(ends) => {
                        if !level.state.lock().unwrap().beginning && below(5) == 0 {
                            // It counts as a restart, since it is tried again.
                            level.restarted(at, cx.monotonic_time());
                            panic!("in init");
                        }
                        let (ends, above) = (*ends, Arc::clone(&level));
                        cx.spawn_link(async move |cx| above.work(at, ends, cx).await)?
                    }
                };
                level.state.lock().unwrap().pids[at] = Some(pid);
                Ok(pid)
            })
        });
        let shutdown = match kind {
            Kind::Below(_) => Shutdown::Infinity,
            Kind::Worker(Ends::ByKill) => Shutdown::BrutalKill,
            Kind::Worker(_) => Shutdown::After(Duration::from_millis(5)),
        };
        spec.restart(*restart).shutdown(shutdown)
    }

    /// Children start in order, and where they have one, those behind are not there.
    fn look_at_start(&self, at: usize, cx: &Context) {
        let mut state = self.state.lock().unwrap();
        let alive = |pid: &Option<Pid>| pid.is_some_and(|pid| cx.vm().is_alive(pid));
        if self.strategy != Strategy::OneForOne || state.beginning {
            if state.pids[at..].iter().any(alive) {
                state
                    .wrong
                    .push(format!("{at} starts before those behind it ended"));
            }
            let missing = (0..at).any(|before| {
                state.expected[before] == Expected::Running
                    && self.children[before].0 == Restart::Permanent
                    && !alive(&state.pids[before])
            });
            if missing {
                state
                    .wrong
                    .push(format!("{at} starts before those in front of it"));
            }
        }
    }

    async fn work(&self, at: usize, ends: Ends, mut cx: Context) {
        cx.trap_exit(!matches!(ends, Ends::AtOnce));
        loop {
            let message = cx.receive().await;
            if message.exit().is_none() {
                return;
            }
            {
                // Told to end: those behind have ended.
                let mut state = self.state.lock().unwrap();
                let behind = &state.pids[at + 1..];
                if behind.iter().flatten().any(|&pid| cx.vm().is_alive(pid)) {
                    state
                        .wrong
                        .push(format!("{at} is ended before those behind it"));
                }
            }
            match ends {
                Ends::Never => cx.sleep(Duration::MAX).await,
                _ => return cx.sleep(Duration::from_millis(below(4))).await,
            }
        }
    }

    /// A restart of the child at `at` is due: what follows from it.
    fn restarted(&self, at: usize, now_ns: u64) {
        let mut state = self.state.lock().unwrap();
        if state.gave_up {
            return;
        }
        let period_ns = PERIOD.as_nanos() as u64;
        while state
            .restarts
            .front()
            .is_some_and(|&then| now_ns - then > period_ns)
        {
            state.restarts.pop_front();
        }
        if state.restarts.len() == self.max_restarts {
            state.gave_up = true;
            drop(state);
            if let Some((above, at)) = &self.above {
                above.upgrade().expect("it is there").restarted(*at, now_ns);
            }
            return;
        }
        state.restarts.push_back(now_ns);
        let affected = match self.strategy {
            Strategy::OneForOne => at..at + 1,
            Strategy::RestForOne => at..self.children.len(),
            Strategy::OneForAll => 0..self.children.len(),
        };
        for other in affected {
            state.expected[other] = match self.children[other].0 {
                Restart::Temporary => Expected::Gone,
                _ => Expected::Running,
            };
        }
    }

    /// The child at `at` ended by itself.
    fn ended(&self, at: usize, normally: bool, now_ns: u64) {
        match self.children[at].0 {
            Restart::Temporary => self.state.lock().unwrap().expected[at] = Expected::Gone,
            Restart::Transient if normally => {
                self.state.lock().unwrap().expected[at] = Expected::Stopped;
            }
            _ => self.restarted(at, now_ns),
        }
    }

    /// All workers that run, with their places.
    fn workers(self: &Arc<Self>, into: &mut Vec<(Arc<Self>, usize, Pid)>) {
        let pids = self.state.lock().unwrap().pids.clone();
        let expected = self.state.lock().unwrap().expected.clone();
        for (at, (_, kind)) in self.children.iter().enumerate() {
            match (kind, pids[at]) {
                (Kind::Below(below), _) => below.workers(into),
                (Kind::Worker(_), Some(pid)) if expected[at] == Expected::Running => {
                    into.push((Arc::clone(self), at, pid));
                }
                _ => {}
            }
        }
    }

    /// What is there is what the model says. Gives the number of processes.
    fn look<'a>(
        &'a self,
        supervisor: Pid,
        cx: &'a mut Context,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<usize, String>> + Send + 'a>> {
        Box::pin(async move {
            let asked = SupervisorRef::from_pid(supervisor).which_children(cx).await;
            let listed = asked.map_err(|error| format!("{supervisor}: {error}"))?;
            let (expected, pids) = {
                let state = self.state.lock().unwrap();
                if let Some(wrong) = state.wrong.first() {
                    return Err(wrong.clone());
                }
                if state.gave_up {
                    return Err(format!("{supervisor} should have given up"));
                }
                (state.expected.clone(), state.pids.clone())
            };
            let mut listed = listed.iter();
            let mut processes = 1;
            for (at, expected) in expected.iter().enumerate() {
                if *expected == Expected::Gone {
                    continue;
                }
                let child = listed
                    .next()
                    .ok_or(format!("{at} of {supervisor} is not listed"))?;
                let is_there = child.pid.is_some_and(|pid| cx.vm().is_alive(pid));
                let as_told = match expected {
                    Expected::Running => is_there && child.pid == pids[at],
                    _ => child.pid.is_none(),
                };
                if !as_told || child.restarting {
                    return Err(format!(
                        "{at} of {supervisor} should be {expected:?}: {child:?}"
                    ));
                }
                processes += match (&self.children[at].1, child.pid) {
                    (Kind::Below(below), Some(pid)) => below.look(pid, cx).await?,
                    (Kind::Worker(_), Some(_)) => 1,
                    _ => 0,
                };
            }
            match listed.next() {
                Some(child) => Err(format!("{child:?} of {supervisor} should not be listed")),
                None => Ok(processes),
            }
        })
    }
}

async fn tree(mut cx: Context) -> Result<(), String> {
    cx.trap_exit(true);
    let top = Level::random(2, None);
    let pid = Arc::clone(&top)
        .start(&mut cx)
        .await
        .map_err(|error| error.to_string())?;
    for _ in 0..STEPS {
        if below(8) == 0 {
            cx.sleep(PAUSE).await;
        }
        let mut workers = Vec::new();
        top.workers(&mut workers);
        if workers.is_empty() {
            break;
        }
        let (level, at, victim) = workers.swap_remove(below(workers.len() as u64) as usize);
        let normally = below(3) == 0;
        level.ended(at, normally, cx.monotonic_time());
        if normally {
            cx.send(victim, "end").map_err(|error| error.to_string())?;
        } else {
            cx.exit_process(victim, ExitReason::kill());
        }
        cx.sleep(STEP).await;
        if top.state.lock().unwrap().gave_up {
            break;
        }
        let processes = top.look(pid, &mut cx).await?;
        let all = cx.vm().processes();
        if all.len() != processes + 1 {
            return Err(format!("{processes} in the tree, and {all:?}"));
        }
    }
    if !top.state.lock().unwrap().gave_up {
        SupervisorRef::from_pid(pid)
            .stop(&mut cx, ExitReason::shutdown(), LIMIT)
            .await
            .map_err(|error| error.to_string())?;
    }
    let exit = cx.receive_where(Timeout::After(LIMIT), |message| {
        message.exit().filter(|exit| exit.from == pid)
    });
    match exit.await {
        Some(exit) if exit.reason == ExitReason::shutdown() => {}
        other => return Err(format!("not shutdown: {other:?}")),
    }
    if let Some(wrong) = top.state.lock().unwrap().wrong.first() {
        return Err(wrong.clone());
    }
    match cx.vm().processes() {
        left if left == [cx.pid()] => Ok(()),
        left => Err(format!("left: {left:?}")),
    }
}

fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder()
        .max_processes(1_000)
        .simulate(simulation)
        .build()?;
    simulation.block_on(vm.run(tree))???;
    let report = simulation.block_on(vm.shutdown(LIMIT))?;
    assert!(report.is_orderly(), "{report:?}");
    Ok(())
}

#[test]
fn a_tree_is_as_its_model_says_after_each_step() {
    let seeds = Simulation::builder().explore(0..SEEDS, run);
    // One alone if the environment says so.
    if seeds.unwrap() < SEEDS {
        return;
    }
    for seed in (0..SEEDS).step_by(REPLAY_EACH) {
        Simulation::builder().replay(seed, run).unwrap();
    }
}
