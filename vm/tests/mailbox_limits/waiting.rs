//! Senders that wait for room in a mailbox.

use super::*;

#[test]
fn those_that_wait_get_in_by_turns() {
    seeds(0..20, |mut cx| async move {
        let reader = spawn_limited(&cx, MailboxLimit::reject(1), |mut cx| async move {
            let go: String = {
                // The first message stays until all wait.
                while cx.process_info(cx.pid()).unwrap().mailbox.waiting_senders < 5 {
                    cx.sleep(ms(1)).await;
                }
                expect(&mut cx).await
            };
            assert_eq!(go, "first");
            let mut order: Vec<u64> = Vec::new();
            while order.len() < 5 {
                order.push(expect(&mut cx).await);
                dawdle(&cx).await;
            }
            cx.send(cx.parent(), &order).unwrap();
        });
        cx.send(reader, "first").unwrap();
        for number in 0..5_u64 {
            cx.spawn_link(move |cx| async move {
                cx.send_wait(reader, &number).await.unwrap();
            })
            .unwrap();
            let waits = |cx: &Context| cx.process_info(reader).unwrap().mailbox.waiting_senders;
            while waits(&cx) < number as usize + 1 {
                cx.tick(10).await;
            }
        }
        let order: Vec<u64> = expect(&mut cx).await;
        assert_eq!(order, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_wait_that_is_dropped_sends_nothing_and_leaves_its_turn_to_the_next() {
    seeds(0..30, |mut cx| async move {
        let reader = spawn_limited(&cx, MailboxLimit::reject(1), |mut cx| async move {
            let mut got: Vec<u64> = Vec::new();
            cx.sleep(ms(1)).await;
            while let Some(number) = cx.receive_as(ms(50)).await {
                got.push(number);
                cx.sleep(Duration::from_micros(random() % 500)).await;
            }
            let waiting = cx.process_info(cx.pid()).unwrap().mailbox.waiting_senders;
            cx.send(cx.parent(), &(got, waiting)).unwrap();
        });
        for number in 0..10_u64 {
            cx.spawn_link(move |cx| async move {
                let patience = Duration::from_micros(500 + random() % 2500);
                let sent = timeout(patience, cx.send_wait(reader, &number)).await;
                cx.send(cx.parent(), &sent.is_ok().then_some(number))
                    .unwrap();
            })
            .unwrap();
        }
        let mut sent = Vec::new();
        for _ in 0..10 {
            sent.extend(expect::<Option<u64>>(&mut cx).await);
        }
        let (mut got, waiting): (Vec<u64>, usize) = expect(&mut cx).await;
        got.sort_unstable();
        sent.sort_unstable();
        assert_eq!((got, waiting), (sent, 0));
    });
}

#[test]
fn a_wait_ends_when_the_receiver_does_or_its_limit_is_taken_away() {
    seeds(0..10, |mut cx| async move {
        for ends in [true, false] {
            let options = SpawnOptions::new()
                .mailbox_limit(MailboxLimit::reject(1))
                .trap_exit();
            let full = cx
                .spawn_opt(options, move |mut cx| async move {
                    cx.receive_where(Timeout::Infinity, |message| message.exit())
                        .await;
                    if !ends {
                        cx.set_mailbox_limit(MailboxLimit::NONE);
                        asleep(cx).await;
                    }
                })
                .unwrap()
                .pid;
            cx.send(full, &0).unwrap();
            let waiters: Vec<_> = (0..4)
                .map(|number| {
                    let waiter = move |cx: Context| async move {
                        cx.send_wait(full, &number).await.unwrap();
                    };
                    cx.spawn_monitor(waiter).unwrap().1
                })
                .collect();
            while cx.process_info(full).unwrap().mailbox.waiting_senders < 4 {
                cx.tick(10).await;
            }
            cx.exit_process(full, ExitReason::from("now"));
            for waiter in waiters {
                assert_eq!(down(&mut cx, waiter).await, ExitReason::normal());
            }
            if !ends {
                assert_eq!(len(&cx, full), 5);
            }
            // To who is gone: no error.
            cx.exit_process(full, ExitReason::kill());
            while cx.is_alive(full).await {}
            cx.send_wait(full, &1).await.unwrap();
        }
    });
}

#[test]
fn waiting_for_room_in_ones_own_mailbox_is_an_error() {
    seeds(0..3, |cx| async move {
        cx.set_mailbox_limit(MailboxLimit::drop_newest(1));
        cx.send_wait(cx.pid(), &1).await.unwrap();
        let full = cx.send_wait(cx.pid(), &2).await;
        assert!(matches!(full, Err(SendError::MailboxFull(_))));
        cx.set_mailbox_limit(MailboxLimit::tell(1));
        cx.send_wait(cx.pid(), &2).await.unwrap();
        assert_eq!(cx.message_queue_len(), 2);
    });
}

#[test]
fn the_host_waits_for_room_on_threads_and_in_simulations() {
    let vm = Vm::builder().schedulers(2).build().unwrap();
    let options = SpawnOptions::new().mailbox_limit(MailboxLimit::reject(4));
    let (out, sums) = std::sync::mpsc::channel();
    let reader = vm
        .spawn_opt(options, move |mut cx| async move {
            let mut sum = 0;
            for _ in 0..400 {
                assert!(cx.message_queue_len() <= 4);
                sum += expect::<u64>(&mut cx).await;
            }
            out.send(sum).unwrap();
        })
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    vm.send_wait(reader, &1).unwrap().wait().unwrap();
                }
            });
        }
    });
    assert_eq!(sums.recv_timeout(LIMIT).unwrap(), 400);
    let sending = vm.send_wait(reader, &1).unwrap();
    let run = vm.run(|_| async move { sending.wait() });
    assert_eq!(run.wait().unwrap(), Err(SendWaitError::OnSchedulerThread));
    vm.shutdown(LIMIT).wait();

    let mut simulation = Simulation::new(7).unwrap();
    let vm = Vm::builder().simulate(&simulation).build().unwrap();
    let reader = vm
        .spawn_opt(
            SpawnOptions::new().mailbox_limit(MailboxLimit::reject(1)),
            idle,
        )
        .unwrap();
    for number in 0..20 {
        let sending = vm.send_wait(reader, &number).unwrap();
        simulation.block_on(sending).unwrap();
    }
    let sending = vm.send_wait(reader, &1).unwrap();
    assert_eq!(sending.wait(), Err(SendWaitError::Simulated));
}
