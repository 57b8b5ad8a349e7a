//! What all behaviours share: names, starts, references, requests, replies. OTP's `gen`.
//!
//! | file | concept | OTP |
//! | --- | --- | --- |
//! | `name` | a name that a process takes: local, or by a [`Via`] | `emgr_name()` |
//! | `via` | what else may keep names | `{via, Module, Name}` |
//! | `parent` | whoever started a process that becomes a behaviour | `gen:get_parent/0` |
//! | `origin` | what a process of a behaviour has before its state | `gen:init_it/6` |
//! | `start` | the builder of `start`, `start_link` and `start_monitor` | `gen:start/5,6` |
//! | `target` | whom a request is for: pid, name, name and node, via | `server_ref()` |
//! | `reference` | what typed references of all behaviours can do | `server_ref()` |
//! | `call` | calls, casts, and the reasons of those that exit by them | `gen:call/3,4` |
//! | `client` | who had asked a process that failed | `client_info` of reports |
//! | `from` | who waits for a reply | `from()`, `gen:reply/2` |
//! | `request` | requests whose response comes later | `gen:send_request/3`, … |
//! | `request_ids` | collections of those | `gen:reqids_new/0`, … |
//! | `host` | calls and casts of a program outside of the VM | none |
//! | `many` | the same to many servers | `gen_server:multi_call/4`, `abcast/3` |
//!
//! Behaviours bring the types of their messages, and re-export what their users need.
//!
//! # Two kinds of request
//!
//! A *call* waits where it is made, so its reply goes straight to the call and never into the mailbox. A *sent request*
//! ([`RequestId`]) is one that the process comes back to: by waiting for it, or in its own loop, among its other
//! messages. So its response is a message, `{Ref, Reply}` or the `DOWN` of its monitor, and whoever takes messages
//! gives each to [`RequestId::check_response`] or [`RequestIds::check_response`]. The reference is an alias for one
//! reply: once the response came, or the request was abandoned, nothing else does.

mod call;
mod client;
mod from;
mod host;
mod many;
mod name;
mod origin;
mod parent;
mod reference;
mod request;
mod request_ids;
mod start;
mod target;
mod via;

pub use call::CALL_TIMEOUT;
pub(crate) use call::{bad_call, call, cast, exit_by_call, milliseconds, stop};
pub use client::Client;
pub use from::From;
pub(crate) use host::{host_call, host_cast, host_send};
pub use many::{BadServer, MultiCall};
pub(crate) use many::{abcast, multi_call};
pub use name::Name;
pub(crate) use origin::{Entering, NoState, Origin, entering};
use parent::parent;
pub(crate) use reference::{reference, reference_traits};
pub(crate) use request::send_request;
pub use request::{RequestId, ResponseTimeout};
pub use request_ids::{DuplicateRequest, RequestIds, Response};
pub(crate) use start::short_name;
pub use start::{Behaviour, Monitored, New, Start, Unmonitored};
pub use target::{PartitionKey, RegistryKey, Target};
pub use via::{NameError, Via, ViaName};
