//! Spawning by request: the answer comes as a message.

use std::sync::Arc;

use otp_heap::{EncodeError, OwnedTerm, Pid, Ref, atoms, to_block};
use serde::Serialize;

use super::monitor::shared_term;
use super::spawn::{SpawnOptions, spawn_process};
use super::{Context, SpawnError};
use crate::envelope::{Envelope, Kind, NO_REF, Parcel};
use crate::exit_reason::IntoExit;

/// When a spawn request is answered. `{reply, When}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpawnReply {
    /// Always. `yes`.
    #[default]
    Yes,
    /// Never. `no`.
    No,
    /// When there is a new process. `success_only`.
    SuccessOnly,
    /// When there is none. `error_only`.
    ErrorOnly,
}

/// How to ask for a process. The options of `spawn_request/2`.
#[derive(Debug, Clone, Default)]
pub struct SpawnRequestOptions {
    spawn: SpawnOptions,
    reply: SpawnReply,
    tag: Option<Arc<OwnedTerm>>,
}

impl SpawnRequestOptions {
    /// A process by these options, and an answer in any case, tagged `spawn_reply`.
    pub fn new(spawn: SpawnOptions) -> Self {
        Self {
            spawn,
            ..Self::default()
        }
    }

    /// When there is an answer.
    pub fn reply(mut self, when: SpawnReply) -> Self {
        self.reply = when;
        self
    }

    /// Has the answer say `tag` in place of `spawn_reply`. `{reply_tag, Tag}`.
    ///
    /// # Errors
    /// When the tag can't be serialised, or has a native resource, of which there is only one.
    pub fn reply_tag<T: Serialize + ?Sized>(mut self, tag: &T) -> Result<Self, EncodeError> {
        self.tag = Some(shared_term(tag)?);
        Ok(self)
    }
}

/// The answer to a request, while it is not yet known which. One that has been taken is nobody's.
#[derive(Debug)]
pub(crate) struct Reply {
    reference: Ref,
    tag: Option<Arc<OwnedTerm>>,
}

impl Reply {
    fn parcel(&self, to: Pid, what: &(impl Serialize + Copy, impl Serialize + Copy)) -> Parcel {
        let envelope = || Envelope::new(Kind::News, to, NO_REF);
        let reference = self.reference;
        let (outcome, detail) = *what;
        let tagged = self
            .tag
            .as_deref()
            .map(|tag| to_block(envelope(), &(tag, reference, outcome, detail)));
        let plain = || {
            to_block(
                envelope(),
                &(SpawnReplyTag::SpawnReply, reference, outcome, detail),
            )
        };
        // A tag that is as large as a term may be can't have anything beside it.
        let parcel = match tagged {
            Some(Ok(parcel)) => Ok(parcel),
            _ => plain(),
        };
        parcel.unwrap_or_else(|_| Parcel::of_atom(envelope(), atoms::SYSTEM_LIMIT))
    }

    /// `{Tag, Ref, ok, Pid}`.
    pub(super) fn ok(&self, to: Pid, pid: Pid) -> Parcel {
        self.parcel(to, &(atoms::OK, pid))
    }

    /// `{Tag, Ref, error, system_limit}`.
    fn error(&self, to: Pid) -> Parcel {
        self.parcel(to, &(atoms::ERROR, atoms::SYSTEM_LIMIT))
    }
}

/// OTP's atom for it.
#[derive(Serialize)]
enum SpawnReplyTag {
    #[serde(rename = "spawn_reply")]
    SpawnReply,
}

impl Context {
    /// Asks for a process. The answer is the message `{spawn_reply, Ref, ok, Pid}`, or `{spawn_reply, Ref, error,
    /// system_limit}`, and it arrives before anything that the new process does. The reference is also that of the
    /// monitor, if one is asked for. `spawn_request/2`.
    ///
    /// ```
    /// # use otp_vm::{Pid, Ref, SpawnOptions, SpawnRequestOptions, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let options = SpawnRequestOptions::new(SpawnOptions::new().monitor());
    ///     let request = cx.spawn_request(options, |_| async {});
    ///     let reply: (String, Ref, String, Pid) = cx.receive().await.decode().unwrap();
    ///     assert_eq!((&*reply.0, reply.1, &*reply.2), ("spawn_reply", request, "ok"));
    ///     let down = cx.receive().await.down().unwrap();
    ///     assert_eq!((down.reference, down.object.pid()), (request, Some(reply.3)));
    /// });
    /// # run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_request<B, F>(&self, options: SpawnRequestOptions, body: B) -> Ref
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let reference = self.make_ref();
        let SpawnRequestOptions { spawn, reply, tag } = options;
        let reply_of = |asked: bool| {
            let tag = tag.clone();
            asked.then_some(Reply { reference, tag })
        };
        let answers_ok = matches!(reply, SpawnReply::Yes | SpawnReply::SuccessOnly);
        let answers_error = matches!(reply, SpawnReply::Yes | SpawnReply::ErrorOnly);
        let mut start = self.start(spawn, reference);
        start.reply = reply_of(answers_ok);
        if let Err(error) = spawn_process(self.vm(), Some(self), start, body)
            && let Some(reply) = reply_of(answers_error)
            && error != SpawnError::MakerEnded
        {
            self.signal_self(reply.error(self.pid));
        }
        reference
    }

    /// Gives a request up. Always false: a process of this VM is there as soon as it was asked for, and the answer has
    /// been sent. `spawn_request_abandon/1`.
    pub fn spawn_request_abandon(&self, _request: Ref) -> bool {
        false
    }
}
