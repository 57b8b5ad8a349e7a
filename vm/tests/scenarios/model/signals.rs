//! How signals are sent, and what they do to whom they come.

use super::Model;
use super::state::{Kind, Life, Link, NOBODY, Process, Signal, State};
use crate::rules::{Broken, Liberty};
use crate::scenario::{End, Event, MAX_PROCESSES, Reason, Slot};

impl Model<'_> {
    /// Whether nothing that is sent to it now arrives.
    pub(super) fn is_gone(&self, state: &State, slot: Slot) -> bool {
        match state.processes[usize::from(slot)].life {
            Life::Dead(_) => true,
            Life::Exiting(_) => self.takes(Liberty::GoneBeforeItsName),
            _ => false,
        }
    }

    pub(super) fn send(&self, state: &mut State, from: Slot, to: Slot, kind: Kind) {
        self.post(state, to, Signal::new(from, kind));
    }

    fn post(&self, state: &mut State, to: Slot, signal: Signal) {
        if self.is_gone(state, to) {
            return self.answer(state, to, signal, false);
        }
        let arriving = &mut state.at(to).arriving;
        let place = if self.is_sliced() {
            arriving.len()
        } else {
            arriving.partition_point(|before| before.lane() <= signal.lane())
        };
        arriving.insert(place, signal);
    }

    /// For one who is dead; or ends just now, and tells others of that as well.
    fn answer(&self, state: &mut State, dead: Slot, signal: Signal, ends: bool) {
        let (Life::Dead(reason) | Life::Exiting(reason)) = state.at(dead).life else {
            return;
        };
        let answer = match signal.kind {
            Kind::Link if self.has_broken(Broken::NobodyIsLinked) => return,
            Kind::Link => Kind::LinkExit(Reason::Noproc),
            Kind::Unlink(number) => Kind::UnlinkAck(number),
            Kind::Monitor(_) if self.has_broken(Broken::NobodyIsMonitored) => return,
            Kind::Monitor(mark) if self.has_broken(Broken::LateMonitorKnows) => {
                Kind::Down(mark, reason)
            }
            Kind::Monitor(mark) => Kind::Down(mark, Reason::Noproc),
            _ => return,
        };
        let answer = Signal {
            ends,
            ..Signal::new(dead, answer)
        };
        self.post(state, signal.from, answer);
    }

    /// A message comes into the mailbox.
    fn arrive(&self, state: &mut State, slot: Slot, event: Event) -> Option<()> {
        if !self.has_place(state.at(slot), slot, event) {
            return None;
        }
        state.at(slot).inbox.push_back(event);
        Some(())
    }

    pub(super) fn take(&self, state: &mut State, slot: Slot, signal: Signal) -> Option<()> {
        let Signal { from, kind, .. } = signal;
        let other = usize::from(from);
        let process = state.at(slot);
        match kind {
            Kind::Message(number) => self.arrive(state, slot, Event::Message(number))?,
            Kind::Link => {
                if process.links[other] == Link::None {
                    process.links[other] = Link::Linked;
                }
            }
            Kind::Unlink(number) => {
                if process.links[other] == Link::Linked {
                    process.links[other] = Link::None;
                }
                self.send(state, slot, from, Kind::UnlinkAck(number));
            }
            Kind::UnlinkAck(number) => {
                if process.links[other] == Link::Unlinking(number) {
                    process.links[other] = Link::None;
                }
            }
            Kind::Exit(reason) => {
                if from == slot {
                    process.awaits_itself = false;
                }
                let kills = reason == Reason::Kill
                    && !(process.traps && self.has_broken(Broken::KillIsTrapped));
                if kills && self.has_broken(Broken::KilledByKill) {
                    return self.end(state, slot, Reason::Kill);
                }
                if kills {
                    return self.end(state, slot, Reason::Killed);
                }
                let spares_oneself = self.has_broken(Broken::NormalEndsNotEvenOneself);
                self.exit(state, slot, from, reason, from == slot && !spares_oneself)?;
            }
            Kind::LinkExit(reason) => {
                if process.links[other] != Link::Linked {
                    return Some(());
                }
                process.links[other] = Link::None;
                if reason == Reason::Kill && self.has_broken(Broken::LinkKills) {
                    return self.end(state, slot, Reason::Killed);
                }
                self.exit(state, slot, from, reason, false)?;
            }
            Kind::Nobody => self.exit(state, slot, from, Reason::Noproc, false)?,
            Kind::Monitor(mark) => process.watchers.push((mark, from)),
            Kind::Demonitor(mark) => process.watchers.retain(|&(its, _)| its != mark),
            Kind::Down(mark, reason) => {
                let known = process.monitors.iter().position(|&(its, _)| its == mark);
                match known {
                    Some(place) => drop(process.monitors.remove(place)),
                    None if self.has_broken(Broken::DownAfterDemonitor) => {}
                    None => return Some(()),
                }
                let object = self.scenario.object(mark);
                self.arrive(state, slot, Event::Down(mark, object, reason))?;
            }
        }
        Some(())
    }

    /// An exit signal that may be trapped.
    fn exit(
        &self,
        state: &mut State,
        slot: Slot,
        from: Slot,
        reason: Reason,
        ends_if_normal: bool,
    ) -> Option<()> {
        if state.at(slot).traps && !self.has_broken(Broken::TrapsNothing) {
            return self.arrive(state, slot, Event::Exit(from, reason));
        }
        if reason == Reason::Normal && !ends_if_normal && !self.has_broken(Broken::NormalEnds) {
            return Some(());
        }
        self.end(state, slot, reason)
    }

    pub(super) fn take_all(&self, state: &mut State, slot: Slot) -> Option<()> {
        while matches!(state.at(slot).life, Life::New | Life::Running)
            && !state.at(slot).arriving.is_empty()
        {
            let next = self.first_that_fits(state.at(slot), slot);
            let signal = state.at(slot).arriving.remove(next);
            self.take(state, slot, signal)?;
        }
        Some(())
    }

    /// The first, or of those that tell of one end the one that was received first.
    fn first_that_fits(&self, process: &Process, slot: Slot) -> usize {
        let first = process.arriving[0];
        let of_one_end = process.arriving.iter();
        let mut of_one_end =
            of_one_end.take_while(|its| first.ends && its.ends && its.from == first.from);
        let fits = of_one_end.position(|signal| match signal.kind {
            Kind::Down(mark, reason) => self.has_place(
                process,
                slot,
                Event::Down(mark, self.scenario.object(mark), reason),
            ),
            Kind::LinkExit(reason) => {
                self.has_place(process, slot, Event::Exit(signal.from, reason))
            }
            _ => true,
        });
        fits.unwrap_or(0)
    }

    /// The end is decided.
    pub(super) fn end(&self, state: &mut State, slot: Slot, reason: Reason) -> Option<()> {
        let (events, end) = self.seen(slot);
        let process = state.at(slot);
        let fits = match end {
            End::Alive => false,
            End::Unseen => process.life == Life::New,
            End::Ended(its) => its == reason && usize::from(process.told) == events.len(),
        };
        if !fits {
            return None;
        }
        process.life = Life::Exiting(reason);
        process.inbox.clear();
        process.is_last = false;
        process.awaits_itself = false;
        if self.is_sliced() || process.name.is_none() {
            self.leave(state, slot);
        }
        Some(())
    }

    /// It has no name any more, and then everybody is told.
    pub(super) fn leave(&self, state: &mut State, slot: Slot) {
        let process = state.at(slot);
        let Life::Exiting(reason) = process.life else {
            unreachable!("its end was decided");
        };
        process.life = Life::Dead(reason);
        let links = std::mem::replace(&mut process.links, [Link::None; MAX_PROCESSES]);
        let watchers = std::mem::take(&mut process.watchers);
        let monitors = std::mem::take(&mut process.monitors);
        let arriving = std::mem::take(&mut process.arriving);
        let name = process.name.take();
        if let Some(name) = name
            && !self.has_broken(Broken::NameStays)
        {
            state.names[usize::from(name)] = None;
        }
        for (other, link) in (0..).zip(links) {
            if link == Link::Linked {
                self.tell_of_end(state, slot, other, Kind::LinkExit(reason));
            }
        }
        for (mark, watcher) in watchers {
            self.tell_of_end(state, slot, watcher, Kind::Down(mark, reason));
        }
        for (mark, watched) in monitors
            .into_iter()
            .filter(|&(_, watched)| watched != NOBODY)
        {
            self.send(state, slot, watched, Kind::Demonitor(mark));
        }
        for signal in arriving {
            self.answer(state, slot, signal, true);
        }
    }

    fn tell_of_end(&self, state: &mut State, slot: Slot, other: Slot, kind: Kind) {
        let signal = Signal {
            ends: true,
            ..Signal::new(slot, kind)
        };
        self.post(state, other, signal);
    }
}
