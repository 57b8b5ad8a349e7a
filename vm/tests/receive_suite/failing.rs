//! Receives that fail half-way, or that begin within another.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::Poll;

use otp_vm::{Context, Ref, atoms, receive};

use crate::common::{LIMIT, bounded, down, expect};
use crate::virtual_time::{ms, simulated};

/// The future's value, or None if it panicked.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(
        |task| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Some(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

/// A reference received from a mark on, if it is there.
async fn has(cx: &mut Context, mark: &otp_vm::ReceiveMark, tag: Ref) -> bool {
    let found = cx.receive_since(mark, ms(0), |message| {
        (message.term().as_ref() == Some(tag)).then_some(())
    });
    found.await.is_some()
}

#[test]
fn receive_opt_exception() {
    simulated(async |mut cx: Context| {
        let outer_mark = cx.receive_mark();
        let outer = cx.make_ref();
        cx.send(cx.pid(), &outer).unwrap();
        let mut inner = None;
        let aborted = caught(async {
            let mark = cx.receive_mark();
            let tag = cx.make_ref();
            inner = Some(tag);
            cx.send(cx.pid(), &tag).unwrap();
            let panics = cx.receive_since(&mark, ms(0), |_| -> Option<()> { panic!("aborted") });
            panics.await
        });
        assert!(aborted.await.is_none());
        assert!(has(&mut cx, &outer_mark, outer).await);
        assert_eq!(expect::<Ref>(&mut cx).await, inner.unwrap());
        assert_eq!(cx.message_queue_len(), 0);
    });
}

#[test]
fn receive_opt_recursion() {
    simulated(async |mut cx: Context| {
        let (dead, monitor) = cx.spawn_monitor(async |_: Context| ()).unwrap();
        down(&mut cx, monitor).await;
        let outer_mark = cx.receive_mark();
        let outer = cx.make_ref();
        cx.send(cx.pid(), &outer).unwrap();
        let inner_mark = cx.receive_mark();
        let inner = cx.make_ref();
        cx.send(dead, &inner).unwrap();
        assert!(!has(&mut cx, &inner_mark, inner).await);
        drop(inner_mark);
        assert!(has(&mut cx, &outer_mark, outer).await);
    });
}

#[test]
fn receive_opt_deferred_save() {
    bounded(2, async |mut cx: Context| {
        let (goes_on, waits) = mpsc::channel();
        let parent = cx.pid();
        let busy = cx
            .spawn(async move |mut cx: Context| {
                cx.send(parent, "busy").unwrap();
                // Native code, until all that follows has been sent.
                waits.recv().unwrap();
                let mark = cx.receive_mark();
                let tag = cx.make_ref();
                cx.send(cx.pid(), &tag).unwrap();
                for number in 1..=200_u32 {
                    let found = cx.receive_where(LIMIT, |message| {
                        (message.decode() == Ok(number)).then_some(())
                    });
                    found.await.expect("the number");
                }
                assert!(has(&mut cx, &mark, tag).await);
                receive!(cx, { ok => () });
                assert_eq!(cx.message_queue_len(), 0);
            })
            .unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "busy");
        let monitor = cx.monitor(busy);
        for number in 1..=200_u32 {
            cx.send(busy, &number).unwrap();
        }
        cx.send(busy, &atoms::OK).unwrap();
        goes_on.send(()).unwrap();
        assert!(down(&mut cx, monitor).await.is_normal());
    });
}

/// Looks at the messages without a match, then panics; and is dropped while it waits.
async fn fail_half_way(cx: &mut Context) {
    let panics = caught(cx.receive_where(LIMIT, |_| -> Option<()> { panic!("no time") }));
    assert!(panics.await.is_none());
    let mut dropped = cx.receive_where(LIMIT, |_| None::<()>);
    poll_fn(|task| {
        assert!(Pin::new(&mut dropped).poll(task).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[test]
fn gh_5235_missing_save_reset() {
    simulated(async |mut cx: Context| {
        cx.send(cx.pid(), "waits").unwrap();
        fail_half_way(&mut cx).await;
        let found = cx.receive_as::<String>(ms(0)).await;
        assert_eq!(found.as_deref(), Some("waits"));
    });
}

#[test]
fn gh_5235_recv_mark() {
    simulated(async |mut cx: Context| {
        cx.send(cx.pid(), "waits").unwrap();
        fail_half_way(&mut cx).await;
        let mark = cx.receive_mark();
        let tag = cx.make_ref();
        cx.send(cx.pid(), &tag).unwrap();
        let found = cx.receive_as::<String>(ms(0)).await;
        assert_eq!(found.as_deref(), Some("waits"));
        assert!(has(&mut cx, &mark, tag).await);
    });
}
