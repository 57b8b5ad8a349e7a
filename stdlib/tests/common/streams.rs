//! What the elements of streams are made of.

#![allow(dead_code, missing_docs)] // Each test uses its own part of it.

use std::time::Duration;

use otp_stdlib::task::StreamError;
use otp_vm::{Context, ExitReason};

use super::common::for_ever;

/// For ever.
pub const INFINITY: u64 = u64::MAX;

/// Sleeps so many milliseconds.
pub async fn sleep(mut cx: Context, millis: u64) -> u64 {
    if millis == INFINITY {
        for_ever(&mut cx).await;
    }
    cx.sleep(Duration::from_millis(millis)).await;
    millis
}

pub async fn exit(cx: Context, reason: u64) -> u64 {
    cx.exit(ExitReason::new(&reason))
}

pub type Result = std::result::Result<u64, StreamError<u64>>;

pub fn ok(values: impl IntoIterator<Item = u64>) -> Vec<Result> {
    values.into_iter().map(Ok).collect()
}

pub fn failed(reason: ExitReason, input: Option<u64>) -> Result {
    let mut error = StreamError::Exit {
        reason: ExitReason::normal(),
        input: None,
    };
    if let StreamError::Exit {
        reason: of,
        input: on,
    } = &mut error
    {
        (*of, *on) = (reason, input);
    }
    Err(error)
}

pub fn exits(reasons: impl IntoIterator<Item = u64>) -> Vec<Result> {
    let exit = |reason: u64| failed(ExitReason::new(&reason), None);
    reasons.into_iter().map(exit).collect()
}
