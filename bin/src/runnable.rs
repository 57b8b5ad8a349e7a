//! What `otp-vm run` can start: process modules, each with how its command line is read.

use std::fmt;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use otp_vm::{
    ApplyError, Arguments, Call, Context, ExitReason, Module, Pid, SpawnOptions, from_term,
};
use serde::Serialize;

/// A process module for `otp-vm run`: one that exports `run` or `start`, and how a command line becomes its arguments.
///
/// - `run` is a process: it runs until it returns, and its exit reason decides the binary's exit code. What it gives is
///   dropped, an `Err` as well: one that fails says so by [`Context::exit`].
/// - `start` starts a tree, whose top is linked with the caller, and gives that: `Result<Pid, ExitReason>`. At the end
///   it is sent `shutdown` and waited for. If there is a `run` as well, that is called.
///
/// By itself, a module gets the words behind its name as arguments, each a text: `otp-vm run greet Ann` calls
/// `greet:run/1`. Words that don't decode as the types of these arguments are a wrong command line, exit code 2: so one
/// that wants a number takes a text and parses it, or reads options. Like this any [`Module`] is one, and
/// [`main`](crate::main) takes it as it is:
///
/// ```no_run
/// use otp_vm::{Context, module};
///
/// module! {
///     /// Greets, and ends.
///     pub mod greet {
///         /// Whom to greet.
///         pub async fn run(cx: &mut Context, name: String) {
///             println!("{} greets {name}", cx.pid());
///         }
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     otp_vm_cli::main([greet::module()])
/// }
/// ```
///
/// [`Runnable::with_options`] reads options.
#[derive(Clone)]
pub struct Runnable {
    module: Module,
    augment: fn(Command) -> Command,
    arguments: Arc<ReadArguments>,
}

type ReadArguments = dyn Fn(&ArgMatches) -> Result<Arguments, clap::Error> + Send + Sync;

impl fmt::Debug for Runnable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Runnable")
            .field(&self.module)
            .finish()
    }
}

impl From<Module> for Runnable {
    fn from(module: Module) -> Self {
        Self::new(module)
    }
}

/// The words of a command line that no options are read from.
const WORDS: &str = "arguments";

impl Runnable {
    /// A module whose `run` or `start` gets the words of the command line.
    pub fn new(module: Module) -> Self {
        let words = |command: Command| {
            let words = Arg::new(WORDS)
                .help("The arguments of the module's function, each a text")
                .action(ArgAction::Append)
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true);
            command.arg(words)
        };
        Self {
            module,
            augment: words,
            arguments: Arc::new(|matches| {
                let words = matches.get_many::<String>(WORDS).unwrap_or_default();
                arguments(&words.collect::<Vec<_>>())
            }),
        }
    }

    /// A module whose `run` or `start` gets one argument: `O`, read from the command line's options, and serialised. So
    /// whoever has them as data starts the module with the same.
    ///
    /// ```no_run
    /// use clap::Args;
    /// use otp_vm::{Context, module};
    /// use otp_vm_cli::modules;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, Args, Serialize, Deserialize)]
    /// pub struct Options {
    ///     /// How often to greet
    ///     #[arg(long, default_value_t = 1)]
    ///     times: u32,
    /// }
    ///
    /// module! {
    ///     /// Greets, and ends.
    ///     pub mod greet {
    ///         pub async fn run(cx: &mut Context, options: Options) {
    ///             for _ in 0..options.times {
    ///                 println!("{} greets", cx.pid());
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// fn main() -> std::process::ExitCode {
    ///     otp_vm_cli::main(modules![greet: Options])
    /// }
    /// ```
    pub fn with_options<O: Args + Serialize + 'static>(module: Module) -> Self {
        Self {
            module,
            augment: O::augment_args,
            arguments: Arc::new(|matches| arguments(&(O::from_arg_matches(matches)?,))),
        }
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// The name on the command line.
    pub fn name(&self) -> &'static str {
        self.module.name().as_str()
    }

    /// What it does, in a line: the first of its docs.
    pub fn about(&self) -> &str {
        let line = self.module.doc().lines().next().unwrap_or_default();
        line.strip_suffix('.').unwrap_or(line)
    }

    pub(crate) fn command(&self) -> Command {
        // The text last: the options' own doc comment would take its place.
        (self.augment)(Command::new(self.name()))
            .about(self.about().to_owned())
            .long_about(None)
    }

    /// What the command line asks for.
    pub(crate) fn beginning(&self, matches: &ArgMatches) -> Result<Beginning, clap::Error> {
        let arguments = (self.arguments)(matches)?;
        let exports = self.module.exports();
        let ways = [("run", Way::Process), ("start", Way::Tree)];
        let exported = ways.into_iter().find(|(function, _)| {
            exports.iter().any(|mfa| {
                mfa.function.as_str() == *function && usize::from(mfa.arity) == arguments.arity()
            })
        });
        let Some((function, way)) = exported else {
            let n = arguments.arity();
            return Err(wrong(&format!(
                "{} can't be run with {n} arguments: for that it would export run/{n} or start/{n}, and {}",
                self.name(),
                self.module
            )));
        };
        let call = Call::new(self.name(), function, &arguments);
        Ok(Beginning {
            call: call.map_err(|error| wrong(&error.to_string()))?,
            way,
        })
    }
}

fn arguments<T: Serialize>(value: &T) -> Result<Arguments, clap::Error> {
    Arguments::new(value).map_err(|error| wrong(&error.to_string()))
}

fn wrong(text: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{text}\n"))
}

/// A call of a module's function, which begins a run.
#[derive(Debug)]
pub(crate) struct Beginning {
    call: Call,
    way: Way,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    /// `run`.
    Process,
    /// `start`.
    Tree,
}

impl Beginning {
    /// With what a process ends, or a start, whose function does not take these arguments.
    pub(crate) fn refusal(&self) -> ExitReason {
        ExitReason::from(ApplyError::FunctionClause {
            call: Box::new(self.call.clone()),
            error: serde::de::Error::custom("the reason doesn't tell"),
        })
    }

    /// Makes the call, and gives the topmost process, which is linked with the caller.
    pub(crate) async fn begin(self, cx: &mut Context) -> Result<Pid, ExitReason> {
        let mfa = self.call.mfa();
        match self.way {
            Way::Process => {
                let options = SpawnOptions::new().link().label(mfa.module.as_str());
                let spawned = cx.spawn_opt(options, self.call.body());
                spawned.map(|spawned| spawned.pid).map_err(ExitReason::from)
            }
            Way::Tree => {
                let started = match cx.apply_call(self.call).await {
                    Ok(started) => started,
                    Err(error) => {
                        tracing::error!(%error, "the module's start could not be called");
                        return Err(error.into());
                    }
                };
                let top = from_term::<Result<Pid, ExitReason>>(started.root());
                top.unwrap_or_else(|error| {
                    let text = format!(
                        "{mfa} gave {started}, and not {{ok, Pid}} or {{error, Reason}}: {error}"
                    );
                    Err(ExitReason::from(text))
                })
            }
        }
    }
}

/// Lists what can be run: each path leads to a Rust module with a function `module()` that gives the
/// [`Module`](otp_vm::Module), as `module!` writes it; behind a colon stands the type of its options, if it has some
/// ([`Runnable::with_options`]).
///
/// ```no_run
/// use otp_vm::{Context, module};
/// use otp_vm_cli::modules;
///
/// module! {
///     /// Does nothing.
///     pub mod mine {
///         pub async fn run(_cx: &mut Context) {}
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     otp_vm_cli::main(modules![mine])
/// }
/// ```
#[macro_export]
macro_rules! modules {
    (@runnable $module:expr) => {
        $crate::Runnable::new($module)
    };
    (@runnable $module:expr, $options:ty) => {
        $crate::Runnable::with_options::<$options>($module)
    };
    ($($module:path $(: $options:ty)?),* $(,)?) => {
        <[_]>::into_vec(::std::boxed::Box::new([$({
            use $module as module;
            $crate::modules!(@runnable module::module() $(, $options)?)
        }),*]))
    };
}
