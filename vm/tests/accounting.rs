//! A program that installed the accounting allocator: what processes allocate is counted for them.

mod common;

use std::hint::black_box;
use std::time::Duration;

use common::{LIMIT, down, expect, idle, run};
use otp_vm::{AccountingAllocator, Context, ExitReason, Pid, Status, Timeout};

#[global_allocator]
static ALLOCATOR: AccountingAllocator = AccountingAllocator;

const MB: usize = 1 << 20;

fn native_memory(cx: &Context, pid: Pid) -> usize {
    let info = cx.process_info(pid).expect("it is alive");
    info.native_memory.expect("the allocator is installed")
}

/// Waits until what a process holds is as expected: the count changes at the end of its slice.
async fn until(cx: &Context, pid: Pid, expected: impl Fn(usize) -> bool) {
    let begun = cx.monotonic_time();
    while !expected(native_memory(cx, pid)) {
        let waited = Duration::from_nanos(cx.monotonic_time() - begun);
        let held = native_memory(cx, pid);
        assert!(waited < LIMIT, "it holds {held} bytes");
        cx.sleep(Duration::from_millis(1)).await;
    }
}

/// Holds as many bytes as the last message says.
async fn holder(mut cx: Context) {
    let mut held = Vec::new();
    loop {
        let size: usize = expect(&mut cx).await;
        drop(std::mem::take(&mut held));
        held = black_box(vec![1_u8; size]);
    }
}

#[test]
fn a_process_that_holds_much_shows_it_until_it_drops_it() {
    run(|cx| async move {
        let pid = cx.spawn(holder).expect("a process");
        assert!(native_memory(&cx, pid) < MB);
        cx.send(pid, &(10 * MB)).expect("it can be sent");
        until(&cx, pid, |held| (10 * MB..11 * MB).contains(&held)).await;
        cx.send(pid, &0_usize).expect("it can be sent");
        until(&cx, pid, |held| held < MB).await;
    });
}

/// Bound to a thread of its own, it counts in that one's slot.
#[test]
fn a_bound_process_is_counted_too() {
    run(|mut cx| async move {
        let parent = cx.pid();
        let (pid, _) = cx
            .spawn_monitor(move |mut cx| async move {
                // On a busy machine it may be bound before it has come to this.
                let mut held = black_box(vec![1_u8; 10 * MB]);
                while cx.vm().system_info().schedulers_figures.bound == 0 {
                    held = black_box(vec![1_u8; 10 * MB]);
                }
                cx.send(parent, &()).expect("it can be sent");
                cx.receive().await;
                drop(held);
                idle(cx).await;
            })
            .expect("a process");
        expect::<()>(&mut cx).await;
        // Give or take what the figures left behind.
        until(&cx, pid, |held| (9 * MB..11 * MB).contains(&held)).await;
        cx.send(pid, &()).expect("it can be sent");
        until(&cx, pid, |held| held < MB).await;
    });
}

/// What another allocated and it frees is not set off against what it allocates later.
#[test]
fn the_count_is_never_below_zero() {
    run(|cx| async move {
        let gift = black_box(vec![1_u8; 20 * MB]);
        let pid = cx
            .spawn(move |cx| async move {
                drop(gift);
                // The slice ends here.
                cx.sleep(Duration::from_millis(1)).await;
                holder(cx).await;
            })
            .expect("a process");
        cx.send(pid, &(10 * MB)).expect("it can be sent");
        until(&cx, pid, |held| (10 * MB..11 * MB).contains(&held)).await;
    });
}

/// Bodies belong to the new processes, timers and messages to nobody: who makes and sends much holds no more for it.
#[test]
fn makers_and_senders_do_not_grow() {
    const TIMES: usize = 2000;
    run(|mut cx| async move {
        let parent = cx.pid();
        let worker = cx
            .spawn(move |mut cx| async move {
                for _ in 0..TIMES {
                    let large = [1_u8; 1000];
                    let body = move |_| async move { assert_eq!(black_box(large)[0], 1) };
                    let (_, monitor) = cx.spawn_monitor(body).expect("a process");
                    assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
                    cx.send_after(Duration::ZERO, parent, &"late")
                        .expect("it can be sent");
                    cx.send(parent, &[7_u64; 100][..]).expect("it can be sent");
                }
                cx.send(parent, &()).expect("it can be sent");
                idle(cx).await;
            })
            .expect("a process");
        let done = cx.receive_where(Timeout::Infinity, |message| message.decode::<()>().ok());
        done.await.expect("it gets to the end");
        // The count of its last slice is in once it has gone to wait.
        while cx.process_info(worker).expect("it is alive").status != Status::Waiting {
            cx.sleep(Duration::from_millis(1)).await;
        }
        until(&cx, worker, |held| held < TIMES * 8).await;
    });
}

#[test]
fn kills_and_panics_end_processes_that_hold_much() {
    run(|mut cx| async move {
        for turn in 0..20 {
            let (pid, monitor) = cx.spawn_monitor(holder).expect("a process");
            cx.send(pid, &MB).expect("it can be sent");
            if turn % 2 == 0 {
                cx.exit_process(pid, ExitReason::kill());
                assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
            } else {
                cx.send(pid, "no size").expect("it can be sent");
                assert!(down(&mut cx, monitor).await.is_abnormal());
            }
        }
        // Their slots have new processes, which hold nothing.
        let pid = cx.spawn(idle).expect("a process");
        assert!(native_memory(&cx, pid) < MB);
    });
}
