//! The table of slots, by index.
//!
//! # Protocol
//! 1. `allocate` hands a vacant slot to one spawner, with the serial of its next incarnation.
//! 2. Whoever holds a pid looks its slot up and compares the serial. What it does then may come late, to another
//!    incarnation: `strays.rs` tells why that is no harm.
//! 3. A dying process clears the serial (look-ups fail) and closes its mailbox (pushes by those who looked before
//!    fail), and gives the slot back. It has a rest among the other vacant ones, and may then hold a new incarnation.
//! 4. A slot has each serial once. When it has had all, it stays vacant.

use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use otp_heap::{Atom, Pid};
use otp_scheduler::lock::Mutex;
use otp_scheduler::uncounted;

use super::Process;
use super::listing::Notes;
use crate::core::Core;

/// Slots in a chunk: 256 control blocks are some 96 KiB, one call to the allocator.
const CHUNK_SLOTS: usize = 256;

/// Slots beyond twice the limit: for processes that are counted out and not through yet, and in place of slots that
/// have had all serials.
const SPARE_SLOTS: usize = 1 << 16;

/// A slot is used again when so many others are vacant; in a simulation at once. With none at rest, processes that come
/// and go one by one would use up the serials of one slot in half an hour, and late wakes would find the next process
/// more often. More would fall out of the caches: this many control blocks are 48 KiB. Chosen by feel.
/// Few in this crate's own tests.
const SLOTS_AT_REST: usize = if cfg!(test) { 2 } else { 128 };

/// Most processes that a VM may be built for: the index of a pid has 28 bits. OTP's own limit.
pub const MAX_PROCESSES: usize = 1 << 27;

/// Slots that pids can tell apart.
const INDEXES: usize = 1 << 28;

type Chunk = [Process; CHUNK_SLOTS];

/// One of those that leave, in the count of slots in use.
const LEAVING: u64 = 1 << 32;

/// All slots of a VM.
#[derive(Debug)]
pub(crate) struct ProcessTable {
    chunks: Box<[AtomicPtr<Chunk>]>,
    /// Slots below it have been handed out at least once.
    fresh: AtomicU32,
    /// Lists of processes under way: `listing`.
    pub(super) listings: AtomicU32,
    pub(super) vacancies: Mutex<Vacancies>,
    /// Slots in use, and in units of [`LEAVING`] those of them whose process is about to tell of its end.
    in_use: AtomicU64,
    limit: usize,
    slots_at_rest: usize,
    /// How many found no room.
    pub(crate) refused: AtomicU64,
    first_serial: u32,
}

/// Who may come into which slot.
#[derive(Debug, Default)]
pub(super) struct Vacancies {
    free: VecDeque<Vacancy>,
    pub(super) notes: Notes,
}

/// A slot that had an incarnation, and the serial of its next.
#[derive(Debug, Clone, Copy)]
struct Vacancy {
    index: u32,
    serial: u32,
}

impl ProcessTable {
    /// Room for `limit` processes. Serials start at `first_serial`, so that the pids of two VMs
    /// in one program differ.
    pub(crate) fn new(limit: usize, first_serial: u32, is_simulated: bool) -> Self {
        let slots = (limit.min(MAX_PROCESSES) * 2 + SPARE_SLOTS).min(INDEXES);
        let chunks = slots.div_ceil(CHUNK_SLOTS);
        Self {
            chunks: (0..chunks)
                .map(|_| AtomicPtr::new(ptr::null_mut()))
                .collect(),
            fresh: AtomicU32::new(0),
            listings: AtomicU32::new(0),
            vacancies: Mutex::default(),
            in_use: AtomicU64::new(0),
            limit,
            slots_at_rest: if is_simulated { 0 } else { SLOTS_AT_REST },
            refused: AtomicU64::new(0),
            first_serial: first_serial.max(1),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Slots in use: processes that are alive or exiting, to the last of what they do.
    pub(crate) fn live(&self) -> usize {
        // SeqCst here and where it changes: counts and flags of the shut-down are read crosswise.
        (self.in_use.load(Ordering::SeqCst) % LEAVING) as usize
    }

    /// Processes: without those that have left the indexes, and now tell of their ends. So who hears of one finds the
    /// count, and the room under the limit, without it.
    pub(crate) fn count(&self) -> usize {
        count_of(self.in_use.load(Ordering::SeqCst))
    }

    /// What a control block takes.
    pub(crate) const BYTES_PER_PROCESS: usize = size_of::<Process>();

    /// Bytes of all control blocks, vacant ones included.
    pub(crate) fn bytes(&self) -> usize {
        let chunks = (self.slots_used() as usize).div_ceil(CHUNK_SLOTS);
        chunks * size_of::<Chunk>() + size_of_val(&*self.chunks)
    }

    /// A slot for a new process and its serial; None at the limit.
    pub(crate) fn allocate(&self, core: &Core) -> Option<(&Process, u32)> {
        if count_of(self.in_use.fetch_add(1, Ordering::SeqCst)) >= self.limit {
            self.count_out();
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let mut vacancies = self.vacancies.lock();
        if vacancies.free.len() > self.slots_at_rest
            && let Some(vacancy) = vacancies.free.pop_front()
        {
            let pid = Pid::from_parts(vacancy.index, vacancy.serial);
            vacancies.notes.made(pid);
            drop(vacancies);
            let slot = self
                .slot(vacancy.index)
                .expect("a vacancy lies in the table");
            return Some((slot, vacancy.serial));
        }
        // Still under the lock: chunks are made by one thread at a time.
        let index = self.fresh.load(Ordering::Relaxed);
        let chunk = index as usize / CHUNK_SLOTS;
        let Some(pointer) = self.chunks.get(chunk) else {
            self.count_out();
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if pointer.load(Ordering::Relaxed).is_null() {
            let first = (chunk * CHUNK_SLOTS) as u32;
            // Not the memory of the process that happens to come by.
            let chunk: Box<Chunk> = uncounted(|| {
                let slots: Vec<Process> = (0..CHUNK_SLOTS as u32)
                    // SAFETY: the core owns this table and so outlives the slot.
                    .map(|offset| unsafe { Process::vacant(core, first + offset) })
                    .collect();
                slots.try_into().expect("as many slots as a chunk has")
            });
            pointer.store(Box::into_raw(chunk), Ordering::Release);
        }
        // Lists that began before don't come here: nobody need note it.
        self.fresh.store(index + 1, Ordering::Release);
        drop(vacancies);
        let slot = self.slot(index).expect("its chunk was made above");
        Some((slot, self.first_serial))
    }

    /// Gives the slot back that `pid` was in.
    pub(crate) fn release(&self, pid: Pid) {
        let (index, serial) = (pid.index(), pid.serial().wrapping_add(1).max(1));
        if serial != self.first_serial {
            let mut vacancies = self.vacancies.lock();
            uncounted(|| vacancies.free.push_back(Vacancy { index, serial }));
        }
    }

    /// Counts a process out.
    pub(crate) fn count_out(&self) {
        self.in_use.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts a process out that is about to tell of its end; its slot is in use until [`Self::count_left`].
    pub(crate) fn count_leaving(&self) {
        self.in_use.fetch_add(LEAVING, Ordering::SeqCst);
    }

    /// Such a process is through.
    pub(crate) fn count_left(&self) {
        self.in_use.fetch_sub(LEAVING + 1, Ordering::SeqCst);
    }

    pub(crate) fn slot(&self, index: u32) -> Option<&Process> {
        let chunk = self
            .chunks
            .get(index as usize / CHUNK_SLOTS)?
            .load(Ordering::Acquire);
        // SAFETY: chunks are made once and live as long as the table.
        unsafe { chunk.as_ref() }.map(|slots| &slots[index as usize % CHUNK_SLOTS])
    }

    /// The slot of a live process. It is that for this moment only, unless the caller runs as `pid`, or has the slot's
    /// lock.
    pub(crate) fn get(&self, pid: Pid) -> Option<&Process> {
        let slot = self.slot(pid.index())?;
        (pid.serial() != 0 && slot.is(pid)).then_some(slot)
    }

    /// As many slots, from the first on, were handed out at least once.
    pub(super) fn slots_used(&self) -> u32 {
        self.fresh.load(Ordering::Acquire)
    }

    /// The pids of all live processes, by index; those that are ending, too.
    pub(crate) fn pids(&self) -> impl Iterator<Item = Pid> + '_ {
        (0..self.slots_used()).filter_map(|index| self.slot(index)?.pid())
    }
}

fn count_of(in_use: u64) -> usize {
    (in_use % LEAVING - in_use / LEAVING) as usize
}

/// A process that is left at the end of its VM.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) pid: Pid,
    pub(crate) label: Option<Atom>,
    /// The kernel's id of the thread that is bound to it.
    pub(crate) thread: Option<i32>,
}

impl ProcessTable {
    /// All that are there: also those that were ended, but whose code runs on.
    pub(crate) fn left(&self) -> Vec<Left> {
        let slots = (0..self.slots_used()).filter_map(|index| self.slot(index));
        slots
            .filter_map(|slot| {
                Some(Left {
                    pid: slot.pid().or_else(|| slot.ended_pid())?,
                    label: slot.lock().label.get(),
                    thread: slot.bound_thread(),
                })
            })
            .collect()
    }
}

impl Drop for ProcessTable {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            let chunk = chunk.load(Ordering::Relaxed);
            if !chunk.is_null() {
                // SAFETY: made by `Box::into_raw` above; nobody else is left.
                drop(unsafe { Box::from_raw(chunk) });
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_each_serial_once() {
        let table = ProcessTable::new(1, 5, true);
        let next_after = |serial| {
            table.release(Pid::from_parts(0, serial));
            let vacancy = table.vacancies.lock().free.pop_back();
            vacancy.map(|vacancy| vacancy.serial)
        };
        assert_eq!(next_after(5), Some(6));
        assert_eq!(next_after(u32::MAX), Some(1), "0 is nobody's");
        assert_eq!(next_after(4), None, "it has had all");
    }
}
