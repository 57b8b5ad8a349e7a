//! Processes end at any point of anything, by kills, panics, exits and returns; their destructors are among the points.
//! What they began with others is taken back: those have no links, monitors and requests of them left, and go on; and
//! no timer, table, name or process is left over.

mod common;
#[path = "common/seeds.rs"]
mod seeds;

use std::time::Duration;

use common::{Foreign, LIMIT, bounded, expect};
use otp_vm::{
    AliasMode, Context, ExitReason, MailboxLimit, MessageKind, MonitorOptions, Pid, Ref, Status,
    SuspendOptions, TableOptions, Timeout, TraceFlags, Tracer,
};
use seeds::seeds;

fn chance(cx: &Context, of: u64) -> u64 {
    cx.random() % of
}

/// Lives through all of it: answers calls, and who asks by message.
async fn keeper(mut cx: Context) {
    cx.trap_exit(true);
    loop {
        let message = cx.receive().await;
        if let MessageKind::Call { from, .. } = message.kind() {
            cx.reply(&from, &1_u64).unwrap();
        } else if let Ok((from, tag)) = message.decode::<(Pid, Ref)>() {
            cx.send(from, &tag).unwrap();
        }
        cx.tick(chance(&cx, 300) as u32).await;
    }
}

/// Panics when it is dropped, unless something else does.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "boom");
    }
}

async fn child(mut cx: Context) {
    cx.receive_timeout(Duration::from_millis(1)).await;
}

/// Begins this and that with others, until it ends or is ended.
async fn mayfly(mut cx: Context, others: Vec<Pid>) {
    let micros = |cx: &Context| Duration::from_micros(chance(cx, 200));
    let mut sessions = Vec::new();
    let mut _bomb = None;
    let mut requests = Vec::new();
    loop {
        let other = others[chance(&cx, others.len() as u64) as usize];
        match chance(&cx, 27) {
            0 => drop(cx.call::<_, u64>(other, &1, Timeout::Infinity).await),
            1 => drop(cx.call::<_, u64>(other, &1, micros(&cx)).await),
            2 => drop(Foreign::new(Box::pin(cx.call::<_, u64>(other, &1, micros(&cx)))).await),
            3 => requests.extend(cx.send_request(other, &1)),
            4 => drop(requests.pop()),
            5 => {
                let monitor = cx.monitor(other);
                if chance(&cx, 3) == 0 {
                    cx.demonitor_flush(monitor);
                }
            }
            6 => {
                let options = MonitorOptions::new().alias(AliasMode::ReplyDemonitor);
                let alias = cx.monitor_opt(other, options.tag("tagged").unwrap());
                cx.send(other, &(cx.pid(), alias)).unwrap();
            }
            7 | 8 => cx.link(other),
            9 => cx.unlink(other),
            10 => drop(cx.suspend_process(other, SuspendOptions::new()).await),
            11 => drop(
                cx.suspend_process(other, SuspendOptions::new().asynchronous())
                    .await,
            ),
            12 => drop(cx.suspend_process_async(other, SuspendOptions::new(), "done")),
            13 => drop(cx.resume_process(other)),
            14 => drop(cx.send_after(micros(&cx), other, "late")),
            15 => drop(cx.send_after(Duration::from_secs(3600), cx.pid(), "never")),
            16 => drop(cx.table_new(&format!("table {}", cx.pid()), TableOptions::set())),
            17 => drop(cx.register(&format!("name {}", cx.pid()), cx.pid())),
            18 => drop(cx.spawn_link(child)),
            19 => drop(cx.is_alive(other).await),
            20 => drop(cx.garbage_collect_process(other).await),
            21 => {
                let session = cx.vm().trace_session(Tracer::handler(|_| {}));
                let _ = session.trace(other, TraceFlags::RECEIVE | TraceFlags::PROCS);
                sessions.push(session);
            }
            22 => drop(cx.receive_timeout(micros(&cx)).await),
            23 => drop(cx.set_mailbox_limit(MailboxLimit::drop_oldest(3))),
            24 if _bomb.is_none() => _bomb = Some(Bomb),
            24 => {}
            25 => cx.exit_process(other, "begone"),
            _ => match chance(&cx, 12) {
                0 => return,
                1 => panic!("a mayfly's"),
                2 => cx.exit("enough"),
                3 => cx.exit_process(cx.pid(), ExitReason::kill()),
                _ => cx.yield_now().await,
            },
        }
        cx.tick(chance(&cx, 100) as u32).await;
    }
}

async fn answers(cx: &mut Context, keeper: Pid) {
    let tag = cx.make_ref();
    cx.send(keeper, &(cx.pid(), tag)).unwrap();
    assert_eq!(expect::<Ref>(cx).await, tag);
}

async fn nothing_is_left(mut cx: Context, mayflies: u64) {
    let baseline = cx.vm().system_info();
    let keepers: Vec<Pid> = (0..3).map(|_| cx.spawn(keeper).unwrap()).collect();
    for &keeper in &keepers {
        // It traps exits by now.
        answers(&mut cx, keeper).await;
    }
    let mut flies: Vec<Pid> = Vec::new();
    for _ in 0..mayflies {
        let mut others = keepers.clone();
        others.extend(flies.iter().rev().take(6));
        flies.push(cx.spawn(move |cx| mayfly(cx, others)).unwrap());
        match chance(&cx, 4) {
            0 => cx.yield_now().await,
            1 => cx.sleep(Duration::from_micros(chance(&cx, 300))).await,
            _ => {}
        }
        if flies.len() > 10 {
            let victim = flies.remove(chance(&cx, flies.len() as u64) as usize);
            cx.exit_process(victim, ExitReason::kill());
        }
    }
    for victim in flies {
        cx.exit_process(victim, ExitReason::kill());
    }
    let begun = cx.monotonic_time();
    let counts = |cx: &Context| {
        let info = cx.vm().system_info();
        let names = cx.vm().registered().len();
        (
            info.process_count,
            info.timer_count,
            info.table_count,
            names,
        )
    };
    let expected = (baseline.process_count + keepers.len(), 0, 0, 0);
    while counts(&cx) != expected && cx.monotonic_time() - begun < LIMIT.as_nanos() as u64 {
        cx.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(counts(&cx), expected, "processes, timers, tables, names");
    for keeper in keepers {
        assert!(cx.is_alive(keeper).await);
        // It isn't suspended, and has taken in all that came before.
        answers(&mut cx, keeper).await;
        let info = cx.process_info(keeper).unwrap();
        assert_ne!(info.status, Status::Suspended);
        assert_eq!((&*info.links, &*info.monitored_by), (&[][..], &[][..]));
        cx.exit_process(keeper, ExitReason::kill());
    }
}

#[test]
fn whoever_ends_at_whatever_point_leaves_nothing_in_any_order() {
    seeds(0..200, |cx| nothing_is_left(cx, 25));
}

#[test]
fn whoever_ends_at_whatever_point_leaves_nothing_on_threads() {
    for schedulers in [1, 2, 4] {
        bounded(schedulers, |cx| nothing_is_left(cx, 1000));
    }
}
