//! Flags that a process hands on to those that it makes.

use otp_vm::{Context, Pid, TraceFlags};

use crate::stage::{Do, event, expect, next, nothing, simulate, tell, worker};

/// Has `of` make a child; fails unless it is told that and how it sent the child's pid.
async fn child(cx: &mut Context, of: Pid, by_link: bool) -> Pid {
    let this = cx.pid();
    let order = if by_link {
        Do::SpawnLink(this)
    } else {
        Do::Spawn(this)
    };
    tell(cx, of, order);
    let sent = next(cx).await;
    let child: Pid = cx.receive().await.decode().unwrap();
    assert_eq!(sent, event(of, format!("send,{child},{this}")));
    child
}

async fn is_traced(cx: &mut Context, pid: Pid, traced: bool) {
    let this = cx.pid();
    tell(cx, pid, Do::Send(this, "hi".to_owned()));
    if traced {
        let sent = event(pid, format!("send,<<\"hi\">>,{this}"));
        expect(cx, [sent]).await;
    }
    expect(cx, ["<<\"hi\">>".to_owned()]).await;
    nothing(cx).await;
}

async fn handed_on(mut cx: Context, flag: TraceFlags, by_link: bool) {
    let father = cx.spawn(worker).unwrap();
    cx.trace(father, TraceFlags::SEND | flag).unwrap();
    is_traced(&mut cx, father, true).await;
    for _ in 0..2 {
        let son = child(&mut cx, father, by_link).await;
        is_traced(&mut cx, son, true).await;
        let grandson = child(&mut cx, son, by_link).await;
        is_traced(&mut cx, grandson, true).await;
        let info = cx.vm().trace_info(grandson).unwrap();
        assert_eq!(info.flags, TraceFlags::SEND | flag);
    }
    if by_link {
        let other = child(&mut cx, father, false).await;
        is_traced(&mut cx, other, false).await;
    }
}

async fn handed_on_once(mut cx: Context, flag: TraceFlags, by_link: bool) {
    let father = cx.spawn(worker).unwrap();
    cx.trace(father, TraceFlags::SEND | flag).unwrap();
    if by_link {
        let other = child(&mut cx, father, false).await;
        is_traced(&mut cx, other, false).await;
    }
    for first in [true, false, false] {
        let son = child(&mut cx, father, by_link).await;
        is_traced(&mut cx, son, first).await;
        let flags = cx.vm().trace_info(son).unwrap().flags;
        assert_eq!(flags.contains(TraceFlags::SEND), first);
        assert!(!flags.contains(flag));
    }
    assert_eq!(cx.vm().trace_info(father).unwrap().flags, TraceFlags::SEND);
}

#[test]
fn set_on_spawn() {
    simulate(|cx| handed_on(cx, TraceFlags::SET_ON_SPAWN, false));
}

#[test]
fn set_on_first_spawn() {
    simulate(|cx| handed_on_once(cx, TraceFlags::SET_ON_FIRST_SPAWN, false));
}

#[test]
fn set_on_link() {
    simulate(|cx| handed_on(cx, TraceFlags::SET_ON_LINK, true));
}

#[test]
fn set_on_first_link() {
    simulate(|cx| handed_on_once(cx, TraceFlags::SET_ON_FIRST_LINK, true));
}
