//! What the store puts off, done in steps of bounded size: between batches, and before commands that add rows.
//!
//! The second bounds what is put off. However fast clients fill containers and delete them, rows come in only as rows
//! that are to go leave, so that the dead never take more room than the living did.

use std::ops::Bound;

use otp_vm::{Context, Discarded, TableError};

use super::{Info, Store};
use crate::kv::entry::{Bytes, Container, Kind, Part};
use crate::kv::resp::Refusal;

/// Rows that one step removes. Some 100 us of work: what a batch of the store's clients takes.
const ROWS_PER_STEP: usize = 256;

/// Containers of so many rows are removed at once: that costs less than to remember them.
const ROWS_AT_ONCE: i64 = 32;

/// Rows that a command adds for each of its arguments at most: a set has two for each member.
const ROWS_PER_ARGUMENT: usize = 2;

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Chores {
    /// Expired keys are to be deleted.
    pub(super) sweep: bool,
    /// Rows of tables that were emptied. If the store dies before it freed them all, the rest is freed with it.
    discarded: Vec<Discarded>,
    /// A message that asks for a step is on its way.
    asked: bool,
}

impl Store {
    /// Sees to it that a step is done behind what is in the mailbox now.
    pub(super) fn want_chores(&mut self, cx: &Context) {
        if !self.chores.asked {
            // Only a message that does not serialise is refused.
            self.chores.asked = cx.send(cx.pid(), &Info::Chores).is_ok();
        }
    }

    /// Leaves a container's rows to be removed. At once when they are few, else O(log n).
    pub(super) fn bury(&mut self, cx: &Context, container: Container) -> Result<(), Refusal> {
        let rows = match container.kind {
            Kind::Set => container.length.saturating_mul(2),
            _ => container.length,
        };
        if rows <= ROWS_AT_ONCE {
            self.remove_elements(cx, container.id, ROWS_AT_ONCE as usize)?;
        } else {
            self.tables.graveyard.insert(cx, &container.id, &())?;
            self.want_chores(cx);
        }
        Ok(())
    }

    /// Leaves the rows of a table that was emptied to be freed. At once when they are few.
    pub(super) fn discard(&mut self, cx: &Context, mut rows: Discarded) {
        if rows.free(ROWS_AT_ONCE as usize) {
            self.chores.discarded.push(rows);
            self.want_chores(cx);
        }
    }

    /// One step of each thing to do; asks for another while anything is left.
    pub(super) fn do_chores(&mut self, cx: &Context) -> Result<(), TableError> {
        self.chores.asked = false;
        self.now = crate::kv::clock::now_ms();
        if self.step(cx, ROWS_PER_STEP)? {
            self.want_chores(cx);
        }
        Ok(())
    }

    /// Removes as many of the rows that are to go as a command will add at most.
    pub(super) fn make_room(&mut self, cx: &Context, arguments: usize) -> Result<(), TableError> {
        if self.chores.asked {
            self.step(cx, arguments * ROWS_PER_ARGUMENT)?;
        }
        Ok(())
    }

    /// Up to `limit` rows of each thing to do; true while anything is left.
    fn step(&mut self, cx: &Context, limit: usize) -> Result<bool, TableError> {
        let graves_left = self.clear_graves(cx, limit)?;
        let expired_left = self.sweep(cx, limit)?;
        let discarded_left = self.free_discarded(limit);
        Ok(graves_left || expired_left || discarded_left)
    }

    fn remove_elements(
        &mut self,
        cx: &Context,
        id: i64,
        limit: usize,
    ) -> Result<usize, TableError> {
        let from = (id, Part::FIRST);
        let to = (id + 1, Part::FIRST);
        self.tables
            .elements
            .delete_range(cx, Bound::Included(&from), Bound::Excluded(&to), limit)
    }

    fn clear_graves(&mut self, cx: &Context, limit: usize) -> Result<bool, TableError> {
        let mut left = limit;
        while left > 0 {
            let Some(id) = self.tables.graveyard.first::<i64>(cx)? else {
                return Ok(false);
            };
            let removed = self.remove_elements(cx, id, left)?;
            if removed < left {
                self.tables.graveyard.delete(cx, &id)?;
            }
            // A grave that is empty already costs as well.
            left -= removed.max(1);
        }
        Ok(true)
    }

    fn sweep(&mut self, cx: &Context, limit: usize) -> Result<bool, TableError> {
        if !self.chores.sweep {
            return Ok(false);
        }
        let mut expired: Vec<Vec<u8>> = Vec::new();
        let to = (self.now + 1, Part::FIRST);
        self.tables.expiry.range_with(
            cx,
            Bound::Unbounded,
            Bound::Excluded(&to),
            limit,
            |row, _| {
                let key = row
                    .as_tuple()
                    .and_then(|row| row.get(1))
                    .and_then(|key| key.as_binary());
                expired.extend(key.map(<[u8]>::to_vec));
                Ok(())
            },
        )?;
        for key in &expired {
            self.delete_expired(cx, key)?;
        }
        self.chores.sweep = expired.len() == limit;
        Ok(self.chores.sweep)
    }

    fn delete_expired(&mut self, cx: &Context, key: &[u8]) -> Result<(), TableError> {
        match self.look(cx, key, |_| ()) {
            // Looking deletes what has expired. A row that is damaged goes too: nobody can say when it would end.
            Ok(_) => Ok(()),
            Err(Refusal::Table(error)) => Err(error),
            Err(_) => self.tables.data.delete(cx, &Bytes(key)).map(drop),
        }
    }

    fn free_discarded(&mut self, limit: usize) -> bool {
        if let Some(rows) = self.chores.discarded.last_mut()
            && !rows.free(limit)
        {
            self.chores.discarded.pop();
        }
        !self.chores.discarded.is_empty()
    }
}
