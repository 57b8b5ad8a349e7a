//! A reference model: what signals and operations do, after OTP's documentation, and nothing about how.
//!
//! `search.rs` asks whether some order of [`Move`]s leads to an observation. Two grains of order are looked at, see
//! [`Grain`]. What can't lead to the observation any more is left at once: an operation then answers `None`.

use std::collections::VecDeque;

use crate::rules::{Broken, Grain, Liberty, Rules};
use crate::scenario::{End, Event, MAX_PROCESSES, NAMES, Observation, Scenario, Slot, Step};

mod signals;
mod state;
mod steps;

pub use state::State;
use state::{Kind, Life, Link, Process, Signal};

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
}
