//! Starts, in both callback modes of OTP's.

use otp_stdlib::StartError;
use otp_stdlib::gen_statem::{GenStatem, Name, StatemRef};
use otp_vm::{Context, ExitReason};

use super::deeds::{
    Machine, already_started, call, check_stopped, do_func_test, do_sync_func_test, down_of, start,
    start_link, stop_it, verify_empty_msgq,
};
use super::names::DummyVia;
use super::stage::{atom, ms, simulated};
use super::suite::{Answer, Args, Call, MODES, Suite};

async fn does_all(cx: &mut Context, machine: &Machine) {
    do_func_test(cx, machine).await;
    do_sync_func_test(cx, machine).await;
}

fn by_name(name: &str) -> Machine {
    StatemRef::from_name(name).expect("a name")
}

#[test]
fn start1() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let machine = start_link(&mut cx, mode, Args::Ok).await;
            assert_eq!(
                call(&mut cx, &machine, Call::GetCallbackMode).await,
                Answer::Mode(mode)
            );
            does_all(&mut cx, &machine).await;
            stop_it(&mut cx, &machine).await;
            verify_empty_msgq(&mut cx).await;
            let start = Suite::start_monitor(&mut cx, (mode, Args::Ok));
            let (machine, monitor) = start.await.unwrap();
            does_all(&mut cx, &machine).await;
            stop_it(&mut cx, &machine).await;
            down_of(&mut cx, monitor).await;
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start2() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let machine = start(&mut cx, mode, Args::Ok).await;
            does_all(&mut cx, &machine).await;
            let stop = Call::StopWith(ExitReason::shutdown());
            assert_eq!(call(&mut cx, &machine, stop).await, Answer::Stopped);
            check_stopped(&mut cx, &machine).await;
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start3() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let machine = Suite::start(&mut cx, (mode, Args::Ok)).timeout(ms(5)).await;
            let machine = machine.unwrap();
            does_all(&mut cx, &machine).await;
            stop_it(&mut cx, &machine).await;
            let slow = Suite::start(&mut cx, (mode, Args::Sleep)).timeout(ms(5));
            assert_eq!(slow.await.unwrap_err(), StartError::Timeout);
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start4() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        for mode in MODES {
            let ignored = Suite::start(&mut cx, (mode, Args::Ignore)).await;
            assert_eq!(ignored.unwrap_err(), StartError::Ignore);
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start5() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        for mode in MODES {
            let stopped = Suite::start(&mut cx, (mode, Args::Stop)).await;
            let reason = StartError::Exit(atom("stopped").into());
            assert_eq!(stopped.unwrap_err(), reason);
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start6() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let machine = start_link(&mut cx, mode, Args::Ok).await;
            does_all(&mut cx, &machine).await;
            stop_it(&mut cx, &machine).await;
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start8() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let args = (mode, Args::Ok);
            let start = Suite::start(&mut cx, args.clone()).name("my_stm");
            let machine = start.await.unwrap();
            let pid = machine.pid().unwrap();
            let again = Suite::start(&mut cx, args).name("my_stm").await;
            already_started(again, pid);
            does_all(&mut cx, &machine).await;
            does_all(&mut cx, &by_name("my_stm")).await;
            stop_it(&mut cx, &machine).await;
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start9() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let args = || (mode, Args::Ok);
            let start = Suite::start_link(&mut cx, args()).name("my_stm");
            let machine = start.await.unwrap();
            let pid = machine.pid().unwrap();
            already_started(Suite::start(&mut cx, args()).name("my_stm").await, pid);
            does_all(&mut cx, &machine).await;
            does_all(&mut cx, &by_name("my_stm")).await;
            stop_it(&mut cx, &machine).await;
            verify_empty_msgq(&mut cx).await;

            let start = Suite::start_monitor(&mut cx, args()).name("my_stm");
            let (machine, monitor) = start.await.unwrap();
            let again = Suite::start_monitor(&mut cx, args()).name("my_stm").await;
            already_started(again, machine.pid().unwrap());
            does_all(&mut cx, &machine).await;
            does_all(&mut cx, &by_name("my_stm")).await;
            stop_it(&mut cx, &machine).await;
            down_of(&mut cx, monitor).await;
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start11() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            for stopped_by_name in [false, true] {
                let start = Suite::start_link(&mut cx, (mode, Args::Ok)).name("my_stm");
                let machine = start.await.unwrap();
                match stopped_by_name {
                    false => stop_it(&mut cx, &machine).await,
                    true => stop_it(&mut cx, &by_name("my_stm")).await,
                }
            }
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn start12() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let keeper = DummyVia::default();
            let name = Name::via(&keeper, "my_stm").unwrap();
            let args = || (mode, Args::Ok);
            let start = Suite::start_link(&mut cx, args()).named(name.clone());
            let machine = start.await.unwrap();
            let pid = machine.pid().unwrap();
            let again = Suite::start_link(&mut cx, args()).named(name.clone());
            already_started(again.await, pid);
            already_started(Suite::start(&mut cx, args()).named(name).await, pid);
            let by_via = StatemRef::<Suite>::via(&keeper, "my_stm").unwrap();
            does_all(&mut cx, &machine).await;
            does_all(&mut cx, &by_via).await;
            stop_it(&mut cx, &by_via).await;
            verify_empty_msgq(&mut cx).await;
        }
    });
}
