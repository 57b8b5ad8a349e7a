//! The limit on the size of a message.

use std::sync::atomic::Ordering;

use crate::core::Core;
use crate::envelope::Parcel;
use crate::vm::VmBuilder;

/// The largest message, in bytes, unless set: 1 GiB. OTP has no limit; but a message of that size takes a second to
/// make and to decode, and as much memory again, so who sends one has most likely made a mistake.
pub const DEFAULT_MAX_MESSAGE_SIZE_BYTES: usize = 1 << 30;

/// The least that can be set: so a send looks at the limit only where a message is larger than this.
pub const LEAST_MAX_MESSAGE_SIZE_BYTES: usize = 4 << 10;

/// A message is larger than the VM was built for. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the message has {bytes} bytes, and the limit is {max_bytes}: send it in parts, or as a `Binary`, which is shared, \
     or build the VM with `max_message_size` higher"
)]
#[non_exhaustive]
pub struct MessageTooLarge {
    /// Of the message.
    pub bytes: usize,
    /// The limit in force.
    pub max_bytes: usize,
}

impl VmBuilder {
    /// The largest message that may be sent, in bytes: messages, casts, requests of calls and replies, what timers
    /// send. At least [`LEAST_MAX_MESSAGE_SIZE_BYTES`]; by default [`DEFAULT_MAX_MESSAGE_SIZE_BYTES`].
    ///
    /// What counts is the memory of the block that the message is serialised into, its envelope included. Binaries of
    /// more than 64 bytes are shared, not copied, and don't count, and nor do native resources. Exit reasons are not
    /// limited.
    ///
    /// ```
    /// use otp_vm::{SendError, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).max_message_size(1 << 16).build()?;
    /// let run = vm.run(|cx| async move { cx.send(cx.pid(), &vec![0; 10_000]) });
    /// assert!(matches!(run.wait()?, Err(SendError::TooLarge(_))));
    /// assert_eq!(vm.system_info().messages_too_large, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }
}

impl Core {
    /// Gives a message that may be sent.
    #[inline]
    pub(crate) fn sized(&self, parcel: Parcel) -> Result<Parcel, MessageTooLarge> {
        if parcel.bytes() > LEAST_MAX_MESSAGE_SIZE_BYTES {
            self.look_at_size(&parcel)?;
        }
        Ok(parcel)
    }

    #[cold]
    fn look_at_size(&self, parcel: &Parcel) -> Result<(), MessageTooLarge> {
        let (bytes, max_bytes) = (parcel.bytes(), self.max_message_size_bytes);
        if bytes <= max_bytes {
            return Ok(());
        }
        self.counts
            .messages_too_large
            .fetch_add(1, Ordering::Relaxed);
        Err(MessageTooLarge { bytes, max_bytes })
    }
}
