//! Stops from outside, in both callback modes of OTP's.

use otp_stdlib::gen_statem::{GenStatem, StatemRef, StopError};
use otp_vm::{Atom, Context, ExitReason, Timeout};

use super::deeds::{Machine, start};
use super::names::DummyVia;
use super::stage::{SECOND, atom, simulated};
use super::suite::{Args, MODES, Suite};

/// As `gen_statem:stop/1`.
async fn stop(cx: &mut Context, machine: &Machine) -> Result<(), StopError> {
    machine
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await
}

pub fn was_not_there(stopped: Result<(), StopError>) {
    assert_eq!(stopped, Err(StopError::Exit(ExitReason::noproc())));
}

#[test]
fn stop1() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let machine = start(&mut cx, mode, Args::Ok).await;
            assert_eq!(stop(&mut cx, &machine).await, Ok(()));
            assert!(!cx.is_alive(machine.pid().unwrap()).await);
            was_not_there(stop(&mut cx, &machine).await);
        }
    });
}

#[test]
fn stop2() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let machine = start(&mut cx, mode, Args::Ok).await;
            let monitor = cx.monitor(machine.pid().unwrap());
            let stopped = machine.stop(&mut cx, atom("other_reason"), Timeout::Infinity);
            assert_eq!(stopped.await, Ok(()));
            assert!(!cx.is_alive(machine.pid().unwrap()).await);
            let reason = super::deeds::down_of(&mut cx, monitor).await;
            assert_eq!(reason, atom("other_reason").into());
        }
    });
}

#[test]
fn stop4() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let start = Suite::start(&mut cx, (mode, Args::Ok)).name("to_stop");
            let pid = start.await.unwrap().pid().unwrap();
            let named = StatemRef::<Suite>::from_name("to_stop").unwrap();
            assert_eq!(stop(&mut cx, &named).await, Ok(()));
            assert!(!cx.is_alive(pid).await);
            was_not_there(stop(&mut cx, &named).await);
        }
    });
}

#[test]
fn stop5() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let start = Suite::start(&mut cx, (mode, Args::Ok)).name("to_stop");
            let pid = start.await.unwrap().pid().unwrap();
            let here = StatemRef::<Suite>::from_name_at("to_stop", cx.node()).unwrap();
            assert_eq!(stop(&mut cx, &here).await, Ok(()));
            assert!(!cx.is_alive(pid).await);
            was_not_there(stop(&mut cx, &here).await);
        }
    });
}

#[test]
fn stop7() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let keeper = DummyVia::default();
            let start = Suite::start(&mut cx, (mode, Args::Ok)).via(&keeper, "to_stop");
            let pid = start.await.unwrap().pid().unwrap();
            let via = StatemRef::<Suite>::via(&keeper, "to_stop").unwrap();
            assert_eq!(stop(&mut cx, &via).await, Ok(()));
            assert!(!cx.is_alive(pid).await);
            was_not_there(stop(&mut cx, &via).await);
        }
    });
}

#[test]
fn a_stop_at_a_node_that_is_not_there_says_so() {
    simulated(async |mut cx: Context| {
        let node = Atom::new("foo@node").unwrap();
        let there = StatemRef::<Suite>::from_name_at("to_stop", node).unwrap();
        let stopped = there.stop(&mut cx, ExitReason::normal(), SECOND).await;
        let Err(StopError::Exit(reason)) = stopped else {
            panic!("nobody is there: {stopped:?}");
        };
        assert_eq!(reason.to_string(), "{nodedown,foo@node}");
    });
}
