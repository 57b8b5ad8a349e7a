//! Specifications and flags as data, as OTP has them: checked as OTP checks them, with its errors.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use otp_vm::{Atom, Call, OwnedTerm, Term, atoms};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::child::{ChildKind, ChildSpec, Modules, Restart, Shutdown, StartChild, WORKER_SHUTDOWN};
use super::flags::{AutoShutdown, Strategy, SupervisorFlags};
use super::id::ChildId;

/// The intensity of flags that are data and don't say: OTP's one restart …
const DATA_INTENSITY: u32 = 1;
/// … within five seconds.
const DATA_PERIOD: Duration = Duration::from_secs(5);

/// A term that was given for something else. Clones are the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct Given(Arc<OwnedTerm>);

impl Given {
    /// A copy of `term`; of one that can't be copied, since there is a native resource in it, the atom `badarg`.
    pub fn new(term: Term<'_>) -> Self {
        let copy = OwnedTerm::copy_of((), term);
        Self(Arc::new(
            copy.unwrap_or_else(|_| OwnedTerm::from(atoms::BADARG)),
        ))
    }

    /// The term.
    pub fn term(&self) -> Term<'_> {
        self.0.root()
    }
}

impl From<OwnedTerm> for Given {
    fn from(term: OwnedTerm) -> Self {
        Self(Arc::new(term))
    }
}

/// Longest text of a term in an error, in bytes. Chosen by feel: a few lines.
const GIVEN_TEXT_LIMIT_BYTES: usize = 256;

impl fmt::Display for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(
            &self.term().display_limited(GIVEN_TEXT_LIMIT_BYTES),
            formatter,
        )
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Given {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OwnedTerm::deserialize(deserializer).map(Self::from)
    }
}

/// What is wrong with a child specification, or with a list of them. As a term it is OTP's error: `missing_id`,
/// `{invalid_mfa, Term}`, …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A map without an id.
    #[error("a child specification has no id: give it one")]
    MissingId,
    /// A map without a start.
    #[error("a child specification has no start: give {{Module, Function, Arguments}}")]
    MissingStart,
    /// Neither a map nor a tuple of six.
    #[error("{0} is no child specification: give a map, or OTP's tuple of six")]
    InvalidChildSpec(Given),
    /// The start is not `{Module, Function, Arguments}`.
    #[error("{0} starts no child: give {{Module, Function, Arguments}}")]
    InvalidMfa(Given),
    /// The restart type is none.
    #[error("{0} is no restart type: give permanent, transient or temporary")]
    InvalidRestartType(Given),
    /// The shutdown is none.
    #[error("{0} is no shutdown: give brutal_kill, infinity, or milliseconds")]
    InvalidShutdown(Given),
    /// The type is none.
    #[error("{0} is no type of child: give worker or supervisor")]
    InvalidChildType(Given),
    /// The modules are no list.
    #[error("{0} are no modules: give a list of names, or dynamic")]
    InvalidModules(Given),
    /// One of the modules is no name.
    #[error("{0} is no module: give its name")]
    InvalidModule(Given),
    /// `significant` is neither true nor false.
    #[error("{0} says not whether the child is significant: give true or false")]
    InvalidSignificant(Given),
    /// A significant child must not be permanent, and needs a supervisor with `auto_shutdown`.
    #[error(
        "the child can't be significant: make it transient or temporary, and set auto_shutdown"
    )]
    BadCombination(Given),
    /// Two children of one list have the same id.
    #[error("two children have the id {0}; each needs its own")]
    DuplicateChildName(ChildId),
    /// What is to be a list of specifications is none.
    #[error("{0} is no list of child specifications")]
    Badarg(Given),
}

/// What is wrong with a supervisor's flags. As a term it is OTP's error: `{invalid_strategy, Term}`, …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum FlagsError {
    /// Neither a map nor a tuple of three.
    #[error("{0} are no flags: give a map, or {{Strategy, Intensity, Period}}")]
    InvalidType(Given),
    /// The strategy is none.
    #[error("{0} is no strategy: one_for_one, one_for_all, rest_for_one or simple_one_for_one")]
    InvalidStrategy(Given),
    /// The intensity is no number of restarts.
    #[error("{0} is no intensity: give a number of restarts")]
    InvalidIntensity(Given),
    /// The period is no number of seconds, or none at all.
    #[error("{0} is no period: give one second or more")]
    InvalidPeriod(Given),
    /// `auto_shutdown` is none.
    #[error("{0} is no auto_shutdown: never, any_significant or all_significant")]
    InvalidAutoShutdown(Given),
}

/// The parts of a specification or of flags, which are a map with atoms for keys, or a tuple with the same in order.
struct Parts<'t, const N: usize> {
    term: Term<'t>,
    in_order: [&'static str; N],
}

impl<'t, const N: usize> Parts<'t, N> {
    fn new(term: Term<'t>, in_order: [&'static str; N]) -> Option<Self> {
        let tuple = term.as_tuple().is_some_and(|tuple| tuple.len() == N);
        (tuple || term.as_map().is_some()).then_some(Self { term, in_order })
    }

    fn get(&self, key: &str) -> Option<Term<'t>> {
        if let Some(map) = self.term.as_map() {
            return map.get_atom(Atom::new(key).ok()?);
        }
        let place = self.in_order.iter().position(|part| *part == key)?;
        self.term.as_tuple()?.get(place)
    }
}

fn name(term: Term<'_>) -> Option<&'static str> {
    term.as_atom().map(Atom::as_str)
}

impl ChildSpec {
    /// A specification from data: OTP's map `#{id, start, restart, significant, shutdown, type, modules}`, of which
    /// `id` and `start` must be there and others may be, or OTP's tuple `{Id, Start, Restart, Shutdown, Type,
    /// Modules}`. Times are in milliseconds, and the defaults are the same as for a specification in Rust. The start is
    /// a function of a process module, as [`ChildSpec::call`] says.
    ///
    /// ```
    /// use otp_stdlib::supervisor::ChildSpec;
    /// use otp_vm::OwnedTerm;
    ///
    /// let spec: OwnedTerm = "#{id => cache, start => {cache, start_link, [7]}, shutdown => 500}".parse()?;
    /// assert!(ChildSpec::from_term(spec.root())?.id() == &"cache");
    ///
    /// let wrong: OwnedTerm = "#{id => cache, start => {cache, start_link, [7]}, restart => often}".parse()?;
    /// let error = ChildSpec::from_term(wrong.root()).unwrap_err();
    /// assert_eq!(error.to_string(), "often is no restart type: give permanent, transient or temporary");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong, with what was given: [`SpecError`].
    pub fn from_term(term: Term<'_>) -> Result<Self, SpecError> {
        let in_order = ["id", "start", "restart", "shutdown", "type", "modules"];
        let Some(parts) = Parts::new(term, in_order) else {
            return Err(SpecError::InvalidChildSpec(Given::new(term)));
        };
        let id = parts.get("id").ok_or(SpecError::MissingId)?;
        let start = parts.get("start").ok_or(SpecError::MissingStart)?;
        let call = call_of(start).ok_or_else(|| SpecError::InvalidMfa(Given::new(start)))?;
        let restart = restart_of(parts.get("restart"))?;
        let significant = match parts.get("significant") {
            None => false,
            Some(term) => match term.as_atom() {
                Some(atoms::TRUE) => true,
                Some(atoms::FALSE) => false,
                _ => return Err(SpecError::InvalidSignificant(Given::new(term))),
            },
        };
        let kind = match parts.get("type").map(|term| (name(term), term)) {
            None | Some((Some("worker"), _)) => ChildKind::Worker,
            Some((Some("supervisor"), _)) => ChildKind::Supervisor,
            Some((_, term)) => return Err(SpecError::InvalidChildType(Given::new(term))),
        };
        let shutdown = match parts.get("shutdown") {
            None if kind == ChildKind::Worker => Shutdown::After(WORKER_SHUTDOWN),
            None => Shutdown::Infinity,
            Some(term) => Shutdown::from_term(term)
                .ok_or_else(|| SpecError::InvalidShutdown(Given::new(term)))?,
        };
        let modules = match parts.get("modules") {
            None => Modules::List(vec![call.mfa().module]),
            Some(term) => modules_of(term)?,
        };
        Ok(Self {
            id: ChildId::of_term(id)
                .ok_or_else(|| SpecError::InvalidChildSpec(Given::new(term)))?,
            start: StartChild::Call(Box::new(call)),
            restart,
            shutdown,
            kind,
            significant,
            modules,
        })
    }
}

fn call_of(start: Term<'_>) -> Option<Call> {
    let parts = start.as_tuple().filter(|tuple| tuple.len() == 3)?;
    let (module, function) = (parts.get(0)?.as_atom()?, parts.get(1)?.as_atom()?);
    let arguments = parts.get(2)?;
    if !arguments.is_nil() && arguments.as_cons().is_none() {
        return None;
    }
    let arguments = OwnedTerm::copy_of((), arguments).ok()?;
    Call::new(module.as_str(), function.as_str(), &arguments).ok()
}

fn restart_of(restart: Option<Term<'_>>) -> Result<Restart, SpecError> {
    let Some(term) = restart else {
        return Ok(Restart::Permanent);
    };
    match name(term) {
        Some("permanent") => Ok(Restart::Permanent),
        Some("transient") => Ok(Restart::Transient),
        Some("temporary") => Ok(Restart::Temporary),
        _ => Err(SpecError::InvalidRestartType(Given::new(term))),
    }
}

fn modules_of(term: Term<'_>) -> Result<Modules, SpecError> {
    if name(term) == Some("dynamic") {
        return Ok(Modules::Dynamic);
    }
    let (mut modules, mut rest) = (Vec::new(), term);
    while let Some(cons) = rest.as_cons() {
        let module = cons.head();
        let invalid = || SpecError::InvalidModule(Given::new(module));
        modules.push(module.as_atom().ok_or_else(invalid)?);
        rest = cons.tail();
    }
    if rest.is_nil() {
        Ok(Modules::List(modules))
    } else {
        Err(SpecError::InvalidModules(Given::new(term)))
    }
}

impl SupervisorFlags {
    /// Flags from data: OTP's map `#{strategy, intensity, period, auto_shutdown}`, of which none must be there and
    /// others may be, or OTP's tuple `{Strategy, Intensity, Period}`. The period is in seconds. What is not said is
    /// OTP's default: `one_for_one`, one restart within five seconds.
    ///
    /// # Errors
    /// What is wrong, with what was given: [`FlagsError`].
    pub fn from_term(term: Term<'_>) -> Result<Self, FlagsError> {
        let in_order = ["strategy", "intensity", "period"];
        let Some(parts) = Parts::new(term, in_order) else {
            return Err(FlagsError::InvalidType(Given::new(term)));
        };
        let strategy = match parts.get("strategy").map(|term| (name(term), term)) {
            None | Some((Some("one_for_one"), _)) => Strategy::OneForOne,
            Some((Some("one_for_all"), _)) => Strategy::OneForAll,
            Some((Some("rest_for_one"), _)) => Strategy::RestForOne,
            Some((Some("simple_one_for_one"), _)) => Strategy::SimpleOneForOne,
            Some((_, term)) => return Err(FlagsError::InvalidStrategy(Given::new(term))),
        };
        let max_restarts = match parts.get("intensity") {
            None => DATA_INTENSITY,
            Some(term) => match term.as_i64().map(u64::try_from) {
                // More than can be counted is as good as never.
                Some(Ok(intensity)) => u32::try_from(intensity).unwrap_or(u32::MAX),
                _ => return Err(FlagsError::InvalidIntensity(Given::new(term))),
            },
        };
        let period = match parts.get("period") {
            None => DATA_PERIOD,
            Some(term) => match term.as_i64().map(u64::try_from) {
                Some(Ok(seconds)) if seconds > 0 => Duration::from_secs(seconds),
                _ => return Err(FlagsError::InvalidPeriod(Given::new(term))),
            },
        };
        let auto_shutdown = match parts.get("auto_shutdown").map(|term| (name(term), term)) {
            None | Some((Some("never"), _)) => AutoShutdown::Never,
            Some((Some("any_significant"), _)) => AutoShutdown::AnySignificant,
            Some((Some("all_significant"), _)) => AutoShutdown::AllSignificant,
            Some((_, term)) => return Err(FlagsError::InvalidAutoShutdown(Given::new(term))),
        };
        Ok(Self {
            max_restarts,
            period,
            auto_shutdown,
            ..Self::new(strategy)
        })
    }
}

/// Checks a list of child specifications that are data. `supervisor:check_childspecs/1,2`.
///
/// With `auto_shutdown` it is checked as well whether children may be significant under a supervisor with that flag.
///
/// ```
/// use otp_stdlib::supervisor::check_childspecs;
/// use otp_vm::OwnedTerm;
///
/// let specs: OwnedTerm = "[#{id => a, start => {m, f, []}}, #{id => a, start => {m, g, []}}]".parse()?;
/// let error = check_childspecs(specs.root(), None).unwrap_err();
/// assert_eq!(error.to_string(), "two children have the id a; each needs its own");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first that is wrong: [`SpecError`].
pub fn check_childspecs(
    specs: Term<'_>,
    auto_shutdown: Option<AutoShutdown>,
) -> Result<(), SpecError> {
    let specs = specs_of(specs)?;
    check(&specs, auto_shutdown)
}

/// The specifications of a list.
pub(super) fn specs_of(specs: Term<'_>) -> Result<Vec<ChildSpec>, SpecError> {
    let (mut list, mut rest) = (Vec::new(), specs);
    while let Some(cons) = rest.as_cons() {
        list.push(ChildSpec::from_term(cons.head())?);
        rest = cons.tail();
    }
    if rest.is_nil() {
        Ok(list)
    } else {
        Err(SpecError::Badarg(Given::new(specs)))
    }
}

/// Checks specifications before any child is started.
pub(super) fn check(
    specs: &[ChildSpec],
    auto_shutdown: Option<AutoShutdown>,
) -> Result<(), SpecError> {
    let mut ids = std::collections::HashSet::new();
    for spec in specs {
        if !ids.insert(&spec.id) {
            return Err(SpecError::DuplicateChildName(spec.id.clone()));
        }
        if spec.significant && auto_shutdown == Some(AutoShutdown::Never) {
            return Err(combination(&(Key::AutoShutdown, Key::Never)));
        }
        if spec.significant && spec.restart == Restart::Permanent {
            return Err(combination(&(Key::Restart, Restart::Permanent)));
        }
    }
    Ok(())
}

#[derive(Serialize)]
enum Key {
    AutoShutdown,
    Never,
    Restart,
    Significant,
}

/// `[{Key, Value}, {significant, true}]`: what does not go together.
fn combination(with: &impl Serialize) -> SpecError {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Either<'a, T> {
        With(&'a T),
        Significant((Key, bool)),
    }
    let both = [
        Either::With(with),
        Either::Significant((Key::Significant, true)),
    ];
    let both = otp_vm::to_term(&both[..]);
    SpecError::BadCombination(
        both.unwrap_or_else(|_| OwnedTerm::from(atoms::BADARG))
            .into(),
    )
}
