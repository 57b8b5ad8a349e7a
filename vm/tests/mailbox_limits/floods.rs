//! Ten senders fill a mailbox no more than its limit.

use std::collections::BTreeMap;

use super::*;

const SENDERS: u64 = 10;
const EACH: u64 = 25;
/// One number in a tuple with another: the block, rounded up.
const MESSAGE_BYTES_MAX: usize = 256;

/// Receives until nothing comes for a while, and tells what it got of each sender, in order.
async fn slow_reader(mut cx: Context) {
    let mut got: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    while let Some(message) = cx.receive_timeout(ms(100)).await {
        let (sender, number) = message.decode().unwrap();
        got.entry(sender).or_default().push(number);
        dawdle(&cx).await;
    }
    let mailbox = cx.process_info(cx.pid()).unwrap().mailbox;
    let counts = (mailbox.rejected, mailbox.dropped);
    cx.send(cx.parent(), &("got", got, counts)).unwrap();
}

/// Sends its numbers, and tells how many were refused.
async fn sender(cx: Context, to: Pid, sender: u64, waits: bool) {
    let mut refused = 0;
    for number in 0..EACH {
        let message = (sender, number);
        let sent = match waits {
            true => cx.send_wait(to, &message).await,
            false => cx.send(to, &message),
        };
        match sent {
            Ok(()) => {}
            Err(SendError::MailboxFull(full)) => {
                assert_eq!(full.max_len, MAX_LEN);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        dawdle(&cx).await;
    }
    cx.send(cx.parent(), &("refused", refused)).unwrap();
}

#[derive(Debug, Default)]
struct Flooded {
    received: u64,
    /// What the senders were told.
    refused: u64,
    /// What the mailbox counted.
    rejected: u64,
    dropped: u64,
}

/// Ten senders, of which the last ones may wait for room. The mailbox never holds more than its limit, and what of a
/// sender's arrives does so in order.
async fn flood(cx: &mut Context, limit: MailboxLimit, waiting_senders: u64) -> Flooded {
    let reader = spawn_limited(cx, limit, slow_reader);
    for number in 0..SENDERS {
        let waits = number >= SENDERS - waiting_senders;
        cx.spawn_opt(SpawnOptions::new().link(), move |cx| {
            sender(cx, reader, number, waits)
        })
        .unwrap();
    }
    let mut flooded = Flooded::default();
    for _ in 0..SENDERS {
        while len(cx, cx.pid()) == 0 {
            if limit.when_full != WhenFull::Tell
                && let Some(info) = cx.process_info(reader)
            {
                assert!(info.message_queue_len <= MAX_LEN, "{info:?}");
                assert!(
                    info.mailbox_bytes <= MAX_LEN * MESSAGE_BYTES_MAX,
                    "{info:?}"
                );
            }
            cx.sleep(Duration::from_micros(random() % 50)).await;
        }
        let (_, refused): (String, u64) = expect(cx).await;
        flooded.refused += refused;
    }
    let (_, got, counts): (String, BTreeMap<u64, Vec<u64>>, (u64, u64)) = expect(cx).await;
    (flooded.rejected, flooded.dropped) = counts;
    for (sender, numbers) in got {
        assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "{sender} sent {numbers:?}"
        );
        flooded.received += numbers.len() as u64;
        if sender >= SENDERS - waiting_senders && limit.when_full != WhenFull::DropOldest {
            assert_eq!(numbers.len() as u64, EACH, "{sender} waited for room");
        }
    }
    flooded
}

#[test]
fn a_flood_is_rejected_and_each_sender_learns_of_it() {
    seeds(0..25, |mut cx| async move {
        let flooded = flood(&mut cx, MailboxLimit::reject(MAX_LEN), 0).await;
        assert_eq!(flooded.refused, flooded.rejected, "{flooded:?}");
        assert_eq!(flooded.received + flooded.refused, SENDERS * EACH);
        assert_eq!(flooded.dropped, 0);
        let system = cx.vm().system_info();
        assert_eq!(system.messages_rejected, flooded.rejected);
    });
}

#[test]
fn of_a_flood_the_newest_are_dropped_and_counted() {
    seeds(0..25, |mut cx| async move {
        let flooded = flood(&mut cx, MailboxLimit::drop_newest(MAX_LEN), 0).await;
        assert_eq!((flooded.refused, flooded.rejected), (0, 0));
        assert_eq!(flooded.received + flooded.dropped, SENDERS * EACH);
        assert_eq!(cx.vm().system_info().messages_dropped, flooded.dropped);
    });
}

#[test]
fn of_a_flood_the_oldest_are_dropped_and_counted() {
    seeds(0..25, |mut cx| async move {
        let flooded = flood(&mut cx, MailboxLimit::drop_oldest(MAX_LEN), 0).await;
        assert_eq!((flooded.refused, flooded.rejected), (0, 0));
        assert_eq!(flooded.received + flooded.dropped, SENDERS * EACH);
    });
}

#[test]
fn a_flood_that_is_only_told_of_arrives() {
    seeds(0..10, |mut cx| async move {
        let flooded = flood(&mut cx, MailboxLimit::tell(MAX_LEN), 0).await;
        assert_eq!(flooded.received, SENDERS * EACH);
        assert_eq!((flooded.rejected, flooded.dropped), (0, 0));
    });
}

#[test]
fn senders_that_wait_lose_nothing_whatever_the_others_do() {
    for limit in [
        MailboxLimit::reject(MAX_LEN),
        MailboxLimit::drop_newest(MAX_LEN),
        MailboxLimit::kill(MAX_LEN),
    ] {
        seeds(0..15, move |mut cx| async move {
            let flooded = flood(&mut cx, limit, SENDERS).await;
            assert_eq!(flooded.received, SENDERS * EACH, "{flooded:?}");
        });
    }
    // Among those that don't wait, they get their turns as well.
    seeds(0..15, |mut cx| async move {
        let flooded = flood(&mut cx, MailboxLimit::reject(MAX_LEN), 3).await;
        assert_eq!(flooded.received + flooded.rejected, SENDERS * EACH);
        let flooded = flood(&mut cx, MailboxLimit::drop_oldest(MAX_LEN), 3).await;
        assert_eq!(flooded.received + flooded.dropped, SENDERS * EACH);
    });
}

#[test]
fn a_flood_kills_the_process_before_its_mailbox_is_over_the_limit() {
    seeds(0..15, |mut cx| async move {
        let options = SpawnOptions::new()
            .monitor()
            .mailbox_limit(MailboxLimit::kill(MAX_LEN));
        let flooded = cx.spawn_opt(options, asleep).unwrap();
        for number in 0..SENDERS {
            cx.spawn_link(move |cx| sender(cx, flooded.pid, number, false))
                .unwrap();
        }
        while let Some(info) = cx.process_info(flooded.pid) {
            assert!(info.message_queue_len <= MAX_LEN, "{info:?}");
            cx.sleep(Duration::from_micros(random() % 20)).await;
        }
        let reason = down(&mut cx, flooded.monitor.unwrap()).await;
        assert_eq!(reason.to_string(), format!("{{mailbox_limit,{MAX_LEN}}}"));
        for _ in 0..SENDERS {
            let (_, refused): (String, u64) = expect(&mut cx).await;
            assert_eq!(refused, 0, "its senders learn nothing");
        }
    });
}

/// Real threads: ten processes flood one that is slow, and its memory stays small.
#[test]
fn on_threads_a_flood_of_large_messages_keeps_the_mailbox_small() {
    const LARGE: usize = 1000;
    for limit in [
        MailboxLimit::reject(20),
        MailboxLimit::drop_newest(20),
        MailboxLimit::drop_oldest(20),
    ] {
        bounded(2, move |mut cx| async move {
            let slow = spawn_limited(&cx, limit, |mut cx| async move {
                while cx
                    .receive_timeout(Duration::from_millis(200))
                    .await
                    .is_some()
                {
                    cx.tick(2000).await;
                }
                cx.send(cx.parent(), "idle").unwrap();
            });
            for _ in 0..10 {
                cx.spawn_link(move |cx| async move {
                    for _ in 0..200 {
                        drop(cx.send(slow, &vec![7_u64; LARGE]));
                        cx.tick(100).await;
                    }
                })
                .unwrap();
            }
            let mut most = 0;
            while len(&cx, cx.pid()) == 0 {
                if let Some(info) = cx.process_info(slow) {
                    assert!(info.message_queue_len <= 20, "{info:?}");
                    most = most.max(info.mailbox_bytes);
                }
                cx.sleep(Duration::from_micros(200)).await;
            }
            assert_eq!(expect::<String>(&mut cx).await, "idle");
            assert!(most <= 20 * LARGE * 40, "{most} bytes");
        });
    }
}
