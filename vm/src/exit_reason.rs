//! Why a process ended: any term, cheap to clone.

use std::fmt;
use std::sync::Arc;

use otp_heap::{Atom, OwnedTerm, Term, atoms, to_term};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The reason a process exits with, as in OTP any term: `normal`, `shutdown`, `{shutdown, Term}`,
/// `killed`, `noproc`, `{panic, Message, Location}` or a term of the program's own.
///
/// Clones share the term. Two reasons are equal when their terms are (`=:=`).
///
/// What takes a reason takes `impl Into<ExitReason>`: a text or an atom is one as it is. OTP's own have a constructor
/// each, and [`ExitReason::new`] makes one of any other value.
///
/// ```
/// use otp_vm::{Atom, ExitReason};
///
/// assert_eq!(ExitReason::from("no such file").to_string(), "<<\"no such file\">>");
/// assert_eq!(ExitReason::from(Atom::new("enoent")?).to_string(), "enoent");
/// assert_eq!(ExitReason::normal().to_string(), "normal");
/// assert!(ExitReason::shutdown_with(&"upgrade").is_shutdown());
/// let reason = ExitReason::new(&("bad_file", 7));
/// assert!(reason.is_abnormal());
/// assert_eq!(reason.decode::<(String, u8)>()?, ("bad_file".to_owned(), 7));
///
/// // A text is a binary, never an atom: this is no orderly end.
/// assert!(ExitReason::from("normal").is_abnormal());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ExitReason(Reason);

#[derive(Clone)]
enum Reason {
    /// Nearly every reason is one atom: no allocation, no count to share between cores.
    Atom(Atom),
    Term(Arc<OwnedTerm>),
}

/// Longest text of a reason in a report, in bytes: a report is bounded whatever a program puts
/// into its reasons. Chosen by feel: a screen and a half.
pub(crate) const REASON_TEXT_LIMIT_BYTES: usize = 4096;

impl ExitReason {
    /// `normal`: the body returned. Ignored by linked processes that don't trap exits.
    pub const fn normal() -> Self {
        Self(Reason::Atom(atoms::NORMAL))
    }

    /// `shutdown`: asked to end, in order, by a supervisor or the host.
    pub const fn shutdown() -> Self {
        Self(Reason::Atom(atoms::SHUTDOWN))
    }

    /// `kill`: sent as an exit signal it can't be trapped; the process ends with `killed`.
    pub const fn kill() -> Self {
        Self(Reason::Atom(atoms::KILL))
    }

    /// `killed`: what a process that got `kill` ends with.
    pub const fn killed() -> Self {
        Self(Reason::Atom(atoms::KILLED))
    }

    /// `noproc`: no such process.
    pub const fn noproc() -> Self {
        Self(Reason::Atom(atoms::NOPROC))
    }

    /// `timeout`.
    pub const fn timeout() -> Self {
        Self(Reason::Atom(atoms::TIMEOUT))
    }

    /// `{shutdown, Detail}`: an orderly end that carries a detail.
    pub fn shutdown_with<T: Serialize + ?Sized>(detail: &T) -> Self {
        Self::new(&(atoms::SHUTDOWN, detail))
    }

    /// Any serialisable value as a reason. A value that can't be encoded (a native resource, a
    /// value nested too deep) gives `{badarg, Text}` with the encoder's words.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Self {
        let text = match to_term(value) {
            Ok(term) if !term.has_natives() => return Self::from(term),
            Ok(_) => "a native resource can't be copied, and so is no exit reason".to_owned(),
            Err(error) => error.to_string(),
        };
        match to_term(&(atoms::BADARG, text)) {
            Ok(term) => Self::from(term),
            Err(_) => Self(Reason::Atom(atoms::BADARG)),
        }
    }

    /// `{panic, Message, Location}`: how a panic becomes a reason.
    pub(crate) fn panic(message: &str, location: &str) -> Self {
        Self::new(&(atoms::PANIC, message, location))
    }

    /// The reason that a caught panic stands for: `{panic, Message, Location}`, or what
    /// `Context::exit` was given. For a behaviour that catches the panics of its callbacks, to
    /// clean up before it ends with the reason; the panic is logged here, as the VM would.
    pub fn from_panic(payload: Box<dyn std::any::Any + Send>) -> Self {
        crate::process::reason_of_panic(payload)
    }

    /// A copy of `term` as a reason.
    pub(crate) fn copy_of(term: Term<'_>) -> Self {
        match term.as_atom() {
            Some(atom) => Self(Reason::Atom(atom)),
            None => match OwnedTerm::copy_of((), term) {
                Ok(owned) => Self(Reason::Term(Arc::new(owned))),
                Err(_) => Self(Reason::Atom(atoms::BADARG)),
            },
        }
    }

    /// The reason's atom, if it is a bare one.
    pub fn as_atom(&self) -> Option<Atom> {
        match &self.0 {
            Reason::Atom(atom) => Some(*atom),
            Reason::Term(term) => term.root().as_atom(),
        }
    }

    /// The same, for those that are kept as nothing but an atom, as nearly all are.
    #[inline]
    pub(crate) fn as_bare_atom(&self) -> Option<Atom> {
        match self.0 {
            Reason::Atom(atom) => Some(atom),
            Reason::Term(_) => None,
        }
    }

    /// The reason as a term of its own.
    pub fn to_term(&self) -> OwnedTerm {
        match &self.0 {
            Reason::Atom(atom) => OwnedTerm::from(*atom),
            Reason::Term(term) => term
                .try_clone()
                .unwrap_or_else(|_| OwnedTerm::from(atoms::BADARG)),
        }
    }

    /// Decodes the reason into a Rust value.
    ///
    /// # Errors
    /// When the term isn't of `T`'s shape; the error names the place.
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, otp_heap::DecodeError> {
        otp_heap::from_term(self.to_term().root())
    }

    /// Whether this is `normal`.
    pub fn is_normal(&self) -> bool {
        self.as_atom() == Some(atoms::NORMAL)
    }

    /// Whether this is `kill`.
    pub(crate) fn is_kill(&self) -> bool {
        self.as_atom() == Some(atoms::KILL)
    }

    /// Whether this is `shutdown` or `{shutdown, _}`.
    pub fn is_shutdown(&self) -> bool {
        match &self.0 {
            Reason::Atom(atom) => *atom == atoms::SHUTDOWN,
            Reason::Term(term) => term.root().as_tuple().is_some_and(|tuple| {
                tuple.len() == 2
                    && tuple.get(0).and_then(|tag| tag.as_atom()) == Some(atoms::SHUTDOWN)
            }),
        }
    }

    /// Whether a `transient` child would be restarted after it: neither `normal` nor `shutdown`
    /// nor `{shutdown, _}`.
    pub fn is_abnormal(&self) -> bool {
        !self.is_normal() && !self.is_shutdown()
    }
}

impl From<OwnedTerm> for ExitReason {
    fn from(term: OwnedTerm) -> Self {
        match term.root().as_atom() {
            Some(atom) => Self(Reason::Atom(atom)),
            None => Self(Reason::Term(Arc::new(term))),
        }
    }
}

impl From<Atom> for ExitReason {
    fn from(atom: Atom) -> Self {
        Self(Reason::Atom(atom))
    }
}

/// The text as a binary, as Elixir's `exit("text")`. It is never an atom: those of OTP have constructors.
impl From<&str> for ExitReason {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// As for `&str`.
impl From<String> for ExitReason {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl PartialEq for ExitReason {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Reason::Atom(left), Reason::Atom(right)) => left == right,
            (Reason::Term(left), Reason::Term(right)) => left.root() == right.root(),
            _ => false,
        }
    }
}

impl Eq for ExitReason {}

impl fmt::Display for ExitReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Atom(atom) => fmt::Display::fmt(atom, formatter),
            Reason::Term(term) => {
                let text = term.root().display_limited(REASON_TEXT_LIMIT_BYTES);
                fmt::Display::fmt(&text, formatter)
            }
        }
    }
}

impl fmt::Debug for ExitReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for ExitReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Reason::Atom(atom) => atom.serialize(serializer),
            Reason::Term(term) => term.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ExitReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OwnedTerm::deserialize(deserializer).map(Self::from)
    }
}

/// What a process body may return, as the reason it ends with: `()`, a reason, `Result<(), E>` with whatever is one, or
/// nothing at all.
///
/// ```
/// # use otp_vm::{ExitReason, Vm};
/// # let vm = Vm::builder().schedulers(1).build()?;
/// # let run = vm.run(|mut cx| async move {
/// let (_, monitor) = cx.spawn_monitor(|_| async { Err::<(), _>("no such file") }).unwrap();
/// assert_eq!(cx.await_down(monitor).await.reason, ExitReason::from("no such file"));
/// # });
/// # run.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait IntoExit {
    /// The exit reason that stands for this value.
    fn into_exit(self) -> ExitReason;
}

impl IntoExit for () {
    fn into_exit(self) -> ExitReason {
        ExitReason::normal()
    }
}

/// Names the type `!`, which stable Rust has but doesn't let one write: a body that loops for
/// ever has it.
#[doc(hidden)]
#[allow(missing_docs, reason = "nobody outside can name it")]
pub trait Output {
    type Of;
}

impl<T> Output for fn() -> T {
    type Of = T;
}

impl IntoExit for <fn() -> ! as Output>::Of {
    fn into_exit(self) -> ExitReason {
        self
    }
}

impl IntoExit for ExitReason {
    fn into_exit(self) -> ExitReason {
        self
    }
}

impl<E: Into<ExitReason>> IntoExit for Result<(), E> {
    fn into_exit(self) -> ExitReason {
        match self {
            Ok(()) => ExitReason::normal(),
            Err(reason) => reason.into(),
        }
    }
}
