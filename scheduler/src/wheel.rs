//! A hierarchical timing wheel: start and cancel in constant time, whatever the number of timers.
//!
//! Time is cut into ticks of 32.8 us. Level 0 has a slot for each of the next ticks, each level above it slots 64
//! times as wide. A timer lies at the level of the highest digit (base 64) in which its tick differs from the
//! wheel's own; so all timers of a level are due before all of the levels above it, and the earliest slot is found
//! by two bit scans. As the wheel's time reaches a slot of a higher level, its timers move down. Nine levels span
//! all of 64 bits: there is no horizon to handle.
//!
//! A timer keeps its exact deadline and each slot the earliest of its own, so no timer fires before its deadline,
//! and the next deadline is known exactly. After a cancel a slot's earliest may be too early: that costs one look.

use slab::Slab;

/// Width of the finest slot as a power of two of nanoseconds: 2^15 ns. Fine enough that few timers share a slot, so
/// wide that the first 64 slots cover 2 ms, the usual distance of a short timer.
const TICK_BITS: u32 = 15;
/// Slots of a level as a power of two: one machine word of occupancy bits.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Levels enough for the 49 bits of any tick.
const LEVELS: usize = 9;
/// The end of a list.
const NONE: u32 = u32::MAX;

/// Timers in a wheel at once. An index has 32 bits and one value means none; at 48 bytes each the machine's memory
/// ends earlier.
pub(crate) const MAX_TIMERS: usize = NONE as usize - 1;

#[derive(Debug)]
struct Entry<T> {
    at: u64,
    value: T,
    next: u32,
    previous: u32,
    generation: u32,
    level: u8,
    slot: u8,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    head: u32,
    tail: u32,
    /// No entry of the slot is due before it.
    earliest: u64,
}

const EMPTY: Slot = Slot {
    head: NONE,
    tail: NONE,
    earliest: u64::MAX,
};

/// Where a timer lies in its wheel. The generation tells it from later timers at the same index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EntryKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl EntryKey {
    /// Finds nothing in any wheel.
    pub(crate) const NOTHING: EntryKey = EntryKey {
        index: NONE,
        generation: 0,
    };
}

#[derive(Debug)]
pub(crate) struct Wheel<T> {
    entries: Slab<Entry<T>>,
    slots: [[Slot; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    /// The wheel's own time in ticks; all entries' ticks are the same or later (those started late are put here).
    elapsed: u64,
    generation: u32,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Wheel<T> {
        Wheel {
            entries: Slab::new(),
            slots: [[EMPTY; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            elapsed: 0,
            generation: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn insert(&mut self, at: u64, value: T) -> EntryKey {
        assert!(
            self.entries.len() < MAX_TIMERS,
            "too many timers in one wheel ({MAX_TIMERS}); cancel some first"
        );
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = self.entries.insert(Entry {
            at,
            value,
            next: NONE,
            previous: NONE,
            generation,
            level: 0,
            slot: 0,
        }) as u32;
        self.link(index);
        EntryKey { index, generation }
    }

    /// The deadline of a timer that is still there.
    pub(crate) fn deadline(&self, key: EntryKey) -> Option<u64> {
        let entry = self.entries.get(key.index as usize)?;
        (entry.generation == key.generation).then_some(entry.at)
    }

    pub(crate) fn remove(&mut self, key: EntryKey) -> Option<(u64, T)> {
        self.deadline(key)?;
        self.unlink(key.index);
        let entry = self.entries.remove(key.index as usize);
        Some((entry.at, entry.value))
    }

    /// No timer is due before it; `u64::MAX` without timers.
    pub(crate) fn next_deadline(&self) -> u64 {
        self.first()
            .map_or(u64::MAX, |(level, slot)| self.slots[level][slot].earliest)
    }

    /// Moves timers due at `now` to the end of `due`, in order of their deadlines (the same deadline: as started).
    ///
    /// It ends after the slot in which `due` passed `limit`; true if there may be more.
    pub(crate) fn take_due(&mut self, now: u64, due: &mut Vec<(u64, T)>, limit: usize) -> bool {
        let now_tick = now >> TICK_BITS;
        while let Some((level, slot)) = self.first() {
            let start = self.slot_start(level, slot);
            if start > now_tick {
                break;
            }
            if level > 0 {
                self.elapsed = start;
                self.move_down(level, slot);
                continue;
            }
            self.elapsed = start;
            if self.slots[0][slot].earliest > now {
                // Part of the present tick is still to come; all other slots are later.
                break;
            }
            self.take_from_slot(slot, now, due);
            if due.len() >= limit {
                return self.next_deadline() <= now;
            }
        }
        false
    }

    /// Takes everything, in no order; for the end of the scheduler.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        let entries = std::mem::take(&mut self.entries);
        self.slots = [[EMPTY; SLOTS]; LEVELS];
        self.occupied = [0; LEVELS];
        entries.into_iter().map(|(_, entry)| entry.value).collect()
    }

    /// The earliest slot in use.
    fn first(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// The first tick of a slot in use: the wheel's digits above the level, the slot's at it, noughts below.
    fn slot_start(&self, level: usize, slot: usize) -> u64 {
        let shift = SLOT_BITS * level as u32;
        let above = self
            .elapsed
            .checked_shr(shift + SLOT_BITS)
            .map_or(0, |digits| digits << (shift + SLOT_BITS));
        above | (slot as u64) << shift
    }

    fn link(&mut self, index: u32) {
        let at = self.entries[index as usize].at;
        let tick = (at >> TICK_BITS).max(self.elapsed);
        let differing = (tick ^ self.elapsed) | (SLOTS as u64 - 1);
        let level = ((u64::BITS - 1 - differing.leading_zeros()) / SLOT_BITS) as usize;
        let slot = (tick >> (SLOT_BITS * level as u32)) as usize & (SLOTS - 1);

        let list = &mut self.slots[level][slot];
        let tail = list.tail;
        list.tail = index;
        list.earliest = list.earliest.min(at);
        if tail == NONE {
            list.head = index;
            self.occupied[level] |= 1 << slot;
        } else {
            self.entries[tail as usize].next = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.previous = tail;
        entry.next = NONE;
        entry.level = level as u8;
        entry.slot = slot as u8;
    }

    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (next, previous) = (entry.next, entry.previous);
        let (level, slot) = (usize::from(entry.level), usize::from(entry.slot));
        if previous == NONE {
            self.slots[level][slot].head = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        if next == NONE {
            self.slots[level][slot].tail = previous;
        } else {
            self.entries[next as usize].previous = previous;
        }
        if self.slots[level][slot].head == NONE {
            self.slots[level][slot] = EMPTY;
            self.occupied[level] &= !(1 << slot);
        }
    }

    fn take_list(&mut self, level: usize, slot: usize) -> u32 {
        let head = self.slots[level][slot].head;
        self.slots[level][slot] = EMPTY;
        self.occupied[level] &= !(1 << slot);
        head
    }

    fn move_down(&mut self, level: usize, slot: usize) {
        let mut index = self.take_list(level, slot);
        while index != NONE {
            let next = self.entries[index as usize].next;
            self.link(index);
            index = next;
        }
    }

    fn take_from_slot(&mut self, slot: usize, now: u64, due: &mut Vec<(u64, T)>) {
        let first = due.len();
        let mut index = self.take_list(0, slot);
        while index != NONE {
            let entry = &self.entries[index as usize];
            let next = entry.next;
            if entry.at <= now {
                let entry = self.entries.remove(index as usize);
                due.push((entry.at, entry.value));
            } else {
                self.link(index);
            }
            index = next;
        }
        // Stable, so that timers with the same deadline keep the order in which they were started.
        due[first..].sort_by_key(|&(at, _)| at);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Action {
        Start(u64),
        Cancel(usize),
        Advance(u64),
    }

    fn distance() -> impl Strategy<Value = u64> {
        // As many near timers as far ones: each number of bits is as likely.
        (0u32..64).prop_flat_map(|bits| 0..=(u64::MAX >> (63 - bits)))
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            3 => distance().prop_map(Action::Start),
            1 => any::<usize>().prop_map(Action::Cancel),
            2 => (0u32..44).prop_flat_map(|bits| 0..=(1u64 << bits)).prop_map(Action::Advance),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_map(actions in proptest::collection::vec(action(), 1..200)) {
            let mut wheel = Wheel::new();
            let mut model: BTreeMap<(u64, usize), EntryKey> = BTreeMap::new();
            let mut now = 0u64;
            for (id, action) in actions.into_iter().enumerate() {
                match action {
                    Action::Start(distance) => {
                        let at = now.saturating_add(distance);
                        model.insert((at, id), wheel.insert(at, id));
                    }
                    Action::Cancel(which) if !model.is_empty() => {
                        let (&(at, id), &key) = model.iter().nth(which % model.len()).unwrap();
                        prop_assert_eq!(wheel.deadline(key), Some(at));
                        prop_assert_eq!(wheel.remove(key), Some((at, id)));
                        prop_assert_eq!(wheel.remove(key), None);
                        model.remove(&(at, id));
                    }
                    Action::Cancel(_) => {}
                    Action::Advance(by) => {
                        now = now.saturating_add(by);
                        let mut due = Vec::new();
                        while wheel.take_due(now, &mut due, 2) {}
                        let later = model.split_off(&(now.saturating_add(1), 0));
                        let expected: Vec<_> = std::mem::replace(&mut model, later)
                            .into_keys()
                            .collect();
                        prop_assert_eq!(due, expected);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                let earliest = model.keys().next().map_or(u64::MAX, |&(at, _)| at);
                prop_assert!(wheel.next_deadline() <= earliest);
            }
        }
    }

    #[test]
    fn the_next_deadline_is_exact_without_cancels() {
        let mut wheel = Wheel::new();
        let mut earliest = u64::MAX;
        for at in [
            u64::MAX,
            1 << 50,
            90_000_001,
            90_000_000,
            90_000_002,
            40_000,
            3,
        ] {
            wheel.insert(at, ());
            earliest = earliest.min(at);
            assert_eq!(wheel.next_deadline(), earliest);
        }
    }

    #[test]
    fn a_key_of_a_fired_timer_finds_nothing() {
        let mut wheel = Wheel::new();
        let old = wheel.insert(5, 'a');
        let mut due = Vec::new();
        assert!(!wheel.take_due(5, &mut due, usize::MAX));
        assert_eq!(due, [(5, 'a')]);
        let new = wheel.insert(9, 'b');
        assert_eq!(new.index, old.index);
        assert_eq!(wheel.remove(old), None);
        assert_eq!(wheel.remove(new), Some((9, 'b')));
    }
}
