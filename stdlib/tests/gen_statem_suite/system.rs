//! What `sys` sees of state machines, and does to them.

use std::ops::ControlFlow;

use otp_stdlib::gen_statem::{Event, GenStatem, Init, StatemRef, Target, Transition, enter_loop};
use otp_stdlib::prelude::{NoMessage, Registry};
use otp_stdlib::proc_lib::{self, Starter};
use otp_stdlib::sys::{self, DebugOption, SysError, SysState};
use otp_vm::{CallError, Context, ExitReason, Native, OwnedTerm, Pid, atoms};

use super::deeds::{
    Machine, call, down_of, exit_of, start, start_link, stop_it, told, verify_empty_msgq,
};
use super::failing::{crash_reported, reported};
use super::hibernation::{hibernates, is_awake};
use super::names::DummyVia;
use super::stage::{Report, Reports, SECOND, atom, ms, simulate, simulated};
use super::suite::{Answer, Args, Call, Cast, Data, MODES, Mode, Name, State, Suite, Told};

/// The state and data, as functions of `sys` get them.
type Pair = (State, Suite);

async fn state_of(cx: &mut Context, process: impl Into<Target>) -> String {
    let state = sys::get_state(process).call(cx).await;
    state.expect("a state").to_string()
}

async fn suspend(cx: &mut Context, machine: &Machine) {
    sys::suspend(machine).call(cx).await.expect("it is");
}

async fn resume(cx: &mut Context, machine: &Machine) {
    sys::resume(machine).call(cx).await.expect("it is");
}

#[test]
fn code_change() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let args = Args::Data(Data::Text("data"));
        let machine = start(cx, Mode::StateFunctions, args).await;
        assert_eq!(state_of(cx, &machine).await, "{idle,<<\"data\">>}");
        let mode = Mode::HandleEventFunction;
        let change = || sys::change_code(&machine, atom("suite"), &atom("old_vsn"), &mode);
        // Only while it is suspended.
        assert!(matches!(change().call(cx).await, Err(SysError::Refused(_))));
        suspend(cx, &machine).await;
        change().call(cx).await.unwrap();
        resume(cx, &machine).await;
        let changed = "{idle,{<<\"old_vsn\">>,<<\"<<\\\"data\\\">>\">>,handle_event_function}}";
        assert_eq!(state_of(cx, &machine).await, changed);
        assert_eq!(
            call(cx, &machine, Call::GetCallbackMode).await,
            Answer::Mode(mode)
        );
        stop_it(cx, &machine).await;
    });
}

#[test]
fn sys1() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        for mode in MODES {
            let machine = start(cx, mode, Args::Ok).await;
            let status = sys::get_status(&machine).call(cx).await.unwrap();
            assert_eq!(status.pid, machine.pid().unwrap());
            assert_eq!(status.module, atom("gen_statem"));
            suspend(cx, &machine).await;
            let (parent, callee) = (cx.pid(), machine.clone());
            let caller = cx.spawn(async move |mut cx: Context| {
                let answer = call(&mut cx, &callee, Call::Hej).await;
                cx.send(parent, &answer).expect("it is told");
                ExitReason::normal()
            });
            assert!(cx.receive_timeout(SECOND * 3).await.is_none());
            cx.exit_process(caller.unwrap(), atom("ok"));
            resume(cx, &machine).await;
            stop_it(cx, &machine).await;
        }
    });
}

#[test]
fn call_format_status() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let check = async |cx: &mut Context, machine: Machine, name: &str| {
            let status = sys::get_status(&machine).call(cx).await.unwrap();
            assert_eq!(Some(status.pid), machine.whereis(cx));
            assert_eq!(status.state, SysState::Running);
            let last = status.misc.root().list_iter().last().unwrap().to_string();
            let state = "{data,[{<<\"State\">>,{format_status_called,format_data}}]}";
            assert_eq!(last, state);
            let header = format!("{{header,<<\"Status for state machine {name}\">>}}");
            let shown = status.misc.to_string();
            assert!(name.contains('"') || shown.contains(&header), "{shown}");
            stop_it(cx, &machine).await;
        };
        let names = Registry::<(otp_vm::Atom, String), ()>::start_link(cx, "names").await;
        let (names, key) = (names.unwrap(), (atom("name"), "term".to_owned()));
        for mode in MODES {
            let args = || (mode, Args::Ok);
            let machine = Suite::start(cx, args()).await.unwrap();
            let pid = machine.pid().unwrap().to_string();
            check(cx, machine, &pid).await;
            Suite::start(cx, args()).name("gstm").await.unwrap();
            check(cx, StatemRef::from_name("gstm").unwrap(), "gstm").await;
            // Names that are neither a pid nor an atom.
            let via = DummyVia::default();
            let started = Suite::start(cx, args()).via(&via, "CallFormatStatus").await;
            started.unwrap();
            let machine = StatemRef::via(&via, "CallFormatStatus").unwrap();
            check(cx, machine, "<<\"CallFormatStatus\">>").await;
            Suite::start(cx, args()).via(&names, &key).await.unwrap();
            let machine = StatemRef::via(&names, &key).unwrap();
            check(cx, machine, "{name,<<\"term\">>}").await;
        }
    });
}

#[test]
fn format_all_status() {
    simulate(async |mut cx: Context, reports: Reports| {
        let cx = &mut cx;
        cx.trap_exit(true);
        for mode in MODES {
            let machine = start(cx, mode, Args::Data(Data::Wraps)).await;
            let pid = machine.pid().unwrap();
            sys::log(&machine, true).call(cx).await.unwrap();
            machine.cast(cx, Cast::PostponeEvent).unwrap();
            machine.cast(cx, Cast::Timeout(100_000)).unwrap();

            let status = sys::get_status(&machine).call(cx).await.unwrap();
            let items: Vec<OwnedTerm> = otp_vm::from_term(status.misc.root()).unwrap();
            assert_eq!(items.len(), 3);
            let names: Vec<String> = {
                let data = items[1].root().as_tuple().unwrap().get(1).unwrap();
                let name =
                    |pair: otp_vm::Term<'_>| pair.as_tuple()?.get(0)?.as_str().map(str::to_owned);
                data.list_iter().filter_map(name).collect()
            };
            let expected = [
                "Status",
                "Parent",
                "Modules",
                "Time-outs",
                "Logged Events",
                "Postponed",
            ];
            assert_eq!(names, expected);
            let shown = |name| status.data(name).expect("it is shown").to_string();
            assert_eq!(shown("Status"), "running");
            assert!(shown("Modules").contains("Suite"), "{}", shown("Modules"));
            assert_eq!(shown("Time-outs"), "{1,[{timeouts,{timeout,idle}}]}");
            assert_eq!(shown("Postponed"), "[{postponed,{cast,postpone_event}}]");
            let log = shown("Logged Events");
            let first = "[{log,{in,{cast,postpone_event},idle}},\
                         {log,{postpone,{cast,postpone_event},idle,idle}},\
                         {log,{in,{cast,{timeout,100000}},idle}},";
            assert!(log.starts_with(first), "{log}");
            let state = "{{state,idle},{data,wraps}}";
            assert_eq!(shown("State"), state);

            let failed = machine.call(cx, Call::BadReply).await;
            assert!(matches!(failed, Err(CallError::Exit(_))), "{failed:?}");
            let report = reported(&reports);
            assert_eq!((report.pid, report.client), (pid, Some(cx.pid())));
            assert!(report.text.starts_with("** State machine "));
            let [queued] = &report.queue[..] else {
                panic!("one event: {:?}", report.queue);
            };
            assert!(
                queued.starts_with("{queue,{{call,{") && queued.ends_with(",bad_reply}}"),
                "{queued}"
            );
            assert_eq!(report.state, state);
            let reason = "{reason,{bad_action_from_state_function,";
            assert!(report.reason.starts_with(reason), "{}", report.reason);
            assert_eq!(report.postponed, ["{postponed,{cast,postpone_event}}"]);
            assert_eq!(report.timeouts, ["{timeouts,{timeout,idle}}"]);
            assert_eq!(report.log[0], "{log,{in,{cast,postpone_event},idle}}");
            crash_reported(&reports, pid);
        }
    });
}

#[test]
fn get_state() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let me = cx.pid();
        let state = format!("{{idle,{me}}}");
        let typed = move |(state, suite): &Pair| {
            state.name() == Name::Idle && matches!(suite.data, Data::Pid(pid) if pid == me)
        };
        for mode in MODES {
            let args = || (mode, Args::Data(Data::Pid(me)));
            let machine = Suite::start(cx, args()).await.unwrap();
            let named = Suite::start(cx, args()).name("gstm").await.unwrap();
            for target in [Target::from(&machine), Target::from(atom("gstm"))] {
                assert_eq!(state_of(cx, &target).await, state);
                let get = sys::get_state(&target).timeout(ms(5000));
                assert_eq!(get.call(cx).await.unwrap().to_string(), state);
                assert_eq!(sys::inspect(&target, typed).call(cx).await, Ok(true));
            }
            stop_it(cx, &machine).await;
            stop_it(cx, &named).await;
            // While it is suspended.
            let machine = Suite::start(cx, args()).await.unwrap();
            assert_eq!(state_of(cx, &machine).await, state);
            suspend(cx, &machine).await;
            let get = sys::get_state(&machine).timeout(ms(5000));
            assert_eq!(get.call(cx).await.unwrap().to_string(), state);
            resume(cx, &machine).await;
            stop_it(cx, &machine).await;
            verify_empty_msgq(cx).await;
        }
    });
}

/// Another text for the data, and perhaps another state.
fn data(text: &'static str, state: Option<Name>) -> impl FnOnce(&Pair) -> Pair + Send + 'static {
    move |(old, suite)| {
        let state = state.map_or_else(|| old.clone(), State::Plain);
        let (mode, data) = (suite.mode, Data::Text(text));
        (state, Suite { mode, data })
    }
}

#[test]
fn replace_state() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        for mode in MODES {
            let machine = start(cx, mode, Args::Data(Data::Pid(cx.pid()))).await;
            assert_eq!(
                state_of(cx, &machine).await,
                format!("{{idle,{}}}", cx.pid())
            );
            let replaced = sys::replace_state(&machine, data("replaced", None));
            let first = "{idle,<<\"replaced\">>}";
            assert_eq!(replaced.call(cx).await.unwrap().to_string(), first);
            assert_eq!(state_of(cx, &machine).await, first);
            let replaced = sys::replace_state(&machine, data("replaced again", Some(Name::State0)));
            let second = "{state0,<<\"replaced again\">>}";
            let replaced = replaced.timeout(ms(5000)).call(cx).await;
            assert_eq!(replaced.unwrap().to_string(), second);
            assert_eq!(state_of(cx, &machine).await, second);
            // Nothing changes if the function fails.
            let fails = sys::replace_state(&machine, |_: &Pair| panic!("fail"));
            let Err(SysError::Refused(why)) = fails.call(cx).await else {
                panic!("it was replaced")
            };
            let failed =
                "{callback_failed,{gen_statem,system_replace_state},{error,{panic,<<\"fail\">>,";
            assert!(why.to_string().starts_with(failed), "{why}");
            assert_eq!(state_of(cx, &machine).await, second);
            // Nor if it is for the data alone.
            let fails = sys::replace_state(&machine, |_: &Suite| panic!("it is called"));
            let Err(SysError::Refused(why)) = fails.call(cx).await else {
                panic!("it was replaced")
            };
            assert!(why.to_string().starts_with("{wrong_state,"), "{why}");
            // While it is suspended.
            suspend(cx, &machine).await;
            let replaced = sys::replace_state(&machine, data("replaced again and again", None));
            let third = "{state0,<<\"replaced again and again\">>}";
            assert_eq!(replaced.call(cx).await.unwrap().to_string(), third);
            resume(cx, &machine).await;
            assert_eq!(state_of(cx, &machine).await, third);
            stop_it(cx, &machine).await;
            verify_empty_msgq(cx).await;
        }
    });
}

/// A machine with nothing but what it must have, which ends with each event.
struct Oc;

impl GenStatem for Oc {
    type Args = ();
    type State = u8;
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = ();
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(_: (), _: &mut Context) -> Init<Self> {
        Init::ok(0, Oc)
    }

    async fn handle_event(&mut self, _: &u8, _: Event<Self>, _: &mut Context) -> Transition<Self> {
        Transition::stop(ExitReason::shutdown())
    }
}

#[test]
fn undef_code_change() {
    simulate(async |mut cx: Context, reports: Reports| {
        let cx = &mut cx;
        let (machine, monitor) = Oc::start_monitor(cx, ()).await.unwrap();
        sys::trace(&machine, true).call(cx).await.unwrap();
        // The suite's `fake_upgrade`.
        sys::suspend(&machine).call(cx).await.unwrap();
        let replaced = sys::replace_state(&machine, |(state, _): &(u8, Oc)| (state + 1, Oc));
        replaced.call(cx).await.unwrap();
        let change = sys::change_code(&machine, atom("oc_statem"), &atom("old_vsn"), &());
        let changed = change.call(cx).await;
        sys::resume(&machine).call(cx).await.unwrap();
        let undef = ExitReason::new(&(atoms::EXIT, atoms::UNDEF));
        assert_eq!(changed, Err(SysError::Refused(undef)));
        // It goes on with what it has, and shows the name of its type for its data.
        let state = state_of(cx, &machine).await;
        assert!(
            state.starts_with("{1,<<\"") && state.contains("::Oc\">>"),
            "{state}"
        );
        machine.cast(cx, ()).unwrap();
        assert_eq!(down_of(cx, monitor).await, ExitReason::shutdown());
        let pid = machine.pid().unwrap();
        let lines = lines(&reports);
        let words = [
            "receive cast ok in state 1",
            "terminate shutdown in state 1",
        ];
        assert_eq!(lines, words.map(|words| format!("*DBG* {pid} {words}")));
    });
}

#[test]
fn timeouts_run_on_while_it_is_suspended() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let me = cx.pid();
        let machine = start_link(cx, MODES[0], Args::Ok).await;
        let pid = machine.pid().unwrap();
        assert_eq!(
            call(cx, &machine, Call::StartHtimer(me, 100)).await,
            Answer::Ok
        );
        suspend(cx, &machine).await;
        assert!(cx.receive_timeout(SECOND).await.is_none());
        let begun = cx.monotonic_time();
        resume(cx, &machine).await;
        assert_eq!(told(cx).await, Told::HtimerTimeout(pid));
        assert!(cx.monotonic_time() - begun < 50_000_000);
        // What the machine put off is still there.
        machine.cast(cx, Cast::PostponeEvent).unwrap();
        suspend(cx, &machine).await;
        let status = sys::get_status(&machine).call(cx).await.unwrap();
        assert_eq!(status.state, SysState::Suspended);
        let postponed = status.data("Postponed").unwrap().to_string();
        assert_eq!(postponed, "[{cast,postpone_event}]");
        resume(cx, &machine).await;
        assert_eq!(call(cx, &machine, Call::Hping).await, Answer::Hpong);
    });
}

#[test]
fn one_that_sleeps_for_want_of_messages_is_awake_after_a_system_message() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let started = Suite::start_link(cx, (MODES[0], Args::Ok)).hibernate_after(ms(1000));
        let machine = started.await.unwrap();
        cx.sleep(ms(1000)).await;
        hibernates(cx, &machine).await;
        assert_eq!(state_of(cx, &machine).await, "{idle,<<\"data\">>}");
        is_awake(cx, &machine).await;
        cx.sleep(ms(1000)).await;
        hibernates(cx, &machine).await;
        // One that was told to sleeps on.
        let machine = start_link(cx, MODES[0], Args::HiberNow).await;
        hibernates(cx, &machine).await;
        assert_eq!(state_of(cx, &machine).await, "{hiber_idle,<<>>}");
        hibernates(cx, &machine).await;
        // With a log, too, and while it is suspended.
        sys::log(&machine, true).call(cx).await.unwrap();
        hibernates(cx, &machine).await;
        suspend(cx, &machine).await;
        hibernates(cx, &machine).await;
        machine.cast(cx, Cast::HibernateAsync).unwrap();
        assert_eq!(state_of(cx, &machine).await, "{hiber_idle,<<>>}");
        resume(cx, &machine).await;
        hibernates(cx, &machine).await;
        assert_eq!(state_of(cx, &machine).await, "{hiber_wakeup,<<>>}");
        let log = sys::get_log(&machine).call(cx).await.unwrap();
        let log: Vec<String> = log.iter().map(ToString::to_string).collect();
        let expected = [
            "{in,{cast,hibernate_async},hiber_idle}",
            "{consume,{cast,hibernate_async},hiber_idle,hiber_wakeup}",
        ];
        assert_eq!(log, expected);
        hibernates(cx, &machine).await;
    });
}

/// Traps exits, and tells why it ends.
struct Traps(Pid);

impl GenStatem for Traps {
    type Args = Pid;
    type State = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = OwnedTerm;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(witness: Pid, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        Init::ok((), Self(witness))
    }

    async fn handle_event(
        &mut self,
        _: &(),
        event: Event<Self>,
        _: &mut Context,
    ) -> Transition<Self> {
        panic!("it is suspended: {event:?}")
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &(), cx: &mut Context) {
        cx.send(self.0, reason).expect("a reason");
    }
}

#[test]
fn it_is_stopped_while_it_is_suspended() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        cx.trap_exit(true);
        let enough = || ExitReason::from(atom("enough"));
        // By a stop, and by `sys`.
        for by_sys in [false, true] {
            let machine = start_link(cx, MODES[1], Args::Data(Data::CrashTerminate)).await;
            let pid = machine.pid().unwrap();
            suspend(cx, &machine).await;
            match by_sys {
                true => sys::terminate(&machine, enough()).call(cx).await.unwrap(),
                false => assert!(machine.stop(cx, enough(), SECOND).await.is_err()),
            }
            // It has cleaned up, which fails.
            let reason = exit_of(cx, pid).await;
            assert_eq!(reason.to_string(), "{crash,terminate}");
        }
        // By its parent's end, while that of another waits.
        let (machine, parent) = (Traps::start_link(cx, cx.pid()).await.unwrap(), cx.pid());
        let pid = machine.pid().unwrap();
        sys::suspend(&machine).call(cx).await.unwrap();
        let other = cx.spawn(async move |cx: Context| {
            cx.exit_process(pid, atom("no_parent"));
            cx.send(parent, "done").expect("it is told");
            ExitReason::normal()
        });
        other.expect("it runs");
        assert_eq!(cx.receive().await.decode::<String>().unwrap(), "done");
        cx.exit_process(pid, enough());
        assert_eq!(cx.receive().await.decode::<ExitReason>().unwrap(), enough());
        assert_eq!(exit_of(cx, pid).await, enough());
    });
}

#[test]
fn events_are_counted_and_seen() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let me = cx.pid();
        let machine = start(cx, MODES[0], Args::Ok).await;
        sys::statistics(&machine, true).call(cx).await.unwrap();
        let spy = sys::install(&machine, "spy", move |cx, event, _| {
            let event = event.to_term().to_string();
            let is_timer = event.starts_with("{start_timer,");
            if is_timer {
                cx.send(me, &event).expect("a text");
            }
            match is_timer {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        spy.call(cx).await.unwrap();
        assert_eq!(call(cx, &machine, Call::Hping).await, Answer::Hpong);
        assert_eq!(
            call(cx, &machine, Call::StartHtimer(me, 100)).await,
            Answer::Ok
        );
        let seen: String = cx.receive().await.decode().unwrap();
        let timer = format!("{{start_timer,{{timeout,100,{{htimer,{me}}},[]}},idle}}");
        assert_eq!(seen, timer);
        machine.cast(cx, Cast::PostponeEvent).unwrap();
        let counts = sys::get_statistics(&machine).call(cx).await.unwrap();
        let counts = counts.expect("it counts");
        assert_eq!((counts.messages_in, counts.messages_out), (3, 2));
        // Nobody looks any more.
        sys::no_debug(&machine).call(cx).await.unwrap();
        assert_eq!(sys::get_statistics(&machine).call(cx).await, Ok(None));
        stop_it(cx, &machine).await;
    });
}

#[test]
fn code_is_changed_by_a_function_and_a_refusal_leaves_all_as_it_was() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let machine = start(cx, MODES[0], Args::Ok).await;
        suspend(cx, &machine).await;
        let change = sys::change_code(&machine, atom("suite"), &atom("old_vsn"), "no mode");
        let refused = ExitReason::new(&(atoms::ERROR, atom("bad_mode")));
        assert_eq!(change.call(cx).await, Err(SysError::Refused(refused)));
        assert_eq!(state_of(cx, &machine).await, "{idle,<<\"data\">>}");
        let by = data("by a function", Some(Name::Connected));
        let change = sys::change_code_by(&machine, atom("suite"), by);
        change.call(cx).await.unwrap();
        resume(cx, &machine).await;
        assert_eq!(
            call(cx, &machine, Call::Get).await,
            Answer::State(Name::Connected, "by a function".into())
        );
    });
}

/// Gives back what it gets.
struct Echo;

impl GenStatem for Echo {
    type Args = ();
    type State = ();
    type Call = Native<u32>;
    type Reply = Native<u32>;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(_: (), _: &mut Context) -> Init<Self> {
        Init::ok((), Self)
    }

    async fn handle_event(
        &mut self,
        _: &(),
        event: Event<Self>,
        _: &mut Context,
    ) -> Transition<Self> {
        match event {
            Event::Call(from, native) => Transition::keep_state().reply(from, native),
            event => panic!("{event:?}"),
        }
    }
}

#[test]
fn a_native_resource_is_moved_whoever_looks_on() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let machine = Echo::start(cx, ()).await.unwrap();
        sys::log(&machine, true).call(cx).await.unwrap();
        let seven = machine.call(cx, Native::new(7)).await.unwrap();
        assert_eq!(seven.into_inner(), Some(7));
        let log = sys::get_log(&machine).call(cx).await.unwrap();
        let log: Vec<String> = log.iter().map(ToString::to_string).collect();
        let [taken, sent, consumed] = &log[..] else {
            panic!("three events: {log:?}")
        };
        let sent_it = "{out,<<\"a native resource can't be shown\">>,{<";
        assert!(sent.starts_with(sent_it), "{sent}");
        for (event, tag, end) in [(taken, "in", ",ok}"), (consumed, "consume", ",ok,ok}")] {
            let start = format!("{{{tag},{{{{call,{{<");
            let is_it = event.starts_with(&start) && event.ends_with(end);
            assert!(is_it && event.contains("native"), "{event}");
        }
    });
}

fn lines(reports: &Reports) -> Vec<String> {
    let lines = reports.try_iter().filter_map(|report| match report {
        Report::Line(line) => Some(line),
        _ => None,
    });
    lines.collect()
}

#[test]
fn a_machine_starts_with_debug_options() {
    simulate(async |mut cx: Context, reports: Reports| {
        let cx = &mut cx;
        let options = || {
            [
                DebugOption::Trace,
                DebugOption::Log,
                DebugOption::Statistics,
            ]
        };
        let start = Suite::start(cx, (MODES[0], Args::Ok)).name("looked_at");
        let machine = start.debug(options()).await.unwrap();
        assert_eq!(call(cx, &machine, Call::Hping).await, Answer::Hpong);
        let events = sys::get_log(&machine).call(cx).await.unwrap();
        let first = events[0].to_string();
        assert!(
            first.starts_with("{enter,") && first.ends_with("::Suite',idle}"),
            "{first}"
        );
        let counts = sys::get_statistics(&machine).call(cx).await.unwrap();
        let counts = counts.expect("it counts");
        assert_eq!((counts.messages_in, counts.messages_out), (1, 1));
        let told = lines(&reports);
        assert_eq!(told.len(), events.len());
        assert!(told[0].starts_with("*DBG* looked_at enter '"), "{told:?}");
        assert!(told[0].ends_with("::Suite' in state idle"), "{told:?}");
        sys::no_debug(&machine).call(cx).await.unwrap();
        call(cx, &machine, Call::Hping).await;
        assert_eq!(lines(&reports), [""; 0]);
        stop_it(cx, &machine).await;

        // One that was another process.
        let body = async move |mut cx: Context| {
            let starter = Starter::receive(&mut cx).await;
            starter.init_ack(&cx);
            let init = Init::ok(1_u8, Oc);
            enter_loop(cx, init).debug(options()).await
        };
        let pid = proc_lib::start(cx, body).await.unwrap();
        let monitor = cx.monitor(pid);
        StatemRef::<Oc>::from_pid(pid).cast(cx, ()).unwrap();
        assert_eq!(down_of(cx, monitor).await, ExitReason::shutdown());
        let told = lines(&reports);
        assert!(
            told[0].starts_with(&format!("*DBG* {pid} enter '")),
            "{told:?}"
        );
        assert_eq!(told[1], format!("*DBG* {pid} receive cast ok in state 1"));
        assert_eq!(
            told.last().unwrap(),
            &format!("*DBG* {pid} terminate shutdown in state 1")
        );
    });
}
