//! Calls by module, function and arguments.

use otp_heap::{
    Atom, AtomError, Builder, DecodeError, EncodeError, OwnedTerm, Term, View, atoms, from_term,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::function::{Arguments, ArgumentsError, BoxFuture, FunctionError};
use crate::context::Context;
use crate::exit_reason::ExitReason;
use crate::origin::Mfa;

/// A call as data: `{Module, Function, Arguments}`, as a child specification has it.
///
/// ```
/// use otp_vm::{Call, Context, ExitReason, Vm, from_term, module, to_term};
///
/// module! {
///     /// Workers.
///     pub mod worker {
///         /// Runs until it is told to stop.
///         pub async fn run(cx: &mut Context, name: String) {
///             let _ = (cx.receive().await, name);
///         }
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let vm = Vm::builder().schedulers(1).module(worker::module()).build()?;
///     let run = vm.run(|mut cx| async move {
///         let call = Call::new("worker", "run", &("one",)).unwrap();
///         let (pid, monitor) = cx.spawn_monitor(call.body()).unwrap();
///         cx.send(pid, "stop").unwrap();
///         assert_eq!(cx.receive().await.down().unwrap().reason, ExitReason::normal());
///
///         // As data, and of something that is not there.
///         let data = to_term(&("worker", "walk", ["one"])).unwrap();
///         let call: Call = from_term(data.root()).unwrap();
///         let (pid, monitor) = cx.spawn_monitor(call.body()).unwrap();
///         let reason = cx.receive().await.down().unwrap().reason;
///         assert_eq!(reason.to_string(), "{undef,[{worker,walk,[<<\"one\">>],[]}]}");
///     });
///     run.wait()?;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Call {
    mfa: Mfa,
    arguments: Arguments,
}

/// Why a call by name gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// No such function, or no such module. `undef`.
    #[error("{} is undefined: {hint}", call.mfa)]
    Undef {
        /// What was called.
        call: Box<Call>,
        /// What there is.
        hint: String,
    },
    /// The function takes other arguments. `function_clause`.
    #[error("{} does not take these arguments: {error}", call.mfa)]
    FunctionClause {
        /// What was called.
        call: Box<Call>,
        /// Which, and why not.
        error: DecodeError,
    },
    /// A fun of another arity. `badarity`.
    #[error("{mfa} was called with {given} arguments: give {}", mfa.arity)]
    BadArity {
        /// The fun.
        mfa: Mfa,
        /// How many arguments it was given.
        given: usize,
    },
    /// The arguments are none. `badarg`.
    #[error(transparent)]
    Arguments(#[from] ArgumentsError),
    /// A name is no atom. `badarg`.
    #[error("the name of a module or function can't be an atom: {0}")]
    Name(#[from] AtomError),
    /// More arguments than OTP's functions have. `system_limit`.
    #[error("{0} arguments are more than a function takes, 255: give a list as one of them")]
    TooMany(usize),
    /// What the function gave can't be a term.
    #[error("what {mfa} gave can't be a term: {error}")]
    Encode {
        /// The function.
        mfa: Mfa,
        /// Why not.
        error: EncodeError,
    },
    /// What the function gave is not of the type that the caller wants.
    #[error("what {mfa} gave is of another type: {error}")]
    Decode {
        /// The function.
        mfa: Mfa,
        /// Why not.
        error: DecodeError,
    },
}

/// The reason of a process that can't go on without the call: OTP's.
impl From<ApplyError> for ExitReason {
    fn from(error: ApplyError) -> Self {
        let raised = |reason: Atom, call: &Call| {
            let Call { mfa, arguments } = call;
            Self::new(&(
                reason,
                [Frame(mfa.module, mfa.function, arguments, &[])].as_slice(),
            ))
        };
        match &error {
            ApplyError::Undef { call, .. } => raised(atoms::UNDEF, call),
            ApplyError::FunctionClause { call, .. } => raised(atoms::FUNCTION_CLAUSE, call),
            ApplyError::BadArity { mfa, given } => Self::new(&(atoms::BADARITY, (mfa, given))),
            ApplyError::TooMany(_) => Self::from(atoms::SYSTEM_LIMIT),
            other => Self::new(&(atoms::BADARG, other.to_string())),
        }
    }
}

/// `{Module, Function, Arguments, Location}`, as an entry of a stack trace.
#[derive(Serialize)]
struct Frame<'a>(Atom, Atom, &'a Arguments, &'a [Atom]);

impl Call {
    /// A call of `function` in `module`.
    ///
    /// # Errors
    /// When a name is no atom, or the arguments are none ([`Arguments::new`]), or more than 255. Whether there is such
    /// a function shows when it is called.
    pub fn new<A>(module: &str, function: &str, arguments: &A) -> Result<Self, ApplyError>
    where
        A: Serialize + ?Sized,
    {
        let (module, function) = (Atom::new(module)?, Atom::new(function)?);
        Self::by(module, function, Arguments::new(arguments)?)
    }

    /// A call of a fun: see [`Mfa::of_fun`].
    ///
    /// # Errors
    /// As for [`Call::new`]; [`ApplyError::BadArity`] with another number of arguments.
    pub fn of<A>(fun: Mfa, arguments: &A) -> Result<Self, ApplyError>
    where
        A: Serialize + ?Sized,
    {
        let arguments = Arguments::new(arguments)?;
        match arguments.arity() {
            given if given == usize::from(fun.arity) => {
                Self::by(fun.module, fun.function, arguments)
            }
            given => Err(ApplyError::BadArity { mfa: fun, given }),
        }
    }

    fn by(module: Atom, function: Atom, arguments: Arguments) -> Result<Self, ApplyError> {
        let given = arguments.arity();
        let arity = u8::try_from(given).map_err(|_| ApplyError::TooMany(given))?;
        let mfa = Mfa {
            module,
            function,
            arity,
        };
        Ok(Self { mfa, arguments })
    }

    /// What is called.
    pub fn mfa(&self) -> Mfa {
        self.mfa
    }

    /// With what.
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// The call as the body of a process, for each way to spawn one: `cx.spawn_link(call.body())`. `spawn/3` and its
    /// like.
    ///
    /// What the function gives is dropped. A function that is not there ends the process, with `undef`.
    pub fn body(self) -> impl FnOnce(Context) -> BoxFuture<'static, Result<(), ExitReason>> + Send {
        move |cx| {
            cx.set_initial_call(self.mfa);
            self.continuation()(cx)
        }
    }

    /// The call as what a process goes on with after hibernation, whose initial call stays what it was:
    /// `cx.hibernate(call.continuation())`. `erlang:hibernate/3`.
    ///
    /// ```
    /// use otp_vm::{Call, Context, Pid, Timeout, Vm, module};
    ///
    /// module! {
    ///     /// Counts how often it is asked, and sleeps in between.
    ///     pub mod sleeper {
    ///         /// Goes on with itself.
    ///         pub async fn run(cx: &mut Context, asked: u32) {
    ///             let from = cx.receive_as::<Pid>(Timeout::Infinity).await.unwrap();
    ///             cx.send(from, &asked).unwrap();
    ///             let call = Call::new("sleeper", "run", &(asked + 1,)).unwrap();
    ///             cx.hibernate(call.continuation()).await
    ///         }
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let vm = Vm::builder().schedulers(1).module(sleeper::module()).build()?;
    ///     let run = vm.run(|mut cx| async move {
    ///         let call = Call::new("sleeper", "run", &(1,)).unwrap();
    ///         let sleeper = cx.spawn(call.body()).unwrap();
    ///         cx.send(sleeper, &cx.pid()).unwrap();
    ///         cx.send(sleeper, &cx.pid()).unwrap();
    ///         [cx.receive().await.decode(), cx.receive().await.decode()]
    ///     });
    ///     assert_eq!(run.wait()?, [Ok(1), Ok(2)]);
    ///     Ok(())
    /// }
    /// ```
    pub fn continuation(
        self,
    ) -> impl FnOnce(Context) -> BoxFuture<'static, Result<(), ExitReason>> + Send {
        move |mut cx| {
            Box::pin(async move {
                // The Context may go to what follows a hibernation: the pid does not.
                let pid = cx.pid();
                match cx.apply_call(self).await {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        crate::process::report(|| {
                            tracing::error!(target: "otp_vm::crash", %pid, %error, "a call by name failed");
                        });
                        Err(error.into())
                    }
                }
            })
        }
    }
}

/// `{Module, Function, Arguments}`.
impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.mfa.module, self.mfa.function, &self.arguments).serialize(serializer)
    }
}

/// Names may be texts as well: a specification that comes from a file has them so.
impl<'de> Deserialize<'de> for Call {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (module, function, arguments) =
            <(String, String, Arguments)>::deserialize(deserializer)?;
        let atom = |name: String| Atom::new(&name).map_err(serde::de::Error::custom);
        Self::by(atom(module)?, atom(function)?, arguments).map_err(serde::de::Error::custom)
    }
}

impl Mfa {
    /// What `fun module:function/arity` names, if the term is such a fun.
    pub fn of_fun(term: Term<'_>) -> Option<Self> {
        match term.view() {
            View::Export(fun) => Some(Self {
                module: fun.module,
                function: fun.function,
                arity: fun.arity,
            }),
            _ => None,
        }
    }

    /// `fun module:function/arity` as a term.
    ///
    /// ```
    /// use otp_vm::{Call, Context, Mfa, Vm, module};
    ///
    /// module! {
    ///     /// Sums.
    ///     pub mod calc {
    ///         /// Twice a number.
    ///         pub async fn double(_cx: &mut Context, n: u64) -> u64 { 2 * n }
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let vm = Vm::builder().schedulers(1).module(calc::module()).build()?;
    ///     let fun = calc::module().exports()[0].to_fun();
    ///     assert_eq!(fun.to_string(), "fun calc:double/1");
    ///     let run = vm.run(|mut cx| async move {
    ///         // It comes in a message, say.
    ///         let fun = Mfa::of_fun(fun.root()).unwrap();
    ///         cx.apply_call(Call::of(fun, &(21,))?).await
    ///     });
    ///     assert_eq!(run.wait()??.to_string(), "42");
    ///     Ok(())
    /// }
    /// ```
    pub fn to_fun(self) -> OwnedTerm {
        let mut fun = Builder::<()>::new();
        fun.export(otp_heap::Export {
            module: self.module,
            function: self.function,
            arity: self.arity,
        });
        fun.finish(())
            .unwrap_or_else(|_| OwnedTerm::from(atoms::BADFUN))
    }
}

impl Context {
    /// Calls a function of a module, in this process. `apply/3`.
    ///
    /// Dropping the future stops the function where it awaits.
    ///
    /// # Errors
    /// See [`ApplyError`]. A function's own failures are values that it gives, or panics, which are this process's.
    pub async fn apply<A, R>(
        &mut self,
        module: &str,
        function: &str,
        arguments: &A,
    ) -> Result<R, ApplyError>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let call = Call::new(module, function, arguments)?;
        let mfa = call.mfa;
        let result = self.apply_call(call).await?;
        from_term(result.root()).map_err(|error| ApplyError::Decode { mfa, error })
    }

    /// As [`Context::apply`], of a call that is data, for a term.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn apply_call(&mut self, call: Call) -> Result<OwnedTerm, ApplyError> {
        otp_scheduler::tick(1);
        let function = match self.core().modules.find(call.mfa) {
            Ok(function) => function,
            Err(hint) => {
                let call = Box::new(call);
                return Err(ApplyError::Undef { call, hint });
            }
        };
        // Kept for the error, which names them.
        let arguments = call.arguments.clone();
        function
            .call(self, arguments)
            .await
            .map_err(|error| match error {
                FunctionError::Arguments(error) => {
                    let call = Box::new(call);
                    ApplyError::FunctionClause { call, error }
                }
                FunctionError::Result(error) => ApplyError::Encode {
                    mfa: call.mfa,
                    error,
                },
            })
    }
}
