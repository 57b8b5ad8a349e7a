//! The commands: their names, how many arguments they take, and who carries them out.

/// Who carries a command out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The store, in a batch with its neighbours.
    Store,
    /// The connection, by reading one row past the store, if nothing it sent to the store is on its way.
    Row,
    /// The connection, which needs nobody for it or asks others.
    Connection,
}

/// A command's name. Its number is the command's place in [`Command::all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Append,
    Client,
    Command,
    Config,
    Dbsize,
    Decr,
    Decrby,
    Del,
    Echo,
    Exists,
    Expire,
    Flushall,
    Get,
    Getdel,
    Getset,
    Hdel,
    Hget,
    Hgetall,
    Hincrby,
    Hlen,
    Hset,
    Incr,
    Incrby,
    Info,
    Keys,
    Llen,
    Lpop,
    Lpush,
    Lrange,
    Mget,
    Mset,
    Persist,
    Pexpire,
    Ping,
    Pttl,
    Publish,
    Quit,
    Rpop,
    Rpush,
    Sadd,
    Scan,
    Scard,
    Select,
    Set,
    Sismember,
    Smembers,
    Spop,
    Srem,
    Strlen,
    Subscribe,
    Time,
    Ttl,
    Type,
    Unsubscribe,
}

/// What is known about a command before it runs.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: Name,
    /// The name in small letters, as error texts have it.
    pub text: &'static str,
    /// Arguments with the name: exactly so many, or if negative at least so many.
    pub arity: i64,
    /// Who carries it out.
    pub place: Place,
    /// Redis's flags, as COMMAND gives them.
    pub flags: &'static [&'static str],
    /// Where the first key is, the last one, and the distance between two; zeros without keys.
    pub keys: (i64, i64, i64),
    /// Redis's group, as COMMAND DOCS gives it.
    pub group: &'static str,
    /// One sentence, as COMMAND DOCS gives it.
    pub summary: &'static str,
}

impl Command {
    #[expect(clippy::too_many_arguments, reason = "it is a row of the table below")]
    const fn new(
        name: Name,
        text: &'static str,
        arity: i64,
        place: Place,
        flags: &'static [&'static str],
        keys: (i64, i64, i64),
        group: &'static str,
        summary: &'static str,
    ) -> Command {
        Command {
            name,
            text,
            arity,
            place,
            flags,
            keys,
            group,
            summary,
        }
    }

    /// Finds a command by its name, in whatever letters.
    pub fn find(name: &[u8]) -> Option<&'static Command> {
        let mut place = slot(name)?;
        while let Some(index) = BY_NAME[place] {
            let command = &COMMANDS[usize::from(index)];
            if command.text.as_bytes().eq_ignore_ascii_case(name) {
                return Some(command);
            }
            place = (place + 1) % SLOTS;
        }
        None
    }

    /// All of them.
    pub fn all() -> &'static [Command] {
        &COMMANDS
    }

    /// Whether it may add to what is stored.
    pub fn adds(&self) -> bool {
        self.flags.get(1) == Some(&"denyoom")
    }

    /// Whether it takes `count` arguments, its name included.
    pub fn takes(&self, count: usize) -> bool {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if self.arity >= 0 {
            count == self.arity
        } else {
            count >= -self.arity
        }
    }
}

/// Places of the hash table that names are searched in: so many that few names share one.
const SLOTS: usize = 256;

/// The commands by the hash of their names, each at its slot or at the next free one.
static BY_NAME: [Option<u8>; SLOTS] = {
    let mut table = [None; SLOTS];
    let mut index = 0;
    while index < COMMANDS.len() {
        let Some(mut place) = slot(COMMANDS[index].text.as_bytes()) else {
            panic!("a command without a name")
        };
        while table[place].is_some() {
            place = (place + 1) % SLOTS;
        }
        table[place] = Some(index as u8);
        index += 1;
    }
    table
};

/// Where the search for a name begins. Made of the name's length, first, middle and last letter, which nearly tell the
/// names apart, and cost no loop.
const fn slot(name: &[u8]) -> Option<usize> {
    if name.is_empty() {
        return None;
    }
    let (first, middle, last) = (
        name[0] | 0x20,
        name[name.len() / 2] | 0x20,
        name[name.len() - 1] | 0x20,
    );
    let mixed = (first as u32) << 16 | (middle as u32) << 8 | last as u32;
    Some((((mixed ^ (name.len() as u32) << 20).wrapping_mul(0x9E37_79B1)) >> 24) as usize % SLOTS)
}

const WRITE: &[&str] = &["write", "denyoom"];
const WRITE_FAST: &[&str] = &["write", "denyoom", "fast"];
const REMOVE: &[&str] = &["write"];
const REMOVE_FAST: &[&str] = &["write", "fast"];
const READ: &[&str] = &["readonly"];
const READ_FAST: &[&str] = &["readonly", "fast"];
const ADMIN: &[&str] = &["noscript", "loading", "stale"];
const FAST: &[&str] = &["loading", "stale", "fast"];
const CHANNEL: &[&str] = &["pubsub", "noscript", "loading", "stale"];

const NONE: (i64, i64, i64) = (0, 0, 0);
const ONE: (i64, i64, i64) = (1, 1, 1);
const ALL: (i64, i64, i64) = (1, -1, 1);

use Place::{Connection, Row, Store};

/// In the order of [`Name`].
#[rustfmt::skip]
static COMMANDS: [Command; 54] = [
    Command::new(Name::Append, "append", 3, Store, WRITE_FAST, ONE, "string", "Appends a string to the value of a key."),
    Command::new(Name::Client, "client", -2, Connection, ADMIN, NONE, "connection", "A container for client connection commands."),
    Command::new(Name::Command, "command", -1, Connection, &["loading", "stale"], NONE, "server", "Returns detailed information about all commands."),
    Command::new(Name::Config, "config", -2, Connection, ADMIN, NONE, "server", "A container for server configuration commands."),
    Command::new(Name::Dbsize, "dbsize", 1, Store, READ_FAST, NONE, "server", "Returns the number of keys in the database."),
    Command::new(Name::Decr, "decr", 2, Store, WRITE_FAST, ONE, "string", "Decrements the integer value of a key by one."),
    Command::new(Name::Decrby, "decrby", 3, Store, WRITE_FAST, ONE, "string", "Decrements a number from the integer value of a key."),
    Command::new(Name::Del, "del", -2, Store, REMOVE, ALL, "generic", "Deletes one or more keys."),
    Command::new(Name::Echo, "echo", 2, Connection, FAST, NONE, "connection", "Returns the given string."),
    Command::new(Name::Exists, "exists", -2, Row, READ_FAST, ALL, "generic", "Determines whether one or more keys exist."),
    Command::new(Name::Expire, "expire", -3, Store, REMOVE_FAST, ONE, "generic", "Sets the expiration time of a key in seconds."),
    Command::new(Name::Flushall, "flushall", -1, Store, REMOVE, NONE, "server", "Removes all keys from all databases."),
    Command::new(Name::Get, "get", 2, Row, READ_FAST, ONE, "string", "Returns the string value of a key."),
    Command::new(Name::Getdel, "getdel", 2, Store, REMOVE_FAST, ONE, "string", "Returns the string value of a key after deleting the key."),
    Command::new(Name::Getset, "getset", 3, Store, WRITE_FAST, ONE, "string", "Returns the previous string value of a key after setting it to a new value."),
    Command::new(Name::Hdel, "hdel", -3, Store, REMOVE_FAST, ONE, "hash", "Deletes one or more fields and their values from a hash."),
    Command::new(Name::Hget, "hget", 3, Store, READ_FAST, ONE, "hash", "Returns the value of a field in a hash."),
    Command::new(Name::Hgetall, "hgetall", 2, Store, READ, ONE, "hash", "Returns all fields and values in a hash."),
    Command::new(Name::Hincrby, "hincrby", 4, Store, WRITE_FAST, ONE, "hash", "Increments the integer value of a field in a hash by a number."),
    Command::new(Name::Hlen, "hlen", 2, Row, READ_FAST, ONE, "hash", "Returns the number of fields in a hash."),
    Command::new(Name::Hset, "hset", -4, Store, WRITE_FAST, ONE, "hash", "Creates or modifies the value of a field in a hash."),
    Command::new(Name::Incr, "incr", 2, Store, WRITE_FAST, ONE, "string", "Increments the integer value of a key by one."),
    Command::new(Name::Incrby, "incrby", 3, Store, WRITE_FAST, ONE, "string", "Increments the integer value of a key by a number."),
    Command::new(Name::Info, "info", -1, Connection, &["loading", "stale"], NONE, "server", "Returns information and statistics about the server."),
    Command::new(Name::Keys, "keys", 2, Store, READ, NONE, "generic", "Returns all key names that match a pattern."),
    Command::new(Name::Llen, "llen", 2, Row, READ_FAST, ONE, "list", "Returns the length of a list."),
    Command::new(Name::Lpop, "lpop", -2, Store, REMOVE_FAST, ONE, "list", "Returns and removes the first elements of a list."),
    Command::new(Name::Lpush, "lpush", -3, Store, WRITE_FAST, ONE, "list", "Prepends one or more elements to a list."),
    Command::new(Name::Lrange, "lrange", 4, Store, READ, ONE, "list", "Returns a range of elements from a list."),
    Command::new(Name::Mget, "mget", -2, Store, READ_FAST, ALL, "string", "Returns the string values of one or more keys at one instant."),
    Command::new(Name::Mset, "mset", -3, Store, WRITE, (1, -1, 2), "string", "Sets the string values of one or more keys at one instant."),
    Command::new(Name::Persist, "persist", 2, Store, REMOVE_FAST, ONE, "generic", "Removes the expiration time of a key."),
    Command::new(Name::Pexpire, "pexpire", -3, Store, REMOVE_FAST, ONE, "generic", "Sets the expiration time of a key in milliseconds."),
    Command::new(Name::Ping, "ping", -1, Connection, FAST, NONE, "connection", "Returns the server's liveliness response."),
    Command::new(Name::Pttl, "pttl", 2, Row, READ_FAST, ONE, "generic", "Returns the expiration time in milliseconds of a key."),
    Command::new(Name::Publish, "publish", 3, Connection, &["pubsub", "loading", "stale", "fast"], NONE, "pubsub", "Posts a message to a channel."),
    Command::new(Name::Quit, "quit", -1, Connection, FAST, NONE, "connection", "Closes the connection."),
    Command::new(Name::Rpop, "rpop", -2, Store, REMOVE_FAST, ONE, "list", "Returns and removes the last elements of a list."),
    Command::new(Name::Rpush, "rpush", -3, Store, WRITE_FAST, ONE, "list", "Appends one or more elements to a list."),
    Command::new(Name::Sadd, "sadd", -3, Store, WRITE_FAST, ONE, "set", "Adds one or more members to a set."),
    Command::new(Name::Scan, "scan", -2, Connection, READ, NONE, "generic", "Iterates over the key names in the database."),
    Command::new(Name::Scard, "scard", 2, Row, READ_FAST, ONE, "set", "Returns the number of members in a set."),
    Command::new(Name::Select, "select", 2, Connection, FAST, NONE, "connection", "Changes the selected database; there is one, 0."),
    Command::new(Name::Set, "set", -3, Store, WRITE, ONE, "string", "Sets the string value of a key."),
    Command::new(Name::Sismember, "sismember", 3, Store, READ_FAST, ONE, "set", "Determines whether a member belongs to a set."),
    Command::new(Name::Smembers, "smembers", 2, Store, READ, ONE, "set", "Returns all members of a set."),
    Command::new(Name::Spop, "spop", -2, Store, REMOVE_FAST, ONE, "set", "Returns one or more random members of a set after removing them."),
    Command::new(Name::Srem, "srem", -3, Store, REMOVE_FAST, ONE, "set", "Removes one or more members from a set."),
    Command::new(Name::Strlen, "strlen", 2, Row, READ_FAST, ONE, "string", "Returns the length of a string value."),
    Command::new(Name::Subscribe, "subscribe", -2, Connection, CHANNEL, NONE, "pubsub", "Listens for messages published to channels."),
    Command::new(Name::Time, "time", 1, Connection, FAST, NONE, "server", "Returns the server time."),
    Command::new(Name::Ttl, "ttl", 2, Row, READ_FAST, ONE, "generic", "Returns the expiration time in seconds of a key."),
    Command::new(Name::Type, "type", 2, Row, READ_FAST, ONE, "generic", "Determines the type of value stored at a key."),
    Command::new(Name::Unsubscribe, "unsubscribe", -1, Connection, CHANNEL, NONE, "pubsub", "Stops listening to messages posted to channels."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_letters() {
        for (index, command) in Command::all().iter().enumerate() {
            assert_eq!(
                command.name as usize, index,
                "names and commands are in the same order"
            );
            let found = Command::find(command.text.to_ascii_uppercase().as_bytes()).unwrap();
            assert_eq!(found.name, command.name);
            assert_eq!(
                format!("{:?}", command.name).to_ascii_lowercase(),
                command.text
            );
        }
        assert!(Command::find(b"nope").is_none());
        assert!(Command::find(b"").is_none());
        assert!(Command::find(b"a name longer than any that there is").is_none());
        let probes = |name: &[u8]| {
            let start = slot(name).unwrap();
            let index = |place: usize| {
                BY_NAME[place % SLOTS].map(|index| COMMANDS[usize::from(index)].text.as_bytes())
            };
            (start..)
                .take_while(|place| index(*place) != Some(name))
                .count()
        };
        assert!(
            Command::all()
                .iter()
                .all(|command| probes(command.text.as_bytes()) < 4)
        );
    }

    #[test]
    fn arity_is_exact_or_at_least() {
        let get = Command::find(b"GET").unwrap();
        assert!(get.takes(2) && !get.takes(1) && !get.takes(3));
        let del = Command::find(b"DEL").unwrap();
        assert!(!del.takes(1) && del.takes(2) && del.takes(100));
    }
}
