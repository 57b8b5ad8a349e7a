//! A function of a module, and what it is called with.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use otp_heap::{
    Builder, DecodeError, EncodeError, OwnedTerm, Term, View, atoms, from_term, to_term,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::context::Context;

/// A future in a box, as functions of modules give it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

type Body = dyn for<'a> Fn(&'a mut Context, Arguments) -> BoxFuture<'a, Result<OwnedTerm, FunctionError>>
    + Send
    + Sync;

/// A function of a module. `Module::builder` has an example; [`module!`](crate::module!) makes them from plain Rust.
#[derive(Clone)]
pub struct Function {
    name: Arc<str>,
    arity: usize,
    doc: Arc<str>,
    body: Arc<Body>,
}

/// Why a function gave nothing, apart from its own errors, which are values that it gives.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// The arguments are not of its types.
    #[error(transparent)]
    Arguments(#[from] DecodeError),
    /// What it gave can't be a term.
    #[error(transparent)]
    Result(#[from] EncodeError),
}

impl Function {
    /// A function by name and arity: `body` gets so many arguments, decodes them, and gives its result as a term.
    pub fn new<B>(name: &str, arity: usize, body: B) -> Self
    where
        B: for<'a> Fn(
                &'a mut Context,
                Arguments,
            ) -> BoxFuture<'a, Result<OwnedTerm, FunctionError>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            name: name.into(),
            arity,
            doc: "".into(),
            body: Arc::new(body),
        }
    }

    /// What it does, for who lists it.
    pub fn doc(mut self, doc: &str) -> Self {
        self.doc = unindented(doc).into();
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn arity(&self) -> usize {
        self.arity
    }

    pub(super) fn text(&self) -> &str {
        &self.doc
    }

    pub(super) fn call<'a>(
        &self,
        cx: &'a mut Context,
        arguments: Arguments,
    ) -> BoxFuture<'a, Result<OwnedTerm, FunctionError>> {
        (self.body)(cx, arguments)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.name, self.arity)
    }
}

/// Without the space that opens each line of a doc comment, and without the last end of line.
pub(super) fn unindented(doc: &str) -> String {
    let lines = doc
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The arguments of a call: a list of terms.
///
/// Made of a Rust tuple, array or sequence with so many elements, or of `()` for none. They are copied, so none may
/// hold a native resource.
pub struct Arguments(OwnedTerm);

impl Arguments {
    /// Arguments from a Rust value: `(1, "two")` are two, `(x,)` is one, `()` is none.
    ///
    /// # Errors
    /// When it can't be a term, or is neither a tuple nor a list.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, ArgumentsError> {
        let term = to_term(value)?;
        Self::from_term(term.root())
    }

    /// Arguments from a term: a list or a tuple of them.
    ///
    /// # Errors
    /// When it is neither, or holds a native resource.
    pub fn from_term(term: Term<'_>) -> Result<Self, ArgumentsError> {
        let elements: Vec<Term<'_>> = match term.view() {
            View::Tuple(tuple) => tuple.iter().collect(),
            View::Nil => Vec::new(),
            View::Atom(atoms::OK) => Vec::new(),
            View::Cons(_) => elements_of(term)?,
            _ => return Err(ArgumentsError::NoList(text(term))),
        };
        let mut list = Builder::<()>::new();
        for &element in &elements {
            list.term(element);
        }
        list.list(elements.len());
        Ok(Self(list.finish(())?))
    }

    /// How many there are.
    pub fn arity(&self) -> usize {
        elements_of(self.0.root()).map_or(0, |elements| elements.len())
    }

    /// The list of them.
    pub fn term(&self) -> Term<'_> {
        self.0.root()
    }

    /// The arguments as a tuple of their types.
    ///
    /// # Errors
    /// When they are not of these types, or not so many.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let error = match from_term(self.0.root()) {
            Ok(arguments) => return Ok(arguments),
            Err(error) => error,
        };
        match self.0.root().view() {
            // None at all, which in Rust is `()`, and that as a term is `ok`.
            View::Nil => from_term(OwnedTerm::from(atoms::OK).root()).map_err(|_| error),
            _ => Err(error),
        }
    }

    /// What a function gives, as the term that it is to give.
    ///
    /// # Errors
    /// When it can't be one.
    pub fn result<T: Serialize + ?Sized>(value: &T) -> Result<OwnedTerm, FunctionError> {
        Ok(to_term(value)?)
    }
}

fn elements_of(list: Term<'_>) -> Result<Vec<Term<'_>>, ArgumentsError> {
    let mut elements = Vec::new();
    let mut rest = list;
    loop {
        match rest.view() {
            View::Nil => return Ok(elements),
            View::Cons(cons) => {
                elements.push(cons.head());
                rest = cons.tail();
            }
            _ => return Err(ArgumentsError::NoList(text(list))),
        }
    }
}

/// Longest text of a term in an error, in bytes. Chosen by feel: a few lines.
const TEXT_LIMIT_BYTES: usize = 256;

fn text(term: Term<'_>) -> String {
    term.display_limited(TEXT_LIMIT_BYTES).to_string()
}

/// Why something is no arguments. `badarg`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentsError {
    /// It is neither a list nor a tuple; its text is cut.
    #[error("{0} is no list of arguments: give a tuple or a list with an element for each")]
    NoList(String),
    /// It can't be a term, or can't be copied.
    #[error("an argument can't be a term of its own: {0}")]
    Encode(#[from] EncodeError),
}

impl Clone for Arguments {
    fn clone(&self) -> Self {
        // They were copied when they were made, so nothing in them can't be.
        Self(
            self.0
                .try_clone()
                .unwrap_or_else(|_| OwnedTerm::from(atoms::BADARG)),
        )
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&text(self.0.root()))
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let term = OwnedTerm::deserialize(deserializer)?;
        Self::from_term(term.root()).map_err(serde::de::Error::custom)
    }
}
