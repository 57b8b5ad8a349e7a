//! Reports to the host program: values of any type, for the handler that the VM was built with.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use otp_heap::{OwnedTerm, Pid};

use crate::envelope::HOST;
use crate::process::quietly;
use crate::vm::Vm;

type Handler = dyn Fn(&(dyn Any + Send + Sync)) + Send + Sync;

/// Largest message that is copied for somebody else than its receiver, whose lock is held meanwhile: some 10 us.
pub const MAX_COPIED_BYTES: usize = 64 << 10;

/// Where reports go.
#[derive(Clone, Default)]
pub(crate) struct Reports(Option<Arc<Handler>>);

impl Reports {
    pub(crate) fn to(handler: impl Fn(&(dyn Any + Send + Sync)) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(handler)))
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Reports")
            .field(&self.0.is_some())
            .finish()
    }
}

impl Vm {
    /// Gives a report to the handler that the VM was built with ([`VmBuilder::report_handler`](crate::VmBuilder));
    /// nothing happens without one. For behaviours, which define types of reports.
    ///
    /// ```
    /// use otp_vm::Vm;
    /// use std::sync::mpsc;
    ///
    /// struct Overload { queue: usize }
    ///
    /// let (sender, reports) = mpsc::channel();
    /// let vm = Vm::builder()
    ///     .schedulers(1)
    ///     .report_handler(move |report| {
    ///         if let Some(Overload { queue }) = report.downcast_ref() {
    ///             sender.send(*queue).unwrap();
    ///         }
    ///     })
    ///     .build()?;
    /// vm.run(|cx| async move { cx.vm().report(&Overload { queue: 7 }) }).wait()?;
    /// assert_eq!(reports.recv()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn report<R: Any + Send + Sync>(&self, report: &R) {
        if let Some(handler) = &self.core().reports.0 {
            quietly(HOST, || handler(report));
        }
    }

    /// Copies of the oldest messages that wait for a process, of the first `max`, and how many wait in all; None if it
    /// is gone. Those over [`MAX_COPIED_BYTES`], and those that hold a native resource, are left out.
    /// `process_info(Pid, messages)`.
    pub fn waiting_messages(&self, pid: Pid, max: usize) -> Option<(Vec<OwnedTerm>, usize)> {
        let (messages, len, leftovers) = self.core().with_locked(pid, |process, state| {
            let leftovers = process.drain(state);
            let mut copies = Vec::new();
            let mut left = max;
            state.inbox.each(|parcel| {
                if left > 0 && parcel.bytes() <= MAX_COPIED_BYTES {
                    copies.extend(OwnedTerm::copy_of((), parcel.root()).ok());
                }
                left = left.saturating_sub(1);
            });
            (copies, state.queue_len(), leftovers)
        })?;
        quietly(pid, || leftovers.finish());
        Some((messages, len))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn waiting_messages_are_looked_at_and_stay() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let run = vm.run(|mut cx| async move {
            let me = cx.pid();
            for number in 0..5 {
                cx.send(me, &number).unwrap();
            }
            cx.send(me, &vec![0_u64; MAX_COPIED_BYTES]).unwrap();
            // What a selective receive passed over counts as well.
            let second = cx.receive_where(std::time::Duration::ZERO, |message| {
                message.decode::<i32>().ok().filter(|&number| number == 1)
            });
            assert_eq!(second.await, Some(1));
            let (messages, len) = cx.vm().waiting_messages(me, 2).unwrap();
            let texts: Vec<String> = messages
                .iter()
                .map(|term| term.root().to_string())
                .collect();
            assert_eq!((texts.join(" "), len), ("0 2".to_owned(), 5));
            let (messages, len) = cx.vm().waiting_messages(me, 100).unwrap();
            assert_eq!((messages.len(), len), (4, 5), "the large one is left out");
            for number in [0, 2, 3, 4] {
                assert_eq!(cx.receive().await.decode::<i32>().unwrap(), number);
            }
            assert_eq!(cx.message_queue_len(), 1);
        });
        run.wait().unwrap();
    }
}
