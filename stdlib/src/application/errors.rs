//! Why an application was not loaded, started or stopped.

use otp_vm::{Atom, CallError, ExitReason, OwnedTerm, from_term, with_term};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::config::ConfigError;
use super::data::SpecError;

/// Why the controller did not do as asked. As terms these are OTP's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplicationError {
    /// It runs already: `{already_started, App}`.
    #[error("the application {0} runs already: use it, or ask by ensure_started")]
    AlreadyStarted(Atom),
    /// `{already_loaded, App}`.
    #[error("the application {0} is loaded already: start it, or unload it first")]
    AlreadyLoaded(Atom),
    /// `{not_loaded, App}`.
    #[error("the application {0} is not loaded: load it first")]
    NotLoaded(Atom),
    /// The application, or one that it depends on, has not been started: `{not_started, App}`.
    #[error("the application {0} is not started: start it first, or use ensure_all_started")]
    NotStarted(Atom),
    /// One that it depends on was started and has ended since: `{not_running, App}`.
    #[error("the application {0} has ended, and another depends on it: start it again first")]
    NotRunning(Atom),
    /// It can't be unloaded while it runs: `{running, App}`.
    #[error("the application {0} runs: stop it before it is unloaded")]
    Running(Atom),
    /// The controller knows no specification of that name: `{"no such file or directory", "App.app"}`.
    #[error(
        "no application {0} is known: give its specification to ControllerOptions::define, or to load"
    )]
    NoSuchFile(Atom),
    /// Each of these depends on the next, and the last on the first: `{circular_dependency, Apps}`. (OTP looks for ever.)
    #[error(
        "the applications {} depend on each other in a circle: take one out of the `applications` of another",
        names(.0)
    )]
    CircularDependency(Vec<Atom>),
    /// Which of several applications it was: `{App, Reason}`, of [`ensure_all_started`](super::ensure_all_started).
    #[error("{0}: {1}")]
    Of(Atom, Box<ApplicationError>),
    /// The specification is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// What was to be set is no environment: `{badarg, Text}`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It did not start: `{Reason, {Module, start, [Type, Args]}}` with the reason that its start gave, `{bad_return,
    /// {Call, Term}}` when that gave anything else, or panicked: then the term is `{'EXIT', Reason}`.
    #[error("the application did not start: {0}")]
    Failed(ExitReason),
    /// The controller did not answer; it ended with the reason. `noproc`: there is none.
    #[error("the application controller did not answer: {0}{hint}", hint = hint_at(.0))]
    Controller(ExitReason),
}

fn names(apps: &[Atom]) -> String {
    let names: Vec<&str> = apps.iter().map(|app| app.as_str()).collect();
    names.join(", ")
}

fn hint_at(reason: &ExitReason) -> &'static str {
    if *reason == ExitReason::noproc() {
        " (most likely the VM has none: start one with Controller::start_link)"
    } else {
        ""
    }
}

impl From<CallError> for ApplicationError {
    fn from(error: CallError) -> Self {
        Self::Controller(error.reason())
    }
}

/// The reason of a process that can't go on without the application.
impl From<ApplicationError> for ExitReason {
    fn from(error: ApplicationError) -> Self {
        match error {
            ApplicationError::Failed(reason) | ApplicationError::Controller(reason) => reason,
            other => Self::new(&other),
        }
    }
}

/// Those that say no more than whom they are about.
#[derive(Serialize, Deserialize)]
enum Shape {
    AlreadyStarted(Atom),
    AlreadyLoaded(Atom),
    NotLoaded(Atom),
    NotStarted(Atom),
    NotRunning(Atom),
    Running(Atom),
    CircularDependency(Vec<Atom>),
}

/// OTP's words for an error of the file system, which here is a specification that is not there.
const NO_SUCH_FILE: &str = "no such file or directory";
/// How the name of OTP's files ends.
const SUFFIX: &str = ".app";

impl Serialize for ApplicationError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shape = match self {
            Self::AlreadyStarted(app) => Shape::AlreadyStarted(*app),
            Self::AlreadyLoaded(app) => Shape::AlreadyLoaded(*app),
            Self::NotLoaded(app) => Shape::NotLoaded(*app),
            Self::NotStarted(app) => Shape::NotStarted(*app),
            Self::NotRunning(app) => Shape::NotRunning(*app),
            Self::Running(app) => Shape::Running(*app),
            Self::CircularDependency(apps) => Shape::CircularDependency(apps.clone()),
            Self::NoSuchFile(app) => {
                let file = format!("{}{SUFFIX}", app.as_str());
                return (NO_SUCH_FILE, file).serialize(serializer);
            }
            Self::Of(app, error) => return (app, error).serialize(serializer),
            Self::Spec(error) => return error.serialize(serializer),
            Self::Config(error) => {
                return (otp_vm::atoms::BADARG, error.to_string()).serialize(serializer);
            }
            Self::Failed(reason) | Self::Controller(reason) => return reason.serialize(serializer),
        };
        shape.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ApplicationError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_term(deserializer, |term| {
            let error = match from_term(term) {
                Ok(Shape::AlreadyStarted(app)) => Self::AlreadyStarted(app),
                Ok(Shape::AlreadyLoaded(app)) => Self::AlreadyLoaded(app),
                Ok(Shape::NotLoaded(app)) => Self::NotLoaded(app),
                Ok(Shape::NotStarted(app)) => Self::NotStarted(app),
                Ok(Shape::NotRunning(app)) => Self::NotRunning(app),
                Ok(Shape::Running(app)) => Self::Running(app),
                Ok(Shape::CircularDependency(apps)) => Self::CircularDependency(apps),
                Err(_) => match (missing(term), from_term(term)) {
                    (Some(app), _) => Self::NoSuchFile(app),
                    (None, Ok(error)) => Self::Spec(error),
                    (None, Err(_)) => Self::Failed(OwnedTerm::copy_of((), term)?.into()),
                },
            };
            Ok::<_, otp_vm::CopyError>(error)
        })
    }
}

fn missing(term: otp_vm::Term<'_>) -> Option<Atom> {
    let (words, file) = from_term::<(String, String)>(term).ok()?;
    let name = file.strip_suffix(SUFFIX)?;
    (words == NO_SUCH_FILE)
        .then(|| Atom::new(name).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_travel_as_otps_terms() {
        let shop = Atom::new("shop").unwrap();
        let reason = ExitReason::new(&("no", (shop, "start")));
        for (error, text) in [
            (ApplicationError::NotStarted(shop), "{not_started,shop}"),
            (
                ApplicationError::NoSuchFile(shop),
                "{<<\"no such file or directory\">>,<<\"shop.app\">>}",
            ),
            (
                ApplicationError::Failed(reason),
                "{<<\"no\">>,{shop,<<\"start\">>}}",
            ),
        ] {
            let term = otp_vm::to_term(&error).unwrap();
            assert_eq!(term.to_string(), text);
            assert_eq!(from_term::<ApplicationError>(term.root()), Ok(error));
        }
        let inner = ApplicationError::Running(shop);
        let of = ApplicationError::Of(shop, inner.into());
        let term = otp_vm::to_term(&of).unwrap();
        assert_eq!(term.to_string(), "{shop,{running,shop}}");
    }
}
