//! What the host program asks of processes, from plain threads and from any async runtime: each gives a [`Run`], to be
//! awaited, or waited for with [`Run::wait`].

use otp_heap::{atoms, to_term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::{CallError, Timeout};
use crate::destination::{Destination, SendError, sent};
use crate::envelope::HOST;
use crate::host::Run;
use crate::message::Down;
use crate::vm::Vm;

impl Vm {
    /// Asks a server and gives its reply: see [`Context::call`](crate::Context::call). `gen:call/4`.
    ///
    /// A process of its own calls, so that a reply which comes too late is nobody's. Dropping the [`Run`] leaves the
    /// call under way.
    ///
    /// ```
    /// use otp_vm::{Context, MessageKind, Vm};
    /// use std::time::Duration;
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let server = vm.spawn(|mut cx: Context| async move {
    ///     loop {
    ///         let message = cx.receive().await;
    ///         if let MessageKind::Call { from, request } = message.kind() {
    ///             let n: u64 = otp_vm::from_term(request).unwrap();
    ///             cx.reply(&from, &(2 * n)).unwrap();
    ///         }
    ///     }
    /// })?;
    /// let doubled: u64 = vm.call(server, &21, Duration::from_secs(5)).wait()??;
    /// assert_eq!(doubled, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Run`], when the process that calls is not made or ended; inside, those of the call.
    pub fn call<M, R>(
        &self,
        to: impl Into<Destination>,
        request: &M,
        after: impl Into<Timeout>,
    ) -> Run<Result<R, CallError>>
    where
        M: Serialize + ?Sized,
        R: DeserializeOwned + Send + 'static,
    {
        let (to, after) = (to.into(), after.into());
        // Serialised here: a process may not borrow from its maker.
        let request = to_term(request);
        self.run(move |mut cx| async move { cx.call(to, &request?, after).await })
    }

    /// Sends a cast from the host program: see [`Context::cast`](crate::Context::cast). `gen_server:cast/2`.
    ///
    /// # Errors
    /// As for [`Context::cast`](crate::Context::cast).
    pub fn cast<M: Serialize + ?Sized>(
        &self,
        to: impl Into<Destination>,
        request: &M,
    ) -> Result<(), SendError> {
        let Ok(to) = self.core().resolve(&to.into()) else {
            return Ok(());
        };
        let core = self.core();
        let parcel = core.sized(to.message(HOST, &(atoms::GEN_CAST, request))?)?;
        sent(core.send(to.pid, parcel))
    }

    /// Waits for the end of a process, and gives what its monitor tells: `noproc` if it is gone already. `monitor/2`.
    ///
    /// The monitor is set by a process of its own, soon; one that ends before that is told as `noproc`. To be sure of
    /// the reason, spawn the process with a [`HostMailbox`](crate::HostMailbox) and monitor it from the start.
    ///
    /// ```
    /// use otp_vm::{ExitReason, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let worker = vm.spawn(|mut cx| async move {
    ///     cx.receive().await;
    ///     ExitReason::from("done")
    /// })?;
    /// let end = vm.monitor(worker);
    /// while vm.process_info(worker).is_some_and(|worker| worker.monitored_by.is_empty()) {
    ///     std::thread::yield_now();
    /// }
    /// vm.send(worker, "go")?;
    /// assert_eq!(end.wait()?.reason, ExitReason::from("done"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn monitor(&self, of: impl Into<Destination>) -> Run<Down> {
        let of = of.into();
        self.run(move |mut cx| async move {
            let monitor = cx.monitor(of);
            cx.await_down(monitor).await
        })
    }
}
