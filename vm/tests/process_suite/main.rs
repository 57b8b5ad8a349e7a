//! Cases of OTP's `process_SUITE`. Each test bears the case's name; `docs/compat/process_SUITE.md` has the list.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/seeds.rs"]
mod simulated;

mod aliases;
mod collect;
mod exits;
mod heap_size;
mod info;
mod info_race;
mod names;
mod processes;
mod scheduling;
mod spawn_requests;

use otp_heap::Root;
use otp_vm::{Context, Pid, Status, Timeout};

/// The answer to what a test was waiting for.
pub async fn until(cx: &mut Context, holds: impl Fn(&Context) -> bool) {
    let begun = cx.monotonic_time();
    while !holds(cx) {
        let waited = std::time::Duration::from_nanos(cx.monotonic_time() - begun);
        assert!(waited < common::LIMIT, "it doesn't come to that");
        cx.yield_now().await;
    }
}

/// Waits until a process waits.
pub async fn waits(cx: &mut Context, pid: Pid) {
    until(cx, |cx| {
        cx.process_info(pid).expect("it is alive").status == Status::Waiting
    })
    .await;
}

/// Looks at its mailbox without end; messages that are wanted by nobody stay.
pub async fn poll_mailbox(mut cx: Context) {
    loop {
        cx.receive_where(std::time::Duration::ZERO, |_| None::<()>)
            .await;
        cx.yield_now().await;
    }
}

/// Runs until the message `stop`, and gives way by itself.
pub async fn looper(mut cx: Context) {
    while cx.message_queue_len() == 0 {
        cx.tick(1000).await;
    }
    cx.receive_where(Timeout::Infinity, |_| Some(())).await;
}

/// Waits until a process waits, or has ended: so no more than a message is in its mailbox.
pub async fn waits_or_gone(cx: &mut Context, pid: Pid) {
    until(cx, |cx| {
        cx.process_info(pid)
            .is_none_or(|info| info.status == Status::Waiting && info.message_queue_len == 0)
    })
    .await;
}

/// Puts a number in front of a list on the process's heap.
pub fn push(cx: &Context, list: &mut Root, n: u64) {
    let mut heap = cx.heap();
    let mut builder = heap.builder();
    builder.integer(n).root(list).cons();
    let grown = builder.keep().unwrap();
    heap.release(std::mem::replace(list, grown)).unwrap();
}
