//! Collections of sent requests, each with a label: whichever is answered first is handled first.

use std::fmt;

use otp_vm::{CallError, Context, Message, Ref};
use serde::de::DeserializeOwned;

use super::request::{RequestId, ResponseTimeout, reference_of, response};
use crate::vm_made::MapByVmMade;

/// Requests that one process sent and whose responses it still wants, each with a label of the program's. OTP's
/// `request_id_collection()`; all of one collection have replies of one type.
///
/// A request that is added stays the process's own: it can be waited for by itself, too, and whoever takes its response
/// has it.
///
/// ```
/// use std::time::Duration;
/// use otp_stdlib::gen_server::{self, RequestIds, Response};
/// use otp_stdlib::prelude::*;
/// use otp_vm::{Context, Vm};
///
/// struct Doubler;
///
/// impl GenServer for Doubler {
///     type Args = ();
///     type Call = u32;
///     type Reply = u32;
///     type Cast = NoMessage;
///     type Info = NoMessage;
///     type Continue = NoMessage;
///
///     async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
///         Init::ok(Doubler)
///     }
///
///     async fn handle_call(&mut self, n: u32, _from: gen_server::From<u32>, _cx: &mut Context) -> Reply<Self> {
///         Reply::new(2 * n)
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vm = Vm::builder().schedulers(1).build()?;
/// let sum = vm
///     .run(async |mut cx: Context| {
///         let server = Doubler::start_link(&mut cx, ()).await.unwrap();
///         let mut requests = RequestIds::new();
///         for n in 1..=3 {
///             requests.add(server.send_request(&cx, n).unwrap(), n).unwrap();
///         }
///         let mut sum = 0;
///         while let Response::Came(reply, n) =
///             requests.receive_response(&mut cx, Duration::from_secs(5), true).await
///         {
///             assert_eq!(*reply.as_ref().unwrap(), 2 * n);
///             sum += reply.unwrap();
///         }
///         sum
///     })
///     .wait()?;
/// assert_eq!(sum, 12);
/// # Ok(())
/// # }
/// ```
pub struct RequestIds<L, R> {
    // By a state that a simulation decides: its order is that of `to_list`.
    requests: MapByVmMade<Ref, (RequestId<R>, L)>,
}

/// What became of a collection's requests.
#[derive(Debug)]
#[must_use = "a response is taken out of the mailbox, and is in here"]
pub enum Response<L, R> {
    /// One of them was answered, or its server ended; the one with this label.
    Came(Result<R, CallError>, L),
    /// None in time.
    Timeout,
    /// There is none in the collection.
    NoRequest,
}

/// The request is in the collection already. OTP's `badarg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request is in the collection already: add it once")]
pub struct DuplicateRequest;

impl<L, R> RequestIds<L, R> {
    /// An empty collection. `gen_server:reqids_new/0`.
    pub fn new() -> Self {
        Self {
            requests: MapByVmMade::default(),
        }
    }

    /// Puts a request in. `gen_server:reqids_add/3`.
    ///
    /// # Errors
    /// When it is in there; its label stays.
    pub fn add(&mut self, request: RequestId<R>, label: L) -> Result<(), DuplicateRequest> {
        let reference = request.reference();
        if self.requests.contains_key(&reference) {
            return Err(DuplicateRequest);
        }
        self.requests.insert(reference, (request, label));
        Ok(())
    }

    /// How many there are. `gen_server:reqids_size/1`.
    pub fn size(&self) -> usize {
        self.requests.len()
    }

    /// The requests and their labels, in no order. `gen_server:reqids_to_list/1`.
    pub fn to_list(&self) -> Vec<(RequestId<R>, L)>
    where
        L: Clone,
    {
        self.requests.values().cloned().collect()
    }
}

impl<L: Clone + Send + Sync, R: DeserializeOwned + Send> RequestIds<L, R> {
    /// Waits for the response to any of them; when the time is over, all of them are abandoned, but stay in the
    /// collection. With `delete` the one that was answered leaves it. `gen_server:receive_response/3`.
    ///
    /// Dropping the future loses nothing.
    pub async fn receive_response(
        &mut self,
        cx: &mut Context,
        after: impl Into<ResponseTimeout>,
        delete: bool,
    ) -> Response<L, R> {
        let response = self.wait_response(cx, after, delete).await;
        if matches!(response, Response::Timeout) {
            for (request, _) in self.requests.values() {
                request.abandon(cx).await;
            }
        }
        response
    }

    /// Waits for the response to any of them; when the time is over, one can wait again. With `delete` the one that was
    /// answered leaves the collection. `gen_server:wait_response/3`.
    ///
    /// Dropping the future loses nothing.
    pub async fn wait_response(
        &mut self,
        cx: &mut Context,
        after: impl Into<ResponseTimeout>,
        delete: bool,
    ) -> Response<L, R> {
        if self.requests.is_empty() {
            return Response::NoRequest;
        }
        let left = after.into().left(cx);
        let requests = &self.requests;
        let came = cx
            .receive_where(left, |message| {
                let reference = reference_of(message)?;
                requests.get(&reference)?;
                Some((reference, response(message, reference)?))
            })
            .await;
        match came {
            Some((reference, result)) => self.came(reference, result, delete),
            None => Response::Timeout,
        }
    }

    /// Takes a message that the process has received as the response to one of them, if it is that; else gives it
    /// back. With `delete` the one that was answered leaves the collection. `gen_server:check_response/3`.
    ///
    /// # Errors
    /// The message, which is something else.
    pub fn check_response(
        &mut self,
        message: Message,
        delete: bool,
    ) -> Result<Response<L, R>, Message> {
        if self.requests.is_empty() {
            return Ok(Response::NoRequest);
        }
        let reference = reference_of(&message);
        let known = reference.filter(|reference| self.requests.contains_key(reference));
        match known.and_then(|known| Some((known, response(&message, known)?))) {
            Some((reference, result)) => Ok(self.came(reference, result, delete)),
            None => Err(message),
        }
    }

    fn came(
        &mut self,
        reference: Ref,
        result: Result<R, CallError>,
        delete: bool,
    ) -> Response<L, R> {
        let label = match delete {
            true => self.requests.remove(&reference).map(|(_, label)| label),
            false => self
                .requests
                .get(&reference)
                .map(|(_, label)| label.clone()),
        };
        label.map_or(Response::NoRequest, |label| Response::Came(result, label))
    }
}

impl<L, R> Default for RequestIds<L, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: fmt::Debug, R> fmt::Debug for RequestIds<L, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.requests.values();
        formatter
            .debug_map()
            .entries(requests.map(|(request, label)| (request, label)))
            .finish()
    }
}
