//! Small programs of a few processes, made by a seed, and what is seen of one run.
//!
//! All of it passes as terms to the Erlang node: a step is `{link, 1}`, an event `{exit, 1, oops}`.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Stands for the pid of a process.
pub type Slot = u8;
/// One of two names.
pub type Name = u8;
/// Stands for a monitor's reference: each step that monitors has its own in the whole scenario.
pub type Mark = u8;

pub const NAMES: usize = 2;
pub const MAX_PROCESSES: usize = 6;

/// So many steps all programs of a scenario have together, about: what the search for a run has to weave.
const STEPS: usize = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Normal,
    Kill,
    Killed,
    Noproc,
    Oops,
    Bang,
}

/// One step of a program. What has a result is an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Spawn(Slot),
    SpawnLink(Slot),
    SpawnMonitor(Slot, Mark),
    Link(Slot),
    Unlink(Slot),
    Monitor(Slot, Mark),
    MonitorName(Name, Mark),
    /// With the option `info`.
    Demonitor(Mark),
    /// With `info` and `flush`.
    DemonitorFlush(Mark),
    TrapExit(bool),
    /// An exit signal: `exit/2`.
    Signal(Slot, Reason),
    /// The process's own end: `exit/1`.
    Exit(Reason),
    Register(Name, Slot),
    Unregister(Name),
    Whereis(Name),
    Send(Slot, u8),
    SendName(Name, u8),
    /// `receive … after 0`.
    Poll,
    /// Waits for a message, however long.
    Receive,
}

/// A process: whether it is there from the beginning, and what it does. After its last step it receives for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    pub root: bool,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub programs: Vec<Program>,
}

/// Something that a process saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Started,
    Message(u8),
    Exit(Slot, Reason),
    Down(Mark, Object, Reason),
    /// A poll that found no message.
    Nothing,
    /// What else answers yes or no; a `badarg` is no.
    Done(bool),
    Found(Option<Slot>),
}

/// What a monitor's message names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    Pid(Slot),
    Name(Name),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Alive,
    /// It never came to its first step. Why it ended then, if it was there at all, is not looked at.
    Unseen,
    Ended(Reason),
}

/// What one process saw, in order, and how it ended.
pub type Seen = (Vec<Event>, End);

/// What one run of a scenario was like, by slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Observation(pub Vec<Seen>);

impl Event {
    /// Whether it came out of the mailbox.
    pub fn is_received(self) -> bool {
        matches!(self, Self::Message(_) | Self::Exit(..) | Self::Down(..))
    }

    /// Whether both may tell of one end.
    fn tells_as(self, other: Self) -> bool {
        let who = |event| match event {
            Self::Exit(slot, _) | Self::Down(_, Object::Pid(slot), _) => Some(Some(slot)),
            Self::Down(_, Object::Name(_), _) => Some(None),
            _ => None,
        };
        match (who(self), who(other)) {
            (Some(one), Some(other)) => one == other || one.is_none() || other.is_none(),
            _ => false,
        }
    }
}

impl Observation {
    /// The same with those signals sorted that tell a process of the same end one after the other: their order is
    /// nobody's promise, and another on Erlang than here.
    pub fn sorted(&self) -> Self {
        let mut sorted = self.clone();
        for (events, _) in &mut sorted.0 {
            for of_one_end in events.chunk_by_mut(|one, other| one.tells_as(*other)) {
                of_one_end.sort();
            }
        }
        sorted
    }
}

impl Scenario {
    pub fn steps(&self) -> impl Iterator<Item = (Slot, Step)> {
        (0_u8..).zip(&self.programs).flat_map(|(slot, program)| {
            let steps = program.steps.iter();
            steps.map(move |&step| (slot, step))
        })
    }

    /// What the monitor of a mark names.
    pub fn object(&self, mark: Mark) -> Object {
        let object = self.steps().find_map(|(_, step)| match step {
            Step::SpawnMonitor(slot, its) | Step::Monitor(slot, its) if its == mark => {
                Some(Object::Pid(slot))
            }
            Step::MonitorName(name, its) if its == mark => Some(Object::Name(name)),
            _ => None,
        });
        object.expect("each mark is made by a step")
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (slot, program) in self.programs.iter().enumerate() {
            let child = if program.root { "" } else { " (spawned)" };
            writeln!(formatter, "  {slot}{child}: {:?}", program.steps)?;
        }
        Ok(())
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (slot, (events, end)) in self.0.iter().enumerate() {
            writeln!(formatter, "  {slot}: {events:?} {end:?}")?;
        }
        Ok(())
    }
}

/// Random numbers, the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Sorts of steps, of which each scenario prefers some: those that meddle with each other are to meet.
const SORTS: usize = 12;

struct Generator {
    random: Random,
    weights: [usize; SORTS],
    marks: Mark,
    messages: u8,
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let processes = 2 + random.below(MAX_PROCESSES - 1);
        let weights = std::array::from_fn(|_| random.pick(&[0, 1, 1, 4]));
        let mut generator = Generator {
            random,
            weights,
            marks: 0,
            messages: 0,
        };
        generator.scenario(processes)
    }
}

impl Generator {
    fn scenario(&mut self, processes: usize) -> Scenario {
        let parents: Vec<Option<usize>> = (0..processes)
            .map(|slot| (slot > 0 && self.random.one_in(3)).then(|| self.random.below(slot)))
            .collect();
        let roots = (0..processes).filter(|&slot| parents[slot].is_none());
        let roots: BTreeSet<Slot> = roots.map(|slot| slot as Slot).collect();
        // Whom each knows when it begins. A child is made by a parent of a lower number.
        let mut known = vec![roots; processes];
        let mut programs = Vec::new();
        for slot in 0..processes {
            let children = (0..processes).filter(|&child| parents[child] == Some(slot));
            let mut known_now = known[slot].clone();
            known_now.insert(slot as Slot);
            let mut steps = Vec::new();
            let mut own_marks = Vec::new();
            if self.random.below(5) < 2 {
                steps.push(Step::TrapExit(true));
            }
            let most = STEPS / processes + 1;
            let count = 1 + self.random.below(most);
            let mut unborn: Vec<usize> = children.collect();
            for left in (0..count + unborn.len()).rev() {
                if !unborn.is_empty() && self.random.below(left + 1) < unborn.len() {
                    let child = unborn.remove(0);
                    steps.push(self.spawn(child as Slot, &mut own_marks));
                    known_now.insert(child as Slot);
                    known[child].clone_from(&known_now);
                } else {
                    let step = self.step(slot as Slot, &known_now, &mut own_marks);
                    steps.push(step);
                    if matches!(step, Step::Exit(_)) {
                        break;
                    }
                }
            }
            let root = parents[slot].is_none();
            programs.push(Program { root, steps });
        }
        Scenario { programs }
    }

    fn spawn(&mut self, child: Slot, marks: &mut Vec<Mark>) -> Step {
        match self.random.below(5) {
            0 => Step::Spawn(child),
            1 | 2 => Step::SpawnLink(child),
            _ => Step::SpawnMonitor(child, self.mark(marks)),
        }
    }

    fn mark(&mut self, marks: &mut Vec<Mark>) -> Mark {
        let mark = self.marks;
        self.marks += 1;
        marks.push(mark);
        mark
    }

    fn message(&mut self) -> u8 {
        self.messages += 1;
        self.messages
    }

    fn sort(&mut self) -> usize {
        // Each now and then, whatever is preferred.
        let total: usize = self.weights.iter().sum();
        if total == 0 || self.random.one_in(6) {
            return self.random.below(SORTS);
        }
        let mut at = self.random.below(total);
        let sort = self.weights.iter().position(|&weight| {
            let is_it = at < weight;
            at = at.wrapping_sub(weight);
            is_it
        });
        sort.expect("it is below the total")
    }

    fn step(&mut self, own: Slot, known: &BTreeSet<Slot>, marks: &mut Vec<Mark>) -> Step {
        let others: Vec<Slot> = known.iter().copied().filter(|&slot| slot != own).collect();
        let other = if others.is_empty() || self.random.one_in(12) {
            own
        } else {
            self.random.pick(&others)
        };
        let name = self.random.below(NAMES) as Name;
        match self.sort() {
            0 => Step::Link(other),
            1 => Step::Unlink(other),
            2 => Step::Monitor(other, self.mark(marks)),
            3 => match self.random.below(3) {
                0 => Step::MonitorName(name, self.mark(marks)),
                1 => Step::Register(name, own),
                _ => Step::Register(name, other),
            },
            4 if !marks.is_empty() => match self.random.one_in(2) {
                true => Step::Demonitor(self.random.pick(marks)),
                false => Step::DemonitorFlush(self.random.pick(marks)),
            },
            5 => Step::TrapExit(!self.random.one_in(3)),
            6 => {
                let reasons = [Reason::Oops, Reason::Bang, Reason::Normal];
                Step::Signal(other, self.random.pick(&reasons))
            }
            7 => Step::Signal(other, Reason::Kill),
            8 => {
                let reasons = [Reason::Oops, Reason::Bang, Reason::Normal, Reason::Kill];
                Step::Exit(self.random.pick(&reasons))
            }
            9 => match self.random.below(4) {
                0 => Step::Unregister(name),
                1 => Step::SendName(name, self.message()),
                2 => Step::Register(name, other),
                _ => Step::Whereis(name),
            },
            10 => match self.random.one_in(3) {
                true => Step::Poll,
                false => Step::Receive,
            },
            _ => Step::Send(other, self.message()),
        }
    }
}
