//! Requests that are sent, and their responses: one by one and in collections.

use otp_stdlib::gen_server::{DuplicateRequest, RequestIds, Response, ResponseTimeout};
use otp_vm::AliasMode;

use super::names::DummyVia;
use super::suite::{Answer, Args, Call, Suite, atom, is, ms, nothing, simulated, suite};
use super::*;

type Ids = RequestIds<&'static str, Answer>;

fn ended_by(result: &Result<Answer, CallError>, reason: &str) -> bool {
    matches!(result, Err(CallError::Exit(got)) if is(got, reason))
}

/// The label of the request that was answered with `delayed`.
fn delayed(response: Response<&'static str, Answer>) -> &'static str {
    match response {
        Response::Came(Ok(Answer::Delayed), label) => label,
        other => panic!("a delayed answer: {other:?}"),
    }
}

#[test]
fn send_request() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let server = Suite::start_link(&mut cx, Args::Ok)
            .name("my_test_name")
            .await
            .unwrap();
        let named = ServerRef::<Suite>::from_name("my_test_name").unwrap();
        let infinity = Timeout::Infinity;
        let sent = named.send_request(&cx, Call::StartedP).unwrap();
        assert_eq!(
            sent.wait_response(&mut cx, infinity).await.unwrap(),
            Answer::Ok
        );
        let sent = server.send_request(&cx, Call::DelayedAnswer(1)).unwrap();
        assert_eq!(
            sent.wait_response(&mut cx, infinity).await.unwrap(),
            Answer::Delayed
        );

        // Two requests within a specified time.
        let first = named.send_request(&cx, Call::CallWithin(1000)).unwrap();
        let second = named.send_request(&cx, Call::NextCall).unwrap();
        assert_eq!(
            first.wait_response(&mut cx, infinity).await.unwrap(),
            Answer::Ok
        );
        assert_eq!(
            second.wait_response(&mut cx, infinity).await.unwrap(),
            Answer::Ok
        );

        // By looking at messages.
        let third = named.send_request(&cx, Call::CallWithin(1000)).unwrap();
        cx.send(cx.pid(), &("foo", "bar")).unwrap();
        let is_other = |message: &otp_vm::Message| message.decode::<(String, String)>().is_ok();
        let other = cx
            .receive_matching(Timeout::Infinity, is_other)
            .await
            .unwrap();
        let other = third.check_response(other).unwrap_err();
        assert_eq!(other.decode::<(String, String)>().unwrap().0, "foo");
        let response = cx.receive().await;
        let tagged: (Ref, Answer) = response.decode().unwrap();
        assert_eq!(tagged, (third.reference(), Answer::Ok));
        assert_eq!(third.check_response(response).unwrap().unwrap(), Answer::Ok);
        cx.sleep(ms(1500)).await;
        let late = named.send_request(&cx, Call::NextCall).unwrap();
        assert_eq!(
            late.wait_response(&mut cx, infinity).await.unwrap(),
            Answer::False
        );

        // A time that is over: one can wait again.
        let slow = named.send_request(&cx, Call::DelayedAnswer(50)).unwrap();
        let early = slow.wait_response(&mut cx, Duration::ZERO).await;
        assert!(matches!(early, Err(CallError::Timeout)), "{early:?}");
        assert_eq!(
            slow.wait_response(&mut cx, infinity).await.unwrap(),
            Answer::Delayed
        );

        // The server ends, and is gone: the response says so.
        let pid = server.pid().unwrap();
        let last = named.send_request(&cx, Call::Crash).unwrap();
        assert!(ended_by(
            &last.wait_response(&mut cx, infinity).await,
            "crashed"
        ));
        assert!(is(&exit_of(&mut cx, pid).await, "crashed"));
        for nobody in [server, named] {
            let sent = nobody.send_request(&cx, Call::StartedP).unwrap();
            assert!(ended_by(
                &sent.wait_response(&mut cx, infinity).await,
                "noproc"
            ));
        }
        let elsewhere = ServerRef::<Suite>::from_name_at("my_test_name", atom("foo@node")).unwrap();
        let sent = elsewhere.send_request(&cx, Call::StartedP).unwrap();
        assert!(ended_by(
            &sent.wait_response(&mut cx, infinity).await,
            "noconnection"
        ));
        let via = ServerRef::<Suite>::via(&DummyVia::default(), "non_existing").unwrap();
        let sent = via.send_request(&cx, Call::StartedP).unwrap();
        assert!(ended_by(
            &sent.wait_response(&mut cx, infinity).await,
            "noproc"
        ));
        nothing(&mut cx).await;
    });
}

#[test]
fn a_server_sends_a_request_to_itself() {
    simulated(async |mut cx: Context| {
        let me = ServerRef::<Suite>::from_pid(cx.pid());
        let sent = me.send_request(&cx, Call::StartedP).unwrap();
        let message = cx.receive().await;
        let otp_vm::MessageKind::Call { from, .. } = message.kind() else {
            panic!("a call: {message}")
        };
        From::<Answer>::from(from)
            .reply(&cx, &Answer::True)
            .unwrap();
        let response = sent.wait_response(&mut cx, LIMIT).await;
        assert_eq!(response.unwrap(), Answer::True);
        // For one reply: the second is dropped.
        From::<Answer>::from(from)
            .reply(&cx, &Answer::True)
            .unwrap();
        nothing(&mut cx).await;
    });
}

#[test]
fn only_who_sent_a_request_can_wait_by_it() {
    simulated(async |mut cx: Context| {
        let server = suite(&mut cx).await;
        let sent = server.send_request(&cx, Call::StartedP).unwrap();
        let (_, monitor) = cx
            .spawn_monitor(async move |mut cx: Context| {
                let response = sent.receive_response(&mut cx, LIMIT).await;
                assert!(ended_by(&response, "noproc"), "{response:?}");
            })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        let response = sent.receive_response(&mut cx, LIMIT).await;
        assert_eq!(response.unwrap(), Answer::Ok);
    });
}

async fn three(cx: &mut Context) -> [ServerRef<Suite>; 3] {
    let mut servers = Vec::new();
    for name in ["my_test_name1", "my_test_name2", "my_test_name3"] {
        servers.push(Suite::start_link(cx, Args::Ok).name(name).await.unwrap());
    }
    servers.try_into().expect("three")
}

async fn killed(cx: &mut Context, servers: [ServerRef<Suite>; 3]) {
    for server in servers {
        let pid = server.pid().unwrap();
        cx.unlink(pid);
        cx.exit_process(pid, ExitReason::kill());
        assert!(!cx.is_alive(pid).await);
    }
}

/// How a case comes by responses.
#[derive(Clone, Copy)]
enum By {
    Receive,
    Wait,
}

impl By {
    async fn next(
        self,
        ids: &mut Ids,
        cx: &mut Context,
        after: impl Into<ResponseTimeout>,
        delete: bool,
    ) -> Response<&'static str, Answer> {
        match self {
            Self::Receive => ids.receive_response(cx, after, delete).await,
            Self::Wait => ids.wait_response(cx, after, delete).await,
        }
    }
}

async fn collected(cx: &mut Context, servers: &[ServerRef<Suite>; 3], by: By) {
    let alone = servers[0].send_request(cx, Call::StartedP).unwrap();
    let mut ids = Ids::new();
    for (at, (after, label)) in [(400, "req1"), (1, "req2"), (200, "req3")]
        .into_iter()
        .enumerate()
    {
        let sent = servers[at]
            .send_request(cx, Call::DelayedAnswer(after))
            .unwrap();
        ids.add(sent, label).unwrap();
        assert_eq!(ids.size(), at + 1);
    }
    assert_eq!(
        delayed(by.next(&mut ids, cx, Timeout::Infinity, true).await),
        "req2"
    );
    assert_eq!(ids.size(), 2);
    assert_eq!(delayed(by.next(&mut ids, cx, ms(5678), true).await), "req3");
    assert_eq!(ids.size(), 1);
    assert_eq!(delayed(by.next(&mut ids, cx, ms(5000), true).await), "req1");
    assert_eq!(ids.size(), 0);
    let none = by.next(&mut ids, cx, ms(5000), true).await;
    assert!(matches!(none, Response::NoRequest), "{none:?}");
    assert_eq!(
        alone.receive_response(cx, Timeout::Infinity).await.unwrap(),
        Answer::Ok
    );
}

async fn timed_out(cx: &mut Context, servers: &[ServerRef<Suite>; 3], by: By) {
    let alone = servers[0].send_request(cx, Call::StartedP).unwrap();
    let mut ids = Ids::new();
    for (server, after, label) in [(0, 1000, "req1"), (1, 1, "req2"), (2, 500, "req3")] {
        let sent = servers[server]
            .send_request(cx, Call::DelayedAnswer(after))
            .unwrap();
        ids.add(sent, label).unwrap();
    }
    let mut left = ids.to_list();
    left.retain(|(_, label)| *label != "req2");
    let deadline = cx.monotonic_time() + 100_000_000;
    let second = 1_000_000_000;
    let at = ResponseTimeout::At;
    assert_eq!(
        delayed(by.next(&mut ids, cx, at(deadline), true).await),
        "req2"
    );
    assert_eq!(ids.size(), 2);
    let over = by.next(&mut ids, cx, at(deadline), true).await;
    assert!(matches!(over, Response::Timeout), "{over:?}");
    let mut listed = ids.to_list();
    let by_label = |a: &(_, &str), b: &(_, &str)| a.1.cmp(b.1);
    left.sort_by(by_label);
    listed.sort_by(by_label);
    assert_eq!(listed, left);
    match by {
        // They were abandoned.
        By::Receive => {
            let over = by.next(&mut ids, cx, at(deadline + second), true).await;
            assert!(matches!(over, Response::Timeout), "{over:?}");
        }
        // They were not.
        By::Wait => {
            let until = at(deadline + second * 3 / 2);
            assert_eq!(delayed(by.next(&mut ids, cx, until, false).await), "req3");
            assert_eq!(delayed(by.next(&mut ids, cx, until, false).await), "req1");
        }
    }
    assert_eq!(
        alone.receive_response(cx, Timeout::Infinity).await.unwrap(),
        Answer::Ok
    );
    nothing(cx).await;
}

async fn failed(cx: &mut Context, servers: &[ServerRef<Suite>; 3], by: By) {
    let alone = servers[0].send_request(cx, Call::StartedP).unwrap();
    let mut ids = Ids::new();
    let first = servers[0]
        .send_request(cx, Call::DelayedAnswer(400))
        .unwrap();
    ids.add(first, "req1").unwrap();
    assert_eq!(ids.add(first, "req2"), Err(DuplicateRequest));
    cx.unlink(servers[1].pid().unwrap());
    ids.add(
        servers[1].send_request(cx, Call::StopShutdown).unwrap(),
        "req2",
    )
    .unwrap();
    ids.add(
        servers[2]
            .send_request(cx, Call::DelayedAnswer(200))
            .unwrap(),
        "req3",
    )
    .unwrap();
    assert_eq!(ids.size(), 3);
    match by.next(&mut ids, cx, ms(2000), true).await {
        Response::Came(result, "req2") => assert!(ended_by(&result, "shutdown"), "{result:?}"),
        other => panic!("the end of the second: {other:?}"),
    }
    assert_eq!(ids.size(), 2);
    // Without `delete` they stay.
    assert_eq!(
        delayed(by.next(&mut ids, cx, Timeout::Infinity, false).await),
        "req3"
    );
    assert_eq!(
        delayed(by.next(&mut ids, cx, Timeout::Infinity, false).await),
        "req1"
    );
    assert_eq!(ids.size(), 2);
    assert_eq!(
        alone.receive_response(cx, Timeout::Infinity).await.unwrap(),
        Answer::Ok
    );
}

#[test]
fn send_request_receive_reqid_collection() {
    simulated(async |mut cx: Context| {
        let servers = three(&mut cx).await;
        collected(&mut cx, &servers, By::Receive).await;
        timed_out(&mut cx, &servers, By::Receive).await;
        failed(&mut cx, &servers, By::Receive).await;
        killed(&mut cx, servers).await;
    });
}

#[test]
fn send_request_wait_reqid_collection() {
    simulated(async |mut cx: Context| {
        let servers = three(&mut cx).await;
        collected(&mut cx, &servers, By::Wait).await;
        timed_out(&mut cx, &servers, By::Wait).await;
        failed(&mut cx, &servers, By::Wait).await;
        killed(&mut cx, servers).await;
    });
}

#[test]
fn send_request_check_reqid_collection() {
    simulated(async |mut cx: Context| {
        let servers = three(&mut cx).await;
        for fails in [false, true] {
            let alone = servers[0].send_request(&cx, Call::StartedP).unwrap();
            cx.sleep(ms(100)).await;
            let mut ids = Ids::new();
            if fails {
                cx.unlink(servers[1].pid().unwrap());
            }
            let second = match fails {
                true => Call::StopShutdown,
                false => Call::DelayedAnswer(1),
            };
            let calls = [Call::DelayedAnswer(400), second, Call::DelayedAnswer(200)];
            for ((server, call), label) in servers.iter().zip(calls).zip(["req1", "req2", "req3"]) {
                ids.add(server.send_request(&cx, call).unwrap(), label)
                    .unwrap();
            }
            assert_eq!(ids.size(), 3);
            // The response to the one that is not in the collection.
            let message = cx.receive().await;
            let message = ids.check_response(message, true).unwrap_err();
            match (ids.check_response(cx.receive().await, true).unwrap(), fails) {
                (Response::Came(Ok(Answer::Delayed), "req2"), false) => {}
                (Response::Came(result, "req2"), true) => assert!(ended_by(&result, "shutdown")),
                other => panic!("the second: {other:?}"),
            }
            assert_eq!(ids.size(), 2);
            let delete = !fails;
            for (label, size) in [("req3", 1), ("req1", 0)] {
                let response = ids.check_response(cx.receive().await, delete).unwrap();
                assert_eq!(delayed(response), label);
                assert_eq!(ids.size(), if delete { size } else { 2 });
            }
            if delete {
                cx.send(cx.pid(), "any").unwrap();
                let any = cx.receive().await;
                let none = ids.check_response(any, true).unwrap();
                assert!(matches!(none, Response::NoRequest), "{none:?}");
            }
            assert_eq!(alone.check_response(message).unwrap().unwrap(), Answer::Ok);
        }
        killed(&mut cx, servers).await;
    });
}

#[test]
fn reply_by_alias_with_payload() {
    // By an alias made by hand; a tag is a reference here, with no room for a payload.
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let alias = cx.alias();
        let from: From<Ref> =
            otp_vm::from_term(otp_vm::to_term(&(me, alias)).unwrap().root()).unwrap();
        let reply = cx.make_ref();
        cx.spawn_link(async move |cx: Context| from.reply(&cx, &reply).unwrap())
            .unwrap();
        let got: (Ref, Ref) = cx.receive().await.decode().unwrap();
        assert_eq!(got, (alias, reply));
        // Untyped.
        let options = otp_vm::MonitorOptions::new().alias(AliasMode::ReplyDemonitor);
        let other = cx
            .spawn(async |mut cx: Context| common::for_ever(&mut cx).await)
            .unwrap();
        let alias = cx.monitor_opt(other, options);
        let from: From<Ref> =
            otp_vm::from_term(otp_vm::to_term(&(me, alias)).unwrap().root()).unwrap();
        cx.spawn_link(async move |cx: Context| cx.reply(&from.reply_to(), &7).unwrap())
            .unwrap();
        let got: (Ref, u32) = cx.receive().await.decode().unwrap();
        assert_eq!(got, (alias, 7));
    });
}
