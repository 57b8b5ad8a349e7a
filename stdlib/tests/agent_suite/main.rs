//! Cases of Elixir's `agent_test.exs`. Each test bears the case's name; `docs/compat/agent.md` has the list.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/simulated.rs"]
mod simulated;

use std::collections::HashMap;
use std::time::Duration;

use common::{LIMIT, down, ended};
use otp_stdlib::prelude::*;
use otp_stdlib::proc_lib::{StopError, translate_initial_call};
use otp_stdlib::supervisor::Childspec;
use otp_stdlib::sys;
use otp_vm::{
    Atom, CallError, Context, ExitReason, InitialCall, Pid, Priority, RandomState, SpawnOptions,
    Timeout,
};
use simulated::{no_message, simulated};

type Map = HashMap<String, String, RandomState>;

async fn specification(cx: &mut Context, spec: ChildSpec) -> Childspec {
    let id = spec.id().clone();
    let flags = SupervisorFlags::one_for_one();
    let supervisor = Supervisor::start_link(cx, flags, vec![spec]).await.unwrap();
    supervisor.get_childspec(cx, id).await.unwrap()
}

fn assert_begun_with(cx: &Context, pid: Pid, function: &str) {
    match translate_initial_call(cx.vm(), pid) {
        Some(InitialCall::Fun(name)) => assert!(name.contains(function), "{name}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn can_be_supervised_directly() {
    simulated(|mut cx| async move {
        let children = vec![Agent::child_spec(|| "ok")];
        let flags = SupervisorFlags::one_for_one();
        Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
    });
}

#[test]
fn generates_child_spec_1() {
    simulated(|mut cx| async move {
        let spec = specification(&mut cx, Agent::child_spec(|| "hello")).await;
        assert_eq!(spec.id, "Agent");
        assert_eq!(spec.restart, Restart::Permanent);
        assert_eq!(spec.shutdown, Shutdown::After(Duration::from_secs(5)));
        let spec = Agent::child_spec_with_id("id", || "hello")
            .restart(Restart::Temporary)
            .shutdown(Shutdown::Infinity);
        let spec = specification(&mut cx, spec).await;
        assert_eq!(spec.id, "id");
        assert_eq!(spec.restart, Restart::Temporary);
        assert_eq!(spec.shutdown, Shutdown::Infinity);
    });
}

#[test]
fn start_link_2_workflow_with_unregistered_name_and_anonymous_functions() {
    simulated(|mut cx| async move {
        let agent = Agent::start_link(&mut cx, || -> Map { Map::default() })
            .await
            .unwrap();
        let pid = agent.pid().expect("by pid");
        assert!(cx.process_info(cx.pid()).unwrap().links.contains(&pid));
        assert_begun_with(&cx, pid, "agent_suite::");

        let put = |map: &mut Map| drop(map.insert("hello".into(), "world".into()));
        agent.update(&mut cx, put).await.unwrap();
        let limit = Duration::from_secs(3);
        let get = |map: &Map| map.get("hello").cloned();
        let value = agent.get_timeout(&mut cx, limit, get).await.unwrap();
        assert_eq!(value, Some("world".into()));
        let pop = |map: &mut Map| map.remove("hello");
        let value = agent
            .get_and_update_timeout(&mut cx, limit, pop)
            .await
            .unwrap();
        assert_eq!(value, Some("world".into()));
        assert_eq!(
            agent.get(&mut cx, Map::clone).await.unwrap(),
            Map::default()
        );
        agent
            .stop(&mut cx, ExitReason::normal(), None)
            .await
            .unwrap();
        assert!(!cx.vm().is_alive(pid));
    });
}

fn put(map: &mut Map) {
    map.insert("hello".into(), "world".into());
}

fn get(map: &Map) -> Option<String> {
    map.get("hello").cloned()
}

fn pop(map: &mut Map) -> Option<String> {
    map.remove("hello")
}

#[test]
fn start_2_workflow_with_registered_name_and_module_functions() {
    simulated(|mut cx| async move {
        let agent = Agent::start(&mut cx, Map::default)
            .name("agent")
            .await
            .unwrap();
        let pid = agent.pid().expect("by pid");
        let info = cx.process_info(pid).unwrap();
        assert_eq!(info.registered_name.unwrap().as_str(), "agent");
        assert!(!cx.process_info(cx.pid()).unwrap().links.contains(&pid));
        assert_begun_with(&cx, pid, "default");

        let agent = Agent::<Map>::from_name("agent").unwrap();
        assert_eq!(agent.whereis(&cx), Some(pid));
        agent.cast(&cx, put).unwrap();
        assert_eq!(agent.get(&mut cx, get).await.unwrap(), Some("world".into()));
        assert_eq!(
            agent.get_and_update(&mut cx, pop).await.unwrap(),
            Some("world".into())
        );
        assert_eq!(
            agent.get(&mut cx, Map::clone).await.unwrap(),
            Map::default()
        );
        agent
            .stop(&mut cx, ExitReason::normal(), None)
            .await
            .unwrap();
        assert!(cx.process_info(pid).is_none());
        assert_eq!(agent.whereis(&cx), None);
        let again = agent.stop(&mut cx, ExitReason::normal(), None).await;
        assert_eq!(again, Err(StopError::Exit(ExitReason::noproc())));
    });
}

#[test]
fn a_panic_in_a_function_ends_the_agent_and_not_the_caller() {
    simulated(|mut cx| async move {
        let agent = Agent::start(&mut cx, || 0_u64).await.unwrap();
        let error = agent.get(&mut cx, |_| -> u64 { panic!("oops") }).await;
        match error {
            Err(CallError::Exit(reason)) => {
                assert!(reason.to_string().contains("oops"), "{reason}")
            }
            other => panic!("{other:?}"),
        }
        ended(&mut cx, agent.pid().unwrap()).await;
        let error = agent.update(&mut cx, |count| *count += 1).await;
        assert!(matches!(error, Err(CallError::Exit(reason)) if reason == ExitReason::noproc()));

        let agent = Agent::start(&mut cx, || 0_u64).await.unwrap();
        let monitor = cx.monitor(agent.pid().unwrap());
        agent.cast(&cx, |_| panic!("oops")).unwrap();
        assert!(down(&mut cx, monitor).await.to_string().contains("oops"));
        let error = Agent::start(&mut cx, || -> u64 { panic!("no state") }).await;
        assert!(error.unwrap_err().to_string().contains("no state"));
    });
}

#[test]
fn a_call_that_takes_too_long_is_run_all_the_same() {
    simulated(|mut cx| async move {
        let agent = Agent::start_link(&mut cx, || 0_u64).await.unwrap();
        let late = agent
            .update_timeout(&mut cx, Duration::ZERO, |count| *count += 1)
            .await;
        assert!(matches!(late, Err(CallError::Timeout)));
        assert_eq!(agent.get(&mut cx, |count| *count).await.unwrap(), 1);
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn values_and_states_need_not_be_terms() {
    simulated(|mut cx| async move {
        let (sender, receiver) = std::sync::mpsc::channel::<u64>();
        let agent = Agent::start_link(&mut cx, move || sender).await.unwrap();
        let sender = agent.get(&mut cx, Clone::clone).await.unwrap();
        sender.send(1).unwrap();
        agent
            .update(&mut cx, |sender| sender.send(2).unwrap())
            .await
            .unwrap();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    });
}

#[test]
fn a_reference_to_an_agent_with_another_state_is_told_so() {
    simulated(|mut cx| async move {
        let agent = Agent::start_link(&mut cx, || 7_u64)
            .name("agent")
            .await
            .unwrap();
        let wrong = Agent::<String>::from_name("agent").unwrap();
        let error = wrong.get(&mut cx, String::len).await;
        assert!(matches!(error, Err(CallError::Decode(_))), "{error:?}");
        assert_eq!(agent.get(&mut cx, |n| *n).await.unwrap(), 7);
    });
}

#[test]
fn a_reference_travels_in_a_message_and_by_a_registry() {
    simulated(|mut cx| async move {
        let registry = Registry::<u64, ()>::start_link(&mut cx, "agents")
            .await
            .unwrap();
        let start = Agent::start_link(&mut cx, || 7_u64).via(&registry, &1);
        let agent = start.label("seven").timeout(LIMIT).await.unwrap();
        let label = cx.process_info(agent.pid().unwrap()).unwrap().label;
        assert_eq!(label.unwrap().as_str(), "seven");
        let by_key = Agent::<u64>::via(&registry, &1).unwrap();
        assert_eq!(by_key.whereis(&cx), agent.pid());
        cx.send(cx.pid(), &by_key).unwrap();
        let received = cx
            .receive_as::<Agent<u64>>(Timeout::Infinity)
            .await
            .unwrap();
        assert_eq!(received, by_key);
        assert_eq!(received.get(&mut cx, |n| *n).await.unwrap(), 7);
    });
}

#[test]
fn start_link_2_with_spawn_opt() {
    simulated(|mut cx| async move {
        let options = SpawnOptions::new().priority(Priority::High);
        let agent = Agent::start_link(&mut cx, || 0).spawn_opt(options);
        let pid = agent.await.unwrap().pid().expect("by pid");
        let info = cx.process_info(pid).unwrap();
        assert_eq!(info.priority, Priority::High);
    });
}

/// An agent of an empty map, suspended.
async fn suspended(cx: &mut Context) -> Agent<Map> {
    let agent = Agent::start_link(cx, Map::default).await.unwrap();
    sys::suspend(&agent).call(cx).await.unwrap();
    agent
}

#[test]
fn sys_change_code_4_with_mfa() {
    simulated(|mut cx| async move {
        let agent = suspended(&mut cx).await;
        let module = Atom::new("agent_test").unwrap();
        let change = sys::change_code_by(&agent, module, |map: &Map| {
            let mut map = map.clone();
            put(&mut map);
            map
        });
        change.call(&mut cx).await.unwrap();
        sys::resume(&agent).call(&mut cx).await.unwrap();
        let value = agent.get(&mut cx, get).await.unwrap();
        assert_eq!(value, Some("world".into()));
        let stopped = agent.stop(&mut cx, ExitReason::normal(), None).await;
        stopped.unwrap();
    });
}

#[test]
fn sys_change_code_4_with_raising_mfa() {
    simulated(|mut cx| async move {
        let agent = suspended(&mut cx).await;
        let module = Atom::new("agent_test").unwrap();
        let raises = |_: &Map| -> Map { panic!("error") };
        let change = sys::change_code_by(&agent, module, raises);
        let error = change.call(&mut cx).await.unwrap_err().to_string();
        let raised = "{'EXIT',{panic,<<\"error\">>,";
        assert!(error.contains(raised), "{error}");
        sys::resume(&agent).call(&mut cx).await.unwrap();
        let map = agent.get(&mut cx, Map::clone).await.unwrap();
        assert_eq!(map, Map::default());
        let stopped = agent.stop(&mut cx, ExitReason::normal(), None).await;
        stopped.unwrap();
    });
}

#[test]
fn a_child_spec_with_a_name_starts_it_under_that_name_and_again() {
    simulated(|mut cx| async move {
        let children = vec![
            Agent::child_spec_with_name("counter", || 7),
            ChildSpec::worker("named", |cx| Agent::start_link(cx, || 8).name("named")),
        ];
        let flags = SupervisorFlags::one_for_one();
        let tree = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let ids = tree.which_children(&mut cx).await.unwrap();
        assert_eq!(ids[0].id, "counter");
        let counter = Agent::<i32>::from_name("counter").unwrap();
        let named = Agent::<i32>::from_name("named").unwrap();
        for before in [7, 7] {
            assert_eq!(counter.get(&mut cx, |n| *n).await.unwrap(), before);
            assert_eq!(named.get(&mut cx, |n| *n).await.unwrap(), 8);
            let pid = counter.whereis(&cx).unwrap();
            let info = cx.vm().process_info(pid).unwrap();
            assert_eq!(info.label.unwrap().as_str(), "Agent");
            let monitor = cx.monitor(pid);
            counter
                .update(&mut cx, |_| panic!("a fault"))
                .await
                .unwrap_err();
            let down = cx
                .receive_where(Timeout::Infinity, |message| message.down())
                .await;
            assert_eq!(down.unwrap().reference, monitor);
            while counter.whereis(&cx).is_none() {
                cx.yield_now().await;
            }
        }
    });
}
