//! What the cases do with the machine of the suite.

use std::time::Duration;

use otp_stdlib::StartError;
use otp_stdlib::gen_statem::{GenStatem, StatemRef};
use otp_vm::{CallError, Context, ExitReason, Message, Pid, Ref, Timeout};

use super::stage::{SECOND, ms};
use super::suite::{Answer, Args, Call, Cast, Mode, Name, Suite, Told};

pub type Machine = StatemRef<Suite>;

pub async fn start(cx: &mut Context, mode: Mode, args: Args) -> Machine {
    Suite::start(cx, (mode, args)).await.expect("it starts")
}

pub async fn start_link(cx: &mut Context, mode: Mode, args: Args) -> Machine {
    Suite::start_link(cx, (mode, args))
        .await
        .expect("it starts")
}

pub async fn call(cx: &mut Context, machine: &Machine, request: Call) -> Answer {
    machine.call(cx, request).await.expect("an answer")
}

pub async fn told(cx: &mut Context) -> Told {
    let told = cx.receive_where(SECOND * 5, |message| message.decode().ok());
    told.await.expect("the machine tells something")
}

pub async fn stop_it(cx: &mut Context, machine: &Machine) {
    assert_eq!(call(cx, machine, Call::Stop).await, Answer::Stopped);
    check_stopped(cx, machine).await;
}

pub async fn check_stopped(cx: &mut Context, machine: &Machine) {
    let gone = machine.call(cx, Call::Hej).await;
    assert!(matches!(gone, Err(CallError::Exit(_))), "{gone:?}");
}

pub fn is_noproc<T: std::fmt::Debug>(result: Result<T, CallError>) {
    let Err(CallError::Exit(reason)) = &result else {
        panic!("somebody is there: {result:?}");
    };
    assert_eq!(*reason, ExitReason::noproc());
}

pub fn already_started<T: std::fmt::Debug>(result: Result<T, StartError>, pid: Pid) {
    assert_eq!(result.unwrap_err(), StartError::AlreadyStarted(pid));
}

/// Fails if anything is in the mailbox, or comes.
pub async fn verify_empty_msgq(cx: &mut Context) {
    let message: Option<Message> = cx.receive_timeout(ms(500)).await;
    assert!(message.is_none(), "nothing was to come: {message:?}");
}

/// The `EXIT` of a linked process.
pub async fn exit_of(cx: &mut Context, pid: Pid) -> ExitReason {
    let exit = cx.receive_where(SECOND * 5, |message| {
        message.exit().filter(|exit| exit.from == pid)
    });
    exit.await.expect("an EXIT").reason
}

/// The `DOWN` of a monitor.
pub async fn down_of(cx: &mut Context, monitor: Ref) -> ExitReason {
    let down = cx.await_down_timeout(monitor, SECOND * 5).await;
    down.expect("a DOWN").reason
}

async fn check_state(cx: &mut Context, machine: &Machine, name: Name) {
    match call(cx, machine, Call::Get).await {
        Answer::State(state, _) => assert_eq!(state, name),
        other => panic!("the state: {other:?}"),
    }
}

/// By casts and requests.
pub async fn do_func_test(cx: &mut Context, machine: &Machine) {
    let me = cx.pid();
    let alive = || Cast::Alive(me);
    machine.cast(cx, alive()).unwrap();
    assert_eq!(told(cx).await, Told::Yes);
    check_state(cx, machine, Name::Idle).await;
    machine.cast(cx, Cast::Connect(me)).unwrap();
    assert_eq!(told(cx).await, Told::Accept);
    check_state(cx, machine, Name::WforConf).await;
    let tag = cx.make_ref();
    machine.cast(cx, Cast::Ping(me, tag)).unwrap();
    machine.cast(cx, Cast::Confirm).unwrap();
    assert_eq!(told(cx).await, Told::Pong(tag));
    check_state(cx, machine, Name::Connected).await;
    machine.cast(cx, alive()).unwrap();
    assert_eq!(told(cx).await, Told::Yes);
    for _ in 0..3 {
        check_state(cx, machine, Name::Connected).await;
        let msg = cx.make_ref();
        machine.cast(cx, Cast::Msg(me, msg)).unwrap();
        assert_eq!(told(cx).await, Told::Ack(msg));
    }
    machine.cast(cx, alive()).unwrap();
    assert_eq!(told(cx).await, Told::Yes);
    machine.cast(cx, Cast::Disconnect).unwrap();
    check_state(cx, machine, Name::Idle).await;
    machine.cast(cx, alive()).unwrap();
    // It is not there yet: the machine has something else to do first.
    let slow = machine.send_request(cx, Call::DelayedAnswer(1)).unwrap();
    let first = machine.send_request(cx, Call::Alive).unwrap();
    let early = first.wait_response(cx, Duration::ZERO).await;
    assert!(matches!(early, Err(CallError::Timeout)), "{early:?}");
    assert_eq!(told(cx).await, Told::Yes);
    let answer = slow.wait_response(cx, Timeout::Infinity).await;
    assert_eq!(answer.unwrap(), Answer::Delayed);
    let answer = first.wait_response(cx, Timeout::Infinity).await;
    assert_eq!(answer.unwrap(), Answer::Yes);
    let second = machine.send_request(cx, Call::Alive).unwrap();
    let message = cx.receive().await;
    let message = first.check_response(message).unwrap_err();
    let answer = second.check_response(message).expect("it is the response");
    assert_eq!(answer.unwrap(), Answer::Yes);
}

/// By calls.
pub async fn do_sync_func_test(cx: &mut Context, machine: &Machine) {
    assert_eq!(call(cx, machine, Call::Alive).await, Answer::Yes);
    check_state(cx, machine, Name::Idle).await;
    assert_eq!(call(cx, machine, Call::Connect).await, Answer::Accept);
    check_state(cx, machine, Name::WforConf).await;
    let tag = cx.make_ref();
    machine.cast(cx, Cast::Ping(cx.pid(), tag)).unwrap();
    assert_eq!(call(cx, machine, Call::Confirm).await, Answer::Yes);
    assert_eq!(told(cx).await, Told::Pong(tag));
    check_state(cx, machine, Name::Connected).await;
    assert_eq!(call(cx, machine, Call::Alive).await, Answer::Yes);
    for _ in 0..3 {
        check_state(cx, machine, Name::Connected).await;
        let msg = cx.make_ref();
        assert_eq!(call(cx, machine, Call::Msg(msg)).await, Answer::Ack(msg));
    }
    assert_eq!(call(cx, machine, Call::Alive).await, Answer::Yes);
    assert_eq!(call(cx, machine, Call::Disconnect).await, Answer::Yes);
    check_state(cx, machine, Name::Idle).await;
    assert_eq!(call(cx, machine, Call::Alive).await, Answer::Yes);
    assert_eq!(call(cx, machine, Call::Timeout(200)).await, Answer::Ok);
    assert_eq!(call(cx, machine, Call::Alive).await, Answer::Yes);
    check_state(cx, machine, Name::Idle).await;
}
