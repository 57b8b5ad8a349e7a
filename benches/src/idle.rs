//! A process that waits.

use otp_vm::Context;

/// Waits for any message, and ends.
pub(crate) async fn until_told(mut cx: Context) {
    cx.receive().await;
}
