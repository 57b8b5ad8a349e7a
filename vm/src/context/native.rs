//! Native processes: bodies of plain blocking Rust.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use otp_heap::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::spawn::{Spawned, spawn_native_process};
use super::{CallError, Context, SpawnError, SpawnOptions, Timeout};
use crate::destination::Destination;
use crate::exit_reason::IntoExit;
use crate::message::Message;

/// What the body of a native process holds: a [`Context`] whose waits block.
///
/// It stands for the context in all that does not wait (`send`, `link`, `spawn` and so on). What waits has a blocking
/// form of the same name here, and for all else there is [`NativeContext::block_on`]. Each of these is where an exit
/// signal ends the process: it unwinds, and its destructors run. (Within a destructor that runs since it unwinds
/// already, they wait to the end.) In plain code, and in the kernel, the process goes on until it comes to one.
///
/// It stays on the process's own thread.
pub struct NativeContext {
    cx: Context,
    not_send: PhantomData<*const ()>,
}

impl fmt::Debug for NativeContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("NativeContext")
            .field(&self.pid())
            .finish()
    }
}

impl Deref for NativeContext {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.cx
    }
}

impl NativeContext {
    pub(crate) fn new(cx: Context) -> Self {
        Self {
            cx,
            not_send: PhantomData,
        }
    }

    /// Blocks the thread until the future that `wait` makes is ready. While it waits, the process takes no turn.
    ///
    /// ```
    /// # use otp_vm::{Timeout, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(|mut cx| async move {
    /// # let parent = cx.pid();
    /// cx.spawn_native(move |mut cx| {
    ///     let sum = cx.block_on(async |cx| {
    ///         let mut sum = 0;
    ///         for _ in 0..2 {
    ///             sum += cx.receive().await.decode::<i32>().unwrap();
    ///         }
    ///         sum
    ///     });
    ///     cx.send(parent, &sum).unwrap();
    /// })
    /// # .map(|pid| { cx.send(pid, &40).unwrap(); cx.send(pid, &2).unwrap(); }).unwrap();
    /// # cx.receive().await.decode::<i32>().unwrap() });
    /// # assert_eq!(run.wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn block_on<T>(&mut self, wait: impl AsyncFnOnce(&mut Context) -> T) -> T {
        otp_scheduler::block_on(wait(&mut self.cx))
            .unwrap_or_else(|error| panic!("a native process is on its own thread: {error}"))
    }

    /// As [`Context::receive`].
    pub fn receive(&mut self) -> Message {
        self.block_on(async |cx| cx.receive().await)
    }

    /// As [`Context::receive_timeout`].
    pub fn receive_timeout(&mut self, after: impl Into<Timeout>) -> Option<Message> {
        self.block_on(async |cx| cx.receive_timeout(after).await)
    }

    /// As [`Context::receive_where`].
    pub fn receive_where<T, S>(&mut self, after: impl Into<Timeout>, select: S) -> Option<T>
    where
        S: FnMut(&Message) -> Option<T> + Send,
    {
        self.block_on(async |cx| cx.receive_where(after, select).await)
    }

    /// As [`Context::call`].
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call<M, R>(
        &mut self,
        to: impl Into<Destination>,
        request: &M,
        after: impl Into<Timeout>,
    ) -> Result<R, CallError>
    where
        M: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.block_on(async |cx| cx.call(to, request, after).await)
    }

    /// As [`Context::sleep`].
    pub fn sleep(&mut self, duration: Duration) {
        self.block_on(async |cx| cx.sleep(duration).await);
    }
}

impl Context {
    /// Makes a *native process*: its body is plain blocking Rust, on a thread of its own. It has a pid, a mailbox,
    /// links, monitors and exit reasons like any other, and shares the cores by turns with all processes. `spawn/1`.
    ///
    /// It costs a thread, and a message to it or from it two switches of threads. For single calls that block there is
    /// [`Context::blocking`].
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let parent = cx.pid();
    ///     let lines = cx.spawn_native(move |mut cx| {
    ///         let path: String = cx.receive().decode().unwrap();
    ///         let text = std::fs::read_to_string(path).unwrap_or_default();
    ///         cx.send(parent, &text.lines().count()).unwrap();
    ///     });
    ///     cx.send(lines.unwrap(), "/proc/cpuinfo").unwrap();
    ///     cx.receive().await.decode::<usize>().unwrap()
    /// });
    /// assert!(run.wait()? > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_native<B, E>(&self, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(NativeContext) -> E + Send + 'static,
        E: IntoExit,
    {
        self.spawn_native_opt(SpawnOptions::new(), body)
            .map(|spawned| spawned.pid)
    }

    /// Makes a native process by options. `spawn_opt/2`.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_native_opt<B, E>(
        &self,
        options: SpawnOptions,
        body: B,
    ) -> Result<Spawned, SpawnError>
    where
        B: FnOnce(NativeContext) -> E + Send + 'static,
        E: IntoExit,
    {
        let reference = self.make_ref();
        let start = self.start(options, reference);
        let monitor = start.monitor.as_ref().map(|_| reference);
        spawn_native_process(self.vm(), Some(self), start, body).map(|pid| Spawned { pid, monitor })
    }
}
