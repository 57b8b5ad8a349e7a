//! The attribute `#[gen_server]`: an `impl` block of handlers becomes a gen_server and its client functions.
//!
//! Programs have it from `otp_stdlib`, whose module `gen_server` has it with examples.

mod arguments;
mod handler;
mod server;
mod write;

use proc_macro::TokenStream;

/// Makes an `impl` block a gen_server: writes the types of its messages, the dispatch, and the client functions.
///
/// ```
/// use std::collections::HashMap;
/// use otp_stdlib::prelude::*;
/// use otp_vm::{Context, ExitReason};
/// use serde::{Deserialize, Serialize};
///
/// struct Cache {
///     entries: HashMap<String, String>,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// pub struct Sweep;
///
/// #[gen_server]
/// impl Cache {
///     async fn init(capacity: usize, cx: &mut Context) -> Init<Self> {
///         cx.send(cx.pid(), &Sweep).unwrap();
///         Init::ok(Cache { entries: HashMap::with_capacity(capacity) })
///     }
///
///     #[call]
///     pub async fn get(&mut self, key: String) -> Option<String> {
///         self.entries.get(&key).cloned()
///     }
///
///     #[cast]
///     pub fn put(&mut self, key: String, value: String) {
///         self.entries.insert(key, value);
///     }
///
///     #[info]
///     async fn sweep(&mut self, _: Sweep, cx: &mut Context) {
///         println!("{} sweeps {} entries", cx.pid(), self.entries.len());
///     }
///
///     async fn terminate(&mut self, reason: &ExitReason, _: &mut Context) {
///         println!("the end: {reason}");
///     }
/// }
/// ```
///
/// # What the methods are
///
/// | method | what it is | its message |
/// |---|---|---|
/// | `fn init` | the callback; gives `Init<Self>`, or `Self` | its arguments: none or one, by itself; several as a tuple |
/// | `#[call] fn name` | a request | `{name, Argument, …}`, the atom `name` without arguments |
/// | `#[cast] fn name` | a message that nobody waits for | the same |
/// | `#[info] fn name` | any other message: it has one argument, of a type that decodes | that type's |
/// | `#[timeout] fn name` | no message came within the time that a handler asked for | the atom `timeout` |
/// | `#[continues] fn name` | what another callback put off: `Init::ok(…).and_continue(CacheContinue::Name(…))` | none |
/// | `fn terminate`, `handle_unknown`, … | the callback of that name of the trait, as it is there | |
/// | any other | a method like others | |
///
/// Each may be `async` or not. An argument `cx: &mut Context` gets the process's context, and one of type `From<Reply>`
/// in a call who asks; they are no part of the message. All other arguments are: owned values that serialise.
///
/// A call gives its reply, or `Reply<Self, ItsReply>` where it does more: replies later, stops, asks for a timeout. All
/// others give nothing, or `NoReply<Self>`.
///
/// `#[info]` handlers are tried in their order: the first whose type decodes gets the message.
///
/// # What it writes
///
/// Beside the type `Cache`: `CacheCall`, `CacheCast`, `CacheInfo`, `CacheContinue` (its messages, as far as there are
/// any), `CacheReply`, and the client functions: the trait `CacheClient`, which `ServerRef<Cache>` has, and the trait
/// `CacheHostClient` for programs outside of the VM, which `ServerRef::on` gives. They have the handlers' names,
/// arguments and docs. All are `pub`: import the trait where the functions are called.
///
/// A request whose response is fetched later: `server.send_request_as::<ItsReply>(cx, CacheCall::Get(key))`.
///
/// # Arguments
///
/// `crate = path`: where `otp_stdlib` is to be found, for programs that have the crate by another name.
#[proc_macro_attribute]
pub fn gen_server(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let (arguments, item) = (arguments.into(), proc_macro2::TokenStream::from(item));
    let path = arguments::read(arguments);
    let expanded = path.and_then(|path| Ok(write::server(&server::read(&item)?, &path)));
    expanded
        .unwrap_or_else(|error| {
            // With the block as well: else all that it uses would be told of as unused.
            let (error, block) = (error.into_compile_error(), server::without_markers(item));
            quote::quote!(#error #block)
        })
        .into()
}
