//! Requests that are sent to handlers, and their responses in collections.

use otp_stdlib::gen_event::{DuplicateRequest, Handler, RequestIds, Response, ResponseTimeout};
use otp_vm::CallError;

use super::dummies::{Call, OcEvent, Reply};
use super::*;

type Answered = Result<Reply, HandlerError>;
type Ids = RequestIds<&'static str, Answered>;
type Came = Response<&'static str, Answered>;

fn delayed(response: Came) -> &'static str {
    match response {
        Response::Came(Ok(Ok(Reply::Delayed)), label) => label,
        other => panic!("a delayed answer: {other:?}"),
    }
}

fn is_noproc(response: &Came, of: &str) -> bool {
    matches!(response, Response::Came(Err(CallError::Exit(reason)), label)
        if *label == of && *reason == ExitReason::noproc())
}

fn is_bad_module(response: &Came, of: &str) -> bool {
    matches!(response, Response::Came(Ok(Err(HandlerError::BadModule)), label) if *label == of)
}

async fn three(cx: &mut Context) -> [Manager; 3] {
    let mut managers = Vec::new();
    for _ in 0..3 {
        let manager = EventManager::<Event>::start(cx).await.unwrap();
        add(cx, &manager).await;
        assert_eq!(which(cx, &manager).await, ["dummy_h"]);
        managers.push(manager);
    }
    managers.try_into().expect("three")
}

async fn stopped(cx: &mut Context, [first, second, third]: [Manager; 3]) {
    stop(cx, &first).await;
    let gone = second
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    assert_eq!(gone, Err(StopError::Exit(ExitReason::noproc())));
    stop(cx, &third).await;
    nothing(cx).await;
}

fn send(cx: &Context, manager: &Manager, after: u64) -> otp_stdlib::gen_event::RequestId<Answered> {
    let sent = manager.send_request(cx, &dummy(), Call::DelayedAnswer(after));
    sent.expect("a request")
}

fn hejsan(cx: &Context, manager: &Manager) -> otp_stdlib::gen_event::RequestId<Answered> {
    let sent = manager.send_request(cx, &dummy(), Call::Hejsan);
    sent.expect("a request")
}

async fn hejhopp(cx: &mut Context, sent: otp_stdlib::gen_event::RequestId<Answered>) {
    let response = sent.receive_response(cx, Timeout::Infinity).await;
    assert_eq!(response.unwrap(), Ok(Reply::Hejhopp));
}

/// Requests to the three, in the order of the managers.
fn sent(cx: &Context, managers: &[Manager; 3], after: [u64; 3]) -> Ids {
    let mut ids = Ids::new();
    let labels = ["req1", "req2", "req3"];
    for (at, manager) in managers.iter().enumerate() {
        ids.add(send(cx, manager, after[at]), labels[at]).unwrap();
        assert_eq!(ids.size(), at + 1);
    }
    ids
}

/// Requests of which one is to a manager that is killed, and one to a handler that is not there.
async fn sent_to_nobody(cx: &mut Context, managers: &[Manager; 3]) -> Ids {
    let mut ids = Ids::new();
    let first = send(cx, &managers[0], 400);
    ids.add(first, "req1").unwrap();
    assert_eq!(ids.add(first, "req2"), Err(DuplicateRequest));
    let second = managers[1].pid().unwrap();
    cx.exit_process(second, ExitReason::kill());
    assert!(!cx.is_alive(second).await);
    ids.add(send(cx, &managers[1], 1), "req2").unwrap();
    ids.add(send(cx, &managers[2], 200), "req3").unwrap();
    let bad = Handler::<OcEvent>::new();
    let bad = managers[0].send_request(cx, &bad, Call::Hejsan).unwrap();
    ids.add(bad, "req4").unwrap();
    assert_eq!(ids.size(), 4);
    ids
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
    ) -> Came {
        match self {
            Self::Receive => ids.receive_response(cx, after, delete).await,
            Self::Wait => ids.wait_response(cx, after, delete).await,
        }
    }
}

async fn collected(cx: &mut Context, managers: &[Manager; 3], by: By) {
    let alone = hejsan(cx, &managers[0]);
    let mut ids = sent(cx, managers, [400, 1, 200]);
    for (label, left) in [("req2", 2), ("req3", 1), ("req1", 0)] {
        let response = by.next(&mut ids, cx, ms(5678), true).await;
        assert_eq!(delayed(response), label);
        assert_eq!(ids.size(), left);
    }
    let none = by.next(&mut ids, cx, ms(5000), true).await;
    assert!(matches!(none, Response::NoRequest), "{none:?}");
    hejhopp(cx, alone).await;
}

async fn timed_out(cx: &mut Context, managers: &[Manager; 3], by: By) {
    let alone = hejsan(cx, &managers[0]);
    let mut ids = sent(cx, managers, [1000, 1, 500]);
    let mut left = ids.to_list();
    left.retain(|(_, label)| *label != "req2");
    let deadline = cx.monotonic_time() + 100_000_000;
    let at = |milliseconds: u64| ResponseTimeout::At(deadline + milliseconds * 1_000_000);
    assert_eq!(delayed(by.next(&mut ids, cx, at(0), true).await), "req2");
    assert_eq!(ids.size(), 2);
    let over = by.next(&mut ids, cx, at(0), true).await;
    assert!(matches!(over, Response::Timeout), "{over:?}");
    let mut listed = ids.to_list();
    let by_label = |a: &(_, &str), b: &(_, &str)| a.1.cmp(b.1);
    left.sort_by(by_label);
    listed.sort_by(by_label);
    assert_eq!(listed, left);
    match by {
        // They were abandoned.
        By::Receive => {
            let over = by.next(&mut ids, cx, at(1000), true).await;
            assert!(matches!(over, Response::Timeout), "{over:?}");
        }
        // They were not.
        By::Wait => {
            assert_eq!(
                delayed(by.next(&mut ids, cx, at(1500), false).await),
                "req3"
            );
            assert_eq!(
                delayed(by.next(&mut ids, cx, at(1500), false).await),
                "req1"
            );
        }
    }
    hejhopp(cx, alone).await;
}

async fn failed(cx: &mut Context, managers: &[Manager; 3], by: By) {
    let alone = hejsan(cx, &managers[0]);
    let mut ids = sent_to_nobody(cx, managers).await;
    let second = by.next(&mut ids, cx, ms(2000), true).await;
    assert!(is_noproc(&second, "req2"), "{second:?}");
    assert_eq!(ids.size(), 3);
    let infinity = Timeout::Infinity;
    // Without `delete` they stay.
    assert_eq!(
        delayed(by.next(&mut ids, cx, infinity, false).await),
        "req3"
    );
    assert_eq!(
        delayed(by.next(&mut ids, cx, infinity, false).await),
        "req1"
    );
    let fourth = by.next(&mut ids, cx, infinity, false).await;
    assert!(is_bad_module(&fourth, "req4"), "{fourth:?}");
    assert_eq!(ids.size(), 3);
    hejhopp(cx, alone).await;
}

async fn in_all(cx: &mut Context, by: By) {
    let managers = three(cx).await;
    collected(cx, &managers, by).await;
    timed_out(cx, &managers, by).await;
    failed(cx, &managers, by).await;
    stopped(cx, managers).await;
}

#[test]
fn send_request_receive_reqid_collection() {
    simulated(async |mut cx: Context| in_all(&mut cx, By::Receive).await);
}

#[test]
fn send_request_wait_reqid_collection() {
    simulated(async |mut cx: Context| in_all(&mut cx, By::Wait).await);
}

#[test]
fn send_request_check_reqid_collection() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let managers = three(cx).await;
        let alone = hejsan(cx, &managers[0]);
        cx.sleep(ms(100)).await;
        let mut ids = sent(cx, &managers, [400, 1, 200]);
        // The response to the one that is not in the collection.
        let other = cx.receive().await;
        let other = ids.check_response(other, true).unwrap_err();
        for (label, left) in [("req2", 2), ("req3", 1), ("req1", 0)] {
            let response = ids.check_response(cx.receive().await, true).unwrap();
            assert_eq!(delayed(response), label);
            assert_eq!(ids.size(), left);
        }
        // A collection of none has no request, whatever the message.
        cx.send(cx.pid(), "any").unwrap();
        let any = cx.receive().await;
        let none = ids.check_response(any, true).unwrap();
        assert!(matches!(none, Response::NoRequest), "{none:?}");
        let response = alone.check_response(other).unwrap();
        assert_eq!(response.unwrap(), Ok(Reply::Hejhopp));

        let alone = hejsan(cx, &managers[0]);
        cx.sleep(ms(100)).await;
        let mut ids = sent_to_nobody(cx, &managers).await;
        let other = cx.receive().await;
        let other = ids.check_response(other, true).unwrap_err();
        let second = ids.check_response(cx.receive().await, true).unwrap();
        assert!(is_noproc(&second, "req2"), "{second:?}");
        assert_eq!(ids.size(), 3);
        for label in ["req3", "req1"] {
            let response = ids.check_response(cx.receive().await, false).unwrap();
            assert_eq!(delayed(response), label);
        }
        let fourth = ids.check_response(cx.receive().await, false).unwrap();
        assert!(is_bad_module(&fourth, "req4"), "{fourth:?}");
        let other = ids.check_response(other, false).unwrap_err();
        let response = alone.check_response(other).unwrap();
        assert_eq!(response.unwrap(), Ok(Reply::Hejhopp));
        stopped(cx, managers).await;
    });
}
