//! HSET, HGET, HDEL, HINCRBY, HGETALL.

use std::ops::Bound;

use otp_vm::Context;

use super::{Done, Store};
use crate::kv::entry::{Bytes, Kind, Part, binary};
use crate::kv::resp::{Arguments, Decimal, Refusal, Reply, parse_i64};

/// Fields that are read before the store gives way.
const FIELDS_PER_STEP: usize = 256;

impl Store {
    pub(super) fn hset(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        if !arguments.len().is_multiple_of(2) {
            return Err(Refusal::Arity("hset"));
        }
        let key = &arguments[1];
        let (mut hash, expires_at) = self.container_or_new(cx, key, Kind::Hash)?;
        let before = hash.length;
        for (field, value) in arguments.from(2).zip(arguments.from(3)).step_by(2) {
            let is_new = self.tables.elements.replace_with(
                cx,
                &(hash.id, Bytes(field)),
                &Bytes(value),
                |old| old.is_none(),
            )?;
            hash.length += i64::from(is_new);
        }
        if hash.length > before {
            self.put_container(cx, key, hash, expires_at)?;
        }
        reply.integer(hash.length - before);
        Ok(())
    }

    pub(super) fn hget(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let found = match self.container(cx, &arguments[1], Kind::Hash)? {
            Some((hash, _)) => {
                let field = (hash.id, Bytes(&arguments[2]));
                self.tables.elements.lookup_with(cx, &field, |value| {
                    reply.bulk(binary(value).unwrap_or_default())
                })?
            }
            None => None,
        };
        if found.is_none() {
            reply.null();
        }
        Ok(())
    }

    pub(super) fn hdel(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let key = &arguments[1];
        let Some((mut hash, expires_at)) = self.container(cx, key, Kind::Hash)? else {
            reply.integer(0);
            return Ok(());
        };
        let before = hash.length;
        for field in arguments.from(2) {
            let removed = self.tables.elements.delete(cx, &(hash.id, Bytes(field)))?;
            hash.length -= i64::from(removed);
        }
        if hash.length < before {
            self.put_container(cx, key, hash, expires_at)?;
        }
        reply.integer(before - hash.length);
        Ok(())
    }

    pub(super) fn hincrby(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let increment = parse_i64(&arguments[3]).ok_or(Refusal::NotAnInteger)?;
        let key = &arguments[1];
        let (mut hash, expires_at) = self.container_or_new(cx, key, Kind::Hash)?;
        let field = (hash.id, Bytes(&arguments[2]));
        let old = self
            .tables
            .elements
            .lookup_with(cx, &field, |value| binary(value).and_then(parse_i64))?;
        let number = match old {
            None => 0,
            Some(number) => number.ok_or(Refusal::HashNotAnInteger)?,
        };
        let sum = number.checked_add(increment).ok_or(Refusal::Overflow)?;
        self.tables
            .elements
            .insert(cx, &field, &Bytes(Decimal::new(sum).as_bytes()))?;
        if old.is_none() {
            hash.length += 1;
            self.put_container(cx, key, hash, expires_at)?;
        }
        reply.integer(sum);
        Ok(())
    }

    pub(super) async fn hgetall(
        &mut self,
        cx: &mut Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let Some((hash, _)) = self.container(cx, &arguments[1], Kind::Hash)? else {
            reply.array(0);
            return Ok(());
        };
        reply.array(usize::try_from(hash.length.saturating_mul(2)).unwrap_or_default());
        let to = (hash.id + 1, Part::FIRST);
        let mut last: Option<Vec<u8>> = None;
        loop {
            let from = (hash.id, last.as_deref().map_or(Part::FIRST, Part::Bytes));
            let mut seen = None;
            let count = self.tables.elements.range_with(
                cx,
                Bound::Excluded(&from),
                Bound::Excluded(&to),
                FIELDS_PER_STEP,
                |key, value| {
                    let field = key
                        .as_tuple()
                        .and_then(|key| key.get(1))
                        .and_then(binary)
                        .unwrap_or_default();
                    reply.bulk(field);
                    reply.bulk(binary(value).unwrap_or_default());
                    seen = Some(field.to_vec());
                    Ok(())
                },
            )?;
            self.fits(reply)?;
            if count < FIELDS_PER_STEP {
                return Ok(());
            }
            last = seen;
            cx.tick(1).await;
        }
    }
}
