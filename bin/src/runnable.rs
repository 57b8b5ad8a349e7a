//! What `otp-vm run` can start: applications and process modules, each with how its command line is read.

use std::fmt;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use otp_stdlib::application::{ApplicationSpec, Config};
use otp_vm::{Arguments, Call, Module};
use serde::Serialize;

use crate::beginning::{Beginning, Way};
use crate::options;

/// What `otp-vm run` starts, and how a command line becomes its arguments: an application
/// ([`Runnable::application`]), or a process module that exports `run` or `start`. A module is an application that is
/// made of it, without anything that it depends on.
///
/// - `run` is a process: it runs until it returns, and its exit reason decides the binary's exit code. What it gives is
///   dropped, an `Err` as well: one that fails says so by [`Context::exit`](otp_vm::Context::exit).
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
    what: What,
    augment: fn(Command) -> Command,
}

#[derive(Clone)]
enum What {
    Module(Module, Arc<ReadArguments>),
    Application(Box<ApplicationSpec>, Option<Arc<ReadOptions>>),
}

type ReadArguments = dyn Fn(&ArgMatches) -> Result<Arguments, clap::Error> + Send + Sync;
type ReadOptions = dyn Fn(&ArgMatches) -> Result<options::Options, clap::Error> + Send + Sync;

/// What a command line asks for.
pub(crate) struct Plan {
    /// The application to be started.
    pub(crate) spec: ApplicationSpec,
    /// What the command line sets in its environment.
    pub(crate) given: Config,
    /// How its module is called, if it is made of one.
    pub(crate) beginning: Option<Beginning>,
}

impl fmt::Debug for Runnable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = formatter.debug_tuple("Runnable");
        match &self.what {
            What::Module(module, _) => tuple.field(module),
            What::Application(spec, _) => tuple.field(spec),
        };
        tuple.finish()
    }
}

impl From<ApplicationSpec> for Runnable {
    fn from(spec: ApplicationSpec) -> Self {
        Self::application(spec)
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
        let read = |matches: &ArgMatches| {
            let words = matches.get_many::<String>(WORDS).unwrap_or_default();
            arguments(&words.collect::<Vec<_>>())
        };
        Self {
            what: What::Module(module, Arc::new(read)),
            augment: words,
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
        let read = |matches: &ArgMatches| arguments(&(O::from_arg_matches(matches)?,));
        Self {
            what: What::Module(module, Arc::new(read)),
            augment: O::augment_args,
        }
    }

    /// An application, which is started as permanent, with all that it depends on: those are others of the list that
    /// [`main`](crate::main) gets.
    ///
    /// ```no_run
    /// use otp_stdlib::application::{self, Application, ApplicationSpec, StartType};
    /// use otp_stdlib::prelude::*;
    /// use otp_vm::{Context, Pid};
    ///
    /// struct Shop;
    ///
    /// impl Application for Shop {
    ///     type Args = ();
    ///
    ///     async fn start(_: StartType, _: (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
    ///         let tree = Supervisor::start_link(cx, SupervisorFlags::one_for_one(), vec![]);
    ///         Ok((application::tree(tree.await)?, Shop))
    ///     }
    /// }
    ///
    /// fn main() -> std::process::ExitCode {
    ///     let warehouse = ApplicationSpec::new("warehouse").vsn("2.1");
    ///     let shop = ApplicationSpec::new("shop").applications(["warehouse"]).module::<Shop>(());
    ///     otp_vm_cli::main([warehouse, shop])
    /// }
    /// ```
    pub fn application(spec: ApplicationSpec) -> Self {
        Self {
            what: What::Application(Box::new(spec), None),
            augment: |command| command,
        }
    }

    /// An application whose environment is read from the command line's options as well: each field of `O` is the key
    /// of the same name, which is its option's long name with `_` for `-`. Defaults of options are those of the
    /// environment, below a configuration; options that are given are above it. Values of a configuration are held
    /// against the options' rules.
    pub fn application_with_options<O: Args + Serialize + 'static>(spec: ApplicationSpec) -> Self {
        Self {
            what: What::Application(Box::new(spec), Some(Arc::new(options::Options::read::<O>))),
            augment: O::augment_args,
        }
    }

    /// The process module, if it is one.
    pub fn module(&self) -> Option<&Module> {
        match &self.what {
            What::Module(module, _) => Some(module),
            What::Application(..) => None,
        }
    }

    /// The application's specification, if it is one.
    pub fn spec(&self) -> Option<&ApplicationSpec> {
        match &self.what {
            What::Module(..) => None,
            What::Application(spec, _) => Some(spec),
        }
    }

    /// The name on the command line.
    pub fn name(&self) -> &'static str {
        match &self.what {
            What::Module(module, _) => module.name().as_str(),
            What::Application(spec, _) => spec.name().as_str(),
        }
    }

    /// What it does, in a line: the first of its docs, or the application's description.
    pub fn about(&self) -> &str {
        let text = match &self.what {
            What::Module(module, _) => module.doc(),
            What::Application(spec, _) => spec.about(),
        };
        let line = text.lines().next().unwrap_or_default();
        line.strip_suffix('.').unwrap_or(line)
    }

    pub(crate) fn command(&self) -> Command {
        // The text last: the options' own doc comment would take its place.
        (self.augment)(Command::new(self.name()))
            .about(self.about().to_owned())
            .long_about(None)
    }

    /// What the command line asks for, under a configuration.
    pub(crate) fn plan(&self, matches: &ArgMatches, config: &Config) -> Result<Plan, clap::Error> {
        match &self.what {
            What::Module(module, read) => {
                let beginning = beginning(module, read(matches)?)?;
                let spec = ApplicationSpec::new(self.name()).description(self.about());
                Ok(Plan {
                    spec: beginning.application(spec),
                    given: Config::new(),
                    beginning: Some(beginning),
                })
            }
            What::Application(spec, None) => Ok(Plan {
                spec: (**spec).clone(),
                given: Config::new(),
                beginning: None,
            }),
            What::Application(spec, Some(read)) => {
                options::check(self.augment, spec, config)?;
                let options = read(matches)?;
                let (spec, given) = options.applied((**spec).clone())?;
                Ok(Plan {
                    spec,
                    given,
                    beginning: None,
                })
            }
        }
    }
}

/// How a module is called with so many arguments.
fn beginning(module: &Module, arguments: Arguments) -> Result<Beginning, clap::Error> {
    let exports = module.exports();
    let ways = [("run", Way::Process), ("start", Way::Tree)];
    let exported = ways.into_iter().find(|(function, _)| {
        exports.iter().any(|mfa| {
            mfa.function.as_str() == *function && usize::from(mfa.arity) == arguments.arity()
        })
    });
    let name = module.name();
    let Some((function, way)) = exported else {
        let n = arguments.arity();
        return Err(wrong(&format!(
            "{name} can't be run with {n} arguments: for that it would export run/{n} or start/{n}, and {module}"
        )));
    };
    let call = Call::new(name.as_str(), function, &arguments);
    let call = call.map_err(|error| wrong(&error.to_string()))?;
    Ok(Beginning::new(call, way))
}

fn arguments<T: Serialize>(value: &T) -> Result<Arguments, clap::Error> {
    Arguments::new(value).map_err(|error| wrong(&error.to_string()))
}

pub(crate) fn wrong(text: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{text}\n"))
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
