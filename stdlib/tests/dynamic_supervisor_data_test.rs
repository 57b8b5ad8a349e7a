//! Cases of Elixir's `dynamic_supervisor_test.exs` that are about specifications as data, about what starts give, and
//! about ends, under their own names. In virtual time.

mod common;

use std::time::Duration;

use otp_stdlib::Name;
use otp_stdlib::dynamic_supervisor::{DynamicInit, SuperviseDynamic};
use otp_stdlib::prelude::*;
use otp_stdlib::proc_lib;
use otp_stdlib::supervisor::{Child, ChildError, SpecError};
use otp_stdlib::sys::{self, SysError};
use otp_stdlib::{StartError, dynamic_supervisor::Request};
use otp_vm::simulation::Simulation;
use otp_vm::{
    Arguments, Atom, Context, ExitReason, Function, FunctionError, Module, OwnedTerm, Pid,
    Priority, SpawnOptions, Timeout, Vm,
};

const SOON: Duration = Duration::from_millis(1);

fn run<B, F>(body: B)
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut simulation = Simulation::new(7).expect("a simulation");
    let vm = Vm::builder()
        .module(worker())
        .simulate(&simulation)
        .build()
        .expect("a VM");
    let run = vm.run(async move |cx: Context| {
        cx.trap_exit(true);
        body(cx).await;
    });
    simulation
        .block_on(run)
        .expect("it goes on")
        .expect("it holds");
    drop(simulation.block_on(vm.shutdown(Duration::from_secs(60))));
}

fn term(text: &str) -> OwnedTerm {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn sleeper(cx: &Context) -> Pid {
    let body = async |cx: Context| cx.sleep(Duration::MAX).await;
    proc_lib::spawn_link(cx, body).expect("a process")
}

/// The case's own module: what `start_link` gives hangs on its first argument.
fn worker() -> Module {
    let function = |arity| {
        Function::new("start_link", arity, |cx, arguments| {
            Box::pin(async move {
                let all: Vec<OwnedTerm> = arguments.decode()?;
                let words: Vec<String> = all.iter().map(ToString::to_string).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                started(cx, &words)
            })
        })
    };
    let module = Module::builder("worker")
        .function(function(1))
        .function(function(2));
    module.function(function(3)).build().expect("a module")
}

fn started(cx: &Context, words: &[&str]) -> Result<OwnedTerm, FunctionError> {
    let ok = Atom::new("ok").expect("an atom");
    match words {
        ["ok3"] => Arguments::result(&(ok, sleeper(cx), Atom::new("extra").expect("an atom"))),
        ["ok2"] => Arguments::result(&(ok, sleeper(cx))),
        ["error"] => Ok(term("{error, found}")),
        ["restart", then] => match cx.put(&("restart", then), &true).expect("a term") {
            Some(_) => started(cx, &[then]),
            None => started(cx, &["ok2"]),
        },
        // `extra` is what all children share.
        ["extra", rest @ ..] => started(cx, rest),
        [other] => Ok(term(other)),
        other => panic!("{other:?}"),
    }
}

fn spec(arguments: &str, parts: &str) -> OwnedTerm {
    term(&format!(
        "#{{id => worker, start => {{worker, start_link, {arguments}}}{parts}}}"
    ))
}

async fn start(cx: &mut Context, flags: DynamicSupervisorFlags) -> DynamicSupervisorRef {
    DynamicSupervisor::start_link(cx, flags)
        .await
        .expect("it starts")
}

fn flags() -> DynamicSupervisorFlags {
    DynamicSupervisorFlags::new().intensity(100_000, Duration::from_secs(5))
}

async fn child(cx: &mut Context, supervisor: &DynamicSupervisorRef, spec: OwnedTerm) -> Pid {
    let child: Child = supervisor
        .start_child_data(cx, spec)
        .await
        .expect("it starts");
    child.pid.expect("it runs")
}

async fn kill(cx: &mut Context, pid: Pid, reason: ExitReason) {
    cx.exit_process(pid, reason);
    common::ended(cx, pid).await;
    cx.sleep(SOON).await;
}

/// Workers, and how many of them are active.
async fn counts(cx: &mut Context, supervisor: &DynamicSupervisorRef) -> (u64, u64) {
    let counts = supervisor.count_children(cx).await.expect("counts");
    (counts.workers, counts.active)
}

#[test]
fn can_be_supervised_directly() {
    run(async |mut cx| {
        let child = ChildSpec::supervisor("dyn", |cx| {
            DynamicSupervisor::start_link(cx, DynamicSupervisorFlags::new())
                .name("dyn_sup_spec_test")
        });
        Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), vec![child])
            .await
            .unwrap();
        let supervisor = DynamicSupervisorRef::from_name("dyn_sup_spec_test").unwrap();
        assert_eq!(supervisor.which_children(&mut cx).await, Ok(vec![]));
    });
}

#[test]
fn multiple_supervisors_can_be_supervised_and_identified_with_simple_child_spec() {
    run(async |mut cx| {
        let flags = DynamicSupervisorFlags::new;
        let registry = Registry::<String, ()>::start_link(&mut cx, "dyn_sup_registry");
        let registry = registry.await.unwrap();
        let via_name = "via_name".to_owned();
        let simple = Name::local("simple_name").unwrap();
        let via = Name::via(&registry, &via_name).unwrap();
        let children = vec![
            DynamicSupervisor::child_spec_named(simple, flags()),
            DynamicSupervisor::child_spec_named(via, flags()),
        ];
        assert_eq!(*children[0].id(), "simple_name");
        assert_eq!(*children[1].id(), "via_name");
        let one_for_one = SupervisorFlags::one_for_one();
        let top = Supervisor::start_link(&mut cx, one_for_one, children);
        let top = top.await.unwrap();
        let nameless = DynamicSupervisor::child_spec(flags());
        let nameless = top.start_child(&mut cx, nameless).await.unwrap();

        let by_name = DynamicSupervisorRef::from_name("simple_name").unwrap();
        let by_via = DynamicSupervisorRef::via(&registry, &via_name).unwrap();
        for supervisor in [by_name, by_via, DynamicSupervisorRef::from_pid(nameless)] {
            assert_eq!(supervisor.which_children(&mut cx).await, Ok(vec![]));
        }
        let again = DynamicSupervisor::child_spec(flags());
        let again = top.start_child(&mut cx, again).await;
        assert_eq!(again, Err(ChildError::AlreadyStarted(nameless)));
    });
}

#[test]
fn with_spawn_opt() {
    run(async |mut cx| {
        let options = SpawnOptions::new().priority(Priority::High);
        let start = DynamicSupervisor::start_link(&mut cx, DynamicSupervisorFlags::new());
        let supervisor = start.spawn_opt(options).await.unwrap();
        let info = cx.process_info(supervisor.pid().unwrap()).unwrap();
        assert_eq!(info.priority, Priority::High);
    });
}

#[test]
fn with_non_ok_init() {
    run(async |mut cx| {
        let flags = DynamicSupervisorFlags::new().intensity(3, Duration::ZERO);
        let error = DynamicSupervisor::start_link(&mut cx, flags)
            .await
            .unwrap_err();
        let reason = ExitReason::from(error).to_string();
        assert_eq!(reason, "{supervisor_data,{invalid_period,0}}");
        DynamicSupervisorFlags::new()
            .extra_arguments(&-1)
            .unwrap_err();
    });
}

#[test]
fn sets_initial_call_to_the_same_as_a_regular_supervisor() {
    run(async |mut cx| {
        let dynamic = start(&mut cx, flags()).await.pid().unwrap();
        let regular = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), vec![]);
        let regular = regular.await.unwrap().pid().unwrap();
        // Both are servers that `proc_lib` started; what they run is in their labels.
        for (pid, label) in [(dynamic, "DynamicSupervisor"), (regular, "Supervisor")] {
            assert!(proc_lib::initial_call(cx.vm(), pid).is_some());
            assert_eq!(cx.process_info(pid).unwrap().label.unwrap().as_str(), label);
        }
    });
}

#[test]
fn supports_old_child_spec() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        let old = term("{worker, {worker, start_link, [ok2]}, temporary, 5000, worker, [worker]}");
        let child = child(&mut cx, &supervisor, old).await;
        assert!(cx.is_alive(child).await);
    });
}

#[test]
fn supports_new_child_spec_as_tuple() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        let child = child(
            &mut cx,
            &supervisor,
            spec("[ok2]", ", restart => temporary"),
        )
        .await;
        assert!(cx.is_alive(child).await);
    });
}

#[test]
fn supports_new_child_spec() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        let child =
            ChildSpec::process("sleeper", async |cx: Context| cx.sleep(Duration::MAX).await);
        let child = supervisor.start_child(&mut cx, child).await.unwrap();
        assert!(cx.is_alive(child).await);
    });
}

#[test]
fn supports_extra_arguments() {
    run(async |mut cx| {
        let extra = Atom::new("extra").unwrap();
        let supervisor = start(&mut cx, flags().extra_arguments(&(extra,)).unwrap()).await;
        // Without `extra` before it, the function would be called with another arity.
        let pid = child(&mut cx, &supervisor, spec("[restart, ok2]", "")).await;
        assert!(cx.is_alive(pid).await);
        let error = supervisor
            .start_child_data(&mut cx, spec("[error]", ""))
            .await
            .unwrap_err();
        let found = ExitReason::from(Atom::new("found").unwrap());
        assert_eq!(error, ChildError::Start(StartError::Exit(found)));
    });
}

#[test]
fn restarting_a_child_with_extra_arguments_successfully_restarts_child() {
    run(async |mut cx| {
        let extra = Atom::new("extra").unwrap();
        let supervisor = start(&mut cx, flags().extra_arguments(&(extra,)).unwrap()).await;
        let first = child(
            &mut cx,
            &supervisor,
            spec("[ok2]", ", restart => transient"),
        )
        .await;
        assert_eq!(counts(&mut cx, &supervisor).await, (1, 1));
        kill(&mut cx, first, common::reason("oops")).await;
        assert_eq!(counts(&mut cx, &supervisor).await, (1, 1));
        let again = supervisor.which_children(&mut cx).await.unwrap()[0].pid;
        assert!(again.is_some_and(|pid| pid != first));
    });
}

#[test]
fn with_invalid_child_spec() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        for (spec, error) in [
            ("#{}", "missing_id"),
            ("{1, 2, 3, 4, 5, 6}", "{invalid_mfa,2}"),
            (
                "#{id => 1, start => {worker, foo, bar}}",
                "{invalid_mfa,{worker,foo,bar}}",
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
fn with_different_returns() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        let extra = supervisor
            .start_child_data(&mut cx, spec("[ok3]", ""))
            .await
            .unwrap();
        assert!(extra.pid.is_some());
        assert_eq!(extra.info.unwrap().to_string(), "extra");
        let plain = supervisor
            .start_child_data(&mut cx, spec("[ok2]", ""))
            .await
            .unwrap();
        assert!(plain.pid.is_some() && plain.info.is_none());
        let ignored = supervisor
            .start_child_data(&mut cx, spec("[ignore]", ""))
            .await;
        assert_eq!(ignored, Err(ChildError::Start(StartError::Ignore)));
        for (given, reason) in [("error", "found"), ("unknown", "unknown")] {
            let error = supervisor
                .start_child_data(&mut cx, spec(&format!("[{given}]"), ""))
                .await;
            let reason = ExitReason::from(Atom::new(reason).unwrap());
            assert_eq!(error, Err(ChildError::Start(StartError::Exit(reason))));
        }
    });
}

#[test]
fn child_is_restarted_with_different_values() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        // After each restart: workers, and how many of them are active.
        for (then, expected) in [
            ("ok2", (1, 1)),
            ("ok3", (2, 2)),
            ("ignore", (2, 2)),
            ("error", (3, 2)),
            ("unknown", (4, 2)),
        ] {
            let pid = child(
                &mut cx,
                &supervisor,
                spec(&format!("[restart, {then}]"), ""),
            )
            .await;
            cx.exit_process(pid, ExitReason::shutdown());
            common::ended(&mut cx, pid).await;
            assert_eq!(counts(&mut cx, &supervisor).await, expected, "{then}");
        }
        let children = supervisor.which_children(&mut cx).await.unwrap();
        assert_eq!(children.iter().filter(|child| child.restarting).count(), 2);
    });
}

#[test]
fn restarting_on_init_children_counted_in_max_children() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags().max_children(1)).await;
        let pid = child(&mut cx, &supervisor, spec("[restart, error]", "")).await;
        cx.exit_process(pid, ExitReason::shutdown());
        common::ended(&mut cx, pid).await;
        assert_eq!(counts(&mut cx, &supervisor).await, (1, 0));
        let refused = supervisor
            .start_child_data(&mut cx, spec("[restart, ok2]", ""))
            .await;
        assert_eq!(refused, Err(ChildError::MaxChildren(1)));
    });
}

#[test]
fn with_valid_shutdown() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        for shutdown in ["brutal_kill", "infinity", "0", "1000"] {
            child(
                &mut cx,
                &supervisor,
                spec("[ok2]", &format!(", shutdown => {shutdown}")),
            )
            .await;
        }
        assert_eq!(counts(&mut cx, &supervisor).await, (4, 4));
    });
}

#[test]
fn with_invalid_valid_shutdown() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        for shutdown in ["-1", "1.5", "'never'", "{1}"] {
            let spec = spec("[ok2]", &format!(", shutdown => {shutdown}"));
            match supervisor.start_child_data(&mut cx, spec).await {
                Err(ChildError::Spec(SpecError::InvalidShutdown(given))) => {
                    assert_eq!(given.to_string(), term(shutdown).to_string());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(counts(&mut cx, &supervisor).await, (0, 0));
    });
}

/// Three children end with their supervisor, for this reason.
async fn three(
    cx: &mut Context,
    supervisor: &DynamicSupervisorRef,
    child: impl Fn() -> ChildSpec,
    reason: ExitReason,
) {
    let mut monitors = Vec::new();
    for _ in 0..3 {
        let pid = supervisor.start_child(cx, child()).await.unwrap();
        monitors.push(cx.monitor(pid));
    }
    cx.sleep(SOON).await;
    cx.exit_process(supervisor.pid().unwrap(), ExitReason::shutdown());
    for monitor in monitors {
        assert_eq!(common::down(cx, monitor).await, reason);
    }
}

fn sleepy(shutdown: Shutdown) -> ChildSpec {
    ChildSpec::process("sleepy", async |cx: Context| cx.sleep(Duration::MAX).await)
        .shutdown(shutdown)
}

/// It ends with this reason when it is told to end.
fn ending(reason: fn() -> ExitReason, shutdown: Shutdown) -> ChildSpec {
    let body = move |mut cx: Context| async move {
        cx.trap_exit(true);
        cx.receive().await;
        reason()
    };
    ChildSpec::process("ending", body).shutdown(shutdown)
}

const SECOND: Shutdown = Shutdown::After(Duration::from_secs(1));

#[test]
fn terminates_children_with_brutal_kill() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        three(
            &mut cx,
            &supervisor,
            || sleepy(Shutdown::BrutalKill),
            ExitReason::killed(),
        )
        .await;
    });
}

#[test]
fn terminates_children_with_infinity_shutdown() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        three(
            &mut cx,
            &supervisor,
            || sleepy(Shutdown::Infinity),
            ExitReason::shutdown(),
        )
        .await;
    });
}

#[test]
fn terminates_children_with_infinity_shutdown_and_abnormal_reason() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        let oops = || ExitReason::shutdown_with("oops");
        three(
            &mut cx,
            &supervisor,
            || ending(oops, Shutdown::Infinity),
            oops(),
        )
        .await;
    });
}

#[test]
fn terminates_children_with_integer_shutdown() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        three(
            &mut cx,
            &supervisor,
            || sleepy(SECOND),
            ExitReason::shutdown(),
        )
        .await;
    });
}

#[test]
fn terminates_children_with_integer_shutdown_and_abnormal_reason() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        let oops = || ExitReason::shutdown_with("oops");
        three(&mut cx, &supervisor, || ending(oops, SECOND), oops()).await;
    });
}

#[test]
fn terminates_children_with_permanent_restart_and_normal_reason() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        let child = || ending(ExitReason::normal, Shutdown::Infinity).restart(Restart::Permanent);
        three(&mut cx, &supervisor, child, ExitReason::normal()).await;
    });
}

async fn terminated(shutdown: Shutdown, reason: ExitReason, mut cx: Context) {
    let supervisor = start(&mut cx, flags()).await;
    let pid = supervisor
        .start_child(&mut cx, sleepy(shutdown))
        .await
        .unwrap();
    let monitor = cx.monitor(pid);
    supervisor.terminate_child(&mut cx, pid).await.unwrap();
    assert_eq!(common::down(&mut cx, monitor).await, reason);
    let again = supervisor.terminate_child(&mut cx, pid).await;
    assert_eq!(again, Err(ChildError::NotFound));
    assert_eq!(counts(&mut cx, &supervisor).await, (0, 0));
}

#[test]
fn terminates_child_with_brutal_kill() {
    run(|cx| terminated(Shutdown::BrutalKill, ExitReason::killed(), cx));
}

#[test]
fn terminates_child_with_integer_shutdown() {
    run(|cx| terminated(SECOND, ExitReason::shutdown(), cx));
}

#[test]
fn terminates_restarting_child() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await;
        let pid = child(&mut cx, &supervisor, spec("[restart, error]", "")).await;
        cx.exit_process(pid, ExitReason::shutdown());
        common::ended(&mut cx, pid).await;
        assert_eq!(counts(&mut cx, &supervisor).await, (1, 0));
        supervisor.terminate_child(&mut cx, pid).await.unwrap();
        let again = supervisor.terminate_child(&mut cx, pid).await;
        assert_eq!(again, Err(ChildError::NotFound));
        assert_eq!(counts(&mut cx, &supervisor).await, (0, 0));
    });
}

/// A request that is no call of the reference's functions, but a term, is understood as well.
#[test]
fn a_request_is_a_term() {
    run(async |mut cx| {
        let supervisor = start(&mut cx, flags()).await.pid().unwrap();
        let sent = otp_vm::to_term(&Request::CountChildren).unwrap();
        let answer: OwnedTerm = cx.call(supervisor, &sent, Timeout::Infinity).await.unwrap();
        assert!(answer.to_string().contains("specs => 0"), "{answer}");
    });
}

/// What the callback gives next.
#[derive(Clone)]
enum Given {
    Flags(DynamicSupervisorFlags),
    Ignore,
    Unknown,
}

/// The suite's `Simple`: what it is started with it gives.
struct Simple;

type Shared = std::sync::Arc<std::sync::Mutex<Given>>;

impl SuperviseDynamic for Simple {
    type Args = Shared;

    async fn init(given: &Shared, _cx: &mut Context) -> DynamicInit {
        match given.lock().expect("no panic").clone() {
            Given::Flags(flags) => DynamicInit::Ok(flags),
            Given::Ignore => DynamicInit::Ignore,
            Given::Unknown => DynamicInit::Stop(ExitReason::from(Atom::new("unknown").unwrap())),
        }
    }
}

async fn simple(cx: &mut Context) -> (DynamicSupervisorRef, Shared) {
    let given = Given::Flags(DynamicSupervisorFlags::new());
    let shared = Shared::new(given.into());
    let started = DynamicSupervisor::start_link_with::<Simple>(cx, Shared::clone(&shared));
    (started.await.unwrap(), shared)
}

/// The suite's `fake_upgrade`.
async fn fake_upgrade(
    cx: &mut Context,
    (supervisor, shared): &(DynamicSupervisorRef, Shared),
    to: Given,
) -> Result<(), SysError> {
    sys::suspend(supervisor).call(cx).await.unwrap();
    *shared.lock().unwrap() = to;
    let module = Atom::new("gen_server").unwrap();
    let changed = sys::change_code(supervisor, module, &123, "extra")
        .call(cx)
        .await;
    sys::resume(supervisor).call(cx).await.unwrap();
    changed
}

#[test]
fn code_change_with_non_ok_init() {
    run(async |mut cx| {
        let simple = simple(&mut cx).await;
        let refused = |text: &str| {
            let term: OwnedTerm = text.parse().unwrap();
            Err(SysError::Refused(ExitReason::from(term)))
        };
        let zero = DynamicSupervisorFlags::new().intensity(3, Duration::ZERO);
        assert_eq!(
            fake_upgrade(&mut cx, &simple, Given::Flags(zero)).await,
            refused("{error,{supervisor_data,{invalid_period,0}}}")
        );
        assert_eq!(
            fake_upgrade(&mut cx, &simple, Given::Unknown).await,
            refused("{error,unknown}")
        );
        assert_eq!(fake_upgrade(&mut cx, &simple, Given::Ignore).await, Ok(()));
        let counts = simple.0.count_children(&mut cx).await.unwrap();
        assert_eq!(counts.active, 0, "it goes on");
    });
}

#[test]
fn code_change_with_ok_init() {
    run(async |mut cx| {
        let simple = simple(&mut cx).await;
        let child = || {
            ChildSpec::process("sleepy", async |mut cx: Context| {
                cx.receive_where(Timeout::Infinity, |_| None::<()>).await;
            })
        };
        let first = simple.0.start_child(&mut cx, child()).await.unwrap();
        let one = DynamicSupervisorFlags::new().max_children(1);
        let changed = fake_upgrade(&mut cx, &simple, Given::Flags(one)).await;
        assert_eq!(changed, Ok(()));
        let counts = simple.0.count_children(&mut cx).await.unwrap();
        assert_eq!(counts.active, 1);
        let more = simple.0.start_child(&mut cx, child()).await;
        assert_eq!(more, Err(ChildError::MaxChildren(1)));
        assert!(cx.vm().is_alive(first));
        let state = sys::get_state(&simple.0)
            .call(&mut cx)
            .await
            .unwrap()
            .to_string();
        assert!(state.contains("max_children => 1"), "{state}");
    });
}
