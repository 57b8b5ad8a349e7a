//! Timeouts: of the event, of the state, and generic ones.

use std::time::Duration;

use otp_stdlib::gen_statem::{Event, TimeoutType, When};
use otp_stdlib::sys;
use otp_vm::{BoxFuture, Context, ExitReason};

use super::deeds::{exit_of, verify_empty_msgq};
use super::scripted::{
    Data, Next, Said, Scripted, Word, call, gone, keep, start_link, surprise, to,
};
use super::stage::{SECOND, atom, ms, simulated};

const ZERO: Duration = Duration::ZERO;

fn kept(data: &Data) -> otp_stdlib::gen_statem::From<String> {
    data.from.expect("a caller")
}

fn of_states<'a>(
    data: &'a mut Data,
    state: &'a str,
    event: Said,
    cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    let n = Word::N;
    Box::pin(async move {
        match (state, event) {
            ("start", Event::Call(from, Word::Go(time))) => {
                cx.send(cx.pid(), &Word::MessageToSelf).unwrap();
                (data.from, data.time) = (Some(from), time);
                // Internal events come before messages.
                to("state1")
                    .timeout(ms(time), n(1))
                    .state_timeout(ms(time), n(1))
                    .next_event(Event::Internal(n(1)))
            }
            // A change of the state cancels timeout 1.
            ("state1", Event::Internal(Word::N(1))) => to("state2")
                .timeout(ZERO, n(2))
                .state_timeout(ZERO, n(2))
                .next_event(Event::Internal(n(2))),
            // A state timeout of zero comes after inserted events, and one of the event is cancelled by it.
            ("state2", Event::Internal(Word::N(2))) => {
                data.n = 2;
                keep().timeout(ZERO, n(3))
            }
            // Timeouts of zero come in their order.
            ("state2", Event::StateTimeout(Word::N(2))) if data.n == 2 => {
                data.n = 3;
                keep().timeout(ZERO, n(4)).state_timeout(ZERO, n(5))
            }
            // The one that is due already is started anew, and is then the first.
            ("state2", Event::Timeout(Word::N(4))) if data.n == 3 => {
                data.n = 4;
                keep().state_timeout(ZERO, n(6)).timeout(ZERO, n(7))
            }
            ("state2", Event::StateTimeout(Word::N(6))) if data.n == 4 => {
                data.n = 6;
                to("state3")
                    .reply(kept(data), "ok".into())
                    .state_timeout(ms(data.time), n(8))
            }
            ("state3", Event::Info(Word::MessageToSelf)) if data.n == 6 => {
                data.n = 7;
                keep()
            }
            ("state3", Event::Call(from, Word::Check)) if data.n == 7 => {
                data.from = Some(from);
                keep()
            }
            ("state3", Event::StateTimeout(Word::N(8))) => {
                Next::stop(ExitReason::normal()).reply(kept(data), "ok".into())
            }
            (state, event) => surprise(state, &event),
        }
    })
}

#[test]
fn state_timeout() {
    simulated(async |mut cx: Context| {
        let script = Scripted::new(Data::default(), of_states).init("start");
        let machine = start_link(&mut cx, script).await;
        let begun = cx.monotonic_time();
        assert_eq!(call(&mut cx, &machine, Word::Go(500)).await, "ok");
        assert_eq!(call(&mut cx, &machine, Word::Check).await, "ok");
        let passed = Duration::from_nanos(cx.monotonic_time() - begun);
        assert!((ms(500)..SECOND).contains(&passed), "{passed:?}");
        let reason = exit_of(&mut cx, machine.pid().unwrap()).await;
        assert_eq!(reason, ExitReason::normal());
        verify_empty_msgq(&mut cx).await;
    });
}

fn updates<'a>(
    data: &'a mut Data,
    state: &'a str,
    event: Said,
    cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    let a = || TimeoutType::Generic("a");
    Box::pin(async move {
        match (state, event) {
            ("start", Event::Call(from, Word::Test)) => {
                cx.send(cx.pid(), &Word::MessageToSelf).unwrap();
                data.from = Some(from);
                to("state1")
                    .state_timeout(ms(17), Word::N(1))
                    .next_event(Event::Internal(Word::N(1)))
            }
            ("state1", Event::Internal(Word::N(1))) => keep()
                .cancel_timeout(TimeoutType::StateTimeout)
                .generic_timeout("a", ms(17), Word::N(1)),
            ("state1", Event::Info(Word::MessageToSelf)) => keep().update_timeout(a(), Word::A),
            ("state1", Event::GenericTimeout("a", Word::A)) => to("state2")
                .state_timeout(ms(17), Word::N(2))
                .next_event(Event::Internal(Word::N(2))),
            ("state2", Event::Internal(Word::N(2))) => {
                cx.sleep(ms(50)).await;
                // Its message is there by now.
                keep()
                    .update_timeout(TimeoutType::StateTimeout, Word::B)
                    .timeout(ms(17), Word::N(2))
            }
            ("state2", Event::StateTimeout(Word::B)) => to("state3")
                .reply(kept(data), "ok".into())
                .timeout(ms(17_000), Word::N(3)),
            ("state3", Event::Call(from, Word::Stop(reason))) => {
                Next::stop(reason).reply(from, "ok".into())
            }
            (state, event) => surprise(state, &event),
        }
    })
}

#[test]
fn timeout_cancel_and_update() {
    simulated(async |mut cx: Context| {
        let script = Scripted::new(Data::default(), updates).init("start");
        let machine = start_link(&mut cx, script).await;
        assert_eq!(call(&mut cx, &machine, Word::Test).await, "ok");
        let status = sys::get_status(&machine).call(&mut cx).await.unwrap();
        assert_eq!(status.pid, machine.pid().unwrap());
        assert_eq!(status.module, atom("gen_statem"));
        let timeouts = status.data("Time-outs").expect("they are shown");
        assert_eq!(timeouts.to_string(), "{1,[{timeout,{'N',3}}]}");
        let stop = Word::Stop(ExitReason::normal());
        assert_eq!(call(&mut cx, &machine, stop).await, "ok");
        let reason = exit_of(&mut cx, machine.pid().unwrap()).await;
        assert_eq!(reason, ExitReason::normal());
        verify_empty_msgq(&mut cx).await;
    });
}

fn generic<'a>(
    _data: &'a mut Data,
    state: &'a str,
    event: Said,
    cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    Box::pin(async move {
        match (state, event) {
            ("start", Event::Call(from, word)) => to("state1")
                .generic_timeout("a", ms(1500), Word::N(1))
                .state_timeout(ms(1500), Word::N(1))
                .generic_timeout("b", ms(1000), Word::N(1))
                .next_event(Event::Call(from, word)),
            ("state1", Event::Call(from, _)) => {
                let at = When::At(cx.monotonic_time() + 500_000_000);
                to("state2")
                    .generic_timeout("c", at, Word::N(2))
                    .generic_timeout("d", ZERO, Word::N(2))
                    .timeout(ZERO, Word::N(2))
                    .generic_timeout("b", When::Infinity, Word::N(2))
                    .generic_timeout("a", ms(1000), Word::Asked(from))
            }
            ("state2", Event::GenericTimeout("d", Word::N(2))) => to("state3"),
            ("state3", Event::GenericTimeout("c", Word::N(2))) => to("state4"),
            ("state4", Event::GenericTimeout("a", Word::Asked(from))) => {
                Next::stop(ExitReason::shutdown()).reply(from, "stopped".into())
            }
            (state, event) => surprise(state, &event),
        }
    })
}

#[test]
fn generic_timers() {
    simulated(async |mut cx: Context| {
        let script = Scripted::new(Data::default(), generic).init("start");
        let machine = start_link(&mut cx, script).await;
        let stop = Word::Stop(ExitReason::normal());
        assert_eq!(call(&mut cx, &machine, stop).await, "stopped");
        let reason = exit_of(&mut cx, machine.pid().unwrap()).await;
        assert_eq!(reason, ExitReason::shutdown());
        gone(&mut cx, &machine).await;
    });
}

/// What a machine does with the messages of timers that it has not started, or not any more.
fn strangers<'a>(
    data: &'a mut Data,
    state: &'a str,
    event: Said,
    cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    Box::pin(async move {
        match (state, event) {
            ("start", Event::Cast(Word::Go(time))) => {
                let next = keep().state_timeout(ms(time), Word::A);
                next.generic_timeout("a", ms(time), Word::A)
            }
            ("start", Event::Call(from, Word::Test)) => {
                // Both are over while this runs; one is cancelled, the other replaced.
                cx.sleep(ms(50)).await;
                data.from = Some(from);
                keep()
                    .cancel_timeout(TimeoutType::StateTimeout)
                    .generic_timeout("a", ms(20), Word::B)
            }
            ("start", Event::GenericTimeout("a", Word::B)) => keep().reply(kept(data), "b".into()),
            (state, event) => surprise(state, &event),
        }
    })
}

#[test]
fn a_timeout_that_was_cancelled_or_replaced_does_not_come_though_its_time_was_over() {
    simulated(async |mut cx: Context| {
        let script = Scripted::new(Data::default(), strangers).init("start");
        let machine = start_link(&mut cx, script).await;
        machine.cast(&cx, Word::Go(10)).unwrap();
        assert_eq!(call(&mut cx, &machine, Word::Test).await, "b");
        // Nothing is left in its mailbox.
        cx.sleep(SECOND).await;
        let pid = machine.pid().unwrap();
        assert_eq!(cx.process_info(pid).unwrap().message_queue_len, 0);
    });
}
