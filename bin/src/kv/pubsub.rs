//! Publish and subscribe.
//!
//! 1. The server knows which connection listens to which channel. It monitors each connection that has a subscription,
//!    and forgets all of them with its end.
//! 2. A subscribed connection monitors the server. If the server dies, its knowledge dies with it; the connection then
//!    closes, so that its client subscribes anew: nobody is subscribed without the server knowing.
//! 3. A published message becomes the bytes of its push once, and each subscriber gets those. The order of messages is
//!    the server's, the same for all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::{GenServer, Init, NoMessage, NoReply, Reply as CallReply};
use otp_vm::{Binary, Context, Pid, Ref};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::connection::Push;
use super::resp::Reply;

/// The server's registered name.
pub const NAME: &str = "kv_pubsub";

/// Who listens to what.
#[derive(Debug, Default)]
pub struct Pubsub {
    channels: HashMap<Binary, BTreeSet<Pid>>,
    connections: BTreeMap<Pid, Subscriptions>,
}

#[derive(Debug)]
struct Subscriptions {
    monitor: Ref,
    channels: BTreeSet<Binary>,
}

/// What connections ask for. The reply is the number of receivers of a message, else 0.
#[derive(Debug, Serialize, Deserialize)]
pub enum Call {
    /// The caller listens to a channel from now on.
    Subscribe(Binary),
    /// The caller does not listen to a channel any more.
    Unsubscribe(Binary),
    /// The caller does not listen to anything any more.
    Leave,
    /// A message to all who listen to a channel.
    Publish(Binary, Binary),
}

/// The end of a connection.
#[derive(Debug, Deserialize)]
pub enum Info {
    /// It was monitored.
    #[serde(rename = "DOWN")]
    Down(IgnoredAny, IgnoredAny, Pid, IgnoredAny),
}

impl GenServer for Pubsub {
    type Args = ();
    type Call = Call;
    type Reply = u64;
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init((): (), _: &mut Context) -> Init<Pubsub> {
        Init::ok(Pubsub::default())
    }

    async fn handle_call(
        &mut self,
        call: Call,
        from: From<u64>,
        cx: &mut Context,
    ) -> CallReply<Pubsub> {
        CallReply::new(match call {
            Call::Subscribe(channel) => {
                self.subscribe(cx, from.pid(), channel);
                0
            }
            Call::Unsubscribe(channel) => {
                self.unsubscribe(cx, from.pid(), &channel);
                0
            }
            Call::Leave => {
                self.leave(cx, from.pid());
                0
            }
            Call::Publish(channel, message) => self.publish(cx, &channel, &message).await,
        })
    }

    async fn handle_info(
        &mut self,
        Info::Down(_, _, connection, _): Info,
        cx: &mut Context,
    ) -> NoReply<Pubsub> {
        self.leave(cx, connection);
        NoReply::new()
    }
}

impl Pubsub {
    fn subscribe(&mut self, cx: &Context, connection: Pid, channel: Binary) {
        let subscriptions = self
            .connections
            .entry(connection)
            .or_insert_with(|| Subscriptions {
                monitor: cx.monitor(connection),
                channels: BTreeSet::new(),
            });
        subscriptions.channels.insert(channel.clone());
        self.channels.entry(channel).or_default().insert(connection);
    }

    fn unsubscribe(&mut self, cx: &Context, connection: Pid, channel: &Binary) {
        let Some(subscriptions) = self.connections.get_mut(&connection) else {
            return;
        };
        subscriptions.channels.remove(channel);
        if subscriptions.channels.is_empty() {
            cx.demonitor_flush(subscriptions.monitor);
            self.connections.remove(&connection);
        }
        self.forget(connection, channel);
    }

    fn leave(&mut self, cx: &Context, connection: Pid) {
        if let Some(subscriptions) = self.connections.remove(&connection) {
            cx.demonitor_flush(subscriptions.monitor);
            for channel in &subscriptions.channels {
                self.forget(connection, channel);
            }
        }
    }

    fn forget(&mut self, connection: Pid, channel: &Binary) {
        if let Some(connections) = self.channels.get_mut(channel) {
            connections.remove(&connection);
            if connections.is_empty() {
                self.channels.remove(channel);
            }
        }
    }

    async fn publish(&self, cx: &Context, channel: &Binary, message: &Binary) -> u64 {
        let Some(connections) = self.channels.get(channel) else {
            return 0;
        };
        let mut frame = Reply::new();
        frame.array(3);
        frame.bulk(b"message");
        frame.bulk(channel);
        frame.bulk(message);
        let push = Push::Push(Binary::from(frame.take()));
        for connection in connections {
            // Only a message that does not serialise is refused, and this one does.
            let _ = cx.send(*connection, &push);
            cx.tick(1).await;
        }
        connections.len() as u64
    }
}
