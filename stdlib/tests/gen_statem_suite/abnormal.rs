//! Calls that take too long, and actions that can't be.

use std::time::Duration;

use otp_stdlib::gen_statem::GenStatem;
use otp_vm::{CallError, Context, ExitReason};

use super::deeds::{exit_of, start_link, verify_empty_msgq};
use super::stage::{SECOND, ms, simulated};
use super::suite::{Answer, Args, Call, MODES, Mode, Suite};

/// A late reply does not come, whatever OTP's case says of the call.
async fn times_out(cx: &mut Context, mode: Mode, name: &str, ok: (u64, u64), late: (u64, u64)) {
    let start = Suite::start(cx, (mode, Args::Ok)).name(name);
    let machine = start.await.unwrap();
    let answer = machine.call_timeout(cx, Call::DelayedAnswer(ok.0), ms(ok.1));
    assert_eq!(answer.await.unwrap(), Answer::Delayed);
    let answer = machine.call_timeout(cx, Call::DelayedAnswer(late.0), ms(late.1));
    let answer = answer.await;
    assert!(matches!(answer, Err(CallError::Timeout)), "{answer:?}");
    let stopped = machine.stop(cx, ExitReason::normal(), 10 * SECOND);
    stopped.await.unwrap();
    cx.sleep(ms(1100)).await;
    verify_empty_msgq(cx).await;
}

#[test]
fn abnormal1() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            times_out(&mut cx, mode, "abnormal1", (100, 2000), (2000, 100)).await;
        }
    });
}

#[test]
fn abnormal1clean() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            times_out(&mut cx, mode, "abnormal1clean", (1, 100), (1000, 10)).await;
        }
    });
}

#[test]
fn abnormal1dirty() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            times_out(&mut cx, mode, "abnormal1dirty", (1, 100), (1000, 10)).await;
        }
    });
}

/// The machine ends with a reason that its caller learns, and its parent.
async fn crashes(cx: &mut Context, mode: Mode, call: Call, expected: &str) {
    let machine = start_link(cx, mode, Args::Ok).await;
    let called = machine.call_timeout(cx, call, Duration::from_secs(5)).await;
    let Err(CallError::Exit(reason)) = called else {
        panic!("it ends: {called:?}");
    };
    assert!(reason.to_string().starts_with(expected), "{reason}");
    assert_eq!(exit_of(cx, machine.pid().unwrap()).await, reason);
}

#[test]
fn abnormal3() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        for mode in MODES {
            // A content that is no term: all that can be wrong with an action here.
            let cause = "{bad_action_from_state_function,{";
            for (call, action) in [(Call::BadEvent, "next_event"), (Call::BadReply, "reply")] {
                crashes(&mut cx, mode, call, &format!("{cause}{action},<<\"")).await;
            }
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn abnormal4() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        for mode in MODES {
            // A content that is no term, and a time that no clock knows.
            let cause = "{bad_action_from_state_function,{timeout,<<\"";
            for call in [Call::BadTimeout, Call::TooFar] {
                crashes(&mut cx, mode, call, cause).await;
            }
            verify_empty_msgq(&mut cx).await;
        }
    });
}
