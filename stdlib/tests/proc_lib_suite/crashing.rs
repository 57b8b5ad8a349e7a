//! Crashes and their reports.

use std::sync::mpsc::Receiver;

use otp_stdlib::proc_lib::{
    self, Class, CrashReport, Format, MAX_DICTIONARY, MAX_MESSAGES, MAX_NEIGHBOURS,
};
use otp_vm::{Ancestor, Arguments, Call, Context, ExitReason, Function, InitialCall, Module, Pid};

use crate::common::{down, exit_of, for_ever};
use crate::{SECOND, atom, nothing_comes, simulate, told, until_it_waits};

fn function(name: &str) -> Call {
    Call::new("proc_lib_suite", name, &()).unwrap()
}

fn named(name: &str) -> Option<InitialCall> {
    Some(InitialCall::Mfa(function(name).mfa()))
}

/// Has the process end, and gives its one report, which can be printed in every way.
async fn told_to_die(
    cx: &mut Context,
    pid: Pid,
    reports: &mut Receiver<CrashReport>,
) -> CrashReport {
    let monitor = cx.monitor(pid);
    cx.send(pid, "die").unwrap();
    assert_eq!(down(cx, monitor).await, atom("die").into());
    let report = reports.try_recv().expect("a report before the DOWN");
    assert_eq!(report.pid, pid);
    assert_eq!(report.error_info.class, Class::Exit);
    assert_eq!(report.error_info.reason, atom("die").into());
    for format in [Format::new(), Format::new().depth(30)] {
        for format in [format, format.latin1(true), format.single_line(true)] {
            let text = report.format(format);
            assert!(text.contains("exception exit: die"), "{text}");
        }
    }
    report
}

#[test]
fn crash() {
    simulate(|mut cx, mut reports| async move {
        cx.trap_exit(true);
        let me = Ancestor::Pid(cx.pid());
        let detail = (atom("a"), atom("b"), atom("c"));
        for reason in [ExitReason::shutdown(), ExitReason::shutdown_with(&detail)] {
            let with = reason.clone();
            let pid = proc_lib::spawn_link(&cx, move |cx: Context| async move {
                cx.exit(with);
            })
            .unwrap();
            assert_eq!(exit_of(&mut cx, pid).await, reason);
        }
        assert_eq!(reports.try_iter().count(), 0, "an orderly end is no crash");

        let pid = proc_lib::spawn(&cx, function("sp1").body()).unwrap();
        until_it_waits(&cx, pid).await;
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        assert_eq!(report.initial_call, named("sp1"));
        assert_eq!(report.ancestors, [me]);
        assert!(report.neighbours.is_empty());
        assert_eq!((report.registered_name, report.trap_exit), (None, false));
        assert!(report.links.is_empty() && report.message_queue_len == 0);

        let fun = async |mut cx: Context| {
            told(&mut cx, "die").await;
            cx.exit(atom("die"));
        };
        let pid = proc_lib::spawn(&cx, fun).unwrap();
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        let call = report.initial_call.unwrap().to_string();
        assert!(call.contains("crashing::crash"), "{call}");
        assert_eq!(report.ancestors, [me]);
        assert!(report.neighbours.is_empty());

        let pid = proc_lib::spawn(&cx, function("sp2").body()).unwrap();
        until_it_waits(&cx, pid).await;
        assert_eq!(proc_lib::initial_call(cx.vm(), pid), named("sp2"));
        assert_eq!(proc_lib::translate_initial_call(cx.vm(), pid), named("sp2"));
        let child = cx.process_info(pid).unwrap().links[0];
        until_it_waits(&cx, child).await;
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        assert_eq!(report.initial_call, named("sp2"));
        assert_eq!(report.links, [child]);
        let [neighbour] = &report.neighbours[..] else {
            panic!("one neighbour: {:?}", report.neighbours);
        };
        assert_eq!(neighbour.pid, child);
        assert_eq!(neighbour.initial_call, named("sp1"));
        assert_eq!(neighbour.ancestors, [Ancestor::Pid(pid), me]);
        // That it ends with the other is no crash of its own.
        let monitor = cx.monitor(child);
        down(&mut cx, monitor).await;

        let erased = async |mut cx: Context| {
            assert_eq!(cx.erase_all().len(), 2);
            told(&mut cx, "die").await;
            cx.exit(atom("die"));
        };
        let pid = proc_lib::spawn(&cx, erased).unwrap();
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        assert_eq!(report.initial_call, None);
        assert!(report.ancestors.is_empty());
        assert!(!report.format(Format::new()).contains("initial call"));

        let name = "функция";
        let die = Function::new(name, 0, |cx, _| {
            Box::pin(async move {
                told(cx, "die").await;
                cx.exit(atom("die"));
                #[allow(unreachable_code)]
                Arguments::result(&())
            })
        });
        let module = Module::builder("cyrillic").function(die).build().unwrap();
        cx.vm().load_module(module).unwrap();
        let call = Call::new("cyrillic", name, &()).unwrap();
        let pid = proc_lib::spawn(&cx, call.clone().body()).unwrap();
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        assert_eq!(report.initial_call, Some(InitialCall::Mfa(call.mfa())));
        let text = report.format(Format::new());
        assert!(
            text.contains("initial call: cyrillic:'функция'/0"),
            "{text}"
        );

        nothing_comes(&mut cx, SECOND).await;
        assert_eq!(reports.try_iter().count(), 0);
    });
}

/// `throw` has no counterpart; a failed match is a panic, and its place is in the reason.
#[test]
fn stacktrace() {
    simulate(|mut cx, _| async move {
        cx.trap_exit(true);
        let badmatch = async |cx: Context| assert_eq!(cx.vm().name(), "another", "badmatch");
        let pid = proc_lib::spawn_link(&cx, badmatch).unwrap();
        let (tag, message, location): (String, String, String) =
            exit_of(&mut cx, pid).await.decode().unwrap();
        assert_eq!(tag, "panic");
        assert!(message.contains("badmatch"), "{message}");
        assert!(
            location.contains("proc_lib_suite/crashing.rs:"),
            "{location}"
        );
        let bye = async |cx: Context| cx.exit(atom("bye"));
        let pid = proc_lib::spawn_link(&cx, bye).unwrap();
        assert_eq!(exit_of(&mut cx, pid).await, atom("bye").into());
    });
}

#[test]
fn t_format() {
    simulate(|mut cx, reports| async move {
        let body = async |cx: Context| {
            let set: std::collections::BTreeSet<u32> = (300..400).collect();
            cx.put(&atom("ключ"), &(&set, atom("значение"))).unwrap();
            cx.put(&(1, "ключ"), "text").unwrap();
            cx.send(cx.pid(), &[atom("сообщение"); 30].to_vec())
                .unwrap();
            cx.exit(ExitReason::new(&(set, atom("причина"), atom("ключ"))));
        };
        let pid = proc_lib::spawn(&cx, body).unwrap();
        let monitor = cx.monitor(pid);
        down(&mut cx, monitor).await;
        let report = reports.try_recv().unwrap();
        assert_eq!(report.dictionary.len(), 2);
        for format in [Format::new(), Format::new().latin1(true)] {
            let (whole, cut) = (report.format(format), report.format(format.depth(20)));
            assert!(cut.len() < whole.len(), "{cut}");
            assert!(cut.contains("..."), "{cut}");
        }
        let text = report.format(Format::new());
        assert!(text.contains("'причина'"), "{text}");
        assert!(text.contains("    dictionary: [{"), "{text}");
        assert!(text.contains("{'ключ',{"), "{text}");
        assert!(text.contains(",'значение'}}"), "{text}");
        let latin1 = report.format(Format::new().latin1(true));
        assert!(latin1.is_ascii() && latin1.contains("\\x{43F}"), "{latin1}");
    });
}

/// As OTP has them, for tools that look there; and what is changed there is changed for the report.
#[test]
fn ancestors_and_initial_call_are_in_the_dictionary() {
    simulate(|mut cx, mut reports| async move {
        let me = cx.pid();
        let [ancestors, initial_call, callers] =
            ["$ancestors", "$initial_call", "$callers"].map(atom);
        assert!(cx.dictionary().is_empty(), "nobody of proc_lib's");
        let pid = proc_lib::spawn(&cx, function("sp2").body()).unwrap();
        until_it_waits(&cx, pid).await;
        let text = |cx: &Context, pid| {
            let item = cx.process_info_item(pid, otp_vm::InfoItem::Dictionary);
            item.unwrap().to_string()
        };
        let begun = "{'$initial_call',{proc_lib_suite,sp2,0}}";
        assert_eq!(
            text(&cx, pid),
            format!("{{dictionary,[{{'$ancestors',[{me}]}},{begun}]}}")
        );
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        assert!(report.dictionary.is_empty(), "they have lines of their own");

        let changes = async move |mut cx: Context| {
            let above = cx.get::<Vec<Pid>, _>(&ancestors).unwrap();
            assert_eq!(above, Some(vec![me]));
            assert_eq!(cx.get_keys().len(), 2);
            let before = cx.put(&ancestors, &(atom("above"), me)).unwrap();
            assert_eq!(before.unwrap().to_string(), format!("[{me}]"));
            // No list: it hides what is noted, as it does in OTP, where the report then has none.
            let now = cx.get_term(&ancestors).unwrap().unwrap();
            assert_eq!(now.to_string(), format!("{{above,{me}}}"));
            assert!(cx.origin().is_none_or(|origin| origin.ancestors.is_none()));
            let list: Vec<otp_vm::OwnedTerm> =
                vec![atom("above").into(), otp_vm::to_term(&me).unwrap()];
            cx.put(&ancestors, &list).unwrap();
            cx.put(&initial_call, &(atom("m"), atom("f"), 3)).unwrap();
            cx.put(&callers, &[me, cx.pid()].to_vec()).unwrap();
            let origin = cx.origin().unwrap();
            let named = Ancestor::Name(atom("above"));
            assert_eq!(origin.ancestors(), [named, Ancestor::Pid(me)]);
            assert_eq!(origin.callers, [me, cx.pid()]);
            assert_eq!(cx.dictionary().len(), 3);
            let erased = cx.erase(&callers).unwrap().unwrap();
            assert_eq!(erased.to_string(), format!("[{me},{}]", cx.pid()));
            assert!(cx.erase(&callers).unwrap().is_none());
            told(&mut cx, "die").await;
            cx.exit(atom("die"));
        };
        let pid = proc_lib::spawn(&cx, changes).unwrap();
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        let named = Ancestor::Name(atom("above"));
        assert_eq!(report.ancestors, [named, Ancestor::Pid(me)]);
        assert_eq!(report.initial_call.unwrap().to_string(), "m:f/3");
    });
}

/// Of the dictionary as well.
#[test]
fn a_report_has_so_many_entries_of_the_dictionary_and_no_large_ones() {
    simulate(|mut cx, mut reports| async move {
        let body = async |mut cx: Context| {
            let large = "x".repeat(otp_vm::MAX_COPIED_BYTES + 1);
            cx.put("large", &large).unwrap();
            for n in 0..MAX_DICTIONARY as u32 + 10 {
                cx.put(&n, &n).unwrap();
            }
            told(&mut cx, "die").await;
            cx.exit(atom("die"));
        };
        let pid = proc_lib::spawn(&cx, body).unwrap();
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        assert_eq!(report.dictionary.len(), MAX_DICTIONARY);
        let large = |(_, value): &(_, std::sync::Arc<otp_vm::OwnedTerm>)| value.bytes() > 1000;
        assert!(!report.dictionary.iter().any(large));
    });
}

/// The answers of `proc_lib_suite:hib_loop/1`, and its crash after it hibernated.
#[test]
fn hibernate() {
    simulate(|mut cx, reports| async move {
        cx.trap_exit(true);
        let me = Ancestor::Pid(cx.pid());
        let call = Call::new("proc_lib_suite", "hib_loop", &("state",)).unwrap();
        let begun = Some(InitialCall::Mfa(call.mfa()));
        let pid = proc_lib::spawn_link(&cx, call.body()).unwrap();
        let pings = async |cx: &mut Context| {
            cx.send(pid, &("ping", cx.pid())).unwrap();
        };
        let answer = async |cx: &mut Context| {
            let answer = cx.receive_timeout(SECOND).await.expect("an answer");
            answer.decode::<(String, String)>().unwrap()
        };
        let of = |tag: &str| (tag.to_owned(), "state".to_owned());
        pings(&mut cx).await;
        assert_eq!(answer(&mut cx).await, of("pong"));
        for _ in 0..2 {
            cx.send(pid, &("hibernate", cx.pid())).unwrap();
            while !cx.process_info(pid).unwrap().hibernated {
                cx.yield_now().await;
            }
            assert_eq!(proc_lib::initial_call(cx.vm(), pid), begun);
            pings(&mut cx).await;
            assert_eq!(answer(&mut cx).await, of("awaken"));
            assert_eq!(answer(&mut cx).await, of("pong"));
        }
        cx.send(pid, &("crash", cx.pid())).unwrap();
        assert_eq!(exit_of(&mut cx, pid).await, atom("i_crashed").into());
        let report = reports.try_recv().expect("a report before the EXIT");
        assert_eq!((report.pid, report.initial_call), (pid, begun));
        assert_eq!(report.ancestors, [me]);
        assert_eq!(report.error_info.reason, atom("i_crashed").into());
        // This process traps exits.
        assert!(report.neighbours.is_empty());
        nothing_comes(&mut cx, SECOND).await;
        assert_eq!(reports.try_iter().count(), 0);
    });
}

#[test]
fn report_cb() {
    simulate(|mut cx, mut reports| async move {
        let pid = proc_lib::spawn(&cx, function("sp2").body()).unwrap();
        until_it_waits(&cx, pid).await;
        let child = cx.process_info(pid).unwrap().links[0];
        // Something long to tell: OTP's reports have stack traces.
        cx.send(pid, &(1000..1200).collect::<Vec<u32>>()).unwrap();
        let report = told_to_die(&mut cx, pid, &mut reports).await;

        let lines = report.format(Format::new());
        let beginning = "  crasher:\n    initial call: proc_lib_suite:sp2/0\n";
        for format in [Format::new().depth(10), Format::new().chars_limit(500)] {
            let shorter = report.format(format);
            assert!(shorter.starts_with(beginning), "{shorter}");
            assert!(shorter.len() < lines.len(), "{shorter}");
        }
        assert!(lines.starts_with(beginning), "{lines}");
        assert_eq!(report.format(Format::default()), lines);

        let single = Format::new().single_line(true);
        let line = report.format(single);
        assert!(
            line.starts_with("crasher: initial call: proc_lib_suite:sp2/0,"),
            "{line}"
        );
        assert!(line.len() < lines.len() && !line.contains('\n'));
        let from_semicolon = |text: &str| text[text.find(';').unwrap()..].to_owned();
        let deep = report.format(single.depth(10));
        assert!(deep.len() < line.len());
        let neighbours = format!("; neighbours: neighbour: pid: {child}, registered_name: []");
        assert!(from_semicolon(&deep).starts_with(&neighbours), "{deep}");
        let short = report.format(single.chars_limit(500));
        assert!(short.len() < line.len());
        assert_eq!(from_semicolon(&short), format!("; neighbours: [{child}]"));
    });
}

#[test]
fn a_report_is_bounded() {
    simulate(|mut cx, mut reports| async move {
        let crowded = async |mut cx: Context| {
            for _ in 0..40 {
                proc_lib::spawn_link(&cx, async |mut cx: Context| for_ever(&mut cx).await).unwrap();
                // Past those that trap exits nobody is looked for.
                let options = otp_vm::SpawnOptions::new().link().trap_exit();
                cx.spawn_opt(options, async |cx: Context| {
                    let idle = async |mut cx: Context| for_ever(&mut cx).await;
                    cx.spawn_link(idle).unwrap();
                    std::future::pending::<()>().await;
                })
                .unwrap();
                cx.send(cx.pid(), &cx.pid()).unwrap();
            }
            told(&mut cx, "die").await;
            cx.exit(atom("die"));
        };
        let pid = proc_lib::spawn(&cx, crowded).unwrap();
        let report = told_to_die(&mut cx, pid, &mut reports).await;
        assert_eq!(report.neighbours.len(), MAX_NEIGHBOURS);
        assert!(
            report
                .neighbours
                .iter()
                .all(|neighbour| !neighbour.trap_exit)
        );
        assert_eq!(report.message_queue_len, 40);
        assert_eq!(report.messages.len(), MAX_MESSAGES);
        assert_eq!(report.links.len(), 80);
    });
}

#[test]
fn who_is_ended_from_outside_reports_nothing() {
    simulate(|mut cx, reports| async move {
        for reason in [ExitReason::kill(), ExitReason::from("why")] {
            let idle = async |mut cx: Context| for_ever(&mut cx).await;
            let pid = proc_lib::spawn(&cx, idle).unwrap();
            let monitor = cx.monitor(pid);
            cx.exit_process(pid, reason);
            down(&mut cx, monitor).await;
        }
        assert_eq!(reports.try_iter().count(), 0);
    });
}
