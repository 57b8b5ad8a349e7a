//! What the members do, and those whose lives are short.

use otp_vm::{Context, Pid, Ref};
use serde::{Deserialize, Serialize};

/// What a member is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Note {
    Add(u64),
    /// Tell `{Ref, Sum}`, and begin anew.
    Tell(Pid, Ref),
    Stop,
}

/// Adds up what it is sent.
pub(super) async fn member(mut cx: Context) {
    let mut sum = 0_u64;
    loop {
        match cx.receive().await.decode().expect("only notes arrive") {
            Note::Add(number) => sum = sum.wrapping_add(number),
            Note::Tell(to, tag) => {
                cx.send(to, &(tag, sum)).expect("a pid needs no name");
                sum = 0;
            }
            Note::Stop => return,
        }
    }
}

/// What one of a family is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Word {
    /// Link to it, and answer with the reference.
    Link(Pid, Ref),
    /// End with this number as the reason.
    Fail(u32),
    /// End as who has nothing left to do.
    Leave,
}

/// Links to whom it is told to.
pub(super) async fn kin(mut cx: Context, driver: Pid) {
    loop {
        match cx.receive().await.decode().expect("only words arrive") {
            Word::Link(pid, tag) => {
                cx.link(pid);
                cx.send(driver, &(tag, 0_u64)).expect("a pid needs no name");
            }
            Word::Fail(number) => cx.exit(otp_vm::ExitReason::new(&number)),
            Word::Leave => return,
        }
    }
}

/// One of a family that traps exits: ends with their number once it has been told to leave.
pub(super) async fn survivor(mut cx: Context, driver: Pid) {
    cx.trap_exit(true);
    let mut exits = 0_u32;
    loop {
        let message = cx.receive().await;
        if message.exit().is_some() {
            exits += 1;
            continue;
        }
        match message.decode().expect("only words and exits arrive") {
            Word::Link(pid, tag) => {
                cx.link(pid);
                cx.send(driver, &(tag, 0_u64)).expect("a pid needs no name");
            }
            Word::Fail(_) => {}
            Word::Leave => cx.exit(otp_vm::ExitReason::new(&exits)),
        }
    }
}
