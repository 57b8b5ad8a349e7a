//! Process modules: what `otp-vm run` can start.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use clap::{ArgMatches, Args, Command};
use otp_vm::{Context, ExitReason, IntoExit, Pid, SpawnOptions};

/// A future in a box, as a module's functions return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

type StartFn = dyn Fn(&ArgMatches) -> Result<Starter, clap::Error> + Send + Sync;

/// Starts a module's processes under the root process, linked with it; gives the topmost.
pub(crate) type Starter =
    Box<dyn for<'cx> FnOnce(&'cx mut Context) -> BoxFuture<'cx, Result<Pid, ExitReason>> + Send>;

/// A process module: a name for the command line, its arguments, and how it starts.
///
/// ```
/// use otp_vm::Context;
/// use otp_vm_cli::Module;
///
/// #[derive(Debug, clap::Args)]
/// struct Options {
///     /// Whom to greet
///     #[arg(default_value = "world")]
///     name: String,
/// }
///
/// pub fn module() -> Module {
///     Module::process("greet", "Greets, and ends", |options: Options, _cx: Context| async move {
///         println!("hello, {}", options.name);
///     })
/// }
/// # let _ = module();
/// ```
#[derive(Clone)]
pub struct Module {
    name: &'static str,
    about: &'static str,
    augment: fn(Command) -> Command,
    start: Arc<StartFn>,
}

impl fmt::Debug for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Module")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Module {
    /// A module that is one process: `body` runs until it returns, and its exit reason decides
    /// the binary's exit code.
    pub fn process<A, B, F>(name: &'static str, about: &'static str, body: B) -> Self
    where
        A: Args + Send + 'static,
        B: Fn(A, Context) -> F + Clone + Send + Sync + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        Self::application(name, about, move |options: A, cx| {
            let body = body.clone();
            let spawned = cx.spawn_opt(SpawnOptions::new().link().label(name), move |cx| {
                body(options, cx)
            });
            Box::pin(async move { spawned.map(|spawned| spawned.pid).map_err(ExitReason::from) })
        })
    }

    /// A module that starts a tree: `start` runs in the root process and gives the topmost
    /// supervisor's pid, linked with the root. At the end the root sends it `shutdown` and waits.
    pub fn application<A, S>(name: &'static str, about: &'static str, start: S) -> Self
    where
        A: Args + Send + 'static,
        S: for<'cx> Fn(A, &'cx mut Context) -> BoxFuture<'cx, Result<Pid, ExitReason>>
            + Send
            + Sync
            + 'static,
    {
        let start = Arc::new(start);
        Self {
            name,
            about,
            augment: A::augment_args,
            start: Arc::new(move |matches| {
                let options = A::from_arg_matches(matches)?;
                let start = Arc::clone(&start);
                let starter: Starter = Box::new(move |cx| start(options, cx));
                Ok(starter)
            }),
        }
    }

    /// The name on the command line.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it does, in a line.
    pub fn about(&self) -> &'static str {
        self.about
    }

    pub(crate) fn command(&self) -> Command {
        // The text last: the options' own doc comment would take its place.
        (self.augment)(Command::new(self.name))
            .about(self.about)
            .long_about(None)
    }

    pub(crate) fn starter(&self, matches: &ArgMatches) -> Result<Starter, clap::Error> {
        (self.start)(matches)
    }
}

/// Lists process modules: each path leads to a Rust module with a function
/// `module() -> Module`.
///
/// ```no_run
/// use otp_vm_cli::modules;
///
/// mod mine {
///     use otp_vm_cli::Module;
///     #[derive(Debug, clap::Args)]
///     pub struct Options {}
///     pub fn module() -> Module {
///         Module::process("mine", "Does nothing", |_: Options, _cx| async {})
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     otp_vm_cli::main(modules![mine])
/// }
/// ```
#[macro_export]
macro_rules! modules {
    ($($module:path),* $(,)?) => {
        vec![$({
            use $module as module;
            module::module()
        }),*]
    };
}
