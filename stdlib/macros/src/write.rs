//! What the attribute writes: the block without its markers, the messages' types, the trait, the client functions.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Path;
use syn::spanned::Spanned;

use crate::handler::{Handler, Kind, Output, Parameter};
use crate::server::{Init, Server};

pub(crate) fn server(server: &Server, library: &Path) -> TokenStream {
    let names = Names::new(server, library);
    let block = &server.block;
    let types = types(server, &names);
    let behaviour = behaviour(server, &names);
    let clients = clients(server, &names);
    let assertions = assertions(server, &names);
    quote! {
        #block
        #assertions
        #types
        #behaviour
        #clients
    }
}

/// That each argument and each reply is a term, asserted where the program has it: what else is written here would say
/// so of itself, too.
fn assertions(server: &Server, names: &Names<'_>) -> TokenStream {
    let library = names.library;
    let handlers = server.handlers.iter();
    let sent = handlers.filter(|handler| matches!(handler.kind, Kind::Call | Kind::Cast));
    let assertions = sent.map(|handler| {
        let cfgs = &handler.cfgs;
        let reply = (handler.kind == Kind::Call).then_some(&handler.reply);
        let types = handler.fields().map(|field| &field.r#type).chain(reply);
        let assertions = types.map(|r#type| {
            let span = r#type.span();
            quote_spanned!(span=> #library::__private::is_message::<#r#type>();)
        });
        quote! { #(#cfgs)* { #(#assertions)* } }
    });
    quote! {
        const _: fn() = || { #(#assertions)* };
    }
}

/// What all parts refer to.
struct Names<'a> {
    library: &'a Path,
    server: &'a Ident,
    call: Ident,
    reply: Ident,
    cast: Ident,
    info: Ident,
    r#continue: Ident,
}

impl<'a> Names<'a> {
    fn new(server: &'a Server, library: &'a Path) -> Self {
        let name = &server.name;
        Self {
            library,
            server: name,
            call: format_ident!("{name}Call"),
            reply: format_ident!("{name}Reply"),
            cast: format_ident!("{name}Cast"),
            info: format_ident!("{name}Info"),
            r#continue: format_ident!("{name}Continue"),
        }
    }

    /// The type of messages of a kind, if there are any.
    fn or_none(&self, handlers: &[&Handler], name: &Ident) -> TokenStream {
        let library = self.library;
        if handlers.is_empty() {
            quote!(#library::NoMessage)
        } else {
            quote!(#name)
        }
    }
}

/// Lints about style, which what is written here need not satisfy in the program's crate.
fn allowed() -> TokenStream {
    quote!(#[allow(
        clippy::all,
        clippy::pedantic,
        dead_code,
        missing_debug_implementations,
        private_bounds,
        private_interfaces,
        unreachable_pub,
        unused_variables
    )])
}

/// A name of a binding that no name of the program's can meet.
fn binding(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn types(server: &Server, names: &Names<'_>) -> TokenStream {
    let Names {
        call,
        reply,
        cast,
        info,
        r#continue,
        ..
    } = names;
    let calls = server.of(Kind::Call);
    let link = format!("[`{}`]", names.server);
    let messages = [
        (call, calls.clone(), "that wait for a reply"),
        (cast, server.of(Kind::Cast), "that nobody waits for"),
    ];
    let messages = messages
        .iter()
        .filter(|(_, handlers, _)| !handlers.is_empty())
        .map(|(name, handlers, what)| {
            let doc = format!("Messages of {link} {what}.");
            message_enum(names, name, handlers, &doc)
        });
    let replies = (!calls.is_empty()).then(|| reply_enum(names, reply, &calls, &link));
    let infos = info_handlers(server);
    let infos = (!infos.is_empty()).then(|| info_enum(names, info, &infos, &link));
    let continues = server.of(Kind::Continue);
    let continues = (!continues.is_empty()).then(|| {
        let doc = format!("What {link} puts off.");
        let variants = variants(&continues, false);
        let allowed = allowed();
        quote! {
            #[doc = #doc]
            #allowed
            pub enum #r#continue { #(#variants)* }
        }
    });
    quote! { #(#messages)* #replies #infos #continues }
}

/// `#[info]` handlers, and the one of the timeout.
fn info_handlers(server: &Server) -> Vec<&Handler> {
    let mut handlers = server.of(Kind::Info);
    handlers.extend(server.of(Kind::Timeout));
    handlers
}

fn variants(handlers: &[&Handler], are_terms: bool) -> Vec<TokenStream> {
    let write = |handler: &&Handler| {
        let Handler {
            variant,
            cfgs,
            name,
            ..
        } = handler;
        let docs = docs(handler);
        let text = name.to_string();
        let text = text.strip_prefix("r#").unwrap_or(&text);
        let rename = are_terms.then(|| quote!(#[serde(rename = #text)]));
        let mut fields = handler.fields().map(|field| &field.r#type).peekable();
        let fields = fields.peek().is_some().then(|| quote!((#(#fields),*)));
        quote! { #(#cfgs)* #docs #rename #variant #fields, }
    };
    handlers.iter().map(write).collect()
}

fn docs(handler: &Handler) -> TokenStream {
    if handler.docs.is_empty() {
        let doc = format!("See the handler `{}`.", handler.name);
        return quote!(#[doc = #doc]);
    }
    let docs = &handler.docs;
    quote!(#(#docs)*)
}

fn message_enum(names: &Names<'_>, name: &Ident, handlers: &[&Handler], doc: &str) -> TokenStream {
    let library = names.library;
    let serde = quote!(#library::__private::serde);
    let serde_path = serde.to_string();
    let variants = variants(handlers, true);
    let allowed = allowed();
    quote! {
        #[doc = #doc]
        #[derive(#serde::Serialize, #serde::Deserialize)]
        #[serde(crate = #serde_path)]
        #allowed
        pub enum #name { #(#variants)* }
    }
}

/// A reply is a term by itself: its type follows from the request.
fn reply_enum(names: &Names<'_>, name: &Ident, calls: &[&Handler], link: &str) -> TokenStream {
    let library = names.library;
    let serde = quote!(#library::__private::serde);
    let doc = format!("Replies of {link}, each as the value that its handler gives.");
    let allowed = allowed();
    let value = binding("value");
    let variants = calls.iter().map(|handler| {
        let Handler {
            variant,
            reply,
            cfgs,
            ..
        } = handler;
        let docs = docs(handler);
        quote! { #(#cfgs)* #docs #variant(#reply), }
    });
    let arms = calls.iter().map(|handler| {
        let Handler { variant, cfgs, .. } = handler;
        quote! { #(#cfgs)* Self::#variant(#value) => #serde::Serialize::serialize(#value, serializer), }
    });
    quote! {
        #[doc = #doc]
        #allowed
        pub enum #name { #(#variants)* }

        impl #serde::Serialize for #name {
            fn serialize<S: #serde::Serializer>(&self, serializer: S) -> ::core::result::Result<S::Ok, S::Error> {
                match self { #(#arms)* }
            }
        }
    }
}

fn info_enum(names: &Names<'_>, name: &Ident, handlers: &[&Handler], link: &str) -> TokenStream {
    let library = names.library;
    let private = quote!(#library::__private);
    let serde = quote!(#private::serde);
    let doc = format!("Messages to {link} that are neither calls nor casts.");
    let allowed = allowed();
    let term = binding("term");
    let variants = variants(handlers, false);
    let tries = handlers.iter().map(|handler| {
        let Handler { variant, cfgs, .. } = handler;
        match handler.fields().next() {
            Some(field) => {
                let r#type = &field.r#type;
                quote! {
                    #(#cfgs)*
                    match #private::from_term::<#r#type>(#term) {
                        ::core::result::Result::Ok(message) => {
                            return ::core::result::Result::Ok(Self::#variant(message));
                        }
                        ::core::result::Result::Err(error) => errors.add(error),
                    }
                }
            }
            None => quote! {
                #(#cfgs)*
                if #private::is_timeout(#term) {
                    return ::core::result::Result::Ok(Self::#variant);
                }
            },
        }
    });
    quote! {
        #[doc = #doc]
        #allowed
        pub enum #name { #(#variants)* }

        impl<'de> #serde::Deserialize<'de> for #name {
            fn deserialize<D: #serde::Deserializer<'de>>(deserializer: D) -> ::core::result::Result<Self, D::Error> {
                #private::with_term(deserializer, |#term| {
                    #[allow(unused_mut)]
                    let mut errors = #private::Errors::default();
                    #(#tries)*
                    ::core::result::Result::Err(errors)
                })
            }
        }
    }
}

fn behaviour(server: &Server, names: &Names<'_>) -> TokenStream {
    let Names {
        library,
        server: name,
        ..
    } = names;
    let [calls, casts, continues] =
        [Kind::Call, Kind::Cast, Kind::Continue].map(|kind| server.of(kind));
    let infos = info_handlers(server);
    let call = names.or_none(&calls, &names.call);
    let reply = names.or_none(&calls, &names.reply);
    let cast = names.or_none(&casts, &names.cast);
    let info = names.or_none(&infos, &names.info);
    let r#continue = names.or_none(&continues, &names.r#continue);
    let (arguments, init) = init(&server.init, names);
    let dispatches = [
        dispatch(names, &calls, &names.call, "handle_call"),
        dispatch(names, &casts, &names.cast, "handle_cast"),
        dispatch(names, &infos, &names.info, "handle_info"),
        dispatch(names, &continues, &names.r#continue, "handle_continue"),
    ];
    let callbacks = &server.callbacks;
    let shows_itself = callbacks
        .iter()
        .any(|callback| callback.sig.ident == "system_get_state");
    let get_state = (!shows_itself).then(|| get_state(names));
    let allowed = allowed();
    quote! {
        #allowed
        impl #library::GenServer for #name {
            type Args = #arguments;
            type Call = #call;
            type Reply = #reply;
            type Cast = #cast;
            type Info = #info;
            type Continue = #r#continue;

            #init
            #(#dispatches)*
            #(#callbacks)*
            #get_state
        }
    }
}

/// Shows the state as well as its type can: as a term, else as its `Debug`, else by its name. Which of the traits it
/// has the look-up of the method finds out, by how many references it takes.
fn get_state(names: &Names<'_>) -> TokenStream {
    let library = names.library;
    let private = quote!(#library::__private);
    quote! {
        fn system_get_state(&self) -> #private::OwnedTerm {
            #[allow(unused_imports)]
            use #private::{ShowByDebug as _, ShowByName as _, ShowByTerm as _};
            (&&&#private::Shown(self)).show()
        }
    }
}

/// The type of the arguments, and the callback.
fn init(init: &Init, names: &Names<'_>) -> (TokenStream, TokenStream) {
    let library = names.library;
    let fields = init.fields();
    let types: Vec<_> = fields.iter().map(|field| &field.r#type).collect();
    let bindings: Vec<_> = (0..fields.len())
        .map(|index| binding(&format!("field_{index}")))
        .collect();
    let (arguments, pattern) = match (&types[..], &bindings[..]) {
        ([one], [bound]) => (quote!(#one), quote!(#bound)),
        (many, bound) => (quote!((#(#many),*)), quote!((#(#bound),*))),
    };
    let cx = binding("cx");
    let passed = passed(&init.parameters, &bindings, &cx, &binding("from"));
    let wait = init.is_async.then(|| quote!(.await));
    let made = quote!(Self::init(#(#passed),*) #wait);
    let made = match init.output {
        Output::Control => made,
        Output::Plain => quote!(#library::Init::ok(#made)),
    };
    let callback = quote! {
        async fn init(
            #pattern: Self::Args,
            #cx: &mut #library::__private::Context,
        ) -> #library::Init<Self> {
            #made
        }
    };
    (arguments, callback)
}

fn passed(
    parameters: &[Parameter],
    bindings: &[Ident],
    cx: &Ident,
    from: &Ident,
) -> Vec<TokenStream> {
    let mut bindings = bindings.iter();
    let pass = |parameter: &Parameter| match parameter {
        Parameter::Context => quote!(#cx),
        Parameter::From => quote!(#from.retyped()),
        Parameter::Field(_) => {
            let bound = bindings.next();
            quote!(#bound)
        }
    };
    parameters.iter().map(pass).collect()
}

fn dispatch(
    names: &Names<'_>,
    handlers: &[&Handler],
    messages: &Ident,
    callback: &str,
) -> Option<TokenStream> {
    if handlers.is_empty() {
        return None;
    }
    let Names { library, reply, .. } = names;
    let callback = format_ident!("{callback}");
    let [cx, from, message] = ["cx", "from", "message"].map(binding);
    let is_call = callback == "handle_call";
    let arms = handlers.iter().map(|handler| {
        let Handler {
            variant,
            name,
            cfgs,
            ..
        } = handler;
        let bindings: Vec<_> = (0..handler.fields().count())
            .map(|index| binding(&format!("field_{index}")))
            .collect();
        let pattern = (!bindings.is_empty()).then(|| quote!((#(#bindings),*)));
        let passed = passed(&handler.parameters, &bindings, &cx, &from);
        let wait = handler.is_async.then(|| quote!(.await));
        let handled = quote!(self.#name(#(#passed),*) #wait);
        let handled = match (&handler.output, is_call) {
            (Output::Control, true) => quote!(#handled.map(#reply::#variant)),
            (Output::Plain, true) => quote!(#library::Reply::new(#reply::#variant(#handled))),
            (Output::Control, false) => handled,
            (Output::Plain, false) => quote!({ #handled; #library::NoReply::new() }),
        };
        quote! { #(#cfgs)* #messages::#variant #pattern => #handled, }
    });
    let from = is_call.then(|| quote!(#from: #library::gen_server::From<Self::Reply>,));
    let output = if is_call {
        quote!(#library::Reply<Self>)
    } else {
        quote!(#library::NoReply<Self>)
    };
    Some(quote! {
        async fn #callback(
            &mut self,
            #message: #messages,
            #from
            #cx: &mut #library::__private::Context,
        ) -> #output {
            match #message { #(#arms)* }
        }
    })
}

fn clients(server: &Server, names: &Names<'_>) -> Option<TokenStream> {
    let handlers = server.handlers.iter();
    let handlers: Vec<_> = handlers
        .filter(|handler| matches!(handler.kind, Kind::Call | Kind::Cast))
        .collect();
    if handlers.is_empty() {
        return None;
    }
    let Names {
        library,
        server: name,
        ..
    } = names;
    let private = quote!(#library::__private);
    let allowed = allowed();
    let client = format_ident!("{name}Client");
    let host_client = format_ident!("{name}HostClient");
    let functions = handlers.iter().map(|handler| function(names, handler));
    let (declared, written): (Vec<_>, Vec<_>) = functions.unzip();
    let functions = handlers.iter().map(|handler| host_function(names, handler));
    let (host_declared, host_written): (Vec<_>, Vec<_>) = functions.unzip();
    let doc = format!("What processes ask of [`{name}`], and tell it.");
    let host_doc = "The same for a program outside of the VM: `server.on(&vm)` has it.";
    Some(quote! {
        #[doc = #doc]
        #allowed
        pub trait #client { #(#declared)* }

        #allowed
        impl #client for #library::ServerRef<#name> { #(#written)* }

        #[doc = #host_doc]
        #allowed
        pub trait #host_client { #(#host_declared)* }

        #allowed
        impl #host_client for #private::HostRef<'_, #name> { #(#host_written)* }
    })
}

/// What a client function takes, and the message that it makes of it.
fn message(names: &Names<'_>, handler: &Handler) -> (TokenStream, TokenStream) {
    let Handler { variant, kind, .. } = handler;
    let messages = match kind {
        Kind::Call => &names.call,
        _ => &names.cast,
    };
    let taken = handler.fields().map(|field| {
        let (name, r#type) = (&field.name, &field.r#type);
        quote!(#name: #r#type)
    });
    let taken = quote!(#(#taken),*);
    let mut given = handler.fields().map(|field| &field.name).peekable();
    let given = given.peek().is_some().then(|| quote!((#(#given),*)));
    (taken, quote!(#messages::#variant #given))
}

fn function(names: &Names<'_>, handler: &Handler) -> (TokenStream, TokenStream) {
    let private = {
        let library = names.library;
        quote!(#library::__private)
    };
    let Handler {
        name, reply, cfgs, ..
    } = handler;
    let (taken, made) = message(names, handler);
    // A reply that is no term is told of where it is written.
    let request = Ident::new("request", reply.span());
    let docs = docs(handler);
    let cx = binding("cx");
    let (signature, body) = match handler.kind {
        Kind::Call => (
            quote! {
                fn #name(&self, #cx: &mut #private::Context, #taken)
                    -> impl ::core::future::Future<
                        Output = ::core::result::Result<#reply, #private::CallError>
                    > + ::core::marker::Send
            },
            quote!(self.#request(#cx, #made)),
        ),
        _ => (
            quote! {
                fn #name(&self, #cx: &#private::Context, #taken)
                    -> ::core::result::Result<(), #private::SendError>
            },
            quote!(self.cast(#cx, #made)),
        ),
    };
    (
        quote! { #(#cfgs)* #docs #signature; },
        quote! { #(#cfgs)* #signature { #body } },
    )
}

fn host_function(names: &Names<'_>, handler: &Handler) -> (TokenStream, TokenStream) {
    let private = {
        let library = names.library;
        quote!(#library::__private)
    };
    let Handler {
        name, reply, cfgs, ..
    } = handler;
    let (taken, made) = message(names, handler);
    // A reply that is no term is told of where it is written.
    let request = Ident::new("request", reply.span());
    let docs = docs(handler);
    let (output, body) = match handler.kind {
        Kind::Call => (
            quote!(#private::Run<::core::result::Result<#reply, #private::CallError>>),
            quote!(self.#request(#made)),
        ),
        _ => (
            quote!(::core::result::Result<(), #private::SendError>),
            quote!(self.cast(#made)),
        ),
    };
    let signature = quote! { fn #name(&self, #taken) -> #output };
    (
        quote! { #(#cfgs)* #docs #signature; },
        quote! { #(#cfgs)* #signature { #body } },
    )
}
