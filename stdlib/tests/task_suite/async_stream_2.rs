//! `async_stream/2`.

use std::time::Duration;

use otp_stdlib::task::TaskMessage;

use super::streams::*;
use super::*;

#[test]
fn timeout() {
    simulated(|mut cx| async move {
        let stream = Task::async_stream([INFINITY], sleep).timeout(Duration::ZERO);
        let reason = catch_exit(stream.collect(&mut cx)).await;
        assert_eq!(reason.to_string(), "{timeout,{task,async_stream,[0]}}");
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn streams_an_enumerable_with_ordered_false() {
    simulated(|mut cx| async move {
        let elements = [400, 300, 200, 100];
        let one = Task::async_stream(elements, sleep).max_concurrency(1);
        let results = one.ordered(false).collect(&mut cx).await;
        assert_eq!(results, ok(elements));
        let four = Task::async_stream(elements, sleep).max_concurrency(4);
        let results = four.ordered(false).collect(&mut cx).await;
        assert_eq!(results, ok([100, 200, 300, 400]));
    });
}

#[test]
fn streams_an_enumerable_with_ordered_false_on_timeout_kill_task() {
    simulated(|mut cx| async move {
        let stream = Task::async_stream([100, 1, 100, 1], sleep)
            .max_concurrency(4)
            .ordered(false)
            .kill_task_on_timeout()
            .timeout(Duration::from_millis(50));
        let late = || failed(ExitReason::timeout(), None);
        let results = stream.collect(&mut cx).await;
        assert_eq!(results, [Ok(1), Ok(1), late(), late()]);
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn streams_an_enumerable_with_infinite_timeout() {
    simulated(|mut cx| async move {
        let stream = Task::async_stream([3_600_000], sleep).timeout(None);
        assert_eq!(stream.collect(&mut cx).await, ok([3_600_000]));
    });
}

#[test]
fn does_not_allow_streaming_with_max_concurrency_0() {
    simulated(|_| async move {
        let refused = catch_exit(async { Task::async_stream([1], sleep).max_concurrency(0) });
        let texts = ["max_concurrency must be an integer greater than zero".to_owned()];
        assert_says(&refused.await, &texts);
    });
}

#[test]
fn streams_with_fake_down_messages_on_the_inbox() {
    simulated(|mut cx| async move {
        let parent = cx.pid();
        let body = move |cx: Context, element: u64| async move {
            let links = cx.process_info(cx.pid()).unwrap().links;
            assert!(!links.is_empty());
            for link in links {
                let (reference, oops) = (cx.make_ref(), atom("oops"));
                let down = (atoms::DOWN, reference, atoms::PROCESS, parent, oops);
                cx.send(link, &down).unwrap();
            }
            element
        };
        assert_eq!(
            Task::async_stream([7], body).collect(&mut cx).await,
            ok([7])
        );
    });
}

#[test]
fn with_callers() {
    simulated(|mut cx| async move {
        let grandparent = cx.pid();
        let outer = Task::async_stream([1], move |mut cx: Context, _| async move {
            let parent = cx.pid();
            assert_eq!(cx.origin().unwrap().callers, [grandparent]);
            let inner = Task::async_stream([1], move |cx: Context, _| async move {
                assert_eq!(cx.origin().unwrap().callers, [parent, grandparent]);
                cx.send(grandparent, "done").unwrap();
            });
            inner.run(&mut cx).await;
        });
        outer.run(&mut cx).await;
        expect(&mut cx, "done").await;
    });
}

#[test]
fn consuming_from_another_process() {
    simulated(|mut cx| async move {
        let parent = cx.pid();
        let stream = Task::async_stream([1, 2, 3], move |cx: Context, n: u64| async move {
            cx.send(parent, &n).unwrap();
        });
        Task::start(&cx, |mut cx| async move { stream.run(&mut cx).await }).unwrap();
        for _ in 0..3 {
            cx.receive_as::<u64>(common::LIMIT).await.expect("a number");
        }
    });
}

#[test]
fn wrapping_a_flat_map_concat_with_a_haltable_stream() {
    simulated(|mut cx| async move {
        let elements = (1..4).flat_map(|n| [n, n]).chain(1..).take(7);
        let results = Task::async_stream(elements, sleep).collect(&mut cx).await;
        assert_eq!(results, ok([1, 1, 2, 2, 3, 3, 1]));
        let none = [[]; 2].concat().into_iter();
        assert_eq!(Task::async_stream(none, sleep).collect(&mut cx).await, []);
    });
}

#[test]
fn whoever_drops_a_next_loses_nothing() {
    simulated(|mut cx| async move {
        let mut stream = Task::async_stream([5, 1, 3], sleep).max_concurrency(3);
        let mut results = Vec::new();
        while results.len() < 3 {
            match otp_vm::timeout(Duration::from_micros(700), stream.next(&mut cx)).await {
                Ok(result) => results.push(result.expect("there are three")),
                Err(_) => cx.sleep(Duration::from_micros(200)).await,
            }
        }
        assert_eq!(results, ok([5, 1, 3]));
        assert!(stream.next(&mut cx).await.is_none() && stream.next(&mut cx).await.is_none());
    });
}

#[test]
fn a_stream_that_is_dropped_leaves_nobody() {
    simulated(|mut cx| async move {
        for traps in [false, true] {
            cx.trap_exit(traps);
            let elements = [0, INFINITY, INFINITY, INFINITY];
            let mut stream = Task::async_stream(elements, sleep).max_concurrency(3);
            assert_eq!(stream.next(&mut cx).await, Some(Ok(0)));
            assert!(cx.vm().processes().len() > 3);
            drop(stream);
            cx.sleep(Duration::from_secs(1)).await;
            assert_eq!(cx.vm().processes(), [cx.pid()]);
            assert!(no_message(&mut cx).await);
        }
    });
}

#[test]
fn a_task_that_fails_takes_a_consumer_along_that_does_not_trap_exits_and_all_tasks() {
    simulated(|mut cx| async move {
        let consumer = |mut cx: Context| async move {
            let body = |cx: Context, n: u64| async move {
                match n {
                    0 => cx.exit(atom("oops")),
                    n => sleep(cx, n).await,
                }
            };
            let stream = Task::async_stream([INFINITY, 0], body).max_concurrency(2);
            stream.collect(&mut cx).await;
        };
        let (_, monitor) = cx.spawn_monitor(consumer).unwrap();
        assert_eq!(down(&mut cx, monitor).await, atom("oops"));
        cx.sleep(Duration::from_secs(1)).await;
        assert_eq!(cx.vm().processes(), [cx.pid()]);
    });
}

#[test]
fn the_end_of_the_consumer_is_that_of_the_tasks() {
    simulated(|cx| async move {
        for reason in [ExitReason::kill(), atom("oops")] {
            let consumer = |mut cx: Context| async move {
                Task::async_stream([INFINITY; 3], sleep).run(&mut cx).await;
            };
            let consumer = cx.spawn(consumer).unwrap();
            cx.sleep(Duration::from_secs(1)).await;
            assert!(cx.vm().processes().len() > 2);
            cx.exit_process(consumer, reason);
            cx.sleep(Duration::from_secs(1)).await;
            assert_eq!(cx.vm().processes(), [cx.pid()]);
        }
    });
}

#[test]
fn a_stream_has_one_consumer() {
    simulated(|mut cx| async move {
        let mut stream = Task::async_stream([1, INFINITY], sleep).max_concurrency(2);
        assert_eq!(stream.next(&mut cx).await, Some(Ok(1)));
        let other = Task::async_(&cx, |mut cx| async move {
            catch_exit(stream.next(&mut cx)).await.to_string()
        });
        let reason = other.unwrap().await_(&mut cx).await;
        assert!(reason.contains("consumes this stream"), "{reason}");
    });
}

#[test]
fn other_messages_are_none_of_a_task() {
    simulated(|cx| async move {
        for text in ["a text", ""] {
            assert!(
                otp_vm::from_term::<TaskMessage<u8>>(otp_vm::to_term(text).unwrap().root())
                    .is_err()
            );
        }
        let short = otp_vm::to_term(&(cx.make_ref(),)).unwrap();
        assert!(otp_vm::from_term::<TaskMessage<u8>>(short.root()).is_err());
        let wrong = otp_vm::to_term(&(cx.make_ref(), Native::new("a text"))).unwrap();
        assert!(otp_vm::from_term::<TaskMessage<u8>>(wrong.root()).is_err());
    });
}
