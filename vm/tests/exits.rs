//! Exit signals, links and monitors: OTP's rules.

mod common;

use std::time::Duration;

use common::{Bomb, LIMIT, down, exit, expect, idle, run};
use otp_vm::{ExitReason, Pid, SpawnOptions, Vm, atoms};

#[test]
fn a_body_that_returns_exits_normal() {
    run(|mut cx| async move {
        let (_, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn who_hears_of_an_end_finds_the_process_counted_out() {
    // The room under the limit as well: one beside this process.
    let vm = Vm::builder()
        .schedulers(2)
        .max_processes(2)
        .build()
        .unwrap();
    let run = vm.run(|mut cx| async move {
        cx.trap_exit(true);
        for round in 0..2000 {
            let options = SpawnOptions::new().link().monitor();
            let child = cx.spawn_opt(options, |_| async {}).unwrap();
            let (linked, monitor) = (child.pid, child.monitor.unwrap());
            match round % 2 {
                0 => drop(exit(&mut cx, linked).await),
                _ => drop(down(&mut cx, monitor).await),
            }
            assert_eq!(cx.vm().system_info().process_count, 1);
            let next = cx.spawn_monitor(|_| async {});
            let (_, next) = next.expect("there is room for it");
            down(&mut cx, next).await;
            match round % 2 {
                0 => drop(down(&mut cx, monitor).await),
                _ => drop(exit(&mut cx, linked).await),
            }
        }
    });
    run.wait().unwrap();
    let report = vm.shutdown(LIMIT).wait().unwrap();
    assert!(report.is_orderly(), "{report:?}");
}

#[test]
fn a_body_may_return_its_reason() {
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|_| async { Err::<(), _>(ExitReason::new(&("bad", 1))) })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::new(&("bad", 1)));
    });
}

#[test]
fn a_panic_is_the_reason_with_its_place() {
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|_| async { panic!("broken {}", 7) })
            .unwrap();
        let reason = down(&mut cx, monitor).await;
        let (tag, text, place): (String, String, String) = reason.decode().unwrap();
        assert_eq!((tag.as_str(), text.as_str()), ("panic", "broken 7"));
        assert!(place.contains("exits.rs:"), "{place}");
    });
}

#[test]
fn a_panic_in_the_function_of_a_body_is_the_new_processs() {
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|_| {
                if true {
                    panic!("before the first await");
                }
                async {}
            })
            .unwrap();
        assert!(down(&mut cx, monitor).await.is_abnormal());
    });
}

#[test]
fn exit_unwinds_with_the_reason() {
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|cx| async move { cx.exit("enough") })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("enough"));
    });
}

#[test]
fn a_panic_payload_that_panics_when_dropped_is_contained() {
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|_| async { std::panic::panic_any(Bomb) })
            .unwrap();
        assert!(down(&mut cx, monitor).await.is_abnormal());
    });
}

#[test]
fn a_destructor_that_panics_in_a_killed_body_is_contained() {
    run(|mut cx| async move {
        let (pid, monitor) = cx
            .spawn_monitor(|cx| async move {
                let _bomb = Bomb;
                idle(cx).await;
            })
            .unwrap();
        assert!(cx.is_alive(pid).await);
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}

#[test]
fn kill_cannot_be_trapped_and_is_told_as_killed() {
    run(|mut cx| async move {
        let options = SpawnOptions::new().monitor().trap_exit();
        let spawned = cx.spawn_opt(options, idle).unwrap();
        cx.exit_process(spawned.pid, ExitReason::kill());
        let monitor = spawned.monitor.unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}

#[test]
fn a_link_that_dies_of_kill_sends_killed_which_can_be_trapped() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let pid = cx.spawn_link(idle).unwrap();
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(exit(&mut cx, pid).await, ExitReason::killed());
    });
}

#[test]
fn an_exit_reason_of_kill_over_a_link_can_be_trapped() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let pid = cx
            .spawn_link(|cx| async move { cx.exit(ExitReason::kill()) })
            .unwrap();
        assert_eq!(exit(&mut cx, pid).await, ExitReason::kill());
    });
}

#[test]
fn normal_from_another_is_ignored_from_oneself_it_is_not() {
    run(|mut cx| async move {
        let (pid, monitor) = cx.spawn_monitor(idle).unwrap();
        cx.exit_process(pid, ExitReason::normal());
        assert!(cx.is_alive(pid).await);
        cx.exit_process(pid, ExitReason::shutdown());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::shutdown());

        let (_, monitor) = cx
            .spawn_monitor(|cx| async move {
                cx.exit_process(cx.pid(), ExitReason::normal());
                idle(cx).await;
            })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn a_normal_exit_spares_links_that_do_not_trap() {
    run(|mut cx| async move {
        let parent = cx.pid();
        let (_, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                let child = cx.spawn_link(|_| async {}).unwrap();
                let monitor = cx.monitor(child);
                down(&mut cx, monitor).await;
                cx.send(parent, "still here").unwrap();
            })
            .unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "still here");
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn an_abnormal_exit_takes_a_chain_of_links_along() {
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|cx| async move {
                cx.spawn_link(|cx| async move {
                    cx.spawn_link(|_| async { Err::<(), _>("deep") }).unwrap();
                    idle(cx).await;
                })
                .unwrap();
                idle(cx).await;
            })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("deep"));
    });
}

#[test]
fn a_link_to_the_dead_is_noproc() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let (dead, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        down(&mut cx, monitor).await;
        cx.link(dead);
        assert_eq!(exit(&mut cx, dead).await, ExitReason::noproc());
    });
}

#[test]
fn that_nobody_is_there_to_link_is_not_taken_back_by_unlink() {
    run(|mut cx| async move {
        let (dead, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        down(&mut cx, monitor).await;
        cx.trap_exit(true);
        for _ in 0..2 {
            cx.link(dead);
            cx.unlink(dead);
            assert_eq!(exit(&mut cx, dead).await, ExitReason::noproc());
        }
    });
}

#[test]
fn an_unlinked_process_sends_no_exit() {
    run(|mut cx| async move {
        let (other, monitor) = cx.spawn_monitor(idle).unwrap();
        cx.link(other);
        cx.unlink(other);
        cx.exit_process(other, "gone");
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("gone"));
        // A link would have ended this process by now.
        assert!(!cx.is_alive(other).await);
    });
}

#[test]
fn a_monitor_of_nobody_is_noproc() {
    run(|mut cx| async move {
        let (dead, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        down(&mut cx, monitor).await;
        for monitor in [cx.monitor(dead), cx.monitor("nobody has this name")] {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::noproc());
        }
    });
}

/// The exit signal comes first, and who got it is gone.
#[test]
fn a_monitor_behind_an_exit_signal_is_noproc() {
    run(|mut cx| async move {
        for _ in 0..200 {
            let pid = cx.spawn(idle).unwrap();
            let before = cx.monitor(pid);
            cx.exit_process(pid, "gone");
            let behind = cx.monitor(pid);
            assert_eq!(down(&mut cx, behind).await, ExitReason::noproc());
            assert_eq!(down(&mut cx, before).await, ExitReason::from("gone"));
        }
    });
}

#[test]
fn demonitor_flushes_what_has_arrived() {
    run(|mut cx| async move {
        let (pid, reference) = cx.spawn_monitor(|_| async {}).unwrap();
        let second = cx.monitor(pid);
        down(&mut cx, second).await;
        // The first monitor's DOWN came before and waits in the mailbox.
        assert_eq!(cx.message_queue_len(), 1);
        assert!(!cx.demonitor_flush(reference));
        assert_eq!(cx.message_queue_len(), 0);
    });
}

#[test]
fn every_monitor_gets_its_own_down() {
    run(|mut cx| async move {
        let pid = cx.spawn(idle).unwrap();
        let mut references: Vec<_> = (0..20).map(|_| cx.monitor(pid)).collect();
        cx.exit_process(pid, ExitReason::shutdown());
        let mut got = Vec::new();
        for _ in 0..20 {
            got.push(cx.receive().await.down().expect("a DOWN").reference);
        }
        got.sort();
        references.sort();
        assert_eq!(got, references);
    });
}

#[test]
fn a_down_is_awaited_among_others_and_other_messages() {
    run(|mut cx| async move {
        let (first, of_first) = cx.spawn_monitor(idle).unwrap();
        let (second, of_second) = cx.spawn_monitor(idle).unwrap();
        let again = cx.monitor(second);
        cx.send(cx.pid(), "before").unwrap();
        assert_eq!(cx.await_down_timeout(of_first, Duration::ZERO).await, None);
        cx.exit_process(second, "second");
        let down = cx.await_down(of_second).await;
        assert_eq!(
            (down.reference, down.object.pid()),
            (of_second, Some(second))
        );
        assert_eq!(down.reason, ExitReason::from("second"));
        // The one that was not there in time stands.
        cx.exit_process(first, "first");
        let down = cx.await_down_timeout(of_first, LIMIT).await;
        assert_eq!(down.unwrap().reason, ExitReason::from("first"));
        // The rest is there, in its order.
        assert_eq!(expect::<String>(&mut cx).await, "before");
        assert_eq!(cx.receive().await.down().unwrap().reference, again);
        assert_eq!(cx.message_queue_len(), 0);
    });
}

#[test]
fn thousands_of_links_die_with_one() {
    run(|mut cx| async move {
        const LINKS: usize = 5_000;
        let parent = cx.pid();
        let (hub, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                for _ in 0..LINKS {
                    let pid = cx.spawn_link(idle).unwrap();
                    cx.send(parent, &pid).unwrap();
                }
                cx.receive().await;
                Err::<(), _>("hub")
            })
            .unwrap();
        let mut references = Vec::new();
        for _ in 0..LINKS {
            let pid = expect::<Pid>(&mut cx).await;
            references.push(cx.monitor(pid));
        }
        cx.send(hub, &atoms::OK).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("hub"));
        for _ in 0..LINKS {
            let down = cx
                .receive_timeout(LIMIT)
                .await
                .and_then(|message| message.down())
                .expect("a DOWN");
            assert_eq!(down.reason, ExitReason::from("hub"));
        }
    });
}

#[test]
fn signals_and_messages_of_one_sender_keep_their_order() {
    run(|mut cx| async move {
        for _ in 0..200 {
            let parent = cx.pid();
            let options = SpawnOptions::new().trap_exit();
            let pid = cx
                .spawn_opt(options, move |mut cx| async move {
                    for expected in 0..3 {
                        if expected == 1 {
                            assert!(cx.receive().await.exit().is_some());
                        } else {
                            assert_eq!(cx.receive().await.decode::<i32>().unwrap(), expected);
                        }
                    }
                    cx.send(parent, "in order").unwrap();
                })
                .unwrap()
                .pid;
            cx.send(pid, &0).unwrap();
            cx.exit_process(pid, "one");
            cx.send(pid, &2).unwrap();
            assert_eq!(expect::<String>(&mut cx).await, "in order");
        }
    });
}
