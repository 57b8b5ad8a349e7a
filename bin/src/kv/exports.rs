//! `kv` as a process module: what `otp-vm run kv` starts, or a child specification that is data.

use otp_vm::{Context, ExitReason, Pid, module};

use super::{Options, announce, start as start_tree};

module! {
    /// A server that speaks the Redis protocol.
    pub mod kv {
        /// Starts the tree, linked with the caller, says where it listens, and gives its top.
        pub async fn start(cx: &mut Context, options: Options) -> Result<Pid, ExitReason> {
            let top = start_tree(cx, options).await.map_err(ExitReason::from)?;
            announce(cx).await?;
            Ok(top)
        }
    }
}
