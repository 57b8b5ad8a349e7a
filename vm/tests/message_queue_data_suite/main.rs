//! OTP's message_queue_data_SUITE: a flag that is kept and told; changing it loses, doubles and reorders nothing.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/virtual_time.rs"]
mod virtual_time;

use otp_vm::MessageQueueData::{OffHeap, OnHeap};
use otp_vm::{
    Context, ExitReason, InfoItem, MessageQueueData, Pid, SpawnOptions, Vm, from_term, receive,
};

use common::{down, expect, idle};
use virtual_time::{ms, simulated, simulated_with};

fn data_of(cx: &Context, pid: Pid) -> MessageQueueData {
    cx.process_info(pid).unwrap().heap.message_queue_data
}

fn messages(vm: &Vm, pid: Pid) -> Vec<String> {
    let messages = vm.process_messages(pid).unwrap().into_iter();
    messages
        .map(|term| from_term(term.root()).unwrap())
        .collect()
}

/// With VMs of either default in place of nodes; bad values are refused by the type.
#[test]
fn basic() {
    for default in [OffHeap, OnHeap] {
        simulated_with(
            move |builder| builder.message_queue_data(default),
            move |cx: Context| async move {
                assert_eq!(cx.vm().system_info().message_queue_data, default);
                assert_eq!(data_of(&cx, cx.pid()), default);
                assert_eq!(cx.set_message_queue_data(OffHeap), default);
                assert_eq!(data_of(&cx, cx.pid()), OffHeap);
                assert_eq!(cx.set_message_queue_data(OnHeap), OffHeap);
                assert_eq!(data_of(&cx, cx.pid()), OnHeap);
                // The VM's default, not the parent's.
                let other = match default {
                    OffHeap => OnHeap,
                    OnHeap => OffHeap,
                };
                cx.set_message_queue_data(other);
                let link = SpawnOptions::new().link();
                for (options, expected) in [
                    (link.clone(), default),
                    (link.clone().message_queue_data(OffHeap), OffHeap),
                    (link.message_queue_data(OnHeap), OnHeap),
                ] {
                    let child = cx.spawn_opt(options, idle).unwrap().pid;
                    assert_eq!(data_of(&cx, child), expected);
                    cx.unlink(child);
                    cx.exit_process(child, ExitReason::kill());
                }
            },
        );
    }
    let vm = Vm::builder().schedulers(1).build().unwrap();
    assert_eq!(vm.system_info().message_queue_data, OnHeap);
}

/// Changes its flag three times, and asks its parent for a message in between each.
async fn changes(cx: &mut Context, parent: Pid) {
    for (new, old) in [(OffHeap, OnHeap), (OnHeap, OffHeap), (OffHeap, OnHeap)] {
        cx.send(parent, "next").unwrap();
        cx.sleep(ms(500)).await;
        assert_eq!(cx.set_message_queue_data(new), old);
    }
    cx.send(parent, "next").unwrap();
    cx.sleep(ms(500)).await;
}

#[test]
fn process_info_messages() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let all = ["A", "B", "C", "D"];
        let on_heap = SpawnOptions::new().link().message_queue_data(OnHeap);
        for asks_itself in [false, true] {
            let child = async move |mut cx: Context| {
                changes(&mut cx, parent).await;
                if asks_itself {
                    assert_eq!(messages(cx.vm(), cx.pid()), all);
                    for message in all {
                        assert_eq!(expect::<String>(&mut cx).await, message);
                    }
                }
                cx.send(parent, "done").unwrap();
                cx.receive_where(common::LIMIT, |_| None::<()>).await;
            };
            let child = cx.spawn_opt(on_heap.clone(), child).unwrap().pid;
            for message in all {
                assert_eq!(expect::<String>(&mut cx).await, "next");
                cx.send(child, message).unwrap();
            }
            assert_eq!(expect::<String>(&mut cx).await, "done");
            let left = messages(cx.vm(), child);
            if asks_itself {
                assert!(left.is_empty(), "{left:?}");
            } else {
                assert_eq!(left, all);
            }
            cx.unlink(child);
            cx.exit_process(child, "done");
        }
    });
}

/// As it is told by the process itself, which lets the messages lie.
#[test]
fn total_heap_size() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        for data in [OffHeap, OnHeap] {
            let child = async move |mut cx: Context| {
                let sizes = |cx: &Context| {
                    let item = cx.process_info_item(cx.pid(), InfoItem::TotalHeapSize);
                    let (_, total): (otp_vm::Atom, usize) =
                        from_term(item.unwrap().root()).unwrap();
                    let info = cx.process_info(cx.pid()).unwrap();
                    assert_eq!(info.heap.total_heap_size, total);
                    (total, info.memory)
                };
                receive!(cx, { asks: Pid => cx.send(asks, &sizes(&cx)).unwrap() });
                receive!(cx, { asks: Pid => cx.send(asks, &sizes(&cx)).unwrap() });
                assert_eq!(cx.message_queue_len(), 100);
                common::idle(cx).await;
            };
            let options = SpawnOptions::new().link().message_queue_data(data);
            let child = cx.spawn_opt(options, child).unwrap().pid;
            cx.send(child, &parent).unwrap();
            let (before, memory_before): (usize, usize) = expect(&mut cx).await;
            let mut words = 0;
            for elements in 1..=100_u32 {
                let list: Vec<u32> = (0..elements).collect();
                words += otp_vm::to_term(&list).unwrap().root().words();
                cx.send(child, &list).unwrap();
            }
            cx.send(child, &parent).unwrap();
            let (after, memory_after): (usize, usize) = expect(&mut cx).await;
            match data {
                OnHeap => assert!(after >= before + words, "{words}: {before}, then {after}"),
                OffHeap => assert_eq!(after, before),
            }
            // Its memory they are in any case.
            assert!(memory_after >= memory_before + 8 * words);
            cx.unlink(child);
            cx.exit_process(child, ExitReason::kill());
        }
    });
}

/// Without the alias and the persistent term, which are no message's: the second four go by a forward.
#[test]
fn change_to_off_heap() {
    const ROUNDS: u32 = 12;
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        cx.set_message_queue_data(OnHeap);
        let pid = cx.pid();
        let forwards = cx
            .spawn(async move |mut cx: Context| {
                loop {
                    let message = cx.receive().await;
                    cx.forward(pid, message).unwrap();
                }
            })
            .unwrap();
        let big = "x".repeat(1000);
        let of_round = |round: u32| {
            let number = (round, vec![round; 10]);
            otp_vm::to_term(&("first", &number, &big, 1.5)).unwrap()
        };
        for round in 0..ROUNDS {
            cx.exit_process(pid, "tjena");
            for _ in 0..4 {
                cx.send(pid, &of_round(round)).unwrap();
            }
            for _ in 0..4 {
                cx.send(forwards, &of_round(round)).unwrap();
            }
            // The forwarder is through before the next round.
            let len = 9 * (round as usize + 1);
            while cx.message_queue_len() < len {
                cx.yield_now().await;
            }
        }
        assert_eq!(cx.set_message_queue_data(OffHeap), OnHeap);
        assert_eq!(cx.message_queue_len(), 108);
        let mut received = Vec::new();
        for _ in 0..108 {
            received.push(cx.receive().await);
        }
        cx.exit_process(forwards, ExitReason::kill());
        cx.sleep(ms(1000)).await;
        for (n, message) in received.iter().enumerate() {
            if n % 9 == 0 {
                let exit = message.exit().unwrap();
                assert_eq!((exit.from, exit.reason), (pid, ExitReason::from("tjena")));
            } else {
                assert!(message.term() == of_round(n as u32 / 9).root(), "{message}");
            }
        }
        assert_eq!(cx.message_queue_len(), 0);
    });
}

/// Without the collection: what was received is a block of its own.
#[test]
fn change_to_off_heap_gc() {
    simulated(async |mut cx: Context| {
        let busy = async |mut cx: Context| {
            cx.set_message_queue_data(OnHeap);
            for _ in 0..10_000 {
                cx.tick(1).await;
            }
            assert_eq!(cx.set_message_queue_data(OffHeap), OnHeap);
            receive!(cx, { {ok, list: Vec<u32>} => assert_eq!(list.len(), 1000) });
        };
        let (busy, monitor) = cx.spawn_monitor(busy).unwrap();
        let list: Vec<u32> = (0..1000).collect();
        cx.send(busy, &(otp_vm::atoms::OK, list)).unwrap();
        assert!(down(&mut cx, monitor).await.is_normal());
    });
}
