//! No message is lost, and no wake: processes wait in every way there is, at random, while others suspend them, trace
//! them, look at them and have their heaps collected. What they wait for comes in the end, or a test hangs, which a
//! simulation finds at once, and real schedulers in time. All that was sent is received.

mod common;
#[path = "common/seeds.rs"]
mod seeds;

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{Foreign, LIMIT, bounded};
use otp_vm::{
    Context, ExitReason, MailboxLimit, Message, MessageKind, Pid, Ref, SuspendOptions, Timeout,
    TraceFlags, Tracer, term_match,
};
use seeds::seeds;
use serde::{Deserialize, Serialize};

/// How much of everything there is.
#[derive(Clone, Copy)]
struct Scale {
    takers: u64,
    senders: u64,
    /// Messages of each sender.
    each: u64,
    meddlers: u64,
    /// What each meddler does, so many times.
    deeds: u64,
    /// One in so many looks of a taker, and sends, is one that takes long; 1: none.
    hogs: u64,
}

/// Does not give way for so long that the thread loses its scheduler.
fn hog() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(3) {
        std::hint::spin_loop();
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Word {
    Number(u64),
    /// All numbers were sent.
    Tell(Pid),
}

/// What a taker has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    count: u64,
    sum: u64,
}

impl Taken {
    fn add(&mut self, number: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(number);
    }
}

fn chance(cx: &Context, of: u64) -> u64 {
    cx.random() % of
}

/// Answers calls, and messages that want an answer.
async fn echo(mut cx: Context) {
    loop {
        let message = cx.receive().await;
        match message.kind() {
            MessageKind::Call { from, request } => {
                let number: u64 = otp_vm::from_term(request).unwrap();
                cx.reply(&from, &number).unwrap();
            }
            _ => {
                let (from, tag): (Pid, Ref) = message.decode().unwrap();
                cx.send(from, &tag).unwrap();
            }
        }
        if chance(&cx, 4) == 0 {
            cx.yield_now().await;
        }
    }
}

/// Whether a message is for a taker that wants numbers of this remainder: what ends it is for all.
fn is_wanted(message: &Message, remainder: u64) -> Option<Word> {
    match message.decode().ok()? {
        Word::Number(number) if number % 2 != remainder => None,
        word => Some(word),
    }
}

/// Waits in one way or another until it is told to tell.
fn taker(
    mut cx: Context,
    mut taken: Taken,
    echo: Pid,
    hogs: u64,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        loop {
            if chance(&cx, hogs) == 1 {
                hog();
            }
            let remainder = chance(&cx, 2);
            let word = match chance(&cx, 12) {
                0 | 1 => Some(cx.receive().await.decode().unwrap()),
                2 => {
                    let wait = Duration::from_micros(chance(&cx, 300));
                    let message = cx.receive_timeout(wait).await;
                    message.map(|message| message.decode().unwrap())
                }
                3 => {
                    let select = |message: &Message| is_wanted(message, remainder);
                    cx.receive_where(Timeout::Infinity, select).await
                }
                4 => {
                    let mark = cx.receive_mark();
                    let tag = cx.make_ref();
                    cx.send(echo, &(cx.pid(), tag)).unwrap();
                    let answer = cx.receive_since(&mark, Timeout::Infinity, |message| {
                        term_match!(message.term(), (tag)).map(|_| ())
                    });
                    answer.await.unwrap();
                    None
                }
                5 => {
                    let limit = match remainder {
                        0 => Timeout::Infinity,
                        _ => Timeout::After(LIMIT),
                    };
                    assert_eq!(cx.call::<_, u64>(echo, &7_u64, limit).await.unwrap(), 7);
                    None
                }
                6 => Some(Foreign::new(cx.receive()).await.decode().unwrap()),
                7 => {
                    let select = |message: &Message| is_wanted(message, remainder);
                    Foreign::new(cx.receive_where(Timeout::Infinity, select)).await
                }
                8 => {
                    let call = pin!(cx.call::<_, u64>(echo, &8_u64, Timeout::Infinity));
                    assert_eq!(Foreign::new(call).await.unwrap(), 8);
                    None
                }
                9 => {
                    // Given up half-way, with its waker left behind.
                    let mut receive = Foreign::new(cx.receive());
                    let poll =
                        std::future::poll_fn(|task| Poll::Ready(pin!(&mut receive).poll(task)));
                    match poll.await {
                        Poll::Ready(message) => Some(message.decode().unwrap()),
                        Poll::Pending => None,
                    }
                }
                10 => {
                    match chance(&cx, 3) {
                        0 => drop(cx.set_mailbox_limit(MailboxLimit::tell(3))),
                        1 => drop(cx.set_mailbox_limit(MailboxLimit::NONE)),
                        _ => drop(cx.max_heap_size(chance(&cx, 2) as usize * 10_000_000)),
                    }
                    None
                }
                _ => {
                    let request = cx.send_request(echo, &9_u64).unwrap();
                    let message = cx.receive_timeout(Duration::ZERO).await;
                    let reply = cx.receive_response::<u64>(request, Timeout::Infinity);
                    assert_eq!(reply.await.unwrap(), 9);
                    if message.is_none() && remainder == 0 {
                        cx.hibernate(move |cx| taker(cx, taken, echo, hogs)).await;
                    }
                    message.map(|message| message.decode().unwrap())
                }
            };
            match word {
                Some(Word::Number(number)) => taken.add(number),
                Some(Word::Tell(to)) => {
                    // It was chosen before older ones, perhaps.
                    while let Some(message) = cx.receive_timeout(Duration::ZERO).await {
                        if let Word::Number(number) = message.decode().unwrap() {
                            taken.add(number);
                        }
                    }
                    cx.send(to, &(cx.pid(), taken)).unwrap();
                    // Those who meddle with it are not through.
                    return drop(cx.receive().await);
                }
                None => {}
            }
        }
    })
}

/// Sends its numbers, and tells what each taker was sent.
async fn sender(cx: Context, takers: Vec<Pid>, Scale { each, hogs, .. }: Scale) {
    let mut sent = vec![Taken::default(); takers.len()];
    for number in 0..each {
        let to = chance(&cx, takers.len() as u64) as usize;
        match chance(&cx, 8) {
            0 => drop(cx.send_after(
                Duration::from_micros(chance(&cx, 100)),
                takers[to],
                &Word::Number(number),
            )),
            1 => cx
                .send_wait(takers[to], &Word::Number(number))
                .await
                .unwrap(),
            _ => cx.send(takers[to], &Word::Number(number)).unwrap(),
        }
        sent[to].add(number);
        match chance(&cx, 16) {
            0 => cx.yield_now().await,
            1 => cx.sleep(Duration::from_micros(chance(&cx, 200))).await,
            2 if chance(&cx, hogs) == 1 => hog(),
            _ => cx.tick(1).await,
        }
    }
    // What timers send comes by then.
    cx.sleep(Duration::from_millis(5)).await;
    let sent: Vec<(u64, u64)> = sent.iter().map(|sent| (sent.count, sent.sum)).collect();
    cx.send(cx.parent(), &sent).unwrap();
}

/// Does to takers what others may do to a process.
async fn meddler(mut cx: Context, takers: Vec<Pid>, deeds: u64) {
    for _ in 0..deeds {
        let taker = takers[chance(&cx, takers.len() as u64) as usize];
        match chance(&cx, 9) {
            0 => {
                let suspended = cx.suspend_process(taker, SuspendOptions::new()).await;
                if suspended.is_ok() {
                    cx.yield_now().await;
                    drop(cx.resume_process(taker));
                }
            }
            1 => {
                let options = SuspendOptions::new().asynchronous();
                if cx.suspend_process(taker, options).await.is_ok() {
                    cx.tick(100).await;
                    drop(cx.resume_process(taker));
                }
            }
            2 => drop(cx.process_info(taker)),
            3 => drop(cx.is_alive(taker).await),
            4 => drop(cx.garbage_collect_process(taker).await),
            5 => {
                let monitor = cx.monitor(taker);
                cx.yield_now().await;
                cx.demonitor_flush(monitor);
            }
            6 => {
                let session = cx.vm().trace_session(Tracer::handler(|_| {}));
                let flags = TraceFlags::RECEIVE | TraceFlags::RUNNING;
                let _ = session.trace(taker, flags);
                cx.yield_now().await;
            }
            7 => cx.exit_process(taker, ExitReason::normal()),
            _ => {
                cx.link(taker);
                cx.tick(50).await;
                cx.unlink(taker);
            }
        }
        cx.tick(1).await;
    }
    cx.send(cx.parent(), &"done").unwrap();
}

async fn all_arrives(mut cx: Context, scale: Scale) {
    let echo = cx.spawn_link(echo).unwrap();
    let takers: Vec<Pid> = (0..scale.takers)
        .map(|_| {
            cx.spawn_link(move |cx| taker(cx, Taken::default(), echo, scale.hogs))
                .unwrap()
        })
        .collect();
    for _ in 0..scale.meddlers {
        let takers = takers.clone();
        cx.spawn_link(move |cx| meddler(cx, takers, scale.deeds))
            .unwrap();
    }
    for _ in 0..scale.senders {
        let takers = takers.clone();
        cx.spawn_link(move |cx| sender(cx, takers, scale)).unwrap();
    }
    let mut owed = vec![Taken::default(); takers.len()];
    for _ in 0..scale.senders {
        let sent = cx
            .receive_as::<Vec<(u64, u64)>>(LIMIT)
            .await
            .expect("a sender ends");
        for (owed, (count, sum)) in owed.iter_mut().zip(sent) {
            owed.count += count;
            owed.sum = owed.sum.wrapping_add(sum);
        }
    }
    for (&taker, owed) in takers.iter().zip(owed) {
        cx.send(taker, &Word::Tell(cx.pid())).unwrap();
        let told = cx.receive_where(LIMIT, |message| {
            message
                .decode::<(Pid, Taken)>()
                .ok()
                .filter(|told| told.0 == taker)
        });
        let (_, taken) = told
            .await
            .unwrap_or_else(|| panic!("{:?}", cx.process_info(taker)));
        assert_eq!(taken, owed);
    }
    for _ in 0..scale.meddlers {
        cx.receive_where(LIMIT, |message| message.decode::<String>().ok())
            .await
            .expect("a meddler ends");
    }
    assert_eq!(cx.message_queue_len(), 0);
    for taker in takers {
        cx.send(taker, &()).unwrap();
    }
}

#[test]
fn whatever_others_do_to_who_waits_all_arrives_in_every_order() {
    let scale = Scale {
        takers: 3,
        senders: 3,
        each: 20,
        meddlers: 2,
        deeds: 15,
        hogs: 1,
    };
    seeds(0..300, move |cx| all_arrives(cx, scale));
}

#[test]
fn whatever_others_do_to_who_waits_all_arrives_on_threads() {
    let scale = Scale {
        takers: 8,
        senders: 6,
        each: 1500,
        meddlers: 4,
        deeds: 300,
        hogs: 300,
    };
    for schedulers in [1, 2, 4] {
        bounded(schedulers, move |cx| all_arrives(cx, scale));
    }
}
