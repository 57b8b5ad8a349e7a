//! What a connection knows of its client, and which way each command goes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use otp_vm::net::TcpStream;
use otp_vm::{Atom, Binary, CallError, Context, ExitReason, Message, MessageKind, Pid, Ref};

use super::Push;
use super::socket::Socket;
use crate::kv::batch::Batch;
use crate::kv::clock::now_ms;
use crate::kv::command::{Command, Name, Place};
use crate::kv::entry::{Bytes, Entry};
use crate::kv::options::Limits;
use crate::kv::resp::{Arguments, Refusal, Reply, parse_i64};
use crate::kv::row;
use crate::kv::store::{self, Replies, RequestRef};
use crate::kv::tables::Tables;

/// Commands in one batch at most: some 300 us of the store's time.
const BATCH_COMMANDS: usize = 512;

/// Bytes of a batch after which it is sent.
const BATCH_BYTES: usize = 256 * 1024;

/// Room for a batch that an idle connection keeps.
const KEPT_BYTES: usize = 64 * 1024;

/// How long the store may take for a batch. Its longest command, KEYS over millions of them, takes seconds.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a store that is not there is asked again, and how long in between: two seconds in all, in which a
/// supervisor has restarted it many times over.
const STORE_TRIES: u32 = 200;
const STORE_PAUSE: Duration = Duration::from_millis(10);

/// Characters of a request that an error repeats, as in Redis.
const REPEATED_MAX: usize = 128;

/// The reply to a command that was in the store's hands when it died.
const FATE_UNKNOWN: &str = "ERR the store was restarted or gave no answer while it had this command, which may have been executed or not; look before you repeat it";

/// The reply to a command that the store never saw.
const NO_STORE: &str =
    "ERR the store is not available and the command was not executed; try again later";

/// A client's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) limits: Limits,
    pub(super) name: Vec<u8>,
    pub(super) channels: BTreeSet<Binary>,
    /// The pub/sub server that knows of the channels, and the monitor on it.
    pub(super) pubsub: Option<(Pid, Ref)>,
    pub(super) closing: bool,
    peer: Option<SocketAddr>,
    store: Option<Atom>,
    tables: Option<Tables>,
    /// Commands for the store.
    batch: Batch,
}

impl Session {
    pub(super) fn new(cx: &Context, limits: Limits, stream: &TcpStream) -> Session {
        Session {
            limits,
            name: Vec::new(),
            channels: BTreeSet::new(),
            pubsub: None,
            closing: false,
            peer: stream.peer_addr().ok(),
            store: Atom::existing(store::NAME),
            tables: Tables::find(cx),
            batch: Batch::new(),
        }
    }

    /// Whether the client listens to a channel.
    pub(super) fn is_subscribed(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Whether the connection is to be closed once the replies are written.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// The client's address, for the log.
    pub(super) fn peer(&self) -> String {
        self.peer
            .map_or_else(|| "unknown".to_owned(), |peer| peer.to_string())
    }

    /// The data, for reads past the store.
    pub(super) fn tables(&self) -> Option<&Tables> {
        self.tables.as_ref()
    }

    /// Takes a request: answers it, or puts it into the batch.
    pub(super) async fn take(
        &mut self,
        cx: &mut Context,
        arguments: Arguments<'_>,
        socket: &mut Socket,
    ) {
        let Some(command) = Command::find(&arguments[0]) else {
            self.send_batch(cx, socket).await;
            socket.output().error(&unknown_command(arguments));
            return;
        };
        if !command.takes(arguments.len()) {
            self.send_batch(cx, socket).await;
            socket
                .output()
                .error(&Refusal::Arity(command.text).to_string());
            return;
        }
        if self.is_subscribed() && !is_allowed_to_subscribers(command.name) {
            self.send_batch(cx, socket).await;
            socket.output().error(&format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
                 context",
                command.text
            ));
            return;
        }
        match command.place {
            Place::Connection => {
                self.send_batch(cx, socket).await;
                self.carry_out(cx, command, arguments, socket.output())
                    .await;
            }
            Place::Row
                if arguments.len() == 2
                    && self.batch.commands() == 0
                    && self.read_row(cx, command, arguments, socket.output()) => {}
            Place::Row | Place::Store => {
                self.batch.push(command, arguments);
                if self.batch.commands() >= BATCH_COMMANDS
                    || self.batch.as_bytes().len() >= BATCH_BYTES
                {
                    self.send_batch(cx, socket).await;
                }
            }
        }
    }

    /// Answers by the key's row, past the store. False if that cannot be done now.
    fn read_row(
        &mut self,
        cx: &Context,
        command: &Command,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> bool {
        let Some(tables) = &self.tables else {
            self.tables = Tables::find(cx);
            return false;
        };
        let answered = tables.data.lookup_with(cx, &Bytes(&arguments[1]), |term| {
            let entry = Entry::read(term).ok_or(Refusal::Damaged)?;
            let live = entry.expires_at == 0 || !entry.is_expired(now_ms());
            row::answer(command.name, live.then_some(entry), reply)
        });
        let outcome = match answered {
            Ok(Some(outcome)) => outcome,
            Ok(None) => row::answer(command.name, None, reply),
            Err(_) => {
                // The table is gone, with store and keeper; there will be another one of that name.
                self.tables = None;
                return false;
            }
        };
        if let Err(refusal) = outcome {
            reply.error(&refusal.to_string());
        }
        true
    }

    /// Has the store execute the batch, and adds its replies. Who listens to a channel has none.
    pub(super) async fn send_batch(&mut self, cx: &mut Context, socket: &mut Socket) {
        while self.batch.commands() > 0 {
            match self.call_store(cx).await {
                Ok(Replies(commands, bytes, replies)) => {
                    socket.output().raw(&replies);
                    self.batch.answered(commands, bytes);
                }
                Err(text) => {
                    (0..self.batch.commands()).for_each(|_| socket.output().error(text));
                    break;
                }
            }
            // The store left the batch off, since the replies are many: the client gets them before there are more.
            if self.batch.commands() > 0 && socket.write_all().await.is_err() {
                self.closing = true;
                break;
            }
        }
        self.batch.clear(KEPT_BYTES);
    }

    async fn call_store(&mut self, cx: &mut Context) -> Result<Replies, &'static str> {
        let mut tries = 0;
        loop {
            let Some(store) = self.store else {
                return Err(NO_STORE);
            };
            match cx
                .call(
                    store,
                    &RequestRef(Bytes(self.batch.as_bytes())),
                    STORE_TIMEOUT,
                )
                .await
            {
                Ok(replies) => return Ok(replies),
                // Nobody had the name, or whoever had it never saw the batch. A store does not end with this reason,
                // so this is the one case in which asking again cannot execute anything twice.
                Err(CallError::Exit(reason)) if reason == ExitReason::noproc() => {
                    if tries == STORE_TRIES {
                        return Err(NO_STORE);
                    }
                    tries += 1;
                    cx.sleep(STORE_PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%error, commands = self.batch.commands(), "a batch was lost");
                    return Err(FATE_UNKNOWN);
                }
            }
        }
    }

    /// Takes a message that came while the client is subscribed. False if the connection is to be closed.
    pub(super) fn take_message(&mut self, message: &Message, reply: &mut Reply) -> bool {
        if let Ok(Push::Push(bytes)) = message.decode() {
            reply.raw(&bytes);
            return true;
        }
        match message.kind() {
            MessageKind::Down { reference, .. } => {
                self.pubsub.is_none_or(|(_, monitor)| monitor != reference)
            }
            _ => {
                tracing::warn!(content = %message, "a connection got a message that it does not know");
                true
            }
        }
    }

    /// The commands that the store has no part in.
    async fn carry_out(
        &mut self,
        cx: &mut Context,
        command: &'static Command,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) {
        let start = reply.len();
        let outcome = match command.name {
            Name::Ping => self.ping(arguments, reply),
            Name::Echo => {
                reply.bulk(&arguments[1]);
                Ok(())
            }
            Name::Quit => {
                reply.ok();
                self.closing = true;
                Ok(())
            }
            Name::Select => select(arguments, reply),
            Name::Scan => self.scan(cx, arguments, reply),
            Name::Subscribe => self.subscribe(cx, arguments, reply).await,
            Name::Unsubscribe => self.unsubscribe(cx, arguments, reply).await,
            Name::Publish => self.publish(cx, arguments, reply).await,
            _ => self.tell_about(cx, command, arguments, reply).await,
        };
        if let Err(refusal) = outcome {
            reply.truncate(start);
            reply.error(&refusal.to_string());
        }
    }

    fn ping(&self, arguments: Arguments<'_>, reply: &mut Reply) -> Result<(), Refusal> {
        if arguments.len() > 2 {
            return Err(Refusal::Arity("ping"));
        }
        let message = arguments.get(1);
        if self.is_subscribed() {
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(message.unwrap_or_default());
        } else {
            match message {
                Some(message) => reply.bulk(message),
                None => reply.simple("PONG"),
            }
        }
        Ok(())
    }

    /// SCAN reads past the store: its promise is about keys that stay, and the table's scan keeps it.
    fn scan(
        &self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Result<(), Refusal> {
        let options = ScanOptions::parse(arguments)?;
        let Some(tables) = &self.tables else {
            return Err(otp_vm::TableError::OwnerGone.into());
        };
        let mut found = Reply::new();
        let mut count = 0;
        let now = now_ms();
        let next = tables
            .data
            .scan_with(cx, options.cursor, options.count, |key, value| {
                let Some(entry) = Entry::read(value).filter(|entry| !entry.is_expired(now)) else {
                    return;
                };
                if let Some(key) = key.as_binary()
                    && options.matches(key, entry)
                {
                    found.bulk(key);
                    count += 1;
                }
            })?;
        reply.array(2);
        reply.bulk(next.unwrap_or(0).to_string().as_bytes());
        reply.array(count);
        reply.raw(found.as_bytes());
        Ok(())
    }
}

fn is_allowed_to_subscribers(name: Name) -> bool {
    matches!(
        name,
        Name::Subscribe | Name::Unsubscribe | Name::Ping | Name::Quit
    )
}

/// There is one database.
fn select(arguments: Arguments<'_>, reply: &mut Reply) -> Result<(), Refusal> {
    match parse_i64(&arguments[1]) {
        Some(0) => reply.ok(),
        Some(index) if i32::try_from(index).is_err() => {
            reply.error("ERR value is out of range, value must between -2147483648 and 2147483647");
        }
        Some(_) => reply.error("ERR DB index is out of range"),
        None => return Err(Refusal::NotAnInteger),
    }
    Ok(())
}

/// SCAN's options.
#[derive(Debug)]
struct ScanOptions<'a> {
    cursor: u64,
    count: usize,
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

/// Keys that SCAN looks at unless told otherwise, and at most: more would hold up other connections.
const SCAN_COUNT: usize = 10;
const SCAN_COUNT_MAX: i64 = 10_000;

impl<'a> ScanOptions<'a> {
    fn parse(arguments: Arguments<'a>) -> Result<ScanOptions<'a>, Refusal> {
        let cursor = std::str::from_utf8(&arguments[1])
            .ok()
            .and_then(|cursor| cursor.parse().ok());
        let cursor = cursor.ok_or(Refusal::InvalidCursor)?;
        let mut options = ScanOptions {
            cursor,
            count: SCAN_COUNT,
            pattern: None,
            kind: None,
        };
        let mut rest = arguments.from(2);
        while let Some(word) = rest.next() {
            let value = rest.next().ok_or(Refusal::Syntax)?;
            if word.eq_ignore_ascii_case(b"count") {
                let count = parse_i64(value).ok_or(Refusal::NotAnInteger)?;
                if count < 1 {
                    return Err(Refusal::Syntax);
                }
                options.count = count.min(SCAN_COUNT_MAX).unsigned_abs() as usize;
            } else if word.eq_ignore_ascii_case(b"match") {
                options.pattern = Some(value);
            } else if word.eq_ignore_ascii_case(b"type") {
                options.kind = Some(value);
            } else {
                return Err(Refusal::Syntax);
            }
        }
        Ok(options)
    }

    fn matches(&self, key: &[u8], entry: Entry<'_>) -> bool {
        self.pattern
            .is_none_or(|pattern| crate::kv::glob::matches(pattern, key))
            && self
                .kind
                .is_none_or(|kind| kind.eq_ignore_ascii_case(entry.value.kind().name().as_bytes()))
    }
}

fn unknown_command(arguments: Arguments<'_>) -> String {
    let mut repeated = String::new();
    for argument in arguments.from(1) {
        if repeated.len() >= REPEATED_MAX {
            break;
        }
        let argument = &argument[..argument.len().min(REPEATED_MAX - repeated.len())];
        repeated.push_str(&format!("'{}' ", String::from_utf8_lossy(argument)));
    }
    let name = &arguments[0][..arguments[0].len().min(REPEATED_MAX)];
    format!(
        "ERR unknown command '{}', with args beginning with: {repeated}",
        String::from_utf8_lossy(name)
    )
}
