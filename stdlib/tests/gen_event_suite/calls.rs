//! Calls to handlers.

use otp_stdlib::gen_event::{EventHandler, Handler, HandlerId};
use otp_vm::CallError;

use super::dummies::{Call, OcEvent, Reply, dummy_id, dummy1};
use super::*;

/// By a call, or by a request that is sent and waited for.
async fn ask<H>(
    cx: &mut Context,
    manager: &Manager,
    handler: &Handler<H>,
    call: Call,
    sent: bool,
) -> Result<Reply, ManagerError>
where
    H: EventHandler<Event = Event, Call = Call, Reply = Reply>,
{
    if !sent {
        return manager.call(cx, handler, call).await;
    }
    let sent = manager.send_request(cx, handler, call).expect("a request");
    let response = sent.wait_response(cx, Timeout::Infinity).await;
    Ok(response??)
}

fn is_faulty(error: &HandlerError) -> bool {
    matches!(error, HandlerError::Error(reason) if reason.to_string() == "{return,faulty}")
}

fn is_crash(error: &HandlerError) -> bool {
    matches!(error, HandlerError::Exit(reason) if reason.to_string().contains("badmatch, 4"))
}

#[test]
fn call() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = &manager(cx).await;
        let me = cx.pid();
        let args = Args::Parent(me);
        add(cx, manager).await;
        manager
            .add_handler(cx, dummy_id(1), args.clone())
            .await
            .unwrap();
        assert_eq!(which(cx, manager).await, ["{dummy_h,1}", "dummy_h"]);
        let nobody = Manager::from_name("non_exist").unwrap();
        // No handler of the suite's has this name here.
        let bad = Handler::<OcEvent>::new();
        for sent in [false, true] {
            let error = ask(cx, &nobody, &dummy(), Call::Hejsan, sent).await;
            match error {
                Err(ManagerError::Call(CallError::Exit(reason))) => {
                    assert_eq!(reason, ExitReason::noproc());
                }
                other => panic!("nobody answers: {other:?}"),
            }
            let error = ask(cx, manager, &bad, Call::Hejsan, sent).await;
            assert_eq!(handler_error(error), HandlerError::BadModule);
            for handler in [dummy(), dummy_id(1), dummy_id(1)] {
                let reply = ask(cx, manager, &handler, Call::Hejsan, sent).await;
                assert_eq!(reply.unwrap(), Reply::Hejhopp);
            }
        }
        let first = dummy();
        let reply = manager.call_timeout(cx, &first, Call::Hejsan, ms(10_000));
        assert_eq!(reply.await.unwrap(), Reply::Hejhopp);
        let late = manager
            .call_timeout(cx, &dummy(), Call::Hejsan, ms(0))
            .await;
        assert!(
            matches!(late, Err(ManagerError::Call(CallError::Timeout))),
            "{late:?}"
        );

        let sent = manager.send_request(cx, &dummy(), Call::Hejsan).unwrap();
        let early = sent.wait_response(cx, Duration::ZERO).await;
        assert!(matches!(early, Err(CallError::Timeout)), "{early:?}");
        let reply = sent.wait_response(cx, Timeout::Infinity).await;
        assert_eq!(reply.unwrap(), Ok(Reply::Hejhopp));

        let sent = manager.send_request(cx, &dummy(), Call::Hejsan).unwrap();
        cx.send(me, &("other", "msg")).unwrap();
        let is_other = |message: &otp_vm::Message| message.decode::<(String, String)>().is_ok();
        let other = cx.receive_matching(Timeout::Infinity, is_other).await;
        assert!(sent.check_response(other.unwrap()).is_err());
        let message = cx.receive().await;
        assert_eq!(
            sent.check_response(message).unwrap().unwrap(),
            Ok(Reply::Hejhopp)
        );
        manager.delete_handler(cx, dummy_id(1), &()).await.unwrap();

        // One by itself, then one with an id, then one that is supervised.
        for (round, (handler, to, new)) in [
            (dummy(), None, "dummy1_h"),
            (dummy_id(1), Some(2), "{dummy1_h,2}"),
            (dummy(), None, "dummy1_h"),
        ]
        .into_iter()
        .enumerate()
        {
            let is_sup = round == 2;
            let id = handler.id().to_string();
            let with = Handler::clone(&handler);
            let adds = async |cx: &mut Context| {
                let args = args.clone();
                let added = match is_sup {
                    true => manager.add_sup_handler(cx, with.clone(), args).await,
                    false => manager.add_handler(cx, with.clone(), args).await,
                };
                added.unwrap();
                assert_eq!(which(cx, manager).await, [id.as_str()]);
            };
            if round > 0 {
                adds(cx).await;
                let error = ask(cx, manager, &bad, Call::Hejsan, false).await;
                assert_eq!(handler_error(error), HandlerError::BadModule);
                let reply = manager.call(cx, &handler, Call::Hejsan).await;
                assert_eq!(reply.unwrap(), Reply::Hejhopp);
            }
            let reply = manager.call(cx, &handler, Call::SwapCall(to)).await;
            assert_eq!(reply.unwrap(), Reply::Swapped);
            if is_sup {
                let swapped = format!("{{gen_event_EXIT,dummy_h,{{swapped,dummy1_h,{me}}}}}");
                assert_eq!(told(cx).await, swapped);
            }
            assert_eq!(which(cx, manager).await, [new]);
            for sent in [false, true] {
                let error = ask(cx, manager, &dummy(), Call::Hejsan, sent).await;
                assert_eq!(handler_error(error), HandlerError::BadModule);
            }
            let reply = manager.call(cx, &dummy1(to), Call::DeleteCall).await;
            assert_eq!(reply.unwrap(), Reply::Ok);
            assert_eq!(told(cx).await, "{dummy1_h,removed}");
            if is_sup {
                assert_eq!(told(cx).await, "{gen_event_EXIT,dummy1_h,normal}");
            }
            assert!(which(cx, manager).await.is_empty());

            adds(cx).await;
            let error = handler_error(manager.call(cx, &handler, Call::ErrorCall).await);
            assert!(is_faulty(&error), "{error:?}");
            assert_eq!(told(cx).await, "{dummy_h,returned_error}");
            if is_sup {
                assert_eq!(told(cx).await, "{gen_event_EXIT,dummy_h,{return,faulty}}");
            }
            assert!(which(cx, manager).await.is_empty());

            adds(cx).await;
            let error = handler_error(manager.call(cx, &handler, Call::ExitCall).await);
            assert!(is_crash(&error), "{error:?}");
            if is_sup {
                let told = told(cx).await;
                assert!(
                    told.starts_with("{gen_event_EXIT,dummy_h,{'EXIT',"),
                    "{told}"
                );
            }
            assert!(which(cx, manager).await.is_empty());
        }
        stop(cx, manager).await;
        nothing(cx).await;
    });
}

#[test]
fn a_handler_is_asked_by_terms() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        add(&mut cx, &manager).await;
        let (id, hejsan) = (HandlerId::from(dummy()), atom("hejsan"));
        let reply = manager.call_term(&mut cx, &id, &hejsan, LIMIT);
        assert_eq!(reply.await.unwrap().to_string(), "hejhopp");
        // One of no shape that the handler has: it stays.
        let reply = manager.call_term(&mut cx, &id, &("what", 1), LIMIT);
        let HandlerError::Error(reason) = handler_error(reply.await) else {
            panic!("no such request")
        };
        assert!(reason.to_string().starts_with("{bad_call,"), "{reason}");
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h"]);

        // Without any function of the library's: OTP's terms.
        let pid = manager.whereis(&cx).unwrap();
        let asked = (atom("call"), &id, hejsan);
        let answer: (Atom, Reply) = cx.call(pid, &asked, LIMIT).await.unwrap();
        assert_eq!(answer, (atom("ok"), Reply::Hejhopp));
        let asked = (atom("call"), atom("bad_h"), atom("hejsan"));
        let answer: (Atom, Atom) = cx.call(pid, &asked, LIMIT).await.unwrap();
        assert_eq!(answer, (atom("error"), atom("bad_module")));
        let modules: Vec<Atom> = cx.call(pid, &atom("get_modules"), LIMIT).await.unwrap();
        assert_eq!(modules, [atom("dummy_h")]);
        let me = cx.pid();
        cx.send(pid, &(atom("notify"), (atom("event"), me)))
            .unwrap();
        assert_eq!(told(&mut cx).await, format!("{{dummy_h,{{event,{me}}}}}"));
        // A handler is no term, so it can't be added by one.
        let asked = (atom("add_handler"), atom("dummy_h"), vec![me]);
        let answer: (Atom, (Atom, String)) = cx.call(pid, &asked, LIMIT).await.unwrap();
        assert_eq!((answer.0, answer.1.0), (atom("error"), atom("bad_args")));
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h"]);
        nothing(&mut cx).await;
    });
}
