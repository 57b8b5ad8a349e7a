//! What `sys` sees of managers, and does to them.

use otp_stdlib::gen_event::{EventHandler, FormatStatus, Handler, Init, Next, NoMessage, Target};
use otp_stdlib::sys::{self, DebugOption, SysError, SysState};
use otp_vm::OwnedTerm;
use serde::Serialize;

use super::dummies::{Args1, Call, OcEvent, Reply, dummy1};
use super::*;

/// The suite's `dummy1_h` as far as it is a state: a term of any shape.
struct Shows(OwnedTerm);

impl EventHandler for Shows {
    type Event = Event;
    type Args = OwnedTerm;
    type Call = NoMessage;
    type Reply = NoMessage;
    type Info = NoMessage;

    fn module() -> &'static str {
        "dummy1_h"
    }

    async fn init(state: OwnedTerm, _cx: &mut Context) -> Init<Self> {
        Init::ok(Shows(state))
    }

    async fn handle_event(&mut self, _event: &Event, _cx: &mut Context) -> Next<Event> {
        Next::ok()
    }

    fn format_status(&self, mut status: FormatStatus) -> FormatStatus {
        // The next handler gets the log with one event more.
        status.log.push(sys::term(&self.0));
        status
    }

    fn system_get_state(&self) -> OwnedTerm {
        assert!(
            self.0.root().as_atom() != Some(atom("crash")),
            "it can't be shown"
        );
        sys::term(&self.0)
    }

    async fn code_change(
        &mut self,
        old_version: OwnedTerm,
        extra: OwnedTerm,
        _cx: &mut Context,
    ) -> Result<(), ExitReason> {
        if extra.root().as_atom() == Some(atom("no")) {
            return Err(ExitReason::from(atom("no_way")));
        }
        self.0 = sys::term(&(&self.0, old_version, extra));
        Ok(())
    }
}

fn shows() -> Handler<Shows> {
    Handler::new()
}

fn term<T: Serialize + ?Sized>(value: &T) -> OwnedTerm {
    otp_vm::to_term(value).expect("a term")
}

async fn add_shows(
    cx: &mut Context,
    manager: &Manager,
    handler: &Handler<Shows>,
    state: OwnedTerm,
) {
    let added = manager.add_handler(cx, handler.clone(), state).await;
    added.expect("it is added");
}

/// The states in order, for a list of states is in the order of the handlers.
async fn states(cx: &mut Context, process: impl Into<Target>) -> Vec<String> {
    let states = sys::get_state(process).timeout(ms(5000)).call(cx).await;
    texts(&states.expect("an answer"))
}

fn texts(list: &OwnedTerm) -> Vec<String> {
    let mut states: Vec<String> = list
        .root()
        .list_iter()
        .map(|state| state.to_string())
        .collect();
    states.sort();
    states
}

#[test]
fn call_format_status() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        for module in ["dummy1_h", "dummy_h"] {
            let manager = manager(cx).await;
            let pid = manager.whereis(cx).unwrap();
            match module {
                "dummy_h" => add(cx, &manager).await,
                _ => {
                    let args = Args1::Parent(cx.pid());
                    manager.add_handler(cx, dummy1(None), args).await.unwrap();
                }
            }
            for after in [None, Some(ms(5000))] {
                let asked = sys::get_status(pid);
                let asked = match after {
                    None => asked,
                    Some(after) => asked.timeout(after),
                };
                let status = asked.call(cx).await.unwrap();
                assert_eq!((status.pid, status.parent), (pid, pid));
                assert_eq!(status.module, atom("gen_event"));
                assert_eq!(status.debug.to_string(), "[]");
                assert_eq!(status.data("Status").unwrap().to_string(), "running");
                assert_eq!(status.data("Logged Events").unwrap().to_string(), "[]");
                let handlers = status.data("Installed handlers").expect("handlers");
                let expected =
                    format!("[{{handler,{module},false,<<\"dummy1_h handler state\">>,false}}]");
                assert_eq!(handlers.to_string(), expected);
            }
            stop(cx, &Manager::from_pid(pid)).await;
        }
    });
}

#[test]
fn call_format_status_anon() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = EventManager::<Event>::start(cx).await.unwrap();
        let pid = manager.pid().unwrap();
        let status = sys::get_status(&manager).call(cx).await.unwrap();
        stop(cx, &manager).await;
        assert_eq!((status.pid, status.parent), (pid, pid));
        assert_eq!(status.debug.to_string(), "[]");
        let header = format!("{{header,<<\"Status for event handler {pid}\">>}}");
        let first = status.misc.root().list_iter().next();
        assert_eq!(first.expect("a header").to_string(), header);
    });
}

#[test]
fn get_state() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = manager(cx).await;
        let pid = manager.whereis(cx).unwrap();
        let me = cx.pid();
        add_shows(cx, &manager, &shows(), term(&me)).await;
        let first = format!("{{dummy1_h,false,{me}}}");
        let state = sys::get_state(pid).call(cx).await.unwrap();
        assert_eq!(state.to_string(), format!("[{first}]"));
        assert_eq!(states(cx, pid).await, [&*first]);
        let second = Handler::with_id(&atom("id")).unwrap();
        add_shows(cx, &manager, &second, term(&(atom("suite"), me))).await;
        let both = [first, format!("{{dummy1_h,id,{{suite,{me}}}}}")];
        let state = sys::get_state(pid).call(cx).await.unwrap();
        assert_eq!(texts(&state), both);
        assert_eq!(states(cx, pid).await, both);
        sys::suspend(pid).call(cx).await.unwrap();
        assert_eq!(states(cx, pid).await, both);
        sys::resume(pid).call(cx).await.unwrap();
        stop(cx, &manager).await;
    });
}

#[test]
fn replace_state() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = manager(cx).await;
        let me = cx.pid();
        add_shows(cx, &manager, &shows(), term(&me)).await;
        assert_eq!(
            states(cx, &manager).await,
            [format!("{{dummy1_h,false,{me}}}")]
        );
        let replaced = |state: &str| [format!("{{dummy1_h,false,<<\"{state}\">>}}")];
        for (state, after) in [("replaced", None), ("replaced again", Some(ms(5000)))] {
            let replace = manager.replace_state(&shows(), move |_| Shows(term(state)));
            let replace = match after {
                None => replace,
                Some(after) => replace.timeout(after),
            };
            assert_eq!(texts(&replace.call(cx).await.unwrap()), replaced(state));
            assert_eq!(states(cx, &manager).await, replaced(state));
        }
        // Nothing changes if the function crashes.
        let crashes = |_: &Shows| -> Shows { panic!("fail") };
        let left = manager.replace_state(&shows(), crashes).call(cx).await;
        assert_eq!(texts(&left.unwrap()), replaced("replaced again"));
        assert_eq!(states(cx, &manager).await, replaced("replaced again"));
        // While it is suspended as well.
        let third = "replaced again and again";
        sys::suspend(&manager).call(cx).await.unwrap();
        let replace = manager.replace_state(&shows(), move |_| Shows(term(third)));
        assert_eq!(texts(&replace.call(cx).await.unwrap()), replaced(third));
        sys::resume(&manager).call(cx).await.unwrap();
        assert_eq!(states(cx, &manager).await, replaced(third));
        stop(cx, &manager).await;
    });
}

/// The suite's `fake_upgrade`. The function of its `replace_state` fits no handler.
async fn fake_upgrade<T: Serialize>(
    cx: &mut Context,
    manager: &Manager,
    module: &str,
    extra: &T,
) -> Result<(), SysError> {
    sys::suspend(manager).call(cx).await.expect("it is");
    let none = sys::replace_state(manager, |state: &OwnedTerm| term(&(atom("new"), state)));
    assert!(matches!(none.call(cx).await, Err(SysError::Refused(_))));
    let changed = sys::change_code(manager, atom(module), &atom("old_vsn"), extra).call(cx);
    let changed = changed.await;
    sys::resume(manager).call(cx).await.expect("it is");
    changed
}

#[test]
fn undef_code_change() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = EventManager::<Event>::start(cx).await.unwrap();
        let added = manager.add_handler(cx, Handler::<OcEvent>::new(), ()).await;
        added.unwrap();
        let undef = ExitReason::new(&(otp_vm::atoms::EXIT, otp_vm::atoms::UNDEF));
        let changed = fake_upgrade(cx, &manager, "oc_event", &()).await;
        assert_eq!(changed, Err(SysError::Refused(undef)));
        assert_eq!(which(cx, &manager).await, ["oc_event"]);
        // None of its handlers is of another module.
        assert_eq!(fake_upgrade(cx, &manager, "dummy1_h", &()).await, Ok(()));
    });
}

#[test]
fn a_change_of_code_is_for_the_handlers_of_a_module() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = manager(cx).await;
        let me = cx.pid();
        add(cx, &manager).await;
        let ids = [1, 2].map(|id| Handler::with_id(&id).unwrap());
        for id in &ids {
            add_shows(cx, &manager, id, term(&7)).await;
        }
        // Only of one that is suspended.
        let early = sys::change_code(&manager, atom("dummy1_h"), &0, &1).call(cx);
        assert!(matches!(early.await, Err(SysError::Refused(_))));
        assert_eq!(fake_upgrade(cx, &manager, "dummy1_h", &8).await, Ok(()));
        let changed = "{7,old_vsn,8}";
        let all = [
            format!("{{dummy1_h,1,{changed}}}"),
            format!("{{dummy1_h,2,{changed}}}"),
            format!("{{dummy_h,false,{me}}}"),
        ];
        assert_eq!(states(cx, &manager).await, all);
        let refused = ExitReason::new(&(otp_vm::atoms::ERROR, atom("no_way")));
        let changed = fake_upgrade(cx, &manager, "dummy1_h", &atom("no")).await;
        assert_eq!(changed, Err(SysError::Refused(refused)));
        assert_eq!(states(cx, &manager).await, all);
        stop(cx, &manager).await;
    });
}

#[test]
fn functions_get_the_state_of_one_handler() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = manager(cx).await;
        add_shows(cx, &manager, &shows(), term(&1)).await;
        let other = Handler::<Shows>::with_id("other").unwrap();
        add_shows(cx, &manager, &other, term(&2)).await;
        let look = |state: &Shows| state.0.root().as_i64();
        let seen = manager.inspect(&shows(), look).call(cx).await;
        assert_eq!(seen, Ok(Some(Some(1))));
        let seen = manager.inspect(&other, look).call(cx).await;
        assert_eq!(seen, Ok(Some(Some(2))));
        // Not there; and there, but of another type than the handler's module says.
        let none = Handler::with_id("none").unwrap();
        assert_eq!(manager.inspect(&none, look).call(cx).await, Ok(None));
        let wrong = manager.inspect(&dummy1(None), |_| ()).call(cx).await;
        assert_eq!(wrong, Ok(None));
        let before = states(cx, &manager).await;
        let replace = manager.replace_state(&none, |_| Shows(term(&3)));
        assert_eq!(texts(&replace.call(cx).await.unwrap()), before);
        // A function that panics as it looks is its caller's error, and nobody else's.
        let crashes = manager.inspect(&other, |_| -> () { panic!("as it looks") });
        assert!(matches!(crashes.call(cx).await, Err(SysError::Refused(_))));
        assert_eq!(states(cx, &manager).await, before);
        stop(cx, &manager).await;
    });
}

#[test]
fn a_handler_that_cannot_be_shown_does_not_hide_the_others() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = manager(cx).await;
        let crash = Handler::with_id("crash").unwrap();
        add_shows(cx, &manager, &crash, atom("crash").into()).await;
        add_shows(cx, &manager, &shows(), term(&1)).await;
        let crashed = "<<\"system_get_state crashed\">>";
        let expected = [
            format!("{{dummy1_h,<<\"crash\">>,{crashed}}}"),
            "{dummy1_h,false,1}".to_owned(),
        ];
        assert_eq!(states(cx, &manager).await, expected);
        let status = sys::get_status(&manager).call(cx).await.unwrap();
        let handlers = status.data("Installed handlers").unwrap().to_string();
        let expected = [
            "{handler,dummy1_h,false,1,false}",
            "Shows::format_status crashed\">>,false}",
        ];
        assert!(
            expected.iter().all(|part| handlers.contains(part)),
            "{handlers}"
        );
        // What the one that is asked first adds to the log is shown.
        assert_eq!(status.data("Logged Events").unwrap().to_string(), "[1]");
        assert_eq!(which(cx, &manager).await.len(), 2);
        stop(cx, &manager).await;
    });
}

#[test]
fn a_suspended_manager_lets_events_wait_and_ends_with_its_parent() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        cx.trap_exit(true);
        let manager = EventManager::<Event>::start_link(cx).await.unwrap();
        let (pid, me) = (manager.pid().unwrap(), cx.pid());
        add(cx, &manager).await;
        sys::suspend(&manager).call(cx).await.unwrap();
        let status = sys::get_status(&manager).call(cx).await.unwrap();
        assert_eq!((status.state, status.parent), (SysState::Suspended, me));
        assert_eq!(status.data("Status").unwrap().to_string(), "suspended");
        manager.notify(cx, &Event::HandleEvent(me)).unwrap();
        let call = manager
            .call_timeout(cx, &dummy(), Call::Hejsan, ms(10))
            .await;
        assert!(matches!(call, Err(ManagerError::Call(_))), "{call:?}");
        nothing(cx).await;
        sys::resume(&manager).call(cx).await.unwrap();
        assert_eq!(told(cx).await, "handled_event");
        let call = manager.call(cx, &dummy(), Call::Hejsan).await;
        assert_eq!(call.unwrap(), Reply::Hejhopp);

        // Its supervisor, and its parent, end it all the same.
        let added = manager.add_sup_handler(cx, dummies::dummy_id(1), Args::Parent(me));
        added.await.unwrap();
        sys::suspend(&manager).call(cx).await.unwrap();
        cx.exit_process(pid, ExitReason::shutdown());
        assert_eq!(told(cx).await, "{gen_event_EXIT,{dummy_h,1},shutdown}");
        assert_eq!(common::exit_of(cx, pid).await, ExitReason::shutdown());

        let manager = EventManager::<Event>::start_link(cx).await.unwrap();
        sys::suspend(&manager).call(cx).await.unwrap();
        let reason = ExitReason::from(atom("stopped"));
        let stopped = manager.stop(cx, reason.clone(), LIMIT).await;
        assert_eq!(stopped, Ok(()));
        assert_eq!(common::exit_of(cx, manager.pid().unwrap()).await, reason);
    });
}

fn lines(reports: &Reports) -> Vec<String> {
    let lines = reports.try_iter().filter_map(|report| match report {
        Report::Line(text) => Some(text),
        _ => None,
    });
    lines.collect()
}

#[test]
fn events_are_told_as_handlers_see_them() {
    simulate(async |mut cx: Context, reports: Reports| {
        let cx = &mut cx;
        let manager = manager(cx).await;
        add(cx, &manager).await;
        sys::trace(&manager, true).call(cx).await.unwrap();
        sys::log(&manager, true).call(cx).await.unwrap();
        sys::statistics(&manager, true).call(cx).await.unwrap();
        manager.notify(cx, &Event::Wakeup).unwrap();
        manager.call(cx, &dummy(), Call::Hejsan).await.unwrap();
        assert_eq!(which(cx, &manager).await, ["dummy_h"]);
        let pid = manager.whereis(cx).unwrap();
        cx.send(pid, &dummies::Info::Wake).unwrap();
        let events = sys::get_log(&manager).call(cx).await.unwrap();
        assert_eq!(events.len(), 4);
        assert_eq!(events[0].to_string(), "{in,{notify,wakeup}}");
        assert_eq!(events[3].to_string(), "{in,wake}");
        let status = sys::get_status(&manager).call(cx).await.unwrap();
        let logged = status.data("Logged Events").unwrap();
        assert_eq!(logged.root().list_iter().count(), 4);
        let counts = sys::get_statistics(&manager).call(cx).await.unwrap();
        assert_eq!(counts.expect("it counts").messages_in, 4);
        let lines = lines(&reports);
        let name = "*DBG* my_dummy_handler";
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[0], format!("{name} got event wakeup"));
        assert_eq!(lines[1], format!("{name}(dummy_h) got call hejsan"));
        assert!(lines[2].starts_with(&format!("{name} got {{'$gen_call',{{<")));
        assert_eq!(lines[3], format!("{name} got wake"));
        sys::no_debug(&manager).call(cx).await.unwrap();
        manager.sync_notify(cx, &Event::Wakeup).await.unwrap();
        assert_eq!(self::lines(&reports), [""; 0]);
        assert_eq!(sys::get_log(&manager).call(cx).await, Ok(vec![]));
        stop(cx, &manager).await;
    });
}

#[test]
fn a_manager_starts_with_debug_options() {
    simulate(async |mut cx: Context, reports: Reports| {
        let cx = &mut cx;
        let spy = DebugOption::install("spy", {
            let me = cx.pid();
            move |cx, event, name| {
                cx.send(me, &(name, event)).expect("a term");
                std::ops::ControlFlow::Break(())
            }
        });
        let nowhere = DebugOption::LogToFile("/no/such/directory/file".into());
        let options = [
            DebugOption::Trace,
            DebugOption::LogMost(2),
            DebugOption::Statistics,
            nowhere,
            spy.unwrap(),
        ];
        let start = EventManager::<Event>::start(cx).name("looked_at");
        let manager = start.debug(options).await.unwrap();
        for _ in 0..3 {
            manager.notify(cx, &Event::Wakeup).unwrap();
        }
        assert_eq!(told(cx).await, "{looked_at,{in,{notify,wakeup}}}");
        let events = sys::get_log(&manager).call(cx).await.unwrap();
        assert_eq!(events.len(), 2);
        let counts = sys::get_statistics(&manager).call(cx).await.unwrap();
        assert_eq!(counts.expect("it counts").messages_in, 3);
        assert_eq!(lines(&reports), ["*DBG* looked_at got event wakeup"; 3]);
        nothing(cx).await;
        stop(cx, &manager).await;
    });
}

#[test]
fn a_report_shows_the_state_that_sys_shows() {
    simulate(async |mut cx: Context, reports: Reports| {
        let cx = &mut cx;
        let manager = EventManager::<OwnedTerm>::start(cx).await.unwrap();
        manager
            .add_handler(cx, Handler::<Fails>::new(), ())
            .await
            .unwrap();
        manager.sync_notify(cx, &term("event")).await.unwrap();
        let Ok(Report::Terminated { state, .. }) = reports.try_recv() else {
            panic!("a report")
        };
        assert_eq!(state, "{shown,<<\"by sys\">>}");
    });
}

/// A handler that fails at its first event.
struct Fails;

impl EventHandler for Fails {
    type Event = OwnedTerm;
    type Args = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Info = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Fails)
    }

    async fn handle_event(&mut self, _event: &OwnedTerm, _cx: &mut Context) -> Next<OwnedTerm> {
        Next::error(atom("as_told"))
    }

    fn system_get_state(&self) -> OwnedTerm {
        term(&(atom("shown"), "by sys"))
    }
}
