//! Kills of anybody at any time, by seeds: while a process starts what each behaviour has, uses it and stops it. Every
//! wait ends, nobody is left, and no name.

use std::pin::Pin;
use std::time::Duration;

use otp_stdlib::application::{
    self, ApplicationSpec, CONTROLLER, Controller, ControllerOptions, StartType,
};
use otp_stdlib::gen_event::{Handler, Install, Terminate};
use otp_stdlib::gen_server::From;
use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor_bridge::{self, Bridged, SupervisorBridge};
use otp_stdlib::{StartError, gen_event, gen_statem, sys};
use otp_vm::{Context, ExitReason, OwnedTerm, Pid, SuspendOptions, Term, Timeout, atoms, random};

use crate::common::{down, for_ever};
use crate::simulated::simulated;

/// How often each is tried in a simulation. Chosen by feel: all of it takes a second or two.
const TRIES: u64 = 25;
/// Longest that anybody waits by himself: a task for whom it works for.
const LIMIT: Duration = Duration::from_secs(60);

/// Lets others run, for a time that the seed says.
async fn dawdle(cx: &Context) {
    for _ in 0..random() % 4 {
        cx.yield_now().await;
    }
}

/// A server that dawdles in each callback.
struct Server;

impl GenServer for Server {
    type Args = ();
    type Call = ();
    type Reply = ();
    type Cast = ();
    type Info = NoMessage;
    type Continue = ();

    async fn init((): (), cx: &mut Context) -> Init<Self> {
        cx.trap_exit(random().is_multiple_of(2));
        dawdle(cx).await;
        Init::ok(Self).and_continue(())
    }

    async fn handle_continue(&mut self, (): (), cx: &mut Context) -> NoReply<Self> {
        dawdle(cx).await;
        NoReply::new()
    }

    async fn handle_call(&mut self, (): (), _: From<()>, cx: &mut Context) -> Reply<Self> {
        dawdle(cx).await;
        Reply::new(())
    }

    async fn handle_cast(&mut self, (): (), cx: &mut Context) -> NoReply<Self> {
        dawdle(cx).await;
        NoReply::new().hibernate()
    }

    async fn terminate(&mut self, _: &ExitReason, cx: &mut Context) {
        dawdle(cx).await;
    }
}

/// A machine that postpones each call once.
struct Machine;

impl GenStatem for Machine {
    type Args = ();
    type State = bool;
    type Call = ();
    type Reply = ();
    type Cast = ();
    type Info = NoMessage;
    type Internal = ();
    type Timeout = ();
    type TimeoutName = ();

    async fn init((): (), cx: &mut Context) -> gen_statem::Init<Self> {
        cx.trap_exit(random().is_multiple_of(2));
        dawdle(cx).await;
        gen_statem::Init::ok(false, Self)
    }

    async fn state_enter(
        &mut self,
        _: &bool,
        _: &bool,
        cx: &mut Context,
    ) -> gen_statem::Enter<Self> {
        dawdle(cx).await;
        gen_statem::Enter::keep_state()
    }

    async fn handle_event(
        &mut self,
        state: &bool,
        event: gen_statem::Event<Self>,
        cx: &mut Context,
    ) -> gen_statem::Transition<Self> {
        use gen_statem::{Event, Transition};
        dawdle(cx).await;
        match event {
            Event::Call(from, ()) if *state => Transition::next_state(false).reply(from, ()),
            Event::Call(..) => Transition::keep_state()
                .postpone()
                .state_timeout(Duration::from_nanos(10), ()),
            Event::StateTimeout(()) => Transition::next_state(true),
            _ => Transition::keep_state().hibernate(),
        }
    }

    async fn terminate(&mut self, _: &ExitReason, _: &bool, cx: &mut Context) {
        dawdle(cx).await;
    }
}

/// A handler that dawdles in each callback.
struct Dawdler;

impl EventHandler for Dawdler {
    type Event = u8;
    type Args = ();
    type Call = ();
    type Reply = ();
    type Info = OwnedTerm;

    async fn init((): (), cx: &mut Context) -> gen_event::Init<Self> {
        dawdle(cx).await;
        gen_event::Init::ok(Self)
    }

    async fn handle_event(&mut self, _: &u8, cx: &mut Context) -> gen_event::Next<u8> {
        dawdle(cx).await;
        gen_event::Next::hibernate()
    }

    async fn handle_call(&mut self, (): (), cx: &mut Context) -> gen_event::Answer<(), u8> {
        dawdle(cx).await;
        gen_event::Answer::new(())
    }

    async fn handle_info(&mut self, _: OwnedTerm, _: &mut Context) -> gen_event::Next<u8> {
        gen_event::Next::ok()
    }

    async fn terminate(&mut self, _: Terminate<'_>, cx: &mut Context) -> OwnedTerm {
        dawdle(cx).await;
        atoms::OK.into()
    }
}

/// A bridge to a server.
struct Bridging(Pid);

impl SupervisorBridge for Bridging {
    type Args = ();

    async fn init((): (), cx: &mut Context) -> Bridged<Self> {
        match Server::start_link(cx, ()).await {
            Ok(server) => {
                let pid = server.pid().expect("a pid");
                Bridged::Ok(pid, Self(pid))
            }
            Err(error) => Bridged::Error(error.into()),
        }
    }

    async fn terminate(&mut self, _: &ExitReason, cx: &mut Context) {
        let server = ServerRef::<Server>::from_pid(self.0);
        let _ = server.stop(cx, ExitReason::shutdown(), LIMIT).await;
    }
}

/// An application that dawdles in each callback.
struct Dawdling;

impl Application for Dawdling {
    type Args = ();

    async fn start(_: StartType, (): (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
        dawdle(cx).await;
        let flags = SupervisorFlags::one_for_one().intensity(3, Duration::from_secs(5));
        let tree = Supervisor::start_link(cx, flags, children()).name("a tree");
        let top = application::tree(tree.await)?;
        // It belongs to the application, and to nobody else. A start that fails would leave it, as in OTP.
        cx.spawn(async |mut cx: Context| for_ever(&mut cx).await)?;
        dawdle(cx).await;
        Ok((top, Self))
    }

    async fn start_phase(
        _: &str,
        _: StartType,
        _: Term<'_>,
        cx: &mut Context,
    ) -> Result<(), ExitReason> {
        dawdle(cx).await;
        Ok(())
    }

    async fn prep_stop(&mut self, cx: &mut Context) {
        dawdle(cx).await;
    }

    async fn stop(self, cx: &mut Context) {
        dawdle(cx).await;
    }
}

type Done<'a> = Pin<Box<dyn Future<Output = Result<(), StartError>> + Send + 'a>>;

/// Starts something under the name `named`, uses and stops it. Of all errors but those of the start it says nothing.
type StartUseStop = fn(&mut Context) -> Done<'_>;

const KINDS: [(&str, StartUseStop); 10] = [
    ("server", |cx| Box::pin(server(cx))),
    ("machine", |cx| Box::pin(machine(cx))),
    ("manager", |cx| Box::pin(manager(cx))),
    ("agent", |cx| Box::pin(agent(cx))),
    ("supervisor", |cx| Box::pin(supervisor(cx))),
    ("dynamic", |cx| Box::pin(dynamic(cx))),
    ("partitions", |cx| Box::pin(partitions(cx))),
    ("tasks", |cx| Box::pin(tasks(cx))),
    ("bridge", |cx| Box::pin(bridge(cx))),
    ("application", |cx| Box::pin(application(cx))),
];

async fn looked_at(cx: &mut Context, pid: Option<Pid>) {
    let Some(pid) = pid else { return };
    let _ = sys::suspend(pid).timeout(LIMIT).call(cx).await;
    let _ = sys::log(pid, true).timeout(LIMIT).call(cx).await;
    let _ = sys::get_status(pid).timeout(LIMIT).call(cx).await;
    let _ = sys::resume(pid).timeout(LIMIT).call(cx).await;
}

async fn server(cx: &mut Context) -> Result<(), StartError> {
    let server = Server::start_link(cx, ()).name("named").await?;
    let _ = server.cast(cx, ());
    let _ = server.call_timeout(cx, (), Timeout::Infinity).await;
    looked_at(cx, server.pid()).await;
    let _ = server.call_timeout(cx, (), Timeout::Infinity).await;
    let _ = server
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    Ok(())
}

async fn machine(cx: &mut Context) -> Result<(), StartError> {
    let machine = Machine::start_link(cx, ()).name("named").await?;
    let _ = machine.cast(cx, ());
    let _ = machine.call(cx, ()).await;
    looked_at(cx, machine.pid()).await;
    let _ = machine.call(cx, ()).await;
    let _ = machine
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    Ok(())
}

async fn manager(cx: &mut Context) -> Result<(), StartError> {
    let manager = EventManager::<u8>::start_link(cx).name("named").await?;
    let (one, other) = (
        Handler::<Dawdler>::new(),
        Handler::<Dawdler>::with_id(&2).expect("an id"),
    );
    let _ = manager.add_sup_handler(cx, one.clone(), ()).await;
    let _ = manager.add_handler(cx, other.clone(), ()).await;
    let _ = manager.notify(cx, &1);
    let _ = manager.sync_notify(cx, &2).await;
    let with = Install::new(other.clone(), ());
    let _ = manager.swap_sup_handler(cx, (&other, &()), with).await;
    let _ = manager.call_timeout(cx, &one, (), Timeout::Infinity).await;
    looked_at(cx, manager.pid()).await;
    let _ = manager.delete_handler(cx, &one, &()).await;
    let _ = manager
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    Ok(())
}

async fn agent(cx: &mut Context) -> Result<(), StartError> {
    let agent = Agent::start_link(cx, || 0_u64).name("named").await?;
    let _ = agent.cast(cx, |count| *count += 1);
    let infinity = Timeout::Infinity;
    let _ = agent
        .update_timeout(cx, infinity, |count| *count += 1)
        .await;
    looked_at(cx, agent.whereis(cx)).await;
    let _ = agent.get_timeout(cx, infinity, |count| *count).await;
    let _ = agent.stop(cx, ExitReason::normal(), infinity).await;
    Ok(())
}

fn children() -> Vec<ChildSpec> {
    vec![
        ChildSpec::worker("server", |cx| Server::start_link(cx, ()).name("a server")),
        ChildSpec::worker("machine", |cx| Server::start_link(cx, ())),
        EventManager::<u8>::child_spec("a manager"),
        Agent::child_spec(|| 7_u8),
    ]
}

async fn supervisor(cx: &mut Context) -> Result<(), StartError> {
    let flags = SupervisorFlags::one_for_all().intensity(3, Duration::from_secs(5));
    let tree = Supervisor::start_link(cx, flags, children())
        .name("named")
        .await?;
    let more = ChildSpec::worker("more", |cx| Server::start_link(cx, ()).name("more"));
    let _ = tree.start_child(cx, more).await;
    let _ = tree.terminate_child(cx, "more").await;
    let _ = tree.restart_child(cx, "more").await;
    let _ = tree.count_children(cx).await;
    looked_at(cx, tree.pid()).await;
    let _ = tree.terminate_child(cx, "more").await;
    let _ = tree.delete_child(cx, "more").await;
    let _ = tree.stop(cx, ExitReason::normal(), Timeout::Infinity).await;
    Ok(())
}

async fn dynamic(cx: &mut Context) -> Result<(), StartError> {
    let flags = DynamicSupervisorFlags::new().max_children(3);
    let sessions = DynamicSupervisor::start_link(cx, flags)
        .name("named")
        .await?;
    for child in children() {
        if let Ok(child) = sessions.start_child(cx, child).await {
            let _ = sessions.count_children(cx).await;
            let _ = sessions.terminate_child(cx, child).await;
        }
    }
    for child in children() {
        let _ = sessions.start_child(cx, child).await;
    }
    looked_at(cx, sessions.pid()).await;
    let _ = sessions
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    Ok(())
}

async fn partitions(cx: &mut Context) -> Result<(), StartError> {
    let flags = PartitionFlags::new().partitions(3);
    let servers = PartitionSupervisor::<Server>::start_link(cx, "named", flags, |_| {
        ChildSpec::worker("", |cx| Server::start_link(cx, ()))
    });
    let servers = servers.await?;
    if let Some(server) = servers.server(cx, &7) {
        let _ = server.call_timeout(cx, (), Timeout::Infinity).await;
    }
    let _ = servers.resize(cx, 1).await;
    let _ = servers.resize(cx, 3).await;
    looked_at(cx, cx.whereis("named")).await;
    let _ = servers
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    Ok(())
}

async fn tasks(cx: &mut Context) -> Result<(), StartError> {
    let flags = DynamicSupervisorFlags::new();
    let supervisor = TaskSupervisor::start_link(cx, flags).name("named").await?;
    let work = |cx: Context| async move {
        dawdle(&cx).await;
        7
    };
    if let Ok(mut task) = TaskSupervisor::async_nolink(&supervisor, cx, work).await {
        let _ = task.yield_(cx, Timeout::Infinity).await;
    }
    if let Ok(task) = TaskSupervisor::async_(&supervisor, cx, work).await {
        let _ = task.shutdown(cx, Shutdown::Infinity).await;
    }
    if let Ok(task) = TaskSupervisor::async_nolink(&supervisor, cx, work).await {
        let _ = task.ignore(cx).await;
    }
    let alone = |cx: Context| async move { dawdle(&cx).await };
    let _ = TaskSupervisor::start_child(&supervisor, cx, alone).await;
    let _ = supervisor
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    Ok(())
}

async fn bridge(cx: &mut Context) -> Result<(), StartError> {
    let bridge = supervisor_bridge::start_link::<Bridging>(cx, ())
        .name("named")
        .await?;
    looked_at(cx, bridge.pid()).await;
    let _ = bridge
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    Ok(())
}

async fn application(cx: &mut Context) -> Result<(), StartError> {
    let below = ApplicationSpec::new("below");
    let options = ControllerOptions::new().define(below);
    let controller = Controller::start_link(cx, options).await?;
    let app = ApplicationSpec::new("dawdling")
        .applications(["below"])
        .start_phase("one", &())
        .start_phase("two", &())
        .module::<Dawdling>(());
    let restart = [Restart::Temporary, Restart::Permanent][(random() % 2) as usize];
    let _ = application::ensure_all_started_as(cx, app, restart).await;
    if let Some(master) = application::get_master(cx, "dawdling") {
        let _ = application::get_child(cx, master).await;
    }
    looked_at(cx, controller.pid()).await;
    let _ = application::which_applications_timeout(cx, Timeout::Infinity).await;
    let _ = application::stop(cx, "dawdling").await;
    let _ = application::start(cx, "dawdling").await;
    let _ = application::unload(cx, "dawdling").await;
    let _ = controller
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    Ok(())
}

#[test]
fn whoever_is_killed_and_whenever_all_waits_end_and_nobody_is_left() {
    simulated(async |mut cx: Context| {
        for (kind, start_use_stop) in KINDS {
            for _ in 0..TRIES {
                attack(&mut cx, kind, start_use_stop).await;
            }
        }
    });
}

async fn attack(cx: &mut Context, kind: &'static str, start_use_stop: StartUseStop) {
    let traps = random().is_multiple_of(2);
    let (starter, monitor) = cx
        .spawn_monitor(async move |mut cx: Context| {
            cx.trap_exit(traps);
            let _ = start_use_stop(&mut cx).await;
        })
        .expect("a process");
    // Near the beginning more often than near the end.
    let most = [10, 40, 160][(random() % 3) as usize];
    for _ in 0..1 + random() % 2 {
        for _ in 0..random() % most {
            cx.yield_now().await;
        }
        let others = cx.vm().processes().into_iter();
        let others: Vec<Pid> = others.filter(|&pid| pid != cx.pid()).collect();
        if !others.is_empty() {
            let victim = others[(random() % others.len() as u64) as usize];
            cx.exit_process(victim, ExitReason::kill());
        }
    }
    let ended = cx.await_down_timeout(monitor, LIMIT).await;
    assert!(ended.is_some(), "{kind}: {starter} waits for ever");
    // Whoever is left ends by himself, the last one when he is not told to begin.
    let begun = cx.monotonic_time();
    while cx.vm().processes().len() > 1 {
        let waited = Duration::from_nanos(cx.monotonic_time() - begun);
        assert!(waited < LIMIT, "{kind}: left: {:?}", left(cx));
        cx.sleep(Duration::from_millis(100)).await;
    }
    for name in [
        "named",
        "a server",
        "a manager",
        "more",
        "a tree",
        CONTROLLER,
    ] {
        assert_eq!(cx.whereis(name), None, "{kind}: {name}");
    }
    assert_eq!(cx.message_queue_len(), 0, "{kind}");
}

#[test]
fn an_application_whose_two_own_processes_are_killed_leaves_nobody() {
    simulated(async |mut cx: Context| {
        for is_child_first in [true, false] {
            let controller = Controller::start_link(&mut cx, ControllerOptions::new());
            let controller = controller.await.unwrap();
            let app = ApplicationSpec::new("dawdling").module::<Dawdling>(());
            application::start(&mut cx, app).await.unwrap();
            let master = application::get_master(&cx, "dawdling").unwrap();
            let mut both = [child_of(&cx, master), master];
            if !is_child_first {
                both.reverse();
            }
            for pid in both {
                cx.exit_process(pid, ExitReason::kill());
                dawdle(&cx).await;
            }
            ended_all_but(&cx, 2).await;
            controller
                .stop(&mut cx, ExitReason::normal(), LIMIT)
                .await
                .unwrap();
        }
    });
}

/// An application of many processes, whose start does not end.
struct Crowd;

const CROWD: usize = 1000;

impl Application for Crowd {
    type Args = ();

    async fn start(_: StartType, (): (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
        for _ in 0..CROWD {
            cx.spawn(async |mut cx: Context| for_ever(&mut cx).await)?;
        }
        for_ever(cx).await;
        Err(StartError::Ignore)
    }
}

#[test]
fn a_controller_that_is_killed_while_it_ends_an_application_leaves_nobody() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let controller = Controller::start_link(&mut cx, ControllerOptions::new());
        let controller = controller.await.unwrap().pid().unwrap();
        cx.spawn(async |mut cx: Context| {
            let app = ApplicationSpec::new("crowd").module::<Crowd>(());
            assert!(application::start(&mut cx, app).await.is_err());
        })
        .unwrap();
        // This process, who waits for the start, the controller, and the application's own two.
        while cx.vm().processes().len() < CROWD + 5 {
            cx.sleep(Duration::from_millis(1)).await;
        }
        let master = application::get_master(&cx, "crowd").unwrap();
        let child = child_of(&cx, master);
        let ends = cx.monitor(child);
        cx.exit_process(master, ExitReason::kill());
        // The first of many.
        down(&mut cx, ends).await;
        cx.exit_process(controller, ExitReason::kill());
        ended_all_but(&cx, 1).await;
    });
}

/// The process of an application's callbacks.
fn child_of(cx: &Context, master: Pid) -> Pid {
    let mut processes = cx.vm().processes().into_iter();
    let child = processes.find(|&pid| {
        let info = cx.process_info(pid);
        info.is_some_and(|info| info.parent == Some(master))
    });
    child.expect("it runs")
}

/// Waits until no more than so many processes are left.
async fn ended_all_but(cx: &Context, most: usize) {
    let begun = cx.monotonic_time();
    while cx.vm().processes().len() > most {
        let waited = Duration::from_nanos(cx.monotonic_time() - begun);
        assert!(waited < LIMIT, "left: {:?}", left(cx));
        cx.sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_controller_that_ends_waits_for_an_application_whose_master_was_killed() {
    simulated(async |mut cx: Context| {
        let controller = Controller::start_link(&mut cx, ControllerOptions::new());
        let controller = controller.await.unwrap();
        let app = ApplicationSpec::new("dawdling").module::<Dawdling>(());
        application::start(&mut cx, app).await.unwrap();
        let master = application::get_master(&cx, "dawdling").unwrap();
        let child = child_of(&cx, master);
        // It looks at nothing, and does not end by itself.
        cx.suspend_process(child, SuspendOptions::new())
            .await
            .unwrap();
        cx.exit_process(master, ExitReason::kill());
        let (me, stopped) = (cx.pid(), cx.monitor(controller.pid().unwrap()));
        cx.spawn(async move |mut cx: Context| {
            // The controller knows of the master's end when it answers.
            while application::get_master(&cx, "dawdling").is_some() {
                cx.yield_now().await;
            }
            cx.send(me, "known").unwrap();
            let reason = ExitReason::normal();
            controller.stop(&mut cx, reason, LIMIT).await.unwrap();
        })
        .unwrap();
        cx.receive_as::<String>(LIMIT).await.unwrap();
        cx.sleep(Duration::from_secs(1)).await;
        cx.exit_process(child, ExitReason::kill());
        down(&mut cx, stopped).await;
        ended_all_but(&cx, 1).await;
    });
}

fn left(cx: &Context) -> Vec<String> {
    let processes = cx.vm().processes().into_iter();
    let infos = processes.filter_map(|pid| cx.process_info(pid));
    infos.map(|info| format!("{info:?}")).collect()
}
