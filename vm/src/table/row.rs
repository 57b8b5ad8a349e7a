//! One row: the term `{Key, Value}` in one counted, immutable block.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use otp_heap::{Block, Term, View, to_block};
use serde::Serialize;

use super::TableError;

/// The count of a row's holders; the table is one of them.
#[derive(Debug)]
struct RowHeader {
    holders: AtomicUsize,
}

/// A shared row. Cloning counts, dropping the last one frees the block.
///
/// A block has one owner and no count of its own, so several `Row`s hold bitwise copies of the same `Block`
/// handle; the count in its header says how many, and only the last one drops it.
pub(super) struct Row(ManuallyDrop<Block<RowHeader>>);

impl Row {
    /// Serialises `{key, value}` into one block. Runs user code, so never under a lock.
    pub(super) fn new<K, V>(key: &K, value: &V) -> Result<Row, TableError>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        let block = to_block(
            RowHeader {
                holders: AtomicUsize::new(1),
            },
            &(key, value),
        )?;
        if block.has_natives() {
            return Err(TableError::Native);
        }
        Ok(Row(ManuallyDrop::new(block)))
    }

    pub(super) fn key(&self) -> Term<'_> {
        self.element(0)
    }

    pub(super) fn value(&self) -> Term<'_> {
        self.element(1)
    }

    /// Bytes of the row's allocation; shared binaries count at their own place, not here.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn element(&self, index: usize) -> Term<'_> {
        let View::Tuple(row) = self.0.root().view() else {
            unreachable!("a row is made as a pair")
        };
        row.get(index).expect("a row is made as a pair")
    }
}

impl Clone for Row {
    fn clone(&self) -> Row {
        // Relaxed suffices: whoever clones holds a count already, so the block cannot go away meanwhile.
        self.0.header().holders.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the copy is a second handle to the same block. It is wrapped in `ManuallyDrop` like the first,
        // was counted above, and nobody gets a mutable reference or the block itself out of a `Row` before the
        // count says that it is the last (see `drop`).
        Row(unsafe { std::ptr::read(&self.0) })
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if self.0.header().holders.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // Pairs with the release above: what other holders read of the block happened before it is freed.
        fence(Ordering::Acquire);
        // SAFETY: the count was one, so this handle is the last to the block and no reference into it is left
        // (they borrow from a `Row`); `self.0` is not used again.
        unsafe { ManuallyDrop::drop(&mut self.0) }
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.root())
    }
}
