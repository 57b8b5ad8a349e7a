//! `selective_receive`: replies that are received by reference, behind messages that nobody receives.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use otp_stdlib::gen_server::GenServer;
use otp_vm::{Context, Pid, Ref, Timeout, atoms, term_match};

use crate::echo::Echo;
use crate::harness::{BenchError, SETTLE, Settings, ns_each};
use crate::report::Report;

/// Requests whose replies are received by reference, with an empty mailbox and behind many messages
#[derive(Debug, Clone, Args)]
pub struct SelectiveReceive {
    /// Requests
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// Messages that lie in the mailbox all the time
    #[arg(long, default_value_t = 1_000_000)]
    pub waiting: u64,
    /// How the reply is waited for
    #[arg(long, value_enum, default_value_t = Wait::Mark)]
    pub kind: Wait,
}

/// How a reply is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// By `receive_since` a mark that was set before the request
    Mark,
    /// By `call`
    Call,
}

impl SelectiveReceive {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, waiting, kind } = *self;
        settings.measure(move |mut cx| async move {
            let server = match kind {
                Wait::Mark => cx.spawn(serve).expect("room for the server"),
                Wait::Call => Echo::start(&mut cx, ())
                    .await
                    .expect("room for the server")
                    .pid()
                    .expect("a reference by pid"),
            };
            requests(&mut cx, server, kind, n.div_ceil(10)).await;
            let empty = requests(&mut cx, server, kind, n).await;
            for _ in 0..waiting {
                cx.send(cx.pid(), &atoms::OK).expect("a pid needs no name");
                cx.tick(0).await;
            }
            // They are taken in before the clock runs.
            let found = cx.message_queue_len() as u64;
            cx.sleep(SETTLE).await;
            let behind = requests(&mut cx, server, kind, n).await;
            assert_eq!(cx.message_queue_len() as u64, found, "replies are received");
            let kind = kind.to_possible_value().expect("every kind has a name");
            Report::new("selective_receive")
                .with("n", n)
                .with("waiting", found)
                .with("kind", kind.get_name())
                .figure("ns_per_request_empty", ns_each(empty, n))
                .figure("ns_per_request", ns_each(behind, n))
        })
    }
}

async fn requests(cx: &mut Context, server: Pid, kind: Wait, n: u64) -> Duration {
    let began = Instant::now();
    for number in 0..n {
        let answer = match kind {
            Wait::Mark => by_mark(cx, server, number).await,
            Wait::Call => cx.call(server, &number, Timeout::Infinity).await.ok(),
        };
        assert_eq!(answer, Some(number));
    }
    began.elapsed()
}

async fn by_mark(cx: &mut Context, server: Pid, number: u64) -> Option<u64> {
    let mark = cx.receive_mark();
    let tag = cx.make_ref();
    cx.send(server, &(cx.pid(), tag, number))
        .expect("a pid needs no name");
    cx.receive_since(
        &mark,
        Timeout::Infinity,
        |message| term_match!(message.term(), {(tag), answer: u64}),
    )
    .await
}

async fn serve(mut cx: Context) {
    loop {
        let (from, tag, number): (Pid, Ref, u64) =
            cx.receive().await.decode().expect("only requests come");
        cx.send(from, &(tag, number)).expect("a pid needs no name");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn replies_come_past_what_waits() {
        for kind in [Wait::Mark, Wait::Call] {
            let report = run(Workload::SelectiveReceive(SelectiveReceive {
                n: 20,
                waiting: 100,
                kind,
            }));
            assert_eq!(report.number("waiting"), Some(100.0));
            assert_positive(&report, &["ns_per_request_empty", "ns_per_request"]);
        }
    }
}
