//! `async_stream_nolink`.

use otp_stdlib::task;

use super::streams::*;
use super::*;

#[test]
fn streams_an_enumerable_with_fun() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let stream =
            TaskSupervisor::async_stream_nolink(&supervisor, 1..=4, sleep).max_concurrency(4);
        assert_eq!(stream.collect(&mut cx).await, one_to_four());
    });
}

#[test]
fn streams_an_enumerable_with_mfa() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let calls = sleep_calls(&cx);
        let stream = TaskSupervisor::async_stream_nolink(&supervisor, calls, task::apply::<u64>);
        assert_eq!(
            values(&mut cx, stream.max_concurrency(4)).await,
            one_to_four()
        );
    });
}

#[test]
fn streams_an_enumerable_without_leaking_tasks() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let stream =
            TaskSupervisor::async_stream_nolink(&supervisor, 1..=4, sleep).max_concurrency(4);
        assert_eq!(stream.collect(&mut cx).await, one_to_four());
        assert_eq!(children(&mut cx, &supervisor).await, []);
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn streams_an_enumerable_with_slowest_first() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let stream = TaskSupervisor::async_stream_nolink(&supervisor, (1..=4).rev(), sleep)
            .max_concurrency(4);
        assert_eq!(stream.collect(&mut cx).await, ok([4, 3, 2, 1]));
    });
}

#[test]
fn streams_an_enumerable_with_exits() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let stream = TaskSupervisor::async_stream_nolink(&supervisor, 1..=4, yield_and_exit)
            .max_concurrency(4);
        assert_eq!(stream.collect(&mut cx).await, exits(1..=4));
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn shuts_down_unused_tasks() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let elements = [0, INFINITY, INFINITY, INFINITY];
        let stream =
            TaskSupervisor::async_stream_nolink(&supervisor, elements, sleep).max_concurrency(4);
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
        let mut stream =
            TaskSupervisor::async_stream_nolink(&supervisor, elements, sleep).max_concurrency(4);
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
        let make = |one: &TaskSupervisorRef| {
            TaskSupervisor::async_stream_nolink(one, [INFINITY; 3], sleep)
        };
        refused_stream(&mut cx, make).await;
    });
}
