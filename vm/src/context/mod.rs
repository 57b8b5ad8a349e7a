//! What a process's body holds: its own identity and every operation on the VM.

mod clock;
mod dictionary;
mod exit;
mod flags;
mod heap;
mod hibernate;
mod link;
mod monitor;
mod native;
mod receive;
mod request;
mod selective;
mod send_wait;
mod spawn;
mod spawn_request;
mod suspend;
mod time;
mod timers;

use std::fmt;
use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::{self, Poll};
use std::thread;

use otp_heap::{Atom, Pid, Ref, Term, atoms};
use otp_scheduler::lock::MutexGuard;
use otp_scheduler::{Blocking, Priority};
use serde::Serialize;

use crate::core::Core;
use crate::destination::{Address, Destination, NODE, SendError, sent};
use crate::envelope::{self, Envelope, HOST, Kind, Parcel};
use crate::exit_reason::ExitReason;
use crate::message::{Message, ReplyTo};
use crate::names::RegisterError;
use crate::process::{
    Attention, ExitPayload, Process, State, Undelivered, end_of_native, is_running,
    waits_in_vain_again,
};
use crate::table::{Table, TableError, TableOptions};
use crate::trace::Event;
use crate::vm::Vm;

pub use dictionary::DictionaryError;
pub use heap::ProcessHeap;
pub(crate) use monitor::shared_term;
pub use monitor::{AliasMode, MonitorOptions};
pub use native::NativeContext;
pub(crate) use receive::poll_receive_of_host;
pub use receive::{Receive, Timeout};
pub use request::{CallError, Calling, RequestId};
pub use selective::{ReceiveMark, ReceiveWhere};
pub use send_wait::{SendWait, SendWaitError};
pub use spawn::{SpawnError, SpawnOptions, Spawned};
pub(crate) use spawn::{spawn_native_process, spawn_of_host, spawn_process};
pub(crate) use spawn_request::Reply;
pub use spawn_request::{SpawnReply, SpawnRequestOptions};
pub use suspend::{DEFAULT_MAX_SUSPENSIONS, SuspendError, SuspendOptions};
pub(crate) use time::Alarm;
pub use time::{IntervalError, IntervalRef, Sleep, Tick};
pub use timers::{Due, TimerRef};

/// A process's own handle on itself and the VM. The body gets it by value; callbacks of
/// behaviours get `&mut Context`.
///
/// There is one for each process. It may be moved to another thread, and outlive its process:
/// then sends still work, and operations on the process itself do nothing, or say so.
///
/// A process that an exit signal ends while it is in native code is gone for everybody else at once, though its code
/// runs on until it next awaits; and one that exits itself ([`Context::exit_process`]) has ended, though its
/// destructors run, and what catches the unwinding. Meanwhile what it does here is discarded: messages and exit signals
/// that it sends are counted (`SystemInfo::discarded_sends`) and dropped, links and monitors are not made, timers send
/// nothing, and what has an error to answer does so: spawning, registering, calling, making tables and writing to them.
/// Its next await does not return, and its destructors run.
pub struct Context {
    vm: Vm,
    process: NonNull<Process>,
    pid: Pid,
}

// SAFETY: the slot behind `process` is Sync and lives as long as the core, which `vm` holds.
unsafe impl Send for Context {}
// SAFETY: as above; operations with `&self` go through the process's lock.
unsafe impl Sync for Context {}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Context").field(&self.pid).finish()
    }
}

impl Context {
    pub(crate) fn new(vm: Vm, process: &Process, pid: Pid) -> Self {
        Self {
            vm,
            process: NonNull::from(process),
            pid,
        }
    }

    pub(crate) fn core(&self) -> &Core {
        self.vm.core()
    }

    /// The process's slot; it may hold another incarnation if this one is gone.
    pub(crate) fn process(&self) -> &Process {
        // SAFETY: slots live as long as the core, and `vm` holds the core.
        unsafe { self.process.as_ref() }
    }

    /// The process's state, if it is still there. While the lock is held it stays.
    pub(crate) fn state(&self) -> Option<MutexGuard<'_, State>> {
        self.state_here()
    }

    /// The same, for the hottest callers.
    #[inline(always)]
    fn state_here(&self) -> Option<MutexGuard<'_, State>> {
        let process = self.process();
        let state = process.lock();
        (process.is(self.pid) && !state.exiting).then_some(state)
    }

    /// As [`Context::state`], for operations that have nothing to answer once the process ended. None in the process's
    /// own slice if it was ended from outside: then it waits, and the end of the slice is its own.
    fn waiting_state(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state();
        if state.is_none() && !(self.was_ended() && is_running(self.pid)) {
            panic!(
                "process {} ended, and its Context was used to receive: move the Context back into the body",
                self.pid
            )
        }
        state
    }

    /// For a wait of a process that ends: nothing comes of it any more. The slice ends the process once the body gives
    /// way. An executor that the body runs by itself never would: it polls again, and at last it is unwound, or its
    /// thread would wait for ever.
    #[cold]
    fn wait_in_vain<T>(&self, task: &task::Context<'_>) -> Poll<T> {
        if is_running(self.pid) && !thread::panicking() {
            if waits_in_vain_again(self.pid) {
                let reason = end_of_native().unwrap_or_else(ExitReason::killed);
                resume_unwind(Box::new(ExitPayload(reason)));
            }
            task.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The process was ended while it was in native code, where it still is.
    #[inline]
    pub(crate) fn was_ended(&self) -> bool {
        self.process().was_ended(self.pid)
    }

    /// After a signal about what its state has: whether its end has begun, and may have taken that back before. For a
    /// Context on another thread, or code that runs on in native code; whoever finds it so takes it back as well.
    ///
    /// Without the lock: where the end's signal came first into that mailbox, what it noted before is seen here.
    #[inline]
    fn has_ended(&self) -> bool {
        let process = self.process();
        !process.is(self.pid) || process.attention().has(Attention::EXITING)
    }

    /// Whether what the process sends is discarded, and counts that.
    fn discards(&self) -> bool {
        let discards = self.was_ended();
        if discards {
            let counts = &self.core().counts;
            counts.discarded_sends.fetch_add(1, Ordering::Relaxed);
        }
        discards
    }

    /// The process's own pid. `self/0`.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The node that the VM is: `nonode@nohost`. `node/0`.
    pub fn node(&self) -> Atom {
        NODE
    }

    /// The VM that the process runs in.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Who spawned the process; for one that the host program spawned, a pid that is nobody's.
    pub fn parent(&self) -> Pid {
        self.state().map_or(envelope::HOST, |state| state.parent.0)
    }

    /// A reference that is unique in this VM. `make_ref/0`.
    pub fn make_ref(&self) -> Ref {
        self.core().make_ref()
    }

    /// A random number: in a simulation the seed's. Not for secrets. `rand:uniform/1`.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # let vm = Vm::builder().schedulers(1).build().unwrap();
    /// let dice = vm.run(|cx| async move { cx.random() % 6 + 1 }).wait().unwrap();
    /// assert!((1..=6).contains(&dice));
    /// ```
    pub fn random(&self) -> u64 {
        self.core().scheduler.random()
    }

    /// Sends a message. `erlang:send/2`.
    ///
    /// The message is serialised into a block of its own, and so copied. Sending to a process
    /// that is gone is no error, as in OTP.
    ///
    /// # Errors
    /// [`SendError::NoName`] when a name is registered to nobody, [`SendError::Encode`] when the
    /// message can't be serialised, [`SendError::TooLarge`] when it is over the VM's limit,
    /// [`SendError::MailboxFull`] when the receiver's limit says so. Then nothing was sent.
    pub fn send<M: Serialize + ?Sized>(
        &self,
        to: impl Into<Destination>,
        message: &M,
    ) -> Result<(), SendError> {
        let to = to.into();
        let (address, error) = match self.core().resolve(&to) {
            Ok(address) => (address, None),
            // It is traced though nobody gets it.
            Err(error) if self.process().is_traced() => (Address::from(HOST), Some(error)),
            Err(error) => return Err(error),
        };
        // Once, or the compiler would not put the encoder in here.
        let parcel = self.core().sized(address.message(self.pid, message)?)?;
        let sent = sent(self.post(address.pid, Some(&to), parcel));
        error.map_or(sent, Err)
    }

    /// Passes a received message on, without serialising it again.
    ///
    /// # Errors
    /// [`SendError::NoName`] when a name is registered to nobody, [`SendError::MailboxFull`] when the receiver's limit
    /// says so; the message is lost then.
    pub fn forward(&self, to: impl Into<Destination>, message: Message) -> Result<(), SendError> {
        let to = to.into();
        let address = match self.core().resolve(&to) {
            Ok(address) => address,
            Err(error) => {
                if self.process().is_traced() {
                    self.trace_send(&to, message.term());
                }
                return Err(error);
            }
        };
        let mut parcel = message.into_parcel();
        *parcel.header_mut() = address.envelope(self.pid);
        sent(self.post(address.pid, Some(&to), parcel))
    }

    /// Delivers a parcel and charges for it. `named` is what it was sent to, if it was not the pid.
    #[inline]
    fn post(
        &self,
        to: Pid,
        named: Option<&Destination>,
        parcel: Parcel,
    ) -> Result<(), Undelivered> {
        otp_scheduler::tick(1 + (parcel.bytes() / SEND_BYTES_PER_REDUCTION) as u32);
        if self.process().attention().has(Attention::WATCHED) {
            return self.post_watched(to, named, parcel);
        }
        self.core().send(to, parcel)
    }

    /// The same for a process that is traced, or was ended: then it goes nowhere.
    #[cold]
    fn post_watched(
        &self,
        to: Pid,
        named: Option<&Destination>,
        parcel: Parcel,
    ) -> Result<(), Undelivered> {
        if self.discards() {
            return Ok(());
        }
        // Else a question to the process itself.
        let is_message = matches!(
            parcel.header().kind,
            Kind::Message | Kind::Alias | Kind::Call | Kind::Reply
        );
        if is_message {
            self.trace_send(named.unwrap_or(&Destination::Pid(to)), parcel.root());
        }
        self.core().send(to, parcel)
    }

    fn trace_send(&self, to: &Destination, message: Term<'_>) {
        if let Some(state) = self.state() {
            self.process().trace_send(&state, self.pid, to, message);
        }
    }

    /// Tells that the time of a wait is over.
    pub(crate) fn trace_timeout(&self) {
        if self.process().is_traced()
            && let Some(state) = self.state()
        {
            state.trace(self.core(), self.pid, Event::Timeout);
        }
    }

    /// Puts a signal into the process's own mailbox. By a look-up like everybody's: the slot may
    /// hold another process by now, if the Context outlived its own.
    fn signal_self(&self, parcel: Parcel) {
        self.core().signal(self.pid, parcel);
    }

    /// Sends a cast: the message `{'$gen_cast', Request}`. Silent if nobody is there, by name as
    /// well. `gen_server:cast/2`.
    ///
    /// # Errors
    /// As for [`Context::send`], but for the name.
    pub fn cast<M: Serialize + ?Sized>(
        &self,
        to: impl Into<Destination>,
        request: &M,
    ) -> Result<(), SendError> {
        match self.send(to, &(atoms::GEN_CAST, request)) {
            Err(SendError::NoName) => Ok(()),
            sent => sent,
        }
    }

    /// Answers a call: `{Ref, Reply}` through the call's alias. A caller that gave up gets
    /// nothing. Where the reference is an alias made by hand ([`Context::alias`], [`MonitorOptions::alias`]), the reply
    /// is a message. `gen:reply/2`.
    ///
    /// # Errors
    /// [`SendError::Encode`] when the reply can't be serialised, [`SendError::TooLarge`] when it is over the VM's limit
    /// (then nothing was sent). A full mailbox takes replies all the same.
    pub fn reply<M: Serialize + ?Sized>(&self, to: &ReplyTo, reply: &M) -> Result<(), SendError> {
        let envelope = Envelope::new(Kind::Reply, self.pid, to.1);
        let parcel = self
            .core()
            .sized(otp_heap::to_block(envelope, &(to.1, reply))?)?;
        // The call's monitor on this process is over; if another process was asked, the caller
        // takes it back itself.
        if let Some(mut state) = self.state() {
            state.monitored_by.remove(&to.1);
        }
        drop(self.post(to.0, None, parcel));
        Ok(())
    }

    /// Sets the process's own priority, from its next slice on. Gives what was set before.
    /// `process_flag(priority, Level)`.
    ///
    /// ```
    /// use otp_vm::{Priority, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let before = vm.run(|cx| async move { cx.set_priority(Priority::High) }).wait();
    /// assert_eq!(before?, Priority::Normal);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_priority(&self, priority: Priority) -> Priority {
        let process = self.process();
        let state = self.state();
        let before = process.priority();
        if state.is_some() {
            process.set_priority(priority);
        }
        before
    }

    /// Names a process. `register/2`.
    ///
    /// # Errors
    /// When the name is taken or reserved, or the process has a name already or is gone.
    pub fn register(&self, name: &str, pid: Pid) -> Result<(), RegisterError> {
        if self.was_ended() {
            return Err(RegisterError::NoProcess);
        }
        self.vm.register(name, pid)
    }

    /// Takes a name away. Gives who had it. `unregister/1`.
    pub fn unregister(&self, name: &str) -> Option<Pid> {
        if self.was_ended() {
            return None;
        }
        self.vm.unregister(name)
    }

    /// Who has a name. `whereis/1`.
    pub fn whereis(&self, name: &str) -> Option<Pid> {
        self.vm.whereis(name)
    }

    /// Whether a process is alive, after all that this process sent it before has arrived.
    /// `is_process_alive/1`.
    pub async fn is_alive(&mut self, pid: Pid) -> bool {
        if pid == self.pid {
            return !self.was_ended();
        }
        let reference = self.make_ref();
        let question = envelope::signal(Kind::AliveRequest, self.pid, reference);
        match self.begin_request(pid, reference, question, Timeout::Infinity) {
            Ok(waiting) => waiting.await.is_ok(),
            Err(_) => false,
        }
    }

    /// Runs a closure that may block (files, a database's client, a long computation) on a thread of
    /// the VM's pool, and gives its result. While it is awaited the process waits as in a receive,
    /// and costs no thread; with a full queue it waits for room.
    ///
    /// A process that ends, or is killed, meanwhile lets the closure run on; its result is dropped.
    /// The closure is not the process: a panic in it is an error here, and ends nobody.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     let host = cx.blocking(|| std::fs::read_to_string("/etc/hostname")).await;
    ///     host.expect("it does not panic").is_ok()
    /// });
    /// # run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking<F, T>(&self, closure: F) -> Blocking<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.vm.blocking(closure)
    }

    /// Names the process in reports; `undefined` is no label. `proc_lib:set_label/1`, of OTP 27, which takes any term.
    ///
    /// ```
    /// # use otp_vm::{Atom, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(|cx| async move {
    /// cx.set_label(Atom::new("importer").unwrap());
    /// # cx.process_info(cx.pid()).unwrap().label.unwrap().to_string() });
    /// # assert_eq!(run.wait()?, "importer");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_label(&self, label: Atom) {
        if let Some(mut state) = self.state() {
            state.label = Some(label).into();
        }
    }

    /// Makes a table that this process owns. `ets:new/2`.
    ///
    /// # Errors
    /// When the name is taken or the VM's limit of tables is reached.
    pub fn table_new(&self, name: &str, options: TableOptions) -> Result<Table, TableError> {
        if self.was_ended() {
            return Err(TableError::OwnerGone);
        }
        let table = self.core().tables.create(self.pid, name, options)?;
        // Asked afterwards: either the process's end sees the table on its list, or this sees
        // the end (the Context may be on another thread).
        if !self.core().mark_table_owner(self.pid) {
            self.core().tables_of_the_dead(self.pid);
            return Err(TableError::OwnerGone);
        }
        Ok(table)
    }

    /// A named table. `ets:whereis/1`.
    pub fn table(&self, name: &str) -> Option<Table> {
        self.vm.table(name)
    }

    /// As [`Context::table`], for who has the name as an atom already.
    pub fn table_by_atom(&self, name: Atom) -> Option<Table> {
        self.core().tables.by_name(name)
    }

    /// The tables that this process owns, in no order. So a process finds a table without a name
    /// that it inherited or was given.
    pub fn tables(&self) -> Vec<Table> {
        self.core().tables.owned_by(self.pid)
    }
}

/// A send is charged one reduction, and one more for each of so many bytes: about what copying
/// them costs beside a reduction's usual work. Chosen by feel.
const SEND_BYTES_PER_REDUCTION: usize = 256;
