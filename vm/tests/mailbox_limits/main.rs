//! Limits on mailboxes: what happens to one message more, and that signals are not concerned. In simulations by many
//! seeds, where order matters.

#[path = "../common/mod.rs"]
mod common;
mod floods;
#[path = "../common/seeds.rs"]
mod seeds;
#[path = "../common/virtual_time.rs"]
mod virtual_time;
mod waiting;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_vm::simulation::Simulation;
use otp_vm::{
    CallError, Context, ExitReason, MailboxLimit, Message, MessageKind, Native, Pid, SendError,
    SendWaitError, SpawnOptions, Timeout, Vm, WhenFull, random, timeout,
};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use common::{LIMIT, bounded, down, exit, expect, idle};
use seeds::seeds;
use virtual_time::{ms, simulated_with};

const MAX_LEN: usize = 8;

fn limited(limit: MailboxLimit) -> SpawnOptions {
    SpawnOptions::new().link().mailbox_limit(limit)
}

fn spawn_limited<F>(
    cx: &Context,
    limit: MailboxLimit,
    body: impl FnOnce(Context) -> F + Send + 'static,
) -> Pid
where
    F: Future<Output = ()> + Send + 'static,
{
    cx.spawn_opt(limited(limit), body).unwrap().pid
}

fn len(cx: &Context, pid: Pid) -> usize {
    cx.process_info(pid).unwrap().message_queue_len
}

async fn dawdle(cx: &Context) {
    cx.tick((random() % 400) as u32).await;
}

#[test]
fn one_message_too_many_kills_the_process_though_it_traps_exits() {
    seeds(0..25, |mut cx| async move {
        let options = SpawnOptions::new()
            .trap_exit()
            .monitor()
            .mailbox_limit(MailboxLimit::kill(3));
        let spawned = cx
            .spawn_opt(options, |cx| async move {
                cx.sleep(Duration::from_secs(3600)).await;
            })
            .unwrap();
        for number in 0..3 {
            cx.send(spawned.pid, &number).unwrap();
            dawdle(&cx).await;
        }
        assert_eq!(len(&cx, spawned.pid), 3);
        cx.send(spawned.pid, &4).unwrap();
        let reason = down(&mut cx, spawned.monitor.unwrap()).await;
        assert_eq!(reason.to_string(), "{mailbox_limit,3}");
        let system = cx.vm().system_info();
        assert_eq!(
            (system.messages_dropped, system.mailbox_limits_reached),
            (1, 1)
        );
    });
}

/// Also one in native code that never gives way: for everybody else it is gone at once.
#[test]
fn a_full_mailbox_ends_a_process_in_native_code() {
    let stop = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::clone(&stop);
    bounded(2, move |mut cx| async move {
        let options = SpawnOptions::new()
            .monitor()
            .mailbox_limit(MailboxLimit::kill(5));
        let spins = Arc::clone(&stopped);
        let spawned = cx
            .spawn_opt(options, move |_| async move {
                let begun = std::time::Instant::now();
                while spins.load(Ordering::Relaxed) == 0 && begun.elapsed() < 3 * LIMIT {
                    std::hint::spin_loop();
                }
            })
            .unwrap();
        for number in 0..6 {
            cx.send(spawned.pid, &number).unwrap();
        }
        let reason = down(&mut cx, spawned.monitor.unwrap()).await;
        assert_eq!(reason.to_string(), "{mailbox_limit,5}");
        stopped.store(1, Ordering::Relaxed);
    });
    assert_eq!(stop.load(Ordering::Relaxed), 1);
}

#[test]
fn a_full_mailbox_is_told_of_once_until_it_is_half_empty() {
    simulated_with(
        |vm| vm.mailbox_limit(MailboxLimit::tell(4)),
        |mut cx: Context| async move {
            let times = |cx: &Context| cx.process_info(cx.pid()).unwrap().mailbox.times_full;
            let fill = |cx: &Context, count: usize| {
                for number in 0..count {
                    cx.send(cx.pid(), &number).unwrap();
                }
            };
            fill(&cx, 4);
            assert_eq!(times(&cx), 0);
            fill(&cx, 3);
            assert_eq!(times(&cx), 1);
            // From 3 to 5 and back.
            for _ in 0..4 {
                cx.receive().await;
            }
            fill(&cx, 2);
            assert_eq!((times(&cx), cx.message_queue_len()), (1, 5));
            for _ in 0..3 {
                cx.receive().await;
            }
            fill(&cx, 3);
            assert_eq!((times(&cx), cx.message_queue_len()), (2, 5));
            assert_eq!(cx.vm().system_info().mailbox_limits_reached, 2);
        },
    );
}

/// Keeps the events about mailboxes, as text.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "otp_vm::mailbox_limit"
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

/// A simulation runs on this thread, and so under its subscriber.
#[test]
fn the_event_names_the_process_its_limit_and_what_to_do() {
    let events = Events::default();
    tracing::subscriber::with_default(events.clone(), || {
        let mut simulation = Simulation::new(1).unwrap();
        let vm = Vm::builder().simulate(&simulation).build().unwrap();
        let run = vm.run(|cx| async move {
            cx.register("flooded", cx.pid()).unwrap();
            cx.set_mailbox_limit(MailboxLimit::drop_newest(2));
            for number in 0..9 {
                cx.send(cx.pid(), &number).unwrap();
            }
        });
        simulation.block_on(run).unwrap().unwrap();
    });
    let events = events.0.lock().unwrap();
    let [event] = &events[..] else {
        panic!("one for all nine: {events:?}");
    };
    for part in [
        "pid=<",
        "registered_name=\"flooded\"",
        "max_len=2 ",
        "when_full=DropNewest",
        "message_queue_len=2 ",
        "let others send less",
    ] {
        assert!(event.contains(part), "{part} in {event}");
    }
}

#[test]
fn the_limit_is_the_vms_unless_it_is_set_and_can_be_changed() {
    simulated_with(
        |vm| vm.mailbox_limit(MailboxLimit::reject(7)),
        |cx: Context| async move {
            let of = |cx: &Context, pid| cx.process_info(pid).unwrap().mailbox.limit;
            assert_eq!(of(&cx, cx.pid()), MailboxLimit::reject(7));
            let own = MailboxLimit::drop_oldest(1);
            assert_eq!(cx.set_mailbox_limit(own), MailboxLimit::reject(7));
            let child = cx.spawn(idle).unwrap();
            assert_eq!(of(&cx, child), MailboxLimit::reject(7), "not its maker's");
            let child = spawn_limited(&cx, MailboxLimit::NONE, idle);
            assert_eq!(of(&cx, child), MailboxLimit::NONE);
            cx.exit_process(child, ExitReason::from("enough"));
            cx.unlink(child);
            assert_eq!(cx.set_mailbox_limit(MailboxLimit::NONE), own);
            for number in 0..100 {
                cx.send(cx.pid(), &number).unwrap();
            }
            // What is over it already stays.
            cx.set_mailbox_limit(MailboxLimit::reject(50));
            assert!(cx.send(cx.pid(), &1).is_err());
            assert_eq!(cx.message_queue_len(), 100);
        },
    );
}

/// Exits, links, monitors, their messages, questions and replies: with a mailbox that is full all the while.
#[test]
fn signals_pass_by_a_full_mailbox() {
    for limit in [
        MailboxLimit::reject(2),
        MailboxLimit::drop_newest(2),
        MailboxLimit::drop_oldest(2),
        MailboxLimit::kill(2),
    ] {
        seeds(0..10, move |mut cx| async move {
            let options = SpawnOptions::new().trap_exit().link().mailbox_limit(limit);
            let full = cx.spawn_opt(options, full_and_busy).unwrap().pid;
            for filler in ["one", "two"] {
                cx.send(full, filler).unwrap();
            }
            assert!(cx.is_alive(full).await);
            let monitor = cx.monitor(full);
            let seen: Vec<String> = expect(&mut cx).await;
            assert_eq!(
                seen,
                ["one", "two", "EXIT killed", "DOWN noproc", "reply 42"]
            );
            // It traps exits, and is told of this one, too.
            cx.unlink(full);
            cx.exit_process(full, ExitReason::from("end"));
            assert_eq!(down(&mut cx, monitor).await, ExitReason::from("done"));
        });
    }
}

async fn full_and_busy(mut cx: Context) {
    while cx.message_queue_len() < 2 {
        cx.tick(50).await;
    }
    let child = cx.spawn_link(|_| async { ExitReason::killed() }).unwrap();
    let (watched, monitor) = cx
        .spawn_monitor(|_| async { ExitReason::noproc() })
        .unwrap();
    let server = cx.spawn(answers).unwrap();
    while cx.message_queue_len() < 4 {
        cx.tick(50).await;
    }
    let reply: u64 = cx.call(server, &21, Timeout::Infinity).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(expect::<String>(&mut cx).await);
    }
    let reason = exit(&mut cx, child).await;
    seen.push(format!("EXIT {reason}"));
    let reason = down(&mut cx, monitor).await;
    seen.push(format!("DOWN {reason}"));
    assert!(!cx.is_alive(watched).await);
    seen.push(format!("reply {reply}"));
    cx.send(cx.parent(), &seen).unwrap();
    let parent = cx.parent();
    exit(&mut cx, parent).await;
    cx.exit(ExitReason::from("done"));
}

async fn answers(mut cx: Context) {
    loop {
        let message = cx.receive().await;
        if let MessageKind::Call { from, request } = message.kind() {
            let number: u64 = otp_vm::from_term(request).unwrap();
            cx.reply(&from, &(2 * number)).unwrap();
        }
    }
}

#[test]
fn a_call_that_is_refused_or_dropped_fails_at_once() {
    for limit in [MailboxLimit::reject(1), MailboxLimit::drop_newest(1)] {
        seeds(0..5, move |mut cx| async move {
            let server = spawn_limited(&cx, limit, asleep);
            cx.send(server, &1).unwrap();
            let refused = cx.call::<_, u64>(server, &2, Timeout::Infinity).await;
            assert!(matches!(&refused, Err(CallError::MailboxFull(full)) if full.max_len == 1));
            let reason = refused.unwrap_err().reason();
            assert_eq!(reason.to_string(), "{mailbox_limit,1}");
        });
    }
    // Its end is the answer.
    seeds(0..5, |mut cx| async move {
        let options = SpawnOptions::new().mailbox_limit(MailboxLimit::kill(1));
        let server = cx.spawn_opt(options, asleep).unwrap().pid;
        cx.send(server, &1).unwrap();
        let killed = cx.call::<_, u64>(server, &2, Timeout::Infinity).await;
        let Err(CallError::Exit(reason)) = killed else {
            panic!("{killed:?}");
        };
        assert_eq!(reason.to_string(), "{mailbox_limit,1}");
    });
    // Taken in first, and dropped later.
    seeds(0..10, |mut cx| async move {
        let server = spawn_limited(&cx, MailboxLimit::drop_oldest(1), asleep);
        let request = cx.send_request(server, &2).unwrap();
        assert_eq!(
            cx.process_info(server).unwrap().monitored_by,
            [cx.pid()],
            "by its request"
        );
        cx.send(server, &3).unwrap();
        let dropped = cx.receive_response::<u64>(request, Timeout::Infinity).await;
        assert!(matches!(dropped, Err(CallError::MailboxFull(_))));
        let info = cx.process_info(server).unwrap();
        assert_eq!((info.monitored_by.len(), info.mailbox.dropped), (0, 1));
        assert_eq!(info.message_queue_len, 1);
    });
}

async fn asleep(cx: Context) {
    cx.sleep(Duration::from_secs(3600)).await;
}

#[test]
fn the_oldest_that_is_dropped_is_never_a_down_message() {
    seeds(0..10, |cx| async move {
        let reader = spawn_limited(&cx, MailboxLimit::drop_oldest(2), |mut cx| async move {
            for _ in 0..2 {
                cx.spawn_monitor(|_| async {}).unwrap();
            }
            while cx.message_queue_len() < 2 {
                cx.tick(50).await;
            }
            // Now there is nothing to drop but the new one.
            cx.send(cx.pid(), "new").unwrap();
            assert_eq!(cx.message_queue_len(), 2);
            cx.receive().await.down().unwrap();
            cx.send(cx.pid(), "first").unwrap();
            cx.send(cx.pid(), "second").unwrap();
            cx.receive().await.down().unwrap();
            assert_eq!(expect::<String>(&mut cx).await, "second");
            assert_eq!(cx.process_info(cx.pid()).unwrap().mailbox.dropped, 2);
            cx.send(cx.parent(), "done").unwrap();
        });
        let mut cx = cx;
        assert_eq!(expect::<String>(&mut cx).await, "done");
        assert!(!cx.is_alive(reader).await || len(&cx, reader) == 0);
    });
}

/// What a closure of a selective receive looks at stays, whatever comes meanwhile.
#[test]
fn the_oldest_leave_behind_a_running_selective_receive() {
    bounded(1, |mut cx| async move {
        let me = cx.pid();
        cx.set_mailbox_limit(MailboxLimit::drop_oldest(2));
        cx.send(me, &1).unwrap();
        cx.send(me, &2).unwrap();
        let vm = cx.vm().clone();
        let mut sent = 0;
        let found = cx.receive_where(Duration::ZERO, |message: &Message| {
            let number: u64 = message.decode().unwrap();
            if sent == 0 {
                // All that there is is being looked at: these are dropped.
                for number in 3..1000 {
                    vm.send(me, &number).unwrap();
                    sent += 1;
                }
            }
            (number == 2).then_some(number)
        });
        assert_eq!(found.await, Some(2));
        assert_eq!(cx.process_info(me).unwrap().mailbox.dropped, sent);
        vm.send(me, &1000).unwrap();
        vm.send(me, &1001).unwrap();
        let left: [u64; 2] = [expect(&mut cx).await, expect(&mut cx).await];
        assert_eq!(left, [1000, 1001]);
    });
}

#[test]
fn what_timers_send_is_refused_and_counted() {
    simulated_with(
        |vm| vm,
        |cx: Context| async move {
            let full = spawn_limited(&cx, MailboxLimit::reject(3), asleep);
            for number in 0..5 {
                cx.send_after(ms(number), full, &number).unwrap();
            }
            let interval = cx.send_interval(ms(10), full, &7).unwrap();
            cx.sleep(ms(35)).await;
            cx.cancel_interval(&interval);
            cx.sleep(ms(5)).await;
            let info = cx.process_info(full).unwrap();
            assert_eq!((info.message_queue_len, info.mailbox.rejected), (3, 5));
        },
    );
}

#[test]
fn an_alias_and_a_name_have_the_limit_of_their_process() {
    seeds(0..5, |cx| async move {
        cx.set_mailbox_limit(MailboxLimit::reject(1));
        cx.register("limited", cx.pid()).unwrap();
        let alias = cx.alias();
        cx.send(alias, &1).unwrap();
        assert!(matches!(cx.send(alias, &2), Err(SendError::MailboxFull(_))));
        assert!(matches!(
            cx.send("limited", &2),
            Err(SendError::MailboxFull(_))
        ));
        assert!(matches!(
            cx.cast("limited", &2),
            Err(SendError::MailboxFull(_))
        ));
        assert!(cx.vm().send(cx.pid(), &3).is_err());
        assert!(cx.vm().cast(cx.pid(), &3).is_err());
        assert_eq!(cx.message_queue_len(), 1);
    });
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a destructor of a message that was dropped");
    }
}

/// The messages' destructors run once each, and their panics are nobody's end.
#[test]
fn destructors_of_what_is_dropped_run_once_and_end_nobody() {
    for limit in [
        MailboxLimit::reject(2),
        MailboxLimit::drop_newest(2),
        MailboxLimit::drop_oldest(2),
    ] {
        let drops = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&drops);
        bounded(1, move |cx| async move {
            let full = spawn_limited(&cx, limit, asleep);
            for _ in 0..10 {
                let message = Native::new(Counted(Arc::clone(&counted)));
                drop(cx.send(full, &message));
            }
            assert_eq!(counted.load(Ordering::SeqCst), 8);
            assert_eq!(len(&cx, full), 2);
        });
        assert_eq!(drops.load(Ordering::SeqCst), 10);
    }
}
