//! The rest of `init` by a message to oneself. Whoever knows the process by then, by its name or since it was told, can
//! have sent before; and its request is handled by a server that is not ready. What `continue` says comes before any
//! message. `expensive_init.rs` shows it for a load that takes long.

use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::{Context, Pid, Timeout};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// What both begin with: the owner is told of the process, and then something takes its time.
async fn prepare(owner: Pid, cx: &Context) {
    cx.send(owner, &cx.pid()).expect("a pid is a term");
    cx.sleep(Duration::from_secs(1)).await;
}

#[derive(Serialize, Deserialize)]
struct Load;

struct Wrong(Option<u32>);

#[gen_server]
impl Wrong {
    async fn init(owner: Pid, cx: &mut Context) -> Self {
        prepare(owner, cx).await;
        cx.send(cx.pid(), &Load).expect("a term");
        Wrong(None)
    }

    #[info]
    fn load(&mut self, _: Load) {
        self.0 = Some(42);
    }

    #[call]
    fn loaded(&self) -> Option<u32> {
        self.0
    }
}

struct Right(Option<u32>);

#[gen_server]
impl Right {
    async fn init(owner: Pid, cx: &mut Context) -> Init<Self> {
        prepare(owner, cx).await;
        Init::ok(Right(None)).and_continue(RightContinue::Load)
    }

    #[continues]
    fn load(&mut self) {
        self.0 = Some(42);
    }

    #[call]
    fn loaded(&self) -> Option<u32> {
        self.0
    }
}

/// The pid that a process is told of.
async fn told(cx: &mut Context) -> Pid {
    cx.receive_as(Timeout::Infinity).await.expect("a pid")
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    let cx = &mut cx;
    // Who asks as soon as there is somebody to be asked.
    let asks = Task::async_(cx, async |mut cx: Context| {
        let server = ServerRef::<Wrong>::from_pid(told(&mut cx).await);
        server.loaded(&mut cx).await
    })?;
    Wrong::start_link(cx, asks.pid().ok_or("no task")?).await?;
    let by_message = asks.await_(cx).await?;

    let asks = Task::async_(cx, async |mut cx: Context| {
        let server = ServerRef::<Right>::from_pid(told(&mut cx).await);
        server.loaded(&mut cx).await
    })?;
    Right::start_link(cx, asks.pid().ok_or("no task")?).await?;
    let by_continue = asks.await_(cx).await?;

    assert_eq!((by_message, by_continue), (None, Some(42)));
    Ok(format!("{by_message:?} in place of {by_continue:?}"))
}
