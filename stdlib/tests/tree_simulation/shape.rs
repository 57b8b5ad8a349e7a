//! What a tree is made of: random supervisors with their children.

use std::sync::Arc;

use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::AutoShutdown;
use otp_vm::random;

/// The most children of one supervisor.
const CHILDREN: u64 = 5;

pub fn below(bound: u64) -> u64 {
    random() % bound
}

pub fn one_of<T: Copy>(these: &[T]) -> T {
    these[below(these.len() as u64) as usize]
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Strategy {
    OneForOne,
    RestForOne,
    OneForAll,
    /// A dynamic supervisor.
    Dynamic,
}

/// How a worker ends when it is told to.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    AtOnce,
    Slowly,
    Never,
    ByKill,
}

#[derive(Debug)]
pub enum Kind {
    Worker(Ends),
    Below(Arc<Shape>),
}

#[derive(Debug)]
pub struct ChildShape {
    pub restart: Restart,
    pub significant: bool,
    pub kind: Kind,
    /// Whether the supervisor starts with it; it may be added later otherwise.
    pub at_first: bool,
}

/// A supervisor. Its children are known by their index, which is their id.
#[derive(Debug)]
pub struct Shape {
    pub strategy: Strategy,
    pub max_restarts: usize,
    pub auto_shutdown: AutoShutdown,
    pub max_children: usize,
    pub children: Vec<ChildShape>,
}

impl Shape {
    /// The top of a tree: not a dynamic supervisor, which would start empty.
    pub fn random() -> Arc<Self> {
        Self::of(3, one_of(&STATIC))
    }

    fn of(levels: u64, strategy: Strategy) -> Arc<Self> {
        let dynamic = strategy == Strategy::Dynamic;
        let auto_shutdown = match below(6) {
            0 if !dynamic => AutoShutdown::AnySignificant,
            1 if !dynamic => AutoShutdown::AllSignificant,
            _ => AutoShutdown::Never,
        };
        let child = |_| {
            let restart = one_of(&[
                Restart::Permanent,
                Restart::Permanent,
                Restart::Transient,
                Restart::Temporary,
            ]);
            let kind = if levels > 1 && below(5) < 2 {
                let [one, two, three] = STATIC;
                Kind::Below(Self::of(
                    levels - 1,
                    one_of(&[one, two, three, Strategy::Dynamic, Strategy::Dynamic]),
                ))
            } else {
                Kind::Worker(one_of(&[
                    Ends::AtOnce,
                    Ends::Slowly,
                    Ends::Never,
                    Ends::ByKill,
                ]))
            };
            ChildShape {
                restart,
                significant: auto_shutdown != AutoShutdown::Never
                    && restart != Restart::Permanent
                    && below(2) == 0,
                kind,
                at_first: !dynamic && below(5) > 0,
            }
        };
        Arc::new(Self {
            strategy,
            max_restarts: below(8) as usize,
            auto_shutdown,
            max_children: 1 + below(3) as usize,
            children: (0..1 + u64::from(dynamic) + below(CHILDREN))
                .map(child)
                .collect(),
        })
    }

    pub fn below(&self, id: usize) -> Option<&Arc<Self>> {
        match &self.children[id].kind {
            Kind::Worker(_) => None,
            Kind::Below(shape) => Some(shape),
        }
    }

    /// The children it starts with.
    pub fn first(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.children.len()).filter(|&id| self.children[id].at_first)
    }
}

const STATIC: [Strategy; 3] = [
    Strategy::OneForOne,
    Strategy::RestForOne,
    Strategy::OneForAll,
];
