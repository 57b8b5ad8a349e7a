//! What holds of a mailbox while a selective receive looks at it, beyond OTP's cases.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;

use otp_vm::{Context, ExitReason, MessageQueueData, Pid, Timeout, receive};

use crate::common::{Foreign, LIMIT, bounded, down, expect, idle};
use crate::virtual_time::{ms, simulated};

#[test]
fn counts_and_lists_of_messages_agree_while_a_receive_scans() {
    simulated(async |mut cx: Context| {
        for number in 0..10_u32 {
            cx.send(cx.pid(), &number).unwrap();
        }
        let (vm, pid) = (cx.vm().clone(), cx.pid());
        let mut looks = 0;
        let found = cx.receive_where(ms(0), |message| {
            let number: u32 = message.decode().unwrap();
            // More come meanwhile.
            vm.send(pid, &(10 + number)).unwrap();
            looks += 1;
            let texts = vm.process_messages(pid).unwrap().into_iter();
            let texts: Vec<u32> = texts
                .map(|term| otp_vm::from_term(term.root()).unwrap())
                .collect();
            assert_eq!(texts, (0..=10 + number).collect::<Vec<_>>());
            let info = vm.process_info(pid).unwrap();
            assert_eq!(info.message_queue_len, texts.len());
            assert_eq!(info.heap.message_queue_data, MessageQueueData::OnHeap);
            (number == 7).then_some(number)
        });
        assert_eq!(found.await, Some(7));
        assert_eq!((looks, cx.message_queue_len()), (8, 17));
    });
}

/// As `select!` does with the branch that lost.
#[test]
fn a_receive_that_loses_a_race_takes_no_message_and_changes_no_order() {
    simulated(async |mut cx: Context| {
        for round in 0..20_u32 {
            for number in 0..5_u32 {
                cx.send(cx.pid(), &number).unwrap();
            }
            let pid = cx.pid();
            let late = cx.send_after(ms(1), pid, &5_u32).unwrap();
            {
                let never = cx.receive_where(Timeout::Infinity, |_| None::<()>);
                let mut never = pin!(Foreign::new(never));
                let mut polls = 0;
                std::future::poll_fn(|task| {
                    assert!(never.as_mut().poll(task).is_pending());
                    polls += 1;
                    // Woken again by the message that comes late, in every second round.
                    if polls > round % 2 {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
            if round % 2 == 0 {
                cx.cancel_timer(late);
            }
            let last = if round % 2 == 0 { 4 } else { 5 };
            for number in 0..=last {
                assert_eq!(expect::<u32>(&mut cx).await, number);
            }
            assert_eq!(cx.message_queue_len(), 0);
        }
    });
}

#[test]
fn a_process_that_is_killed_while_its_receive_looks_keeps_what_it_looks_at() {
    bounded(2, async |mut cx: Context| {
        let parent = cx.pid();
        let (goes_on, waits) = mpsc::channel::<()>();
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let (victim, monitor) = cx
            .spawn_monitor(async move |mut cx: Context| {
                let long = "x".repeat(1000);
                for _ in 0..3 {
                    cx.send(cx.pid(), long.as_str()).unwrap();
                }
                let pid = cx.pid();
                let vm = cx.vm().clone();
                cx.receive_where(LIMIT, move |message| {
                    let _held = &held;
                    vm.send(parent, &pid).unwrap();
                    // Native code: its deputy ends it meanwhile.
                    let _ = waits.recv();
                    assert_eq!(message.decode::<&str>().unwrap().len(), 1000);
                    vm.send(parent, "looked").unwrap();
                    None::<()>
                })
                .await;
            })
            .unwrap();
        assert_eq!(expect::<Pid>(&mut cx).await, victim);
        cx.exit_process(victim, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        drop(goes_on);
        // Its slice is over with this look.
        let looked = cx.receive_as::<String>(LIMIT).await;
        assert_eq!(looked.as_deref(), Some("looked"));
        while Arc::strong_count(&alive) > 1 {
            cx.yield_now().await;
        }
    });
}

#[test]
fn arms_await_bind_and_are_tried_in_order() {
    simulated(async |mut cx: Context| {
        let helper = cx.spawn_link(idle).unwrap();
        cx.send(cx.pid(), &(otp_vm::atoms::OK, 1)).unwrap();
        cx.send(cx.pid(), "text").unwrap();
        let mut turns = 0;
        let sum = loop {
            turns += 1;
            let number = receive!(cx, {
                {ok, number: i64} => {
                    assert!(cx.is_alive(helper).await);
                    number
                },
                text: &str => break text.len() as i64,
                after ms(1) => panic!("both are there"),
            });
            assert_eq!((turns, number), (1, 1));
        };
        assert_eq!((turns, sum), (2, 4));
        assert!(receive!(cx, { _ => false, after ms(3) => true }));
        cx.unlink(helper);
    });
}
