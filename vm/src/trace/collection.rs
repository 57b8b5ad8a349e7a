//! Collections of heaps, as they are traced: `gc_major_start` and `gc_major_end`.

use otp_heap::{Heap, Pid};
use serde::Serialize;

use super::event::Event;
use crate::core::Core;
use crate::message_queue::MessageQueueData;
use crate::process::memory::{HeapFigures, WORD_BYTES, mailbox_bytes};

/// What the information about a collection names, of OTP's list: what there is here. In words.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CollectionItem {
    /// What the collection has reclaimed; 0 as it begins.
    Wordsize,
    HeapBlockSize,
    MbufSize,
    HeapSize,
    BinVheapSize,
}

/// Tells of a collection of a heap that is in hand: that it begins, or what it has reclaimed.
pub(crate) fn collection(core: &Core, pid: Pid, heap: &Heap, reclaimed: Option<usize>) {
    if core.with_process(pid, |process| process.is_traced()) != Some(true) {
        return;
    }
    core.with_state(pid, |state| {
        let figures = HeapFigures::of(heap);
        let mailbox = match state.message_queue_data {
            MessageQueueData::OnHeap => mailbox_bytes(state).div_ceil(WORD_BYTES),
            MessageQueueData::OffHeap => 0,
        };
        let info = [
            (CollectionItem::Wordsize, reclaimed.unwrap_or(0)),
            (
                CollectionItem::HeapBlockSize,
                figures.block_bytes.div_ceil(WORD_BYTES),
            ),
            (CollectionItem::MbufSize, mailbox),
            (CollectionItem::HeapSize, figures.words),
            (
                CollectionItem::BinVheapSize,
                figures.binary_bytes.div_ceil(WORD_BYTES),
            ),
        ];
        let event = match reclaimed {
            None => Event::CollectionBegins(&info),
            Some(_) => Event::CollectionEnds(&info),
        };
        state.trace(core, pid, event);
    });
}
