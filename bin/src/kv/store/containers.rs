//! What lists, sets and hashes share.

use std::ops::Bound;

use otp_vm::{Context, Term};

use super::{Done, Store};
use crate::kv::entry::{Container, Entry, Kind, Value};
use crate::kv::resp::{Refusal, Reply};

/// Elements that are read before the store gives way.
const ELEMENTS_PER_STEP: usize = 256;

impl Store {
    /// A container and when it expires, if the key is there.
    pub(super) fn container(
        &mut self,
        cx: &Context,
        key: &[u8],
        kind: Kind,
    ) -> Result<Option<(Container, i64)>, Refusal> {
        let found = self.look(cx, key, |entry| match entry.value {
            Value::Container(container) if container.kind == kind => {
                Ok((container, entry.expires_at))
            }
            _ => Err(Refusal::WrongType),
        })?;
        found.transpose()
    }

    /// The container of the key, or a new and empty one, which is nowhere yet.
    pub(super) fn container_or_new(
        &mut self,
        cx: &Context,
        key: &[u8],
        kind: Kind,
    ) -> Result<(Container, i64), Refusal> {
        if let Some(found) = self.container(cx, key, kind)? {
            return Ok(found);
        }
        let id = self.tables.meta.update_counter(cx, "next_id", 1, Some(0))?;
        Ok((
            Container {
                kind,
                id,
                head: 0,
                length: 0,
            },
            0,
        ))
    }

    /// Writes a container's row back after its elements changed; without elements there is no key.
    pub(super) fn put_container(
        &mut self,
        cx: &Context,
        key: &[u8],
        container: Container,
        expires_at: i64,
    ) -> Done {
        if container.length == 0 {
            self.remove_emptied(cx, key, expires_at)
        } else {
            self.put(
                cx,
                key,
                Entry {
                    expires_at,
                    value: Value::Container(container),
                },
            )
        }
    }

    /// Looks at the elements whose second key part lies in a range of numbers, giving way between steps.
    pub(super) async fn each_indexed(
        &self,
        cx: &mut Context,
        id: i64,
        range: std::ops::Range<i64>,
        reply: &mut Reply,
        mut look: impl FnMut(Term<'_>, &mut Reply),
    ) -> Done {
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min(from.saturating_add(ELEMENTS_PER_STEP as i64));
            self.tables.elements.range_with(
                cx,
                Bound::Included(&(id, from)),
                Bound::Excluded(&(id, to)),
                ELEMENTS_PER_STEP,
                |_, value| {
                    look(value, reply);
                    Ok(())
                },
            )?;
            self.fits(reply)?;
            from = to;
            cx.tick(1).await;
        }
        Ok(())
    }

    /// Refuses a reply of many elements that is over the limit. One that tells what was written is never refused, nor
    /// is one value, which has a limit of its own.
    pub(super) fn fits(&self, reply: &Reply) -> Done {
        if reply.len() > self.reply_end {
            Err(Refusal::ReplyTooBig)
        } else {
            Ok(())
        }
    }
}
