//! The flags `receive` and `send`.

use otp_vm::{
    Atom, EncodeError, ExitReason, ReplyTo, SendError, TraceClause, TraceError, TraceFlags,
    TraceMessages, TracePattern, TraceTargets,
};
use serde::{Serialize, Serializer};

use crate::stage::{
    Do, down, end, event, expect, next, nothing, pid, received, settle, simulate, tell, text,
    worker,
};

/// All but the sender on another node.
#[test]
fn receive_trace() {
    simulate(|mut cx| async move {
        let receiver = cx.spawn(worker).unwrap();
        assert_eq!(cx.trace(receiver, TraceFlags::RECEIVE), Ok(1));
        for n in 0..3 {
            tell(&cx, receiver, Do::Note(n));
            expect(&mut cx, [received(receiver, &Do::Note(n))]).await;
            nothing(&mut cx).await;
        }
        let info = cx.vm().trace_info(receiver).unwrap();
        assert_eq!(
            (info.flags, info.tracer),
            (TraceFlags::RECEIVE, Some(cx.pid()))
        );

        tell(&cx, receiver, Do::Wait(10));
        let wait = received(receiver, &Do::Wait(10));
        expect(&mut cx, [wait, event(receiver, "'receive',timeout")]).await;
        nothing(&mut cx).await;

        let parent = cx.pid();
        // Patterns: of the sender, of the message, of both and of nothing.
        let this = cx.pid();
        let of = TraceMessages::Receive;
        let one = |clause| Some(TracePattern::new().clause(clause));
        let clause = TraceClause::new;
        let note = |n| clause().message(&Do::Note(n)).unwrap();
        for (pattern, is_told) in [
            (None, true),
            (one(clause().peer(this)), true),
            (one(note(5).peer(this)), true),
            (one(note(6)), false),
            (one(clause().not_message(&Do::Note(5)).unwrap()), false),
            (one(clause().not_peer(this)), false),
            (
                one(note(5).hidden()).map(|hides| hides.clause(clause())),
                false,
            ),
            (
                one(note(6).hidden()).map(|hides| hides.clause(clause())),
                true,
            ),
            (Some(TracePattern::new()), false),
            (one(clause()), true),
        ] {
            cx.vm().trace_pattern(of, pattern.clone());
            assert_eq!(cx.vm().trace_pattern_info(of).as_deref(), pattern.as_ref());
            tell(&cx, receiver, Do::Note(5));
            if is_told {
                expect(&mut cx, [received(receiver, &Do::Note(5))]).await;
            }
            nothing(&mut cx).await;
        }
        let timeout = Atom::new("timeout").unwrap();
        let timeouts = clause().peer("clock_service").message(&timeout).unwrap();
        cx.vm().trace_pattern(of, one(timeouts));
        tell(&cx, receiver, Do::Wait(10));
        expect(&mut cx, [event(receiver, "'receive',timeout")]).await;
        nothing(&mut cx).await;
        cx.vm().trace_pattern(of, None);

        let other = cx.spawn(move |cx| async move {
            let by = Some(parent);
            let refused = cx.trace(receiver, TraceFlags::RECEIVE);
            assert_eq!(refused, Err(TraceError::Traced { by }));
            cx.send(parent, &"refused").unwrap();
        });
        other.unwrap();
        assert_eq!(next(&mut cx).await, "<<\"refused\">>");

        assert_eq!(cx.vm().trace_stop(receiver, TraceFlags::RECEIVE), 1);
        tell(&cx, receiver, Do::Note(4));
        nothing(&mut cx).await;
    });
}

#[test]
fn self_send() {
    simulate(|mut cx| async move {
        let parent = cx.pid();
        let sender = cx.spawn(move |mut cx| async move {
            let _: Do = cx.receive().await.decode().unwrap();
            cx.send(cx.pid(), "from_myself").unwrap();
            let _: String = cx.receive().await.decode().unwrap();
            cx.send(parent, "done").unwrap();
        });
        let sender = sender.unwrap();
        cx.trace(sender, TraceFlags::RECEIVE | TraceFlags::SEND)
            .unwrap();
        tell(&cx, sender, Do::Note(0));
        let traces = [
            received(sender, &Do::Note(0)),
            event(sender, format!("send,<<\"from_myself\">>,{sender}")),
            event(sender, "'receive',<<\"from_myself\">>"),
            event(sender, format!("send,<<\"done\">>,{parent}")),
            "<<\"done\">>".to_owned(),
        ];
        expect(&mut cx, traces).await;
        nothing(&mut cx).await;
    });
}

#[test]
fn timeout_trace() {
    simulate(|mut cx| async move {
        let waiter = cx.spawn(worker).unwrap();
        assert_eq!(cx.trace(waiter, TraceFlags::RECEIVE), Ok(1));
        // A wait of no length is one, too.
        for ms in [1, 0] {
            tell(&cx, waiter, Do::Wait(ms));
            let wait = received(waiter, &Do::Wait(ms));
            expect(&mut cx, [wait, event(waiter, "'receive',timeout")]).await;
            nothing(&mut cx).await;
        }
    });
}

#[test]
fn send_trace() {
    simulate(|mut cx| async move {
        let this = cx.pid();
        let sender = cx.spawn(worker).unwrap();
        let receiver = cx.spawn(worker).unwrap();
        assert_eq!(cx.trace(sender, TraceFlags::SEND), Ok(1));
        let sends = |to: &dyn std::fmt::Display| event(sender, format!("send,<<\"hi\">>,{to}"));

        tell(&cx, sender, Do::Send(receiver, "hi".to_owned()));
        expect(&mut cx, [sends(&receiver)]).await;
        nothing(&mut cx).await;

        cx.register("trace_receiver", receiver).unwrap();
        let named = || Do::SendNamed("trace_receiver".to_owned(), "hi".to_owned());
        tell(&cx, sender, named());
        expect(&mut cx, [sends(&"trace_receiver")]).await;

        // To the tracer itself: the message and the trace of it.
        tell(&cx, sender, Do::Send(this, "hi".to_owned()));
        expect(&mut cx, [sends(&this), "<<\"hi\">>".to_owned()]).await;
        nothing(&mut cx).await;

        // To the dead, and to their name.
        end(&mut cx, receiver).await;
        tell(&cx, sender, Do::Send(receiver, "hi".to_owned()));
        let to_nobody = format!("send_to_non_existing_process,<<\"hi\">>,{receiver}");
        expect(&mut cx, [event(sender, to_nobody)]).await;
        let refused = cx.send("trace_receiver", &1);
        assert!(matches!(refused, Err(SendError::NoName)));
        tell(&cx, sender, named());
        expect(&mut cx, [sends(&"trace_receiver")]).await;
        nothing(&mut cx).await;

        let receiver = cx.spawn(worker).unwrap();
        let of = TraceMessages::Send;
        let one = |clause| Some(TracePattern::new().clause(clause));
        let clause = TraceClause::new;
        let more = |more: &str| event(sender, format!("send,<<\"hi\">>,{receiver},{more}"));
        let told = || Some(sends(&receiver));
        let said = |text: &str| clause().message(text).unwrap();
        for (pattern, expected) in [
            (None, told()),
            (one(said("hi").peer(receiver)), told()),
            (one(clause()), told()),
            (one(clause().told_with(&4711).unwrap()), Some(more("4711"))),
            (
                one(clause().told_with("4711").unwrap()),
                Some(more("<<\"4711\">>")),
            ),
            (one(clause().peer(this)), None),
            (one(clause().peer("trace_receiver")), None),
            (one(clause().not_peer(receiver)), None),
            (one(said("ho")), None),
            (one(clause().is_atom()), None),
            (one(clause().hidden()), None),
            (Some(TracePattern::new()), None),
        ] {
            cx.vm().trace_pattern(of, pattern.clone());
            assert_eq!(cx.vm().trace_pattern_info(of).as_deref(), pattern.as_ref());
            tell(&cx, sender, Do::Send(receiver, "hi".to_owned()));
            expect(&mut cx, expected).await;
            nothing(&mut cx).await;
        }
        cx.vm().trace_pattern(of, one(clause().is_atom()));
        tell(
            &cx,
            sender,
            Do::SendAtom(receiver, Atom::new("hi").unwrap()),
        );
        expect(&mut cx, [event(sender, format!("send,hi,{receiver}"))]).await;
        // A session has patterns of its own.
        let session = cx.vm().trace_session(this);
        session.trace(sender, TraceFlags::SEND).unwrap();
        let to_name = clause().peer("trace_receiver").told_with(&1).unwrap();
        session.pattern(of, one(to_name.clone()));
        assert_eq!(session.pattern_info(of).as_deref(), one(to_name).as_ref());
        assert_eq!(session.pattern_info(TraceMessages::Receive), None);
        tell(&cx, sender, named());
        let to_name = event(sender, "send,<<\"hi\">>,trace_receiver,1");
        expect(&mut cx, [to_name]).await;
        nothing(&mut cx).await;
        drop(session);
        cx.vm().trace_pattern(of, None);

        let other = cx.spawn(move |cx| async move {
            let by = Some(this);
            let refused = cx.trace(sender, TraceFlags::SEND);
            assert_eq!(refused, Err(TraceError::Traced { by }));
            cx.send(this, &"refused").unwrap();
        });
        other.unwrap();
        assert_eq!(next(&mut cx).await, "<<\"refused\">>");

        assert_eq!(cx.vm().trace_stop(sender, TraceFlags::SEND), 1);
        tell(&cx, sender, Do::Send(this, "hi".to_owned()));
        expect(&mut cx, ["<<\"hi\">>".to_owned()]).await;
        nothing(&mut cx).await;
    });
}

/// Without the calls.
#[test]
fn link_receive_call_correlation() {
    simulate(|mut cx| async move {
        let this = cx.pid();
        let (receiver, monitor) = cx.spawn_monitor(worker).unwrap();
        // As if it had been spawned with a link: the first link below finds one.
        cx.link(receiver);
        settle(&mut cx, receiver).await;
        let flags = TraceFlags::RECEIVE
            | TraceFlags::PROCS
            | TraceFlags::TIMESTAMP
            | TraceFlags::SCHEDULER_ID;
        cx.trace(receiver, flags).unwrap();
        for n in (1..=100).rev() {
            if n % 2 == 0 {
                cx.link(receiver);
            } else {
                cx.unlink(receiver);
            }
            tell(&cx, receiver, Do::Note(n));
        }
        tell(&cx, receiver, Do::EndNormally);
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        let reference = cx.trace_delivered(receiver);
        let until = format!("{{trace_delivered,{receiver},{reference}}}");
        let mut events = Vec::new();
        loop {
            let event = next(&mut cx).await;
            if event == until {
                break;
            }
            // `…,SchedulerId,{Mega,Seconds,Micro}}`, in a simulation the first scheduler.
            let (event, stamp) = event.rsplit_once(",1,{").expect("a scheduler and a time");
            assert_eq!(stamp.split(',').count(), 3, "{stamp}");
            let head = format!("{{trace_ts,{receiver},");
            events.push(event.strip_prefix(&head).expect("its event").to_owned());
        }
        let mut expected = Vec::new();
        for n in (1..=100).rev() {
            match n {
                100 => {}
                n if n % 2 == 0 => expected.push(format!("getting_linked,{this}")),
                _ => expected.push(format!("getting_unlinked,{this}")),
            }
            expected.push(format!("'receive',{}", text(&Do::Note(n))));
        }
        expected.push(format!("'receive',{}", text(&Do::EndNormally)));
        expected.push("exit,normal".to_owned());
        assert_eq!(events, expected);
        nothing(&mut cx).await;
    });
}

#[test]
fn trap_exit_self_receive() {
    simulate(|mut cx| async move {
        let this = cx.pid();
        let traced = cx.spawn(worker).unwrap();
        tell(&cx, traced, Do::TrapExit(true));
        settle(&mut cx, traced).await;
        cx.trace(traced, TraceFlags::RECEIVE).unwrap();
        let order = || Do::ExitSelf(this, "why".to_owned());
        tell(&cx, traced, order());
        let exit = format!("'receive',{{'EXIT',{traced},<<\"why\">>}}");
        let expected = [
            received(traced, &order()),
            event(traced, exit),
            "<<\"why\">>".to_owned(),
        ];
        expect(&mut cx, expected).await;
        nothing(&mut cx).await;
        let monitor = cx.monitor(traced);
        tell(&cx, traced, Do::EndNormally);
        expect(&mut cx, [received(traced, &Do::EndNormally)]).await;
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        nothing(&mut cx).await;
    });
}

/// Calls and replies are messages; the question whether somebody lives is none.
#[test]
fn requests_and_replies_are_traced_and_questions_are_not() {
    simulate(|mut cx| async move {
        let this = cx.pid();
        let server = cx.spawn(|mut cx| async move {
            let (_, from, n): (Atom, ReplyTo, u32) = cx.receive().await.decode().unwrap();
            cx.reply(&from, &(n + 1)).unwrap();
            cx.receive().await;
        });
        let server = server.unwrap();
        let client = cx.spawn(worker).unwrap();
        cx.trace(client, TraceFlags::RECEIVE | TraceFlags::SEND)
            .unwrap();
        tell(&cx, client, Do::Asks(server));
        tell(&cx, client, Do::Call(server));
        expect(
            &mut cx,
            [
                received(client, &Do::Asks(server)),
                received(client, &Do::Call(server)),
            ],
        )
        .await;
        let request = next(&mut cx).await;
        assert!(
            request.contains(&format!(",send,{{'$gen_call',{{{client},")),
            "{request}"
        );
        let reply = next(&mut cx).await;
        assert!(
            reply.starts_with(&format!("{{trace,{client},'receive',{{#Ref<")),
            "{reply}"
        );
        assert!(reply.ends_with(",8}}"), "{reply}");
        nothing(&mut cx).await;
        assert_eq!(cx.vm().trace_stop(TraceTargets::All, TraceFlags::ALL), 3);
        tell(&cx, client, Do::Spawn(this));
        let child = pid(&mut cx).await;
        assert!(cx.vm().is_alive(child));
        nothing(&mut cx).await;
    });
}

/// A list in a list, so many times.
struct Nested(u32);

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_unit(),
            depth => serializer.collect_seq([Nested(depth - 1)]),
        }
    }
}

/// Of a pattern's message; conditions don't nest.
#[test]
fn ms_excessive_nesting() {
    simulate(|mut cx| async move {
        let nested = TraceClause::new().message(&Nested(100)).unwrap();
        let too_deep = TraceClause::new().message(&Nested(1_000_000));
        assert!(
            matches!(too_deep, Err(EncodeError::TooDeep)),
            "{too_deep:?}"
        );
        let pattern = TracePattern::new().clause(nested);
        cx.vm().trace_pattern(TraceMessages::Receive, pattern);
        let receiver = cx.spawn(worker).unwrap();
        cx.trace(receiver, TraceFlags::RECEIVE).unwrap();
        cx.send(receiver, &Nested(99)).unwrap();
        cx.send(receiver, &Nested(100)).unwrap();
        let told = next(&mut cx).await;
        assert_eq!(told.matches('[').count(), 100, "{told}");
        nothing(&mut cx).await;
    });
}
