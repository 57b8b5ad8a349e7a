//! One method of the block: what it is, and which of its arguments are the message.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::{
    Attribute, Error, FnArg, GenericArgument, ImplItemFn, Pat, PathArguments, ReceiverKind, Result,
    ReturnType, Type, TypePath,
};

/// What a method handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Cast,
    Info,
    Timeout,
    Continue,
}

const MARKERS: [(&str, Kind); 5] = [
    ("call", Kind::Call),
    ("cast", Kind::Cast),
    ("info", Kind::Info),
    ("timeout", Kind::Timeout),
    ("continues", Kind::Continue),
];

/// Methods of references, beside which a client function of that name could not be called.
const REFERENCE_METHODS: [&str; 16] = [
    "call",
    "call_or_exit",
    "call_timeout",
    "cast",
    "clone",
    "on",
    "pid",
    "request",
    "send_request",
    "send_request_as",
    "stop",
    "target",
    "timeout",
    "whereis",
    "eq",
    "ne",
];

/// What is said of an argument that is borrowed.
const OWNED: &str = "a message is owned by who gets it: take `String` for `&str`, `Vec<T>` for `&[T]`, `T` for `&T`";

/// A parameter behind `self`.
pub(crate) enum Parameter {
    Context,
    From,
    /// A part of the message.
    Field(Box<Field>),
}

pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) r#type: Type,
}

/// What a handler gives.
pub(crate) enum Output {
    /// The type of the library that says what is next: `Reply<Self, T>`, `NoReply<Self>`, `Init<Self>`.
    Control,
    /// A value, or nothing.
    Plain,
}

pub(crate) struct Handler {
    pub(crate) kind: Kind,
    pub(crate) name: Ident,
    /// The name in UpperCamelCase: its variant.
    pub(crate) variant: Ident,
    pub(crate) docs: Vec<Attribute>,
    /// `#[cfg]` and the like are for all that is made of the method.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) is_async: bool,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
    /// Of a call.
    pub(crate) reply: Type,
}

impl Handler {
    /// Whether both can't be there: methods under different `#[cfg]`s may be one in the end.
    pub(crate) fn takes_the_name_of(&self, other: &Self) -> bool {
        self.name == other.name && self.cfgs.is_empty() && other.cfgs.is_empty()
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.parameters
            .iter()
            .filter_map(|parameter| match parameter {
                Parameter::Field(field) => Some(&**field),
                _ => None,
            })
    }
}

/// Takes the marker off a method. None if it has none.
pub(crate) fn take_marker(method: &mut ImplItemFn) -> Result<Option<Kind>> {
    let kind = |attribute: &Attribute| {
        let marker = |(name, _): &&(&str, Kind)| attribute.path().is_ident(name);
        MARKERS.iter().find(marker).map(|(_, kind)| *kind)
    };
    let attributes = std::mem::take(&mut method.attrs);
    let (markers, others): (Vec<_>, Vec<_>) = attributes
        .into_iter()
        .partition(|attribute| kind(attribute).is_some());
    method.attrs = others;
    if let Some(second) = markers.get(1) {
        return Err(Error::new_spanned(
            second,
            "a method handles one kind of message: keep one of the markers, and write a second method that calls the \
             first",
        ));
    }
    let Some(marker) = markers.first() else {
        return Ok(None);
    };
    marker.meta.require_path_only()?;
    Ok(kind(marker))
}

/// The first `await` of a body that has nothing `async` in it, where it could stand.
fn lone_await(body: TokenStream) -> Option<Ident> {
    let mut found = None;
    let mut open = vec![body];
    while let Some(tokens) = open.pop() {
        for token in tokens {
            match token {
                TokenTree::Ident(name) if name == "async" => return None,
                TokenTree::Ident(name) if name == "await" => {
                    found.get_or_insert(name);
                }
                TokenTree::Group(group) => open.push(group.stream()),
                _ => {}
            }
        }
    }
    found
}

/// A method that awaits is `async`: the compiler's own error does not say so.
pub(crate) fn check_async(method: &ImplItemFn) -> Result<()> {
    if method.sig.asyncness.is_some() {
        return Ok(());
    }
    match lone_await(method.block.to_token_stream()) {
        Some(found) => Err(Error::new_spanned(
            found,
            format!(
                "what awaits is async: write `async fn {}`",
                method.sig.ident
            ),
        )),
        None => Ok(()),
    }
}

pub(crate) fn read(method: &ImplItemFn, kind: Kind) -> Result<Handler> {
    let signature = &method.sig;
    let name = signature.ident.clone();
    check_async(method)?;
    if let Some(parameter) = signature.generics.params.first() {
        return Err(Error::new_spanned(
            parameter,
            "a handler has no type parameters or lifetimes: its message has one type",
        ));
    }
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if matches!(receiver.kind, ReceiverKind::Reference(..)) => {
        }
        Some(FnArg::Receiver(receiver)) => {
            return Err(Error::new_spanned(
                receiver,
                "a handler borrows its server: write `&mut self`",
            ));
        }
        _ => {
            return Err(Error::new_spanned(
                signature,
                "a handler needs its server: write `&mut self` as its first argument",
            ));
        }
    }
    let parameters = inputs
        .enumerate()
        .map(|(index, input)| parameter(index, input))
        .collect::<Result<Vec<_>>>()?;
    let (output, reply) = output(&signature.output, kind)?;
    let handler = Handler {
        kind,
        variant: format_ident!("{}", camel(&name.to_string()), span = name.span()),
        name,
        docs: attributes(method, "doc"),
        cfgs: attributes(method, "cfg"),
        is_async: signature.asyncness.is_some(),
        parameters,
        output,
        reply,
    };
    check(&handler, method)?;
    Ok(handler)
}

fn attributes(method: &ImplItemFn, name: &str) -> Vec<Attribute> {
    let attributes = method.attrs.iter();
    attributes
        .filter(|attribute| attribute.path().is_ident(name))
        .cloned()
        .collect()
}

fn check(handler: &Handler, method: &ImplItemFn) -> Result<()> {
    let Handler { kind, name, .. } = handler;
    let signature = &method.sig;
    let from = handler
        .parameters
        .iter()
        .position(|parameter| matches!(parameter, Parameter::From));
    if let (Some(index), true) = (from, *kind != Kind::Call) {
        return Err(Error::new_spanned(
            &signature.inputs[index + 1],
            "only a `#[call]` has somebody who waits for a reply: remove the argument, or make it a call",
        ));
    }
    if matches!(kind, Kind::Call | Kind::Cast | Kind::Info)
        && let Some(borrowed) = handler.fields().find_map(|field| borrowed(&field.r#type))
    {
        return Err(Error::new_spanned(borrowed, OWNED));
    }
    let fields = handler.fields().count();
    match kind {
        Kind::Call | Kind::Cast => {
            if REFERENCE_METHODS.iter().any(|method| name == method) {
                return Err(Error::new_spanned(
                    name,
                    format!(
                        "`ServerRef` has a method `{name}` of its own: give the handler another name"
                    ),
                ));
            }
        }
        Kind::Info if fields != 1 => {
            return Err(Error::new_spanned(
                &signature.inputs,
                "an `#[info]` handler has one argument beside `cx`: the message, of a type that decodes; several parts \
                 are a tuple",
            ));
        }
        Kind::Timeout if fields != 0 => {
            return Err(Error::new_spanned(
                &signature.inputs,
                "a `#[timeout]` handler gets nothing but `cx`",
            ));
        }
        Kind::Info | Kind::Timeout | Kind::Continue => {}
    }
    Ok(())
}

/// What an argument behind `self` is.
pub(crate) fn parameter(index: usize, input: &FnArg) -> Result<Parameter> {
    let FnArg::Typed(typed) = input else {
        return Err(Error::new_spanned(input, "`self` comes first"));
    };
    let r#type = &*typed.ty;
    match r#type {
        Type::Reference(reference) if ends_with(&reference.elem, "Context") => {
            return Ok(Parameter::Context);
        }
        Type::Reference(_) => {
            return Err(Error::new_spanned(r#type, OWNED));
        }
        Type::ImplTrait(_) => {
            return Err(Error::new_spanned(
                r#type,
                "a message has one type: name it in place of `impl Trait`",
            ));
        }
        _ if ends_with(r#type, "Context") => {
            return Err(Error::new_spanned(
                r#type,
                "the context stays with the process: write `cx: &mut Context`",
            ));
        }
        _ if ends_with(r#type, "From") => return Ok(Parameter::From),
        _ => {}
    }
    let name = match &*typed.pat {
        Pat::Ident(pattern) => pattern.ident.clone(),
        _ => format_ident!("argument_{}", index + 1),
    };
    Ok(Parameter::Field(Box::new(Field {
        name,
        r#type: r#type.clone(),
    })))
}

fn output(output: &ReturnType, kind: Kind) -> Result<(Output, Type)> {
    let nothing: Type = syn::parse_quote!(());
    let ReturnType::Type(_, r#type) = output else {
        return Ok((Output::Plain, nothing));
    };
    let control = if kind == Kind::Call {
        "Reply"
    } else {
        "NoReply"
    };
    if ends_with(r#type, control) {
        if kind != Kind::Call {
            return Ok((Output::Control, nothing));
        }
        return match second_argument(r#type) {
            Some(reply) => check_reply(&reply).map(|()| (Output::Control, reply)),
            None => Err(Error::new_spanned(
                r#type,
                "say what this call replies: `Reply<Self, TypeOfTheReply>`",
            )),
        };
    }
    if kind == Kind::Call {
        if ends_with(r#type, "NoReply") {
            return Err(Error::new_spanned(
                r#type,
                "a call gives its reply, or `Reply<Self, TypeOfTheReply>`; `Reply::later()` if it replies later",
            ));
        }
        check_reply(r#type)?;
        return Ok((Output::Plain, (**r#type).clone()));
    }
    match &**r#type {
        Type::Tuple(tuple) if tuple.elems.is_empty() => Ok((Output::Plain, nothing)),
        _ => Err(Error::new_spanned(
            r#type,
            "nobody waits for what this gives: give nothing, or `NoReply<Self>`; to answer, make it a `#[call]`",
        )),
    }
}

fn check_reply(reply: &Type) -> Result<()> {
    match borrowed(reply) {
        Some(borrowed) => Err(Error::new_spanned(
            borrowed,
            "a reply is owned by who asked: give `String` for `&str`, `Vec<T>` for `&[T]`, `T` for `&T`",
        )),
        None => Ok(()),
    }
}

/// The first reference in a type, itself or what it is made of. Those of a function's type are none of its value.
fn borrowed(r#type: &Type) -> Option<&Type> {
    match r#type {
        Type::Reference(_) => Some(r#type),
        Type::Array(array) => borrowed(&array.elem),
        Type::Group(group) => borrowed(&group.elem),
        Type::Paren(paren) => borrowed(&paren.elem),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(borrowed),
        Type::Path(TypePath { path, .. }) => {
            let arguments = path.segments.iter().map(|segment| &segment.arguments);
            let bracketed = arguments.filter_map(|arguments| match arguments {
                PathArguments::AngleBracketed(bracketed) => Some(&bracketed.args),
                _ => None,
            });
            bracketed.flatten().find_map(|argument| match argument {
                GenericArgument::Type(r#type) => borrowed(r#type),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Whether a type is written as a path that ends so.
pub(crate) fn ends_with(r#type: &Type, name: &str) -> bool {
    match r#type {
        Type::Path(TypePath { path, .. }) => {
            path.segments.last().is_some_and(|last| last.ident == name)
        }
        Type::Group(group) => ends_with(&group.elem, name),
        _ => false,
    }
}

fn second_argument(r#type: &Type) -> Option<Type> {
    let Type::Path(TypePath { path, .. }) = r#type else {
        return None;
    };
    let PathArguments::AngleBracketed(arguments) = &path.segments.last()?.arguments else {
        return None;
    };
    match arguments.args.iter().nth(1)? {
        GenericArgument::Type(reply) => Some(reply.clone()),
        _ => None,
    }
}

/// `a_name` as `AName`.
fn camel(name: &str) -> String {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let mut camel = String::new();
    for word in name.split('_') {
        let mut letters = word.chars();
        camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The compiler's own errors, which come besides where the type names the server, are no matter here.
    #[test]
    fn a_reply_that_borrows_is_refused_wherever_it_is_named() {
        let refused = |gives: ReturnType| output(&gives, Kind::Call).is_err();
        assert!(refused(syn::parse_quote!(-> Reply<Self, &'static str>)));
        assert!(refused(
            syn::parse_quote!(-> Reply<Self, Vec<&'static str>>)
        ));
        assert!(refused(
            syn::parse_quote!(-> Result<String, (u8, &'static str)>)
        ));
        assert!(!refused(
            syn::parse_quote!(-> Reply<Self, Cow<'static, str>>)
        ));
    }
}
