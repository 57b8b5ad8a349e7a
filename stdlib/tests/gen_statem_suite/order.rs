//! The order in which events are handled, and what a transition does on its way.

use std::time::Duration;

use otp_stdlib::gen_statem::{Enter, Event, GenStatem};
use otp_stdlib::sys;
use otp_vm::{BoxFuture, Context, ExitReason, Pid};

use super::deeds::check_stopped;
use super::scripted::{
    Data, Machine, Next, Said, Scripted, Word, call, flush, from_by_hand, gone, keep, start_link,
    surprise, to,
};
use super::stage::{atom, simulated};
use super::suite::{Answer, Args, Call, Cast, MODES, Suite};
use super::{common, deeds, stage, suite};

const ZERO: Duration = Duration::ZERO;

/// Counts what it does, and tells it.
fn entering(data: &mut Data, state: &str, old: &str, cx: &Context) -> Enter<Scripted> {
    let n = data.n;
    data.n += 1;
    let told = format!("{n} enter {state} {old}");
    let zero = |enter: Enter<Scripted>| {
        enter
            .timeout(ZERO, Word::N(n))
            .state_timeout(ZERO, Word::N(n))
    };
    if state == "wait" && n < 5 {
        let from = data.from.expect("a caller");
        return zero(Enter::repeat_state().reply(from, format!("{n} enter {old}")));
    }
    cx.send(data.witness.expect("a witness"), &told).unwrap();
    match state {
        "wait" => zero(Enter::keep_state()),
        _ => Enter::keep_state(),
    }
}

fn enters<'a>(
    data: &'a mut Data,
    state: &'a str,
    event: Said,
    cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    let n = data.n;
    let from_data = data.from.expect("a caller");
    let witness = data.witness.expect("a witness");
    data.n += 1;
    Box::pin(async move {
        match (state, event) {
            ("start", Event::Internal(_)) => {
                cx.send(witness, &format!("{n} internal start wait"))
                    .unwrap();
                keep()
            }
            (_, Event::Timeout(Word::N(m))) => keep().reply(from_data, format!("{n} timeout {m}")),
            ("wait", Event::StateTimeout(Word::N(m))) => {
                keep().reply(from_data, format!("{n} state_timeout {m}"))
            }
            ("start", Event::Call(from, Word::Repeat)) => {
                Next::repeat_state().reply(from, format!("{n} repeat start"))
            }
            ("start", Event::Call(from, Word::Echo)) => to("wait")
                .reply(from, format!("{n} echo start"))
                .timeout(ZERO, Word::N(n)),
            ("start", Event::Call(from, Word::Stop(reason))) => {
                Next::stop(reason).reply(from, format!("{n} stop"))
            }
            ("wait", Event::Call(from, Word::Repeat)) => {
                // OTP's keeps its data here.
                data.n = n;
                Next::repeat_state()
                    .reply(from, format!("{n} repeat wait"))
                    .timeout(ZERO, Word::N(n))
            }
            ("wait", Event::Call(from, Word::Echo)) => to("start")
                .next_event(Event::Internal(Word::A))
                .reply(from, format!("{n} echo wait")),
            (state, event) => surprise(state, &event),
        }
    })
}

#[test]
fn state_enter() {
    stage::simulate(async |mut cx: Context, reports: stage::Reports| {
        let data = Data {
            n: 1,
            witness: Some(cx.pid()),
            from: Some(from_by_hand(&cx)),
            ..Data::default()
        };
        let script = Scripted::new(data, enters).entering(entering);
        let machine = start_link(&mut cx, script.init("start")).await;
        sys::log(&machine, false).call(&mut cx).await.unwrap();
        sys::log(&machine, true).call(&mut cx).await.unwrap();
        assert_eq!(flush(&mut cx).await, ["1 enter start start"]);
        assert_eq!(call(&mut cx, &machine, Word::Echo).await, "2 echo start");
        let expected = [
            "3 enter start",
            "4 enter start",
            "5 enter wait start",
            "6 timeout 5",
            "7 state_timeout 5",
        ];
        assert_eq!(flush(&mut cx).await, expected);
        let state = sys::get_state(&machine).call(&mut cx).await.unwrap();
        assert_eq!(state.to_string(), "{wait,8}");
        assert_eq!(call(&mut cx, &machine, Word::Repeat).await, "8 repeat wait");
        let expected = ["8 enter wait wait", "9 timeout 8", "10 state_timeout 8"];
        assert_eq!(flush(&mut cx).await, expected);
        assert_eq!(call(&mut cx, &machine, Word::Echo).await, "11 echo wait");
        let expected = ["12 enter start wait", "13 internal start wait"];
        assert_eq!(flush(&mut cx).await, expected);
        assert_eq!(
            call(&mut cx, &machine, Word::Repeat).await,
            "14 repeat start"
        );
        assert_eq!(flush(&mut cx).await, ["15 enter start start"]);
        assert_logged(&mut cx, &machine).await;
        sys::print_log(&machine).call(&mut cx).await.unwrap();
        assert_printed(cx.pid(), &machine, &reports);
        let bye = Word::Stop(atom("bye").into());
        assert_eq!(call(&mut cx, &machine, bye).await, "16 stop");
        assert_eq!(flush(&mut cx).await, ["EXIT bye"]);
        gone(&mut cx, &machine).await;
    });
}

/// The last ten events, which are Erlang's.
async fn assert_logged(cx: &mut Context, machine: &Machine) {
    let log = sys::get_log(machine).call(cx).await.unwrap();
    let me = cx.pid();
    let expected = [
        format!("{{out,<<\"10 state_timeout 8\">>,{{{me},"),
        "{consume,{state_timeout,{'N',8}},wait,wait}".to_owned(),
        format!("{{in,{{{{call,{{{me},"),
        "{in,{internal,'A'},start}".to_owned(),
        format!("{{out,<<\"11 echo wait\">>,{{{me},"),
        format!("{{consume,{{{{call,{{{me},"),
        "{consume,{internal,'A'},start,start}".to_owned(),
        format!("{{in,{{{{call,{{{me},"),
        format!("{{out,<<\"14 repeat start\">>,{{{me},"),
        format!("{{consume,{{{{call,{{{me},"),
    ];
    assert_eq!(log.len(), expected.len(), "{log:?}");
    for (event, expected) in log.iter().zip(&expected) {
        assert!(
            event.to_string().starts_with(expected),
            "{event} {expected}"
        );
    }
    assert!(log[2].to_string().ends_with("},echo},wait}"), "{}", log[2]);
    assert!(log[5].to_string().ends_with("},echo},wait,start}"));
    assert!(log[9].to_string().ends_with("},repeat},start,start}"));
}

/// The same, printed.
fn assert_printed(me: Pid, machine: &Machine, reports: &stage::Reports) {
    let lines: Vec<String> = reports
        .try_iter()
        .map(|report| match report {
            stage::Report::Line(line) => line,
            other => panic!("a line: {other:?}"),
        })
        .collect();
    let expected = [
        format!("send <<\"10 state_timeout 8\">> to {me}"),
        "consume state_timeout {'N',8} in state wait".to_owned(),
        format!("receive call echo from {me} in state wait"),
        "receive internal 'A' in state start".to_owned(),
        format!("send <<\"11 echo wait\">> to {me}"),
        format!("consume call echo from {me} in state wait => start"),
        "consume internal 'A' in state start".to_owned(),
        format!("receive call repeat from {me} in state start"),
        format!("send <<\"14 repeat start\">> to {me}"),
        format!("consume call repeat from {me} in state start"),
    ];
    let pid = machine.pid().unwrap();
    let expected = expected.map(|line| format!("*DBG* {pid} {line}"));
    assert_eq!(lines, expected);
}

fn buffers<'a>(
    data: &'a mut Data,
    state: &'a str,
    event: Said,
    _cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    Box::pin(async move {
        match (state, event) {
            // Handled in `buffer`.
            ("start", Event::Cast(_)) => keep().postpone(),
            ("start", Event::Call(from, Word::Buffer(tags))) => {
                let reply = |n: usize| Word::Reply(tags[n], format!("ok{}", n + 3));
                to("buffer")
                    .next_event(Event::Internal(reply(0)))
                    .next_event(Event::Internal(reply(1)))
                    // It should not come: events are there that cancel it, inserted ones and postponed ones.
                    .timeout(ZERO, reply(2))
                    .reply(from, "ok".into())
            }
            (
                "buffer",
                Event::Internal(word @ Word::Reply(..))
                | Event::Timeout(word @ Word::Reply(..))
                | Event::Cast(word @ Word::Reply(..)),
            ) => {
                data.words.push(word);
                keep()
            }
            ("buffer", Event::Call(from, Word::Stop(reason))) => {
                let mut next = to("stop");
                for word in data.words.drain(..) {
                    if let Word::Reply(from, reply) = word {
                        next = next.reply(from, reply);
                    }
                }
                next.reply(from, "ok".into())
                    .next_event(Event::Internal(Word::Stop(reason)))
            }
            ("stop", Event::Internal(Word::Stop(reason))) => Next::stop(reason),
            (state, event) => surprise(state, &event),
        }
    })
}

#[test]
fn event_order() {
    simulated(async |mut cx: Context| {
        let script = Scripted::new(Data::default(), buffers).init("start");
        let machine = start_link(&mut cx, script).await;
        let from = from_by_hand(&cx);
        for ok in ["ok1", "ok2"] {
            machine.cast(&cx, Word::Reply(from, ok.into())).unwrap();
        }
        let buffer = Word::Buffer(vec![from, from, from]);
        assert_eq!(call(&mut cx, &machine, buffer).await, "ok");
        let stop = Word::Stop(atom("reason").into());
        assert_eq!(call(&mut cx, &machine, stop).await, "ok");
        let expected = ["ok3", "ok4", "ok1", "ok2", "EXIT reason"];
        assert_eq!(flush(&mut cx).await, expected);
        gone(&mut cx, &machine).await;
    });
}

/// Each state knows one event, and goes to the next state with it.
fn each_type<'a>(
    _data: &'a mut Data,
    state: &'a str,
    event: Said,
    _cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    Box::pin(async move {
        match (state, event) {
            ("start1", Event::Internal(Word::N(0))) => to("start2"),
            ("start2", Event::Call(from, word)) => to("state1")
                .next_event(Event::Internal(Word::N(1)))
                .next_event(Event::StateTimeout(Word::N(2)))
                .next_event(Event::Timeout(Word::N(3)))
                .next_event(Event::Info(Word::N(4)))
                .next_event(Event::Cast(Word::N(5)))
                .next_event(Event::GenericTimeout("6", Word::N(6)))
                .next_event(Event::Call(from, word)),
            ("state1", Event::Internal(Word::N(1))) => to("state2"),
            ("state2", Event::StateTimeout(Word::N(2))) => to("state3"),
            ("state3", Event::Timeout(Word::N(3))) => to("state4"),
            ("state4", Event::Info(Word::N(4))) => to("state5"),
            ("state5", Event::Cast(Word::N(5))) => to("state6"),
            ("state6", Event::GenericTimeout("6", Word::N(6))) => to("state7"),
            ("state7", Event::Call(from, Word::Stop(reason))) => {
                Next::stop(reason).reply(from, "stopped".into())
            }
            (state, event) => surprise(state, &event),
        }
    })
}

#[test]
fn event_types() {
    simulated(async |mut cx: Context| {
        let script = Scripted::new(Data::default(), each_type).init("start1");
        let script = script.next_event(Event::Internal(Word::N(0)));
        let machine = start_link(&mut cx, script).await;
        let stop = Word::Stop(ExitReason::shutdown());
        assert_eq!(call(&mut cx, &machine, stop).await, "stopped");
        let reason = common::exit_of(&mut cx, machine.pid().unwrap()).await;
        assert_eq!(reason, ExitReason::shutdown());
        gone(&mut cx, &machine).await;
    });
}

#[test]
fn next_events() {
    simulated(async |mut cx: Context| {
        for mode in MODES {
            let machine = deeds::start(&mut cx, mode, Args::Ok).await;
            machine.cast(&cx, Cast::NextEvent).unwrap();
            match deeds::call(&mut cx, &machine, Call::Get).await {
                Answer::State(state, left) => {
                    assert_eq!((state, left.as_str()), (suite::Name::NextEvents, ""));
                }
                other => panic!("the state: {other:?}"),
            }
            let normal = ExitReason::normal();
            machine
                .stop(&mut cx, normal.clone(), stage::SECOND)
                .await
                .unwrap();
            assert!(!cx.is_alive(machine.pid().unwrap()).await);
            let again = machine.stop(&mut cx, normal, stage::SECOND).await;
            super::stopping::was_not_there(again);
            check_stopped(&mut cx, &machine).await;
        }
    });
}

fn stops<'a>(
    data: &'a mut Data,
    state: &'a str,
    event: Said,
    _cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    Box::pin(async move {
        match (state, event) {
            ("start", Event::Cast(word @ Word::Reply(..))) => {
                data.words.push(word);
                to("wait")
            }
            ("wait", Event::Cast(Word::StopAndReply(from, second))) => {
                let Some(Word::Reply(first_from, first)) = data.words.pop() else {
                    panic!("nothing was kept");
                };
                Next::stop(atom("reason"))
                    .reply(first_from, first)
                    .reply(from, second)
            }
            (state, event) => surprise(state, &event),
        }
    })
}

#[test]
fn stop_and_reply() {
    simulated(async |mut cx: Context| {
        let script = Scripted::new(Data::default(), stops).init("start");
        let machine = start_link(&mut cx, script).await;
        let from = from_by_hand(&cx);
        machine
            .cast(&cx, Word::Reply(from, "reply1".into()))
            .unwrap();
        let stop = Word::StopAndReply(from, "reply2".into());
        machine.cast(&cx, stop).unwrap();
        let expected = ["reply1", "reply2", "EXIT reason"];
        assert_eq!(flush(&mut cx).await, expected);
        gone(&mut cx, &machine).await;
    });
}

#[test]
fn shutdown() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let machine = deeds::start_link(&mut cx, MODES[0], Args::Ok).await;
        let pid = machine.pid().unwrap();
        deeds::do_func_test(&mut cx, &machine).await;
        deeds::do_sync_func_test(&mut cx, &machine).await;
        let reason = ExitReason::new(&(atom("shutdown"), atom("reason")));
        let stop = Call::StopWith(reason.clone());
        assert_eq!(deeds::call(&mut cx, &machine, stop).await, Answer::Stopped);
        assert_eq!(deeds::exit_of(&mut cx, pid).await, reason);
        cx.trap_exit(false);
        deeds::is_noproc(machine.call(&mut cx, Call::Hej).await);
        deeds::verify_empty_msgq(&mut cx).await;
        // What the type is called.
        assert!(format!("{:?}", Suite::start(&mut cx, (MODES[0], Args::Ok))).contains("Suite"));
    });
}

/// Says whether it wants to, and then that it doesn't, or the other way round.
fn changes_its_mind<'a>(
    data: &'a mut Data,
    state: &'a str,
    event: Said,
    cx: &'a mut Context,
) -> BoxFuture<'a, Next> {
    let witness = data.witness.expect("a witness");
    Box::pin(async move {
        match (state, event) {
            ("start", Event::Info(Word::A)) => keep().postpone().postpone_if(false),
            ("start", Event::Info(Word::B)) => keep().postpone_if(false).postpone_if(true),
            ("start", Event::Info(Word::Check)) => keep().hibernate().hibernate_if(false),
            ("start", Event::Info(Word::Test)) => keep().hibernate_if(false).hibernate_if(true),
            ("start", Event::Info(Word::Go(_))) => to("wait").hibernate(),
            ("wait", Event::Info(word)) => {
                cx.send(witness, &format!("{word:?}")).unwrap();
                keep()
            }
            (state, event) => surprise(state, &event),
        }
    })
}

/// `{postpone, Bool}` and `{hibernate, Bool}`: the last one counts, and a state enter call comes after its event.
#[test]
fn the_last_of_several_flags_counts() {
    fn wakes(_: &mut Data, state: &str, _: &str, _: &Context) -> Enter<Scripted> {
        Enter::keep_state().hibernate_if(state == "start")
    }
    simulated(async |mut cx: Context| {
        let data = Data {
            witness: Some(cx.pid()),
            ..Data::default()
        };
        let scripted = Scripted::new(data, changes_its_mind).entering(wakes);
        let machine = start_link(&mut cx, scripted.init("start")).await;
        let pid = machine.pid().unwrap();
        let hibernated = async |cx: &Context| {
            cx.sleep(Duration::from_millis(10)).await;
            cx.process_info(pid).expect("it lives").hibernated
        };
        assert!(hibernated(&cx).await, "its first state has it hibernate");
        for (word, hibernates) in [
            (Word::A, false),
            (Word::B, false),
            (Word::Check, false),
            (Word::Test, true),
            (Word::Go(0), false),
        ] {
            cx.send(pid, &word).unwrap();
            assert_eq!(hibernated(&cx).await, hibernates, "{word:?}");
        }
        assert_eq!(flush(&mut cx).await, ["B"]);
    });
}
