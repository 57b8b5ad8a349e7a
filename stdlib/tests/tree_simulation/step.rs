//! What happens to a tree in a step: ends, failing starts, calls.

use std::sync::Arc;
use std::time::Duration;

use otp_vm::{Context, ExitReason, Pid};

use super::live::Live;
use super::model::{Answer, Call, End, Node, Path, State, What};
use super::shape::{Shape, Strategy, below, one_of};

/// The most that ends at once.
const AT_ONCE: u64 = 3;
/// Of so many starts, each fails or not.
const FAILURES: u64 = 3;
/// Longer than all that follows from what happens in a step; all steps are within the period.
const STEP: Duration = Duration::from_secs(2);

/// Paths of the workers that run, and of the supervisors.
fn processes(node: &Node, path: &Path, workers: &mut Vec<Path>, supervisors: &mut Vec<Path>) {
    supervisors.push(path.clone());
    for kid in &node.kids {
        let mut path = path.clone();
        path.push((kid.id, kid.born));
        match &kid.state {
            State::Worker => workers.push(path),
            State::Below(node) => processes(node, &path, workers, supervisors),
            State::Restarting | State::Stopped => {}
        }
    }
}

/// The supervisor at the end of a path.
fn level<'a>(top: &'a Shape, path: &Path) -> &'a Shape {
    path.iter().fold(top, |level, &(id, _)| {
        level.below(id).expect("a supervisor")
    })
}

/// What happens in a step, chosen from one of the worlds that may be.
pub struct Step {
    /// Starts that will fail: of which supervisor, which child, and which of the next.
    pub failures: Vec<(Path, usize, u32)>,
    pub all: Vec<(Path, What)>,
}

impl Step {
    /// One call each to start the children that dynamic supervisors may have.
    pub fn fill(top: &Node, shape: &Shape) -> Vec<Self> {
        let mut supervisors = vec![];
        processes(top, &vec![], &mut vec![], &mut supervisors);
        let dynamic = |path: &Path| {
            let level = level(shape, path);
            let children = match level.strategy {
                Strategy::Dynamic => level.children.len(),
                _ => 0,
            };
            let path = path.clone();
            (0..children).map(move |id| Self {
                failures: vec![],
                all: vec![(path.clone(), What::Call(Call::Start, id, 0))],
            })
        };
        supervisors.iter().flat_map(dynamic).collect()
    }

    pub fn random(top: &Node, shape: &Shape) -> Self {
        let (mut workers, mut supervisors) = (vec![], vec![]);
        processes(top, &vec![], &mut workers, &mut supervisors);
        let of = |path: &Path| {
            let node = top.clone().at(path).expect("it runs").clone();
            (level(shape, path), node)
        };
        let any = |paths: &[Path]| paths[below(paths.len() as u64) as usize].clone();
        let mut all: Vec<(Path, What)> = vec![];
        // A call may be all of it.
        let call = below(2) == 0;
        for _ in 0..u64::from(!call) + below(AT_ONCE + u64::from(call)) {
            let supervisor = below(6) == 0;
            let (path, end) = match () {
                () if supervisor => (any(&supervisors), End::Killed),
                () if workers.is_empty() => continue,
                () => (any(&workers), one_of(&[End::Normal, End::Killed])),
            };
            let known = all.iter().any(|(other, _)| *other == path);
            // The top is killed rarely: that is the end of it.
            if !known && (!path.is_empty() || below(8) == 0) {
                all.push((path, What::Ends(end)));
            }
        }
        // Where something ends, or anywhere.
        let somewhere = || match all.get(below(2 * AT_ONCE) as usize) {
            Some((path, _)) if !path.is_empty() => path[..path.len() - 1].to_vec(),
            _ => any(&supervisors),
        };
        let mut failures: Vec<(Path, usize, u32)> = vec![];
        for _ in 0..below(4) {
            let path = match failures.last() {
                Some((path, ..)) if below(2) == 0 => path.clone(),
                _ => somewhere(),
            };
            let ended = all.iter().filter_map(|(other, _)| other.split_last());
            let mut ended = ended
                .filter(|(_, above)| *above == path)
                .map(|(last, _)| last.0);
            let id = match ended.next_back() {
                Some(id) if below(3) > 0 => id,
                _ => below(of(&path).0.children.len() as u64) as usize,
            };
            failures.push((path, id, 1 + below((1 << FAILURES) - 1) as u32));
        }
        if call {
            let dynamic = supervisors
                .iter()
                .filter(|path| of(path).0.strategy == Strategy::Dynamic);
            let dynamic: Vec<_> = dynamic.collect();
            let fails = failures.last().filter(|_| below(3) > 0);
            let path = match fails {
                Some((path, ..)) => path.clone(),
                None if !dynamic.is_empty() && below(2) == 0 => one_of(&dynamic).clone(),
                None => somewhere(),
            };
            let (level, node) = of(&path);
            let id = match fails {
                Some(&(_, id, _)) => id,
                None => below(level.children.len() as u64) as usize,
            };
            let listed = node.kids.iter().find(|kid| kid.id == id);
            let call = match (level.strategy, listed.map(|kid| &kid.state)) {
                (Strategy::Dynamic, None) => Call::Start,
                // To start it would be to start a second one with this id.
                (Strategy::Dynamic, Some(_)) => Call::Terminate,
                (_, None) if below(2) == 0 => Call::Start,
                (_, Some(State::Stopped)) if below(2) == 0 => Call::Restart,
                // While it waits to be tried again, perhaps.
                _ if fails.is_some() && below(2) == 0 => Call::Terminate,
                _ => one_of(&[Call::Start, Call::Restart, Call::Terminate, Call::Delete]),
            };
            let born = listed.map_or(0, |kid| kid.born);
            // Behind all others: it waits for its answer.
            all.push((path, What::Call(call, id, born)));
        }
        Self { failures, all }
    }

    /// Has all of it happen, some of it a little later.
    pub async fn happens(&self, top: &Arc<Live>, cx: &mut Context) -> Option<Answer> {
        for (path, id, which) in &self.failures {
            top.at(path).fail(*id, *which);
        }
        let process = |path: &Path| match path.split_last() {
            None => top.pid(),
            Some((&(id, _), above)) => top.at(above).child(id).expect("it runs"),
        };
        // As they are before any of it: a restarted child is another.
        let targets: Vec<(Option<Pid>, Arc<Live>)> = self
            .all
            .iter()
            .map(|(path, what)| match what {
                What::Ends(_) => (Some(process(path)), Arc::clone(top)),
                What::Call(_, id, _) => (top.at(path).child(*id), top.at(path)),
                What::Again => unreachable!("it is the supervisor's own"),
            })
            .collect();
        let mut answer = None;
        for ((pid, live), (_, what)) in targets.into_iter().zip(&self.all) {
            if below(2) == 0 {
                cx.sleep(Duration::from_millis(below(12))).await;
            }
            let target = pid.unwrap_or(cx.pid());
            match *what {
                What::Ends(End::Killed) => cx.exit_process(target, ExitReason::kill()),
                What::Ends(_) => cx.send(target, "end").expect("a term"),
                What::Call(call, id, _) => {
                    answer = Some(Arc::clone(&live).call(call, id, target, cx).await);
                    cx.sleep(STEP).await;
                    live.forget_by_hand();
                }
                What::Again => unreachable!("it is the supervisor's own"),
            }
        }
        cx.sleep(STEP).await;
        answer
    }
}
