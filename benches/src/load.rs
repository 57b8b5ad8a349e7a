//! Many messages to one receiver, and how it says that all have come.

use otp_vm::{Context, Pid, Timeout};
use serde::{Deserialize, Serialize};

/// `{msg, Number}`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Load {
    Msg(u64),
}

/// `all_received`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    AllReceived,
}

/// Receives `total` messages, then tells `to`.
pub(crate) async fn count(mut cx: Context, to: Pid, total: u64) {
    for _ in 0..total {
        let Load::Msg(_) = cx
            .receive()
            .await
            .decode()
            .expect("only messages of the load come");
    }
    cx.send(to, &Outcome::AllReceived)
        .expect("a pid needs no name");
}

/// Waits until the receiver has told.
pub(crate) async fn all_received(cx: &mut Context) {
    let told = cx
        .receive_where(Timeout::Infinity, |message| {
            message.decode::<Outcome>().ok()
        })
        .await;
    let Outcome::AllReceived = told.expect("no time limit was given");
}
