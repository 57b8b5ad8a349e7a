//! Whether the model allows an observation: a search for a run of it.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::model::{Model, Move, State};
use crate::rules::{Grain, Rules};
use crate::scenario::{Observation, Scenario, Slot};

/// A search gives up after so many states. Nearly all need less than a thousand; chosen so that the longest take some
/// seconds.
const MAX_STATES: usize = 400_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed: by a run in which the processes take their steps in this order.
    Allowed(Vec<Slot>),
    Refused,
    /// Too many orders to look at.
    Undecided,
}

/// Whether the rules allow the observation.
pub fn search(scenario: &Scenario, observation: &Observation, rules: Rules) -> Verdict {
    let model = Model::new(scenario, observation, rules);
    let hasher = FixedState::default();
    let mut visited = HashSet::with_hasher(FixedState::default());
    // The path: each state, and its moves that were not tried, the likeliest last.
    let mut path: Vec<(State, Vec<Move>)> = Vec::new();
    let mut steps = Vec::new();
    let mut moves = Vec::new();
    let mut next = Some(model.begin());
    loop {
        if let Some(state) = next.take()
            && visited.insert(hasher.hash_one(&state))
        {
            if model.is_over(&state) {
                return Verdict::Allowed(steps.into_iter().flatten().collect());
            }
            if visited.len() > MAX_STATES {
                return Verdict::Undecided;
            }
            model.moves(&state, &mut moves);
            moves.reverse();
            path.push((state, moves.clone()));
        } else {
            steps.pop();
        }
        let Some((state, untried)) = path.last_mut() else {
            return Verdict::Refused;
        };
        match untried.pop() {
            Some(chosen) => {
                next = model.apply(state, chosen);
                steps.push(match chosen {
                    Move::Step(slot) => Some(slot),
                    _ => None,
                });
            }
            None => drop(path.pop()),
        }
    }
}

/// The rules as they are.
pub fn by(grain: Grain) -> Rules {
    Rules {
        grain,
        liberties: &[],
        broken: None,
    }
}
