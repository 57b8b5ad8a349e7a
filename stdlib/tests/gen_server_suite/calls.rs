//! Calls and their replies.

use super::*;

#[test]
fn a_reply_comes_from_the_call_from_others_or_after_the_end() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        assert_eq!(
            server.call(&mut cx, Call::Reply).await.unwrap(),
            ["init", "call"]
        );
        // Another process replies.
        assert_eq!(
            server.call(&mut cx, Call::ReplyLater).await.unwrap(),
            ["init", "call"]
        );
        // A later message replies.
        let pending = server.send_request(&cx, Call::ReplyByCast).unwrap();
        server.cast(&cx, Cast::Answer).unwrap();
        assert_eq!(
            pending.receive_response(&mut cx, LIMIT).await.unwrap(),
            ["kept"]
        );
        // Stop with a reply, which comes after terminate.
        let reply = server
            .call(&mut cx, Call::StopWith(reason("done")))
            .await
            .unwrap();
        assert_eq!(reply, ["last"]);
        assert_eq!(ended(&mut cx).await, reason("done"));
        // Nobody.
        let result = server.call(&mut cx, Call::Log).await;
        assert!(is_exit(result, &ExitReason::noproc()));
    });
}

#[test]
fn call_stop_without_reply() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let result = server.call(&mut cx, Call::Stop(reason("why"))).await;
        assert!(is_exit(result, &reason("why")));
    });
}

#[test]
fn call_timeout_and_late_reply() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let limit = Duration::from_millis(5);
        let result = server.call_timeout(&mut cx, Call::ReplyByCast, limit).await;
        assert!(matches!(result, Err(CallError::Timeout)), "{result:?}");
        // The reply comes now, too late: the next call must not take it for its own.
        server.cast(&cx, Cast::Answer).unwrap();
        assert_eq!(log(&mut cx, &server).await, ["init"]);
        assert!(
            cx.receive_timeout(Duration::ZERO).await.is_none(),
            "nor does it turn up here"
        );
    });
}

#[test]
fn a_response_can_be_waited_for_in_any_order() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let first = server.send_request(&cx, Call::Never).unwrap();
        let second = server.send_request(&cx, Call::Log).unwrap();
        assert_eq!(
            second.receive_response(&mut cx, LIMIT).await.unwrap(),
            ["init"]
        );
        server.cast(&cx, Cast::Stop(reason("gone"))).unwrap();
        assert!(is_exit(
            first.receive_response(&mut cx, LIMIT).await,
            &reason("gone")
        ));
    });
}

#[test]
fn a_server_that_calls_itself_is_told() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let answer = server.call(&mut cx, Call::Itself).await.unwrap();
        assert!(answer[0].contains("called itself"), "{answer:?}");
    });
}

#[test]
fn call_with_huge_message_queue() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let me = cx.pid();
        for n in 0..100_000u32 {
            cx.send(me, &n).unwrap();
        }
        for _ in 0..100 {
            assert_eq!(log(&mut cx, &server).await, ["init"]);
        }
        // And the queue is as it was.
        assert_eq!(cx.receive().await.decode::<u32>().unwrap(), 0);
        assert_eq!(cx.message_queue_len(), 99_999);
    });
}

#[test]
fn reply_that_is_no_term_ends_the_server() {
    run(async |mut cx: Context| {
        let server = NativeReply::start(&mut cx, ()).await.unwrap();
        let error = server.call(&mut cx, ()).await.unwrap_err();
        assert!(error.to_string().contains("bad_reply"), "{error}");
    });
}

/// A server whose reply serialises for nobody.
struct NativeReply;

#[derive(Debug, Deserialize)]
struct NoTerm;

impl Serialize for NoTerm {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never a term"))
    }
}

impl GenServer for NativeReply {
    type Args = ();
    type Call = ();
    type Reply = NoTerm;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(NativeReply)
    }

    async fn handle_call(&mut self, _: (), _from: From<NoTerm>, _cx: &mut Context) -> Reply<Self> {
        Reply::new(NoTerm)
    }
}
