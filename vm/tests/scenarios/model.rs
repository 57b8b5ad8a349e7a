//! A reference model: what signals and operations do, after OTP's documentation, and nothing about how.
//!
//! A state has each process with what it keeps (links, monitors, flags, messages) and the signals that are on their way
//! to it. `search.rs` asks whether some order of steps and arrivals leads to an observation. Two grains of order are
//! looked at, see [`Grain`]. What can't lead to the observation any more is left at once: an operation then answers
//! `None`.

use std::collections::VecDeque;

use crate::rules::{Broken, Grain, Liberty, Rules};
use crate::scenario::{
    End, Event, MAX_PROCESSES, Mark, NAMES, Name, Observation, Reason, Scenario, Slot, Step,
};

/// Who sends what nobody sent: the news that nobody has a name.
const NOBODY: Slot = MAX_PROCESSES as Slot;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Unborn,
    /// Before its first step.
    New,
    Running,
    /// Its end is decided.
    Exiting(Reason),
    Dead(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Link {
    None,
    Linked,
    /// Taken back, and the other side has not yet said that it knows.
    Unlinking(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Message(u8),
    Link,
    Unlink(u8),
    UnlinkAck(u8),
    Exit(Reason),
    LinkExit(Reason),
    /// Who was to be linked was not there.
    Nobody,
    Monitor(Mark),
    Demonitor(Mark),
    Down(Mark, Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Signal {
    from: Slot,
    kind: Kind,
    /// It tells of its sender's end. In what order such signals of one end come to the same process is not promised.
    ends: bool,
}

impl Signal {
    fn new(from: Slot, kind: Kind) -> Self {
        let ends = false;
        Self { from, kind, ends }
    }

    /// In what order it stands: behind all before it of the same lane.
    fn lane(self) -> Slot {
        match self.kind {
            Kind::Nobody => NOBODY,
            _ => self.from,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    life: Life,
    /// Steps that it has taken, and events that it has told.
    steps: u8,
    told: u8,
    /// It has taken one step of which it could tell nothing any more.
    is_last: bool,
    traps: bool,
    /// It has sent itself an exit signal.
    awaits_itself: bool,
    name: Option<Name>,
    links: [Link; MAX_PROCESSES],
    monitors: Vec<(Mark, Slot)>,
    watchers: Vec<(Mark, Slot)>,
    inbox: VecDeque<Event>,
    /// Signals on their way to it. Those of one sender stand in the order sent; by [`Grain::Slices`] all do.
    arriving: Vec<Signal>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    processes: Vec<Process>,
    names: [Option<Slot>; NAMES],
    unlinks: u8,
    /// Whose slice it is, by [`Grain::Slices`], and whether it has only begun.
    current: Option<Slot>,
    has_begun: bool,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// A signal arrives: the first of its sender.
    Take(Slot, usize),
    /// A slice begins.
    Begin(Slot),
    Step(Slot),
    Leave(Slot),
}

/// A scenario, an observation, and the rules by which the one may lead to the other.
#[derive(Debug)]
pub struct Model<'a> {
    scenario: &'a Scenario,
    observation: &'a Observation,
    rules: Rules,
    /// Of each process what came out of its mailbox, and how much of that is among so many first events.
    received: Vec<(Vec<Event>, Vec<usize>)>,
    /// Whether each process takes messages out of its mailbox otherwise than from the front.
    flushes: Vec<bool>,
}

impl<'a> Model<'a> {
    pub fn new(scenario: &'a Scenario, observation: &'a Observation, rules: Rules) -> Self {
        let received = observation.0.iter().map(|(events, _)| {
            let received: Vec<Event> = events
                .iter()
                .copied()
                .filter(|event| event.is_received())
                .collect();
            let mut counts = vec![0];
            for event in events {
                counts.push(counts[counts.len() - 1] + usize::from(event.is_received()));
            }
            (received, counts)
        });
        let flushes = scenario.programs.iter().map(|program| {
            let mut steps = program.steps.iter();
            steps.any(|step| matches!(step, Step::DemonitorFlush(_)))
        });
        Self {
            received: received.collect(),
            flushes: flushes.collect(),
            scenario,
            observation,
            rules,
        }
    }

    pub fn begin(&self) -> State {
        let processes = self.scenario.programs.iter().map(|program| Process {
            life: if program.root {
                Life::New
            } else {
                Life::Unborn
            },
            steps: 0,
            told: 0,
            is_last: false,
            traps: false,
            awaits_itself: false,
            name: None,
            links: [Link::None; MAX_PROCESSES],
            monitors: Vec::new(),
            watchers: Vec::new(),
            inbox: VecDeque::new(),
            arriving: Vec::new(),
        });
        State {
            processes: processes.collect(),
            names: [None; NAMES],
            unlinks: 0,
            current: None,
            has_begun: false,
        }
    }

    fn has_broken(&self, rule: Broken) -> bool {
        self.rules.broken == Some(rule)
    }

    fn takes(&self, liberty: Liberty) -> bool {
        self.rules.liberties.contains(&liberty)
    }

    fn is_sliced(&self) -> bool {
        self.rules.grain == Grain::Slices
    }

    fn seen(&self, slot: Slot) -> (&[Event], End) {
        let (events, end) = &self.observation.0[usize::from(slot)];
        (events, *end)
    }

    /// Whether everything has happened that was observed, and nothing is on its way.
    pub fn is_over(&self, state: &State) -> bool {
        (0_u8..).zip(&state.processes).all(|(slot, process)| {
            let (events, end) = self.seen(slot);
            let fits = match process.life {
                Life::Unborn => end == End::Unseen,
                Life::Running => {
                    end == End::Alive && process.inbox.is_empty() && self.waits(process, slot)
                }
                // Checked when it ended.
                Life::Dead(_) => true,
                Life::New | Life::Exiting(_) => false,
            };
            fits && process.arriving.is_empty() && usize::from(process.told) == events.len()
        })
    }

    fn next_step(&self, process: &Process, slot: Slot) -> Option<Step> {
        let steps = &self.scenario.programs[usize::from(slot)].steps;
        steps.get(usize::from(process.steps)).copied()
    }

    /// Whether its next step is to receive.
    fn waits(&self, process: &Process, slot: Slot) -> bool {
        matches!(self.next_step(process, slot), None | Some(Step::Receive))
    }

    /// Whether it has nothing more to do.
    fn is_done(&self, process: &Process, slot: Slot) -> bool {
        let told_all = usize::from(process.told) == self.seen(slot).0.len();
        process.life == Life::Running && told_all && self.next_step(process, slot).is_none()
    }

    /// What may happen next, the likelier first. A move that could as well come first is the only one.
    pub fn moves(&self, state: &State, moves: &mut Vec<Move>) {
        moves.clear();
        if let Some(slot) = state.current
            && state.has_begun
        {
            // What it has taken in makes a difference to others by its steps, or its end.
            return moves.push(Move::Step(slot));
        }
        for (slot, process) in (0_u8..).zip(&state.processes) {
            let is_alive = matches!(process.life, Life::New | Life::Running);
            if self.is_sliced() {
                let is_its = state.current == Some(slot);
                let only_waits = self.seen(slot).1 == End::Alive && self.is_done(process, slot);
                if only_waits && !process.arriving.is_empty() {
                    moves.clear();
                    return moves.push(Move::Begin(slot));
                }
                if only_waits {
                    continue;
                }
                if is_alive && !(is_its && process.arriving.is_empty()) {
                    moves.push(Move::Begin(slot));
                }
                if is_alive && is_its {
                    moves.insert(0, Move::Step(slot));
                }
                continue;
            }
            if matches!(process.life, Life::Exiting(_)) {
                moves.push(Move::Leave(slot));
            }
            if !is_alive {
                continue;
            }
            let mut before: Option<Signal> = None;
            for (index, &signal) in process.arriving.iter().enumerate() {
                // The first of its lane, or as good as that.
                if before.is_some_and(|before| {
                    before.lane() == signal.lane() && !(before.ends && signal.ends)
                }) {
                    continue;
                }
                before = Some(signal);
                if let Kind::Message(number) = signal.kind
                    && self.arrives_any_time(process, slot, Event::Message(number))
                {
                    moves.clear();
                    return moves.push(Move::Take(slot, index));
                }
                moves.push(Move::Take(slot, index));
            }
            if process.is_last || process.awaits_itself {
                continue;
            }
            if process.life == Life::Running && self.waits(process, slot) {
                if !process.inbox.is_empty() {
                    moves.clear();
                    return moves.push(Move::Step(slot));
                }
                continue;
            }
            moves.push(Move::Step(slot));
        }
    }

    /// Whether it makes no difference when the message comes, as long as it is in its place.
    fn arrives_any_time(&self, process: &Process, slot: Slot, event: Event) -> bool {
        let (events, _) = self.seen(slot);
        let polls_in_vain = events[usize::from(process.told)..].contains(&Event::Nothing);
        !polls_in_vain && !self.flushes[usize::from(slot)] && self.has_place(process, slot, event)
    }

    /// Whether a message that comes now was received in that order.
    fn has_place(&self, process: &Process, slot: Slot, event: Event) -> bool {
        if self.flushes[usize::from(slot)] {
            return true;
        }
        let (received, counts) = &self.received[usize::from(slot)];
        let place = counts[usize::from(process.told)] + process.inbox.len();
        match received.get(place) {
            Some(&expected) => expected == event,
            None => self.seen(slot).1 != End::Alive,
        }
    }

    pub fn apply(&self, state: &State, next: Move) -> Option<State> {
        let mut state = state.clone();
        match next {
            Move::Take(slot, index) => {
                let signal = state.at(slot).arriving.remove(index);
                self.take(&mut state, slot, signal)?;
            }
            Move::Begin(slot) => {
                state.current = Some(slot);
                self.take_all(&mut state, slot)?;
                let process = state.at(slot);
                let is_alive = matches!(process.life, Life::New | Life::Running);
                state.has_begun =
                    is_alive && !self.is_done(&state.processes[usize::from(slot)], slot);
            }
            Move::Step(slot) => {
                state.has_begun = false;
                self.step(&mut state, slot)?;
            }
            Move::Leave(slot) => self.leave(&mut state, slot),
        }
        Some(state)
    }

    /// A process tells what it saw, if that was observed.
    fn tell(&self, state: &mut State, slot: Slot, event: Event) -> Option<()> {
        let (events, end) = self.seen(slot);
        let process = state.at(slot);
        match events.get(usize::from(process.told)) {
            Some(&expected) if expected == event => process.told += 1,
            Some(_) => return None,
            // It ended before it could tell.
            None if !self.is_sliced() && matches!(end, End::Ended(_)) => process.is_last = true,
            None => return None,
        }
        Some(())
    }

    /// Whether nothing that is sent to it now arrives.
    fn is_gone(&self, state: &State, slot: Slot) -> bool {
        match state.processes[usize::from(slot)].life {
            Life::Dead(_) => true,
            Life::Exiting(_) => self.takes(Liberty::GoneBeforeItsName),
            _ => false,
        }
    }

    fn send(&self, state: &mut State, from: Slot, to: Slot, kind: Kind) {
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

    fn take(&self, state: &mut State, slot: Slot, signal: Signal) -> Option<()> {
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

    fn take_all(&self, state: &mut State, slot: Slot) -> Option<()> {
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
    fn end(&self, state: &mut State, slot: Slot, reason: Reason) -> Option<()> {
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
    fn leave(&self, state: &mut State, slot: Slot) {
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

    fn step(&self, state: &mut State, slot: Slot) -> Option<()> {
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

impl State {
    fn at(&mut self, slot: Slot) -> &mut Process {
        &mut self.processes[usize::from(slot)]
    }
}
