//! `process_info` beside signals and other askers.

use std::time::Duration;

use otp_vm::{Context, ExitReason, InfoItem, Pid, Priority, SpawnOptions, Status, from_term};

use crate::common::{down, expect, idle, run};
use crate::looper;

/// Sets monitors on a process and takes them back, without end; each `every`th time it sends a message, too, at first.
async fn flood(cx: Context, pid: Pid, every: usize) {
    let mut turn = 0;
    loop {
        let reference = cx.monitor(pid);
        turn += 1;
        // Who is flooded copies all of it, again and again: there is an end to it.
        if every > 0 && turn % every == 0 && turn < 2000 {
            cx.send(pid, "flood").unwrap();
        }
        cx.demonitor(reference);
        cx.yield_now().await;
    }
}

fn end(cx: &Context, pid: Pid) {
    cx.unlink(pid);
    cx.exit_process(pid, ExitReason::kill());
}

#[test]
fn process_info_other_message_queue_len_signal_race() {
    const ROUNDS: usize = 10_000;
    run(|mut cx| async move {
        let me = cx.pid();
        let receiver = cx
            .spawn_link(move |mut cx| async move {
                loop {
                    expect::<()>(&mut cx).await;
                    cx.send(me, &()).unwrap();
                }
            })
            .unwrap();
        let sender = cx
            .spawn_link(move |mut cx| async move {
                loop {
                    expect::<()>(&mut cx).await;
                    let reference = cx.monitor(receiver);
                    cx.send(receiver, &()).unwrap();
                    cx.demonitor(reference);
                }
            })
            .unwrap();
        for _ in 0..ROUNDS {
            cx.send(sender, &()).unwrap();
            assert!(cx.process_info(receiver).unwrap().message_queue_len <= 1);
            expect::<()>(&mut cx).await;
        }
        for pid in [sender, receiver] {
            end(&cx, pid);
            assert!(!cx.is_alive(pid).await);
        }
    });
}

#[test]
fn process_info_lock_reschedule() {
    run(|cx| async move {
        let name = [InfoItem::RegisteredName];
        let loops = cx.spawn_link(looper).unwrap();
        let rests = cx.spawn_link(idle).unwrap();
        cx.register("loops", loops).unwrap();
        cx.register("rests", rests).unwrap();
        for _ in 0..1000 {
            for (pid, expected) in [(loops, "loops"), (rests, "rests")] {
                let alone = cx.process_info_item(pid, InfoItem::RegisteredName);
                let pair = format!("{{registered_name,{expected}}}");
                assert_eq!(alone.unwrap().to_string(), pair);
                let list = cx.process_info_items(pid, &name).unwrap();
                assert_eq!(list.to_string(), format!("[{pair}]"));
                let all = cx.process_info(pid).unwrap();
                assert_eq!(all.registered_name.unwrap().as_str(), expected);
            }
            cx.yield_now().await;
        }
        let status = cx.process_info(loops).unwrap().status;
        assert!(matches!(status, Status::Running | Status::Runnable));
        end(&cx, loops);
        end(&cx, rests);
    });
}

#[test]
fn process_info_lock_reschedule2() {
    const TIMES: usize = 10_000;
    run(|mut cx| async move {
        let parent = cx.pid();
        let names = ["one", "two", "three", "four", "five", "six"];
        let mut pids = Vec::new();
        for name in names {
            let asker = move |mut cx: Context| async move {
                let (other, name): (Pid, String) = expect(&mut cx).await;
                for _ in 0..TIMES {
                    let info = cx.process_info_item(other, InfoItem::RegisteredName);
                    assert_eq!(
                        info.unwrap().to_string(),
                        format!("{{registered_name,{name}}}")
                    );
                }
                cx.send(parent, &()).unwrap();
                idle(cx).await;
            };
            let (pid, monitor) = cx.spawn_monitor(asker).unwrap();
            cx.register(name, pid).unwrap();
            pids.push((pid, monitor));
        }
        // Two pairs at each other, and the last two at the first, as well.
        for (asker, asked) in [(0, 1), (1, 0), (2, 3), (3, 2), (4, 0), (5, 0)] {
            cx.send(pids[asker].0, &(pids[asked].0, names[asked]))
                .unwrap();
        }
        for _ in names {
            expect::<()>(&mut cx).await;
        }
        for (pid, monitor) in pids {
            cx.exit_process(pid, "bang");
            assert_eq!(down(&mut cx, monitor).await, ExitReason::from("bang"));
        }
    });
}

#[test]
fn process_info_lock_reschedule3() {
    run(|mut cx| async move {
        let loops = cx.spawn_link(looper).unwrap();
        for turn in 0..1_000_000 {
            let len = cx.process_info(loops).unwrap().message_queue_len;
            assert_eq!(len, 0);
            if turn % 10 == 0 {
                cx.yield_now().await;
            }
            if turn >= 100_000 && cfg!(debug_assertions) {
                break;
            }
        }
        let status = cx.process_info(loops).unwrap().status;
        assert!(matches!(status, Status::Running | Status::Runnable));
        end(&cx, loops);
        // Its end is seen, after so many looks.
        assert!(!cx.is_alive(loops).await);
    });
}

#[test]
fn process_info_self_signal() {
    run(|cx| async move {
        let me = cx.pid();
        cx.set_priority(Priority::Low);
        let flooder = cx.spawn_link(move |cx| flood(cx, me, 0)).unwrap();
        for _ in 0..100 {
            cx.yield_now().await;
        }
        let reference = cx.make_ref();
        cx.send(me, &reference).unwrap();
        let messages = cx.process_messages(me).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].root().as_ref(), Some(reference));
        end(&cx, flooder);
    });
}

/// A low process that is flooded, and looks at itself for a while.
async fn flooded(cx: Context, look: impl Fn(&Context)) {
    let me = cx.pid();
    cx.set_priority(Priority::Low);
    let flooder = cx.spawn_link(move |cx| flood(cx, me, 2)).unwrap();
    crate::until(&mut { cx }, |cx| {
        cx.message_queue_len() > 100 && {
            look(cx);
            true
        }
    })
    .await;
    let _ = flooder;
}

#[test]
fn process_info_self_msgq_len() {
    run(|cx| async move {
        flooded(cx, |cx| {
            for _ in 0..100 {
                assert!(cx.process_info(cx.pid()).unwrap().message_queue_len > 0);
            }
        })
        .await;
    });
}

#[test]
fn process_info_self_msgq_len_messages() {
    run(|cx| async move {
        flooded(cx, |cx| {
            let items = [InfoItem::MessageQueueLen, InfoItem::Messages];
            for _ in 0..20 {
                let answer = cx.process_info_items(cx.pid(), &items).unwrap();
                type Answer = ((otp_vm::Atom, usize), (otp_vm::Atom, Vec<String>));
                let ((_, len), (_, messages)): Answer = from_term(answer.root()).unwrap();
                assert_eq!(len, messages.len());
                assert!(len > 0);
            }
        })
        .await;
    });
}

#[test]
fn process_info_self_msgq_len_more() {
    run(|cx| async move {
        cx.send(cx.pid(), "one").unwrap();
        let items = [InfoItem::MessageQueueLen, InfoItem::InitialCall];
        let answer = cx.process_info_items(cx.pid(), &items).unwrap();
        assert!(answer.to_string().starts_with("[{message_queue_len,1},"));
        flooded(cx, |cx| {
            let info = cx.process_info(cx.pid()).unwrap();
            assert!(info.message_queue_len > 0);
            assert!(
                info.initial_call
                    .contains("process_info_self_msgq_len_more")
            );
        })
        .await;
    });
}

/// One of a chain: on the first message it starts its successor. Asked to stop, the last of them answers which it is.
fn generation(n: u64, tester: Pid) -> Box<dyn FnOnce(Context) -> BoxFuture + Send> {
    Box::new(move |mut cx: Context| {
        Box::pin(async move {
            let mut successor = None;
            loop {
                let message = cx.receive().await;
                if message.decode::<&str>() == Ok("stop") {
                    match successor {
                        Some(successor) => cx.send(successor, "stop").unwrap(),
                        None => cx.send(tester, &("stop", n)).unwrap(),
                    }
                } else if successor.is_none() {
                    let next = cx.spawn_opt(SpawnOptions::new().link(), generation(n + 1, tester));
                    successor = Some(next.unwrap().pid);
                    if n + 1 == GENERATIONS {
                        cx.send(tester, "enough").unwrap();
                    }
                }
            }
        })
    })
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A chain has grown enough when it has so many.
const GENERATIONS: u64 = 200;

/// Chains of processes, each made by the one before it on a message: a sender finds them in the list, and what it sends
/// to one that was just made arrives.
#[test]
fn processes_send_infant() {
    crate::common::bounded(2, |mut cx| async move {
        let me = cx.pid();
        let chains = [0, 1].map(|_| cx.spawn_link(generation(0, me)).unwrap());
        let (sender, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                let mut known = std::collections::HashSet::from([me, cx.pid()]);
                while cx.receive_timeout(Duration::ZERO).await.is_none() {
                    for pid in cx.vm().processes() {
                        if known.insert(pid) {
                            cx.send(pid, "hello").unwrap();
                        }
                    }
                    cx.yield_now().await;
                }
            })
            .unwrap();
        for _ in &chains {
            assert_eq!(crate::common::expect::<String>(&mut cx).await, "enough");
        }
        cx.send(sender, "stop").unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        for first in chains {
            cx.send(first, "stop").unwrap();
            let (stop, last): (String, u64) = crate::common::expect(&mut cx).await;
            assert_eq!(stop, "stop");
            assert!(last >= GENERATIONS);
        }
    });
}
