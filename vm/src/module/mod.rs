//! Process modules: named sets of functions that are called by module, function and arguments.
//!
//! A Rust function is called by its path, and that is right within a program. A module is for what comes as data: what
//! a child specification or a command line names, what another node or a shell asks for. So arguments and result are
//! terms, by serde, and a function that is not there is an error, `undef`, not a failure to compile.
//!
//! # The way of a call
//! 1. [`Call`] is the data: `{Module, Function, Arguments}`. It is checked when it is made, to be a list of arguments
//!    and two atoms, not whether there is such a function.
//! 2. When it is applied the module is looked up by name, and the function by name and arity. The look-up holds what it
//!    found: a new version that is loaded meanwhile is for the next call, and who runs in an old one stays there. OTP's
//!    rule; but here any number of versions may run, and nobody is killed for running in an old one.
//! 3. The arguments are decoded (`function_clause` if they are not of the types), the function runs in the caller's
//!    process, and what it gives is encoded.

mod call;
mod function;
mod loaded;
mod macros;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use otp_heap::{Atom, AtomError, EncodeError, OwnedTerm, to_term};
use serde::Serialize;

pub use call::{ApplyError, Call};
pub use function::{Arguments, ArgumentsError, BoxFuture, Function, FunctionError};
pub(crate) use loaded::Modules;
pub use loaded::{DEFAULT_MAX_MODULES, LoadError};

use crate::origin::Mfa;

/// A process module. Clones are the same one. Made by [`module!`](crate::module!) or by [`Module::builder`].
///
/// ```
/// use otp_vm::{Context, Vm, module};
///
/// module! {
///     /// Sums and the like.
///     pub mod calc [vsn: "1.2", author: "somebody"] {
///         /// The sum of two numbers.
///         pub async fn add(_cx: &mut Context, a: i64, b: i64) -> i64 {
///             a + b
///         }
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let vm = Vm::builder().schedulers(1).module(calc::module()).build()?;
///     assert!(vm.function_exported("calc", "add", 2));
///     let sum = vm.run(|mut cx| async move { cx.apply::<_, i64>("calc", "add", &(20, 22)).await });
///     assert_eq!(sum.wait()??, 42);
///
///     let wrong = vm.run(|mut cx| async move { cx.apply::<_, i64>("calc", "sub", &(20, 22)).await });
///     let error = wrong.wait()?.unwrap_err().to_string();
///     assert_eq!(error, "calc:sub/2 is undefined: calc exports add/2");
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Module(Arc<Inside>);

struct Inside {
    name: Atom,
    doc: String,
    attributes: Vec<(Atom, OwnedTerm)>,
    /// By name as text, so that a list is in order.
    functions: BTreeMap<(&'static str, u8), Function>,
}

/// What is known of a module: `Module:module_info/0`, and its docs.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModuleInfo {
    /// Its name.
    pub module: Atom,
    /// What it is for, as its author wrote.
    pub doc: String,
    /// Its attributes, as they were given; `vsn` is the version.
    pub attributes: Vec<(Atom, OwnedTerm)>,
    /// Its functions, by name and arity.
    pub exports: Vec<ExportInfo>,
}

/// What is known of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportInfo {
    /// What it is called by.
    pub mfa: Mfa,
    /// What it does, as its author wrote.
    pub doc: String,
}

/// Why a module was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// A name of the module, of a function or of an attribute is no atom.
    #[error("the name {name:?} can't be an atom: {error}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        error: AtomError,
    },
    /// Two functions are called by the same name and arity.
    #[error("{0} is defined twice: give one of them another name, or another arity")]
    Twice(Mfa),
    /// A function takes more arguments than OTP's.
    #[error("{function} takes {arity} arguments: 255 at most, so take a struct or a list")]
    Arity {
        /// The function.
        function: String,
        /// What it was to take.
        arity: usize,
    },
    /// An attribute is no term.
    #[error("the attribute {key} can't be a term: {error}")]
    Attribute {
        /// Its key.
        key: String,
        /// Why not.
        error: EncodeError,
    },
}

impl Module {
    /// Begins to make a module by hand: for functions whose names or arities are known only at run time, or with one
    /// name and several arities.
    ///
    /// ```
    /// use otp_vm::{Arguments, Function, Module};
    ///
    /// let zero = Function::new("add", 0, |_cx, _| Box::pin(async { Arguments::result(&0) }));
    /// let sum = Function::new("add", 2, |_cx, arguments| Box::pin(async move {
    ///     let (a, b): (i64, i64) = arguments.decode()?;
    ///     Arguments::result(&(a + b))
    /// }));
    /// let calc = Module::builder("calc").function(zero).function(sum.doc("The sum.")).build()?;
    /// assert_eq!(calc.to_string(), "calc exports add/0, add/2");
    /// # Ok::<(), otp_vm::ModuleError>(())
    /// ```
    pub fn builder(name: &str) -> ModuleBuilder {
        ModuleBuilder {
            name: name.to_owned(),
            doc: String::new(),
            attributes: Vec::new(),
            functions: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> Atom {
        self.0.name
    }

    /// What it is for, as its author wrote.
    pub fn doc(&self) -> &str {
        &self.0.doc
    }

    /// One of its attributes; `vsn` is the version.
    pub fn attribute(&self, key: &str) -> Option<&OwnedTerm> {
        let mut attributes = self.0.attributes.iter();
        attributes
            .find(|(name, _)| name.as_str() == key)
            .map(|(_, value)| value)
    }

    /// Its functions, by name and arity.
    pub fn exports(&self) -> Vec<Mfa> {
        let functions = self.0.functions.keys();
        functions.map(|key| self.mfa(*key)).collect()
    }

    /// All that is known of it. `Module:module_info/0`.
    pub fn info(&self) -> ModuleInfo {
        let attributes = self.0.attributes.iter();
        let copy = |(key, value): &(Atom, OwnedTerm)| Some((*key, value.try_clone().ok()?));
        let exports = self.0.functions.iter();
        let exports = exports.map(|(key, function)| ExportInfo {
            mfa: self.mfa(*key),
            doc: function.text().to_owned(),
        });
        ModuleInfo {
            module: self.0.name,
            doc: self.0.doc.clone(),
            attributes: attributes.filter_map(copy).collect(),
            exports: exports.collect(),
        }
    }

    fn mfa(&self, (function, arity): (&'static str, u8)) -> Mfa {
        Mfa {
            module: self.0.name,
            // It was made an atom with the module.
            function: Atom::existing(function).unwrap_or(otp_heap::atoms::UNDEFINED),
            arity,
        }
    }

    pub(crate) fn function(&self, mfa: Mfa) -> Option<Function> {
        let key = (mfa.function.as_str(), mfa.arity);
        self.0.functions.get(&key).cloned()
    }
}

/// Most functions that an error names. Chosen by feel: three lines of a terminal.
const LISTED_FUNCTIONS: usize = 16;

/// `calc exports add/2, sub/2`; of many the first few.
impl fmt::Display for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let functions = &self.0.functions;
        write!(formatter, "{} exports ", self.0.name)?;
        if functions.is_empty() {
            return formatter.write_str("nothing");
        }
        for (at, (name, arity)) in functions.keys().take(LISTED_FUNCTIONS).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(formatter, "{comma}{name}/{arity}")?;
        }
        match functions.len().saturating_sub(LISTED_FUNCTIONS) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Module").field(&self.0.name).finish()
    }
}

/// Makes a module: see [`Module::builder`].
#[derive(Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ModuleBuilder {
    name: String,
    doc: String,
    attributes: Vec<(String, Result<OwnedTerm, EncodeError>)>,
    functions: Vec<Function>,
}

impl ModuleBuilder {
    /// What it is for.
    pub fn doc(mut self, doc: &str) -> Self {
        self.doc = function::unindented(doc);
        self
    }

    /// Gives it an attribute. `-attribute(Value).`; the version is `vsn`.
    pub fn attribute<T: Serialize + ?Sized>(mut self, key: &str, value: &T) -> Self {
        self.attributes.push((key.to_owned(), to_term(value)));
        self
    }

    /// Exports a function.
    pub fn function(mut self, function: Function) -> Self {
        self.functions.push(function);
        self
    }

    /// The module.
    ///
    /// # Errors
    /// See [`ModuleError`].
    pub fn build(self) -> Result<Module, ModuleError> {
        let name = atom(&self.name)?;
        let mut attributes = Vec::with_capacity(self.attributes.len());
        for (key, value) in self.attributes {
            let value = value.map_err(|error| ModuleError::Attribute {
                key: key.clone(),
                error,
            })?;
            attributes.push((atom(&key)?, value));
        }
        let mut functions = BTreeMap::new();
        for function in self.functions {
            let arity = u8::try_from(function.arity()).map_err(|_| ModuleError::Arity {
                function: function.name().to_owned(),
                arity: function.arity(),
            })?;
            let called = atom(function.name())?;
            if functions
                .insert((called.as_str(), arity), function)
                .is_some()
            {
                return Err(ModuleError::Twice(Mfa {
                    module: name,
                    function: called,
                    arity,
                }));
            }
        }
        Ok(Module(Arc::new(Inside {
            name,
            doc: self.doc,
            attributes,
            functions,
        })))
    }
}

fn atom(name: &str) -> Result<Atom, ModuleError> {
    Atom::new(name).map_err(|error| ModuleError::Name {
        name: name.to_owned(),
        error,
    })
}
