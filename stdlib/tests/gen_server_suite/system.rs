//! What `sys` sees of servers, and does to them.

use otp_stdlib::gen_server::FormatStatus;
use otp_stdlib::sys::{SysError, SysState};
use otp_vm::OwnedTerm;

use super::failing::{crash_reported, reported};
use super::names::DummyVia;
use super::suite::{
    Args, Call, Report, Reports, State, Suite, atom, exit_within, is, ms, simulate, simulated,
};
use super::*;

/// The last of what a status shows.
fn last(misc: &OwnedTerm) -> String {
    let last = misc.root().list_iter().last();
    last.expect("a list that has one").to_string()
}

#[test]
fn call_format_status() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        let via = DummyVia::default();
        let check = async |cx: &mut Context, server: ServerRef<Suite>, name: &str| {
            let pid = server.whereis(cx).unwrap();
            for after in [ms(5000), ms(1000)] {
                let status = sys::get_status(&server)
                    .timeout(after)
                    .call(cx)
                    .await
                    .unwrap();
                assert_eq!((status.pid, status.parent), (pid, me));
                assert_eq!(status.state, SysState::Running);
                let state = "{data,[{<<\"State\">>,{formatted,format_status_called}}]}";
                assert_eq!(last(&status.misc), state);
                let header = format!("{{header,<<\"Status for generic server {name}\">>}}");
                let shown = status.misc.to_string();
                assert!(name.is_empty() || shown.contains(&header), "{shown}");
                assert!(status.dictionary.to_string().contains("{'$ancestors',"));
            }
            assert!(server.call(cx, Call::Stop).await.is_ok());
            assert!(is(&exit_within(cx, pid).await, "stopped"));
        };
        let args = || Args::State(State::Shown("format_status_called"));
        let started = Suite::start_link(&mut cx, args())
            .name("call_format_status")
            .await;
        started.unwrap();
        let server = ServerRef::from_name("call_format_status").unwrap();
        check(&mut cx, server, "call_format_status").await;
        // A name that is a pid, and one that is another term.
        let server = Suite::start_link(&mut cx, args()).await.unwrap();
        let pid = server.pid().unwrap().to_string();
        check(&mut cx, server, &pid).await;
        let started = Suite::start_link(&mut cx, args())
            .via(&via, "CallFormatStatus")
            .await;
        started.unwrap();
        let server = ServerRef::via(&via, "CallFormatStatus").unwrap();
        check(&mut cx, server, "").await;
    });
}

/// A server whose `format_status` fails: in the status, and in the report of its end.
async fn fails_in_format_status(mut cx: Context, reports: Reports, state: State) {
    let cx = &mut cx;
    cx.trap_exit(true);
    let server = Suite::start_link(cx, Args::State(state)).await.unwrap();
    let pid = server.pid().unwrap();
    let crashed = "<<\"Suite::format_status crashed\">>";
    let status = sys::get_status(&server).call(cx).await.unwrap();
    assert_eq!(
        last(&status.misc),
        format!("{{data,[{{<<\"State\">>,{crashed}}}]}}")
    );

    server.call(cx, Call::Stop).await.unwrap();
    assert!(is(&exit_within(cx, pid).await, "stopped"));
    let (who, last, state, reason, client, _) = reported(&reports);
    assert_eq!((who, client), (pid, Some(cx.pid())));
    assert!(last.expect("the call").ends_with(",stop}"));
    assert_eq!((&*state, &*reason), (crashed, "stopped"));
    crash_reported(&reports, pid, "stopped");
}

#[test]
fn crash_in_format_status() {
    simulate(|cx, reports| fails_in_format_status(cx, reports, State::CrashInFormatStatus));
}

#[test]
fn throw_in_format_status() {
    simulate(|cx, reports| fails_in_format_status(cx, reports, State::ThrowInFormatStatus));
}

/// The suite's `format_status_server` with a function in its state that wraps all that is shown.
struct Formatted {
    reply_to: Option<From<Atom>>,
}

fn wrapped(name: &str, term: &OwnedTerm) -> OwnedTerm {
    sys::term(&(atom(name), term))
}

#[gen_server]
impl Formatted {
    fn init() -> Self {
        Self { reply_to: None }
    }

    #[call]
    fn started_p(&mut self) -> Atom {
        atom("ok")
    }

    #[call]
    fn delayed_answer(&mut self, after: u64, from: From<Atom>) -> Reply<Self, Atom> {
        self.reply_to = Some(from);
        Reply::later().timeout(ms(after))
    }

    #[call]
    fn halt(&mut self) -> Reply<Self, Atom> {
        Reply::stop_with(atom("stopped"), atom("ok"))
    }

    #[call]
    fn crash(&mut self, cx: &mut Context) -> Atom {
        cx.exit(atom("crashed"))
    }

    #[timeout]
    fn answer(&mut self, cx: &mut Context) {
        let from = self.reply_to.take().expect("who asked");
        from.reply(cx, &atom("delayed")).expect("an atom");
    }

    fn system_get_state(&self) -> OwnedTerm {
        match self.reply_to {
            None => atom("state").into(),
            Some(_) => atom("replies_later").into(),
        }
    }

    fn format_status(&self, mut status: FormatStatus) -> FormatStatus {
        status.state = wrapped("state", &status.state);
        status.message = status.message.map(|message| wrapped("message", &message));
        let reason = status
            .reason
            .map(|reason| wrapped("reason", &reason.to_term()));
        status.reason = reason.map(ExitReason::from);
        status.log = status
            .log
            .iter()
            .map(|event| wrapped("log", event))
            .collect();
        status
    }
}

/// The log of the case: a pattern each, start and end.
const LOGGED: [(&str, &str); 7] = [
    ("{log,{in,{'$gen_call',{", ",started_p}}}"),
    ("{log,{out,ok,<", ",state}}"),
    ("{log,{in,{'$gen_call',{", ",{delayed_answer,10}}}}"),
    ("{log,{noreply,replies_later}}", ""),
    ("{log,{in,timeout}}", ""),
    ("{log,{noreply,state}}", ""),
    ("{log,{in,{'$gen_call',{", ",halt}}}"),
];

fn assert_logged(logged: &[String], many: usize) {
    assert_eq!(logged.len(), many, "{logged:?}");
    for (event, (start, end)) in logged.iter().zip(LOGGED) {
        assert!(event.starts_with(start) && event.ends_with(end), "{event}");
    }
}

#[test]
fn format_all_status() {
    simulate(async |mut cx: Context, reports: Reports| {
        cx.trap_exit(true);
        let server = Formatted::start_link(&mut cx, ()).await.unwrap();
        let pid = server.pid().unwrap();
        sys::log(&server, true).call(&mut cx).await.unwrap();
        assert_eq!(server.started_p(&mut cx).await.unwrap(), atom("ok"));
        let answer = server.delayed_answer(&mut cx, 10).await;
        assert_eq!(answer.unwrap(), atom("delayed"));

        let status = sys::get_status(&server).call(&mut cx).await.unwrap();
        let items: Vec<OwnedTerm> = otp_vm::from_term(status.misc.root()).unwrap();
        assert_eq!(items.len(), 3);
        assert_eq!(
            items[2].to_string(),
            "{data,[{<<\"State\">>,{state,state}}]}"
        );
        assert_eq!(status.data("Status").unwrap().to_string(), "running");
        assert_eq!(
            status.data("Parent").unwrap().root().as_pid(),
            Some(cx.pid())
        );
        let logged = status.data("Logged events").expect("they are shown");
        let logged: Vec<String> = logged.root().list_iter().map(|e| e.to_string()).collect();
        assert_logged(&logged, 6);

        assert_eq!(server.halt(&mut cx).await.unwrap(), atom("ok"));
        assert!(is(&exit_within(&mut cx, pid).await, "stopped"));
        match reports.try_recv() {
            Ok(Report::Server {
                last_message,
                state,
                reason,
                log,
                ..
            }) => {
                let message = last_message.unwrap();
                assert!(message.starts_with("{message,{'$gen_call',"), "{message}");
                assert_eq!((&*state, &*reason), ("{state,state}", "{reason,stopped}"));
                assert_logged(&log, 7);
            }
            other => panic!("the report of a server: {other:?}"),
        }
        crash_reported(&reports, pid, "stopped");

        let server = Formatted::start_link(&mut cx, ()).await.unwrap();
        let pid = server.pid().unwrap();
        assert!(server.crash(&mut cx).await.is_err());
        assert!(is(&exit_within(&mut cx, pid).await, "crashed"));
        let (_, message, state, reason, client, _) = reported(&reports);
        assert!(message.unwrap().ends_with(",crash}}"));
        assert_eq!((&*state, &*reason), ("{state,state}", "{reason,crashed}"));
        assert_eq!(client, Some(cx.pid()));
        crash_reported(&reports, pid, "crashed");
    });
}

#[test]
fn get_state() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let args = || Args::State(State::Shown("a_state"));
        let by_name = Suite::start_link(cx, args()).name("get_state").await;
        by_name.unwrap();
        let server = Suite::start_link(cx, args()).await.unwrap();
        let state = Ok(OwnedTerm::from(atom("a_state")));
        let typed = |suite: &Suite| matches!(suite.0, State::Shown("a_state"));
        for target in [atom("get_state").into(), (&server).into()] {
            let target: otp_stdlib::gen_server::Target = target;
            assert_eq!(sys::get_state(&target).call(cx).await, state);
            assert_eq!(
                sys::get_state(&target).timeout(ms(5000)).call(cx).await,
                state
            );
            assert_eq!(sys::inspect(&target, typed).call(cx).await, Ok(true));
        }
        sys::suspend(&server).call(cx).await.unwrap();
        assert_eq!(sys::get_state(&server).call(cx).await, state);
        assert_eq!(sys::inspect(&server, typed).call(cx).await, Ok(true));
        sys::resume(&server).call(cx).await.unwrap();
    });
}

/// Puts another word behind the state.
fn behind(word: &'static str) -> impl FnOnce(&Suite) -> Suite + Send + 'static {
    move |suite| match suite.0 {
        State::Shown("replaced") if word == " again" => Suite(State::Shown("replaced again")),
        State::Shown("replaced again") => Suite(State::Shown("replaced again and again")),
        _ => panic!("another state"),
    }
}

#[test]
fn replace_state() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let state = |text: &str| Ok(OwnedTerm::from(atom(text)));
        let args = |text| Args::State(State::Shown(text));
        let name = atom("replace_state");
        let by_name = Suite::start_link(cx, args("first"))
            .name("replace_state")
            .await;
        by_name.unwrap();
        assert_eq!(sys::get_state(name).call(cx).await, state("first"));
        let replace = |_: &Suite| Suite(State::Shown("replaced"));
        assert_eq!(
            sys::replace_state(name, replace).call(cx).await,
            state("replaced")
        );
        assert_eq!(sys::get_state(name).call(cx).await, state("replaced"));
        let server = Suite::start_link(cx, args("replaced")).await.unwrap();
        assert_eq!(sys::get_state(&server).call(cx).await, state("replaced"));
        let again = sys::replace_state(&server, behind(" again")).timeout(ms(5000));
        assert_eq!(again.call(cx).await, state("replaced again"));
        assert_eq!(
            sys::get_state(&server).call(cx).await,
            state("replaced again")
        );
        // If the function fails nothing changes.
        let fails = sys::replace_state(&server, |_: &Suite| panic!("fail"));
        let Err(SysError::Refused(why)) = fails.call(cx).await else {
            panic!("it was replaced")
        };
        let failed =
            "{callback_failed,{gen_server,system_replace_state},{error,{panic,<<\"fail\">>,";
        assert!(why.to_string().starts_with(failed), "{why}");
        assert_eq!(
            sys::get_state(&server).call(cx).await,
            state("replaced again")
        );
        // It is replaced while it is suspended, too.
        sys::suspend(&server).call(cx).await.unwrap();
        let last = state("replaced again and again");
        assert_eq!(
            sys::replace_state(&server, behind(" and again"))
                .call(cx)
                .await,
            last
        );
        sys::resume(&server).call(cx).await.unwrap();
        assert_eq!(
            sys::get_state(&server).timeout(ms(5000)).call(cx).await,
            last
        );
    });
}

#[test]
fn undef_code_change() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let server = Suite::start(cx, Args::Ok).await.unwrap();
        // The suite's `fake_upgrade`.
        sys::suspend(&server).call(cx).await.unwrap();
        let replace = |_: &Suite| Suite(State::Shown("new"));
        sys::replace_state(&server, replace).call(cx).await.unwrap();
        let changed = sys::change_code(&server, atom("suite"), &atom("old_vsn"), &()).call(cx);
        let changed = changed.await;
        sys::resume(&server).call(cx).await.unwrap();
        let undef = ExitReason::new(&(otp_vm::atoms::EXIT, otp_vm::atoms::UNDEF));
        assert_eq!(changed, Err(SysError::Refused(undef)));
        assert!(cx.is_alive(server.pid().unwrap()).await);
        assert!(server.call(cx, Call::StartedP).await.is_ok());
    });
}
