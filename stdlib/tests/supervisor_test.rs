//! Cases of Elixir's `supervisor_test.exs`, under their own names.

mod common;

use common::*;
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{ChildCounts, ChildError, ChildKind, Supervise, SupervisorInit};
use otp_vm::{Call, Context, ExitReason, OwnedTerm, Pid, Vm, module};

fn term(text: &str) -> OwnedTerm {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

module! {
    /// A task, as data starts it.
    pub mod task {
        /// Starts one.
        pub async fn start_link(cx: &mut Context, _what: OwnedTerm) -> Result<Pid, String> {
            let body = async |mut cx: Context| for_ever(&mut cx).await;
            cx.spawn_link(body).map_err(|error| error.to_string())
        }
    }
}

/// As `run`, in a VM that has the module.
fn run_data<B, F>(body: B)
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let vm = Vm::builder()
        .schedulers(2)
        .module(task::module())
        .build()
        .expect("a VM");
    vm.run(body).wait().expect("it holds");
    vm.shutdown(LIMIT).wait();
}

async fn empty(cx: &mut Context) -> SupervisorRef {
    let started = Supervisor::start_link(cx, SupervisorFlags::one_for_one(), vec![]);
    started.await.expect("it starts")
}

const OLD: &str = "{task, {task, start_link, [x]}, temporary, 5000, worker, [task]}";
const NEW: &str = "#{id => task, restart => temporary, start => {task, start_link, [x]}}";

#[test]
fn start_link_2_with_via() {
    run(async |mut cx: Context| {
        let names = Registry::<String, ()>::start_link(&mut cx, "names")
            .await
            .unwrap();
        let key = "via_sup".to_owned();
        let flags = SupervisorFlags::one_for_one();
        Supervisor::start_link(&mut cx, flags, vec![])
            .via(&names, &key)
            .await
            .unwrap();
        let supervisor = SupervisorRef::via(&names, &key).unwrap();
        assert_eq!(supervisor.which_children(&mut cx).await, Ok(vec![]));
    });
}

#[test]
fn start_link_3_with_local() {
    run(async |mut cx: Context| {
        let flags = SupervisorFlags::one_for_one();
        Supervisor::start_link(&mut cx, flags, vec![])
            .name("my_sup")
            .await
            .unwrap();
        let supervisor = SupervisorRef::from_name("my_sup").unwrap();
        assert_eq!(supervisor.which_children(&mut cx).await, Ok(vec![]));
    });
}

/// A child that has a name, ends, and is there again by its name.
async fn by_name(cx: &mut Context, supervisor: SupervisorRef) {
    let first = cx.whereis("stack").expect("it runs");
    stop_probe(cx, first, ExitReason::normal()).await;
    let begun = std::time::Instant::now();
    while cx.whereis("stack").is_none_or(|pid| pid == first) {
        assert!(begun.elapsed() < LIMIT);
        cx.yield_now().await;
    }
    let stack = ServerRef::<Probe>::from_name("stack").unwrap();
    assert_ne!(stack.call(cx, Do::Ping).await.unwrap(), first);
    supervisor
        .stop(cx, ExitReason::normal(), LIMIT)
        .await
        .unwrap();
}

fn stack(witness: Pid) -> ChildSpec {
    let args = ProbeArgs::new("stack", witness);
    ChildSpec::worker("stack", move |cx| {
        Probe::start_link(cx, args.clone()).name("stack")
    })
}

#[test]
fn start_link_2() {
    run(async |mut cx: Context| {
        let children = vec![stack(cx.pid())];
        let supervisor = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), children);
        let supervisor = supervisor.await.unwrap();
        by_name(&mut cx, supervisor).await;
        let name = "n".repeat(256);
        let flags = SupervisorFlags::one_for_one();
        let error = Supervisor::start_link(&mut cx, flags, vec![])
            .name(&name)
            .await;
        assert!(
            matches!(error, Err(otp_stdlib::StartError::BadName(_))),
            "{error:?}"
        );
    });
}

struct Sup;

impl Supervise for Sup {
    type Args = Pid;

    async fn init(witness: &Pid, _cx: &mut Context) -> SupervisorInit {
        SupervisorInit::Ok(SupervisorFlags::one_for_one(), vec![stack(*witness)])
    }
}

#[test]
fn start_link_3() {
    run(async |mut cx: Context| {
        let witness = cx.pid();
        let supervisor = Supervisor::start_link_with::<Sup>(&mut cx, witness)
            .await
            .unwrap();
        let callback = supervisor.get_callback_module(&mut cx).await.unwrap();
        assert!(callback.unwrap().ends_with("::Sup"));
        by_name(&mut cx, supervisor).await;
    });
}

#[test]
fn start_link_2_with_old_and_new_specs() {
    run_data(async |mut cx: Context| {
        let specs = [NEW, &OLD.replacen("{task", "{old_task", 1)]
            .map(|spec| ChildSpec::from_term(term(spec).root()).expect("a specification"));
        let flags = SupervisorFlags::one_for_one();
        let supervisor = Supervisor::start_link(&mut cx, flags, specs.into())
            .await
            .unwrap();
        assert_eq!(supervisor.count_children(&mut cx).await.unwrap().active, 2);
    });
}

#[test]
fn supports_old_child_spec() {
    run_data(async |mut cx: Context| {
        let supervisor = empty(&mut cx).await;
        let child = supervisor
            .start_child_data(&mut cx, term(OLD))
            .await
            .unwrap();
        assert!(cx.is_alive(child.pid.unwrap()).await);
    });
}

#[test]
fn supports_new_child_spec_as_tuple() {
    run_data(async |mut cx: Context| {
        let supervisor = empty(&mut cx).await;
        let child = supervisor
            .start_child_data(&mut cx, term(NEW))
            .await
            .unwrap();
        assert!(cx.is_alive(child.pid.unwrap()).await);
    });
}

#[test]
fn supports_new_child_spec() {
    run_data(async |mut cx: Context| {
        let supervisor = empty(&mut cx).await;
        let call = Call::new("task", "start_link", &("x",)).unwrap();
        let child = supervisor
            .start_child(&mut cx, ChildSpec::call("task", call))
            .await
            .unwrap();
        assert!(cx.is_alive(child).await);
    });
}

#[test]
fn with_invalid_child_spec() {
    run_data(async |mut cx: Context| {
        let supervisor = empty(&mut cx).await;
        for (spec, error) in [
            ("#{}", "missing_id"),
            ("{1, 2, 3, 4, 5, 6}", "{invalid_mfa,2}"),
            (
                "#{id => 1, start => {task, foo, bar}}",
                "{invalid_mfa,{task,foo,bar}}",
            ),
        ] {
            match supervisor.start_child_data(&mut cx, term(spec)).await {
                Err(ChildError::Spec(found)) => {
                    assert_eq!(otp_vm::to_term(&found).unwrap().to_string(), error);
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn with_valid_child_spec() {
    run_data(async |mut cx: Context| {
        let supervisor = empty(&mut cx).await;
        for (number, parts) in [
            "",
            ", shutdown => 0",
            ", restart => transient",
            ", type => supervisor",
        ]
        .iter()
        .enumerate()
        {
            let spec = format!("#{{id => {number}, start => {{task, start_link, [x]}}{parts}}}");
            let child = supervisor
                .start_child_data(&mut cx, term(&spec))
                .await
                .unwrap();
            assert!(child.pid.is_some());
        }
        assert_eq!(supervisor.count_children(&mut cx).await.unwrap().active, 4);
    });
}

#[test]
fn child_life_cycle() {
    run(async |mut cx: Context| {
        let supervisor = empty(&mut cx).await;
        assert_eq!(supervisor.which_children(&mut cx).await, Ok(vec![]));
        let none = ChildCounts::default();
        assert_eq!(supervisor.count_children(&mut cx).await, Ok(none));
        let spec = stack(cx.pid());
        let first = supervisor.start_child(&mut cx, spec).await.unwrap();
        let asked = ServerRef::<Probe>::from_pid(first)
            .call(&mut cx, Do::Ping)
            .await;
        assert_eq!(asked.unwrap(), first);
        let children = supervisor.which_children(&mut cx).await.unwrap();
        assert_eq!(children.len(), 1);
        assert_eq!(
            (&children[0].id, children[0].pid),
            (&"stack".into(), Some(first))
        );
        assert_eq!(children[0].kind, ChildKind::Worker);
        let (specs, active, supervisors, workers) = (1, 1, 0, 1);
        let one = ChildCounts {
            specs,
            active,
            supervisors,
            workers,
        };
        assert_eq!(supervisor.count_children(&mut cx).await, Ok(one));
        let running = supervisor.delete_child(&mut cx, "stack").await;
        assert_eq!(running, Err(ChildError::Running));
        supervisor.terminate_child(&mut cx, "stack").await.unwrap();
        let second = supervisor.restart_child(&mut cx, "stack").await.unwrap();
        let asked = ServerRef::<Probe>::from_pid(second)
            .call(&mut cx, Do::Ping)
            .await;
        assert_eq!(asked.unwrap(), second);
        supervisor.terminate_child(&mut cx, "stack").await.unwrap();
        supervisor.delete_child(&mut cx, "stack").await.unwrap();
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
}
