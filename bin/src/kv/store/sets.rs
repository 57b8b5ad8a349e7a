//! SADD, SREM, SPOP, SISMEMBER, SMEMBERS.
//!
//! Members are numbered from 0 without gaps, so that a random number is a random member, each as likely as any other.
//! A member that goes leaves its slot to the last one.

use otp_vm::Context;

use super::lists::positive;
use super::{Done, Store};
use crate::kv::entry::{Bytes, Container, Kind, binary};
use crate::kv::resp::{Arguments, Refusal, Reply};

impl Store {
    pub(super) fn sadd(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let key = &arguments[1];
        let (mut set, expires_at) = self.container_or_new(cx, key, Kind::Set)?;
        let before = set.length;
        for member in arguments.from(2) {
            if self
                .tables
                .elements
                .insert_new(cx, &(set.id, Bytes(member)), &set.length)?
            {
                self.tables
                    .elements
                    .insert(cx, &(set.id, set.length), &Bytes(member))?;
                set.length += 1;
            }
        }
        if set.length > before {
            self.put_container(cx, key, set, expires_at)?;
        }
        reply.integer(set.length - before);
        Ok(())
    }

    pub(super) fn srem(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let key = &arguments[1];
        let Some((mut set, expires_at)) = self.container(cx, key, Kind::Set)? else {
            reply.integer(0);
            return Ok(());
        };
        let before = set.length;
        for member in arguments.from(2) {
            let slot = self
                .tables
                .elements
                .take_with(cx, &(set.id, Bytes(member)), |slot| slot.as_i64())?;
            if let Some(slot) = slot {
                self.vacate(cx, &mut set, slot.ok_or(Refusal::Damaged)?)?;
            }
        }
        if set.length < before {
            self.put_container(cx, key, set, expires_at)?;
        }
        reply.integer(before - set.length);
        Ok(())
    }

    pub(super) fn spop(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        if arguments.len() > 3 {
            return Err(Refusal::Syntax);
        }
        let count = arguments.get(2).map(positive).transpose()?;
        let key = &arguments[1];
        let Some((mut set, expires_at)) = self.container(cx, key, Kind::Set)? else {
            if count.is_some() {
                reply.array(0)
            } else {
                reply.null()
            }
            return Ok(());
        };
        let taken = count.unwrap_or(1).min(set.length);
        if count.is_some() {
            reply.array(usize::try_from(taken).unwrap_or_default());
        }
        for _ in 0..taken {
            let slot = self.random.below(set.length.unsigned_abs()).cast_signed();
            let member = self.member(cx, &set, slot)?;
            reply.bulk(&member);
            self.tables.elements.delete(cx, &(set.id, Bytes(&member)))?;
            self.vacate(cx, &mut set, slot)?;
        }
        if taken > 0 {
            self.put_container(cx, key, set, expires_at)?;
        }
        Ok(())
    }

    pub(super) fn sismember(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let found = match self.container(cx, &arguments[1], Kind::Set)? {
            Some((set, _)) => self
                .tables
                .elements
                .contains(cx, &(set.id, Bytes(&arguments[2])))?,
            None => false,
        };
        reply.flag(found);
        Ok(())
    }

    pub(super) async fn smembers(
        &mut self,
        cx: &mut Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let Some((set, _)) = self.container(cx, &arguments[1], Kind::Set)? else {
            reply.array(0);
            return Ok(());
        };
        reply.array(usize::try_from(set.length).unwrap_or_default());
        self.each_indexed(cx, set.id, 0..set.length, reply, |member, reply| {
            reply.bulk(binary(member).unwrap_or_default());
        })
        .await
    }

    fn member(&self, cx: &Context, set: &Container, slot: i64) -> Result<Vec<u8>, Refusal> {
        let member = self
            .tables
            .elements
            .lookup_with(cx, &(set.id, slot), |member| {
                binary(member).map(<[u8]>::to_vec)
            })?;
        member.flatten().ok_or(Refusal::Damaged)
    }

    /// Fills the slot of a member that is gone with the last one, and counts down.
    fn vacate(&mut self, cx: &Context, set: &mut Container, slot: i64) -> Done {
        set.length -= 1;
        let last = set.length;
        if slot != last {
            let member = self.member(cx, set, last)?;
            self.tables
                .elements
                .insert(cx, &(set.id, slot), &Bytes(&member))?;
            self.tables
                .elements
                .insert(cx, &(set.id, Bytes(&member)), &slot)?;
        }
        self.tables.elements.delete(cx, &(set.id, last))?;
        Ok(())
    }
}
