//! A process that nobody supervises. It runs until it crashes; then nobody starts it again, and nobody is told. Nor
//! does anybody end it when the rest of the program ends.

use otp_stdlib::prelude::*;
use otp_vm::{CallError, Context, ExitReason};

use crate::{Failure, kill};

struct Counter {
    count: u64,
}

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter { count: 0 }
    }

    #[call]
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

async fn wrong(cx: &mut Context) -> Result<(), StartError> {
    Counter::start(cx, ()).name("alone").await.map(drop)
}

async fn right(cx: &mut Context) -> Result<(), StartError> {
    let children = vec![ChildSpec::worker("counter", |cx| {
        Counter::start_link(cx, ()).name("supervised")
    })];
    let flags = SupervisorFlags::one_for_one();
    Supervisor::start_link(cx, flags, children).await.map(drop)
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    let cx = &mut cx;
    wrong(cx).await?;
    let alone = ServerRef::<Counter>::from_name("alone")?;
    assert_eq!(alone.next(cx).await?, 1);
    let pid = alone.whereis(cx).ok_or("no counter")?;
    kill(cx, pid).await;
    let gone = alone.next(cx).await;
    assert!(matches!(&gone, Err(CallError::Exit(reason)) if *reason == ExitReason::noproc()));

    right(cx).await?;
    let supervised = ServerRef::<Counter>::from_name("supervised")?;
    assert_eq!(supervised.next(cx).await?, 1);
    let pid = supervised.whereis(cx).ok_or("no counter")?;
    kill(cx, pid).await;
    // Its supervisor needs a moment.
    while supervised.whereis(cx).is_none() {
        cx.yield_now().await;
    }
    let back = supervised.next(cx).await?;
    assert_eq!(back, 1);
    Ok("one is gone for good, the other is back".to_owned())
}
