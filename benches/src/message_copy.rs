//! `message_copy`: a nested term of many words is sent and acknowledged.
//!
//! Two ways: a Rust value, which is serialised into the message and decoded by the receiver; and
//! an owned term, which is copied into the message and looked at, as Erlang's send does.

use std::time::{Duration, Instant};

use clap::Args;
use otp_vm::{Context, OwnedTerm, Pid, atoms, to_term};
use serde::Serialize;

use crate::harness::{BenchError, Settings};
use crate::report::Report;

/// Send a nested term, until the receiver has it and says so
#[derive(Debug, Clone, Args)]
pub struct MessageCopy {
    /// Words of the term, about
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=WORDS_MAX))]
    pub words: u64,
    /// Words to send in all
    #[arg(long, default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
}

/// Most words of a term: some 800 MB, which are there several times over.
const WORDS_MAX: u64 = 100_000_000;

/// Words of ten three-tuples in a list, and of the cell that holds the list.
const WORDS_PER_ROW: usize = 62;

/// However large the term: fewer messages would measure the clock.
const MIN_MESSAGES: usize = 20;

type Table = Vec<Vec<(i64, i64, i64)>>;

impl MessageCopy {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let (words, n) = (self.words as usize, self.n as usize);
        settings.measure(move |mut cx| async move {
            let row: Vec<_> = (1..=10).map(|i| (i, i + 1, i + 2)).collect();
            let table: Table = vec![row; (words / WORDS_PER_ROW).max(1)];
            let term: OwnedTerm = to_term(&table).expect("a table is a term");
            let words = term.root().words();
            let messages = (n / words).max(MIN_MESSAGES);

            let values = cx.spawn(receive_values).expect("room for the receiver");
            let as_value = send(&mut cx, values, &table, messages).await;
            let terms = cx.spawn(receive_terms).expect("room for the receiver");
            let as_term = send(&mut cx, terms, &term, messages).await;
            let per_word =
                |elapsed: Duration| elapsed.as_nanos() as f64 / (messages * words) as f64;
            let per_message = |elapsed: Duration| elapsed.as_secs_f64() * 1e6 / messages as f64;
            Report::new("message_copy")
                .with("words", words)
                .with("messages", messages)
                .figure("ns_per_word", per_word(as_value))
                .figure("us_per_msg", per_message(as_value))
                .figure("ns_per_word_term", per_word(as_term))
                .figure("us_per_msg_term", per_message(as_term))
        })
    }
}

/// Sends `{Pid, Content}` and waits for `ok`, one after the other.
async fn send<T: Serialize>(cx: &mut Context, to: Pid, content: &T, messages: usize) -> Duration {
    let warm_up = (messages / 10).max(3);
    let mut began = Instant::now();
    for number in 0..warm_up + messages {
        if number == warm_up {
            began = Instant::now();
        }
        cx.send(to, &(cx.pid(), content))
            .expect("a pid needs no name");
        let () = cx.receive().await.decode().expect("the receiver says ok");
    }
    began.elapsed()
}

async fn receive_values(mut cx: Context) {
    loop {
        let (from, table): (Pid, Table) = cx.receive().await.decode().expect("tables come");
        // What was decoded is dropped before the answer: that is part of having had it.
        drop(std::hint::black_box(table));
        cx.send(from, &()).expect("a pid needs no name");
    }
}

async fn receive_terms(mut cx: Context) {
    loop {
        let from = {
            let message = cx.receive().await;
            let pair = message.term().as_tuple().expect("pairs come");
            assert!(
                pair.get(1)
                    .is_some_and(|term| term.as_atom() != Some(atoms::OK))
            );
            pair.get(0)
                .and_then(|from| from.as_pid())
                .expect("the sender comes first")
        };
        cx.send(from, &()).expect("a pid needs no name");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn the_term_has_about_as_many_words_as_asked() {
        let report = run(Workload::MessageCopy(MessageCopy { words: 620, n: 620 }));
        assert_eq!(report.number("messages"), Some(20.0));
        assert!(
            report
                .number("words")
                .is_some_and(|words| (500.0..=700.0).contains(&words)),
            "{report}"
        );
        assert_positive(
            &report,
            &[
                "ns_per_word",
                "us_per_msg",
                "ns_per_word_term",
                "us_per_msg_term",
            ],
        );
    }
}
