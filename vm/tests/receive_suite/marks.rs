//! Receives by reference, in mailboxes large and small.

use otp_vm::{
    Context, Pid, Priority, ReceiveMark, Ref, SpawnOptions, Term, atoms, receive, term_match,
};

use crate::common::{LIMIT, bounded, down, expect};
use crate::virtual_time::{ms, simulated};

/// Messages that nobody receives.
const WAITING: usize = 500_000;

/// Answers `{Ref, {Pid, Message}}` with `{Ref, Message}`.
async fn echo(mut cx: Context) {
    loop {
        receive!(cx, {
            {tag: Ref, {from: Pid, message: Term}} => cx.send(from, &(tag, message)).unwrap(),
        });
    }
}

/// Answers `{Ref, {Pid, N}}` with N messages `{Ref, 0}`, `{Ref, 1}`, ….
async fn many_replies(mut cx: Context) {
    loop {
        receive!(cx, {
            {tag: Ref, {from: Pid, replies: u32}} => {
                for reply in 0..replies {
                    cx.send(from, &(tag, reply)).unwrap();
                }
            },
        });
    }
}

fn fill(cx: &Context, messages: usize) {
    for _ in 0..messages {
        cx.send(cx.pid(), &atoms::OK).unwrap();
    }
}

/// A call written by hand: a mark, a monitor whose reference is the request's.
struct Request {
    mark: ReceiveMark,
    monitor: Ref,
}

impl Request {
    fn send<M: serde::Serialize>(cx: &Context, server: Pid, message: M) -> Self {
        let mark = cx.receive_mark();
        let monitor = cx.monitor(server);
        cx.send(server, &(monitor, (cx.pid(), message))).unwrap();
        Self { mark, monitor }
    }

    /// The next reply; counts the messages that were looked at.
    async fn reply(&self, cx: &mut Context, looks: &mut u64) -> u32 {
        let monitor = self.monitor;
        let reply = cx.receive_since(&self.mark, LIMIT, |message| {
            *looks += 1;
            let ended = message.down().filter(|down| down.reference == monitor);
            let reply = ended.map(|down| Err(down.reason));
            reply.or_else(|| term_match!(message.term(), {(monitor), reply: u32}).map(Ok))
        });
        reply.await.expect("a reply in time").unwrap()
    }

    fn end(self, cx: &Context) {
        assert!(cx.demonitor(self.monitor));
    }
}

async fn call(cx: &mut Context, server: Pid, message: u32, looks: &mut u64) -> u32 {
    let request = Request::send(cx, server, message);
    let reply = request.reply(cx, looks).await;
    request.end(cx);
    reply
}

/// Compares the looks of `calls` in an empty mailbox with those in a full one, and counts what is left.
async fn costs_the_same<C, F>(cx: Context, calls: C) -> Context
where
    C: Fn(Context) -> F,
    F: Future<Output = (Context, u64)>,
{
    let (cx, empty) = calls(cx).await;
    fill(&cx, WAITING);
    let (mut cx, full) = calls(cx).await;
    assert!(
        full <= 10 * empty,
        "{full} looks, {empty} in an empty mailbox"
    );
    assert_eq!(cx.message_queue_len(), WAITING);
    let mut left = 0;
    while let Some(message) = cx.receive_timeout(ms(0)).await {
        assert_eq!(message.term().as_atom(), Some(atoms::OK));
        left += 1;
    }
    assert_eq!(left, WAITING);
    cx
}

#[test]
fn call_with_huge_message_queue() {
    bounded(2, async |cx: Context| {
        let server = cx.spawn_link(echo).unwrap();
        let cx = costs_the_same(cx, move |mut cx| async move {
            let mut looks = 0;
            for number in 0..10_000 {
                assert_eq!(call(&mut cx, server, number, &mut looks).await, number);
            }
            (cx, looks)
        })
        .await;
        cx.unlink(server);
        cx.exit_process(server, "done");
    });
}

#[test]
fn receive_in_between() {
    bounded(2, async |mut cx: Context| {
        let server = cx.spawn_link(echo).unwrap();
        for number in 0..20_000 {
            cx.send(cx.pid(), &atoms::OK).unwrap();
            let request = Request::send(&cx, server, number);
            receive!(cx, { ok => (), after LIMIT => panic!("the message to itself") });
            assert_eq!(request.reply(&mut cx, &mut 0).await, number);
            request.end(&cx);
        }
        assert_eq!(cx.message_queue_len(), 0);
        cx.unlink(server);
        cx.exit_process(server, "done");
    });
}

#[test]
fn multi_recv_opt() {
    const ROUNDS: usize = 100;
    const REPLIES: u32 = 100;
    bounded(2, async |cx: Context| {
        let server = cx.spawn_link(many_replies).unwrap();
        let cx = costs_the_same(cx, move |mut cx| async move {
            let mut looks = 0;
            for _ in 0..ROUNDS {
                let requests = [(); 3].map(|()| Request::send(&cx, server, REPLIES));
                for request in requests.into_iter().rev() {
                    for reply in 0..REPLIES {
                        assert_eq!(request.reply(&mut cx, &mut looks).await, reply);
                    }
                    request.end(&cx);
                }
            }
            (cx, looks)
        })
        .await;
        cx.unlink(server);
        cx.exit_process(server, "done");
    });
}

#[test]
fn multi_recv_opt_clear() {
    const ROUNDS: usize = 100;
    const REPLIES: u32 = 100;
    bounded(2, async |cx: Context| {
        let server = cx.spawn_link(many_replies).unwrap();
        let cx = costs_the_same(cx, move |mut cx| async move {
            let mut looks = 0;
            for _ in 0..ROUNDS {
                let outer = Request::send(&cx, server, REPLIES);
                for _ in 0..10 {
                    let inner = Request::send(&cx, server, 2);
                    for reply in 0..2 {
                        assert_eq!(inner.reply(&mut cx, &mut looks).await, reply);
                    }
                    inner.end(&cx);
                }
                for reply in 0..REPLIES {
                    assert_eq!(outer.reply(&mut cx, &mut looks).await, reply);
                }
                outer.end(&cx);
            }
            (cx, looks)
        })
        .await;
        cx.unlink(server);
        cx.exit_process(server, "done");
    });
}

/// Without the monitor's alias, which has nothing to do with marks.
#[test]
fn recv_marker_reserve() {
    simulated(async |mut cx: Context| {
        cx.send(cx.pid(), "first").unwrap();
        for _ in 0..1000 {
            let mark = cx.receive_mark();
            let monitor = cx.monitor(cx.pid());
            cx.send(cx.pid(), &monitor).unwrap();
            let mut looks = 0;
            let found = cx.receive_since(&mark, LIMIT, |message| {
                looks += 1;
                (message.term().as_ref() == Some(monitor)).then_some(())
            });
            assert!(found.await.is_some());
            assert_eq!(looks, 1);
            cx.demonitor(monitor);
        }
        assert_eq!(expect::<String>(&mut cx).await, "first");
        assert_eq!(cx.message_queue_len(), 0);
    });
}

/// A shorter flood than OTP's ten seconds: what it guards is that normal exit signals don't pile up, nor end anybody.
#[test]
fn erl_1199() {
    const QUESTIONS: u32 = 50;
    simulated(async |mut cx: Context| {
        let max = SpawnOptions::new().priority(Priority::Max).monitor();
        let server = cx
            .spawn_opt(max, async |mut cx: Context| {
                loop {
                    let (tag, from): (Ref, Pid) = cx.receive().await.decode().unwrap();
                    let flood = |pairs: u64| {
                        for _ in 0..pairs {
                            cx.send(from, "noise").unwrap();
                            cx.exit_process(from, otp_vm::ExitReason::normal());
                        }
                    };
                    flood(100 + cx.random() % 1000);
                    cx.send(from, &(tag, atoms::OK)).unwrap();
                    flood(100 + cx.random() % 1000);
                }
            })
            .unwrap();
        let parent = cx.pid();
        let (client, client_monitor) = cx
            .spawn_monitor(async move |mut cx: Context| {
                for _ in 0..QUESTIONS {
                    let mark = cx.receive_mark();
                    let tag = cx.make_ref();
                    cx.send(server.pid, &(tag, cx.pid())).unwrap();
                    let reply = cx.receive_since(
                        &mark,
                        LIMIT,
                        |message| term_match!(message.term(), {(tag), ok}),
                    );
                    reply.await.expect("a reply");
                    while cx.receive_timeout(ms(0)).await.is_some() {}
                }
                cx.send(parent, "asked").unwrap();
                receive!(cx, { question => cx.send(parent, "answer").unwrap() });
                crate::common::idle(cx).await;
            })
            .unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "asked");
        cx.send(client, &otp_vm::Atom::new("question").unwrap())
            .unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "answer");
        for pid in [client, server.pid] {
            cx.exit_process(pid, otp_vm::ExitReason::kill());
            assert!(!cx.is_alive(pid).await);
        }
        down(&mut cx, client_monitor).await;
        down(&mut cx, server.monitor.unwrap()).await;
    });
}
