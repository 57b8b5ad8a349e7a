//! What the tests share: a VM for each, and a bound on every wait.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::Duration;

use otp_vm::{Context, Vm};

/// No wait of a test takes longer; one that does has failed.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Runs `body` as a process of a fresh VM, with one and with two schedulers, then shuts down.
pub fn run<B, F>(body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    for schedulers in [1, 2] {
        let vm = Vm::builder().schedulers(schedulers).build().expect("a VM");
        let body = body.clone();
        let result = vm.run(body).wait();
        if let Err(error) = result {
            panic!("with {schedulers} schedulers: {error}");
        }
        let report = vm.shutdown(LIMIT).wait().expect("not a scheduler thread");
        assert!(report.stuck.is_empty(), "{report:?}");
    }
}

/// The next message, decoded; fails when none comes.
pub async fn expect<T: serde::de::DeserializeOwned>(cx: &mut Context) -> T {
    let message = cx.receive_timeout(LIMIT).await.expect("a message in time");
    message
        .decode()
        .unwrap_or_else(|error| panic!("{message}: {error}"))
}

/// Waits until `cx` may be sure that everything sent to it by `pid` before now has arrived.
pub async fn settle(cx: &mut Context, pid: otp_vm::Pid) -> bool {
    cx.is_alive(pid).await
}
