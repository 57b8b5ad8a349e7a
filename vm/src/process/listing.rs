//! The processes of one moment, while all go on.
//!
//! # Protocol
//! 1. Who lists counts itself in under the lock of the vacancies. That is the *moment* of its list.
//! 2. It looks at each slot that was handed out by then, without a lock.
//! 3. Meanwhile a process that is made is noted, in the hold in which it gets its slot; and one whose end begins is
//!    noted before anything shows that it has.
//! 4. Under the lock again it takes what was noted, and counts itself out. The list is who was seen, less those made
//!    after the moment, and with those whose end began after it.
//!
//! While nobody lists, an end costs a look at a count that nobody changes, and a start a look at a field next to the
//! vacancies.
//!
//! Races considered:
//! - *A start under way at the moment.* It had its slot before, and is seen or not. What follows from the start comes
//!   after the moment, so either is right.
//! - *An end under way at the moment.* It looked for listings before, and is not noted; it is seen as alive or not.
//!   What follows from the end comes after the moment: whoever ends because of it is noted, and so in the list.
//! - *It is noted and still seen alive*: it is in the list once.
//! - *Lists that overlap*: what was noted stays until all that began before it are done.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;

use foldhash::fast::FixedState;
use otp_heap::Pid;
use otp_scheduler::{checkpoint, tick, uncounted};

use super::Attention;
use super::table::ProcessTable;
use crate::vm::Vm;

/// So many slots are looked at between two checkpoints, and for a reduction. Some 3 ns each.
const SLOTS_PER_CHECKPOINT: u32 = 1024;
const SLOTS_PER_REDUCTION: u32 = 4;

/// What happens to processes while somebody lists them.
#[derive(Clone, Copy, Debug)]
enum Event {
    Made(Pid),
    Ended(Pid),
}

/// What is noted for the lists under way. Under the lock of the vacancies.
#[derive(Debug, Default)]
pub(super) struct Notes {
    events: VecDeque<Event>,
    /// The number of the first of them, counted from the first ever.
    first: u64,
    /// The numbers of the events that were next when the lists under way began.
    moments: Vec<u64>,
}

impl Notes {
    /// A slot was handed out to a process of that pid.
    #[inline]
    pub(super) fn made(&mut self, pid: Pid) {
        if !self.moments.is_empty() {
            self.note(Event::Made(pid));
        }
    }

    #[cold]
    fn note(&mut self, event: Event) {
        uncounted(|| self.events.push_back(event));
    }

    fn begin(&mut self) -> u64 {
        let moment = self.first + self.events.len() as u64;
        uncounted(|| self.moments.push(moment));
        moment
    }

    /// What was noted since; and what nobody needs any more, to be dropped outside of the lock.
    fn end(&mut self, moment: u64) -> (Vec<Event>, VecDeque<Event>) {
        let since = (moment - self.first) as usize;
        let noted = self.events.range(since..).copied().collect();
        if let Some(place) = self.moments.iter().position(|&one| one == moment) {
            self.moments.swap_remove(place);
        }
        match self.moments.iter().min() {
            Some(&oldest) => {
                self.events.drain(..(oldest - self.first) as usize);
                self.first = oldest;
                (noted, VecDeque::new())
            }
            None => {
                self.first += self.events.len() as u64;
                (noted, std::mem::take(&mut self.events))
            }
        }
    }
}

/// A list under way.
struct Listing<'t> {
    table: &'t ProcessTable,
    moment: u64,
    /// Slots from here on had nobody at the moment.
    slots: u32,
    is_over: bool,
}

impl<'t> Listing<'t> {
    fn begin(table: &'t ProcessTable) -> Self {
        let mut vacancies = table.vacancies.lock();
        // Under the lock, for the sum of both: who starts sees the notes, who ends sees the count.
        table.listings.fetch_add(1, Ordering::SeqCst);
        Self {
            table,
            moment: vacancies.notes.begin(),
            slots: table.slots_used(),
            is_over: false,
        }
    }

    fn end(&mut self) -> Vec<Event> {
        self.is_over = true;
        let mut vacancies = self.table.vacancies.lock();
        self.table.listings.fetch_sub(1, Ordering::SeqCst);
        let (noted, unwanted) = uncounted(|| vacancies.notes.end(self.moment));
        drop(vacancies);
        uncounted(|| drop(unwanted));
        noted
    }

    /// Step 4.
    fn settle(mut self, mut seen: Vec<Pid>) -> Vec<Pid> {
        let noted = self.end();
        if noted.is_empty() {
            return seen;
        }
        tick(noted.len() as u32 / SLOTS_PER_REDUCTION);
        let mut made: HashSet<Pid, FixedState> = HashSet::default();
        let mut ended = Vec::new();
        for event in noted {
            match event {
                Event::Made(pid) => drop(made.insert(pid)),
                Event::Ended(pid) if pid.index() < self.slots && !made.contains(&pid) => {
                    ended.push(pid);
                }
                Event::Ended(_) => {}
            }
        }
        if !made.is_empty() {
            seen.retain(|pid| !made.contains(pid));
        }
        if !ended.is_empty() {
            ended.sort_unstable_by_key(|pid| pid.index());
            seen.append(&mut ended);
            // Two runs in order: this merges them.
            seen.sort_by_key(|pid| pid.index());
            seen.dedup();
        }
        seen
    }
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end();
        }
    }
}

impl ProcessTable {
    /// For who ends a process, before anything shows that its end has begun.
    #[inline]
    pub(super) fn note_end(&self, pid: Pid) {
        if self.listings.load(Ordering::Acquire) != 0 {
            self.note_end_for_lists(pid);
        }
    }

    #[cold]
    fn note_end_for_lists(&self, pid: Pid) {
        let mut vacancies = self.vacancies.lock();
        // The last list may have been done by now.
        if !vacancies.notes.moments.is_empty() {
            vacancies.notes.note(Event::Ended(pid));
        }
    }

    /// The process in a slot, unless its end has begun.
    fn alive_in(&self, index: u32) -> Option<Pid> {
        let slot = self.slot(index)?;
        let pid = slot.pid()?;
        let is_alive = !slot.attention().has(Attention::EXITING);
        // Else that may have been said of the slot's next process, and this one was about to end before the look.
        (is_alive && slot.is(pid)).then_some(pid)
    }
}

/// Gives way now and then to those who wait.
fn charge(slots: u32) {
    if slots.is_multiple_of(SLOTS_PER_CHECKPOINT) {
        checkpoint(SLOTS_PER_CHECKPOINT / SLOTS_PER_REDUCTION);
    }
}

impl Vm {
    /// All processes that are alive, by slot: those of one moment of the call. Those that are ending are left out.
    /// `processes/0`.
    ///
    /// Who lived through the whole call is in the list, who ended before it or was made after it is not; and of those
    /// that came and went meanwhile it tells as one look at all at once would: if one is in the list that was made
    /// when another had ended, that other is not. Nothing is stopped for it.
    pub fn processes(&self) -> Vec<Pid> {
        let table = &self.core().processes;
        let listing = Listing::begin(table);
        let mut seen = Vec::with_capacity(table.live());
        for index in 0..listing.slots {
            seen.extend(table.alive_in(index));
            charge(index);
        }
        listing.settle(seen)
    }

    /// The processes that are alive, one by one, by slot: for who looks for some, or has no room for a list of them
    /// all. `processes_iterator/0`, `processes_next/1` of OTP 28.
    ///
    /// Each was alive when it was come by. Who is alive from this call to the end of the iteration is among them, none
    /// twice, and nobody whose slot was not there at this call. It is no list of one moment: that is
    /// [`Vm::processes`].
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let asks = vm.run(|cx| async move { cx.vm().processes_iterator().next() == Some(cx.pid()) });
    /// assert!(asks.wait()?);
    /// assert_eq!(vm.processes_iterator().count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn processes_iterator(&self) -> Processes {
        Processes {
            vm: self.for_process(),
            next: 0,
            slots: self.core().processes.slots_used(),
        }
    }
}

/// The processes of a VM one by one: see [`Vm::processes_iterator`]. It does not keep the VM up.
#[derive(Debug, Clone)]
#[must_use = "an iterator does nothing unless it is asked"]
pub struct Processes {
    vm: Vm,
    next: u32,
    slots: u32,
}

impl Iterator for Processes {
    type Item = Pid;

    fn next(&mut self) -> Option<Pid> {
        let table = &self.vm.core().processes;
        while self.next < self.slots {
            let index = self.next;
            self.next += 1;
            charge(index);
            if let Some(pid) = table.alive_in(index) {
                return Some(pid);
            }
        }
        None
    }
}

impl std::iter::FusedIterator for Processes {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn pid(index: u32) -> Pid {
        Pid::from_parts(index, 1)
    }

    #[test]
    fn what_is_noted_stays_for_the_oldest_list_and_no_longer() {
        let mut notes = Notes::default();
        notes.made(pid(1));
        assert!(notes.events.is_empty(), "nobody lists");
        let first = notes.begin();
        notes.made(pid(2));
        let second = notes.begin();
        notes.made(pid(3));
        assert_eq!(notes.end(first).0.len(), 2);
        assert_eq!(notes.events.len(), 1, "the second list needs no more");
        notes.made(pid(4));
        assert_eq!(notes.end(second).0.len(), 2);
        assert!(notes.events.is_empty() && notes.moments.is_empty());
        let third = notes.begin();
        notes.made(pid(5));
        let (noted, _) = notes.end(third);
        assert!(matches!(noted[..], [Event::Made(made)] if made == pid(5)));
    }

    /// What happens between the moment of a list and its look at a slot, case by case.
    #[test]
    fn a_list_is_of_its_moment() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let run = vm.run(|mut cx| async move {
            let make = |cx: &crate::Context| {
                cx.spawn_monitor(|mut cx: crate::Context| async move { drop(cx.receive().await) })
                    .unwrap()
            };
            let (stays, _) = make(&cx);
            let (ends, monitor) = make(&cx);
            let vm = cx.vm().clone();
            let table = &vm.core().processes;
            let listing = Listing::begin(table);
            let mut expected = vec![cx.pid(), stays, ends];
            expected.sort_by_key(|pid| pid.index());

            cx.exit_process(ends, crate::ExitReason::kill());
            cx.await_down(monitor).await;
            // Some of them in slots that are used again, some of which end again.
            let made: Vec<Pid> = (0..100)
                .map(|n| {
                    let (pid, _) = make(&cx);
                    if n % 2 == 0 {
                        cx.exit_process(pid, crate::ExitReason::kill());
                    }
                    pid
                })
                .collect();
            cx.yield_now().await;

            let seen = (0..listing.slots).filter_map(|index| table.alive_in(index));
            let listed = listing.settle(seen.collect());
            assert!(made.iter().all(|pid| !listed.contains(pid)));
            assert_eq!(listed, expected);
            assert!(!cx.vm().processes().contains(&ends));
            assert!(table.vacancies.lock().notes.events.is_empty());
        });
        run.wait().unwrap();
    }
}
