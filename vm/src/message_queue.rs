//! Whether the messages that a process has not received count as part of its heap.

use crate::context::{Context, SpawnOptions};
use crate::vm::VmBuilder;

/// Whether messages count as part of a process's heap. `message_queue_data` in OTP.
///
/// Each is a block of its own, before and after it is received, so nothing ever has to be moved: this is only about
/// limits ([`Context::max_heap_size`]) and figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MessageQueueData {
    /// They do. The default, as OTP's.
    #[default]
    OnHeap,
    /// They don't.
    OffHeap,
}

impl MessageQueueData {
    /// OTP's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnHeap => "on_heap",
            Self::OffHeap => "off_heap",
        }
    }
}

impl VmBuilder {
    /// What processes begin with that are not told otherwise; by default [`MessageQueueData::OnHeap`]. `erl +hmqd`.
    pub fn message_queue_data(mut self, data: MessageQueueData) -> Self {
        self.message_queue_data = data;
        self
    }
}

impl SpawnOptions {
    /// By default the VM's, whatever the maker's is. `spawn_opt(…, [{message_queue_data, Data}])`.
    pub fn message_queue_data(mut self, data: MessageQueueData) -> Self {
        self.message_queue_data = Some(data);
        self
    }
}

impl Context {
    /// Sets whether messages count as part of the process's heap, and gives what was set before.
    /// `process_flag(message_queue_data, Data)`.
    ///
    /// ```
    /// use otp_vm::{MessageQueueData, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     let before = cx.set_message_queue_data(MessageQueueData::OffHeap);
    ///     (before, cx.process_info(cx.pid()).unwrap().heap.message_queue_data)
    /// });
    /// assert_eq!(run.wait()?, (MessageQueueData::OnHeap, MessageQueueData::OffHeap));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_message_queue_data(&self, data: MessageQueueData) -> MessageQueueData {
        self.state().map_or(data, |mut state| {
            std::mem::replace(&mut state.message_queue_data, data)
        })
    }
}
