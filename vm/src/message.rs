//! Messages as their receiver sees them.

use std::fmt;

use otp_heap::{Atom, DecodeError, OwnedTerm, Pid, Ref, Term, Tuple, atoms, from_term, with_term};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::destination::NODE;
use crate::envelope::Parcel;
use crate::exit_reason::{ExitReason, REASON_TEXT_LIMIT_BYTES};

/// A message in its receiver's hands: the block that the sender wrote.
///
/// ```
/// use otp_vm::Vm;
/// use std::time::Duration;
///
/// let vm = Vm::builder().schedulers(1).build().unwrap();
/// let sum = vm
///     .run(|mut cx| async move {
///         cx.send(cx.pid(), &(20, 22)).unwrap();
///         let (left, right): (i32, i32) = cx.receive().await.decode().unwrap();
///         left + right
///     })
///     .wait()
///     .unwrap();
/// assert_eq!(sum, 42);
/// vm.shutdown(Duration::from_secs(1)).wait();
/// ```
#[repr(transparent)]
pub struct Message(Parcel);

/// What a message is, by its outer shape: the protocols of OTP that every behaviour knows.
#[derive(Debug)]
#[non_exhaustive]
pub enum MessageKind<'m> {
    /// `{'$gen_call', {Pid, Ref}, Request}`: somebody waits for a reply.
    Call {
        /// Where the reply goes.
        from: ReplyTo,
        /// What is asked.
        request: Term<'m>,
    },
    /// `{'$gen_cast', Request}`.
    Cast(Term<'m>),
    /// `{'EXIT', Pid, Reason}`: a linked process ended, or somebody sent an exit signal; only
    /// when exits are trapped.
    Exit {
        /// Who ended, or who sent the signal.
        from: Pid,
        /// Why.
        reason: Term<'m>,
    },
    /// `{'DOWN', Ref, process, Object, Reason}`: a monitored process ended.
    Down {
        /// What `monitor` gave.
        reference: Ref,
        /// Who ended, as the monitor was asked for.
        object: Monitored,
        /// Why.
        reason: Term<'m>,
    },
    /// Anything else.
    Other(Term<'m>),
}

/// Where a reply goes: `{Pid, Ref}`. The reference is the alias of one call: a reply that comes
/// after the caller gave up is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReplyTo(pub(crate) Pid, pub(crate) Ref);

impl ReplyTo {
    /// The process that waits.
    pub const fn pid(self) -> Pid {
        self.0
    }

    /// The call's reference.
    pub const fn reference(self) -> Ref {
        self.1
    }
}

/// `{'DOWN', Ref, process, Object, Reason}` as a Rust value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// What `monitor` gave.
    pub reference: Ref,
    /// Who ended, as the monitor was asked for.
    pub object: Monitored,
    /// Why; `noproc` if there was nobody when the monitor was set.
    pub reason: ExitReason,
}

/// What a monitor was asked for: a pid, or a name that some process had then. As a term the pid, or `{Name, Node}` with
/// the node that the VM is.
///
/// ```
/// use otp_vm::{Atom, Monitored, Vm};
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let object = vm.run(|mut cx| async move {
///     cx.monitor("nobody_has_this_name");
///     cx.receive().await.down().map(|down| down.object)
/// });
/// let name = Atom::new("nobody_has_this_name")?;
/// assert_eq!(object.wait()?, Some(Monitored::Name(name)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Monitored {
    /// The process itself.
    Pid(Pid),
    /// Whoever had this name.
    Name(Atom),
    /// No process, but the VM's time offset: [`Context::monitor_time_offset`](crate::Context::monitor_time_offset).
    TimeOffset,
}

impl Monitored {
    /// The pid, of a monitor that was asked for by pid.
    pub const fn pid(self) -> Option<Pid> {
        match self {
            Self::Pid(pid) => Some(pid),
            Self::Name(_) | Self::TimeOffset => None,
        }
    }

    fn of(term: Term<'_>) -> Option<Self> {
        if let Some(pid) = term.as_pid() {
            return Some(Self::Pid(pid));
        }
        if term
            .as_atom()
            .is_some_and(|atom| atom.as_str() == CLOCK_SERVICE)
        {
            return Some(Self::TimeOffset);
        }
        let tuple = term.as_tuple().filter(|tuple| tuple.len() == 2)?;
        let is_local = tuple.get(1)?.as_atom() == Some(NODE);
        is_local.then_some(Self::Name(tuple.get(0)?.as_atom()?))
    }
}

/// OTP's name for whom one monitors for the time offset.
const CLOCK_SERVICE: &str = "clock_service";

impl From<Pid> for Monitored {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl PartialEq<Pid> for Monitored {
    fn eq(&self, pid: &Pid) -> bool {
        self.pid() == Some(*pid)
    }
}

impl fmt::Display for Monitored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => fmt::Display::fmt(pid, formatter),
            Self::Name(name) => fmt::Display::fmt(name, formatter),
            Self::TimeOffset => formatter.write_str(CLOCK_SERVICE),
        }
    }
}

impl Serialize for Monitored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pid(pid) => pid.serialize(serializer),
            Self::Name(name) => (name, NODE).serialize(serializer),
            Self::TimeOffset => serializer.serialize_unit_variant("Monitored", 2, CLOCK_SERVICE),
        }
    }
}

impl<'de> Deserialize<'de> for Monitored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected a pid, or a name and the VM's own node";
        with_term(deserializer, |term| Self::of(term).ok_or(expected))
    }
}

/// The message of a monitor, and no other.
impl<'de> Deserialize<'de> for Down {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_term(deserializer, |term| {
            let (tag, reference, _, object, reason): (Atom, Ref, Atom, _, _) =
                from_term(term).map_err(|error| error.to_string())?;
            match tag == atoms::DOWN {
                true => Ok(Self {
                    reference,
                    object,
                    reason,
                }),
                false => Err(format!("expected 'DOWN', found {tag}")),
            }
        })
    }
}

/// The message of an exit signal that was trapped, and no other.
impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_term(deserializer, |term| {
            let (tag, from, reason): (Atom, _, _) =
                from_term(term).map_err(|error| error.to_string())?;
            match tag == atoms::EXIT {
                true => Ok(Self { from, reason }),
                false => Err(format!("expected 'EXIT', found {tag}")),
            }
        })
    }
}

/// `{'EXIT', Pid, Reason}` as a Rust value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Who ended, or who sent the exit signal.
    pub from: Pid,
    /// Why.
    pub reason: ExitReason,
}

impl Message {
    pub(crate) fn new(parcel: Parcel) -> Self {
        Self(parcel)
    }

    /// A parcel as a message, only to be looked at.
    pub(crate) fn borrowed(parcel: &Parcel) -> &Self {
        // SAFETY: a message is a parcel by another name (`repr(transparent)`).
        unsafe { &*std::ptr::from_ref(parcel).cast::<Self>() }
    }

    pub(crate) fn into_parcel(self) -> Parcel {
        self.0
    }

    /// The message's term.
    pub fn term(&self) -> Term<'_> {
        self.0.root()
    }

    /// Decodes the message; strings and bytes may be borrowed from it.
    ///
    /// # Errors
    /// When the message isn't of `T`'s shape; the error names the place.
    pub fn decode<'m, T: Deserialize<'m>>(&'m self) -> Result<T, DecodeError> {
        from_term(self.term())
    }

    /// A copy of the message's term, to keep.
    ///
    /// # Errors
    /// When it holds a native resource, which can't be copied.
    pub fn to_term(&self) -> Result<OwnedTerm, otp_heap::CopyError> {
        OwnedTerm::copy_of((), self.term())
    }

    /// Tells OTP's own messages from the program's.
    #[inline]
    pub fn kind(&self) -> MessageKind<'_> {
        classify(self.term()).unwrap_or(MessageKind::Other(self.term()))
    }

    /// The message as news of a monitored process, if it is that.
    pub fn down(&self) -> Option<Down> {
        match self.kind() {
            MessageKind::Down {
                reference,
                object,
                reason,
            } => Some(Down {
                reference,
                object,
                reason: ExitReason::copy_of(reason),
            }),
            _ => None,
        }
    }

    /// The message as a trapped exit, if it is that.
    pub fn exit(&self) -> Option<Exit> {
        match self.kind() {
            MessageKind::Exit { from, reason } => Some(Exit {
                from,
                reason: ExitReason::copy_of(reason),
            }),
            _ => None,
        }
    }

    /// Bytes of the message's block.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Inlined for what servers get: a call's sender stays in registers.
#[inline]
fn classify(term: Term<'_>) -> Option<MessageKind<'_>> {
    let tuple = term.as_tuple()?;
    let tag = tuple.get(0)?.as_atom()?;
    match (tag, tuple.len()) {
        (atoms::GEN_CALL, 3) => {
            let from = tuple.get(1)?.as_tuple().filter(|from| from.len() == 2)?;
            let from = ReplyTo(from.get(0)?.as_pid()?, from.get(1)?.as_ref()?);
            Some(MessageKind::Call {
                from,
                request: tuple.get(2)?,
            })
        }
        (atoms::GEN_CAST, 2) => Some(MessageKind::Cast(tuple.get(1)?)),
        _ => classify_signal(tag, tuple),
    }
}

#[inline(never)]
fn classify_signal<'t>(tag: Atom, tuple: Tuple<'t>) -> Option<MessageKind<'t>> {
    match (tag, tuple.len()) {
        (atoms::EXIT, 3) => Some(MessageKind::Exit {
            from: tuple.get(1)?.as_pid()?,
            reason: tuple.get(2)?,
        }),
        (atoms::DOWN, 5) => Some(MessageKind::Down {
            reference: tuple.get(1)?.as_ref()?,
            object: Monitored::of(tuple.get(3)?)?,
            reason: tuple.get(4)?,
        }),
        _ => None,
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.term().display_limited(REASON_TEXT_LIMIT_BYTES);
        fmt::Display::fmt(&text, formatter)
    }
}
