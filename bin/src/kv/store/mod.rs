//! The store: the one process that writes.
//!
//! 1. It starts by claiming the tables from the keeper, and watches the keeper, to name a new heir should it ever be
//!    another one.
//! 2. It takes batches of commands, carries out one after the other and answers with all their replies. Within a
//!    command that writes there is no await: a kill falls between commands, so each of them is done or not.
//! 3. Commands that read many rows await now and then, so that a large reply holds up nobody but those who wait for the
//!    store as well.
//! 4. Work that can wait (removing the rows of dead containers and of a flushed table, expired keys) is done in steps
//!    of bounded size: each ends by a message of the store to itself, behind what came in meanwhile. A command that
//!    adds rows does such a step itself, so that what waits cannot grow without bound (`chores`).
//! 5. If it dies, its tables go home to the keeper, and the next store finds in them all that it must know: there is no
//!    other state.

mod chores;
mod containers;
mod expiry;
mod hashes;
mod keys;
mod lists;
mod sets;
mod strings;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::{GenServer, Init, NoReply, Reply as CallReply};
use otp_vm::{Atom, Binary, Context, ExitReason, OwnedTerm, Pid, Ref};
use serde::{Deserialize, Serialize};

use super::batch::BatchReader;
use super::clock::now_ms;
use super::command::{Command, Name};
use super::entry::{Bytes, Container, Entry, Value};
use super::keeper;
use super::options::Limits;
use super::random::Random;
use super::resp::{Arguments, Refusal, Reply};
use super::row;
use super::tables::Tables;
use chores::Chores;

/// The store's registered name.
pub const NAME: &str = "kv_store";

/// How long the store waits for a new keeper before it looks again.
const KEEPER_RETRY: std::time::Duration = std::time::Duration::from_millis(20);

/// The owner of the tables.
#[derive(Debug)]
pub struct Store {
    tables: Tables,
    limits: Limits,
    reader: BatchReader,
    random: Random,
    chores: Chores,
    keeper: Ref,
    /// The time at which the present batch began: all of its commands happen at it.
    now: i64,
    /// How long the replies of the batch may be at the end of the present command.
    reply_end: usize,
}

/// A [batch](super::batch).
#[derive(Debug, Serialize, Deserialize)]
pub struct Request(pub Binary);

/// The replies to the first commands of a batch, at least one: how many commands, how many bytes of the batch they
/// took, and their replies one behind the other. What is behind them was not looked at: so the replies of one call stay
/// small unless a single one is large.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replies(pub usize, pub usize, pub Binary);

/// Bytes of replies after which a batch is left off.
const REPLIES_BYTES: usize = 64 * 1024;

/// [`Request`], borrowed by who sends it.
#[derive(Debug, Serialize)]
pub struct RequestRef<'a>(pub Bytes<'a>);

/// What the store is asked to do without an answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Cast {
    /// Delete the keys that have expired.
    Sweep,
}

/// Other messages.
#[derive(Debug, Serialize, Deserialize)]
pub enum Info {
    /// From the store to itself: another step of what can wait.
    Chores,
    /// From the store to itself: look for the new keeper.
    FindKeeper,
    /// A table has come; the claim's answer says when all have.
    #[serde(rename = "ETS-TRANSFER")]
    Transfer(Atom, Pid, OwnedTerm),
    /// The keeper died.
    #[serde(rename = "DOWN")]
    Down(Ref, Atom, Pid, ExitReason),
}

/// What a row says of a key, without its bytes.
#[derive(Clone, Copy, Debug)]
struct Meta {
    expires_at: i64,
    container: Option<Container>,
}

impl Meta {
    fn of(entry: Entry<'_>) -> Meta {
        let container = match entry.value {
            Value::String(_) => None,
            Value::Container(container) => Some(container),
        };
        Meta {
            expires_at: entry.expires_at,
            container,
        }
    }
}

/// The replies of a command are written as it goes on; if it is refused, they are replaced by the error.
type Done = Result<(), Refusal>;

impl GenServer for Store {
    type Args = Limits;
    type Call = Request;
    type Reply = Replies;
    type Cast = Cast;
    type Info = Info;
    type Continue = otp_stdlib::prelude::NoMessage;

    async fn init(limits: Limits, cx: &mut Context) -> Init<Store> {
        let tables = match keeper::claim(cx).await {
            Ok(tables) => tables,
            Err(reason) => return Init::stop(reason),
        };
        let mut store = Store {
            tables,
            limits,
            reader: BatchReader::default(),
            random: Random::from_system(),
            chores: Chores::default(),
            keeper: cx.monitor(keeper::NAME),
            now: now_ms(),
            reply_end: 0,
        };
        // A store before this one may have left containers to be buried.
        store.want_chores(cx);
        Init::ok(store)
    }

    async fn handle_call(
        &mut self,
        Request(batch): Request,
        _: From<Replies>,
        cx: &mut Context,
    ) -> CallReply<Store> {
        let mut reply = Reply::new();
        // Taken out, since commands borrow from it while they change the store.
        let mut reader = std::mem::take(&mut self.reader);
        self.now = now_ms();
        let (mut commands, mut position) = (0, 0);
        while position < batch.len() && reply.len() < REPLIES_BYTES {
            let Some((command, arguments, next)) = reader.read(&batch, position) else {
                return CallReply::stop("a batch that is no batch");
            };
            if let Err(refusal) = self.carry_out(cx, command, arguments, &mut reply).await {
                reply.error(&refusal.to_string());
            }
            commands += 1;
            position = next;
            cx.tick(1).await;
        }
        self.reader = reader;
        CallReply::new(Replies(commands, position, Binary::from(reply.take())))
    }

    async fn handle_cast(&mut self, Cast::Sweep: Cast, cx: &mut Context) -> NoReply<Store> {
        self.chores.sweep = true;
        self.want_chores(cx);
        NoReply::new()
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Store> {
        match info {
            Info::Chores => {
                if let Err(error) = self.do_chores(cx) {
                    return NoReply::stop(super::tables::exit_reason(&error));
                }
            }
            Info::FindKeeper => self.find_keeper(cx),
            Info::Down(reference, ..) if reference == self.keeper => self.find_keeper(cx),
            Info::Transfer(..) | Info::Down(..) => {}
        }
        NoReply::new()
    }
}

impl Store {
    /// Carries out one command. On a refusal nothing is left of its replies.
    async fn carry_out(
        &mut self,
        cx: &mut Context,
        command: &'static Command,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let start = reply.len();
        self.reply_end = start.saturating_add(self.limits.output_bytes);
        let done = match command.name {
            Name::Keys => self.keys(cx, arguments, reply).await,
            Name::Lrange => self.lrange(cx, arguments, reply).await,
            Name::Smembers => self.smembers(cx, arguments, reply).await,
            Name::Hgetall => self.hgetall(cx, arguments, reply).await,
            _ => {
                if command.adds() {
                    self.make_room(cx, arguments.len())?;
                }
                self.carry_out_at_once(cx, command, arguments, reply)
            }
        };
        if done.is_err() {
            reply.truncate(start);
        }
        done
    }

    /// The commands without an await.
    fn carry_out_at_once(
        &mut self,
        cx: &Context,
        command: &'static Command,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        match command.name {
            Name::Set => self.set(cx, arguments, reply),
            Name::Getset => self.getset(cx, arguments, reply),
            Name::Getdel => self.getdel(cx, arguments, reply),
            Name::Append => self.append(cx, arguments, reply),
            Name::Mget => self.mget(cx, arguments, reply),
            Name::Mset => self.mset(cx, arguments, reply),
            Name::Incr => self.increment(cx, &arguments[1], 1, reply),
            Name::Decr => self.increment(cx, &arguments[1], -1, reply),
            Name::Incrby => self.incrby(cx, arguments, reply),
            Name::Decrby => self.decrby(cx, arguments, reply),
            Name::Del => self.del(cx, arguments, reply),
            Name::Exists => self.exists(cx, arguments, reply),
            Name::Dbsize => self.dbsize(reply),
            Name::Flushall => self.flushall(cx, arguments, reply),
            Name::Expire => self.expire(cx, arguments, "expire", 1000, reply),
            Name::Pexpire => self.expire(cx, arguments, "pexpire", 1, reply),
            Name::Persist => self.persist(cx, arguments, reply),
            Name::Lpush => self.push(cx, arguments, lists::End::Left, reply),
            Name::Rpush => self.push(cx, arguments, lists::End::Right, reply),
            Name::Lpop => self.pop(cx, arguments, lists::End::Left, "lpop", reply),
            Name::Rpop => self.pop(cx, arguments, lists::End::Right, "rpop", reply),
            Name::Sadd => self.sadd(cx, arguments, reply),
            Name::Srem => self.srem(cx, arguments, reply),
            Name::Spop => self.spop(cx, arguments, reply),
            Name::Sismember => self.sismember(cx, arguments, reply),
            Name::Hset => self.hset(cx, arguments, reply),
            Name::Hget => self.hget(cx, arguments, reply),
            Name::Hdel => self.hdel(cx, arguments, reply),
            Name::Hincrby => self.hincrby(cx, arguments, reply),
            name => {
                let answer = |entry: Entry<'_>| row::answer(name, Some(entry), reply);
                match self.look(cx, &arguments[1], answer)? {
                    Some(answered) => answered,
                    None => row::answer(name, None, reply),
                }
            }
        }
    }

    /// Looks at a key's row, if the key is there and has not expired. One that has is deleted.
    fn look<R>(
        &mut self,
        cx: &Context,
        key: &[u8],
        look: impl FnOnce(Entry<'_>) -> R,
    ) -> Result<Option<R>, Refusal> {
        enum Found<R> {
            Live(R),
            Expired,
            Damaged,
        }
        let now = self.now;
        let found =
            self.tables
                .data
                .lookup_with(cx, &Bytes(key), |term| match Entry::read(term) {
                    Some(entry) if entry.is_expired(now) => Found::Expired,
                    Some(entry) => Found::Live(look(entry)),
                    None => Found::Damaged,
                })?;
        match found {
            None => Ok(None),
            Some(Found::Live(result)) => Ok(Some(result)),
            Some(Found::Expired) => {
                self.remove(cx, key)?;
                Ok(None)
            }
            Some(Found::Damaged) => Err(Refusal::Damaged),
        }
    }

    /// Puts a key's row in, whatever was there before.
    fn put(&mut self, cx: &Context, key: &[u8], entry: Entry<'_>) -> Done {
        let old = self
            .tables
            .data
            .replace_with(cx, &Bytes(key), &entry, |old| {
                old.and_then(Entry::read).map(Meta::of)
            })?;
        let new = Meta::of(entry);
        if old.is_some() || new.expires_at != 0 {
            self.settle(cx, key, old, Some(new))?;
        }
        Ok(())
    }

    /// Takes a key's row out, with all that belongs to it. Says whether it was there and had not expired.
    fn remove(&mut self, cx: &Context, key: &[u8]) -> Result<bool, Refusal> {
        let old = self
            .tables
            .data
            .take_with(cx, &Bytes(key), |old| Entry::read(old).map(Meta::of))?;
        let Some(old) = old else { return Ok(false) };
        self.settle(cx, key, old, None)?;
        Ok(old.is_none_or(|old| old.expires_at == 0 || old.expires_at > self.now))
    }

    /// Takes out the row of a container all of whose elements are gone.
    fn remove_emptied(&mut self, cx: &Context, key: &[u8], expires_at: i64) -> Done {
        self.tables.data.delete(cx, &Bytes(key))?;
        self.settle(
            cx,
            key,
            Some(Meta {
                expires_at,
                container: None,
            }),
            None,
        )
    }

    /// Puts right what hangs on a key's row: its place in the order of expiry, and the elements of a container that no
    /// row names any more.
    fn settle(&mut self, cx: &Context, key: &[u8], old: Option<Meta>, new: Option<Meta>) -> Done {
        let old_expires_at = old.map_or(0, |old| old.expires_at);
        let new_expires_at = new.map_or(0, |new| new.expires_at);
        if old_expires_at != new_expires_at {
            if old_expires_at != 0 {
                self.tables
                    .expiry
                    .delete(cx, &(old_expires_at, Bytes(key)))?;
            }
            if new_expires_at != 0 {
                self.tables
                    .expiry
                    .insert(cx, &(new_expires_at, Bytes(key)), &())?;
            }
        }
        if let Some(container) = old.and_then(|old| old.container)
            && new
                .and_then(|new| new.container)
                .is_none_or(|new| new.id != container.id)
        {
            self.bury(cx, container)?;
        }
        Ok(())
    }

    /// Makes the present keeper the heir, or looks again later.
    fn find_keeper(&mut self, cx: &Context) {
        if let Some(keeper) = cx.whereis(keeper::NAME)
            && self.tables.set_heir(cx, keeper).is_ok()
        {
            self.keeper = cx.monitor(keeper);
            return;
        }
        if let Err(error) = cx.send_after(KEEPER_RETRY, cx.pid(), &Info::FindKeeper) {
            tracing::error!(%error, "the store cannot look for the keeper, and its tables have no heir");
        }
    }
}
