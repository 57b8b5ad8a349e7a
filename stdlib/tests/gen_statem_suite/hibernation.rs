//! Machines that sleep.

use otp_stdlib::gen_statem::GenStatem;
use otp_stdlib::sys;
use otp_vm::{Context, ExitReason};

use super::deeds::{Machine, call, exit_of, start_link, stop_it, told, verify_empty_msgq};
use super::stage::{SECOND, ms, simulated};
use super::suite::{Answer, Args, Call, Cast, Info, MODES, Suite, Told};

/// Longer than any slice of a simulation is.
const SOON: std::time::Duration = ms(10);

fn is_hibernated(cx: &Context, machine: &Machine) -> bool {
    let info = cx.process_info(machine.pid().unwrap());
    info.expect("it lives").hibernated
}

pub async fn hibernates(cx: &Context, machine: &Machine) {
    cx.sleep(SOON).await;
    assert!(is_hibernated(cx, machine));
}

pub async fn is_awake(cx: &Context, machine: &Machine) {
    cx.sleep(SOON).await;
    assert!(!is_hibernated(cx, machine));
}

/// To sleep and up again, by calls and by casts.
async fn sleeps(cx: &mut Context, machine: &Machine) {
    for snoozes in [false, true] {
        let answer = call(cx, machine, Call::HibernateSync).await;
        assert_eq!(answer, Answer::Hibernating);
        hibernates(cx, machine).await;
        if snoozes {
            let answer = call(cx, machine, Call::SnoozeSync).await;
            assert_eq!(answer, Answer::PleaseJustFiveMore);
            hibernates(cx, machine).await;
        }
        let answer = call(cx, machine, Call::WakeupSync).await;
        assert_eq!(answer, Answer::GoodMorning);
        is_awake(cx, machine).await;
    }
    for snoozes in [false, true] {
        machine.cast(cx, Cast::HibernateAsync).unwrap();
        hibernates(cx, machine).await;
        if snoozes {
            machine.cast(cx, Cast::SnoozeAsync).unwrap();
            hibernates(cx, machine).await;
        }
        machine.cast(cx, Cast::WakeupAsync).unwrap();
        is_awake(cx, machine).await;
    }
}

#[test]
fn hibernate() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let machine = start_link(&mut cx, MODES[0], Args::HiberNow).await;
        let pid = machine.pid().unwrap();
        hibernates(&cx, &machine).await;
        stop_it(&mut cx, &machine).await;
        assert_eq!(exit_of(&mut cx, pid).await, ExitReason::normal());

        let machine = start_link(&mut cx, MODES[0], Args::Hiber).await;
        let pid = machine.pid().unwrap();
        assert!(!is_hibernated(&cx, &machine));
        sleeps(&mut cx, &machine).await;
        cx.send(pid, &Info::HibernateLater).unwrap();
        is_awake(&cx, &machine).await;
        cx.sleep(SECOND).await;
        hibernates(&cx, &machine).await;
        let alive = Answer::Alive;
        assert_eq!(call(&mut cx, &machine, Call::Alive).await, alive);
        is_awake(&cx, &machine).await;
        cx.send(pid, &Info::HibernateNow).unwrap();
        hibernates(&cx, &machine).await;
        assert_eq!(call(&mut cx, &machine, Call::Alive).await, alive);
        is_awake(&cx, &machine).await;
        sleeps(&mut cx, &machine).await;
        assert_eq!(
            call(&mut cx, &machine, Call::HibernateSync).await,
            Answer::Hibernating
        );
        hibernates(&cx, &machine).await;
        sys::suspend(&machine).call(&mut cx).await.unwrap();
        hibernates(&cx, &machine).await;
        sys::resume(&machine).call(&mut cx).await.unwrap();
        hibernates(&cx, &machine).await;
        cx.sleep(SECOND).await;
        hibernates(&cx, &machine).await;
        assert_eq!(
            call(&mut cx, &machine, Call::WakeupSync).await,
            Answer::GoodMorning
        );
        is_awake(&cx, &machine).await;
        stop_it(&mut cx, &machine).await;
        assert_eq!(exit_of(&mut cx, pid).await, ExitReason::normal());
        verify_empty_msgq(&mut cx).await;
    });
}

#[test]
fn auto_hibernate() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let after = 1000;
        let start = Suite::start_link(&mut cx, (MODES[0], Args::Ok));
        let machine = start.hibernate_after(ms(after)).await.unwrap();
        let pid = machine.pid().unwrap();
        let me = cx.pid();
        // After init, an info, a cast, a call.
        for round in 0..4 {
            match round {
                1 => cx.send(pid, &Info::Hping(me)).unwrap(),
                2 => machine.cast(&cx, Cast::Hping(me)).unwrap(),
                3 => assert_eq!(call(&mut cx, &machine, Call::Hping).await, Answer::Hpong),
                _ => {}
            }
            if matches!(round, 1 | 2) {
                assert_eq!(told(&mut cx).await, Told::Hpong(pid));
            }
            is_awake(&cx, &machine).await;
            cx.sleep(ms(after)).await;
            hibernates(&cx, &machine).await;
        }
        // A timeout that comes before it would sleep, and one that wakes it.
        let timer = after / 2;
        let answer = call(&mut cx, &machine, Call::StartHtimer(me, timer)).await;
        assert_eq!(answer, Answer::Ok);
        is_awake(&cx, &machine).await;
        cx.sleep(ms(timer)).await;
        is_awake(&cx, &machine).await;
        assert_eq!(told(&mut cx).await, Told::HtimerTimeout(pid));
        is_awake(&cx, &machine).await;
        cx.sleep(ms(after)).await;
        hibernates(&cx, &machine).await;
        let timer = after * 2;
        let answer = call(&mut cx, &machine, Call::StartHtimer(me, timer)).await;
        assert_eq!(answer, Answer::Ok);
        is_awake(&cx, &machine).await;
        cx.sleep(ms(after)).await;
        hibernates(&cx, &machine).await;
        assert_eq!(told(&mut cx).await, Told::HtimerTimeout(pid));
        is_awake(&cx, &machine).await;
        cx.sleep(ms(after)).await;
        hibernates(&cx, &machine).await;
        // The state, the data, and what was postponed are still there.
        machine.cast(&cx, Cast::PostponeEvent).unwrap();
        cx.sleep(ms(after + 1)).await;
        hibernates(&cx, &machine).await;
        stop_it(&mut cx, &machine).await;
        assert_eq!(exit_of(&mut cx, pid).await, ExitReason::normal());
        verify_empty_msgq(&mut cx).await;
    });
}
