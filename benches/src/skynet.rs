//! `skynet`: a tree of processes, ten children each, whose leaves' numbers are summed up.

use std::pin::Pin;
use std::time::Instant;

use clap::Args;
use otp_vm::{Context, Pid};

use crate::harness::{BenchError, MEMBERS_MAX, Settings, ms};
use crate::report::Report;

/// A tree of processes, ten under each, sums up the numbers of its leaves
#[derive(Debug, Clone, Args)]
pub struct Skynet {
    /// Leaves; rounded down to a power of ten
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub n: u64,
}

/// Children of a node.
const CHILDREN: u64 = 10;

impl Skynet {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let n = CHILDREN.pow(self.n.max(1).ilog(CHILDREN));
        settings.measure(move |mut cx| async move {
            let first_ms = tree(&mut cx, n).await;
            let second_ms = tree(&mut cx, n).await;
            Report::new("skynet")
                .with("n", n)
                .figure("ms_first", first_ms)
                .figure("ms", second_ms)
        })
    }
}

async fn tree(cx: &mut Context, leaves: u64) -> f64 {
    let driver = cx.pid();
    let began = Instant::now();
    cx.spawn(move |cx| node(cx, driver, 0, leaves))
        .expect("room for the tree");
    let sum: u64 = cx
        .receive()
        .await
        .decode()
        .expect("the tree answers with a number");
    let elapsed = began.elapsed();
    assert_eq!(sum, leaves * (leaves - 1) / 2);
    ms(elapsed)
}

/// In a box, because its type holds itself: nodes make nodes.
fn node(
    mut cx: Context,
    parent: Pid,
    number: u64,
    leaves: u64,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return leaf(cx, parent, number).await;
        }
        let (me, below) = (cx.pid(), leaves / CHILDREN);
        for child in 0..CHILDREN {
            let number = number + child * below;
            let made = match below {
                1 => cx.spawn(move |cx| leaf(cx, me, number)),
                _ => cx.spawn(move |cx| node(cx, me, number, below)),
            };
            made.expect("room for the tree");
        }
        let mut sum = 0;
        for _ in 0..CHILDREN {
            sum += cx
                .receive()
                .await
                .decode::<u64>()
                .expect("children answer with numbers");
        }
        cx.send(parent, &sum).expect("a pid needs no name");
    })
}

async fn leaf(cx: Context, parent: Pid, number: u64) {
    cx.send(parent, &number).expect("a pid needs no name");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn the_sum_is_right_for_every_power_of_ten() {
        for (asked, leaves) in [(1, 1.0), (10, 10.0), (1234, 1000.0)] {
            let report = run(Workload::Skynet(Skynet { n: asked }));
            assert_eq!(report.number("n"), Some(leaves));
            assert_positive(&report, &["ms_first", "ms"]);
        }
    }
}
