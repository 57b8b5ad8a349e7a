//! A supervisor's children: in the order of their start, by id and by pid.

use std::collections::{BTreeMap, HashMap};

use otp_vm::Pid;

use super::child::{ChildKind, ChildSpec};
use super::id::ChildId;
use super::{ChildCounts, ChildInfo};
use crate::vm_made::MapByVmMade;

/// A child's place in the order of starts; never reused.
pub(super) type Place = u64;

pub(super) struct Child {
    pub(super) spec: ChildSpec,
    state: ChildState,
}

impl Child {
    pub(super) fn state(&self) -> ChildState {
        self.state
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildState {
    Running(Pid),
    /// It failed to restart, and is to be tried again.
    Restarting,
    /// Its restart waits: see `back_off.rs`.
    BackingOff {
        due_ns: u64,
    },
    /// Not running, and nobody is about to change that.
    Stopped,
}

impl ChildState {
    /// Whether it is about to be started again.
    pub(super) fn is_restarting(self) -> bool {
        matches!(self, Self::Restarting | Self::BackingOff { .. })
    }
}

#[derive(Default)]
pub(super) struct Children {
    in_order: BTreeMap<Place, Child>,
    by_id: HashMap<ChildId, Place>,
    by_pid: MapByVmMade<Pid, Place>,
    next: Place,
}

impl Children {
    /// Adds a child behind all others. Its id must be new.
    pub(super) fn push(&mut self, spec: ChildSpec) -> Place {
        let place = self.next;
        self.next += 1;
        let before = self.by_id.insert(spec.id.clone(), place);
        debug_assert!(before.is_none(), "a child id was used twice");
        self.in_order.insert(
            place,
            Child {
                spec,
                state: ChildState::Stopped,
            },
        );
        place
    }

    pub(super) fn place_of(&self, id: &ChildId) -> Option<Place> {
        self.by_id.get(id).copied()
    }

    pub(super) fn place_of_pid(&self, pid: Pid) -> Option<Place> {
        self.by_pid.get(&pid).copied()
    }

    pub(super) fn get(&self, place: Place) -> Option<&Child> {
        self.in_order.get(&place)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Child> {
        self.in_order.get_mut(&place)
    }

    pub(super) fn set(&mut self, place: Place, state: ChildState) {
        let Some(child) = self.in_order.get_mut(&place) else {
            return;
        };
        if let ChildState::Running(pid) = child.state {
            self.by_pid.remove(&pid);
        }
        child.state = state;
        if let ChildState::Running(pid) = state {
            self.by_pid.insert(pid, place);
        }
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<ChildSpec> {
        self.set(place, ChildState::Stopped);
        let child = self.in_order.remove(&place)?;
        self.by_id.remove(&child.spec.id);
        Some(child.spec)
    }

    /// Takes on other specifications: they are in order, and known children run on with theirs; those of whom they
    /// don't speak stay as they were, behind them.
    pub(super) fn change(&mut self, specs: Vec<ChildSpec>) {
        let mut before = std::mem::take(self);
        // A place in the old order is never found in the new one.
        self.next = before.next;
        for spec in specs {
            let known = before.by_id.remove(&spec.id);
            let known = known.and_then(|place| before.in_order.remove(&place));
            let place = self.push(spec);
            if let Some(known) = known {
                self.set(place, known.state);
            }
        }
        for child in before.in_order.into_values() {
            let place = self.push(child.spec);
            self.set(place, child.state);
        }
    }

    /// The places from `first` on, in the order of starts.
    pub(super) fn from(&self, first: Place) -> Vec<Place> {
        self.in_order
            .range(first..)
            .map(|(&place, _)| place)
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Child> {
        self.in_order.values()
    }

    pub(super) fn which(&self) -> Vec<ChildInfo> {
        let info = |child: &Child| ChildInfo {
            id: child.spec.id.clone(),
            pid: match child.state {
                ChildState::Running(pid) => Some(pid),
                _ => None,
            },
            restarting: child.state.is_restarting(),
            kind: child.spec.kind,
            modules: child.spec.modules.clone(),
        };
        self.iter().map(info).collect()
    }

    /// Children that ended this moment, which the supervisor has not heard of, are not active any more.
    pub(super) fn count(&self, is_alive: impl Fn(Pid) -> bool) -> ChildCounts {
        let supervisors = self
            .iter()
            .filter(|child| child.spec.kind == ChildKind::Supervisor);
        let supervisors = supervisors.count() as u64;
        let specs = self.in_order.len() as u64;
        ChildCounts {
            specs,
            active: self.by_pid.keys().filter(|&&pid| is_alive(pid)).count() as u64,
            supervisors,
            workers: specs - supervisors,
        }
    }
}
