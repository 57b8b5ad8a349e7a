//! Starting tasks: what they are, whom they are linked with, on whose behalf they run.

use otp_stdlib::prelude::*;
use otp_stdlib::proc_lib::translate_initial_call;
use otp_stdlib::supervisor::Childspec;
use otp_stdlib::task::{self, TaskMessage};
use otp_vm::{Atom, Call, Context, ExitReason, InitialCall, Mfa, Pid};

use super::common::LIMIT;
use super::*;

fn links(cx: &Context) -> Vec<Pid> {
    cx.process_info(cx.pid()).expect("it is alive").links
}

/// The initial call is a closure of this file.
fn assert_closure(cx: &Context, pid: Pid) {
    match translate_initial_call(cx.vm(), pid) {
        Some(InitialCall::Fun(name)) => assert!(name.contains("task_suite::starting"), "{name}"),
        other => panic!("{other:?}"),
    }
}

fn mfa() -> InitialCall {
    InitialCall::Mfa(Mfa {
        module: Atom::new("task_test").unwrap(),
        function: Atom::new("wait_and_send").unwrap(),
        arity: 2,
    })
}

fn call(cx: &Context) -> Call {
    cx.vm().load_module(task_test::module()).unwrap();
    Call::new("task_test", "wait_and_send", &(cx.pid(), "done")).unwrap()
}

/// What the process said that it was started on behalf of.
fn callers(cx: &Context) -> Vec<Pid> {
    cx.origin().expect("it is noted").callers.clone()
}

async fn specification(cx: &mut Context, spec: ChildSpec) -> Childspec {
    let id = spec.id().clone();
    let flags = SupervisorFlags::one_for_one();
    let supervisor = Supervisor::start_link(cx, flags, vec![]).await.unwrap();
    // A temporary child is forgotten when it ends: this one does not.
    supervisor.start_child(cx, spec).await.unwrap();
    supervisor.get_childspec(cx, id).await.unwrap()
}

#[test]
fn can_be_supervised_directly() {
    simulated(|mut cx| async move {
        let flags = SupervisorFlags::one_for_one();
        let children = vec![Task::child_spec(async |_| ())];
        Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
    });
}

#[test]
fn generates_child_spec_1() {
    simulated(|mut cx| async move {
        let body = async |mut cx: Context| common::for_ever(&mut cx).await;
        let spec = specification(&mut cx, Task::child_spec(body)).await;
        assert_eq!(spec.id, "Task");
        assert_eq!(spec.restart, Restart::Temporary);
        assert_eq!(
            spec.shutdown,
            Shutdown::After(std::time::Duration::from_secs(5))
        );
        let spec = Task::child_spec_with_id("id", body)
            .restart(Restart::Permanent)
            .shutdown(Shutdown::Infinity);
        let spec = specification(&mut cx, spec).await;
        assert_eq!(spec.id, "id");
        assert_eq!(spec.restart, Restart::Permanent);
        assert_eq!(spec.shutdown, Shutdown::Infinity);
    });
}

#[test]
fn async_1() {
    simulated(|mut cx| async move {
        let parent = cx.pid();
        let body = move |mut cx| async move { wait_and_send(&mut cx, parent, "done").await };
        let task = Task::async_(&cx, body).unwrap();
        let pid = task.pid().expect("a process");
        assert_eq!(task.owner(), parent);
        assert!(matches!(task.mfa(), Some(InitialCall::Fun(_))));
        assert!(links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_closure(&cx, pid);
        cx.send(pid, "go").unwrap();
        expect(&mut cx, "done").await;

        // The reply, and the message of the monitor.
        let of = task.reference();
        let reply = cx.receive_as::<TaskMessage<String>>(LIMIT).await;
        assert_eq!(reply, Some(TaskMessage::Reply(of, "done".into())));
        let down = cx.receive_as::<TaskMessage<String>>(LIMIT).await;
        assert_eq!(down, Some(TaskMessage::Down(of, ExitReason::normal())));
    });
}

#[test]
fn async_3() {
    simulated(|mut cx| async move {
        let task = Task::<String>::async_apply(&cx, call(&cx)).unwrap();
        let pid = task.pid().expect("a process");
        assert_eq!(task.mfa(), Some(mfa()));
        assert!(links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_eq!(translate_initial_call(cx.vm(), pid), Some(mfa()));
        cx.send(pid, "go").unwrap();
        assert_eq!(task.await_(&mut cx).await, "done");
        expect(&mut cx, "done").await;
    });
}

#[test]
fn async_with_callers() {
    simulated(|mut cx| async move {
        let grandparent = cx.pid();
        let outer = Task::async_(&cx, move |mut cx: Context| async move {
            let parent = cx.pid();
            assert_eq!(callers(&cx), [grandparent]);
            let inner = Task::async_(&cx, move |cx: Context| async move {
                assert_eq!(callers(&cx), [parent, grandparent]);
            });
            inner.unwrap().await_(&mut cx).await;
        });
        outer.unwrap().await_(&mut cx).await;
    });
}

#[test]
fn start_1() {
    simulated(|mut cx| async move {
        let parent = cx.pid();
        let body = move |mut cx| async move {
            wait_and_send(&mut cx, parent, "done").await;
        };
        let pid = Task::start(&cx, body).unwrap();
        assert!(!links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_closure(&cx, pid);
        cx.send(pid, "go").unwrap();
        expect(&mut cx, "done").await;
    });
}

#[test]
fn start_3() {
    simulated(|mut cx| async move {
        let call = call(&cx);
        let body = move |cx| async move { drop(task::apply::<String>(cx, call).await) };
        let pid = Task::start(&cx, body).unwrap();
        assert!(!links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_eq!(translate_initial_call(cx.vm(), pid), Some(mfa()));
        cx.send(pid, "go").unwrap();
        expect(&mut cx, "done").await;
    });
}

#[test]
fn completed_1() {
    simulated(|mut cx| async move {
        let task = Task::completed(&cx, "done").unwrap();
        assert_eq!(task.pid(), None);
        assert_eq!(task.await_(&mut cx).await, "done");
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn start_link_1() {
    simulated(|mut cx| async move {
        let parent = cx.pid();
        let body = move |mut cx| async move {
            wait_and_send(&mut cx, parent, "done").await;
        };
        let pid = Task::start_link(&cx, body).unwrap();
        assert!(links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_closure(&cx, pid);
        cx.send(pid, "go").unwrap();
        expect(&mut cx, "done").await;
    });
}

#[test]
fn start_link_3() {
    simulated(|mut cx| async move {
        let call = call(&cx);
        let body = move |cx| async move { drop(task::apply::<String>(cx, call).await) };
        let pid = Task::start_link(&cx, body).unwrap();
        assert!(links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_eq!(translate_initial_call(cx.vm(), pid), Some(mfa()));
        cx.send(pid, "go").unwrap();
        expect(&mut cx, "done").await;
    });
}

#[test]
fn start_link_with_callers() {
    simulated(|mut cx| async move {
        let grandparent = cx.pid();
        Task::start_link(&cx, move |cx: Context| async move {
            let parent = cx.pid();
            assert_eq!(callers(&cx), [grandparent]);
            Task::start_link(&cx, move |cx: Context| async move {
                assert_eq!(callers(&cx), [parent, grandparent]);
                cx.send(grandparent, "done").unwrap();
            })
            .unwrap();
        })
        .unwrap();
        expect(&mut cx, "done").await;
    });
}
