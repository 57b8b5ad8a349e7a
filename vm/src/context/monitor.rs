//! Monitors and aliases.
//!
//! The holder keeps whom it watches (`State::monitors`) and, for the few that have more, a name and a tag
//! (`Rare::extras`); the watched process keeps the holder (`State::monitored_by`). The message is made by the one that
//! ends, and made anew by the holder if it was asked for otherwise: so the end of a process costs the same for each.

use std::sync::Arc;

use otp_heap::{EncodeError, OwnedTerm, Pid, Ref, to_term};
use serde::Serialize;

use super::{Context, Timeout};
use crate::destination::Destination;
use crate::envelope::{self, HOST, Kind, Parcel};
use crate::exit_reason::ExitReason;
use crate::message::{Down, MessageKind, Monitored};
use crate::process::{AliasLife, Attention, Extras, Leftovers, State};

/// What a monitor is asked to be besides a monitor. The options of `monitor/3`, and of `{monitor, Options}` in
/// `spawn_opt/2`.
///
/// ```
/// use otp_vm::{AliasMode, MonitorOptions, Vm};
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let answer = vm.run(|mut cx| async move {
///     let server = cx.spawn(|mut cx| async move {
///         let asked: (otp_vm::Ref, i32) = cx.receive().await.decode().unwrap();
///         cx.send(asked.0, &("answer", asked.1 + 1)).unwrap();
///         // Dropped: the alias was for one reply.
///         cx.send(asked.0, &("answer", 0)).unwrap();
///     }).unwrap();
///     let options = MonitorOptions::new().alias(AliasMode::ReplyDemonitor);
///     let request = cx.monitor_opt(server, options);
///     cx.send(server, &(request, 41)).unwrap();
///     cx.receive().await.decode::<(String, i32)>().unwrap().1
/// });
/// assert_eq!(answer.wait()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MonitorOptions {
    tag: Option<Arc<OwnedTerm>>,
    alias: Option<AliasMode>,
}

/// When the alias ends that a monitor is at the same time. All end by [`Context::unalias`], too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliasMode {
    /// By [`Context::unalias`] only: the end of the monitor leaves it. `explicit_unalias`.
    ExplicitUnalias,
    /// With the monitor: by [`Context::demonitor`], and when its message comes. `demonitor`.
    Demonitor,
    /// As `Demonitor`, and with the first message through the alias, which ends the monitor as well: for one reply, or
    /// the news that none will come. `reply_demonitor`.
    ReplyDemonitor,
}

impl MonitorOptions {
    /// A plain monitor.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the message say `tag` in place of `'DOWN'`: `{Tag, Ref, process, Object, Reason}`.
    ///
    /// # Errors
    /// When the tag can't be serialised, or has a native resource, of which there is only one.
    pub fn tag<T: Serialize + ?Sized>(mut self, tag: &T) -> Result<Self, EncodeError> {
        self.tag = Some(shared_term(tag)?);
        Ok(self)
    }

    /// Makes the monitor's reference an alias of this process: see [`Context::alias`].
    pub fn alias(mut self, mode: AliasMode) -> Self {
        self.alias = Some(mode);
        self
    }
}

/// A term that can be copied into many messages.
pub(crate) fn shared_term<T: Serialize + ?Sized>(value: &T) -> Result<Arc<OwnedTerm>, EncodeError> {
    let term = to_term(value)?;
    if term.has_natives() {
        return Err(EncodeError::NativeCopy);
    }
    Ok(Arc::new(term))
}

impl Context {
    /// Watches a process: when it ends, the message `{'DOWN', Ref, process, Object, Reason}` arrives; at once, with
    /// `noproc`, if nobody is there. `monitor/2`.
    ///
    /// A name is resolved here, and the process behind it is watched whatever becomes of the name; the message says the
    /// name ([`Monitored`](crate::Monitored)). A monitor of the process itself is a mere reference, and nothing comes
    /// of it. Behind an alias, and at another node than this VM's, there is nobody to watch.
    pub fn monitor(&self, of: impl Into<Destination>) -> Ref {
        self.monitor_opt(of, MonitorOptions::new())
    }

    /// As [`Context::monitor`], by options. `monitor/3`.
    pub fn monitor_opt(&self, of: impl Into<Destination>, options: MonitorOptions) -> Ref {
        let reference = self.make_ref();
        let (pid, name) = self.core().monitored(&of.into());
        if pid == self.pid {
            return reference;
        }
        let Some(mut state) = self.state() else {
            return reference;
        };
        state.monitors.insert(reference, pid);
        let MonitorOptions { tag, alias } = options;
        let object = name.map(Monitored::Name);
        self.note_extras(&mut state, reference, Extras { object, tag }, alias);
        drop(state);
        let monitor = envelope::signal(Kind::Monitor, self.pid, reference);
        if self.core().deliver(pid, monitor).is_err() {
            self.signal_self(envelope::down(pid, reference, &ExitReason::noproc()));
        }
        if self.has_ended() {
            let demonitor = envelope::signal(Kind::Demonitor, self.pid, reference);
            self.core().signal(pid, demonitor);
        }
        reference
    }

    /// Watches the VM's time offset: `{'CHANGE', Ref, time_offset, clock_service, Offset}` would come when it changes,
    /// which it never does ([`Context::system_time`]). Like any monitor it stands until it is taken back.
    /// `monitor(time_offset, clock_service)`.
    pub fn monitor_time_offset(&self) -> Ref {
        let reference = self.make_ref();
        if let Some(mut state) = self.state() {
            let extras = Extras {
                object: Some(Monitored::TimeOffset),
                tag: None,
            };
            // At nobody.
            state.monitors.insert(reference, HOST);
            self.note_extras(&mut state, reference, extras, None);
        }
        reference
    }

    /// The maker's side of a monitor on a new process.
    pub(super) fn note_monitor(
        &self,
        state: &mut State,
        reference: Ref,
        pid: Pid,
        options: MonitorOptions,
    ) {
        state.monitors.insert(reference, pid);
        let MonitorOptions { tag, alias } = options;
        self.note_extras(state, reference, Extras { object: None, tag }, alias);
    }

    fn note_extras(
        &self,
        state: &mut State,
        reference: Ref,
        extras: Extras,
        alias: Option<AliasMode>,
    ) {
        if extras.object.is_some() || extras.tag.is_some() {
            state.rare().extras.insert(reference, extras);
        }
        if let Some(mode) = alias {
            let life = match mode {
                AliasMode::ExplicitUnalias => AliasLife::Explicit,
                AliasMode::Demonitor => AliasLife::Demonitor,
                AliasMode::ReplyDemonitor => AliasLife::ReplyDemonitor,
            };
            state.add_alias(self.core(), self.pid, reference, life);
        }
    }

    /// Takes a monitor back. True if it still stood: no message of it has come, and none will. False if it did not, or
    /// is another's: then its message, if it ever sent one, has arrived, and stays where it is. `demonitor(Ref,
    /// [info])`.
    ///
    /// An alias of it ends with it, unless its mode is [`AliasMode::ExplicitUnalias`].
    pub fn demonitor(&self, reference: Ref) -> bool {
        let Some(mut state) = self.state() else {
            return false;
        };
        let Some((pid, _)) = state.remove_monitor(self.core(), reference) else {
            return false;
        };
        drop(state);
        let demonitor = envelope::signal(Kind::Demonitor, self.pid, reference);
        self.core().signal(pid, demonitor);
        true
    }

    /// As [`Context::demonitor`], and takes a message of it that has arrived out of the mailbox: afterwards there is
    /// none, and none arrives. `demonitor(Ref, [flush, info])`.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     let nobody = cx.monitor("nobody_has_this_name");
    ///     // Its message is there at once.
    ///     let before = cx.message_queue_len();
    ///     (before, cx.demonitor_flush(nobody), cx.message_queue_len())
    /// });
    /// assert_eq!(run.wait()?, (1, false, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn demonitor_flush(&self, reference: Ref) -> bool {
        if self.demonitor(reference) {
            return true;
        }
        if let Some(mut state) = self.state() {
            let is_its_down = |parcel: &Parcel| {
                let envelope = parcel.header();
                envelope.kind == Kind::Down && envelope.reference == reference
            };
            state.inbox.discard(is_its_down);
            let mut leftovers = Leftovers::default();
            if self.process().attention().has(Attention::COUNTED) {
                self.process().messages_left(&mut state, &mut leftovers);
            }
            drop(state);
            leftovers.finish();
        }
        false
    }

    /// Waits for the message of a monitor. What else comes stays in the mailbox, in its order.
    ///
    /// A monitor that was taken back, or whose message was received, sends none, and then this waits for ever, as a
    /// `receive` in Erlang does; so does one with a [tag](MonitorOptions::tag), whose message is another.
    ///
    /// ```
    /// # use otp_vm::{ExitReason, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let reason = vm.run(|mut cx| async move {
    ///     let (_, monitor) = cx.spawn_monitor(|_| async { ExitReason::from("done") }).unwrap();
    ///     cx.await_down(monitor).await.reason
    /// });
    /// assert_eq!(reason.wait()?, ExitReason::from("done"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn await_down(&mut self, monitor: Ref) -> Down {
        self.await_down_timeout(monitor, Timeout::Infinity)
            .await
            .expect("without a time limit it waits for the DOWN")
    }

    /// As [`await_down`](Self::await_down), or None when the message has not come in time. The monitor stands then:
    /// [`demonitor_flush`](Self::demonitor_flush) takes it back.
    pub async fn await_down_timeout(
        &mut self,
        monitor: Ref,
        after: impl Into<Timeout>,
    ) -> Option<Down> {
        self.receive_where(after, |message| match message.kind() {
            MessageKind::Down { reference, .. } if reference == monitor => message.down(),
            _ => None,
        })
        .await
    }

    /// Makes an alias of this process: a reference that messages can be sent to, until [`Context::unalias`]. What comes
    /// through it later is dropped, sent before or not. `alias/0`.
    pub fn alias(&self) -> Ref {
        self.make_alias(AliasLife::Explicit)
    }

    /// As [`Context::alias`], for one reply: the first message through it ends it. `alias([reply])`.
    pub fn alias_reply(&self) -> Ref {
        self.make_alias(AliasLife::Reply)
    }

    fn make_alias(&self, life: AliasLife) -> Ref {
        let alias = self.make_ref();
        if let Some(mut state) = self.state() {
            state.add_alias(self.core(), self.pid, alias, life);
        }
        alias
    }

    /// Ends an alias; a monitor that it is as well goes on. False if it was none of this process's, or had ended.
    /// `unalias/1`.
    pub fn unalias(&self, alias: Ref) -> bool {
        self.state()
            .is_some_and(|mut state| state.remove_alias(self.core(), alias))
    }
}
