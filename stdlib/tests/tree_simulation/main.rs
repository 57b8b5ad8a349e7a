//! Supervision trees of random shape in a simulation: several children are killed or end at once, supervisors are
//! killed while they restart, starts fail, ends are slow or stuck, children are added, ended and removed by calls. A
//! model says of each step what may be there then, and whether somebody gave up; the order of starts and ends is looked
//! at where it happens.

mod live;
mod model;
mod shape;
mod step;

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use live::{Live, PERIOD, Wrong};
use model::{End, Node, World};
use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, ExitReason, Pid, Timeout, Vm};
use shape::{Shape, below};
use step::Step;

const SEEDS: u64 = 4_000;
const REPLAY_EACH: usize = 200;
const STEPS: u64 = 16;
/// No restart before it counts after it.
const PAUSE: Duration = PERIOD.saturating_mul(2);
const LIMIT: Duration = Duration::from_secs(600);

/// A first start in which a child fails leaves nothing behind.
async fn failed_start(shape: &Arc<Shape>, wrong: &Wrong, cx: &mut Context) -> Result<(), String> {
    if shape.first().next().is_none() {
        return Ok(());
    }
    let Err(error) = Live::start(shape, wrong, true, cx).await else {
        return Err("it started without its child".to_owned());
    };
    let text = error.to_string();
    if !text.contains("failed_to_start_child") {
        return Err(format!("not why it failed: {text}"));
    }
    alone(cx)
}

fn alone(cx: &Context) -> Result<(), String> {
    match cx.vm().processes() {
        left if left == [cx.pid()] => Ok(()),
        left => Err(format!("left: {left:?}")),
    }
}

async fn tree(mut cx: Context) -> Result<(), String> {
    cx.trap_exit(true);
    let (shape, wrong) = (Shape::random(), Wrong::default());
    if below(4) == 0 {
        failed_start(&shape, &wrong, &mut cx).await?;
    }
    let top = Live::start(&shape, &wrong, false, &mut cx).await;
    let top = top.map_err(|error| error.to_string())?;
    let mut worlds = HashSet::from([World::new(&shape)]);
    let mut steps = Step::fill(&Node::new(&shape), &shape);
    for _ in 0..STEPS + steps.len() as u64 {
        let pause = below(4) == 0;
        if pause {
            cx.sleep(PAUSE).await;
        }
        let first = worlds.iter().next().expect("there is one");
        let first = first.top.as_ref().expect("it runs");
        let step = steps.pop().unwrap_or_else(|| Step::random(first, &shape));
        let mut may = HashSet::new();
        for mut world in std::mem::take(&mut worlds) {
            world.answer = None;
            let node = world.top.as_mut().expect("it runs");
            if pause {
                node.forget_restarts();
            }
            for (path, id, which) in &step.failures {
                node.at(path).expect("all look the same").fails[*id] = *which;
            }
            may.extend(world.outcomes(&shape, &step.all));
        }
        let answer = step.happens(&top, &mut cx).await;
        let what = format!("{:?}, {:?} -> {answer:?}", step.failures, step.all);
        if let Some(wrong) = wrong.lock().unwrap().first() {
            return Err(format!("{wrong}: {what}"));
        }
        may.retain(|world| world.answer == answer);
        if !cx.vm().is_alive(top.pid()) {
            return ended(may, top.pid(), &mut cx)
                .await
                .map_err(|error| format!("{error}: {what}"));
        }
        let seen = top.see(&mut cx).await?;
        let is_seen = |node: &Node| node.seen(&shape) == seen;
        let (now, not): (HashSet<_>, HashSet<_>) = may
            .into_iter()
            .partition(|world| world.top.as_ref().is_ok_and(is_seen));
        worlds = now;
        let Some(Ok(node)) = worlds.iter().next().map(|world| &world.top) else {
            return Err(format!("{what}\n{seen:?}\nis none of\n{not:?}\n{shape:?}"));
        };
        let all = cx.vm().processes();
        if all.len() != node.processes() + 1 {
            return Err(format!(
                "{what}: {} in the tree, and {all:?}",
                node.processes()
            ));
        }
    }
    SupervisorRef::from_pid(top.pid())
        .stop(&mut cx, ExitReason::shutdown(), LIMIT)
        .await
        .map_err(|error| error.to_string())?;
    let end = World {
        top: Err(End::Shutdown),
        answer: None,
    };
    ended(HashSet::from([end]), top.pid(), &mut cx).await?;
    match wrong.lock().unwrap().first() {
        Some(wrong) => Err(wrong.clone()),
        None => Ok(()),
    }
}

/// The top ended, as one of the worlds says, and took all along.
async fn ended(may: HashSet<World>, top: Pid, cx: &mut Context) -> Result<(), String> {
    let exit = cx.receive_where(Timeout::After(LIMIT), |message| {
        message.exit().filter(|exit| exit.from == top)
    });
    let exit = exit.await.ok_or("no EXIT")?;
    let end = match exit.reason {
        reason if reason == ExitReason::shutdown() => End::Shutdown,
        reason if reason == ExitReason::killed() => End::Killed,
        other => return Err(format!("{other}")),
    };
    if !may.iter().any(|world| world.top == Err(end)) {
        return Err(format!("it ended with {end:?}, and not as one of {may:?}"));
    }
    alone(cx)
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
    if seeds.unwrap_or_else(|failure| panic!("{failure}")) < SEEDS {
        return;
    }
    for seed in (0..SEEDS).step_by(REPLAY_EACH) {
        Simulation::builder().replay(seed, run).unwrap();
    }
}
