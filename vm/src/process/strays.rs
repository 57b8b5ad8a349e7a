//! What was sent to one process and came into the mailbox of another.
//!
//! Slots are used again at once, and who looked a pid up holds nothing meanwhile: no count, no lock, no place in an
//! epoch. Between its look-up and its push the process may end, and another begin in the same slot. Such a *stray* is
//! told from what is the other's own, and comes to the same end as if it had found the mailbox closed.
//!
//! # Protocol
//! 1. A sender finds the pid's serial in the slot, writes it into its parcel, and pushes.
//! 2. Then it looks at the serial again. If that is another, the parcel may be a stray: it pushes a [`Kind::Nudge`], a
//!    signal that is as urgent as any, and a stray itself.
//! 3. Who takes parcels out of a mailbox, under the process's lock, compares each one's serial with the process's.
//!    Strays are not counted, told of or filed; those that want an answer get it: that their receiver is gone.
//! 4. An ending process clears its serial and closes its mailbox in one hold of its lock; a new one opens the mailbox
//!    and writes its serial in one hold. A slot has each serial once (`table.rs`).
//!
//! So the compared serials differ if and only if the parcel is a stray, and a message for the dead never reaches the
//! living. Who waits for an answer gets it soon, whatever the present owner does:
//!
//! - The push of a stray read a head that the new process, or who came after it, has written. The dead one's serial
//!   was cleared before that, so the second look can't find it any more: there is a nudge behind each stray.
//! - The nudge is a signal, and so the process takes in what waits in its next slice, without its body's help; its
//!   deputy does if it is in native code. If it has ended, its end has answered, or finds both.
//! - A new process may not be there for wakes when the nudge comes (`Process::occupy` resets them); but it begins with
//!   a look for signals.
//!
//! All else that is done to a process that was looked up is harmless to another (a wake, a look at a flag that decides
//! how to go on), or done under its lock, after a look at the serial that is right there while the lock is held.

use otp_heap::Pid;

use super::Process;
use super::links::{acknowledge_unlink, refuse_link};
use crate::core::Core;
use crate::envelope::{self, Envelope, HOST, Kind, NO_REF};
use crate::exit_reason::ExitReason;
use crate::mailbox::{Push, Queue};

impl Process {
    /// Step 2, for who has sent something to `to`, which is gone. Locks nothing: the caller may hold another process's
    /// lock, or this one's.
    #[cold]
    pub(crate) fn may_have_stray(&self, to: Pid) {
        let nudge = envelope::signal(Kind::Nudge, HOST, NO_REF);
        let was_idle = match self.mailbox.push(nudge, to.serial()) {
            Push::First => self.wake(),
            Push::Behind => false,
            // It has no destructors of the program's.
            Push::Closed(nudge) => return drop(nudge),
        };
        if !was_idle {
            self.call_deputy_if_bound();
        }
    }

    /// Step 3, of what was taken out: what is the process's own, and the strays, answered, to be dropped outside of the
    /// lock.
    #[cold]
    pub(super) fn without_strays(&self, mut arrived: Queue, owner: u32) -> (Queue, Queue) {
        let (mut own, mut strays) = (Queue::default(), Queue::default());
        while let Some(parcel) = arrived.pop_front() {
            if parcel.header().to == owner {
                own.push_back(parcel);
            } else {
                answer_stray(self.core(), self.index, parcel.header());
                strays.push_back(parcel);
            }
        }
        (own, strays)
    }
}

/// Answers a stray of a slot. Why its receiver ended, nobody knows any more.
pub(super) fn answer_stray(core: &Core, index: u32, stray: &Envelope) {
    let dead = Pid::from_parts(index, stray.to);
    let noproc = ExitReason::noproc();
    answer_for_the_dead(core, dead, stray, &noproc, &noproc);
}

/// Answers what was sent to a process that has ended: monitors with one reason, calls with the other.
pub(super) fn answer_for_the_dead(
    core: &Core,
    dead: Pid,
    sent: &Envelope,
    why_monitored: &ExitReason,
    why_called: &ExitReason,
) {
    let (from, reference) = (sent.from, sent.reference);
    let down = |reason| core.signal(from, envelope::down(dead, reference, reason));
    match sent.kind {
        Kind::Link => refuse_link(core, dead, from),
        Kind::Unlink => acknowledge_unlink(core, dead, from, reference),
        Kind::Monitor => down(why_monitored),
        Kind::Call | Kind::AliveRequest => down(why_called),
        Kind::Suspend | Kind::Collect => down(&ExitReason::noproc()),
        _ => {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
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
}

/// Every interleaving, under `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::thread;

    use super::*;
    use crate::envelope::{Parcel, message};
    use crate::mailbox::Mailbox;

    const DEAD: u32 = 1;
    const NEXT: u32 = 2;

    /// A slot, with what senders and owners do of the protocol.
    struct Model {
        serial: AtomicU32,
        mailbox: Mailbox,
    }

    impl Model {
        /// Steps 1 and 2. Whether the parcel went anywhere; and what came back, to be kept: no address comes twice in a
        /// run, which would go on in another way by what the allocator does.
        fn send(&self, to: u32) -> (bool, Option<Push>) {
            if self.serial.load(Ordering::Acquire) != to {
                return (false, None);
            }
            let pushed = self.mailbox.push(message(HOST, &to).unwrap(), to);
            if matches!(pushed, Push::Closed(_)) {
                return (false, Some(pushed));
            }
            if self.serial.load(Ordering::Acquire) == to {
                return (true, None);
            }
            let nudge = envelope::signal(Kind::Nudge, HOST, NO_REF);
            (true, Some(self.mailbox.push(nudge, to)))
        }
    }

    /// Messages for the dead one and for the next, and whether a nudge is there.
    fn sorted(mut queue: Queue, kept: &mut Vec<Parcel>) -> (usize, usize, bool) {
        let (mut dead, mut next, mut nudged) = (0, 0, false);
        while let Some(parcel) = queue.pop_front() {
            let envelope = parcel.header();
            match envelope.kind {
                Kind::Nudge => nudged = true,
                _ => {
                    assert_eq!(parcel.root().as_i64(), Some(envelope.to.into()));
                    match envelope.to {
                        DEAD => dead += 1,
                        _ => next += 1,
                    }
                }
            }
            kept.push(parcel);
        }
        (dead, next, nudged)
    }

    #[test]
    fn loom_a_stray_is_known_and_a_nudge_comes_behind_it() {
        loom::model(|| {
            let model = Arc::new(Model {
                serial: AtomicU32::new(DEAD),
                mailbox: Mailbox::closed(),
            });
            model.mailbox.open();
            let late = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.send(DEAD))
            };
            // Step 4, twice.
            model.serial.store(0, Ordering::Release);
            let mut kept = Vec::new();
            let (before, _, _) = sorted(model.mailbox.close(), &mut kept);
            model.mailbox.open();
            model.serial.store(NEXT, Ordering::Release);
            // What is there early, and all that comes.
            let (first, care) = model.mailbox.take(NEXT);
            let first = sorted(first, &mut kept);
            assert_eq!(care.has_strays(), first.0 > 0 || first.2);
            let own = model.send(NEXT);
            let late = late.join().unwrap();
            let (second, care) = model.mailbox.take(NEXT);
            let second = sorted(second, &mut kept);
            assert_eq!(care.has_strays(), second.0 > 0 || second.2);
            assert_eq!(care.has_signal(), second.2);

            let strays = first.0 + second.0;
            assert_eq!(before + strays, usize::from(late.0));
            assert!(own.0 && first.1 == 0 && second.1 == 1);
            assert!(strays == 0 || first.2 || second.2, "nobody looks after it");
        });
    }
}
