//! `async_stream`.

use otp_stdlib::task;

use super::streams::*;
use super::*;

#[test]
fn streams_an_enumerable_with_fun() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let stream = TaskSupervisor::async_stream(&supervisor, 1..=4, sleep);
        assert_eq!(stream.collect(&mut cx).await, one_to_four());
    });
}

#[test]
fn streams_an_enumerable_with_mfa() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let calls = sleep_calls(&cx);
        let stream = TaskSupervisor::async_stream(&supervisor, calls, task::apply::<u64>);
        assert_eq!(values(&mut cx, stream).await, one_to_four());
    });
}

#[test]
fn streams_an_enumerable_without_leaking_tasks() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let stream = TaskSupervisor::async_stream(&supervisor, 1..=4, sleep);
        assert_eq!(stream.collect(&mut cx).await, one_to_four());
        assert_eq!(children(&mut cx, &supervisor).await, []);
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn streams_an_enumerable_with_slowest_first() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let supervisor = supervisor(&mut cx).await;
        let stream = TaskSupervisor::async_stream(&supervisor, (1..=4).rev(), sleep);
        assert_eq!(stream.collect(&mut cx).await, ok([4, 3, 2, 1]));
    });
}

#[test]
fn streams_an_enumerable_with_exits() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let supervisor = supervisor(&mut cx).await;
        let stream = TaskSupervisor::async_stream(&supervisor, 1..=4, yield_and_exit);
        assert_eq!(stream.collect(&mut cx).await, exits(1..=4));
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn shuts_down_unused_tasks() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let elements = [0, INFINITY, INFINITY, INFINITY];
        let stream = TaskSupervisor::async_stream(&supervisor, elements, sleep);
        first_of_stuck(&mut cx, &supervisor, stream).await;
    });
}

#[test]
fn shuts_down_unused_tasks_without_leaking_messages() {
    simulated(|mut cx| async move {
        // By the drop of the stream, too.
        cx.trap_exit(true);
        let supervisor = supervisor(&mut cx).await;
        let elements = [0, INFINITY, INFINITY, INFINITY];
        let mut stream = TaskSupervisor::async_stream(&supervisor, elements, sleep);
        assert_eq!(stream.next(&mut cx).await, Some(Ok(0)));
        drop(stream);
        cx.sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(children(&mut cx, &supervisor).await, []);
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn raises_an_error_if_max_children_is_reached_with_clean_stream_shutdown() {
    simulated(|mut cx| async move {
        let make =
            |one: &TaskSupervisorRef| TaskSupervisor::async_stream(one, [INFINITY; 3], sleep);
        refused_stream(&mut cx, make).await;
    });
}

#[test]
fn with_callers() {
    simulated(|mut cx| async move {
        let (supervisor, grandparent) = (supervisor(&mut cx).await, cx.pid());
        let above = texts(&[supervisor.pid().unwrap(), grandparent]);
        let inner = supervisor.clone();
        let outer = TaskSupervisor::async_stream(&supervisor, [1], move |mut cx: Context, _| {
            let (supervisor, above) = (inner.clone(), above.clone());
            async move {
                let parent = cx.pid();
                assert_eq!(origin(&cx), (vec![grandparent], above.clone()));
                let inner =
                    TaskSupervisor::async_stream(&supervisor, [1], move |cx: Context, _| {
                        let above = above.clone();
                        async move {
                            assert_eq!(origin(&cx), (vec![parent, grandparent], above));
                            cx.send(grandparent, "done").unwrap();
                        }
                    });
                inner.run(&mut cx).await;
            }
        });
        outer.run(&mut cx).await;
        expect(&mut cx, "done").await;
    });
}

#[test]
fn consuming_from_another_process() {
    simulated(|mut cx| async move {
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |cx: Context, n: u64| async move { cx.send(parent, &n).unwrap() };
        let stream = TaskSupervisor::async_stream(&supervisor, [1, 2, 3], body);
        Task::start(&cx, |mut cx| async move { stream.run(&mut cx).await }).unwrap();
        for _ in 0..3 {
            cx.receive_as::<u64>(LIMIT).await.expect("a number");
        }
    });
}

#[test]
fn with_timeout_and_zip_input_on_exit_set_to_true() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let stream = TaskSupervisor::async_stream(&supervisor, [1, 100], sleep)
            .zip_input_on_exit()
            .kill_task_on_timeout()
            .timeout(std::time::Duration::from_millis(50));
        let results = stream.collect(&mut cx).await;
        assert_eq!(results, [Ok(1), failed(ExitReason::timeout(), Some(100))]);
    });
}

#[test]
fn with_outer_halt_on_failure_and_zip_input_on_exit() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let supervisor = supervisor(&mut cx).await;
        let stream = TaskSupervisor::async_stream(&supervisor, 1..=8, yield_and_exit);
        let mut stream = stream.zip_input_on_exit();
        for n in 1..=4 {
            let result = stream.next(&mut cx).await;
            assert_eq!(result, Some(failed(ExitReason::new(&n), Some(n))));
        }
    });
}
