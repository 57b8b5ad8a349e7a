//! Options of a command line as an application's environment.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};
use otp_stdlib::application::{ApplicationSpec, Config};
use otp_stdlib::supervisor::Given;
use otp_vm::{Atom, Term, atoms, to_term};
use serde::Serialize;

use crate::runnable::wrong;

/// The options of a command line, by the keys that they set.
pub(crate) struct Options {
    /// Those that nobody gave.
    defaults: Vec<(Atom, Given)>,
    given: Vec<(Atom, Given)>,
}

impl Options {
    /// Reads them as `O` has them.
    pub(crate) fn read<O: Args + Serialize>(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let options = O::from_arg_matches(matches)?;
        let term = to_term(&options).map_err(|error| wrong(&error.to_string()))?;
        let command = O::augment_args(Command::new(""));
        let (mut defaults, mut given) = (Vec::new(), Vec::new());
        for (key, value) in term.root().as_map().into_iter().flatten() {
            // Of a struct that takes up another one, keys are texts.
            let name = key.as_atom().map(Atom::as_str).or_else(|| key.as_str());
            let Some(key) = name.and_then(|name| Atom::new(name).ok()) else {
                continue;
            };
            if matches!(value.as_atom(), Some(atoms::NIL)) {
                // Neither given, nor with a default.
                continue;
            }
            let source =
                argument(&command, key).and_then(|arg| matches.value_source(arg.get_id().as_str()));
            let set = match source {
                Some(ValueSource::CommandLine | ValueSource::EnvVariable) => &mut given,
                _ => &mut defaults,
            };
            set.push((key, Given::new(value)));
        }
        Ok(Self { defaults, given })
    }

    /// The specification with the defaults, and the rest as a configuration.
    pub(crate) fn applied(
        self,
        spec: ApplicationSpec,
    ) -> Result<(ApplicationSpec, Config), clap::Error> {
        let app = spec.name().as_str();
        let mut given = Config::new();
        for (key, value) in &self.given {
            let set = given.set(app, key.as_str(), value);
            set.map_err(|error| wrong(&error.to_string()))?;
        }
        let defaults = self.defaults.iter();
        let spec = defaults.fold(spec, |spec, (key, value)| spec.env(key.as_str(), value));
        Ok((spec, given))
    }
}

/// The option whose long name is the key.
fn argument(command: &Command, key: Atom) -> Option<&Arg> {
    let mut arguments = command.get_arguments();
    arguments.find(|arg| {
        let long = arg.get_long().unwrap_or_default();
        long.replace('-', "_") == key.as_str()
    })
}

/// Holds what an application is configured with against the rules of its options, as if it stood on the command line.
pub(crate) fn check(
    augment: fn(Command) -> Command,
    spec: &ApplicationSpec,
    config: &Config,
) -> Result<(), clap::Error> {
    let app = spec.name().as_str();
    // Nothing must be given here: it may be on the command line itself.
    let command = augment(Command::new(app)).mut_args(|arg| arg.required(false));
    let mut words = Vec::new();
    let configured = config.iter().filter(|(name, _)| *name == spec.name());
    for (key, value) in configured.flat_map(|(_, env)| env) {
        let Some(arg) = argument(&command, *key) else {
            if spec.has_env(key.as_str()) {
                continue;
            }
            let text = format!(
                "the configuration sets {app}.{key}, which {app} does not have: see `run {app} --help`"
            );
            return Err(wrong(&text));
        };
        let long = arg.get_long().unwrap_or_default();
        let takes_value = arg.get_action().takes_values();
        match (takes_value, value.term().as_atom()) {
            (false, Some(atoms::TRUE)) => words.push(format!("--{long}")),
            (false, Some(atoms::FALSE)) => {}
            (true, _) => words.push(format!("--{long}={}", text(value.term()))),
            (false, _) => {
                return Err(wrong(&format!(
                    "the configuration sets {app}.{key} to {value}: give true or false"
                )));
            }
        }
    }
    let checked = command.no_binary_name(true).try_get_matches_from(words);
    checked.map(drop).map_err(|error| {
        let error = error.to_string();
        let line = error.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        wrong(&format!("the configuration of {app}: {line}"))
    })
}

/// As it would stand on a command line.
fn text(value: Term<'_>) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}
