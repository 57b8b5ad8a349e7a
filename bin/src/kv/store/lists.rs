//! LPUSH, RPUSH, LPOP, RPOP, LRANGE.

use otp_vm::Context;

use super::{Done, Store};
use crate::kv::entry::{Bytes, Kind, binary};
use crate::kv::resp::{Arguments, Refusal, Reply, parse_i64};

/// Which end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

impl Store {
    pub(super) fn push(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        end: End,
        reply: &mut Reply,
    ) -> Done {
        let key = &arguments[1];
        let (mut list, expires_at) = self.container_or_new(cx, key, Kind::List)?;
        for element in arguments.from(2) {
            let index = match end {
                End::Left => {
                    list.head -= 1;
                    list.head
                }
                End::Right => list.head + list.length,
            };
            list.length += 1;
            self.tables
                .elements
                .insert(cx, &(list.id, index), &Bytes(element))?;
        }
        self.put_container(cx, key, list, expires_at)?;
        reply.integer(list.length);
        Ok(())
    }

    pub(super) fn pop(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        end: End,
        name: &'static str,
        reply: &mut Reply,
    ) -> Done {
        if arguments.len() > 3 {
            return Err(Refusal::Arity(name));
        }
        let count = arguments.get(2).map(positive).transpose()?;
        let key = &arguments[1];
        let Some((mut list, expires_at)) = self.container(cx, key, Kind::List)? else {
            if count.is_some() {
                reply.null_array()
            } else {
                reply.null()
            }
            return Ok(());
        };
        let taken = count.unwrap_or(1).min(list.length);
        if count.is_some() {
            reply.array(usize::try_from(taken).unwrap_or_default());
        }
        for _ in 0..taken {
            let index = match end {
                End::Left => list.head,
                End::Right => list.head + list.length - 1,
            };
            list.length -= 1;
            list.head += i64::from(end == End::Left);
            let element = self
                .tables
                .elements
                .take_with(cx, &(list.id, index), |element| {
                    binary(element).map(|bytes| reply.bulk(bytes))
                })?;
            element.flatten().ok_or(Refusal::Damaged)?;
        }
        if taken > 0 {
            self.put_container(cx, key, list, expires_at)?;
        }
        Ok(())
    }

    pub(super) async fn lrange(
        &mut self,
        cx: &mut Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let start = parse_i64(&arguments[2]).ok_or(Refusal::NotAnInteger)?;
        let stop = parse_i64(&arguments[3]).ok_or(Refusal::NotAnInteger)?;
        let Some((list, _)) = self.container(cx, &arguments[1], Kind::List)? else {
            reply.array(0);
            return Ok(());
        };
        let from_end = |index: i64| {
            if index < 0 {
                index.saturating_add(list.length)
            } else {
                index
            }
        };
        let start = from_end(start).max(0);
        let end = from_end(stop).min(list.length - 1) + 1;
        if start >= end {
            reply.array(0);
            return Ok(());
        }
        reply.array(usize::try_from(end - start).unwrap_or_default());
        let range = list.head + start..list.head + end;
        self.each_indexed(cx, list.id, range, reply, |element, reply| {
            reply.bulk(binary(element).unwrap_or_default());
        })
        .await
    }
}

/// A count of elements.
pub(super) fn positive(text: &[u8]) -> Result<i64, Refusal> {
    parse_i64(text)
        .filter(|count| *count >= 0)
        .ok_or(Refusal::NotPositive)
}
