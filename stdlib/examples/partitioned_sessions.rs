//! Sessions as in `sessions.rs`, by the million: one dynamic supervisor starts its children one after the other, and so
//! is where all wait who start one. A partition supervisor has several of them, and a key leads to one.
//!
//! Elixir's `{PartitionSupervisor, child_spec: DynamicSupervisor, name: MyApp.Sessions}`, with children started under
//! `{:via, PartitionSupervisor, {MyApp.Sessions, user_id}}`, and named by a `Registry`.
//!
//! `cargo run -p otp-stdlib --example partitioned_sessions`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::ChildError;
use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, ExitReason, Vm};

const PARTITIONS: usize = 4;
const USERS: u64 = 100;

/// What one session's start takes: it looks something up, say.
const START: Duration = Duration::from_millis(100);

struct Session {
    user: u64,
}

#[gen_server]
impl Session {
    async fn init(user: u64, cx: &mut Context) -> Init<Self> {
        cx.sleep(START).await;
        Init::ok(Session { user })
    }

    #[call]
    fn user(&self) -> u64 {
        self.user
    }
}

/// Whatever may go wrong on the way.
type Failure = Box<dyn Error + Send + Sync>;

fn tree() -> Vec<ChildSpec> {
    let flags = PartitionFlags::new().partitions(PARTITIONS);
    let partition = |_number| DynamicSupervisor::child_spec(DynamicSupervisorFlags::new());
    vec![
        // Looking a name up reads a table, so one registry is enough for all partitions.
        ChildSpec::worker("names", |cx| Registry::<u64>::child(cx, "session_names")),
        PartitionSupervisor::<DynamicSupervisor>::child_spec("sessions", flags, partition),
    ]
}

/// The supervisor of a user's session: always the same one for a user, as long as there are as many.
fn supervisor(cx: &Context, user: u64) -> Result<DynamicSupervisorRef, Failure> {
    let sessions = PartitionSupervisor::<DynamicSupervisor>::named("sessions")?;
    Ok(sessions.server(cx, &user).ok_or("no partitions")?)
}

async fn find_or_start(cx: &mut Context, user: u64) -> Result<ServerRef<Session>, Failure> {
    let names = Registry::<u64>::named("session_names")?;
    let session = ServerRef::via(&names, &user)?;
    if session.whereis(cx).is_some() {
        return Ok(session);
    }
    let child = ChildSpec::worker("session", move |cx| {
        Session::start_link(cx, user).via(&names, &user)
    });
    match supervisor(cx, user)?.start_child(cx, child).await {
        Ok(_) | Err(ChildError::Start(StartError::AlreadyStarted(_))) => Ok(session),
        Err(error) => Err(error.into()),
    }
}

async fn use_them(mut cx: Context) -> Result<(), Failure> {
    let cx = &mut cx;
    Supervisor::start_link(cx, SupervisorFlags::rest_for_one(), tree()).await?;
    let sessions = PartitionSupervisor::<DynamicSupervisor>::named("sessions")?;
    let names = Registry::<u64>::named("session_names")?;

    // All users come at once.
    let begun = cx.monotonic_time();
    let mut starts = Vec::new();
    for user in 0..USERS {
        starts.push(Task::async_(cx, async move |mut cx: Context| {
            let session = find_or_start(&mut cx, user).await.expect("a session");
            session.user(&mut cx).await
        })?);
    }
    let answers = Task::await_many(cx, starts).await;
    let users = answers.into_iter().collect::<Result<Vec<u64>, _>>()?;
    assert_eq!(users, (0..USERS).collect::<Vec<_>>());
    let took = Duration::from_nanos(cx.monotonic_time() - begun);
    println!("{USERS} sessions in {:.1} s", took.as_secs_f32());
    // One supervisor would have taken 10 seconds. Numbers are dealt out in turn, so each partition has a quarter of
    // them.
    assert!((2.5..3.0).contains(&took.as_secs_f32()), "{took:?}");
    assert_eq!(names.count(cx), USERS as usize);

    let mut each = Vec::new();
    for user in 0..PARTITIONS as u64 {
        let partition = supervisor(cx, user)?;
        each.push(partition.count_children(cx).await?.active);
    }
    println!("in each partition: {each:?}");
    assert_eq!(each, [25; PARTITIONS]);

    // A partition that fails takes its sessions along, and their names. The other partitions have not noticed.
    let failing = sessions.whereis(cx, &1).ok_or("no partition")?;
    let monitor = cx.monitor(failing);
    let last = ServerRef::<Session>::via(&names, &97)?
        .whereis(cx)
        .ok_or("no session")?;
    let monitors = [monitor, cx.monitor(last)];
    cx.exit_process(failing, ExitReason::kill());
    for monitor in monitors {
        cx.await_down(monitor).await;
    }
    // It is started again, empty, and the same users belong to it.
    while sessions.whereis(cx, &1).is_none_or(|pid| pid == failing) {
        cx.yield_now().await;
    }
    for user in [0, 2, 3, 98] {
        let session = ServerRef::<Session>::via(&names, &user)?;
        assert_eq!(session.user(cx).await?, user);
    }
    assert_eq!(ServerRef::<Session>::via(&names, &97)?.whereis(cx), None);
    let session = find_or_start(cx, 97).await?;
    assert_eq!(session.user(cx).await?, 97);
    let partition = supervisor(cx, 97)?;
    assert_eq!(partition.count_children(cx).await?.active, 1);
    Ok(())
}

/// In a simulation, where seconds pass at once, and who is first is another in each order.
fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    let used = simulation.block_on(vm.run(use_them))??;
    used.map_err(|error| error as Box<dyn Error>)?;
    simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut Simulation::new(1)?)
}

#[test]
fn holds_in_every_order() {
    let explored = Simulation::builder().explore(0..20, run);
    assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 20);
}
