//! `call`: requests to gen_servers, and their replies.

use clap::Args;
use otp_stdlib::gen_server::{GenServer, ServerRef};

use crate::echo::Echo;
use crate::harness::{BenchError, MEMBERS_MAX, Settings, at_once, each_of, ns_each, per_second};
use crate::report::Report;

/// A call to a gen_server, until its reply
#[derive(Debug, Clone, Args)]
pub struct Call {
    /// Calls, all clients together
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// Processes that call
    #[arg(long, default_value_t = 1)]
    pub clients: u64,
    /// Servers; the clients are spread over them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub servers: u64,
}

impl Call {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self {
            n,
            clients,
            servers,
        } = *self;
        let each = each_of(n, clients, "clients")?;
        let servers = servers.max(1);
        settings.measure(move |mut cx| async move {
            let mut echoes: Vec<ServerRef<Echo>> = Vec::new();
            for _ in 0..servers {
                echoes.push(Echo::start(&mut cx, ()).await.expect("the server starts"));
            }
            let elapsed = at_once(&mut cx, clients, move |client, mut cx| async move {
                let server = &echoes[(client % servers) as usize];
                for number in (1..=each).rev() {
                    let reply = server
                        .call(&mut cx, number)
                        .await
                        .expect("the server replies");
                    assert_eq!(reply, number);
                }
            });
            let elapsed = elapsed.await;
            Report::new("call")
                .with("n", each * clients)
                .with("clients", clients)
                .with("servers", servers)
                .figure("ns_per_call", ns_each(elapsed, each * clients))
                .figure("calls_per_s", per_second(elapsed, each * clients))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn clients_share_servers() {
        for (clients, servers) in [(1, 1), (4, 1), (4, 3)] {
            let report = run(Workload::Call(Call {
                n: 80,
                clients,
                servers,
            }));
            assert_eq!(report.number("n"), Some(80.0));
            assert_positive(&report, &["ns_per_call", "calls_per_s"]);
        }
    }
}
