//! Supervisors whose flags and children a callback gives: OTP's callback module, with its `init/1`.

use std::fmt;
use std::sync::Arc;

use otp_vm::{Atom, Call, Context, ExitReason, OwnedTerm, Term, atoms, to_term};
use serde::Serialize;

use super::Supervisor;
use super::child::{BoxFuture, ChildSpec};
use super::children::Children;
use super::client::ChildError;
use super::data::{FlagsError, Given, SpecError, check, specs_of};
use super::flags::{Strategy, SupervisorFlags};
use super::intensity::Intensity;
use super::simple::Simple;
use crate::unwind::DropCaught;

/// A supervisor of one's own: OTP's behaviour `supervisor`.
///
/// ```
/// use otp_stdlib::prelude::*;
/// use otp_stdlib::supervisor::{Supervise, SupervisorInit};
/// use otp_vm::{Context, Vm};
///
/// struct Shop;
///
/// impl Supervise for Shop {
///     type Args = u32;
///
///     async fn init(tills: &u32, _cx: &mut Context) -> SupervisorInit {
///         let till = |number| ChildSpec::process(format!("till {number}"), async |mut cx: Context| {
///             cx.receive().await;
///         });
///         SupervisorInit::Ok(SupervisorFlags::one_for_one(), (0..*tills).map(till).collect())
///     }
/// }
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let tills = vm.run(async |mut cx: Context| {
///     let shop = Supervisor::start_link_with::<Shop>(&mut cx, 3).name("shop").await.unwrap();
///     shop.count_children(&mut cx).await.unwrap().active
/// });
/// assert_eq!(tills.wait()?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Supervise: 'static {
    /// What `init` gets. It is kept, for a change of code.
    type Args: Send + Sync + 'static;

    /// Gives the flags and the children. `init/1`. It runs in the supervisor's process, and may run again, when the
    /// code is changed: it must not start anything itself.
    fn init(args: &Self::Args, cx: &mut Context) -> impl Future<Output = SupervisorInit> + Send;
}

/// What [`Supervise::init`] gives.
#[derive(Debug)]
pub enum SupervisorInit {
    /// `{ok, {Flags, Children}}`.
    Ok(SupervisorFlags, Vec<ChildSpec>),
    /// `ignore`: the supervisor ends with `normal`, and the start gives
    /// [`StartError::Ignore`](crate::StartError::Ignore).
    Ignore,
    /// The supervisor ends with this reason.
    Stop(ExitReason),
}

type Init =
    dyn for<'a> Fn(&'a mut Context) -> BoxFuture<'a, Result<SupervisorInit, Refused>> + Send + Sync;

/// Where flags and children come from.
#[derive(Clone)]
pub(super) struct Callback {
    pub(super) module: &'static str,
    init: Arc<Init>,
}

/// Why what a callback gave can't be taken.
pub(super) enum Refused {
    /// It is nothing that a callback gives.
    BadReturn(Atom, Atom, Given),
    Flags(FlagsError),
    Spec(SpecError),
    /// Not one specification, which a `simple_one_for_one` supervisor needs.
    BadStartSpec(Given),
}

/// OTP's reasons.
#[derive(Serialize)]
enum Reason<'a> {
    BadReturn(&'a (Atom, Atom, &'a Given)),
    SupervisorData(&'a FlagsError),
    StartSpec(&'a SpecError),
    BadStartSpec(&'a Given),
}

impl From<Refused> for ExitReason {
    fn from(refused: Refused) -> Self {
        Self::new(&match &refused {
            Refused::BadReturn(module, function, given) => {
                return Self::new(&Reason::BadReturn(&(*module, *function, given)));
            }
            Refused::Flags(error) => Reason::SupervisorData(error),
            Refused::Spec(error) => Reason::StartSpec(error),
            Refused::BadStartSpec(given) => Reason::BadStartSpec(given),
        })
    }
}

impl Callback {
    pub(super) fn of<S: Supervise>(args: S::Args) -> Self {
        let args = Arc::new(DropCaught::new(args));
        Self::new(std::any::type_name::<S>(), move |cx| {
            let args = Arc::clone(&args);
            Box::pin(async move { Ok(S::init(&args, cx).await) })
        })
    }

    /// A function of a process module that gives OTP's terms.
    pub(super) fn by_call(call: Call) -> Self {
        let module = call.mfa().module.as_str();
        Self::new(module, move |cx| {
            let call = call.clone();
            Box::pin(async move {
                let mfa = call.mfa();
                match cx.apply_call(call).await {
                    Ok(given) => of_term(mfa.module, mfa.function, given),
                    Err(error) => Ok(SupervisorInit::Stop(error.into())),
                }
            })
        })
    }

    fn new<F>(module: &'static str, init: F) -> Self
    where
        F: for<'a> Fn(&'a mut Context) -> BoxFuture<'a, Result<SupervisorInit, Refused>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            module,
            init: Arc::new(init),
        }
    }

    pub(super) async fn init(&self, cx: &mut Context) -> Result<SupervisorInit, Refused> {
        (self.init)(cx).await
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Callback")
            .field(&self.module)
            .finish()
    }
}

/// `{ok, {Flags, Children}}` or `ignore`.
fn of_term(module: Atom, function: Atom, given: OwnedTerm) -> Result<SupervisorInit, Refused> {
    if given.root().as_atom() == Some(atoms::IGNORE) {
        return Ok(SupervisorInit::Ignore);
    }
    let Some((flags, children)) = flags_and_children(given.root()) else {
        return Err(Refused::BadReturn(module, function, given.into()));
    };
    let flags = SupervisorFlags::from_term(flags).map_err(Refused::Flags)?;
    if flags.strategy == Strategy::SimpleOneForOne && children.list_len() != Some(1) {
        return Err(Refused::BadStartSpec(Given::new(children)));
    }
    let children = specs_of(children).map_err(Refused::Spec)?;
    Ok(SupervisorInit::Ok(flags, children))
}

fn flags_and_children(given: Term<'_>) -> Option<(Term<'_>, Term<'_>)> {
    let given = given.as_tuple().filter(|tuple| tuple.len() == 2)?;
    given.get(0)?.as_atom().filter(|&tag| tag == atoms::OK)?;
    let both = given.get(1)?.as_tuple().filter(|tuple| tuple.len() == 2)?;
    Some((both.get(0)?, both.get(1)?))
}

impl Supervisor {
    /// Calls the callback again. What it gives now is checked as a whole before anything changes.
    pub(super) async fn code_change(&mut self, cx: &mut Context) -> Result<(), ChildError> {
        let Some(callback) = self.callback.clone() else {
            return Err(ChildError::CodeChange(ExitReason::from(atoms::UNDEF)));
        };
        let (flags, specs) = match callback.init(cx).await {
            Ok(SupervisorInit::Ok(flags, specs)) => (flags, specs),
            Ok(SupervisorInit::Ignore) => return Ok(()),
            Ok(SupervisorInit::Stop(reason)) => return Err(ChildError::CodeChange(reason)),
            Err(refused) => return Err(refused_change(refused)),
        };
        let intensity = Intensity::new(flags.max_restarts, flags.period)?;
        check(&specs, Some(flags.auto_shutdown))?;
        match (&mut self.simple, flags.strategy) {
            (Some(simple), Strategy::SimpleOneForOne) => {
                let one = <[ChildSpec; 1]>::try_from(specs);
                let [template] = one.map_err(|specs| ChildError::CodeChange(not_one(&specs)))?;
                simple.change(template);
            }
            (None, Strategy::SimpleOneForOne) => {
                let one = <[ChildSpec; 1]>::try_from(specs);
                let [template] = one.map_err(|specs| ChildError::CodeChange(not_one(&specs)))?;
                if self.children.iter().next().is_some() {
                    return Err(ChildError::CodeChange(ExitReason::from(
                        atoms::SIMPLE_ONE_FOR_ONE,
                    )));
                }
                self.simple = Some(Box::new(Simple::new(template)));
            }
            (Some(_), _) => {
                return Err(ChildError::CodeChange(ExitReason::from(
                    atoms::SIMPLE_ONE_FOR_ONE,
                )));
            }
            (None, _) => Children::change(&mut self.children, specs),
        }
        self.intensity = self.intensity.take_over(intensity);
        self.strategy = flags.strategy;
        self.auto_shutdown = flags.auto_shutdown;
        self.back_off = flags.back_off;
        Ok(())
    }
}

fn refused_change(refused: Refused) -> ChildError {
    match refused {
        Refused::BadReturn(_, _, given) | Refused::BadStartSpec(given) => {
            ChildError::CodeChange(ExitReason::new(&given))
        }
        Refused::Flags(error) => error.into(),
        Refused::Spec(error) => error.into(),
    }
}

/// `{bad_start_spec, Ids}`: not the one specification that a `simple_one_for_one` supervisor has.
pub(super) fn not_one(specs: &[ChildSpec]) -> ExitReason {
    let ids: Vec<_> = specs.iter().map(|spec| &spec.id).collect();
    let ids =
        to_term(&ids).map_or_else(|_| Given::from(OwnedTerm::from(atoms::BADARG)), Given::from);
    ExitReason::from(Refused::BadStartSpec(ids))
}
