//! Panics of what `sys` brings into a process, and of that process's code while `sys` looks at it.

use std::ops::ControlFlow;

use otp_stdlib::prelude::*;
use otp_stdlib::sys::{self, MAX_DEBUG_FUNCTIONS, SysError};
use otp_vm::{Atom, Context, OwnedTerm, Pid};

use crate::common::*;

/// Panics as it is dropped.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a mine in drop");
        }
    }
}

type Seen = ControlFlow<()>;

/// A function that sees events, with a mine in it.
fn sees(
    flow: Seen,
) -> impl FnMut(&Context, &sys::SystemEvent, &OwnedTerm) -> Seen + Send + 'static {
    let mine = Mine;
    move |_, _, _| {
        let _held = &mine;
        flow
    }
}

async fn survives(cx: &mut Context, pid: Pid) {
    let go_on = sees(ControlFlow::Continue(()));
    sys::install(pid, "a", go_on).call(cx).await.unwrap();
    // One of that name is there: this one goes.
    let go_on = sees(ControlFlow::Continue(()));
    sys::install(pid, "a", go_on).call(cx).await.unwrap();
    // It has seen enough at once.
    let enough = sees(ControlFlow::Break(()));
    sys::install(pid, "b", enough).call(cx).await.unwrap();
    cx.send(pid, "what is this?").unwrap();
    sys::remove(pid, "a").call(cx).await.unwrap();
    for number in 0..=MAX_DEBUG_FUNCTIONS {
        let go_on = sees(ControlFlow::Continue(()));
        let installed = sys::install(pid, &number, go_on).call(cx).await;
        assert_eq!(installed.is_ok(), number < MAX_DEBUG_FUNCTIONS, "{number}");
    }
    sys::no_debug(pid).call(cx).await.unwrap();
    // A running process does not change its code: the function goes.
    let mine = Mine;
    let module = Atom::new("a_module").unwrap();
    let changed = sys::change_code_by(pid, module, move |state: &u8| {
        let _held = &mine;
        *state
    });
    let changed = changed.call(cx).await;
    assert!(matches!(changed, Err(SysError::Refused(_))), "{changed:?}");
    // The state is no u8.
    let mine = Mine;
    let replaced = sys::replace_state(pid, move |state: &u8| {
        let _held = &mine;
        *state
    });
    let replaced = replaced.call(cx).await;
    assert!(
        matches!(replaced, Err(SysError::Refused(_))),
        "{replaced:?}"
    );
    let status = sys::get_status(pid).call(cx).await.unwrap();
    assert_eq!(status.debug.to_string(), "[]");
}

#[test]
fn a_function_that_panics_as_it_goes_does_not_take_the_process_along() {
    run(async |mut cx: Context| {
        let args = ProbeArgs::new("a", cx.pid());
        let server = Probe::start(&mut cx, args).await.unwrap();
        started(&mut cx, "a").await;
        let agent = Agent::start(&mut cx, || 7_u64).await.unwrap();
        let manager = EventManager::<u8>::start(&mut cx).await.unwrap();
        let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), vec![]);
        let tree = tree.await.unwrap();
        for pid in [
            server.pid().unwrap(),
            agent.pid().unwrap(),
            manager.pid().unwrap(),
            tree.pid().unwrap(),
        ] {
            survives(&mut cx, pid).await;
        }
    });
}
