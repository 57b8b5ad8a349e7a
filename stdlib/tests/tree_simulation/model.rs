//! What must follow from what happens to a tree. Where things happen at the same time, all that may follow.

use std::collections::{HashSet, VecDeque};

use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::AutoShutdown;

use super::shape::{Shape, Strategy};

/// A supervisor that runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// In the order of starts.
    pub kids: Vec<Kid>,
    /// How often each child's start was called.
    attempts: Vec<u32>,
    /// Which of the next starts of each child fail: the next by the lowest bit.
    pub fails: Vec<u32>,
    /// Within the period.
    restarts: usize,
    /// Its messages to itself: who is to be tried again.
    again: VecDeque<usize>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kid {
    pub id: usize,
    /// Which of the attempts to start it was the one that its process comes from.
    pub born: u32,
    pub state: State,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum State {
    Worker,
    Below(Box<Node>),
    Restarting,
    Stopped,
}

/// What a process ended with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum End {
    Normal,
    Shutdown,
    Killed,
}

/// Whether a supervisor runs on, or ends with `shutdown`.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    RunsOn,
    Ends,
}

/// From the top to a process: the ids, and `born` of each.
pub type Path = Vec<(usize, u32)>;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum What {
    /// The process ends by itself.
    Ends(End),
    /// Somebody calls the supervisor.
    Call(Call, usize, u32),
    /// The supervisor takes its next message to itself.
    Again,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Call {
    Start,
    Restart,
    Terminate,
    Delete,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Done,
    NotFound,
    Running,
    Restarting,
    AlreadyStarted,
    AlreadyPresent,
    MaxChildren,
    Failed,
    /// The supervisor ended.
    Nobody,
}

/// What can be seen of a tree from outside.
#[derive(PartialEq, Debug)]
pub struct Seen {
    pub attempts: Vec<u32>,
    pub kids: Vec<(usize, Looks)>,
}

#[derive(PartialEq, Debug)]
pub enum Looks {
    Worker,
    Below(Seen),
    Stopped,
}

impl Node {
    pub fn new(shape: &Shape) -> Self {
        let none = vec![0; shape.children.len()];
        let mut node = Self {
            kids: vec![],
            attempts: none.clone(),
            fails: none,
            restarts: 0,
            again: VecDeque::new(),
        };
        for id in shape.first() {
            node.add(shape, id);
        }
        node
    }

    fn add(&mut self, shape: &Shape, id: usize) -> bool {
        let (born, state) = (0, State::Stopped);
        self.kids.push(Kid { id, born, state });
        self.attempt(shape, id)
    }

    fn place(&self, id: usize) -> Option<usize> {
        self.kids.iter().position(|kid| kid.id == id)
    }

    fn kid(&mut self, id: usize) -> Option<&mut Kid> {
        self.kids.iter_mut().find(|kid| kid.id == id)
    }

    fn remove(&mut self, id: usize) {
        self.kids.retain(|kid| kid.id != id);
    }

    /// Calls a child's start. False: it failed.
    fn attempt(&mut self, shape: &Shape, id: usize) -> bool {
        self.attempts[id] += 1;
        let fails = self.fails[id] & 1 == 1;
        self.fails[id] >>= 1;
        if fails {
            return false;
        }
        let born = self.attempts[id];
        let kid = self.kid(id).expect("it is listed");
        kid.born = born;
        kid.state = match shape.below(id) {
            None => State::Worker,
            Some(below) => State::Below(Box::new(Self::new(below))),
        };
        true
    }

    fn end(&mut self, shape: &Shape, id: usize) {
        match shape.children[id].restart {
            Restart::Temporary => self.remove(id),
            _ if shape.strategy == Strategy::Dynamic => self.remove(id),
            _ => self.kid(id).expect("it is listed").state = State::Stopped,
        }
    }

    /// A child ended by itself.
    fn ended(&mut self, shape: &Shape, id: usize, end: End) -> Then {
        let restart = shape.children[id].restart;
        if restart == Restart::Permanent || restart == Restart::Transient && end == End::Killed {
            return self.restart(shape, id);
        }
        self.end(shape, id);
        let lives =
            |kid: &Kid| shape.children[kid.id].significant && !matches!(kid.state, State::Stopped);
        let ends = shape.children[id].significant
            && match shape.auto_shutdown {
                AutoShutdown::Never => false,
                AutoShutdown::AnySignificant => true,
                AutoShutdown::AllSignificant => !self.kids.iter().any(lives),
            };
        if ends { Then::Ends } else { Then::RunsOn }
    }

    fn restart(&mut self, shape: &Shape, id: usize) -> Then {
        if self.restarts == shape.max_restarts {
            return Then::Ends;
        }
        self.restarts += 1;
        let place = self.place(id).expect("it is listed");
        let affected = match shape.strategy {
            Strategy::OneForOne | Strategy::Dynamic => place..place + 1,
            Strategy::RestForOne => place..self.kids.len(),
            Strategy::OneForAll => 0..self.kids.len(),
        };
        let affected: Vec<usize> = self.kids[affected].iter().map(|kid| kid.id).collect();
        for &other in &affected {
            if other == id {
                self.kid(id).expect("it is listed").state = State::Stopped;
            } else {
                self.end(shape, other);
            }
        }
        for other in affected {
            if self.place(other).is_some() && !self.attempt(shape, other) {
                self.kid(other).expect("it is listed").state = State::Restarting;
                self.again.push_back(other);
                break;
            }
        }
        Then::RunsOn
    }

    fn call(&mut self, shape: &Shape, call: Call, id: usize, born: u32) -> Answer {
        let dynamic = shape.strategy == Strategy::Dynamic;
        let known = self.kid(id).map(|kid| (kid.state.clone(), kid.born));
        // By pid there.
        let known = known.filter(|(_, its)| !dynamic || *its == born);
        match (call, known.map(|(state, _)| state)) {
            (Call::Start, None) => {
                if dynamic && self.kids.len() >= shape.max_children {
                    return Answer::MaxChildren;
                }
                if self.add(shape, id) {
                    return Answer::Done;
                }
                self.remove(id);
                Answer::Failed
            }
            (_, None) => Answer::NotFound,
            (Call::Terminate, Some(_)) => {
                self.end(shape, id);
                Answer::Done
            }
            (Call::Start, Some(State::Stopped | State::Restarting)) => Answer::AlreadyPresent,
            (Call::Start, Some(_)) => Answer::AlreadyStarted,
            (_, Some(State::Restarting)) => Answer::Restarting,
            (_, Some(State::Worker | State::Below(_))) => Answer::Running,
            (Call::Restart, Some(State::Stopped)) => match self.attempt(shape, id) {
                true => Answer::Done,
                false => Answer::Failed,
            },
            (Call::Delete, Some(State::Stopped)) => {
                self.remove(id);
                Answer::Done
            }
        }
    }

    /// The supervisor at the end of the path, or the child at its end, if it is still the same process.
    fn happens(
        &mut self,
        shape: &Shape,
        path: &[(usize, u32)],
        what: What,
        answer: &mut Option<Answer>,
    ) -> Then {
        let Some((&(id, born), rest)) = path.split_first() else {
            match what {
                What::Ends(_) => unreachable!("it is for the level above"),
                What::Call(call, id, born) => *answer = Some(self.call(shape, call, id, born)),
                What::Again => {
                    let id = self.again.pop_front().expect("there is one");
                    let waits = self.kid(id).map(|kid| &kid.state);
                    if matches!(waits, Some(State::Restarting)) {
                        return self.restart(shape, id);
                    }
                }
            }
            return Then::RunsOn;
        };
        let Some(kid) = self.kid(id).filter(|kid| kid.born == born) else {
            return Then::RunsOn;
        };
        match (&mut kid.state, what) {
            (State::Worker | State::Below(_), What::Ends(end)) if rest.is_empty() => {
                self.ended(shape, id, end)
            }
            (State::Below(node), _) => {
                let below = shape.below(id).expect("it is a supervisor");
                match node.happens(below, rest, what, answer) {
                    Then::RunsOn => Then::RunsOn,
                    Then::Ends => self.ended(shape, id, End::Shutdown),
                }
            }
            _ => Then::RunsOn,
        }
    }

    /// Those that have a message to themselves.
    fn waiting(&self, path: &mut Path, found: &mut Vec<Path>) {
        if !self.again.is_empty() {
            found.push(path.clone());
        }
        for kid in &self.kids {
            if let State::Below(node) = &kid.state {
                path.push((kid.id, kid.born));
                node.waiting(path, found);
                path.pop();
            }
        }
    }

    pub fn seen(&self, shape: &Shape) -> Seen {
        let looks = |kid: &Kid| match &kid.state {
            State::Worker => Looks::Worker,
            State::Below(node) => {
                Looks::Below(node.seen(shape.below(kid.id).expect("a supervisor")))
            }
            State::Restarting | State::Stopped => Looks::Stopped,
        };
        let mut kids: Vec<_> = self.kids.iter().map(|kid| (kid.id, looks(kid))).collect();
        if shape.strategy == Strategy::Dynamic {
            kids.sort_by_key(|&(id, _)| id);
        }
        Seen {
            attempts: self.attempts.clone(),
            kids,
        }
    }

    /// Processes of the tree.
    pub fn processes(&self) -> usize {
        let of = |kid: &Kid| match &kid.state {
            State::Worker => 1,
            State::Below(node) => node.processes(),
            State::Restarting | State::Stopped => 0,
        };
        1 + self.kids.iter().map(of).sum::<usize>()
    }

    /// The supervisor at the end of the path.
    pub fn at(&mut self, path: &[(usize, u32)]) -> Option<&mut Self> {
        let Some((&(id, _), rest)) = path.split_first() else {
            return Some(self);
        };
        match &mut self.kid(id)?.state {
            State::Below(node) => node.at(rest),
            _ => None,
        }
    }

    /// More than the period went by.
    pub fn forget_restarts(&mut self) {
        self.restarts = 0;
        for kid in &mut self.kids {
            if let State::Below(node) = &mut kid.state {
                node.forget_restarts();
            }
        }
    }
}

/// A tree, or what it ended with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub top: Result<Node, End>,
    pub answer: Option<Answer>,
}

impl World {
    pub fn new(shape: &Shape) -> Self {
        Self {
            top: Ok(Node::new(shape)),
            answer: None,
        }
    }

    fn happens(&mut self, shape: &Shape, path: &[(usize, u32)], what: What) {
        let Ok(top) = &mut self.top else { return };
        let then = match what {
            What::Ends(end) if path.is_empty() => {
                self.top = Err(end);
                return;
            }
            _ => top.happens(shape, path, what, &mut self.answer),
        };
        if then == Then::Ends {
            self.top = Err(End::Shutdown);
        }
    }

    /// All that may be in the end when all of this happens at once.
    pub fn outcomes(self, shape: &Shape, all: &[(Path, What)]) -> HashSet<Self> {
        let mut open = vec![(self, (1_u32 << all.len()) - 1)];
        let mut known = HashSet::new();
        let mut outcomes = HashSet::new();
        while let Some((world, left)) = open.pop() {
            let mut waiting = vec![];
            if let Ok(top) = &world.top {
                top.waiting(&mut vec![], &mut waiting);
            }
            if left == 0 && waiting.is_empty() {
                outcomes.insert(world);
                continue;
            }
            let mut next = |path: &Path, what, left| {
                let mut next = world.clone();
                next.happens(shape, path, what);
                if matches!(what, What::Call(..)) {
                    next.answer.get_or_insert(Answer::Nobody);
                }
                if known.insert((next.clone(), left)) {
                    open.push((next, left));
                }
            };
            for path in &waiting {
                next(path, What::Again, left);
            }
            for (at, (path, what)) in all.iter().enumerate() {
                if left & (1 << at) != 0 {
                    next(path, *what, left & !(1 << at));
                }
            }
        }
        outcomes
    }
}
