//! Casts, infos, continue, timeouts, hibernate.

use super::*;

#[test]
fn casts_come_in_order_and_go_to_nobody_in_silence() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        for text in ["a", "b", "c"] {
            server.cast(&cx, Cast::Note(text.into())).unwrap();
        }
        assert_eq!(log(&mut cx, &server).await, ["init", "a", "b", "c"]);
        server.cast(&cx, Cast::Stop(reason("cast"))).unwrap();
        assert_eq!(ended(&mut cx).await, reason("cast"));
        // Silent to the dead, and to a name that nobody has.
        server.cast(&cx, Cast::Panic).unwrap();
        ServerRef::<Server>::from_name("no_such_server")
            .unwrap()
            .cast(&cx, Cast::Panic)
            .unwrap();
    });
}

#[test]
fn plain_messages_are_handled() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let pid = server.pid().unwrap();
        cx.send(pid, &Do::Note("info")).unwrap();
        assert_eq!(log(&mut cx, &server).await, ["init", "info"]);
        cx.send(pid, &Do::Stop(reason("info"))).unwrap();
        assert_eq!(ended(&mut cx).await, reason("info"));
    });
}

#[test]
fn a_message_that_is_no_info_is_dropped() {
    // A message that is no Info is logged and dropped, and the server goes on.
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        cx.send(server.pid().unwrap(), &("what", "is", "this"))
            .unwrap();
        assert_eq!(log(&mut cx, &server).await, ["init"]);
    });
}

#[test]
fn undef_handle_call() {
    run(async |mut cx: Context| {
        let server = Bare::start(&mut cx, ()).await.unwrap();
        let error = server.call(&mut cx, 7).await.unwrap_err();
        assert_eq!(error.to_string(), "the server ended: {bad_call,7}");
    });
}

#[test]
fn undef_handle_cast() {
    run(async |mut cx: Context| {
        let server = Bare::start(&mut cx, ()).await.unwrap();
        let monitor = cx.monitor(server.pid().unwrap());
        server.cast(&cx, 7).unwrap();
        assert_eq!(down(&mut cx, monitor).await.to_string(), "{bad_cast,7}");
    });
}

#[test]
fn undef_handle_continue() {
    run(async |mut cx: Context| {
        let server = BareContinue::start(&mut cx, ()).await.unwrap();
        let monitor = cx.monitor(server.pid().unwrap());
        assert!(["bad_continue", "noproc"].contains(&&*down(&mut cx, monitor).await.to_string()));
    });
}

/// Only what must be written.
struct Bare;

impl GenServer for Bare {
    type Args = ();
    type Call = u32;
    type Reply = u32;
    type Cast = u32;
    type Info = u32;
    type Continue = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Bare)
    }
}

struct BareContinue;

impl GenServer for BareContinue {
    type Args = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = ();

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(BareContinue).and_continue(())
    }
}

#[test]
fn an_unknown_call_fails_at_once() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        // A reference of the wrong type: what two versions of a program may come to.
        let wrong = ServerRef::<Bare>::from_pid(server.pid().unwrap());
        let error = wrong.call(&mut cx, 7).await.unwrap_err();
        assert!(matches!(error, CallError::Decode(_)), "{error}");
        assert_eq!(log(&mut cx, &server).await, ["init"], "the server goes on");
    });
}

#[test]
fn a_continue_comes_before_any_message() {
    run(async |mut cx: Context| {
        // From init, and from a continue: before any message, though one may be there already.
        let server = server(&mut cx, Start::Continue).await;
        assert_eq!(
            log(&mut cx, &server).await,
            ["init", "continue init", "continue again"]
        );
        server.call(&mut cx, Call::ReplyContinue).await.unwrap();
        server.cast(&cx, Cast::Continue).unwrap();
        server.cast(&cx, Cast::Note("after".into())).unwrap();
        let log = log(&mut cx, &server).await;
        assert_eq!(log[3..], ["continue call", "continue cast", "after"]);
    });
}

#[test]
fn start_event_timeout() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Timeout(Duration::from_millis(1))).await;
        let got = cx
            .receive_where(LIMIT, |message| message.decode::<String>().ok())
            .await;
        assert_eq!(got.as_deref(), Some("timeout"));
        assert_eq!(log(&mut cx, &server).await, ["init", "timeout"]);
    });
}

#[test]
fn start_event_timeout_zero() {
    run(async |mut cx: Context| {
        server(&mut cx, Start::Timeout(Duration::ZERO)).await;
        let got = cx
            .receive_where(LIMIT, |message| message.decode::<String>().ok())
            .await;
        assert_eq!(got.as_deref(), Some("timeout"));
    });
}

#[test]
fn handle_event_timeout() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        server
            .call(&mut cx, Call::ReplyTimeout(Duration::from_millis(1)))
            .await
            .unwrap();
        let got = cx
            .receive_where(LIMIT, |message| message.decode::<String>().ok())
            .await;
        assert_eq!(got.as_deref(), Some("timeout"));
        server
            .cast(&cx, Cast::Timeout(Duration::from_millis(1)))
            .unwrap();
        let got = cx
            .receive_where(LIMIT, |message| message.decode::<String>().ok())
            .await;
        assert_eq!(got.as_deref(), Some("timeout"));
        // Once each.
        assert_eq!(log(&mut cx, &server).await, ["init", "timeout", "timeout"]);
    });
}

#[test]
fn any_message_cancels_a_timeout() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        // The casts are sent together: with a timeout of 0 the mailbox is still looked at first.
        for _ in 0..100 {
            server
                .cast(&cx, Cast::Timeout(Duration::from_millis(20)))
                .unwrap();
            server.cast(&cx, Cast::Note("x".into())).unwrap();
        }
        let log = log(&mut cx, &server).await;
        assert!(!log.contains(&"timeout".to_owned()), "{log:?}");
        // The last note ended the last timeout: 20 ms later there is still none.
        let late = cx.receive_timeout(Duration::from_millis(60)).await;
        assert!(late.is_none(), "{late:?}");
    });
}

/// Waits until a server hibernates, and tells how it looks then.
async fn hibernated(cx: &Context, server: &ServerRef<Server>) -> otp_vm::ProcessInfo {
    loop {
        let info = cx.process_info(server.pid().unwrap()).expect("it lives");
        if info.hibernated {
            return info;
        }
        cx.yield_now().await;
    }
}

#[test]
fn hibernate() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Hibernate).await;
        let least = hibernated(&cx, &server).await;
        assert_eq!(least.heap.total_heap_size, 0);
        let awake = |cx: &Context| {
            let info = cx.process_info(server.pid().unwrap()).expect("it lives");
            (!info.hibernated).then_some(info.memory)
        };
        let mut notes = vec!["init".to_owned()];
        let mut bytes = None;
        for round in 0..10 {
            // A call wakes it, and it stays awake.
            assert_eq!(log(&mut cx, &server).await, notes);
            assert!(awake(&cx).is_some());
            // So do a cast and an info; each can have it hibernate.
            match round % 3 {
                0 => {
                    let answer = server.call(&mut cx, Call::ReplyHibernate).await;
                    assert_eq!(answer.unwrap(), notes);
                }
                1 => server.cast(&cx, Cast::Hibernate).unwrap(),
                _ => {
                    cx.send(server.pid().unwrap(), &Do::Hibernate).unwrap();
                }
            }
            let asleep = hibernated(&cx, &server).await;
            assert_eq!(asleep.message_queue_len, 0);
            assert_eq!(asleep.heap.total_heap_size, 0);
            // As little as before, however often it slept.
            assert_eq!(*bytes.get_or_insert(asleep.memory), asleep.memory);
            server.cast(&cx, Cast::Note("x".into())).unwrap();
            notes.push("x".into());
        }
        // Suspended and resumed it sleeps on, until it has something to do.
        server.call(&mut cx, Call::ReplyHibernate).await.unwrap();
        hibernated(&cx, &server).await;
        sys::suspend(&server).call(&mut cx).await.unwrap();
        hibernated(&cx, &server).await;
        sys::resume(&server).call(&mut cx).await.unwrap();
        assert_eq!(hibernated(&cx, &server).await.message_queue_len, 0);
        assert_eq!(log(&mut cx, &server).await, notes);
        assert!(awake(&cx).is_some());
        // What it left on its heap goes while it sleeps.
        server.cast(&cx, Cast::Litter).unwrap();
        log(&mut cx, &server).await;
        let littered = awake(&cx).expect("it is awake");
        assert!(littered > 80_000, "{littered}");
        server.call(&mut cx, Call::ReplyHibernate).await.unwrap();
        assert_eq!(hibernated(&cx, &server).await.heap.total_heap_size, 0);
        assert!(hibernated(&cx, &server).await.memory < littered - 80_000);
        // What ends it ends it from its sleep, by `terminate`, with all that it knew.
        server
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(ended(&mut cx).await, ExitReason::normal());
    });
}
