//! What is asked about a process's messages: where they shall lie, and which they are.

use otp_heap::{CopyError, OwnedTerm, Pid};

use crate::context::{Context, SpawnOptions};
use crate::process::quietly;
use crate::vm::{Vm, VmBuilder};

/// Where the messages of a process lie that it has not received. `message_queue_data` in OTP.
///
/// Here each is a block of its own, before and after it is received, so nothing ever has to be moved: the setting is kept
/// and told, and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MessageQueueData {
    /// `off_heap`: what is the case. The default of a VM.
    #[default]
    OffHeap,
    /// `on_heap`, OTP's default: accepted, and without effect.
    OnHeap,
}

impl VmBuilder {
    /// What processes begin with that are not told otherwise. `erl +hmqd`.
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
    /// Sets where the process's messages shall lie, and gives what was set before.
    /// `process_flag(message_queue_data, Data)`.
    ///
    /// ```
    /// use otp_vm::{MessageQueueData, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     let before = cx.set_message_queue_data(MessageQueueData::OnHeap);
    ///     (before, cx.process_info(cx.pid()).unwrap().message_queue_data)
    /// });
    /// assert_eq!(run.wait()?, (MessageQueueData::OffHeap, MessageQueueData::OnHeap));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_message_queue_data(&self, data: MessageQueueData) -> MessageQueueData {
        self.state().map_or(data, |mut state| {
            std::mem::replace(&mut state.message_queue_data, data)
        })
    }
}

impl Vm {
    /// Copies of the messages that a process has not received, oldest first, or None if it is gone; what a selective
    /// receive is looking at is among them. `process_info(Pid, messages)`.
    ///
    /// One with a native resource can't be copied, and is an error in its place. The process waits meanwhile if it wants
    /// to receive.
    pub fn process_messages(&self, pid: Pid) -> Option<Vec<Result<OwnedTerm, CopyError>>> {
        let look = |process: &crate::process::Process| {
            let mut state = process.lock();
            if !process.is(pid) || state.exiting {
                return None;
            }
            let leftovers = process.drain(&mut state);
            let mut messages = Vec::with_capacity(state.queue_len());
            state
                .inbox
                .each(|term| messages.push(OwnedTerm::copy_of((), term)));
            Some((messages, leftovers))
        };
        let (messages, leftovers) = self.core().with_process(pid, look).flatten()?;
        quietly(pid, || leftovers.finish());
        Some(messages)
    }
}
