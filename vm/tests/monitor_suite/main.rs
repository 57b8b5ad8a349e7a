//! Cases of monitor_SUITE.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/seeds.rs"]
mod simulated;

mod aliases;
mod lists;

use std::time::Duration;

use common::{bounded, down, exit, expect, idle, run};
use otp_vm::{
    Atom, Context, Down, ExitReason, InfoItem, MessageQueueData, Monitored, OwnedTerm, Pid,
    Priority, Ref, SpawnOptions, random,
};
use simulated::seeds;

/// How long nothing comes, in virtual time.
const NOTHING: Duration = Duration::from_secs(1);

fn bang() -> ExitReason {
    ExitReason::new("bang")
}

async fn next_down(cx: &mut Context) -> Down {
    let message = cx.receive_timeout(common::LIMIT).await;
    let message = message.expect("a message in time");
    message.down().unwrap_or_else(|| panic!("{message}"))
}

async fn nothing_comes(cx: &mut Context) {
    let more = cx.receive_timeout(NOTHING).await;
    assert!(more.is_none(), "{more:?}");
}

/// A monitors B, and tells it to go; B exits A, and ends.
async fn exits_its_watcher(mut cx: Context, at_once: bool) {
    cx.trap_exit(true);
    let b = |mut cx: Context| async move {
        let a = expect::<Pid>(&mut cx).await;
        cx.exit_process(a, ExitReason::new("foo"));
    };
    let a = cx.spawn_link(move |cx| async move {
        let pid = if at_once {
            cx.spawn_monitor(b).unwrap().0
        } else {
            let pid = cx.spawn(b).unwrap();
            cx.monitor(pid);
            pid
        };
        cx.send(pid, &cx.pid()).unwrap();
        idle(cx).await;
    });
    let a = a.unwrap();
    assert_eq!(exit(&mut cx, a).await, ExitReason::new("foo"));
}

#[test]
fn case_1() {
    seeds(0..50, |cx| exits_its_watcher(cx, false));
}

#[test]
fn case_1a() {
    seeds(0..50, |cx| exits_its_watcher(cx, true));
}

/// A monitors B and hands it the reference, with which B can do nothing.
async fn hands_its_monitor_over(mut cx: Context, at_once: bool) {
    let b = |mut cx: Context| async move {
        let reference = expect::<Ref>(&mut cx).await;
        assert!(!cx.demonitor(reference));
    };
    let (pid, reference) = if at_once {
        cx.spawn_monitor(b).unwrap()
    } else {
        let pid = cx.spawn(b).unwrap();
        (pid, cx.monitor(pid))
    };
    cx.send(pid, &reference).unwrap();
    let down = next_down(&mut cx).await;
    assert_eq!((down.reference, down.object.pid()), (reference, Some(pid)));
    assert_eq!(down.reason, ExitReason::normal());
}

#[test]
fn case_2() {
    seeds(0..50, |cx| hands_its_monitor_over(cx, false));
}

#[test]
fn case_2a() {
    seeds(0..50, |cx| hands_its_monitor_over(cx, true));
}

/// What can be given wrong here is nobody, and no error.
#[test]
fn mon_e_1() {
    seeds(0..5, |mut cx| async move {
        let other_node = Atom::new("rex@elsewhere").unwrap();
        let alias = cx.alias();
        let too_long = "x".repeat(256);
        for reference in [
            cx.monitor(("rex", other_node)),
            cx.monitor(alias),
            cx.monitor(&*too_long),
        ] {
            assert_eq!(down(&mut cx, reference).await, ExitReason::noproc());
        }
        assert_eq!(cx.process_info(cx.pid()).unwrap().monitors, []);
    });
}

#[test]
fn demon_e_1() {
    seeds(0..20, |mut cx| async move {
        let tester = cx.pid();
        let other = cx.spawn_link(move |mut cx| async move {
            cx.send(tester, &cx.monitor(tester)).unwrap();
            cx.receive().await;
            let own = cx.process_info(cx.pid()).unwrap();
            assert_eq!(own.monitors.len(), 1);
            cx.send(tester, &()).unwrap();
        });
        let reference = expect::<Ref>(&mut cx).await;
        // Another's.
        assert!(!cx.demonitor(reference));
        cx.send(other.unwrap(), &()).unwrap();
        expect::<()>(&mut cx).await;
    });
}

#[test]
fn demon_1() {
    run(|cx| async move {
        let fresh = cx.make_ref();
        // OTP's `demonitor/1` gives true for anything; this tells whether it stood, as `[info]` does.
        assert!(!cx.demonitor(fresh));
        assert!(!cx.demonitor_flush(fresh));
    });
}

#[test]
fn mon_1() {
    seeds(0..50, |mut cx| async move {
        let cx = &mut cx;
        let briefly = |cx: Context| async move { cx.sleep(Duration::from_millis(1)).await };
        let normal = ExitReason::normal();
        let frop = ExitReason::new("frop");

        let pid = cx.spawn(briefly).unwrap();
        for _ in 0..random() % 4 {
            cx.sleep(Duration::from_micros(500)).await;
        }
        let reference = cx.monitor(pid);
        let reason = down(cx, reference).await;
        assert!(reason == normal || reason == ExitReason::noproc());
        let (_, reference) = cx.spawn_monitor(briefly).unwrap();
        assert_eq!(down(cx, reference).await, normal);

        let pid = cx.spawn(idle).unwrap();
        let reference = cx.monitor(pid);
        cx.exit_process(pid, frop.clone());
        assert_eq!(down(cx, reference).await, frop);
        let (pid, reference) = cx.spawn_monitor(idle).unwrap();
        cx.exit_process(pid, frop.clone());
        assert_eq!(down(cx, reference).await, frop);
        let reference = cx.monitor(pid);
        assert_eq!(down(cx, reference).await, ExitReason::noproc());

        // By name.
        let jeeves = Monitored::Name(Atom::new("jeeves").unwrap());
        let pid = cx.spawn(briefly).unwrap();
        cx.register("jeeves", pid).unwrap();
        let reference = cx.monitor("jeeves");
        let told = next_down(cx).await;
        assert_eq!((told.reference, told.object), (reference, jeeves));
        assert_eq!(told.reason, normal);

        let pid = cx.spawn(idle).unwrap();
        cx.register("jeeves", pid).unwrap();
        let reference = cx.monitor(("jeeves", cx.node()));
        cx.exit_process(pid, frop.clone());
        let told = next_down(cx).await;
        assert_eq!((told.reference, told.object), (reference, jeeves));
        assert_eq!(told.reason, frop);

        for reference in [cx.monitor("jeeves"), cx.monitor(("jeeves", cx.node()))] {
            let told = next_down(cx).await;
            assert_eq!((told.reference, told.object), (reference, jeeves));
            assert_eq!(told.reason, ExitReason::noproc());
        }
    });
}

#[test]
fn demon_2() {
    seeds(0..20, |mut cx| async move {
        let own = cx.monitor(cx.pid());
        assert!(!cx.demonitor(own));
        assert!(!cx.demonitor(own));
        nothing_comes(&mut cx).await;

        let pid = cx
            .spawn(|cx| async move { cx.sleep(Duration::from_millis(1)).await })
            .unwrap();
        let reference = cx.monitor(pid);
        let reason = down(&mut cx, reference).await;
        assert!(reason.is_normal() || reason == ExitReason::noproc());

        let pid = cx.spawn(idle).unwrap();
        let reference = cx.monitor(pid);
        assert!(cx.demonitor(reference));
        cx.exit_process(pid, ExitReason::new("frop"));
        nothing_comes(&mut cx).await;
    });
}

#[test]
fn demonitor_flush() {
    seeds(0..50, |mut cx| async move {
        let pid = cx.spawn(idle).unwrap();
        let [m1, m2, m3, m4] = std::array::from_fn(|_| cx.monitor(pid));
        assert!(cx.demonitor_flush(m1));
        cx.exit_process(pid, bang());
        assert_eq!(down(&mut cx, m2).await, bang());
        cx.sleep(Duration::from_millis(100)).await;
        assert!(!cx.demonitor_flush(m3));
        assert!(!cx.demonitor(m4));
        let left = next_down(&mut cx).await;
        assert_eq!((left.reference, left.reason), (m4, bang()));
        nothing_comes(&mut cx).await;
    });
}

/// One of OTP's hundred groups.
async fn demonitors_the_dying(mut cx: Context) {
    let references: Vec<Ref> = (0..100)
        .map(|_| cx.spawn_monitor(|_| async {}).unwrap().1)
        .collect();
    for _ in 0..random() % 100 {
        cx.yield_now().await;
    }
    for reference in references {
        let stood = cx.demonitor(reference);
        let of_it = cx.await_down_timeout(reference, Duration::ZERO).await;
        assert_eq!(stood, of_it.is_none());
    }
    assert_eq!(cx.message_queue_len(), 0);
}

#[test]
fn local_remove_monitor() {
    seeds(0..100, demonitors_the_dying);
    for _ in 0..20 {
        run(demonitors_the_dying);
    }
}

#[test]
fn large_exit() {
    seeds(0..2, |mut cx| async move {
        for round in 0..100_u32 {
            let inner: Vec<_> = (0..100).map(|n| (n, round, "element")).collect();
            let reason = ExitReason::new(&((inner, round), vec!["a"; 50], "binary ".repeat(100)));
            let exits_with = reason.clone();
            let (_, reference) = cx
                .spawn_monitor(move |_| async move { Err::<(), _>(exits_with) })
                .unwrap();
            assert_eq!(down(&mut cx, reference).await, reason);
        }
    });
}

#[test]
fn named_down() {
    bounded(2, |mut cx| async move {
        let parent = cx.pid();
        cx.set_priority(Priority::High);
        for _ in 0..cx.vm().schedulers_online() {
            let options = SpawnOptions::new().link().priority(Priority::High);
            let busy = cx.spawn_opt(options, |cx| async move {
                let end = cx.monotonic_time() + 500_000_000;
                while cx.monotonic_time() < end {
                    cx.tick(100).await;
                }
            });
            busy.unwrap();
        }
        let pid = cx.spawn_link(idle).unwrap();
        cx.register("named_down", pid).unwrap();
        cx.unlink(pid);
        let reference = cx.monitor("named_down");
        cx.exit_process(pid, bang());
        assert_eq!(down(&mut cx, reference).await, bang());
        cx.register("named_down", parent).unwrap();
        assert_eq!(cx.unregister("named_down"), Some(parent));
    });
}

/// Without what it says of the flag `message_queue_data` and of collections.
/// The offset of a VM never changes: nothing comes, before or after.
#[test]
fn monitor_time_offset() {
    seeds(0..3, |mut cx| async move {
        let tester = cx.pid();
        for _ in 0..100 {
            let body = move |mut cx: Context| async move {
                let offset = cx.time_offset();
                let monitors: Vec<Ref> = (0..7).map(|_| cx.monitor_time_offset()).collect();
                assert!(cx.demonitor_flush(monitors[0]) && cx.demonitor_flush(monitors[4]));
                cx.send(tester, "ready").unwrap();
                expect::<()>(&mut cx).await;
                nothing_comes(&mut cx).await;
                assert_eq!(cx.time_offset(), offset);
                let standing = cx.process_info(cx.pid()).unwrap().monitors;
                assert_eq!(standing.len(), 5);
                assert!(standing.iter().all(|(_, of)| *of == Monitored::TimeOffset));
                for (n, &monitor) in monitors.iter().enumerate() {
                    assert_eq!(cx.demonitor(monitor), n != 0 && n != 4);
                }
                let last = cx.monitor_time_offset();
                let items = cx.process_info_items(cx.pid(), &[InfoItem::Monitors]);
                let listed = "[{monitors,[{time_offset,clock_service}]}]";
                assert_eq!(items.unwrap().to_string(), listed);
                // One that stands at the end tells nobody.
                assert!(cx.monitor_time_offset() != last);
            };
            let (pid, monitor) = cx.spawn_monitor(body).unwrap();
            assert_eq!(expect::<String>(&mut cx).await, "ready");
            cx.send(pid, &()).unwrap();
            assert!(down(&mut cx, monitor).await.is_normal());
        }
    });
}

/// Monitors all with one tag, lets the messages lie until it is told to look, and then finds as many.
async fn watches(mut cx: Context, tester: Pid) {
    let tag = cx.make_ref();
    let options = otp_vm::MonitorOptions::new().tag(&tag).unwrap();
    let pids: Vec<Pid> = expect(&mut cx).await;
    for &pid in &pids {
        cx.monitor_opt(pid, options.clone());
    }
    cx.send(tester, &tag).unwrap();
    cx.receive_where(common::LIMIT, |message| message.decode::<()>().ok())
        .await
        .expect("it is told to look");
    cx.garbage_collect();
    for _ in pids {
        let message = cx.receive().await;
        let (of, ..): (Ref, Ref, Atom, Monitored, ExitReason) = message.decode().unwrap();
        assert_eq!(of, tag);
    }
    assert_eq!(cx.message_queue_len(), 0);
}

/// What the messages of monitors say, and that it is the same in copies that a collection moved.
fn all_say(cx: &Context, messages: &[OwnedTerm], tag: Ref) {
    let mut heap = cx.heap();
    let kept: Vec<_> = messages
        .iter()
        .map(|message| heap.keep(message.root()).unwrap())
        .collect();
    heap.collect();
    for (kept, message) in kept.into_iter().zip(messages) {
        assert!(heap.get(&kept).unwrap() == message.root());
        heap.release(kept).unwrap();
        let (of, _, what, object, reason): (Ref, Ref, Atom, Monitored, ExitReason) =
            otp_vm::from_term(message.root()).unwrap();
        assert_eq!((of, what.as_str(), reason), (tag, "process", bang()));
        assert!(object.pid().is_some());
    }
}

#[test]
fn monitor_tag_storage() {
    const WATCHED: usize = 1000;
    seeds(0..3, |mut cx| async move {
        let tester = cx.pid();
        for data in [MessageQueueData::OnHeap, MessageQueueData::OffHeap] {
            let options = SpawnOptions::new().link().monitor();
            let options = options.message_queue_data(data).priority(Priority::High);
            let receiver = cx
                .spawn_opt(options, move |cx| watches(cx, tester))
                .unwrap();
            let pids: Vec<Pid> = (0..WATCHED).map(|_| cx.spawn(idle).unwrap()).collect();
            cx.send(receiver.pid, &pids).unwrap();
            let tag: Ref = expect(&mut cx).await;
            for pid in pids {
                cx.exit_process(pid, bang());
            }
            while cx.process_info(receiver.pid).unwrap().message_queue_len < WATCHED {
                cx.yield_now().await;
            }
            nothing_comes(&mut cx).await;
            let messages = cx.process_messages(receiver.pid).unwrap();
            assert_eq!(messages.len(), WATCHED);
            all_say(&cx, &messages, tag);
            cx.send(receiver.pid, &()).unwrap();
            assert!(down(&mut cx, receiver.monitor.unwrap()).await.is_normal());
        }
    });
}
