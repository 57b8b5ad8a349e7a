//! Cases that change where messages are kept while messages, receives and exits are under way.

use otp_vm::MessageQueueData::{OffHeap, OnHeap};
use otp_vm::{
    Atom, Builder, Context, ExitReason, OwnedTerm, Pid, SpawnOptions, Spawned, Status, Term,
    Timeout, View, from_term, to_term,
};

use crate::common::{LIMIT, bounded, down};
use crate::simulated::seeds;

/// One message of so many is a pair `[N|N]`, the others are integers.
const PAIR_EVERY: i64 = 100;

#[derive(Clone, Copy)]
struct Case {
    /// They receive the pairs.
    receives: bool,
    /// Each tenth is exited with `terminated` at the same time.
    exits: bool,
    /// They end once they have come to one more message, which is a large term.
    ends: bool,
}

fn pair(n: i64) -> OwnedTerm {
    let mut pair = Builder::<()>::new();
    pair.integer(n).integer(n).cons();
    pair.finish(()).unwrap()
}

fn of_pair(term: Term<'_>) -> Option<i64> {
    let View::Cons(cons) = term.view() else {
        return None;
    };
    let (head, tail) = (cons.head().as_i64()?, cons.tail().as_i64()?);
    (head == tail).then_some(head)
}

fn large_term() -> OwnedTerm {
    let tuples: Vec<_> = (0..100)
        .map(|n| (n, f64::from(n), "x".repeat(100)))
        .collect();
    to_term(&(atom("large"), tuples)).unwrap()
}

fn atom(name: &str) -> Atom {
    Atom::new(name).unwrap()
}

async fn changes(mut cx: Context, tester: Pid, messages: i64, case: Case) {
    let change = |message: &otp_vm::Message| {
        (message.term().as_atom() == Some(atom("change"))).then_some(())
    };
    cx.receive_where(Timeout::Infinity, change).await;
    let before = cx.set_message_queue_data(OffHeap);
    assert_eq!(before, OnHeap);
    let info = cx.process_info(cx.pid()).unwrap();
    assert_eq!(info.heap.message_queue_data, OffHeap);
    cx.send(tester, &cx.pid()).unwrap();
    let pairs = messages / PAIR_EVERY;
    let mut received = 0;
    while case.receives && received < pairs {
        let received_pair = cx.receive_where(Timeout::Infinity, |message| of_pair(message.term()));
        assert_eq!(received_pair.await, Some(received * PAIR_EVERY));
        received += 1;
    }
    if !case.ends {
        // For ever: there is no other pair, nor anything else that is wanted.
        let nothing = cx.receive_where(Timeout::Infinity, |message| {
            (case.receives && of_pair(message.term()).is_some()).then_some(())
        });
        nothing.await;
        unreachable!("there was one more");
    }
    for n in 0..messages {
        if n % PAIR_EVERY == 0 {
            if !case.receives {
                let message = cx.receive().await;
                assert_eq!(of_pair(message.term()), Some(n));
            }
        } else {
            assert_eq!(cx.receive().await.decode::<i64>(), Ok(n));
        }
    }
    let last = cx.receive().await;
    assert!(last.term() == large_term().root(), "{last}");
}

async fn scenario(mut cx: Context, processes: usize, messages: i64, case: Case) {
    cx.trap_exit(true);
    let tester = cx.pid();
    let options = SpawnOptions::new().link().monitor();
    let options = options.message_queue_data(OnHeap);
    let spawn = |_| {
        let body = move |cx| changes(cx, tester, messages, case);
        cx.spawn_opt(options.clone(), body).unwrap()
    };
    let children: Vec<Spawned> = (0..processes).map(spawn).collect();
    for child in &children {
        for n in 0..messages {
            let sent = match n % PAIR_EVERY {
                0 => cx.send(child.pid, &pair(n)),
                _ => cx.send(child.pid, &n),
            };
            sent.unwrap();
        }
    }
    let terminated = ExitReason::from(atom("terminated"));
    for (number, child) in children.iter().enumerate() {
        cx.send(child.pid, &atom("change")).unwrap();
        if case.exits && number % 10 == 0 {
            cx.exit_process(child.pid, terminated.clone());
        }
        if case.ends {
            cx.send(child.pid, &large_term()).unwrap();
        }
    }
    for (number, child) in children.iter().enumerate() {
        let is_exited = case.exits && number % 10 == 0;
        let monitor = child.monitor.unwrap();
        if is_exited {
            // One that ends by itself may be through before.
            let reason = down(&mut cx, monitor).await;
            assert!(
                reason == terminated || case.ends && reason.is_normal(),
                "{reason}"
            );
            continue;
        }
        let told = cx.receive_where(LIMIT, |message| {
            from_term::<Pid>(message.term())
                .ok()
                .filter(|pid| *pid == child.pid)
        });
        told.await.expect("it has changed its flag");
        if case.ends {
            let reason = down(&mut cx, monitor).await;
            assert!(reason.is_normal(), "{reason}");
            continue;
        }
        let received = if case.receives {
            messages / PAIR_EVERY
        } else {
            0
        };
        loop {
            let info = cx.process_info(child.pid).unwrap();
            let at_rest = info.message_queue_len == (messages - received) as usize;
            if at_rest && info.status == Status::Waiting {
                break;
            }
            cx.yield_now().await;
        }
        cx.exit_process(child.pid, ExitReason::kill());
        assert!(!cx.is_alive(child.pid).await);
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    }
}

fn holds(receives: bool, exits: bool, ends: bool) {
    let case = Case {
        receives,
        exits,
        ends,
    };
    seeds(0..5, move |cx| scenario(cx, 20, 200, case));
    bounded(2, move |mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(move |cx| scenario(cx, 100, 1_000, case))
            .unwrap();
        let reason = down(&mut cx, monitor).await;
        assert!(reason.is_normal(), "{reason}");
        assert!(
            cx.receive_timeout(std::time::Duration::ZERO)
                .await
                .is_none()
        );
    });
}

#[test]
fn move_msgs_off_heap_signal_basic() {
    holds(false, false, false);
}

#[test]
fn move_msgs_off_heap_signal_recv() {
    holds(true, false, false);
}

#[test]
fn move_msgs_off_heap_signal_exit() {
    holds(false, true, false);
}

#[test]
fn move_msgs_off_heap_signal_recv_exit() {
    holds(true, true, false);
}

#[test]
fn simultaneous_signals_basic() {
    holds(false, false, true);
}

#[test]
fn simultaneous_signals_recv() {
    holds(true, false, true);
}

#[test]
fn simultaneous_signals_exit() {
    holds(false, true, true);
}

#[test]
fn simultaneous_signals_recv_exit() {
    holds(true, true, true);
}
