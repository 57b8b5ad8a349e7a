//! `fan_in`: many send to one.

use std::time::Instant;

use clap::{Args, ValueEnum};
use otp_stdlib::gen_server::{GenServer, Init, NoMessage, NoReply, ServerRef};
use otp_vm::{Context, Pid};

use crate::harness::{BenchError, Gate, Settings, each_of, ns_each, per_second};
use crate::load::{self, Load, Outcome};
use crate::proc_fs::resident_bytes;
use crate::report::Report;

/// Many processes send to one, until it has received all
#[derive(Debug, Clone, Args)]
pub struct FanIn {
    /// Messages, all senders together
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// Processes that send
    #[arg(long, default_value_t = 100)]
    pub senders: u64,
    /// To what they send, and how
    #[arg(long, value_enum, default_value_t = FanInKind::Send)]
    pub kind: FanInKind,
}

/// How the messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FanInKind {
    /// Plain messages to a plain process
    Send,
    /// Casts to a gen_server
    Cast,
}

impl FanIn {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, senders, kind } = *self;
        let each = each_of(n, senders, "senders")?;
        let total = each * senders;
        settings.measure(move |mut cx| async move {
            let driver = cx.pid();
            let gate = match kind {
                FanInKind::Send => {
                    let receiver = cx
                        .spawn(move |cx| load::count(cx, driver, total))
                        .expect("room for the receiver");
                    let send = move |_, cx: Context| async move {
                        for number in (1..=each).rev() {
                            cx.send(receiver, &Load::Msg(number))
                                .expect("a pid needs no name");
                            cx.tick(0).await;
                        }
                    };
                    Gate::new(&cx, senders, send).await
                }
                FanInKind::Cast => {
                    let receiver: ServerRef<Counter> = Counter::start(&mut cx, (driver, total))
                        .await
                        .expect("the server starts");
                    let send = move |_, cx: Context| async move {
                        for number in (1..=each).rev() {
                            receiver
                                .cast(&cx, Load::Msg(number))
                                .expect("a number can be sent");
                            cx.tick(0).await;
                        }
                    };
                    Gate::new(&cx, senders, send).await
                }
            };
            let began = Instant::now();
            gate.open(&cx);
            load::all_received(&mut cx).await;
            let elapsed = began.elapsed();
            let resident_mb = resident_bytes() as f64 / 1e6;
            gate.all_done(&mut cx).await;
            let kind = kind.to_possible_value().expect("every kind has a name");
            Report::new("fan_in")
                .with("n", total)
                .with("senders", senders)
                .with("kind", kind.get_name())
                .figure("ns_per_msg", ns_each(elapsed, total))
                .figure("msgs_per_s", per_second(elapsed, total))
                .figure("rss_mb_after", resident_mb)
        })
    }
}

/// Counts casts down to the last, then tells.
struct Counter {
    to: Pid,
    left: u64,
}

impl GenServer for Counter {
    type Args = (Pid, u64);
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = Load;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init((to, left): (Pid, u64), _cx: &mut Context) -> Init<Self> {
        Init::ok(Self { to, left })
    }

    async fn handle_cast(&mut self, Load::Msg(_): Load, cx: &mut Context) -> NoReply<Self> {
        self.left -= 1;
        if self.left == 0 {
            cx.send(self.to, &Outcome::AllReceived)
                .expect("a pid needs no name");
        }
        NoReply::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn all_messages_arrive_in_both_ways() {
        for kind in [FanInKind::Send, FanInKind::Cast] {
            let report = run(Workload::FanIn(FanIn {
                n: 100,
                senders: 5,
                kind,
            }));
            assert_eq!(report.number("n"), Some(100.0));
            assert_positive(&report, &["ns_per_msg", "msgs_per_s", "rss_mb_after"]);
        }
    }
}
