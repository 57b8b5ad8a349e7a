//! The steps of a process.

use super::Model;
use super::state::{Kind, Life, Link, NOBODY, State};
use crate::rules::{Broken, Liberty};
use crate::scenario::{End, Event, Mark, Reason, Slot, Step};

impl Model<'_> {
    /// A process does what comes next in its program.
    pub(super) fn step(&self, state: &mut State, slot: Slot) -> Option<()> {
        if state.at(slot).life == Life::New {
            state.at(slot).life = Life::Running;
            return match self.seen(slot).1 {
                End::Unseen => None,
                _ => self.tell(state, slot, Event::Started),
            };
        }
        let step = self.next_step(state.at(slot), slot);
        let process = state.at(slot);
        process.steps += u8::from(step.is_some());
        match step.unwrap_or(Step::Receive) {
            Step::Spawn(child) => state.at(child).life = Life::New,
            Step::SpawnLink(child) => {
                process.links[usize::from(child)] = Link::Linked;
                let child = state.at(child);
                child.life = Life::New;
                child.links[usize::from(slot)] = Link::Linked;
            }
            Step::SpawnMonitor(child, mark) => {
                process.monitors.push((mark, child));
                let child = state.at(child);
                child.life = Life::New;
                child.watchers.push((mark, slot));
            }
            Step::Link(other) => self.link(state, slot, other)?,
            Step::Unlink(other) => self.unlink(state, slot, other),
            Step::Monitor(other, mark) => self.monitor(state, slot, Some(other), mark),
            Step::MonitorName(name, mark) => {
                let named = state.names[usize::from(name)];
                self.monitor(state, slot, named, mark);
            }
            Step::Demonitor(mark) => self.demonitor(state, slot, mark, false)?,
            Step::DemonitorFlush(mark) => self.demonitor(state, slot, mark, true)?,
            Step::TrapExit(traps) => process.traps = traps,
            Step::Signal(other, reason) => {
                self.send(state, slot, other, Kind::Exit(reason));
                // A signal to oneself acts before the next step.
                if other == slot && self.is_sliced() {
                    self.take_all(state, slot)?;
                } else if other == slot {
                    state.at(slot).awaits_itself = !self.takes(Liberty::LateToOneself);
                }
            }
            Step::Exit(reason) => self.end(state, slot, reason)?,
            Step::Register(name, other) => {
                let is_free = state.names[usize::from(name)].is_none();
                let process = state.at(other);
                let is_alive = matches!(process.life, Life::New | Life::Running);
                let may_have = process.name.is_none() || self.has_broken(Broken::TwoNames);
                let is_done = is_free && is_alive && may_have;
                if is_done {
                    process.name = Some(name);
                    state.names[usize::from(name)] = Some(other);
                }
                self.tell(state, slot, Event::Done(is_done))?;
            }
            Step::Unregister(name) => {
                let named = state.names[usize::from(name)].take();
                if let Some(named) = named {
                    state.at(named).name = None;
                }
                self.tell(state, slot, Event::Done(named.is_some()))?;
            }
            Step::Whereis(name) => {
                let named = state.names[usize::from(name)];
                self.tell(state, slot, Event::Found(named))?;
            }
            Step::Send(other, number) => self.send(state, slot, other, Kind::Message(number)),
            Step::SendName(name, number) => {
                let named = state.names[usize::from(name)];
                if let Some(named) = named {
                    self.send(state, slot, named, Kind::Message(number));
                }
                self.tell(state, slot, Event::Done(named.is_some()))?;
            }
            Step::Poll => self.receive(state, slot, Some(Event::Nothing))?,
            Step::Receive => self.receive(state, slot, None)?,
        }
        Some(())
    }

    fn receive(&self, state: &mut State, slot: Slot, otherwise: Option<Event>) -> Option<()> {
        if self.is_sliced() {
            self.take_all(state, slot)?;
            if state.at(slot).life != Life::Running {
                return Some(());
            }
        }
        let event = state.at(slot).inbox.pop_front().or(otherwise)?;
        self.tell(state, slot, event)
    }

    fn link(&self, state: &mut State, slot: Slot, other: Slot) -> Option<()> {
        let is_gone = self.is_gone(state, other);
        let link = &mut state.at(slot).links[usize::from(other)];
        let is_linked = *link == Link::Linked;
        if slot != other && is_linked && is_gone && self.takes(Liberty::LinksAnew) {
            if state.at(slot).traps {
                self.send(state, other, slot, Kind::Nobody);
                return Some(());
            }
            return self.end(state, slot, Reason::Noproc);
        }
        if slot == other || is_linked {
            return Some(());
        }
        *link = Link::Linked;
        if !is_gone {
            self.send(state, slot, other, Kind::Link);
            return Some(());
        }
        // No link is made. So no `unlink` takes the news back.
        state.at(slot).links[usize::from(other)] = Link::None;
        if !self.has_broken(Broken::NobodyIsLinked) {
            self.send(state, other, slot, Kind::Nobody);
        }
        Some(())
    }

    fn unlink(&self, state: &mut State, slot: Slot, other: Slot) {
        state.unlinks += 1;
        let number = state.unlinks;
        let link = &mut state.at(slot).links[usize::from(other)];
        if *link != Link::Linked {
            state.unlinks -= 1;
            return;
        }
        *link = if self.has_broken(Broken::UnlinkUnacknowledged) {
            Link::None
        } else {
            Link::Unlinking(number)
        };
        if self.has_broken(Broken::UnlinkUntold) {
            *link = Link::None;
            return;
        }
        self.send(state, slot, other, Kind::Unlink(number));
    }

    fn monitor(&self, state: &mut State, slot: Slot, other: Option<Slot>, mark: Mark) {
        if other == Some(slot) {
            return;
        }
        state
            .at(slot)
            .monitors
            .push((mark, other.unwrap_or(NOBODY)));
        match other {
            Some(other) => self.send(state, slot, other, Kind::Monitor(mark)),
            None if self.has_broken(Broken::NobodyIsMonitored) => {}
            None => self.send(state, NOBODY, slot, Kind::Down(mark, Reason::Noproc)),
        }
    }

    fn demonitor(&self, state: &mut State, slot: Slot, mark: Mark, flushes: bool) -> Option<()> {
        let process = state.at(slot);
        let place = process.monitors.iter().position(|&(its, _)| its == mark);
        let stood = place.is_some();
        if let Some(place) = place {
            let (_, watched) = process.monitors.remove(place);
            if watched != NOBODY {
                self.send(state, slot, watched, Kind::Demonitor(mark));
            }
        } else if flushes && !self.has_broken(Broken::FlushLeavesMessage) {
            let is_its = |event: &Event| matches!(*event, Event::Down(its, ..) if its == mark);
            process.inbox.retain(|event| !is_its(event));
        }
        self.tell(state, slot, Event::Done(stood))
    }
}
