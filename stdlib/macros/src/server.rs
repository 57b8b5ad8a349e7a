//! The block as a whole: which methods it has, and whether they make a server.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{
    Error, FnArg, ImplItem, ImplItemFn, ItemImpl, Result, ReturnType, Type, TypePath, parse2,
};

use crate::handler::{self, Field, Handler, Kind, Output, Parameter};

/// Callbacks of the trait that are taken as they are.
const CALLBACKS: [&str; 6] = [
    "terminate",
    "handle_unknown",
    "code_change",
    "format_status",
    "system_get_state",
    "system_state",
];

/// Callbacks that the attribute writes.
const WRITTEN: [(&str, &str); 4] = [
    ("handle_call", "#[call]"),
    ("handle_cast", "#[cast]"),
    ("handle_info", "#[info]"),
    ("handle_continue", "#[continues]"),
];

pub(crate) struct Server {
    /// The block without the markers, and without the callbacks that are the trait's.
    pub(crate) block: ItemImpl,
    pub(crate) name: Ident,
    pub(crate) init: Init,
    pub(crate) callbacks: Vec<ImplItemFn>,
    pub(crate) handlers: Vec<Handler>,
}

pub(crate) struct Init {
    pub(crate) is_async: bool,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
}

impl Init {
    pub(crate) fn fields(&self) -> Vec<&Field> {
        let parameters = self.parameters.iter();
        parameters
            .filter_map(|parameter| match parameter {
                Parameter::Field(field) => Some(&**field),
                _ => None,
            })
            .collect()
    }
}

impl Server {
    pub(crate) fn of(&self, kind: Kind) -> Vec<&Handler> {
        let handlers = self.handlers.iter();
        handlers.filter(|handler| handler.kind == kind).collect()
    }
}

const NOT_A_BLOCK: &str =
    "`#[gen_server]` stands on the `impl` block of a type: `#[gen_server] impl Cache { … }`";

/// The item as a program without the attribute would have it.
pub(crate) fn without_markers(item: TokenStream) -> TokenStream {
    let Ok(mut block) = parse2::<ItemImpl>(item.clone()) else {
        return item;
    };
    for item in &mut block.items {
        if let ImplItem::Fn(method) = item {
            // More than one is what may be wrong: all are taken.
            let _ = handler::take_marker(method);
        }
    }
    quote!(#block)
}

pub(crate) fn read(item: &TokenStream) -> Result<Server> {
    let span = item.span();
    let Ok(mut block) = parse2::<ItemImpl>(item.clone()) else {
        // An error inside of a block is told as it is.
        return Err(match parse2::<syn::Item>(item.clone()) {
            Ok(_) => Error::new(span, NOT_A_BLOCK),
            Err(error) => error,
        });
    };
    if let Some((path, _)) = &block.trait_ {
        return Err(Error::new_spanned(
            path,
            "`#[gen_server]` writes the trait itself: take `GenServer for` away, or the attribute",
        ));
    }
    if let Some(parameter) = block.generics.params.first() {
        return Err(Error::new_spanned(
            parameter,
            "a generic server's messages would be generic, too: implement `GenServer` by hand, or make the state one \
             type",
        ));
    }
    let name = name(&block.self_ty)?;
    let mut init = None;
    let mut callbacks = Vec::new();
    let mut handlers: Vec<Handler> = Vec::new();
    let mut kept = Vec::new();
    for item in std::mem::take(&mut block.items) {
        let ImplItem::Fn(mut method) = item else {
            kept.push(item);
            continue;
        };
        let marker = handler::take_marker(&mut method)?;
        let called = method.sig.ident.to_string();
        if let Some(kind) = marker {
            let handler = handler::read(&method, kind)?;
            if handlers
                .iter()
                .any(|known| handler.takes_the_name_of(known))
            {
                return Err(Error::new_spanned(
                    &handler.name,
                    format!(
                        "there is a handler `{called}` already: give this one another name, or both messages one \
                         handler"
                    ),
                ));
            }
            handlers.push(handler);
        } else if called == "init" {
            if init.is_some() {
                return Err(Error::new_spanned(
                    &method.sig.ident,
                    "a server begins with one `init`: take one of the two away; what may be given or not is an \
                     `Option`",
                ));
            }
            init = Some(read_init(&method)?);
        } else if CALLBACKS.contains(&called.as_str()) {
            callbacks.push(method);
            continue;
        } else if let Some((_, marker)) = WRITTEN.iter().find(|(name, _)| called == *name) {
            return Err(Error::new_spanned(
                &method.sig.ident,
                format!(
                    "the attribute writes `{called}`: mark a method for each message with `{marker}`"
                ),
            ));
        }
        kept.push(ImplItem::Fn(method));
    }
    block.items = kept;
    let Some(init) = init else {
        return Err(Error::new(
            block.self_ty.span(),
            "a server begins with `init`: add `async fn init(arguments: Arguments, cx: &mut Context) -> Init<Self>`",
        ));
    };
    if let Some(second) = handlers
        .iter()
        .filter(|handler| handler.kind == Kind::Timeout)
        .nth(1)
    {
        return Err(Error::new_spanned(
            &second.name,
            "there is one `timeout`, and so one handler for it",
        ));
    }
    Ok(Server {
        block,
        name,
        init,
        callbacks,
        handlers,
    })
}

fn name(r#type: &Type) -> Result<Ident> {
    match r#type {
        Type::Path(TypePath {
            qself: None, path, ..
        }) if path.segments.len() == 1 => Ok(path.segments[0].ident.clone()),
        _ => Err(Error::new_spanned(r#type, NOT_A_BLOCK)),
    }
}

const INIT_GIVES: &str =
    "`init` gives `Init<Self>`, or the state itself: `Self`; if it fails, `Init::stop(reason)`";

fn read_init(method: &ImplItemFn) -> Result<Init> {
    let signature = &method.sig;
    handler::check_async(method)?;
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        return Err(Error::new_spanned(
            receiver,
            "`init` makes the server, so there is no `self` yet: take what it needs as an argument",
        ));
    }
    let parameters = signature.inputs.iter().enumerate();
    let parameters = parameters
        .map(|(index, input)| handler::parameter(index, input))
        .collect::<Result<Vec<_>>>()?;
    let output = match &signature.output {
        ReturnType::Type(_, r#type) if handler::ends_with(r#type, "Init") => Output::Control,
        ReturnType::Type(_, r#type) if handler::ends_with(r#type, "Self") => Output::Plain,
        ReturnType::Type(_, r#type) => return Err(Error::new_spanned(r#type, INIT_GIVES)),
        ReturnType::Default => return Err(Error::new_spanned(signature, INIT_GIVES)),
    };
    Ok(Init {
        is_async: signature.asyncness.is_some(),
        parameters,
        output,
    })
}
