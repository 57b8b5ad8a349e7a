//! Requests that are sent, and their responses in collections.

use otp_stdlib::gen_statem::{DuplicateRequest, From, RequestIds, Response, ResponseTimeout};
use otp_vm::{CallError, Context, ExitReason, Ref, Timeout};

use super::deeds::{Machine, call, check_stopped, start};
use super::stage::{ms, simulated};
use super::suite::{Answer, Args, Call, MODES};

type Ids = RequestIds<&'static str, Answer>;

/// The label of the request that was answered with `delayed`.
fn delayed(response: Response<&'static str, Answer>) -> &'static str {
    match response {
        Response::Came(Ok(Answer::Delayed), label) => label,
        other => panic!("a delayed answer: {other:?}"),
    }
}

/// That it was not there.
fn nobody(response: Response<&'static str, Answer>) -> &'static str {
    match response {
        Response::Came(Err(CallError::Exit(reason)), label) => {
            assert_eq!(reason, ExitReason::noproc());
            label
        }
        other => panic!("nobody: {other:?}"),
    }
}

/// How a case comes by responses.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Receive,
    Wait,
    Check,
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
            Self::Check => {
                let message = cx.receive().await;
                ids.check_response(message, delete).expect("a response")
            }
        }
    }
}

fn send(ids: &mut Ids, cx: &Context, machine: &Machine, after: u64, label: &'static str) {
    let sent = machine.send_request(cx, Call::DelayedAnswer(after));
    ids.add(sent.unwrap(), label).unwrap();
}

async fn collected(cx: &mut Context, machines: &[Machine; 3], by: By) {
    let alone = machines[0].send_request(cx, Call::Alive).unwrap();
    // Its answer is the first that is there.
    cx.sleep(ms(100)).await;
    let mut ids = Ids::new();
    for (at, (after, label)) in [(400, "req1"), (1, "req2"), (200, "req3")]
        .into_iter()
        .enumerate()
    {
        send(&mut ids, cx, &machines[at], after, label);
        assert_eq!(ids.size(), at + 1);
    }
    let first = match by {
        By::Check => {
            let message = cx.receive().await;
            Some(ids.check_response(message, true).expect_err("another's"))
        }
        _ => None,
    };
    let infinity = Timeout::Infinity;
    assert_eq!(delayed(by.next(&mut ids, cx, infinity, true).await), "req2");
    assert_eq!(ids.size(), 2);
    assert_eq!(delayed(by.next(&mut ids, cx, ms(5678), true).await), "req3");
    assert_eq!(ids.size(), 1);
    assert_eq!(delayed(by.next(&mut ids, cx, ms(5000), true).await), "req1");
    assert_eq!(ids.size(), 0);
    match first {
        Some(message) => {
            // An empty collection does not look at it.
            cx.send(cx.pid(), "any").unwrap();
            let any = cx.receive().await;
            let none = ids.check_response(any, true).unwrap();
            assert!(matches!(none, Response::NoRequest), "{none:?}");
            let answer = alone.check_response(message).expect("the response");
            assert_eq!(answer.unwrap(), Answer::Yes);
        }
        None => {
            let none = by.next(&mut ids, cx, ms(5000), true).await;
            assert!(matches!(none, Response::NoRequest), "{none:?}");
            let answer = alone.receive_response(cx, infinity).await;
            assert_eq!(answer.unwrap(), Answer::Yes);
        }
    }
}

async fn timed_out(cx: &mut Context, machines: &[Machine; 3], by: By) {
    let alone = machines[0].send_request(cx, Call::Alive).unwrap();
    let mut ids = Ids::new();
    send(&mut ids, cx, &machines[0], 1000, "req1");
    send(&mut ids, cx, &machines[1], 1, "req2");
    send(&mut ids, cx, &machines[2], 500, "req3");
    let mut left = ids.to_list();
    left.retain(|(_, label)| *label != "req2");
    let at = ResponseTimeout::At;
    let deadline = cx.monotonic_time() + 100_000_000;
    assert_eq!(
        delayed(by.next(&mut ids, cx, at(deadline), true).await),
        "req2"
    );
    assert_eq!(ids.size(), 2);
    let over = by.next(&mut ids, cx, at(deadline), true).await;
    assert!(matches!(over, Response::Timeout), "{over:?}");
    let mut listed = ids.to_list();
    listed.sort_by_key(|(_, label)| *label);
    left.sort_by_key(|(_, label)| *label);
    assert_eq!(listed, left);
    let second = 1_000_000_000;
    if by == By::Receive {
        // They were abandoned.
        let over = by.next(&mut ids, cx, at(deadline + second), true).await;
        assert!(matches!(over, Response::Timeout), "{over:?}");
    } else {
        // They were not.
        let until = at(deadline + second * 3 / 2);
        assert_eq!(delayed(by.next(&mut ids, cx, until, false).await), "req3");
        assert_eq!(delayed(by.next(&mut ids, cx, until, false).await), "req1");
    }
    let answer = alone.receive_response(cx, Timeout::Infinity).await;
    assert_eq!(answer.unwrap(), Answer::Yes);
}

async fn failed(cx: &mut Context, machines: &[Machine; 3], by: By) {
    let alone = machines[0].send_request(cx, Call::Alive).unwrap();
    cx.sleep(ms(100)).await;
    let mut ids = Ids::new();
    let first = machines[0].send_request(cx, Call::DelayedAnswer(400));
    let first = first.unwrap();
    ids.add(first, "req1").unwrap();
    assert_eq!(ids.add(first, "req2"), Err(DuplicateRequest));
    let pid = machines[1].pid().unwrap();
    cx.unlink(pid);
    cx.exit_process(pid, ExitReason::kill());
    assert!(!cx.is_alive(pid).await);
    send(&mut ids, cx, &machines[1], 1, "req2");
    send(&mut ids, cx, &machines[2], 200, "req3");
    assert_eq!(ids.size(), 3);
    let other = match by {
        By::Check => {
            let message = cx.receive().await;
            Some(ids.check_response(message, true).expect_err("another's"))
        }
        _ => None,
    };
    assert_eq!(nobody(by.next(&mut ids, cx, ms(2000), true).await), "req2");
    assert_eq!(ids.size(), 2);
    // Without `delete` they stay.
    let infinity = Timeout::Infinity;
    assert_eq!(
        delayed(by.next(&mut ids, cx, infinity, false).await),
        "req3"
    );
    assert_eq!(
        delayed(by.next(&mut ids, cx, infinity, false).await),
        "req1"
    );
    assert_eq!(ids.size(), 2);
    let answer = match other {
        Some(message) => alone.check_response(message).expect("the response"),
        None => alone.receive_response(cx, infinity).await,
    };
    assert_eq!(answer.unwrap(), Answer::Yes);
}

async fn all(cx: &mut Context, by: By) {
    let mut machines = Vec::new();
    for _ in 0..3 {
        machines.push(start(cx, MODES[0], Args::Ok).await);
    }
    let machines = machines.try_into().expect("three");
    collected(cx, &machines, by).await;
    if by != By::Check {
        timed_out(cx, &machines, by).await;
    }
    failed(cx, &machines, by).await;
    for at in [0, 2] {
        let stop = Call::StopWith(ExitReason::shutdown());
        assert_eq!(call(cx, &machines[at], stop).await, Answer::Stopped);
    }
    for machine in &machines {
        check_stopped(cx, machine).await;
    }
}

#[test]
fn send_request_receive_reqid_collection() {
    simulated(async |mut cx: Context| all(&mut cx, By::Receive).await);
}

#[test]
fn send_request_wait_reqid_collection() {
    simulated(async |mut cx: Context| all(&mut cx, By::Wait).await);
}

#[test]
fn send_request_check_reqid_collection() {
    simulated(async |mut cx: Context| all(&mut cx, By::Check).await);
}

#[test]
fn reply_by_alias_with_payload() {
    // By an alias made by hand; a tag is a reference here, with no room for a payload.
    simulated(async |mut cx: Context| {
        let alias = cx.alias();
        let term = otp_vm::to_term(&(cx.pid(), alias)).unwrap();
        let from: From<Ref> = otp_vm::from_term(term.root()).unwrap();
        let reply = cx.make_ref();
        cx.spawn_link(async move |cx: Context| from.reply(&cx, &reply).unwrap())
            .unwrap();
        let got: (Ref, Ref) = cx.receive().await.decode().unwrap();
        assert_eq!(got, (alias, reply));
    });
}
