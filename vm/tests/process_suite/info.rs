//! What `process_info` tells.

use std::time::Duration;

use otp_vm::{
    Context, ExitReason, HOST, InfoItem, MaxHeapSize, OwnedTerm, Pid, Priority, SpawnOptions,
    Status, SuspendOptions, TableOptions, from_term, to_term,
};

use crate::common::{LIMIT, down, expect, idle, run};
use crate::{poll_mailbox, until, waits};

fn item(cx: &Context, pid: Pid, item: InfoItem) -> String {
    let answer = cx.process_info_item(pid, item);
    answer.expect("it is alive").to_string()
}

fn messages(cx: &Context, pid: Pid) -> Vec<String> {
    let messages = cx.process_messages(pid).expect("it is alive");
    messages.iter().map(ToString::to_string).collect()
}

#[test]
fn t_process_info() {
    run(|cx| async move {
        let me = cx.pid();
        assert_eq!(item(&cx, me, InfoItem::RegisteredName), "[]");
        cx.register("my_name", me).unwrap();
        assert_eq!(
            item(&cx, me, InfoItem::RegisteredName),
            "{registered_name,my_name}"
        );
        assert_eq!(item(&cx, me, InfoItem::Status), "{status,running}");
        assert_eq!(item(&cx, me, InfoItem::MinHeapSize), "{min_heap_size,233}");
        let info = cx.process_info(me).unwrap();
        assert_eq!(info.heap.max_heap_size, MaxHeapSize::default());
        let limit = item(&cx, me, InfoItem::MaxHeapSize);
        for part in ["size => 0", "kill => true", "error_logger => true"] {
            assert!(limit.contains(part), "{limit}");
        }
        assert_eq!(info.group_leader, cx.group_leader());
        // Nobody's pid.
        assert!(cx.process_info_item(HOST, InfoItem::Status).is_none());
        cx.unregister("my_name");
    });
}

#[test]
fn otp_4725() {
    const SAME: [InfoItem; 7] = [
        InfoItem::InitialCall,
        InfoItem::Links,
        InfoItem::Dictionary,
        InfoItem::TrapExit,
        InfoItem::Priority,
        InfoItem::GroupLeader,
        InfoItem::GarbageCollection,
    ];
    run(|mut cx| async move {
        let me = cx.pid();
        let max = SpawnOptions::new().link().priority(Priority::Max);
        for options in [max, SpawnOptions::new().link()] {
            let spawned = cx
                .spawn_opt(options, move |mut cx| async move {
                    cx.put("key", &me).unwrap();
                    let own = cx.process_info_items(cx.pid(), &SAME).unwrap();
                    cx.send(me, &own).unwrap();
                    cx.receive().await;
                })
                .unwrap();
            let own: OwnedTerm = expect(&mut cx).await;
            waits(&mut cx, spawned.pid).await;
            let seen = cx.process_info_items(spawned.pid, &SAME).unwrap();
            assert_eq!(own, seen);
            cx.send(spawned.pid, &()).unwrap();
        }
    });
}

#[test]
fn process_info_messages() {
    const SENDERS: u64 = 10;
    run(|mut cx| async move {
        let me = cx.pid();
        let reader = cx
            .spawn_link(move |mut cx| async move {
                let count: usize = expect::<Vec<OwnedTerm>>(&mut cx).await.len();
                let rest: usize = expect(&mut cx).await;
                for _ in 0..rest {
                    let _: (u64, OwnedTerm) = expect(&mut cx).await;
                }
                cx.send(me, &("read", count)).unwrap();
            })
            .unwrap();
        for sender in 0..SENDERS {
            cx.spawn_link(move |cx| async move {
                for n in 0..3_u64 {
                    cx.send(me, &(sender, vec![n; 1000])).unwrap();
                    cx.yield_now().await;
                }
                cx.send(me, &(sender, "last")).unwrap();
            })
            .unwrap();
        }
        cx.garbage_collect();
        let mut seen = Vec::new();
        until(&mut cx, |cx| cx.message_queue_len() == 4 * SENDERS as usize).await;
        for _ in 0..10 {
            seen = cx.process_messages(me).unwrap();
            cx.tick(10_000).await;
            cx.garbage_collect();
        }
        assert_eq!(seen.len(), 4 * SENDERS as usize);
        cx.send(reader, &seen).unwrap();
        cx.send(reader, &seen.len()).unwrap();
        let mut last = 0;
        for expected in seen {
            let message = cx.receive().await;
            assert_eq!(message.term(), expected.root());
            last += usize::from(message.decode::<(u64, String)>().is_ok());
            cx.forward(reader, message).unwrap();
        }
        assert_eq!(last as u64, SENDERS);
        let (_, count): (String, usize) = expect(&mut cx).await;
        assert_eq!(count as u64, 4 * SENDERS);
    });
}

#[test]
fn process_info_other_msg() {
    run(|mut cx| async move {
        let me = cx.pid();
        let pid = cx
            .spawn_link(move |mut cx| async move {
                cx.send(cx.pid(), "my own").unwrap();
                cx.send(me, &()).unwrap();
                let empty = |message: &otp_vm::Message| {
                    let word = message.decode::<String>().ok()?;
                    (word == "empty").then_some(())
                };
                cx.receive_where(LIMIT, empty).await.expect("in time");
                while cx.receive_timeout(Duration::ZERO).await.is_some() {}
                cx.send(me, &()).unwrap();
                idle(cx).await;
            })
            .unwrap();
        expect::<()>(&mut cx).await;
        let own = to_term("my own").unwrap().to_string();
        let mut sent = vec![own];
        for n in 0..5_u64 {
            assert_eq!(messages(&cx, pid), sent);
            let large = vec![(n, "large".repeat(50)); 100];
            cx.send(pid, &large).unwrap();
            sent.push(to_term(&large).unwrap().to_string());
        }
        assert_eq!(messages(&cx, pid), sent);
        assert!(cx.process_info(pid).unwrap().memory > 0);
        assert!(cx.process_info(cx.pid()).unwrap().memory > 0);
        cx.send(pid, "empty").unwrap();
        expect::<()>(&mut cx).await;
        assert_eq!(item(&cx, pid, InfoItem::Messages), "{messages,[]}");
        let heap = cx.process_info(pid).unwrap().heap;
        assert_eq!(heap.min_heap_size, otp_vm::DEFAULT_MIN_HEAP_SIZE_WORDS);
        assert_eq!(heap.max_heap_size, MaxHeapSize::default());
    });
}

#[test]
fn process_info_other_status() {
    run(|mut cx| async move {
        let pid = cx
            .spawn_link(|mut cx| async move {
                cx.receive_where(otp_vm::Timeout::Infinity, |_| None::<()>)
                    .await;
            })
            .unwrap();
        cx.send(pid, "unwanted").unwrap();
        waits(&mut cx, pid).await;
        for priority in [Priority::Normal, Priority::High, Priority::Max] {
            cx.set_priority(priority);
            cx.yield_now().await;
            assert_eq!(item(&cx, pid, InfoItem::Status), "{status,waiting}");
        }
    });
}

#[test]
fn process_info_2_list() {
    run(|mut cx| async move {
        let me = cx.pid();
        let pid = cx.spawn_link(idle).unwrap();
        cx.register("other", pid).unwrap();
        cx.register("me", me).unwrap();
        waits(&mut cx, pid).await;
        let mut sorted = InfoItem::ALL.to_vec();
        sorted.sort_by_key(|item| item.name());
        let mut asked = sorted.clone();
        asked.push(InfoItem::Status);
        asked.extend(sorted.iter().rev());
        for pid in [me, pid] {
            for &one in InfoItem::ALL {
                let name = format!("{{{},", one.name());
                assert!(item(&cx, pid, one).starts_with(&name));
            }
            let answer = cx.process_info_items(pid, &asked).unwrap();
            let answers: Vec<(otp_vm::Atom, OwnedTerm)> = from_term(answer.root()).unwrap();
            assert_eq!(answers.len(), asked.len());
            for (one, (name, _)) in asked.iter().zip(&answers) {
                assert_eq!(one.name(), name.as_str());
            }
            // What does not change between two looks is the same, too.
            let links = |answers: &[(otp_vm::Atom, OwnedTerm)]| {
                let links = answers.iter().filter(|(name, _)| name.as_str() == "links");
                links
                    .map(|(_, links)| links.to_string())
                    .collect::<Vec<_>>()
            };
            let links = links(&answers);
            assert!(links.len() == 2 && links[0] == links[1]);
        }
        let items = [InfoItem::Status, InfoItem::TrapExit, InfoItem::Priority];
        assert_eq!(
            cx.process_info_items(pid, &items).unwrap().to_string(),
            "[{status,waiting},{trap_exit,false},{priority,normal}]"
        );
        let many = cx
            .process_info_items(pid, &[InfoItem::Links; 5000])
            .unwrap();
        assert_eq!(many.root().list_len(), Some(5000));
        // Without a name, in a list.
        cx.unregister("other");
        let name = [InfoItem::RegisteredName];
        let answer = cx.process_info_items(pid, &name).unwrap();
        assert_eq!(answer.to_string(), "[{registered_name,[]}]");
        cx.unregister("me");
    });
}

#[test]
fn process_info_garbage_collection() {
    run(|mut cx| async move {
        let me = cx.pid();
        let options = SpawnOptions::new()
            .link()
            .message_queue_data(otp_vm::MessageQueueData::OffHeap);
        let spawned = cx
            .spawn_opt(options, move |mut cx| async move {
                loop {
                    let deep: usize = expect(&mut cx).await;
                    let mut roots = Vec::new();
                    for n in 0..deep {
                        roots.push(cx.heap().keep_value(&vec![n as u64; 10]).unwrap());
                    }
                    cx.send(me, &()).unwrap();
                    let _: () = expect(&mut cx).await;
                    for root in roots {
                        cx.heap().release(root).unwrap();
                    }
                    cx.garbage_collect();
                    cx.send(me, &()).unwrap();
                }
            })
            .unwrap();
        let look = |cx: &Context| {
            let heap = cx.process_info(spawned.pid).unwrap().heap;
            assert_eq!(heap.total_heap_size, heap.heap_block_size + heap.mbuf_size);
            assert!(heap.heap_size <= heap.heap_block_size);
            heap
        };
        let before = look(&cx);
        cx.send(spawned.pid, &1000_usize).unwrap();
        expect::<()>(&mut cx).await;
        let deep = look(&cx);
        cx.send(spawned.pid, &()).unwrap();
        expect::<()>(&mut cx).await;
        let after = look(&cx);
        assert!(before.heap_size < deep.heap_size && after.heap_size < deep.heap_size);
        assert!(deep.heap_size >= 20_000, "{deep:?}");
        assert!(after.collections > before.collections);
        let parts = cx
            .process_info_item(spawned.pid, InfoItem::GarbageCollectionInfo)
            .unwrap();
        assert!(parts.to_string().contains("heap_block_size"));
    });
}

#[test]
fn process_info_parent() {
    run(|mut cx| async move {
        assert_eq!(item(&cx, cx.pid(), InfoItem::Parent), "{parent,undefined}");
        let me = cx.pid();
        let (child, monitor) = cx
            .spawn_monitor(move |cx| async move {
                cx.garbage_collect();
                let parent = cx.process_info(cx.pid()).unwrap().parent;
                assert_eq!(parent, Some(me));
                idle(cx).await;
            })
            .unwrap();
        assert_eq!(
            item(&cx, child, InfoItem::Parent),
            format!("{{parent,{me}}}")
        );
        cx.exit_process(child, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}

#[test]
fn process_info_smoke_all() {
    run(|mut cx| async move {
        let me = cx.pid();
        let other = cx.spawn_link(idle).unwrap();
        let pid = cx
            .spawn_link(move |mut cx| async move {
                cx.register("smoke", cx.pid()).unwrap();
                cx.table_new("smoke", TableOptions::set()).unwrap();
                let binary = otp_vm::Binary::from(vec![7_u8; 1000]);
                cx.put("binary", &binary).unwrap();
                cx.put("reference", &cx.make_ref()).unwrap();
                cx.put("pids", &vec![me, other]).unwrap();
                let kept = cx.heap().keep_value(&("state", binary)).unwrap();
                for n in 0..10 {
                    cx.send(cx.pid(), &vec![n; 100]).unwrap();
                }
                cx.monitor(me);
                cx.link(other);
                cx.suspend_process(other, SuspendOptions::new())
                    .await
                    .unwrap();
                cx.send(me, &()).unwrap();
                cx.receive_where(otp_vm::Timeout::Infinity, |_| None::<()>)
                    .await;
                drop(kept);
            })
            .unwrap();
        expect::<()>(&mut cx).await;
        waits(&mut cx, pid).await;
        let all = cx.process_info_items(pid, InfoItem::ALL).unwrap();
        assert_eq!(all.root().list_len(), Some(InfoItem::ALL.len()));
        let info = cx.process_info(pid).unwrap();
        assert_eq!((info.message_queue_len, info.dictionary.len()), (10, 3));
        assert_eq!(info.suspending, [(other, 1, 0)]);
        assert_eq!(info.links.len(), 2);
        assert_eq!(info.monitors[0].1, me);
        assert!(info.heap.binary_bytes >= 1000 && info.heap.mbuf_size > 1000);
        assert_eq!(cx.process_info(other).unwrap().status, Status::Suspended);
        cx.unlink(pid);
        cx.unlink(other);
        for pid in [pid, other] {
            cx.exit_process(pid, ExitReason::kill());
            assert!(!cx.is_alive(pid).await);
        }
    });
}

#[test]
fn process_info_status_handled_signal() {
    run(|mut cx| async move {
        let (pid, _) = cx.spawn_monitor(idle).unwrap();
        waits(&mut cx, pid).await;
        let items = [InfoItem::Status, InfoItem::Messages];
        for _ in 0..100 {
            // A signal on the way is taken in by who asks, and does not show either.
            let reference = cx.monitor(pid);
            let answer = cx.process_info_items(pid, &items).unwrap().to_string();
            assert!(answer.ends_with("{messages,[]}]"), "{answer}");
            cx.demonitor(reference);
            waits(&mut cx, pid).await;
            let answer = cx.process_info_items(pid, &items).unwrap().to_string();
            assert_eq!(answer, "[{status,waiting},{messages,[]}]");
        }
        cx.exit_process(pid, ExitReason::kill());
        assert!(!cx.is_alive(pid).await);
    });
}

#[test]
fn process_info_reductions() {
    run(|cx| async move {
        let computes = cx.spawn_link(crate::looper).unwrap();
        let waiting = cx.spawn_link(idle).unwrap();
        let registers = cx
            .spawn_link(|cx| async move {
                loop {
                    cx.register("reductions", cx.pid()).unwrap();
                    cx.yield_now().await;
                    cx.unregister("reductions");
                    cx.yield_now().await;
                }
            })
            .unwrap();
        for (pid, times) in [(computes, 10), (waiting, 10), (registers, 100)] {
            let read = |cx: &Context| cx.process_info(pid).unwrap().reductions;
            let mut before = read(&cx);
            for _ in 0..times {
                cx.yield_now().await;
                let now = read(&cx);
                assert!((0..=1_000_000).contains(&(now as i64 - before as i64)));
                before = now;
            }
        }
        for pid in [computes, waiting, registers] {
            cx.unlink(pid);
            cx.exit_process(pid, ExitReason::kill());
        }
    });
}

/// The VM's memory is the sum of its parts, and the group leader is inherited.
#[test]
fn memory_by_kind_is_the_sum_of_its_parts() {
    run(|mut cx| async move {
        let before = cx.vm().memory();
        let kept = cx.heap().keep_value(&vec![1_u64; 10_000]).unwrap();
        let table = cx.table_new("kept", TableOptions::set()).unwrap();
        table.insert(&cx, &1, &vec![1_u64; 1000]).unwrap();
        let after = cx.vm().memory();
        assert!(after.heaps >= before.heaps + 80_000, "{after:?}");
        assert!(after.processes >= before.processes + 80_000);
        assert!(after.ets >= before.ets + 8000);
        assert_eq!(after.total, after.processes + after.system);
        assert!(after.system >= after.ets);
        let _ = cx.heap().release(kept);
        cx.garbage_collect();
        assert!(cx.vm().memory().heaps < after.heaps);
        assert!(cx.vm().statistics().words_reclaimed >= 10_000);

        let me = cx.pid();
        assert_eq!(cx.group_leader(), HOST);
        cx.set_group_leader(me, me).unwrap();
        let (child, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                assert_eq!(cx.group_leader(), me);
                cx.send(me, &()).unwrap();
                expect::<()>(&mut cx).await;
                assert_eq!(cx.group_leader(), cx.pid());
            })
            .unwrap();
        expect::<()>(&mut cx).await;
        cx.set_group_leader(child, child).unwrap();
        assert_eq!(cx.process_info(child).unwrap().group_leader, child);
        cx.send(child, &()).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        assert!(cx.set_group_leader(child, me).is_err());
    });
}

#[test]
fn garbage_collection_shows_in_status_only_while_it_lasts() {
    run(|mut cx| async move {
        let pid = cx.spawn_link(poll_mailbox).unwrap();
        assert!(cx.garbage_collect_process(pid).await);
        let status = cx.process_info(pid).unwrap().status;
        assert_ne!(status, Status::GarbageCollecting);
        cx.unlink(pid);
        cx.exit_process(pid, ExitReason::kill());
    });
}
