//! DEL, EXISTS, KEYS, DBSIZE, FLUSHALL.

use otp_vm::Context;

use super::{Done, Meta, Store};
use crate::kv::entry::{Bytes, Entry};
use crate::kv::glob;
use crate::kv::resp::{Arguments, Refusal, Reply};

/// Keys that are looked at before the store gives way.
const KEYS_PER_STEP: usize = 256;

impl Store {
    pub(super) fn del(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        if arguments.len() == 2 {
            let removed = self.remove(cx, &arguments[1])?;
            reply.flag(removed);
            return Ok(());
        }
        let mut removed = Vec::new();
        self.tables
            .data
            .delete_many(cx, arguments.from(1).map(Bytes), |key, old| {
                if let Some(key) = key.as_binary() {
                    removed.push((key.to_vec(), Entry::read(old).map(Meta::of)));
                }
            })?;
        let mut count = 0;
        for (key, old) in removed {
            count +=
                usize::from(old.is_none_or(|old| old.expires_at == 0 || old.expires_at > self.now));
            self.settle(cx, &key, old, None)?;
        }
        reply.count(count);
        Ok(())
    }

    pub(super) fn exists(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let mut count = 0;
        for key in arguments.from(1) {
            count += usize::from(self.look(cx, key, |_| ())?.is_some());
        }
        reply.count(count);
        Ok(())
    }

    pub(super) async fn keys(
        &self,
        cx: &mut Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let pattern = &arguments[1];
        let mut found = Reply::new();
        let mut count = 0;
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            cursor = self
                .tables
                .data
                .scan_with(cx, from, KEYS_PER_STEP, |key, value| {
                    let live = Entry::read(value).is_some_and(|entry| !entry.is_expired(self.now));
                    if let Some(key) = key.as_binary()
                        && live
                        && glob::matches(pattern, key)
                    {
                        found.bulk(key);
                        count += 1;
                    }
                })?;
            self.fits(&found)?;
            cx.tick(1).await;
        }
        reply.array(count);
        reply.raw(found.as_bytes());
        Ok(())
    }

    pub(super) fn dbsize(&self, reply: &mut Reply) -> Done {
        reply.count(self.tables.data.len());
        Ok(())
    }

    /// The keys are gone at one instant, whatever their number; the memory is freed by and by.
    pub(super) fn flushall(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        match arguments.get(1) {
            None => {}
            Some(how)
                if arguments.len() == 2
                    && (how.eq_ignore_ascii_case(b"async")
                        || how.eq_ignore_ascii_case(b"sync")) => {}
            Some(_) => return Err(Refusal::Syntax),
        }
        let mut discarded = Vec::new();
        // The keys first: an element without a key is nobody's, a key without its elements would be wrong.
        for table in [
            &self.tables.data,
            &self.tables.elements,
            &self.tables.expiry,
            &self.tables.graveyard,
        ] {
            discarded.push(table.clear(cx)?);
        }
        for rows in discarded {
            self.discard(cx, rows);
        }
        reply.ok();
        Ok(())
    }
}
