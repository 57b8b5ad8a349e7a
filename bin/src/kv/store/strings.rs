//! SET, GETSET, GETDEL, APPEND, MGET, MSET, INCR and its kin.

use otp_vm::Context;

use super::{Done, Meta, Store};
use crate::kv::entry::{Bytes, Entry};
use crate::kv::resp::{Arguments, Decimal, Refusal, Reply, parse_i64};
use crate::kv::row;

/// SET's options.
#[derive(Clone, Copy, Debug, Default)]
struct SetOptions<'a> {
    /// Only if the key is not there.
    if_absent: bool,
    /// Only if the key is there.
    if_present: bool,
    /// Reply with the old value.
    get: bool,
    /// Keep the old time to live.
    keep_ttl: bool,
    /// A time to live, and the milliseconds in its unit.
    expire: Option<(&'a [u8], i64)>,
}

impl<'a> SetOptions<'a> {
    fn parse(arguments: Arguments<'a>) -> Result<SetOptions<'a>, Refusal> {
        let mut options = SetOptions::default();
        let mut rest = arguments.from(3);
        while let Some(word) = rest.next() {
            if word.eq_ignore_ascii_case(b"nx") && !options.if_present {
                options.if_absent = true;
            } else if word.eq_ignore_ascii_case(b"xx") && !options.if_absent {
                options.if_present = true;
            } else if word.eq_ignore_ascii_case(b"get") {
                options.get = true;
            } else if word.eq_ignore_ascii_case(b"keepttl") && options.expire.is_none() {
                options.keep_ttl = true;
            } else if let Some(unit) = unit(word) {
                let allowed =
                    !options.keep_ttl && options.expire.is_none_or(|(_, before)| before == unit);
                let time = rest.next().filter(|_| allowed).ok_or(Refusal::Syntax)?;
                options.expire = Some((time, unit));
            } else {
                return Err(Refusal::Syntax);
            }
        }
        Ok(options)
    }
}

fn unit(word: &[u8]) -> Option<i64> {
    if word.eq_ignore_ascii_case(b"ex") {
        Some(1000)
    } else if word.eq_ignore_ascii_case(b"px") {
        Some(1)
    } else {
        None
    }
}

impl Store {
    pub(super) fn set(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let (key, value) = (&arguments[1], &arguments[2]);
        if arguments.len() == 3 {
            self.put(cx, key, Entry::string(value, 0))?;
            reply.ok();
            return Ok(());
        }
        let options = SetOptions::parse(arguments)?;
        let mut expires_at = match options.expire {
            None => 0,
            Some((time, unit)) => {
                let time = parse_i64(time).ok_or(Refusal::NotAnInteger)?;
                let invalid = Refusal::InvalidExpire("set");
                let time = Some(time)
                    .filter(|time| *time > 0)
                    .and_then(|time| time.checked_mul(unit));
                time.and_then(|time| time.checked_add(self.now))
                    .ok_or(invalid)?
            }
        };
        let old_expires_at = self.look(cx, key, |entry| {
            if options.get {
                let bytes = row::string(Some(entry))?;
                reply.bulk(bytes.unwrap_or_default());
            }
            Ok::<_, Refusal>(entry.expires_at)
        })?;
        let old_expires_at = old_expires_at.transpose()?;
        if options.get && old_expires_at.is_none() {
            reply.null();
        }
        let refused = match old_expires_at {
            Some(_) => options.if_absent,
            None => options.if_present,
        };
        if refused {
            if !options.get {
                reply.null();
            }
            return Ok(());
        }
        if options.keep_ttl {
            expires_at = old_expires_at.unwrap_or(0);
        }
        self.put(cx, key, Entry::string(value, expires_at))?;
        if !options.get {
            reply.ok();
        }
        Ok(())
    }

    pub(super) fn getset(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        self.old_string(cx, &arguments[1], reply)?;
        self.put(cx, &arguments[1], Entry::string(&arguments[2], 0))
    }

    pub(super) fn getdel(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        if self.old_string(cx, &arguments[1], reply)? {
            self.remove(cx, &arguments[1])?;
        }
        Ok(())
    }

    /// Replies with a string, or with none; says whether it was there.
    fn old_string(&mut self, cx: &Context, key: &[u8], reply: &mut Reply) -> Result<bool, Refusal> {
        let found = self.look(cx, key, |entry| {
            row::string(Some(entry)).map(|bytes| reply.bulk(bytes.unwrap_or_default()))
        })?;
        match found {
            Some(outcome) => outcome.map(|()| true),
            None => {
                reply.null();
                Ok(false)
            }
        }
    }

    pub(super) fn append(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let (key, tail) = (&arguments[1], &arguments[2]);
        let limit = self.limits.value_bytes;
        let appended = self.look(cx, key, |entry| {
            let bytes = row::string(Some(entry))?.unwrap_or_default();
            if bytes.len() + tail.len() > limit {
                return Err(Refusal::ValueTooBig);
            }
            Ok(([bytes, tail].concat(), entry.expires_at))
        })?;
        let length = match appended.transpose()? {
            Some((bytes, expires_at)) => {
                self.put(cx, key, Entry::string(&bytes, expires_at))?;
                bytes.len()
            }
            None => {
                self.put(cx, key, Entry::string(tail, 0))?;
                tail.len()
            }
        };
        reply.count(length);
        Ok(())
    }

    pub(super) fn mget(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        reply.array(arguments.len() - 1);
        for key in arguments.from(1) {
            let found = self.look(cx, key, |entry| match row::string(Some(entry)) {
                Ok(Some(bytes)) => reply.bulk(bytes),
                // Another type has no string value either: Redis says nil, not WRONGTYPE.
                Ok(None) | Err(_) => reply.null(),
            })?;
            if found.is_none() {
                reply.null();
            }
            self.fits(reply)?;
        }
        Ok(())
    }

    pub(super) fn mset(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        if arguments.len().is_multiple_of(2) {
            return Err(Refusal::Arity("mset"));
        }
        let pairs = arguments.from(1).zip(arguments.from(2)).step_by(2);
        let rows = pairs.map(|(key, value)| (Bytes(key), Entry::string(value, 0)));
        let mut replaced = Vec::new();
        self.tables.data.insert_many(cx, rows, |key, old| {
            if let (Some(key), Some(old)) = (key.as_binary(), Entry::read(old)) {
                replaced.push((key.to_vec(), Meta::of(old)));
            }
        })?;
        for (key, old) in replaced {
            self.settle(cx, &key, Some(old), None)?;
        }
        reply.ok();
        Ok(())
    }

    pub(super) fn incrby(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let increment = parse_i64(&arguments[2]).ok_or(Refusal::NotAnInteger)?;
        self.increment(cx, &arguments[1], increment, reply)
    }

    pub(super) fn decrby(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let decrement = parse_i64(&arguments[2]).ok_or(Refusal::NotAnInteger)?;
        let increment = decrement.checked_neg().ok_or(Refusal::DecrementOverflow)?;
        self.increment(cx, &arguments[1], increment, reply)
    }

    pub(super) fn increment(
        &mut self,
        cx: &Context,
        key: &[u8],
        increment: i64,
        reply: &mut Reply,
    ) -> Done {
        let found = self.look(cx, key, |entry| {
            let number = row::string(Some(entry))?
                .and_then(parse_i64)
                .ok_or(Refusal::NotAnInteger)?;
            Ok::<_, Refusal>((number, entry.expires_at))
        })?;
        let (number, expires_at) = found.transpose()?.unwrap_or((0, 0));
        let sum = number.checked_add(increment).ok_or(Refusal::Overflow)?;
        self.put(
            cx,
            key,
            Entry::string(Decimal::new(sum).as_bytes(), expires_at),
        )?;
        reply.integer(sum);
        Ok(())
    }
}
