//! SUBSCRIBE, UNSUBSCRIBE, PUBLISH: the client's side of [`crate::kv::pubsub`].

use std::time::Duration;

use otp_stdlib::prelude::ServerRef;
use otp_vm::{Binary, Context};

use super::Push;
use super::session::Session;
use crate::kv::pubsub::{self, Call, Pubsub};
use crate::kv::resp::{Arguments, Refusal, Reply};

impl Session {
    pub(super) async fn subscribe(
        &mut self,
        cx: &mut Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Result<(), Refusal> {
        for channel in arguments.from(1) {
            let channel = Binary::from(channel);
            if self.pubsub.is_none() {
                let Some(pid) = cx.whereis(pubsub::NAME) else {
                    return Err(Refusal::NoPubsub);
                };
                self.pubsub = Some((pid, cx.monitor(pid)));
            }
            if !self.channels.contains(&channel) {
                self.ask(cx, Call::Subscribe(channel.clone())).await?;
                self.channels.insert(channel.clone());
            }
            confirm(reply, b"subscribe", Some(&channel), self.channels.len());
        }
        Ok(())
    }

    pub(super) async fn unsubscribe(
        &mut self,
        cx: &mut Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Result<(), Refusal> {
        let channels: Vec<Binary> = if arguments.len() == 1 {
            self.channels.iter().cloned().collect()
        } else {
            arguments.from(1).map(Binary::from).collect()
        };
        if channels.is_empty() {
            confirm(reply, b"unsubscribe", None, 0);
        }
        for channel in channels {
            if self.channels.contains(&channel) {
                self.ask(cx, Call::Unsubscribe(channel.clone())).await?;
                self.channels.remove(&channel);
                take_pushes(cx, reply).await;
            }
            confirm(reply, b"unsubscribe", Some(&channel), self.channels.len());
        }
        if self.channels.is_empty()
            && let Some((_, monitor)) = self.pubsub.take()
        {
            cx.demonitor_flush(monitor);
        }
        Ok(())
    }

    /// Listens to nothing any more.
    pub(super) async fn leave(&mut self, cx: &mut Context) {
        if self.is_subscribed() {
            // Without the server there are no subscriptions either.
            let _ = self.ask(cx, Call::Leave).await;
        }
    }

    pub(super) async fn publish(
        &mut self,
        cx: &mut Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Result<(), Refusal> {
        let server = ServerRef::<Pubsub>::from_name(pubsub::NAME).map_err(|_| Refusal::NoPubsub)?;
        let call = Call::Publish(Binary::from(&arguments[1]), Binary::from(&arguments[2]));
        let receivers = server.call(cx, call).await.map_err(|_| Refusal::NoPubsub)?;
        reply.integer(i64::try_from(receivers).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Asks the server that the session's subscriptions are with. If it is gone, they are too: the connection closes.
    async fn ask(&mut self, cx: &mut Context, call: Call) -> Result<(), Refusal> {
        let Some((pid, _)) = self.pubsub else {
            return Err(Refusal::NoPubsub);
        };
        match ServerRef::<Pubsub>::from_pid(pid).call(cx, call).await {
            Ok(_) => Ok(()),
            Err(_) => {
                self.closing = true;
                Err(Refusal::NoPubsub)
            }
        }
    }
}

/// Takes what was published before an unsubscription: it is here before the server's answer is, and the client gets it
/// before the confirmation. Afterwards nobody would look for it.
async fn take_pushes(cx: &mut Context, reply: &mut Reply) {
    while let Some(Push::Push(bytes)) = cx
        .receive_where(Duration::ZERO, |message| message.decode().ok())
        .await
    {
        reply.raw(&bytes);
    }
}

fn confirm(reply: &mut Reply, kind: &[u8], channel: Option<&[u8]>, count: usize) {
    reply.array(3);
    reply.bulk(kind);
    match channel {
        Some(channel) => reply.bulk(channel),
        None => reply.null(),
    }
    reply.count(count);
}
