//! Rubbish on each protocol: what a process does not know, it answers, reports or passes over, and goes on.

use std::time::Duration;

use otp_stdlib::application::{self, ApplicationSpec, Controller, ControllerOptions, StartType};
use otp_stdlib::gen_event::{self, Handler};
use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
use otp_stdlib::prelude::*;
use otp_stdlib::{StartError, gen_statem, sys};
use otp_vm::{Context, ExitReason, OwnedTerm, Pid};

use crate::common::{Do, Probe, ProbeArgs, for_ever};
use crate::simulated::simulated;

const LIMIT: Duration = Duration::from_secs(60);

/// Messages that nobody sends who knows what he does. `PID` is a living process, `REF` a reference.
const RUBBISH: &[&str] = &[
    "[]",
    "{}",
    "a_word",
    "timeout",
    "3.5",
    "{PID,REF}",
    "{REF,reply}",
    "{'DOWN',REF,process,PID,nothing}",
    "{'DOWN',REF}",
    "{'EXIT',PID}",
    "{'EXIT',PID,{a,reason}}",
    "{'EXIT',nobody,reason}",
    "{timeout,REF,late}",
    "{timeout,nothing,late}",
    // Calls and casts.
    "'$gen_call'",
    "{'$gen_call'}",
    "{'$gen_call',PID,request}",
    "{'$gen_call',{PID,REF}}",
    "{'$gen_call',{REF,PID},request}",
    "{'$gen_call',{PID,REF},request}",
    "{'$gen_call',{PID,REF},'$begin'}",
    "{'$gen_call',{PID,REF},{}}",
    "{'$gen_call',{PID,REF},[1|2]}",
    "{'$gen_call',{PID,REF},#{a => b}}",
    "{'$gen_cast'}",
    "{'$gen_cast',[]}",
    "{'$gen_cast',{try_again_restart,nobody}}",
    "{'$gen_cast',a,b}",
    // Managers.
    "notify",
    "{notify}",
    "{notify,no_number}",
    "{notify,1,2}",
    "{sync_notify,1}",
    "{'$gen_call',{PID,REF},{notify,1}}",
    "{'$gen_call',{PID,REF},{sync_notify,no_number}}",
    "{'$gen_call',{PID,REF},{call,nobody}}",
    "{'$gen_call',{PID,REF},{call,1,request}}",
    "{'$gen_call',{PID,REF},{call,nobody,request}}",
    "{'$gen_call',{PID,REF},{call,'Dull',request}}",
    "{'$gen_call',{PID,REF},{add_handler,nobody,[]}}",
    "{'$gen_call',{PID,REF},{add_handler,'Dull'}}",
    "{'$gen_call',{PID,REF},{add_sup_handler,nobody,[],PID}}",
    "{'$gen_call',{PID,REF},{add_sup_handler,nobody,[],nobody}}",
    "{'$gen_call',{PID,REF},{delete_handler,nobody,[]}}",
    "{'$gen_call',{PID,REF},{swap_handler,nobody,[],nobody,[]}}",
    "{'$gen_call',{PID,REF},{swap_sup_handler,nobody,[],nobody,[],PID}}",
    "{'$gen_call',{PID,REF},{which_handlers}}",
    // Supervisors.
    "{'$gen_call',{PID,REF},{start_child,[]}}",
    "{'$gen_call',{PID,REF},{start_child,#{}}}",
    "{'$gen_call',{PID,REF},{start_child,#{id => a,start => b}}}",
    "{'$gen_call',{PID,REF},{start_child,#{id => a,start => {no_module,no_function,[]}}}}",
    "{'$gen_call',{PID,REF},{start_child,#{id => a,start => {no_module,no_function,[1|2]}}}}",
    "{'$gen_call',{PID,REF},{start_child,{a,{m,f,[]},permanent,-1,worker,[]}}}",
    "{'$gen_call',{PID,REF},{terminate_child,nobody}}",
    "{'$gen_call',{PID,REF},{terminate_child,PID}}",
    "{'$gen_call',{PID,REF},{restart_child,{}}}",
    "{'$gen_call',{PID,REF},{delete_child,#{}}}",
    "{'$gen_call',{PID,REF},{get_childspec,3.5}}",
    "{'$gen_call',{PID,REF},{code_change,a}}",
    // System messages.
    "system",
    "{system}",
    "{system,PID,get_state}",
    "{system,{PID,REF},a_word}",
    "{system,{PID,REF},{}}",
    "{system,{PID,REF},{terminate}}",
    "{system,{PID,REF},{replace_state,no_function}}",
    "{system,{PID,REF},{'$inspect',no_function}}",
    "{system,{PID,REF},{change_code,a,b,c}}",
    "{system,{PID,REF},{change_code,a,b}}",
    "{system,{PID,REF},{debug,a}}",
    "{system,{PID,REF},{debug,{log,{true,-1}}}}",
    "{system,{PID,REF},{debug,{log,{true,1000000000000}}}}",
    "{system,{PID,REF},{debug,{log_to_file,\"/\"}}}",
    "{system,{PID,REF},{debug,{log_to_file,{a,b}}}}",
    "{system,{PID,REF},{debug,{install,a,no_function}}}",
    "{system,{PID,REF},{debug,{install,{a,b}}}}",
    "{system,{PID,REF},{debug,{remove}}}",
    "{system,{PID,REF},{debug,{statistics,perhaps}}}",
    // Controllers and masters of applications.
    "{application_started,PID}",
    "{'$gen_call',{PID,REF},{load_application,#{}}}",
    "{'$gen_call',{PID,REF},{load_application,{application,a,[{mod,b}]}}}",
    "{'$gen_call',{PID,REF},{start_application,nobody,permanent}}",
    "{'$gen_call',{PID,REF},{stop_application,nobody}}",
    "{'$gen_call',{PID,REF},{set_env,#{},perhaps}}",
    "{'$gen_call',{PID,REF},{change_application_data,[],[]}}",
    "{started,PID,reason}",
    "{get_child,PID,REF}",
    "{get_child,nobody,REF}",
    // Tasks and registries.
    "{'$task',PID,REF}",
    "{'$gen_call',{PID,REF},{clean,PID,key}}",
    "{'$gen_call',{PID,REF},{clean,nobody,key}}",
];

fn rubbish(cx: &Context) -> Vec<OwnedTerm> {
    // Nobody's parent: as in OTP, `{'EXIT', Parent, Reason}` is taken for the parent's end, whoever sends it.
    let other = cx.spawn(async |mut cx: Context| for_ever(&mut cx).await);
    let (pid, reference) = (other.unwrap().to_string(), cx.make_ref().to_string());
    let term = |text: &&str| {
        let text = text.replace("PID", &pid).replace("REF", &reference);
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    RUBBISH.iter().map(term).collect()
}

/// Sends all of it, each message with options for `sys` and without.
async fn throw(cx: &mut Context, pid: Pid) {
    for term in rubbish(cx) {
        cx.send(pid, &term).unwrap();
        assert!(sys::get_state(pid).call(cx).await.is_ok(), "{term}");
    }
    sys::suspend(pid).call(cx).await.unwrap();
    for term in rubbish(cx) {
        cx.send(pid, &term).unwrap();
        assert!(sys::get_status(pid).call(cx).await.is_ok(), "{term}");
    }
    sys::log(pid, true).call(cx).await.unwrap();
    sys::resume(pid).call(cx).await.unwrap();
    assert!(sys::get_log(pid).call(cx).await.is_ok());
    sys::no_debug(pid).call(cx).await.unwrap();
}

/// A machine that answers calls.
struct Calm;

impl GenStatem for Calm {
    type Args = ();
    type State = ();
    type Call = u8;
    type Reply = u8;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Internal = ();
    type Timeout = ();
    type TimeoutName = ();

    async fn init((): (), cx: &mut Context) -> gen_statem::Init<Self> {
        cx.trap_exit(true);
        gen_statem::Init::ok((), Self)
    }

    async fn handle_event(
        &mut self,
        (): &(),
        event: gen_statem::Event<Self>,
        _: &mut Context,
    ) -> gen_statem::Transition<Self> {
        let kept = gen_statem::Transition::keep_state();
        match event {
            gen_statem::Event::Call(from, number) => kept.reply(from, number),
            // Wakes all that hibernates.
            _ => kept.generic_timeout((), LIMIT, ()),
        }
    }
}

/// A handler that counts.
struct Dull(u64);

impl EventHandler for Dull {
    type Event = u64;
    type Args = ();
    type Call = ();
    type Reply = u64;
    type Info = NoMessage;

    async fn init((): (), _: &mut Context) -> gen_event::Init<Self> {
        gen_event::Init::ok(Self(0))
    }

    async fn handle_event(&mut self, event: &u64, _: &mut Context) -> gen_event::Next<u64> {
        self.0 += event;
        gen_event::Next::ok()
    }

    async fn handle_call(&mut self, (): (), _: &mut Context) -> gen_event::Answer<u64, u64> {
        gen_event::Answer::new(self.0)
    }
}

#[test]
fn rubbish_is_passed_over_by_servers_machines_managers_and_agents() {
    simulated(async |mut cx: Context| {
        let args = ProbeArgs::new("a", cx.pid());
        let server = Probe::start(&mut cx, args).await.unwrap();
        throw(&mut cx, server.pid().unwrap()).await;
        let answer = server.call(&mut cx, Do::Ping).await.unwrap();
        assert_eq!(Some(answer), server.pid());

        let machine = Calm::start(&mut cx, ()).await.unwrap();
        throw(&mut cx, machine.pid().unwrap()).await;
        assert_eq!(machine.call(&mut cx, 7).await.unwrap(), 7);

        let manager = EventManager::<u64>::start(&mut cx).await.unwrap();
        let dull = Handler::<Dull>::new();
        manager
            .add_handler(&mut cx, dull.clone(), ())
            .await
            .unwrap();
        throw(&mut cx, manager.pid().unwrap()).await;
        manager.notify(&cx, &7).unwrap();
        assert_eq!(manager.call(&mut cx, &dull, ()).await.unwrap(), 7);
        let handlers = manager.which_handlers(&mut cx).await.unwrap();
        assert_eq!(handlers, [dull.id().clone()]);

        let agent = Agent::start(&mut cx, || 7).await.unwrap();
        throw(&mut cx, agent.pid().unwrap()).await;
        assert_eq!(agent.get(&mut cx, |count| *count).await.unwrap(), 7);
    });
}

#[test]
fn rubbish_is_passed_over_by_supervisors_and_registries() {
    simulated(async |mut cx: Context| {
        let idle = async |mut cx: Context| for_ever(&mut cx).await;
        let flags = SupervisorFlags::one_for_one();
        let children = vec![ChildSpec::process("idle", idle)];
        let tree = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        throw(&mut cx, tree.pid().unwrap()).await;
        let counts = tree.count_children(&mut cx).await.unwrap();
        assert_eq!((counts.specs, counts.active), (1, 1));

        let sessions = DynamicSupervisor::start_link(&mut cx, DynamicSupervisorFlags::new());
        let sessions = sessions.await.unwrap();
        let child = ChildSpec::process("idle", idle);
        sessions.start_child(&mut cx, child).await.unwrap();
        throw(&mut cx, sessions.pid().unwrap()).await;
        let counts = sessions.count_children(&mut cx).await.unwrap();
        assert_eq!((counts.specs, counts.active), (1, 1));

        let flags = PartitionFlags::new().partitions(2);
        let child = move |_| ChildSpec::process("", idle);
        let partitions = PartitionSupervisor::<Probe>::start_link(&mut cx, "named", flags, child);
        let partitions = partitions.await.unwrap();
        let pid = cx.whereis("named").unwrap();
        throw(&mut cx, pid).await;
        assert_eq!(partitions.count_children(&mut cx).await.unwrap().active, 2);

        let names = Registry::<String, ()>::start_link(&mut cx, "names")
            .await
            .unwrap();
        names
            .register(&mut cx, &"key".to_owned(), &())
            .await
            .unwrap();
        let pid = cx.whereis("names").unwrap();
        throw(&mut cx, pid).await;
        assert_eq!(names.whereis(&cx, &"key".to_owned()), Some(cx.pid()));
    });
}

/// An application that does nothing.
struct Idle;

impl Application for Idle {
    type Args = ();

    async fn start(_: StartType, (): (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
        let tree = Supervisor::start_link(cx, SupervisorFlags::one_for_one(), vec![]);
        Ok((application::tree(tree.await)?, Self))
    }
}

#[test]
fn rubbish_is_passed_over_by_a_controller_and_its_masters() {
    simulated(async |mut cx: Context| {
        let controller = Controller::start_link(&mut cx, ControllerOptions::new());
        let controller = controller.await.unwrap();
        let idle = ApplicationSpec::new("idle").module::<Idle>(());
        application::start(&mut cx, idle).await.unwrap();
        throw(&mut cx, controller.pid().unwrap()).await;
        let master = application::get_master(&cx, "idle").unwrap();
        for term in rubbish(&cx) {
            cx.send(master, &term).unwrap();
        }
        let child = application::get_child(&mut cx, master).await;
        assert_eq!(child.unwrap().1.as_str(), "Idle");
        let apps = application::which_applications(&mut cx).await.unwrap();
        assert_eq!(apps.len(), 3);
        application::stop(&mut cx, "idle").await.unwrap();
        assert!(!cx.is_alive(master).await);
    });
}

#[test]
fn rubbish_in_the_mailbox_of_who_waits_is_left_there() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        let thrown = rubbish(&cx);
        let count = thrown.len();
        // To one that waits for its task, and to the task, which waits to begin.
        let flags = DynamicSupervisorFlags::new();
        let supervisor = TaskSupervisor::start_link(&mut cx, flags).await.unwrap();
        for term in &thrown {
            cx.send(me, term).unwrap();
        }
        let task = TaskSupervisor::async_nolink(&supervisor, &mut cx, async |cx: Context| {
            cx.yield_now().await;
            7
        });
        let mut task = task.await.unwrap();
        for term in &thrown {
            cx.send(task.pid().unwrap(), term).unwrap();
        }
        assert_eq!(task.yield_(&mut cx, LIMIT).await, Some(Ok(7)));
        let results = Task::async_stream(0..3, async |_, n: u64| n)
            .collect(&mut cx)
            .await;
        assert_eq!(results, [Ok(0), Ok(1), Ok(2)]);
        assert_eq!(cx.message_queue_len(), count);
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
}
