//! What each behaviour is as a child by one line: under which id and name, and that it comes back.

#[path = "common/simulated.rs"]
mod simulated;

use otp_stdlib::gen_statem::{self, Event, Transition};
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::ChildKind;
use otp_vm::{Context, ExitReason, Timeout};
use simulated::simulated;

struct Server;

#[gen_server]
impl Server {
    fn init(number: u32) -> Self {
        assert_eq!(number, 7);
        Server
    }

    #[call]
    fn ping(&self) -> String {
        "pong".into()
    }
}

struct Machine;

impl GenStatem for Machine {
    type Args = u32;
    type State = u32;
    type Call = ();
    type Reply = u32;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(number: u32, _cx: &mut Context) -> gen_statem::Init<Self> {
        gen_statem::Init::ok(number, Machine)
    }

    async fn handle_event(
        &mut self,
        state: &u32,
        event: Event<Self>,
        _cx: &mut Context,
    ) -> Transition<Self> {
        match event {
            Event::Call(from, ()) => Transition::keep_state().reply(from, *state),
            other => panic!("{other:?}"),
        }
    }
}

type Names = Registry<String, u32>;

async fn kill(cx: &mut Context, name: &str) {
    let pid = cx.whereis(name).unwrap();
    let monitor = cx.monitor(pid);
    cx.exit_process(pid, ExitReason::kill());
    let down = cx
        .receive_where(Timeout::Infinity, |message| message.down())
        .await;
    assert_eq!(down.unwrap().reference, monitor);
    while cx.whereis(name).is_none() {
        cx.yield_now().await;
    }
    assert_ne!(cx.whereis(name), Some(pid));
}

#[test]
fn a_child_with_a_name_has_it_as_id_and_again_after_a_restart() {
    simulated(|mut cx| async move {
        let children = vec![
            Names::child_spec("names"),
            Server::child_spec_with_name("server", 7),
            Machine::child_spec_with_name("machine", 8),
            Agent::child_spec_with_name("agent", || 9),
            EventManager::<u32>::child_spec("events"),
            DynamicSupervisor::child_spec_with_name("dynamic", DynamicSupervisorFlags::new()),
            TaskSupervisor::child_spec_with_name("tasks", DynamicSupervisorFlags::new()),
        ];
        let flags =
            SupervisorFlags::one_for_one().intensity(100, std::time::Duration::from_secs(1));
        let tree = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let children = tree.which_children(&mut cx).await.unwrap();
        assert_eq!(children.len(), 7);
        for child in children {
            assert_eq!(child.pid, cx.whereis(child.id.as_str()), "{}", child.id);
            let is_supervisor = ["dynamic", "tasks"].contains(&child.id.as_str());
            assert_eq!(child.kind == ChildKind::Supervisor, is_supervisor);
            kill(&mut cx, child.id.as_str()).await;
        }
        let server = ServerRef::<Server>::from_name("server").unwrap();
        assert_eq!(server.ping(&mut cx).await, Ok("pong".into()));
        let machine = StatemRef::<Machine>::from_name("machine").unwrap();
        assert_eq!(machine.call(&mut cx, ()).await, Ok(8));
        let agent = Agent::<i32>::from_name("agent").unwrap();
        assert_eq!(agent.get(&mut cx, |value| *value).await, Ok(9));
        let names = Names::named("names").unwrap();
        let key = "key".to_owned();
        names.register(&mut cx, &key, &1).await.unwrap();
        assert_eq!(names.lookup(&cx, &key), Some((cx.pid(), 1)));
    });
}

#[test]
fn a_machine_without_a_name_has_its_types_name_as_id() {
    simulated(|mut cx| async move {
        let children = vec![
            Machine::child_spec(8),
            Machine::child_spec(9).with_id("second"),
        ];
        let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), children)
            .await
            .unwrap();
        let children = tree.which_children(&mut cx).await.unwrap();
        let ids: Vec<_> = children.iter().map(|child| child.id.as_str()).collect();
        assert_eq!(ids, ["Machine", "second"]);
        for (child, state) in children.iter().zip([8, 9]) {
            let machine = StatemRef::<Machine>::from_pid(child.pid.unwrap());
            assert_eq!(machine.call(&mut cx, ()).await, Ok(state));
        }
    });
}
