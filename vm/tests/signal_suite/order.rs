//! Not OTP's: the order of signals of every kind between two processes, by random schedules.
//!
//! The sender does things at the receiver in random order. After each it tells, with a number, what links and monitors
//! should be there by then. The receiver traps exits, so that all but links, monitors and their ends are messages to
//! it, and of those it looks at its own entries: they are what the newest message says that has arrived with them.

use super::*;

/// What the receiver knows of the sender's doings.
type Word = (u32, bool, usize);

const STEPS: u32 = 120;

struct Sender {
    cx: Context,
    to: Pid,
    alias: Ref,
    linked: bool,
    monitors: Vec<Ref>,
    number: u32,
}

impl Sender {
    /// No await between the deed and the word: both arrive together.
    async fn step(&mut self) {
        match random() % 12 {
            0 | 1 => {
                self.cx.link(self.to);
                self.linked = true;
            }
            2 => {
                self.cx.unlink(self.to);
                self.linked = false;
            }
            3 | 4 => self.monitors.push(self.cx.monitor(self.to)),
            5 => self.monitors.push(self.cx.monitor("receiver")),
            6 => {
                if let Some(monitor) = self.monitors.pop() {
                    assert!(self.cx.demonitor(monitor));
                }
            }
            7 => {
                // A call's monitor goes with its request.
                drop(self.cx.send_request(self.to, &self.number));
                let word = self.word();
                self.cx.cast(self.to, &word).unwrap();
            }
            8 => assert!(self.cx.is_alive(self.to).await),
            9 => self.cx.sleep(Duration::from_micros(random() % 50)).await,
            _ => {}
        }
        let word = self.word();
        match random() % 6 {
            0 => self.cx.exit_process(self.to, ExitReason::new(&word)),
            1 => self.cx.send("receiver", &word).unwrap(),
            2 => self.cx.send(("receiver", self.cx.node()), &word).unwrap(),
            3 => self.cx.send(self.alias, &word).unwrap(),
            4 => self.cx.cast(self.to, &word).unwrap(),
            _ => self.cx.send(self.to, &word).unwrap(),
        }
    }

    fn word(&mut self) -> Word {
        self.number += 1;
        (self.number, self.linked, self.monitors.len())
    }
}

async fn sends(mut cx: Context) {
    let (to, alias) = expect(&mut cx).await;
    let mut sender = Sender {
        cx,
        to,
        alias,
        linked: false,
        monitors: Vec::new(),
        number: 0,
    };
    for _ in 0..STEPS {
        sender.step().await;
        if random().is_multiple_of(3) {
            sender.cx.yield_now().await;
        }
    }
    let word = sender.word();
    sender.cx.exit(ExitReason::new(&word));
}

/// What a message says, and whether it is of the sender's end.
fn word_in(message: &otp_vm::Message, sender: Pid) -> Option<(Word, bool)> {
    if let Some(down) = message.down() {
        return Some((down.reason.decode().unwrap(), true));
    }
    if let Some(exit) = message.exit() {
        assert_eq!(exit.from, sender);
        return Some((exit.reason.decode().unwrap(), false));
    }
    match message.kind() {
        otp_vm::MessageKind::Call { .. } => None,
        otp_vm::MessageKind::Cast(word) => Some((otp_vm::from_term(word).unwrap(), false)),
        _ => Some((message.decode().unwrap(), false)),
    }
}

#[test]
fn signals_of_every_kind_keep_their_order_between_two_processes() {
    seeds(0..1000, |mut cx| async move {
        cx.trap_exit(true);
        cx.register("receiver", cx.pid()).unwrap();
        let (sender, _) = cx.spawn_monitor(sends).unwrap();
        cx.send(sender, &(cx.pid(), cx.alias())).unwrap();
        let mut last = 0;
        let mut ended = false;
        while !ended {
            // All that has arrived, and the entries as of its newest part.
            let info = cx.process_info(cx.pid()).unwrap();
            let mut newest = None;
            for _ in 0..info.message_queue_len {
                let message = cx.receive().await;
                let Some((word, is_end)) = word_in(&message, sender) else {
                    continue;
                };
                // Of its end it tells by the monitor, and by the link if there is one.
                assert!(
                    word.0 == last + 1 || (word.0 == last && word.0 > STEPS),
                    "{last}, {message}"
                );
                last = word.0;
                newest = Some(word);
                ended |= is_end;
            }
            if let Some((_, linked, monitors)) = newest
                && !ended
                && cx.process_info(sender).is_some()
            {
                let watching = info.monitored_by.iter().filter(|&&pid| pid == sender);
                assert_eq!(info.links.contains(&sender), linked, "after {last}");
                assert_eq!(watching.count(), monitors, "after {last}");
            }
            if !ended {
                cx.sleep(Duration::from_micros(random() % 20)).await;
            }
        }
        assert!(last > STEPS);
        cx.sleep(Duration::from_secs(1)).await;
        let info = cx.process_info(cx.pid()).unwrap();
        assert_eq!((info.links, info.monitored_by), (vec![], vec![]));
        while let Some(message) = cx.receive_timeout(Duration::ZERO).await {
            assert_eq!(word_in(&message, sender).unwrap().0.0, last, "{message}");
        }
    });
}
