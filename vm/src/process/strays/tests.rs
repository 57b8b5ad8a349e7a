use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use otp_heap::Ref;
use otp_scheduler::Activity;
use otp_scheduler::simulation::Simulation;

use super::*;
use crate::envelope::{Parcel, message};
use crate::mailbox_limit::{MailboxLimit, WhenFull};
use crate::process::State;
use crate::{Context, Vm};

/// A process that has ended, and another of that body in its slot.
async fn successor<F>(cx: &mut Context, body: fn(Context) -> F) -> (Pid, Pid)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (dead, _) = cx.spawn_monitor(async |_: Context| ()).unwrap();
    assert!(cx.receive().await.down().is_some());
    loop {
        let pid = cx.spawn(body).unwrap();
        if pid.index() == dead.index() {
            // It waits by now.
            while cx.vm().process_info(pid).unwrap().reductions == 0 {
                cx.yield_now().await;
            }
            return (dead, pid);
        }
        cx.exit_process(pid, ExitReason::kill());
        cx.yield_now().await;
    }
}

/// What a sender does that has looked `dead` up before it ended.
fn send_late(cx: &Context, dead: Pid, parcel: Parcel) {
    let core = cx.core();
    let slot = core.processes.slot(dead.index()).unwrap();
    assert!(core.push(slot, dead, parcel).is_ok());
}

fn simulated<B, F>(body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let explored = Simulation::builder().explore(0..20, |simulation| {
        let vm = Vm::builder().simulate(simulation).build()?;
        simulation.block_on(vm.run(body.clone()))??;
        Ok(())
    });
    if let Err(failure) = explored {
        panic!("{failure}");
    }
}

async fn never_receives(_cx: Context) {
    pending().await
}

/// Passes two messages on to the process that they name.
async fn passes_on(mut cx: Context) {
    for _ in 0..2 {
        let message = cx.receive().await;
        let (to, word): (Pid, String) = message.decode().unwrap();
        cx.send(to, &word).unwrap();
    }
}

/// Though their slot has somebody who looks for no message.
#[test]
fn who_asks_the_dead_hears_of_it() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let (dead, alive) = successor(&mut cx, never_receives).await;
        for kind in [Kind::Call, Kind::Monitor, Kind::AliveRequest] {
            let reference = cx.make_ref();
            cx.state().unwrap().monitors.insert(reference, dead);
            send_late(&cx, dead, envelope::signal(kind, cx.pid(), reference));
            let down = cx.receive().await.down().unwrap();
            assert_eq!(down.reference, reference);
            assert_eq!(down.reason, ExitReason::noproc());
        }

        assert!(cx.state().unwrap().link(dead));
        send_late(&cx, dead, envelope::signal(Kind::Link, cx.pid(), NO_REF));
        let exit = cx.receive().await.exit().unwrap();
        assert_eq!(exit.from, dead);
        assert_eq!(exit.reason, ExitReason::noproc());

        let number = Ref::from_u64(7);
        let unlink = |state: &mut State| state.link(dead) && state.unlink(dead, number);
        assert!(unlink(&mut cx.state().unwrap()));
        let unlink = envelope::signal(Kind::Unlink, cx.pid(), number);
        send_late(&cx, dead, unlink);
        while cx.state().unwrap().is_unlinking(dead) {
            cx.yield_now().await;
            assert_eq!(cx.message_queue_len(), 0);
        }

        let exit = envelope::exit(Kind::Exit, cx.pid(), &ExitReason::kill());
        send_late(&cx, dead, exit);
        assert!(cx.is_alive(alive).await);
        let info = cx.vm().process_info(alive).unwrap();
        assert_eq!(info.message_queue_len, 0);
        assert!(info.links.is_empty() && info.monitored_by.is_empty());
    });
}

/// Alone in the mailbox, and with others.
#[test]
fn a_message_for_the_dead_never_reaches_the_living() {
    simulated(|mut cx| async move {
        let (dead, alive) = successor(&mut cx, passes_on).await;
        let me = cx.pid();
        let stray = || message(me, &(me, "stray")).unwrap();
        send_late(&cx, dead, stray());
        assert_eq!(
            cx.vm().process_info(alive).unwrap().message_queue_len,
            0,
            "it does not count either"
        );
        send_late(&cx, dead, stray());
        cx.yield_now().await;
        cx.send(alive, &(cx.pid(), "own")).unwrap();
        send_late(&cx, dead, stray());
        assert_eq!(cx.receive().await.decode::<&str>().unwrap(), "own");
        send_late(&cx, dead, stray());
        cx.send(alive, &(cx.pid(), "own, too")).unwrap();
        assert_eq!(cx.receive().await.decode::<&str>().unwrap(), "own, too");
    });
}

/// Its sender is stopped before it looks again, and the receiver takes a message that waits alone by another way.
#[test]
fn a_stray_is_known_without_a_nudge() {
    simulated(|mut cx| async move {
        let (dead, alive) = successor(&mut cx, passes_on).await;
        let slot = cx.core().processes.slot(dead.index()).unwrap();
        assert!(slot.attention().is_nothing());
        let stray = message(cx.pid(), &(cx.pid(), "stray")).unwrap();
        assert!(matches!(
            slot.mailbox.push(stray, dead.serial()),
            Push::First
        ));
        slot.wake();
        cx.yield_now().await;
        cx.send(alive, &(cx.pid(), "own")).unwrap();
        assert_eq!(cx.receive().await.decode::<&str>().unwrap(), "own");
    });
}

/// The slot's process has run for the stray, and not looked, before its sender goes on.
#[test]
fn a_nudge_wakes() {
    simulated(|mut cx| async move {
        let (dead, _) = successor(&mut cx, never_receives).await;
        let slot = cx.core().processes.slot(dead.index()).unwrap();
        let reference = cx.make_ref();
        cx.state().unwrap().monitors.insert(reference, dead);
        let call = envelope::signal(Kind::Call, cx.pid(), reference);
        assert!(matches!(
            slot.mailbox.push(call, dead.serial()),
            Push::First
        ));
        slot.wake();
        while slot.header.activity() != Activity::Idle {
            cx.yield_now().await;
        }
        slot.may_have_stray(dead);
        let down = cx.receive().await.down().unwrap();
        assert_eq!(
            (down.reference, down.reason),
            (reference, ExitReason::noproc())
        );
    });
}

#[test]
fn an_end_answers_what_was_for_another() {
    simulated(|mut cx| async move {
        let (dead, alive) = successor(&mut cx, never_receives).await;
        cx.exit_process(alive, ExitReason::kill());
        let reference = cx.make_ref();
        cx.state().unwrap().monitors.insert(reference, dead);
        let monitor = envelope::signal(Kind::Monitor, cx.pid(), reference);
        send_late(&cx, dead, monitor);
        let down = cx.receive().await.down().unwrap();
        assert_eq!(down.reason, ExitReason::noproc());
    });
}

/// What becomes of a stray of each kind.
fn answer_to(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::Link => Some(Kind::LinkExit),
        Kind::Unlink => Some(Kind::UnlinkAck),
        Kind::Monitor | Kind::Call | Kind::AliveRequest | Kind::Suspend | Kind::Collect => {
            Some(Kind::Down)
        }
        Kind::Message
        | Kind::News
        | Kind::Reply
        | Kind::Refused
        | Kind::Alias
        | Kind::Demonitor
        | Kind::UnlinkAck
        | Kind::Down
        | Kind::Exit
        | Kind::LinkExit
        | Kind::Nudge
        | Kind::Resume
        | Kind::Suspended
        | Kind::GroupLeader => None,
    }
}

const KINDS: [Kind; 21] = [
    Kind::Message,
    Kind::News,
    Kind::Call,
    Kind::Reply,
    Kind::Refused,
    Kind::Alias,
    Kind::Link,
    Kind::Unlink,
    Kind::Monitor,
    Kind::Demonitor,
    Kind::UnlinkAck,
    Kind::Down,
    Kind::Exit,
    Kind::LinkExit,
    Kind::AliveRequest,
    Kind::Nudge,
    Kind::Suspend,
    Kind::Resume,
    Kind::Suspended,
    Kind::GroupLeader,
    Kind::Collect,
];

/// One of each kind, numbered, from `from`.
fn send_each_kind_late(cx: &Context, dead: Pid, from: Pid) {
    for (number, kind) in KINDS.into_iter().enumerate() {
        let reference = Ref::from_u64(number as u64 + 1);
        send_late(cx, dead, envelope::signal(kind, from, reference));
    }
}

/// A sender that only keeps what comes for it: it has a slot, and no slices.
struct Keeper<'vm>(&'vm Core, &'vm Process, Pid);

impl<'vm> Keeper<'vm> {
    /// The slot must be one that was used before: wakes do nothing there.
    fn new(core: &'vm Core) -> Self {
        let (slot, serial) = core.processes.allocate(core).unwrap();
        assert_eq!(slot.header.activity(), Activity::Running);
        let state = slot.lock();
        slot.mailbox.open();
        slot.serial.store(serial, Ordering::Release);
        drop(state);
        Self(core, slot, Pid::from_parts(slot.index, serial))
    }

    fn kept(&self) -> Vec<(Kind, Pid, u64)> {
        let _state = self.1.lock();
        let mut queue = self.1.mailbox.take(self.2.serial()).0;
        std::iter::from_fn(|| {
            let parcel = queue.pop_front()?;
            let envelope = parcel.header();
            let reference = envelope.reference.as_u64();
            Some((envelope.kind, envelope.from, reference))
        })
        .collect()
    }
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        let Self(core, slot, pid) = *self;
        let state = slot.lock();
        slot.serial.store(0, Ordering::Release);
        drop(slot.mailbox.close());
        drop(state);
        core.processes.release(pid);
        core.count_out();
    }
}

/// Gets strays while its slice runs; then the next slice finds them, a look at the mailbox does, a signal of its
/// own, or its end.
async fn is_met_by_strays(mut cx: Context) {
    let (dead, sender, who): (Pid, Pid, u8) = cx.receive().await.decode().unwrap();
    send_each_kind_late(&cx, dead, sender);
    match who {
        0 => pending().await,
        1 => assert_eq!(cx.message_queue_len(), 0),
        2 => cx.exit_process(cx.pid(), ExitReason::kill()),
        _ => {}
    }
}

/// In their order, in the name of the dead one.
#[test]
fn each_stray_is_answered_once_whoever_finds_it() {
    simulated(|mut cx| async move {
        for who in 0..4_u8 {
            let (dead, alive) = successor(&mut cx, is_met_by_strays).await;
            cx.spawn_monitor(async |_: Context| ()).unwrap();
            assert!(cx.receive().await.down().is_some());
            let vm = cx.vm().clone();
            let keeper = Keeper::new(vm.core());
            cx.send(alive, &(dead, keeper.2, who)).unwrap();
            let mut answers = Vec::new();
            for _ in 0..100 {
                cx.yield_now().await;
                answers.extend(keeper.kept());
            }
            let expected = KINDS.into_iter().zip(1_u64..).filter_map(|(kind, number)| {
                let answer = answer_to(kind)?;
                let number = if answer == Kind::LinkExit { 0 } else { number };
                Some((answer, dead, number))
            });
            assert_eq!(answers, expected.collect::<Vec<_>>(), "found by {who}");
            cx.exit_process(alive, ExitReason::kill());
            cx.yield_now().await;
        }
    });
}

static SPINS_NO_MORE: AtomicBool = AtomicBool::new(false);

async fn spins(mut cx: Context) {
    cx.receive().await;
    while !SPINS_NO_MORE.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

/// Only a nudge is urgent here. The slot's process gives way once the answer is there.
#[test]
fn who_is_in_native_code_has_strays_answered_by_its_deputy() {
    const LIMIT: Duration = Duration::from_secs(60);
    let vm = Vm::builder().schedulers(2).build().unwrap();
    let run = vm.run(async |mut cx: Context| {
        let (dead, alive) = successor(&mut cx, spins).await;
        cx.send(alive, &()).unwrap();
        let slot = cx.core().processes.slot(alive.index()).unwrap();
        while slot.bound_thread().is_none() {
            cx.sleep(Duration::from_millis(1)).await;
        }
        let reference = cx.make_ref();
        cx.state().unwrap().monitors.insert(reference, dead);
        let call = envelope::signal(Kind::Call, cx.pid(), reference);
        send_late(&cx, dead, call);
        let answer = cx.receive_timeout(LIMIT).await;
        SPINS_NO_MORE.store(true, Ordering::Relaxed);
        let down = answer.expect("its deputy looks").down().unwrap();
        assert_eq!(
            (down.reference, down.reason),
            (reference, ExitReason::noproc())
        );
    });
    run.wait().unwrap();
}

/// Sleeps, and tells who it gets its first message from how often it was polled for that.
async fn counts_polls(mut cx: Context) {
    let polls = Arc::new(AtomicU64::new(0));
    let asked = Arc::clone(&polls);
    cx.hibernate(async move |mut cx: Context| {
        let (from, word) = {
            let mut receive = std::pin::pin!(cx.receive());
            std::future::poll_fn(|task| {
                asked.fetch_add(1, Ordering::Relaxed);
                receive.as_mut().poll(task)
            })
            .await
            .decode::<(Pid, String)>()
            .unwrap()
        };
        cx.send(from, &(word, polls.load(Ordering::Relaxed)))
            .unwrap();
        pending::<()>().await;
    })
    .await
}

#[test]
fn strays_take_no_room_and_wake_no_sleeper() {
    simulated(|mut cx| async move {
        let (dead, alive) = successor(&mut cx, counts_polls).await;
        let limit = MailboxLimit {
            max_len: 2,
            when_full: WhenFull::Reject,
        };
        let limited = cx.core().with_locked(alive, |process, state| {
            process.limit_mailbox(state, limit).1.finish();
        });
        limited.unwrap();
        let stray = || message(cx.pid(), &(cx.pid(), "stray")).unwrap();
        for _ in 0..5 {
            send_late(&cx, dead, stray());
            cx.yield_now().await;
            send_late(&cx, dead, stray());
        }
        cx.send(alive, &(cx.pid(), "first")).unwrap();
        send_late(&cx, dead, stray());
        cx.send(alive, &(cx.pid(), "second")).unwrap();
        assert!(cx.send(alive, &(cx.pid(), "third")).is_err());
        let (word, polls): (String, u64) = cx.receive().await.decode().unwrap();
        assert_eq!((word.as_str(), polls), ("first", 1));
        let info = cx.vm().process_info(alive).unwrap();
        assert_eq!(info.mailbox.rejected, 1);
        assert_eq!(info.message_queue_len, 1);
    });
}

/// Each message says whom it is for. Slots are used again within a microsecond or two here, while senders run.
#[test]
fn senders_that_race_with_ends_reach_nobody_else() {
    const LIVES: usize = 20_000;
    let vm = Vm::builder().schedulers(2).build().unwrap();
    let present = Arc::new(AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let pid = Pid::from_u64(present.load(Ordering::Relaxed));
                    // To the dead as to the living.
                    vm.send(pid, &pid).unwrap();
                }
            });
        }
        let live = |_| {
            let present = Arc::clone(&present);
            vm.run(async move |mut cx: Context| {
                present.store(cx.pid().as_u64(), Ordering::Relaxed);
                let message = cx.receive().await;
                (cx.pid(), message.decode::<Pid>().unwrap())
            })
            .wait()
        };
        let lives: Result<Vec<_>, _> = (0..LIVES).map(live).collect();
        // Before anything that may panic: the senders are waited for.
        is_over.store(true, Ordering::Relaxed);
        let mut slots = HashSet::new();
        for (pid, meant) in lives.unwrap() {
            assert_eq!(pid, meant, "a stray came");
            slots.insert(pid.index());
        }
        assert!(slots.len() < LIVES / 2, "slots are used again");
    });
}
