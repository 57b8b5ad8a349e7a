//! Supervisors of tasks, and children without results.

use otp_stdlib::supervisor::ChildCounts;
use otp_stdlib::task::{self, TaskOptions};

use super::*;

#[test]
fn can_be_supervised_directly() {
    simulated(|mut cx| async move {
        let children = vec![TaskSupervisor::child_spec_with_name("tasks", flags())];
        let one_for_one = SupervisorFlags::one_for_one();
        Supervisor::start_link(&mut cx, one_for_one, children)
            .await
            .unwrap();
        assert!(cx.whereis("tasks").is_some());
    });
}

#[test]
fn multiple_supervisors_can_be_supervised_and_identified_with_simple_child_spec() {
    simulated(|mut cx| async move {
        let registry = Registry::<String, ()>::start_link(&mut cx, "registry")
            .await
            .unwrap();
        let via = ChildSpec::supervisor("via_name", move |cx| {
            TaskSupervisor::start_link(cx, flags()).via(&registry, &"via_name".to_owned())
        });
        let children = vec![
            TaskSupervisor::child_spec_with_name("simple_name", flags()),
            via,
        ];
        let one_for_one = SupervisorFlags::one_for_one();
        let top = Supervisor::start_link(&mut cx, one_for_one, children)
            .await
            .unwrap();
        let nameless = TaskSupervisor::child_spec(flags());
        let nameless = top.start_child(&mut cx, nameless).await.unwrap();

        let by_name = TaskSupervisorRef::from_name("simple_name").unwrap();
        let by_key = TaskSupervisorRef::via(&registry, &"via_name".to_owned()).unwrap();
        for supervisor in [by_name, by_key, TaskSupervisorRef::from_pid(nameless)] {
            assert_eq!(super::children(&mut cx, &supervisor).await, []);
        }
        let again = top
            .start_child(&mut cx, TaskSupervisor::child_spec(flags()))
            .await;
        assert_eq!(again, Err(ChildError::AlreadyStarted(nameless)));
    });
}

#[test]
fn counts_and_returns_children() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        assert_eq!(children(&mut cx, &supervisor).await, []);
        let counts = supervisor.count_children(&mut cx).await.unwrap();
        assert_eq!(counts, ChildCounts::default());
    });
}

#[test]
fn async_3() {
    simulated(|mut cx| async move {
        let (supervisor, call) = (supervisor(&mut cx).await, call(&cx));
        let options = TaskOptions::new();
        let task = TaskSupervisor::async_apply::<String>(&supervisor, &mut cx, options, call);
        let task = task.await.unwrap();
        let pid = task.pid().unwrap();
        assert_eq!(children(&mut cx, &supervisor).await, [pid]);
        expect(&mut cx, "ready").await;
        assert_eq!(translate_initial_call(cx.vm(), pid), Some(mfa()));
        cx.send(pid, "go").unwrap();
        assert_eq!(task.mfa(), Some(mfa()));
        assert_eq!(task.await_(&mut cx).await, "done");
    });
}

#[test]
fn async_nolink_3() {
    simulated(|mut cx| async move {
        let (supervisor, call) = (supervisor(&mut cx).await, call(&cx));
        let options = TaskOptions::new();
        let task =
            TaskSupervisor::async_nolink_apply::<String>(&supervisor, &mut cx, options, call);
        let task = task.await.unwrap();
        let pid = task.pid().unwrap();
        assert_eq!(children(&mut cx, &supervisor).await, [pid]);
        expect(&mut cx, "ready").await;
        assert_eq!(translate_initial_call(cx.vm(), pid), Some(mfa()));
        cx.send(pid, "go").unwrap();
        assert_eq!(task.mfa(), Some(mfa()));
        assert_eq!(task.await_(&mut cx).await, "done");
    });
}

#[test]
fn start_child_1() {
    simulated(|mut cx| async move {
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |mut cx| async move {
            wait_and_send(&mut cx, parent, "done").await;
        };
        let pid = TaskSupervisor::start_child(&supervisor, &mut cx, body)
            .await
            .unwrap();
        assert_eq!(children(&mut cx, &supervisor).await, [pid]);
        assert!(!links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_closure(&cx, pid);
        cx.send(pid, "go").unwrap();
        expect(&mut cx, "done").await;
    });
}

#[test]
fn start_child_3() {
    simulated(|mut cx| async move {
        let (supervisor, call) = (supervisor(&mut cx).await, call(&cx));
        let body = move |cx| async move { drop(task::apply::<String>(cx, call).await) };
        let pid = TaskSupervisor::start_child(&supervisor, &mut cx, body)
            .await
            .unwrap();
        assert_eq!(children(&mut cx, &supervisor).await, [pid]);
        assert!(!links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_eq!(translate_initial_call(cx.vm(), pid), Some(mfa()));
        cx.send(pid, "go").unwrap();
        expect(&mut cx, "done").await;
        // Arguments that are none, and a name that is none.
        assert!(Call::new("task_supervisor_test", "wait_and_send", &7).is_err());
        assert!(Call::new("task_supervisor_test", &"n".repeat(256), &(1, 2)).is_err());
    });
}

#[test]
fn start_child_1_with_custom_shutdown() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |mut cx| async move {
            wait_and_send(&mut cx, parent, "done").await;
        };
        let options = TaskOptions::new().shutdown(Shutdown::BrutalKill);
        let pid = TaskSupervisor::start_child_opt(&supervisor, &mut cx, options, body);
        let pid = pid.await.unwrap();
        let reason = shutdown_reason(&mut cx, &supervisor, pid).await;
        assert_eq!(reason, ExitReason::killed());
    });
}

#[test]
fn start_child_1_with_custom_restart() {
    simulated(|mut cx| async move {
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |mut cx| async move {
            wait_and_send(&mut cx, parent, "done").await;
        };
        let options = TaskOptions::new().restart(Restart::Permanent);
        let pid = TaskSupervisor::start_child_opt(&supervisor, &mut cx, options, body);
        let pid = pid.await.unwrap();
        expect(&mut cx, "ready").await;
        let monitor = cx.monitor(pid);
        cx.exit_process(pid, ExitReason::shutdown());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::shutdown());
        expect(&mut cx, "ready").await;
    });
}

#[test]
fn start_child_1_with_callers() {
    simulated(|mut cx| async move {
        let (supervisor, grandparent) = (supervisor(&mut cx).await, cx.pid());
        let above = texts(&[supervisor.pid().unwrap(), grandparent]);
        let inner = supervisor.clone();
        let body = async move |mut cx: Context| {
            let parent = cx.pid();
            assert_eq!(origin(&cx), (vec![grandparent], above.clone()));
            let body = async move |cx: Context| {
                assert_eq!(origin(&cx), (vec![parent, grandparent], above));
                cx.send(grandparent, "done").unwrap();
            };
            TaskSupervisor::start_child(&inner, &mut cx, body)
                .await
                .unwrap();
        };
        TaskSupervisor::start_child(&supervisor, &mut cx, body)
            .await
            .unwrap();
        expect(&mut cx, "done").await;
    });
}

#[test]
fn terminate_child_2() {
    simulated(|mut cx| async move {
        let (supervisor, call) = (supervisor(&mut cx).await, call(&cx));
        let body = move |cx| async move { drop(task::apply::<String>(cx, call).await) };
        let pid = TaskSupervisor::start_child(&supervisor, &mut cx, body)
            .await
            .unwrap();
        assert_eq!(children(&mut cx, &supervisor).await, [pid]);
        let terminated = TaskSupervisor::terminate_child(&supervisor, &mut cx, pid).await;
        assert_eq!(terminated, Ok(()));
        assert_eq!(children(&mut cx, &supervisor).await, []);
        let terminated = TaskSupervisor::terminate_child(&supervisor, &mut cx, pid).await;
        assert_eq!(terminated, Err(ChildError::NotFound));
    });
}

#[test]
fn whoever_drops_a_start_leaves_no_task_that_waits() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        for micros in 0..20 {
            let start = TaskSupervisor::async_(&supervisor, &mut cx, async |_| ());
            let within = std::time::Duration::from_micros(micros);
            if let Ok(Ok(task)) = otp_vm::timeout(within, start).await {
                task.await_(&mut cx).await;
            }
        }
        cx.sleep(std::time::Duration::from_secs(6)).await;
        assert_eq!(children(&mut cx, &supervisor).await, []);
    });
}

#[test]
fn a_task_does_not_begin_without_whom_it_works_for() {
    simulated(|mut cx| async move {
        let (supervisor, witness) = (supervisor(&mut cx).await, cx.pid());
        let tasks = supervisor.clone();
        let owner = cx.spawn(async move |mut cx: Context| {
            let body = async move |cx: Context| cx.send(witness, "it ran").unwrap();
            let start = TaskSupervisor::async_nolink(&tasks, &mut cx, body);
            let _ = otp_vm::timeout(std::time::Duration::ZERO, start).await;
            cx.exit_process(cx.pid(), ExitReason::kill());
        });
        common::ended(&mut cx, owner.unwrap()).await;
        cx.sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(children(&mut cx, &supervisor).await, []);
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn start_with_spawn_opt() {
    simulated(|mut cx| async move {
        let options = otp_vm::SpawnOptions::new().priority(otp_vm::Priority::High);
        let tasks = TaskSupervisor::start_link(&mut cx, flags()).spawn_opt(options);
        let pid = tasks.await.unwrap().pid().expect("by pid");
        let info = cx.process_info(pid).unwrap();
        assert_eq!(info.priority, otp_vm::Priority::High);
    });
}
