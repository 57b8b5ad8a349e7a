//! Sending, receiving, calling.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Foreign, LIMIT, down, expect, run};
use otp_vm::{
    CallError, Context, ExitReason, HOST, IntervalError, LEAST_MAX_MESSAGE_SIZE_BYTES, MessageKind,
    Native, SendError, Timeout, TimerError, Vm,
};
use serde::{Deserialize, Serialize};

/// Answers `{add, A, B}` calls until it is told to stop.
async fn adder(mut cx: Context) {
    loop {
        let message = cx.receive().await;
        if let MessageKind::Call { from, request } = message.kind() {
            let (left, right): (i64, i64) = otp_vm::from_term(request).expect("two numbers");
            cx.reply(&from, &(left + right)).expect("a number encodes");
        }
    }
}

#[test]
fn messages_are_copies() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Order {
        id: u64,
        items: Vec<String>,
    }
    run(|mut cx| async move {
        let mut order = Order {
            id: 1,
            items: vec!["tea".into()],
        };
        cx.send(cx.pid(), &order).unwrap();
        order.items.push("cake".into());
        let got: Order = expect(&mut cx).await;
        assert_eq!(
            got,
            Order {
                id: 1,
                items: vec!["tea".into()]
            }
        );
    });
}

/// Each of the senders has as many turns as the receiver. If their sends cost nothing more, nearly all would pile up.
#[test]
fn a_receiver_keeps_up_with_many_senders() {
    const SENDERS: u64 = 50;
    const EACH: u64 = 2_000;
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let unread = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&unread);
    let most = vm.run(move |mut cx| async move {
        let receiver = cx.pid();
        for _ in 0..SENDERS {
            let unread = Arc::clone(&counted);
            let send = move |cx: Context| async move {
                for number in 0..EACH {
                    unread.fetch_add(1, Ordering::Relaxed);
                    cx.send(receiver, &number).unwrap();
                    cx.tick(0).await;
                }
            };
            cx.spawn(send).unwrap();
        }
        let mut most = 0;
        for _ in 0..SENDERS * EACH {
            cx.receive().await;
            most = most.max(counted.fetch_sub(1, Ordering::Relaxed));
        }
        most
    });
    let most = most.wait().unwrap();
    assert!(most < SENDERS * EACH / 2, "{most} waited at once");
    assert_eq!(unread.load(Ordering::Relaxed), 0);
}

#[test]
fn a_native_resource_is_moved() {
    run(|mut cx| async move {
        let (sender, receiver) = std::sync::mpsc::channel::<u32>();
        cx.send(cx.pid(), &Native::new(sender)).unwrap();
        let sender: Native<std::sync::mpsc::Sender<u32>> = expect(&mut cx).await;
        sender.into_inner().expect("not taken yet").send(9).unwrap();
        assert_eq!(receiver.recv().unwrap(), 9);
    });
}

#[test]
fn sends_to_the_dead_are_silent_and_to_no_name_an_error() {
    run(|mut cx| async move {
        let (dead, _) = cx.spawn_monitor(|_| async {}).unwrap();
        cx.receive().await;
        assert!(cx.send(dead, &1).is_ok());
        assert!(matches!(
            cx.send("no such name", &1),
            Err(SendError::NoName)
        ));
    });
}

#[test]
fn a_selective_receive_leaves_the_others_in_order() {
    run(|mut cx| async move {
        for number in 0..10 {
            cx.send(cx.pid(), &number).unwrap();
        }
        let number = |message: &otp_vm::Message| message.decode::<i32>().ok();
        let seven = cx
            .receive_where(LIMIT, |message| number(message).filter(|n| *n == 7))
            .await;
        assert_eq!(seven, Some(7));
        let two = cx
            .receive_where(LIMIT, |message| number(message).filter(|n| *n == 2))
            .await;
        assert_eq!(two, Some(2));
        for expected in [0, 1, 3, 4, 5, 6, 8, 9] {
            assert_eq!(expect::<i32>(&mut cx).await, expected);
        }
    });
}

#[test]
fn a_dropped_receive_loses_nothing() {
    run(|mut cx| async move {
        for number in 0..3 {
            cx.send(cx.pid(), &number).unwrap();
        }
        let none = cx.receive_where(Duration::ZERO, |_| None::<()>).await;
        assert_eq!(none, None);
        {
            let mut pending = std::pin::pin!(cx.receive_where(Timeout::Infinity, |_| None::<()>));
            std::future::poll_fn(|task| {
                assert!(pending.as_mut().poll(task).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        for expected in 0..3 {
            assert_eq!(expect::<i32>(&mut cx).await, expected);
        }
    });
}

#[test]
fn a_panic_in_a_selecting_closure_ends_only_its_process() {
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|mut cx| async move {
                cx.send(cx.pid(), &1).unwrap();
                cx.receive_where(LIMIT, |_| -> Option<()> { panic!("in the closure") })
                    .await;
            })
            .unwrap();
        let reason = down(&mut cx, monitor).await;
        assert!(reason.to_string().contains("in the closure"));
    });
}

#[test]
fn a_receive_times_out_and_not_before() {
    run(|mut cx| async move {
        let before = cx.monotonic_time();
        assert!(
            cx.receive_timeout(Duration::from_millis(30))
                .await
                .is_none()
        );
        assert!(cx.monotonic_time() - before >= 30_000_000);
        assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
        cx.send(cx.pid(), &1).unwrap();
        assert!(cx.receive_timeout(Duration::ZERO).await.is_some());
    });
}

#[test]
fn a_call_gives_the_reply() {
    run(|mut cx| async move {
        let server = cx.spawn(adder).unwrap();
        for number in 0..1_000_i64 {
            assert_eq!(
                cx.call::<_, i64>(server, &(number, 1), LIMIT)
                    .await
                    .unwrap(),
                number + 1
            );
        }
        // Each call's monitor ended with its reply.
        assert_eq!(cx.process_info(server).unwrap().monitored_by, []);
    });
}

#[test]
fn a_call_to_the_dead_the_dying_and_oneself_says_so() {
    run(|mut cx| async move {
        let (dead, _) = cx.spawn_monitor(|_| async {}).unwrap();
        cx.receive().await;
        let error = cx.call::<_, ()>(dead, &(1, 2), LIMIT).await.unwrap_err();
        assert!(matches!(error, CallError::Exit(reason) if reason == ExitReason::noproc()));

        let dying = cx
            .spawn(|mut cx| async move {
                cx.receive().await;
                Err::<(), _>("while serving")
            })
            .unwrap();
        let error = cx.call::<_, ()>(dying, &(1, 2), LIMIT).await.unwrap_err();
        assert!(
            matches!(error, CallError::Exit(reason) if reason == ExitReason::from("while serving"))
        );

        let error = cx
            .call::<_, ()>(cx.pid(), &(1, 2), LIMIT)
            .await
            .unwrap_err();
        assert!(matches!(error, CallError::CallingSelf));
    });
}

#[test]
fn a_late_reply_is_dropped() {
    run(|mut cx| async move {
        let parent = cx.pid();
        let server = cx
            .spawn(move |mut cx| async move {
                let message = cx.receive().await;
                let MessageKind::Call { from, .. } = message.kind() else {
                    panic!("no call: {message}")
                };
                // Only when the caller has given up.
                cx.receive().await;
                cx.reply(&from, "late").unwrap();
                cx.send(parent, "sent").unwrap();
                cx.receive().await;
            })
            .unwrap();
        let error = cx
            .call::<_, String>(server, &(), Duration::from_millis(5))
            .await
            .unwrap_err();
        assert!(matches!(error, CallError::Timeout));
        cx.send(server, "go on").unwrap();
        // The first message is not the late reply, which was sent before.
        assert_eq!(expect::<String>(&mut cx).await, "sent");
        assert_eq!(cx.message_queue_len(), 0);
        cx.send(server, "end").unwrap();
    });
}

#[test]
fn another_process_may_reply_in_the_servers_place() {
    run(|mut cx| async move {
        let server = cx
            .spawn(|mut cx| async move {
                let message = cx.receive().await;
                let MessageKind::Call { from, .. } = message.kind() else {
                    panic!("no call: {message}")
                };
                cx.spawn(move |cx| async move { cx.reply(&from, "from the helper").unwrap() })
                    .unwrap();
                cx.receive().await;
            })
            .unwrap();
        assert_eq!(
            cx.call::<_, String>(server, &(), LIMIT).await.unwrap(),
            "from the helper"
        );
        // The caller took its monitor back: it is behind the reply in the order of signals.
        assert!(cx.is_alive(server).await);
        assert_eq!(cx.process_info(server).unwrap().monitored_by, []);
        cx.send(server, "end").unwrap();
    });
}

#[test]
fn requests_may_be_many_and_answered_in_any_order() {
    run(|mut cx| async move {
        let server = cx.spawn(adder).unwrap();
        let requests: Vec<_> = (0..100_i64)
            .map(|n| cx.send_request(server, &(n, n)).unwrap())
            .collect();
        for (number, request) in requests.into_iter().enumerate().rev() {
            let sum: i64 = cx.receive_response(request, LIMIT).await.unwrap();
            assert_eq!(sum, 2 * number as i64);
        }
        drop(cx.send_request(server, &(1, 1)).unwrap());
        assert_eq!(cx.call::<_, i64>(server, &(1, 1), LIMIT).await.unwrap(), 2);
        assert_eq!(cx.message_queue_len(), 0);
    });
}

#[test]
fn a_call_costs_the_same_behind_a_full_mailbox() {
    run(|mut cx| async move {
        let server = cx.spawn(adder).unwrap();
        for number in 0..20_000 {
            cx.send(cx.pid(), &number).unwrap();
        }
        for number in 0..2_000_i64 {
            assert_eq!(
                cx.call::<_, i64>(server, &(number, 0), LIMIT)
                    .await
                    .unwrap(),
                number
            );
        }
        assert_eq!(cx.message_queue_len(), 20_000);
    });
}

/// Messages lie until somebody looks for them; signals don't lie behind them.
#[test]
fn messages_to_who_receives_none_are_counted_and_hold_no_signal_up() {
    run(|mut cx| async move {
        let sleeper = cx
            .spawn(|cx| async move { cx.sleep(Duration::from_secs(3600)).await })
            .unwrap();
        let monitor = cx.monitor(sleeper);
        for number in 0..3 {
            cx.send(sleeper, &number).unwrap();
        }
        let request = cx.send_request(sleeper, &"hello").unwrap();
        // Its answer tells that all of it has arrived, and that the sleeper had a slice since.
        assert!(cx.is_alive(sleeper).await);
        cx.send(sleeper, &3).unwrap();
        assert_eq!(cx.process_info(sleeper).unwrap().message_queue_len, 5);
        cx.send(sleeper, &4).unwrap();
        cx.exit_process(sleeper, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        let answer = cx.receive_response::<()>(request, LIMIT).await;
        assert!(matches!(answer, Err(CallError::Exit(_))), "{answer:?}");
    });
}

#[test]
fn receives_wait_inside_foreign_combinators() {
    run(|mut cx| async move {
        let parent = cx.pid();
        let child = cx
            .spawn(move |mut cx| async move {
                let message = Foreign::new(cx.receive()).await;
                cx.send(parent, &message.decode::<i32>().unwrap()).unwrap();
                let none =
                    Foreign::new(Box::pin(cx.receive_timeout(Duration::from_millis(3)))).await;
                cx.send(parent, &none.is_none()).unwrap();
            })
            .unwrap();
        cx.send(child, &5).unwrap();
        assert_eq!(expect::<i32>(&mut cx).await, 5);
        assert!(expect::<bool>(&mut cx).await);
    });
}

#[test]
fn fan_in_from_both_schedulers_loses_nothing() {
    run(|mut cx| async move {
        const SENDERS: i64 = 50;
        const EACH: i64 = 400;
        let parent = cx.pid();
        for _ in 0..SENDERS {
            cx.spawn(move |cx| async move {
                for number in 0..EACH {
                    cx.send(parent, &number).unwrap();
                    cx.tick(10).await;
                }
            })
            .unwrap();
        }
        let mut sum = 0;
        for _ in 0..SENDERS * EACH {
            sum += expect::<i64>(&mut cx).await;
        }
        assert_eq!(sum, SENDERS * EACH * (EACH - 1) / 2);
        assert_eq!(cx.message_queue_len(), 0);
    });
}

/// Each way to send a message that is too large, counted; a shared binary is not what is copied.
#[test]
fn a_message_over_the_limit_is_an_error_of_its_sender() {
    let vm = Vm::builder()
        .schedulers(1)
        .max_message_size(LEAST_MAX_MESSAGE_SIZE_BYTES)
        .build()
        .unwrap();
    let large = vec![0_u64; 1000];
    assert!(matches!(vm.send(HOST, &large), Err(SendError::TooLarge(_))));
    assert!(matches!(vm.cast(HOST, &large), Err(SendError::TooLarge(_))));
    assert!(matches!(
        vm.send_wait(HOST, &large),
        Err(SendError::TooLarge(_))
    ));
    let run = vm.run(move |mut cx| async move {
        let me = cx.pid();
        let Err(SendError::TooLarge(error)) = cx.send(me, &large) else {
            panic!("it was sent");
        };
        assert!(error.bytes > 8000 && error.max_bytes == LEAST_MAX_MESSAGE_SIZE_BYTES);
        assert!(error.to_string().contains("the limit is 4096"), "{error}");
        assert!(matches!(cx.cast(me, &large), Err(SendError::TooLarge(_))));
        let waited = cx.send_wait(me, &large).await;
        assert!(matches!(waited, Err(SendError::TooLarge(_))));
        let due = Duration::from_millis(1);
        assert!(matches!(
            cx.send_after(due, me, &large),
            Err(TimerError::TooLarge(_))
        ));
        assert!(matches!(
            cx.start_timer(due, me, &large),
            Err(TimerError::TooLarge(_))
        ));
        assert!(matches!(
            cx.send_interval(due, me, &large),
            Err(IntervalError::TooLarge(_))
        ));
        // The server's reply is too large, and then it has another one.
        let server = cx
            .spawn(|mut cx| async move {
                let message = cx.receive().await;
                let MessageKind::Call { from, .. } = message.kind() else {
                    panic!("{message} is no call");
                };
                let reply = cx.reply(&from, &vec![0_u64; 1000]);
                assert!(matches!(reply, Err(SendError::TooLarge(_))));
                cx.reply(&from, "too large").unwrap();
            })
            .unwrap();
        let refused = cx
            .call::<_, String>(server, &large, Timeout::Infinity)
            .await;
        assert!(matches!(refused, Err(CallError::TooLarge(_))));
        let reply: String = cx.call(server, &(), Timeout::Infinity).await.unwrap();
        assert_eq!(reply, "too large");
        assert_eq!(cx.message_queue_len(), 0);
        // A binary is shared.
        let text = "x".repeat(100_000);
        cx.send(me, &text).unwrap();
        assert_eq!(cx.receive().await.decode::<String>().unwrap(), text);
    });
    run.wait().unwrap();
    assert_eq!(vm.system_info().messages_too_large, 11);
    vm.shutdown(LIMIT).wait();
}
