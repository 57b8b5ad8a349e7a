//! What drivers do at random. Each deed ends when all that it began has ended, and has looked at what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use otp_vm::{
    Binary, Context, Down, ExitReason, MailboxLimit, Message, Pid, Ref, SpawnError, SpawnOptions,
    TableOptions, Timeout, TraceFlags, Tracer, term_match,
};
use serde::{Deserialize, Serialize};

use super::members::{Note, Word, kin, member, survivor};
use crate::report::Report;

/// How many times each was done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Deeds([u64; NAMES.len()]);

/// By these names the report has them.
pub(super) const NAMES: [&str; 12] = [
    "notes",
    "replaced",
    "families",
    "timers",
    "heap_limits",
    "panics",
    "names",
    "binaries",
    "tables",
    "looks",
    "mailbox_limits",
    "traces",
];

/// The deeds of these names; all of them for none.
pub(super) fn chosen(names: &[String]) -> Vec<usize> {
    let is_chosen =
        |deed: &usize| names.is_empty() || names.iter().any(|name| name == NAMES[*deed]);
    (0..NAMES.len()).filter(is_chosen).collect()
}

impl Deeds {
    pub(super) fn add(&mut self, others: &Self) {
        for (own, others) in self.0.iter_mut().zip(others.0) {
            *own += others;
        }
    }

    pub(super) fn report(&self, report: Report) -> Report {
        let named = NAMES.into_iter().zip(self.0);
        named.fold(report, |report, (name, count)| report.with(name, count))
    }
}

/// Most of a family.
const KIN_MAX: u64 = 8;

/// Nothing is waited for longer: then a message is lost.
const LOST: Duration = Duration::from_secs(30);

/// It is waited for in so many turns: a machine that stands still for long uses up one of them.
const TURNS: u32 = 30;

/// The limit of those who go over it.
const HEAP_WORDS: usize = 10_000;

/// Members of each driver whose heaps are collected.
const FEW: usize = 100;

/// Messages that are told of in a trace.
const TRACED: u64 = 8;

/// A shared binary's bytes.
const BINARY_BYTES: usize = 10_000;

/// A process that does the deeds, with members of its own.
pub(super) struct Driver {
    number: u64,
    members: Vec<Pid>,
    /// What was sent to each member since it last told its sum; None if that is nothing. As long from the beginning as
    /// ever: a map that grows in each round would be most of what resident memory changes by.
    owed: Vec<Option<u64>>,
    done: Deeds,
    /// Those that it does.
    chosen: Vec<usize>,
}

impl Driver {
    pub(super) async fn new(cx: &mut Context, number: u64, count: u64, chosen: Vec<usize>) -> Self {
        let mut members = Vec::with_capacity(count as usize);
        for _ in 0..count {
            members.push(cx.spawn(member).expect("room for the members"));
            cx.tick(0).await;
        }
        let mut driver = Self {
            number,
            members,
            // Each has received once, and so has taken what memory that takes.
            owed: vec![Some(0); count as usize],
            done: Deeds::default(),
            chosen,
        };
        driver.settle(cx).await;
        driver
    }

    pub(super) async fn round(&mut self, cx: &mut Context, time: Duration) -> Deeds {
        let began = Instant::now();
        self.done = Deeds::default();
        let mut turn = 0;
        // Each deed at least once.
        while began.elapsed() < time || turn < self.chosen.len() {
            let choice = match turn < self.chosen.len() {
                true => turn,
                false => (cx.random() % self.chosen.len() as u64) as usize,
            };
            turn += 1;
            self.deed(cx, self.chosen[choice]).await;
        }
        self.settle(cx).await;
        assert_eq!(cx.message_queue_len(), 0, "nobody has anything more to say");
        self.done.clone()
    }

    pub(super) async fn end(mut self, cx: &mut Context) {
        for member in std::mem::take(&mut self.members) {
            let monitor = cx.monitor(member);
            send(cx, member, &Note::Stop);
            let down = ended(cx, monitor).await;
            assert!(
                down.reason.is_normal(),
                "a member ended with {}",
                down.reason
            );
        }
    }

    async fn deed(&mut self, cx: &mut Context, deed: usize) {
        let done = match NAMES[deed] {
            "notes" => self.notes(cx).await,
            "replaced" => self.replace(cx).await,
            "families" => family(cx).await,
            "timers" => timers(cx).await,
            "heap_limits" => heap_limit(cx).await,
            "panics" => panics(cx).await,
            "names" => self.names(cx).await,
            "binaries" => binaries(cx).await,
            "tables" => self.tables(cx).await,
            "looks" => self.look(cx).await,
            "mailbox_limits" => mailbox_limit(cx).await,
            _ => self.trace(cx).await,
        };
        // A deed for which there was no room is none.
        if done.is_some() {
            self.done.0[deed] += 1;
        }
    }

    fn any(&self, cx: &Context) -> usize {
        (cx.random() % self.members.len() as u64) as usize
    }

    /// One of a few. Whose heap was ever collected keeps some hundred bytes for it: a million of them would grow for as
    /// long as not all had their turn.
    fn any_of_few(&self, cx: &Context) -> usize {
        self.any(cx) % FEW
    }

    /// Numbers for some members, to be settled later.
    async fn notes(&mut self, cx: &mut Context) -> Option<()> {
        for _ in 0..32 {
            let (index, number) = (self.any(cx), cx.random());
            send(cx, self.members[index], &Note::Add(number));
            let sum = self.owed[index].get_or_insert(0);
            *sum = sum.wrapping_add(number);
        }
        cx.tick(0).await;
        Some(())
    }

    /// What members were sent is what they have received.
    async fn settle(&mut self, cx: &mut Context) {
        for index in 0..self.owed.len() {
            let Some(owed) = self.owed[index].take() else {
                continue;
            };
            let tag = cx.make_ref();
            send(cx, self.members[index], &Note::Tell(cx.pid(), tag));
            let sum = told_number(cx, tag).await;
            assert_eq!(sum, owed, "a member's sum is what it was sent");
        }
    }

    /// A member is killed, and another takes its place.
    async fn replace(&mut self, cx: &mut Context) -> Option<()> {
        let index = self.any(cx);
        let monitor = cx.monitor(self.members[index]);
        cx.exit_process(self.members[index], ExitReason::kill());
        let down = ended(cx, monitor).await;
        assert_eq!(down.reason, ExitReason::killed());
        self.owed[index] = None;
        loop {
            match cx.spawn(member) {
                Ok(pid) => {
                    self.members[index] = pid;
                    return Some(());
                }
                // The others have all the spare ones now.
                Err(_) => cx.sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// A name is one process's at a time, and gone with it.
    async fn names(&self, cx: &mut Context) -> Option<()> {
        let name = format!("soak_{}", self.number);
        let (pid, monitor) = room(cx.spawn_monitor(member))?;
        cx.register(&name, pid).expect("the name is free");
        cx.register(&name, cx.pid()).expect_err("the name is taken");
        assert_eq!(cx.whereis(&name), Some(pid));
        cx.send(name.as_str(), &Note::Stop)
            .expect("it has the name");
        assert!(ended(cx, monitor).await.reason.is_normal());
        assert_eq!(cx.whereis(&name), None, "the dead have no names");
        Some(())
    }

    /// A table goes with its owner.
    async fn tables(&self, cx: &mut Context) -> Option<()> {
        let name = format!("soak_table_{}", self.number);
        let owned = name.clone();
        let (pid, monitor) = room(cx.spawn_monitor(move |mut cx| async move {
            let table = cx
                .table_new(&owned, TableOptions::set())
                .expect("room for a table");
            for row in 0..100_u64 {
                table.insert(&cx, &row, &vec![row; 8]).expect("a row");
            }
            let (from, tag): (Pid, Ref) = cx.receive_as(Timeout::Infinity).await.expect("for ever");
            cx.send(from, &(tag, table.len() as u64))
                .expect("a pid needs no name");
            cx.receive().await;
        }))?;
        let tag = cx.make_ref();
        send(cx, pid, &(cx.pid(), tag));
        assert_eq!(told_number(cx, tag).await, 100);
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(ended(cx, monitor).await.reason, ExitReason::killed());
        assert!(cx.table(&name).is_none(), "a table without an owner");
        Some(())
    }

    /// Others are looked at, and have their heaps collected.
    async fn look(&self, cx: &mut Context) -> Option<()> {
        let member = self.members[self.any_of_few(cx)];
        let info = cx.process_info(member).expect("members live");
        assert!(info.memory > 0 && info.links.is_empty());
        assert!(cx.is_alive(member).await && cx.garbage_collect_process(member).await);
        Some(())
    }

    /// What a member receives is told while its trace is on, and not afterwards.
    async fn trace(&mut self, cx: &mut Context) -> Option<()> {
        let index = self.any(cx);
        let member = self.members[index];
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        let tracer = Tracer::handler(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let session = cx.vm().trace_session(tracer);
        session
            .trace(member, TraceFlags::RECEIVE)
            .expect("members live");
        for number in 0..TRACED {
            send(cx, member, &Note::Add(number));
        }
        let tag = cx.make_ref();
        send(cx, member, &Note::Tell(cx.pid(), tag));
        let sum = told_number(cx, tag).await;
        let owed = self.owed[index].take().unwrap_or(0);
        assert_eq!(sum, owed.wrapping_add((0..TRACED).sum()));
        let delivered = session.delivered(cx, member);
        expect(
            cx,
            "trace_delivered",
            move |message| term_match!(message.term(), {trace_delivered, (member), (delivered)}),
        )
        .await;
        // Those, and the request for the sum.
        assert_eq!(
            told.load(Ordering::Relaxed),
            TRACED + 1,
            "events of a trace"
        );
        drop(session);
        Some(())
    }
}

/// Some that are linked in a ring end together; one that traps exits may be among them.
async fn family(cx: &mut Context) -> Option<()> {
    let count = 3 + cx.random() % (KIN_MAX - 2);
    let (driver, traps) = (cx.pid(), cx.random().is_multiple_of(2));
    let mut pids = Vec::new();
    let mut ends = Vec::new();
    for number in 0..count {
        let spawned = match traps && number == 0 {
            true => cx.spawn_monitor(move |cx| survivor(cx, driver)),
            false => cx.spawn_monitor(move |cx| kin(cx, driver)),
        };
        let Ok((pid, monitor)) = spawned else {
            return disband(cx, pids, ends).await;
        };
        pids.push(pid);
        ends.push(monitor);
    }
    for (number, &pid) in pids.iter().enumerate() {
        let tag = cx.make_ref();
        send(cx, pid, &Word::Link(pids[(number + 1) % pids.len()], tag));
        told_number(cx, tag).await;
    }
    let victim = pids[1 + (cx.random() % (count - 1)) as usize];
    let reason = match cx.random() % 2 {
        0 => {
            cx.exit_process(victim, ExitReason::kill());
            ExitReason::killed()
        }
        _ => {
            send(cx, victim, &Word::Fail(7));
            ExitReason::new(&7)
        }
    };
    for &end in &ends[usize::from(traps)..] {
        assert_eq!(ended(cx, end).await.reason, reason);
    }
    if traps {
        // Both its neighbours have ended, and it was told before we were.
        send(cx, pids[0], &Word::Leave);
        assert_eq!(ended(cx, ends[0]).await.reason, ExitReason::new(&2));
    }
    Some(())
}

/// No room for all: those that are there leave.
async fn disband(cx: &mut Context, pids: Vec<Pid>, ends: Vec<Ref>) -> Option<()> {
    for (pid, end) in pids.into_iter().zip(ends) {
        send(cx, pid, &Word::Leave);
        ended(cx, end).await;
    }
    None
}

/// Timers fire once, or are cancelled and don't.
async fn timers(cx: &mut Context) -> Option<()> {
    let tag = cx.make_ref();
    let mut timers = Vec::new();
    for number in 0..32_u64 {
        let after = Duration::from_micros(cx.random() % 5000);
        let timer = cx.send_after(after, cx.pid(), &(tag, number));
        timers.push(timer.expect("room for a timer"));
    }
    let mut due = 32;
    for timer in timers.into_iter().step_by(2) {
        if cx.cancel_timer(timer).is_some() {
            due -= 1;
        }
    }
    for _ in 0..due {
        told_number(cx, tag).await;
    }
    Some(())
}

/// Who keeps more than its limit is killed.
async fn heap_limit(cx: &mut Context) -> Option<()> {
    let options = SpawnOptions::new().monitor().max_heap_size(HEAP_WORDS);
    let spawned = cx.spawn_opt(options, |cx| async move {
        loop {
            let kept = cx.heap().keep_value(&vec![1_u64; 100]);
            std::mem::forget(kept);
            cx.tick(1).await;
        }
    });
    let monitor = room(spawned)?.monitor.expect("it was asked for");
    assert_eq!(ended(cx, monitor).await.reason, ExitReason::killed());
    Some(())
}

/// A full mailbox takes no more, and says how much it did not.
async fn mailbox_limit(cx: &mut Context) -> Option<()> {
    let limit = match cx.random() % 3 {
        0 => MailboxLimit::reject(10),
        1 => MailboxLimit::drop_newest(10),
        _ => MailboxLimit::drop_oldest(10),
    };
    let options = SpawnOptions::new().monitor().mailbox_limit(limit);
    let spawned = room(cx.spawn_opt(options, |cx| async move {
        cx.sleep(LOST).await;
    }))?;
    let rejected = (0..25).filter(|number| cx.send(spawned.pid, number).is_err());
    let rejected = rejected.count() as u64;
    let mailbox = cx.process_info(spawned.pid).expect("it sleeps").mailbox;
    assert_eq!(
        (mailbox.rejected, rejected + mailbox.dropped),
        (rejected, 15)
    );
    cx.exit_process(spawned.pid, ExitReason::kill());
    let monitor = spawned.monitor.expect("it was asked for");
    assert_eq!(ended(cx, monitor).await.reason, ExitReason::killed());
    Some(())
}

/// A panic is a reason.
async fn panics(cx: &mut Context) -> Option<()> {
    let (_, monitor) = room(cx.spawn_monitor(|_| async { panic!("of the soak") }))?;
    let reason = ended(cx, monitor).await.reason;
    assert!(reason.is_abnormal() && reason.to_string().contains("of the soak"));
    Some(())
}

/// A long binary is shared on its way through others, and comes back.
async fn binaries(cx: &mut Context) -> Option<()> {
    let echo = |mut cx: Context| async move {
        let (from, tag, bytes): (Pid, Ref, Binary) =
            cx.receive_as(Timeout::Infinity).await.expect("for ever");
        cx.send(from, &(tag, bytes.len() as u64))
            .expect("a pid needs no name");
    };
    let bytes = Binary::from(vec![7; BINARY_BYTES]);
    for _ in 0..4 {
        let (pid, monitor) = room(cx.spawn_monitor(echo))?;
        let tag = cx.make_ref();
        send(cx, pid, &(cx.pid(), tag, &bytes));
        assert_eq!(told_number(cx, tag).await, BINARY_BYTES as u64);
        assert!(ended(cx, monitor).await.reason.is_normal());
    }
    assert_eq!(
        bytes.reference_count(),
        1,
        "nobody else has the binary any more"
    );
    Some(())
}

fn send<M: Serialize>(cx: &Context, to: Pid, message: &M) {
    cx.send(to, message).expect("a pid needs no name");
}

/// What was spawned, if there was room.
fn room<T>(spawned: Result<T, SpawnError>) -> Option<T> {
    match spawned {
        Ok(spawned) => Some(spawned),
        Err(SpawnError::ProcessLimit { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

async fn ended(cx: &mut Context, monitor: Ref) -> Down {
    expect(cx, "the end of a process", move |message| {
        message.down().filter(|down| down.reference == monitor)
    })
    .await
}

/// The number of `{Ref, Number}`.
async fn told_number(cx: &mut Context, tag: Ref) -> u64 {
    expect(
        cx,
        "a number",
        move |message| term_match!(message.term(), {(tag), number: u64}),
    )
    .await
}

/// What `select` finds; one that comes at last, after nothing came in time, is told from one that never comes.
async fn expect<T>(
    cx: &mut Context,
    what: &str,
    mut select: impl FnMut(&Message) -> Option<T> + Send,
) -> T {
    let began = Instant::now();
    for turn in 0..2 * TURNS {
        let found = cx.receive_where(LOST / TURNS, &mut select).await;
        let waited = began.elapsed();
        match found {
            Some(found) if turn < TURNS => return found,
            Some(_) => panic!("{what} came after {waited:?} only: who sends it was kept waiting"),
            None => {}
        }
    }
    let waited = began.elapsed();
    panic!("nothing of {what} came within {waited:?}: a message is lost")
}
