//! Machines that fail, and what is reported of them.

use otp_stdlib::gen_statem::{
    Event, FormatStatus, GenStatem, Init, StopError, Terminated, Transition,
};
use otp_stdlib::prelude::NoMessage;
use otp_stdlib::proc_lib::Format;
use otp_vm::{CallError, Context, ExitReason, OwnedTerm, Pid, Timeout, Vm, to_term};

use super::common::{LIMIT, down};
use super::deeds::{down_of, exit_of, start, start_link, stop_it, verify_empty_msgq};
use super::stage::{Report, Reports, Shown, simulate, simulated};
use super::suite::{Args, Call, Cast, Data, MODES, Suite};

/// The next report, which is of a machine.
pub fn reported(reports: &Reports) -> Shown {
    match reports.try_recv().expect("a report") {
        Report::Machine(shown) => *shown,
        other => panic!("not of a machine: {other:?}"),
    }
}

/// The next one, which is of its crash.
pub fn crash_reported(reports: &Reports, pid: Pid) {
    match reports.try_recv().expect("a report") {
        Report::Crash(crash) => assert_eq!(crash.pid, pid),
        other => panic!("not of a crash: {other:?}"),
    }
}

#[test]
fn error_format_status() {
    simulate(async |mut cx: Context, reports: Reports| {
        cx.trap_exit(true);
        for mode in MODES {
            let data = Args::Data(Data::Text("called format_status"));
            let machine = start(&mut cx, mode, data).await;
            let pid = machine.pid().unwrap();
            let called = machine.call(&mut cx, Call::BadEvent).await;
            let Err(CallError::Exit(reason)) = called else {
                panic!("it ends: {called:?}");
            };
            let shown = reported(&reports);
            assert_eq!((shown.pid, shown.client), (pid, Some(cx.pid())));
            assert!(
                shown.text.starts_with("** State machine "),
                "{}",
                shown.text
            );
            let [last] = &shown.queue[..] else {
                panic!("one event: {:?}", shown.queue);
            };
            assert!(
                last.starts_with("{{call,{") && last.ends_with(",bad_event}"),
                "{last}"
            );
            let state = "{{formatted,idle},{formatted,<<\"called format_status\">>}}";
            assert_eq!(shown.state, state);
            assert_eq!(shown.reason, reason.to_string());
            crash_reported(&reports, pid);
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn terminate_crash_format() {
    simulate(async |mut cx: Context, reports: Reports| {
        cx.trap_exit(true);
        for mode in MODES {
            let machine = start(&mut cx, mode, Args::Data(Data::CrashTerminate)).await;
            let pid = machine.pid().unwrap();
            stop_it(&mut cx, &machine).await;
            let shown = reported(&reports);
            assert_eq!((shown.pid, shown.client), (pid, Some(cx.pid())));
            let last = &shown.queue[0];
            assert!(
                last.starts_with("{{call,{") && last.ends_with(",stop}"),
                "{last}"
            );
            assert_eq!(
                shown.state,
                "{{formatted,idle},{formatted,crash_terminate}}"
            );
            assert_eq!(shown.reason, "{crash,terminate}");
            crash_reported(&reports, pid);
            verify_empty_msgq(&mut cx).await;
        }
    });
}

#[test]
fn a_crash_in_format_status_is_shown_for_the_data() {
    simulate(async |mut cx: Context, reports: Reports| {
        cx.trap_exit(true);
        let machine = start(&mut cx, MODES[0], Args::Data(Data::CrashInFormatStatus)).await;
        assert!(machine.call(&mut cx, Call::Panic).await.is_err());
        let state = "{idle,<<\"Suite::format_status crashed\">>}";
        assert_eq!(reported(&reports).state, state);
    });
}

/// A machine with nothing but what it must have.
struct Oc;

impl GenStatem for Oc {
    type Args = ();
    type State = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(_: (), _: &mut Context) -> Init<Self> {
        Init::ok((), Oc)
    }

    async fn handle_event(
        &mut self,
        _: &(),
        event: Event<Self>,
        _: &mut Context,
    ) -> Transition<Self> {
        panic!("no event is of any type: {event:?}")
    }
}

#[test]
fn undef_terminate1() {
    simulated(async |mut cx: Context| {
        let (machine, monitor) = Oc::start_monitor(&mut cx, ()).await.unwrap();
        let normal = ExitReason::normal();
        machine
            .stop(&mut cx, normal.clone(), Timeout::Infinity)
            .await
            .unwrap();
        assert_eq!(down_of(&mut cx, monitor).await, normal);
    });
}

#[test]
fn undef_terminate2() {
    simulated(async |mut cx: Context| {
        let (machine, monitor) = Oc::start_monitor(&mut cx, ()).await.unwrap();
        let reason = ExitReason::new(&("error", "test"));
        let stopped = machine.stop(&mut cx, reason.clone(), Timeout::Infinity);
        stopped.await.unwrap();
        assert_eq!(down_of(&mut cx, monitor).await, reason);
    });
}

#[test]
fn undef_in_terminate() {
    simulated(async |mut cx: Context| {
        let data = Args::Data(Data::UndefInTerminate);
        let machine = start(&mut cx, MODES[0], data).await;
        let stopped = machine
            .stop(&mut cx, ExitReason::normal(), Timeout::Infinity)
            .await;
        let Err(StopError::Exit(reason)) = stopped else {
            panic!("another reason: {stopped:?}")
        };
        assert!(reason.to_string().contains("undef: terminate"), "{reason}");
    });
}

#[test]
fn a_panic_ends_the_machine_and_is_its_reason() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let machine = start_link(&mut cx, MODES[1], Args::Ok).await;
        let called = machine.call(&mut cx, Call::Panic).await;
        let Err(CallError::Exit(reason)) = called else {
            panic!("it ends: {called:?}");
        };
        assert!(
            reason.to_string().starts_with("{panic,<<\"as told\">>,"),
            "{reason}"
        );
        assert_eq!(exit_of(&mut cx, machine.pid().unwrap()).await, reason);
    });
}

/// Shows what the cases about formats want to see, and ends. `true`: all of it.
struct Elaborate(bool);

fn list() -> Vec<u32> {
    (1..=15).collect()
}

impl GenStatem for Elaborate {
    type Args = bool;
    type State = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = ();
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(all: bool, _: &mut Context) -> Init<Self> {
        Init::ok((), Self(all))
    }

    async fn handle_event(&mut self, _: &(), _: Event<Self>, _: &mut Context) -> Transition<Self> {
        Transition::stop(ExitReason::new(&"reason"))
    }

    fn format_status(&self, _: &(), mut status: FormatStatus) -> FormatStatus {
        let term = |term: &dyn Fn() -> OwnedTerm| vec![term()];
        let shown = || to_term(&list()).unwrap();
        let atom = super::stage::atom;
        status.set_state(&list());
        status.set_data(&atom("data"));
        status.queue.clear();
        if self.0 {
            status.queue = vec![shown(), shown()];
            status.postponed = term(&|| to_term(&(atom("internal"), list())).unwrap());
            status.timeouts = term(&|| to_term(&(atom("timeout"), atom("message"))).unwrap());
            status.log = term(&shown);
        }
        status
    }
}

/// The report in each of the formats; and the pid.
fn texts(all: bool, formats: Vec<Format>) -> (String, Vec<String>) {
    let (sender, texts) = std::sync::mpsc::channel();
    let vm = Vm::builder()
        .schedulers(1)
        .report_handler(move |report| {
            if let Some(report) = report.downcast_ref::<Terminated>() {
                let texts: Vec<_> = formats
                    .iter()
                    .map(|&format| report.format(format))
                    .collect();
                sender.send(texts).unwrap();
            }
        })
        .build()
        .unwrap();
    let pid = vm.run(async move |mut cx: Context| {
        let (machine, monitor) = Elaborate::start_monitor(&mut cx, all).await.unwrap();
        machine.cast(&cx, ()).unwrap();
        down(&mut cx, monitor).await;
        machine.pid().unwrap().to_string()
    });
    let pid = pid.wait().unwrap();
    vm.shutdown(LIMIT).wait();
    (pid, texts.recv().unwrap())
}

const FULL: &str = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]";
const MODE: &str = "** Callback mode = [handle_event_function,state_enter]";

#[test]
fn format_log_1() {
    let formats = vec![Format::new(), Format::new().depth(10)];
    let (pid, simple) = texts(false, formats.clone());
    let modules =
        |line: &&str| line.starts_with("** Callback modules = [") && line.ends_with("Elaborate]");
    // In the pair of state and data a list is one level deeper.
    let states = [FULL, "[1,2,3,4,5,6,7,8,'...']"];
    for (text, state) in simple.iter().zip(states) {
        let mut lines: Vec<&str> = text.lines().collect();
        assert!(modules(&lines.remove(3)), "{text}");
        let expected = [
            format!("** State machine {pid} terminating"),
            format!("** When server state  = {{{state},data}}"),
            "** Reason for termination = <<\"reason\">>".to_owned(),
            MODE.to_owned(),
        ];
        assert_eq!(lines, expected);
    }
    let (pid, elaborate) = texts(true, formats);
    let events = [FULL, "[1,2,3,4,5,6,7,8,9,'...']"];
    let postponed = [FULL, "[1,2,3,4,5,6,'...']"];
    for (at, text) in elaborate.iter().enumerate() {
        let (event, state) = (events[at], states[at]);
        let mut lines: Vec<&str> = text.lines().collect();
        assert!(modules(&lines.remove(4)), "{text}");
        let expected = [
            format!("** State machine {pid} terminating"),
            format!("** Last event = {event}"),
            format!("** When server state  = {{{state},data}}"),
            "** Reason for termination = <<\"reason\">>".to_owned(),
            MODE.to_owned(),
            format!("** Queued = [{state}]"),
            format!("** Postponed = [{{internal,{}}}]", postponed[at]),
            "** Time-outs: {1,[{timeout,message}]}".to_owned(),
            "** Log =".to_owned(),
            format!("**  [{state}]"),
        ];
        assert_eq!(lines, expected);
    }
}

#[test]
fn format_log_2() {
    let single = Format::new().single_line(true);
    for all in [false, true] {
        let formats = vec![
            Format::new(),
            Format::new().depth(10),
            Format::new().chars_limit(if all { 300 } else { 200 }),
            single,
            single.depth(10),
            single.chars_limit(if all { 300 } else { 200 }),
        ];
        let (pid, texts) = texts(all, formats);
        let next = match all {
            true => "** Last event = [",
            false => "** When server state  = {[",
        };
        for text in &texts[..3] {
            let start = format!("** State machine {pid} terminating\n{next}");
            assert!(text.starts_with(&start), "{text}");
        }
        assert!(texts[2].len() < texts[0].len() && texts[5].len() < texts[3].len());
        let (event, log) = match all {
            true => (format!(" Last event: {FULL}."), format!(" Log: [{FULL}].")),
            false => (String::new(), String::new()),
        };
        let expected = format!(
            "State machine {pid} terminating. Reason: <<\"reason\">>.{event} State: {{{FULL},data}}.{log}"
        );
        assert_eq!(texts[3], expected);
        let start = format!("State machine {pid} terminating. Reason: <<\"reason\">>.");
        assert!(
            texts[4].starts_with(&start)
                && texts[4].contains("State: {[1,2,3,4,5,6,7,8,'...'],data}.")
        );
        assert!(texts[5].starts_with(&start) && !texts[5].contains('\n'));
    }
}

#[test]
fn the_caller_of_one_that_failed_is_in_its_report() {
    simulate(async |mut cx: Context, reports: Reports| {
        cx.register("caller", cx.pid()).unwrap();
        let machine = start(&mut cx, MODES[0], Args::Ok).await;
        assert!(machine.call(&mut cx, Call::Panic).await.is_err());
        let text = reported(&reports).text;
        assert!(text.ends_with("\n** Client caller\n"), "{text}");
        // Who casts is nobody's client; and a name is a report's first word.
        let start = Suite::start(&mut cx, (MODES[0], Args::Ok)).name("some_name");
        let machine = start.await.unwrap();
        let monitor = cx.monitor(machine.pid().unwrap());
        let reason = ExitReason::new(&"bad");
        machine.cast(&cx, Cast::StopWith(reason)).unwrap();
        down_of(&mut cx, monitor).await;
        let shown = reports.try_iter().find_map(|report| match report {
            Report::Machine(shown) => Some(shown),
            _ => None,
        });
        let text = shown.expect("a report").text;
        assert!(
            text.starts_with("** State machine some_name terminating\n"),
            "{text}"
        );
        assert!(!text.contains("Client"), "{text}");
    });
}
