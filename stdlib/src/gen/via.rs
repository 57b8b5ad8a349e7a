//! Names kept by something else than the VM: OTP's `{via, Module, Name}`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use otp_vm::{Atom, BoxFuture, Context, EncodeError, OwnedTerm, Pid, to_term};
use serde::Serialize;

use super::Target;

/// Keeps names of processes; names are terms of any shape. OTP's via module.
///
/// A behaviour's start registers the new process itself, before its `init`; a request looks the name up each time.
/// [`Registry`](crate::Registry) is one. What implements it must see to it that the dead are never found.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
/// use otp_stdlib::{NameError, Via};
/// use otp_vm::{Atom, Context, OwnedTerm, Pid};
///
/// /// Names that go by number.
/// #[derive(Clone, Default)]
/// struct Lines(Arc<Mutex<HashMap<u32, Pid>>>);
///
/// fn line(name: &OwnedTerm) -> u32 {
///     otp_vm::from_term(name.root()).unwrap_or(0)
/// }
///
/// impl Via for Lines {
///     type Name = u32;
///
///     fn module(&self) -> Atom {
///         Atom::new("lines").expect("a short name")
///     }
///
///     async fn register_name(&self, cx: &mut Context, name: &OwnedTerm) -> Result<(), NameError> {
///         let mut lines = self.0.lock().unwrap();
///         match lines.get(&line(name)) {
///             Some(&holder) if cx.vm().is_alive(holder) => Err(NameError::Taken(holder)),
///             _ => {
///                 lines.insert(line(name), cx.pid());
///                 Ok(())
///             }
///         }
///     }
///
///     fn unregister_name(&self, _cx: &Context, name: &OwnedTerm) {
///         self.0.lock().unwrap().remove(&line(name));
///     }
///
///     fn whereis_name(&self, cx: &Context, name: &OwnedTerm) -> Option<Pid> {
///         let holder = self.0.lock().unwrap().get(&line(name)).copied();
///         holder.filter(|&pid| cx.vm().is_alive(pid))
///     }
/// }
/// ```
pub trait Via: Clone + Send + Sync + 'static {
    /// What its names are; they reach the functions as terms.
    type Name: Serialize + ?Sized;

    /// What it is called in reasons and reports. Two of the same name are taken for the same.
    fn module(&self) -> Atom;

    /// Gives the name to the calling process. `register_name/2`.
    ///
    /// # Errors
    /// When another has it, or it can't be kept.
    fn register_name(
        &self,
        cx: &mut Context,
        name: &OwnedTerm,
    ) -> impl Future<Output = Result<(), NameError>> + Send;

    /// Takes the name from the calling process, if it has it. `unregister_name/1`.
    fn unregister_name(&self, cx: &Context, name: &OwnedTerm);

    /// Who has the name: a living process, or nobody. `whereis_name/1`.
    fn whereis_name(&self, cx: &Context, name: &OwnedTerm) -> Option<Pid>;

    /// A reference by the name. Of one that can be found again by data alone, as a registry is by its own name, the
    /// reference can be data, too; the default carries the keeper with it.
    ///
    /// # Errors
    /// When the name can't be a term.
    fn target(&self, name: &Self::Name) -> Result<Target, EncodeError> {
        ViaName::new(self, name).map(Target::Via)
    }
}

/// Why a name was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// This process has it.
    #[error("the name belongs to {0}")]
    Taken(Pid),
    /// It can't be kept; the text says why.
    #[error("the name can't be kept: {0}")]
    Refused(String),
}

/// A name, and what keeps it. Cheap to clone.
#[derive(Clone)]
pub struct ViaName {
    via: Arc<dyn AnyVia>,
    name: Arc<OwnedTerm>,
}

impl ViaName {
    /// The name as `via` has it.
    ///
    /// # Errors
    /// When the name can't be a term.
    pub fn new<V: Via>(via: &V, name: &V::Name) -> Result<Self, EncodeError> {
        Ok(Self {
            via: Arc::new(via.clone()),
            name: Arc::new(to_term(name)?),
        })
    }

    /// What [`Via::module`] says.
    pub fn module(&self) -> Atom {
        self.via.module()
    }

    /// The name.
    pub fn name(&self) -> &OwnedTerm {
        &self.name
    }

    /// Who has it now.
    pub fn whereis(&self, cx: &Context) -> Option<Pid> {
        self.via.whereis_name(cx, &self.name)
    }

    pub(super) async fn register(&self, cx: &mut Context) -> Result<(), NameError> {
        self.via.register_name(cx, &self.name).await
    }

    pub(super) fn unregister(&self, cx: &Context) {
        self.via.unregister_name(cx, &self.name);
    }
}

impl PartialEq for ViaName {
    fn eq(&self, other: &Self) -> bool {
        self.module() == other.module() && self.name.root() == other.name.root()
    }
}

impl Eq for ViaName {}

impl Hash for ViaName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.module().hash(state);
        self.name.hash(state);
    }
}

impl fmt::Debug for ViaName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{{via,{},{}}}", self.module(), self.name)
    }
}

/// [`Via`] of any type.
trait AnyVia: Send + Sync {
    fn module(&self) -> Atom;
    fn register_name<'a>(
        &'a self,
        cx: &'a mut Context,
        name: &'a OwnedTerm,
    ) -> BoxFuture<'a, Result<(), NameError>>;
    fn unregister_name(&self, cx: &Context, name: &OwnedTerm);
    fn whereis_name(&self, cx: &Context, name: &OwnedTerm) -> Option<Pid>;
}

impl<V: Via> AnyVia for V {
    fn module(&self) -> Atom {
        Via::module(self)
    }

    fn register_name<'a>(
        &'a self,
        cx: &'a mut Context,
        name: &'a OwnedTerm,
    ) -> BoxFuture<'a, Result<(), NameError>> {
        Box::pin(Via::register_name(self, cx, name))
    }

    fn unregister_name(&self, cx: &Context, name: &OwnedTerm) {
        Via::unregister_name(self, cx, name);
    }

    fn whereis_name(&self, cx: &Context, name: &OwnedTerm) -> Option<Pid> {
        Via::whereis_name(self, cx, name)
    }
}
