//! A supervision tree in a simulation: whoever is killed, and whenever, the tree is whole again, and nobody is left at
//! the end.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{Atom, Context, ExitReason, Pid, Vm, random};

const SEEDS: u64 = 500;
const REPLAY_EACH: usize = 20;
const KILLS: u64 = 20;

/// More than all kills together: the tree never gives up.
const INTENSITY: u32 = 10_000;
const PERIOD: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(5);

/// Which start each child's last one was, counted over all.
type Starts = Arc<Mutex<(u64, BTreeMap<&'static str, u64>)>>;

fn child(name: &'static str, starts: &Starts) -> ChildSpec {
    let starts = Arc::clone(starts);
    // Not `ChildSpec::process`: the body runs some time after its start.
    ChildSpec::new(name, move |cx| {
        let mut starts = starts.lock().unwrap();
        starts.0 += 1;
        let number = starts.0;
        starts.1.insert(name, number);
        let started = cx.spawn_link(|mut cx| async move {
            loop {
                cx.receive().await;
            }
        });
        Box::pin(std::future::ready(Ok(started.unwrap())))
    })
}

/// Children with an order among them, below a supervisor of their own, and one that comes and goes.
fn children(flags: SupervisorFlags, starts: &Starts) -> Vec<ChildSpec> {
    let below = Arc::clone(starts);
    vec![
        child("first", starts),
        ChildSpec::supervisor("pair", move |cx| {
            let pair = vec![child("left", &below), child("right", &below)];
            Supervisor::start_link(cx, flags.clone(), pair)
        }),
        ChildSpec::supervisor("sessions", |cx| {
            let flags = DynamicSupervisorFlags::new().intensity(INTENSITY, PERIOD);
            DynamicSupervisor::start_link(cx, flags).name("sessions")
        }),
        child("last", starts),
    ]
}

async fn tree(mut cx: Context) -> Result<(), String> {
    cx.trap_exit(true);
    let ordered = random() % 3;
    let flags = match ordered {
        0 => SupervisorFlags::one_for_one(),
        1 => SupervisorFlags::rest_for_one(),
        _ => SupervisorFlags::one_for_all(),
    };
    let flags = flags.intensity(INTENSITY, PERIOD);
    let starts = Starts::default();
    let top = Supervisor::start_link(&mut cx, flags.clone(), children(flags, &starts))
        .name("top")
        .await
        .map_err(|error| error.to_string())?;
    let spared = [Some(cx.pid()), cx.whereis("top")];
    for _ in 0..KILLS {
        let victims: Vec<Pid> = cx.vm().processes();
        let victim = victims[(random() % victims.len() as u64) as usize];
        let reason = match random() % 3 {
            0 => ExitReason::kill(),
            1 => ExitReason::shutdown(),
            _ => ExitReason::from(Atom::new("oops").unwrap()),
        };
        if !spared.contains(&Some(victim)) {
            cx.exit_process(victim, reason);
        }
        cx.sleep(Duration::from_micros(random() % 20)).await;
    }
    cx.sleep(Duration::from_secs(1)).await;
    let whole = top
        .which_children(&mut cx)
        .await
        .map_err(|error| error.to_string())?;
    let living = whole.iter().filter_map(|child| child.pid);
    let living = living.filter(|&pid| cx.vm().is_alive(pid)).count();
    if living != 4 {
        return Err(format!("{living} of 4 children live: {whole:?}"));
    }
    let starts = starts.lock().unwrap().1.clone();
    let in_order = [["first", "last"], ["left", "right"]]
        .iter()
        .all(|[before, after]| starts[before] < starts[after]);
    if ordered > 0 && !in_order {
        return Err(format!("started out of order: {starts:?}"));
    }
    // The root, the top, four below it, and the pair.
    let processes = cx.vm().processes();
    if processes.len() != 8 {
        return Err(format!("not 8 processes: {processes:?}"));
    }
    top.stop(&mut cx, ExitReason::shutdown(), LIMIT)
        .await
        .map_err(|error| error.to_string())?;
    match cx.vm().processes() {
        left if left == [cx.pid()] => Ok(()),
        left => Err(format!("left: {left:?}")),
    }
}

fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder()
        .max_processes(100)
        .simulate(simulation)
        .build()?;
    simulation.block_on(vm.run(tree))???;
    let report = simulation.block_on(vm.shutdown(LIMIT))?;
    assert!(report.is_orderly(), "{report:?}");
    Ok(())
}

#[test]
fn a_tree_is_whole_again_whoever_is_killed() {
    let seeds = Simulation::builder().explore(0..SEEDS, run);
    // One alone if the environment says so.
    if seeds.unwrap() < SEEDS {
        return;
    }
    for seed in (0..SEEDS).step_by(REPLAY_EACH) {
        let trace = Simulation::builder().replay(seed, run).unwrap();
        assert!(trace.len() > 100, "{trace}");
    }
}

#[test]
fn children_without_order_are_shut_down_in_one_that_the_seed_decides() {
    let order_of = |seed: u64| {
        let mut simulation = Simulation::new(seed).unwrap();
        let vm = Vm::builder().simulate(&simulation).build().unwrap();
        let ended = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&ended);
        let run = vm.run(async move |mut cx: Context| {
            cx.trap_exit(true);
            let flags = DynamicSupervisorFlags::new();
            let sessions = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
            for number in 0..10 {
                let told = Arc::clone(&told);
                let session = ChildSpec::process_once("session", async move |mut cx: Context| {
                    cx.trap_exit(true);
                    cx.receive().await;
                    told.lock().unwrap().push(number);
                });
                sessions.start_child(&mut cx, session).await.unwrap();
            }
            sessions
                .stop(&mut cx, ExitReason::shutdown(), LIMIT)
                .await
                .unwrap();
        });
        simulation.block_on(run).unwrap().unwrap();
        drop(simulation.block_on(vm.shutdown(LIMIT)).unwrap());
        let ended = ended.lock().unwrap().clone();
        (ended, simulation.trace().clone())
    };
    let (one, again, other) = (order_of(1), order_of(1), order_of(2));
    assert_eq!(one, again);
    assert_eq!(one.0.len(), 10);
    assert_ne!(one.0, other.0);
}
