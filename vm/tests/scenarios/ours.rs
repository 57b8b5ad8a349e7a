//! Runs on the VM, in simulation: each run of a scenario in another order.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use otp_vm::simulation::Simulation;
use otp_vm::{Context, ExitReason, HostMailbox, Message, Monitored, Pid, Ref, Vm};

use crate::scenario::{
    End, Event, MAX_PROCESSES, Mark, NAMES, Name, Object, Observation, Random, Reason, Scenario,
    Slot, Step,
};

const NAMED: [&str; NAMES] = ["scenario_a", "scenario_b"];

/// A VM in which one scenario runs again and again.
pub struct Stage {
    simulation: Simulation,
    vm: Vm,
    run: Arc<Run>,
    random: Random,
}

/// What the processes of a run share. One thread runs them all.
struct Run {
    scenario: Scenario,
    /// Monitors them all.
    mailbox: Mutex<HostMailbox>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    pids: Vec<Option<Pid>>,
    marks: HashMap<Ref, Mark>,
    events: Vec<Vec<Event>>,
    ends: Vec<Option<Reason>>,
    /// Eighths: how often each process gives way before a step.
    paces: [u64; MAX_PROCESSES],
    /// Whose steps are next; without one the simulation decides.
    script: Option<VecDeque<Slot>>,
    wakers: [Option<Waker>; MAX_PROCESSES],
}

impl Stage {
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let simulation = Simulation::new(seed).expect("a simulation");
        let vm = Vm::builder()
            .max_processes(64)
            .simulate(&simulation)
            .build()
            .expect("a VM");
        let mailbox = vm.mailbox().expect("a mailbox");
        let run = Run {
            scenario: scenario.clone(),
            mailbox: Mutex::new(mailbox),
            book: Mutex::default(),
        };
        Self {
            simulation,
            vm,
            run: Arc::new(run),
            random: Random::new(seed),
        }
    }

    /// One run, in an order of the seed's.
    pub fn run(&mut self) -> Observation {
        self.perform(None)
    }

    /// One run in which the processes take their steps in this order. What they take in between, and when, is still the
    /// seed's.
    pub fn run_by(&mut self, script: &[Slot]) -> Observation {
        self.perform(Some(script.iter().copied().collect()))
    }

    fn perform(&mut self, script: Option<VecDeque<Slot>>) -> Observation {
        let programs = &self.run.scenario.programs;
        let count = programs.len();
        let pace = [0, 1, 4, 8];
        *self.run.book() = Book {
            pids: vec![None; count],
            events: vec![Vec::new(); count],
            ends: vec![None; count],
            paces: std::array::from_fn(|_| pace[self.random.below(pace.len())]),
            script,
            ..Book::default()
        };
        for slot in (0..count).filter(|&slot| programs[slot].root) {
            let (slot, run) = (slot as Slot, Arc::clone(&self.run));
            let pid = self.vm.spawn(move |cx| process(cx, slot, run));
            self.run.joins(slot, pid.expect("a process"));
        }
        self.simulation.run().expect("an end");
        if self.run.book().ends_script() {
            self.simulation.run().expect("an end");
        }
        self.run.note_ends();
        let (observation, left) = {
            let book = self.run.book();
            let left = (0..count).filter(|&slot| book.ends[slot].is_none());
            let left: Vec<Pid> = left.filter_map(|slot| book.pids[slot]).collect();
            (book.observation(), left)
        };
        for pid in left {
            let mailbox = self.run.mailbox();
            mailbox.context().exit_process(pid, ExitReason::kill());
        }
        self.simulation.run().expect("an end");
        self.run.note_ends();
        // The mailbox's own process is left, and nobody else.
        assert_eq!(self.vm.processes().len(), 1);
        assert!(self.vm.registered().is_empty());
        observation
    }

    /// Everything is over, in order.
    pub fn close(self) {
        let Self {
            mut simulation,
            vm,
            run,
            ..
        } = self;
        drop(run);
        let shutdown = vm.shutdown(Duration::from_secs(5));
        let report = simulation.block_on(shutdown).expect("an end");
        assert!(report.is_orderly(), "{report:?}");
    }
}

impl Run {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics with it")
    }

    fn mailbox(&self) -> MutexGuard<'_, HostMailbox> {
        self.mailbox.lock().expect("nobody panics with it")
    }

    /// Before the process has a slice.
    fn joins(&self, slot: Slot, pid: Pid) {
        self.book().pids[usize::from(slot)] = Some(pid);
        self.mailbox().context().monitor(pid);
    }

    fn tell(&self, slot: Slot, event: Event) {
        self.book().events[usize::from(slot)].push(event);
    }

    fn pid(&self, slot: Slot) -> Pid {
        let pid = self.book().pids[usize::from(slot)];
        pid.expect("programs name whom they know")
    }

    fn reference(&self, mark: Mark) -> Ref {
        let book = self.book();
        let of_mark = book.marks.iter().find(|&(_, &its)| its == mark);
        *of_mark.expect("the monitor was made").0
    }

    fn mark(&self, mark: Mark, reference: Ref) {
        self.book().marks.insert(reference, mark);
    }

    fn event(&self, message: &Message) -> Event {
        if let Some(exit) = message.exit() {
            return Event::Exit(self.book().slot(exit.from), known(&exit.reason));
        }
        if let Some(down) = message.down() {
            let book = self.book();
            let object = match down.object {
                Monitored::Pid(pid) => Object::Pid(book.slot(pid)),
                Monitored::Name(name) => {
                    let name = NAMED.iter().position(|&known| *name.as_str() == *known);
                    Object::Name(name.expect("one of the names") as Name)
                }
                Monitored::TimeOffset => unreachable!("no scenario monitors it"),
            };
            return Event::Down(book.marks[&down.reference], object, known(&down.reason));
        }
        Event::Message(message.decode().expect("a number"))
    }

    /// Gives way, or waits for the process's turn.
    async fn pause(&self, cx: &Context, slot: Slot) {
        let (scripted, pace) = {
            let book = self.book();
            (book.script.is_some(), book.paces[usize::from(slot)])
        };
        if scripted {
            poll_fn(|task| self.book().turn(slot, task)).await;
        }
        while cx.random() % 8 < pace {
            cx.yield_now().await;
            if cx.random().is_multiple_of(2) {
                break;
            }
        }
    }

    fn note_ends(&self) {
        let mut mailbox = self.mailbox();
        let mut task = task::Context::from_waker(Waker::noop());
        while let Poll::Ready(message) = pin!(mailbox.receive()).poll(&mut task) {
            let down = message.expect("the mailbox stands").down();
            let down = down.expect("nobody else sends to it");
            let mut book = self.book();
            let slot = book.slot(down.object.pid().expect("monitored by pid"));
            book.ends[usize::from(slot)] = Some(known(&down.reason));
        }
    }
}

impl Book {
    fn slot(&self, pid: Pid) -> Slot {
        let slot = self.pids.iter().position(|&its| its == Some(pid));
        slot.expect("a process of the scenario") as Slot
    }

    /// Ready when the next step is this process's.
    fn turn(&mut self, slot: Slot, task: &task::Context<'_>) -> Poll<()> {
        let Some(script) = &mut self.script else {
            return Poll::Ready(());
        };
        if script.front() != Some(&slot) {
            self.wakers[usize::from(slot)] = Some(task.waker().clone());
            return Poll::Pending;
        }
        script.pop_front();
        match script.front() {
            // It runs once this slice is over.
            Some(&next) => self.wake(next),
            None => drop(self.ends_script()),
        }
        Poll::Ready(())
    }

    fn wake(&mut self, slot: Slot) {
        if let Some(waker) = self.wakers[usize::from(slot)].take() {
            waker.wake();
        }
    }

    /// From here on everybody goes on as the simulation has it. Whether there was a script.
    fn ends_script(&mut self) -> bool {
        let was_scripted = self.script.take().is_some();
        for slot in 0..MAX_PROCESSES {
            self.wake(slot as Slot);
        }
        was_scripted
    }

    fn observation(&self) -> Observation {
        let seen = self.events.iter().zip(&self.ends);
        let seen = seen.map(|(events, &end)| match end {
            _ if events.is_empty() => (Vec::new(), End::Unseen),
            Some(reason) => (events.clone(), End::Ended(reason)),
            None => (events.clone(), End::Alive),
        });
        Observation(seen.collect())
    }
}

fn known(reason: &ExitReason) -> Reason {
    let known = reason.decode();
    known.unwrap_or_else(|_| panic!("{reason} is no reason of a scenario"))
}

/// A process of the scenario. In a box: it spawns its like.
fn process(mut cx: Context, slot: Slot, run: Arc<Run>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        run.pause(&cx, slot).await;
        run.tell(slot, Event::Started);
        let steps = run.scenario.programs[usize::from(slot)].steps.clone();
        for step in steps {
            run.pause(&cx, slot).await;
            let event = match step {
                Step::Receive => Some(run.event(&cx.receive().await)),
                Step::Poll => {
                    let message = cx.receive_timeout(Duration::ZERO).await;
                    Some(message.map_or(Event::Nothing, |message| run.event(&message)))
                }
                step => act(&cx, &run, step),
            };
            if let Some(event) = event {
                run.tell(slot, event);
            }
        }
        loop {
            run.pause(&cx, slot).await;
            let message = cx.receive().await;
            run.tell(slot, run.event(&message));
        }
    })
}

/// A step that does not wait.
fn act(cx: &Context, run: &Arc<Run>, step: Step) -> Option<Event> {
    let body = |slot| {
        let run = Arc::clone(run);
        move |cx| process(cx, slot, run)
    };
    let name = |name: Name| NAMED[usize::from(name)];
    let done = |done| Some(Event::Done(done));
    match step {
        Step::Spawn(slot) => run.joins(slot, cx.spawn(body(slot)).expect("a process")),
        Step::SpawnLink(slot) => run.joins(slot, cx.spawn_link(body(slot)).expect("a process")),
        Step::SpawnMonitor(slot, mark) => {
            let (pid, reference) = cx.spawn_monitor(body(slot)).expect("a process");
            run.joins(slot, pid);
            run.mark(mark, reference);
        }
        Step::Link(slot) => cx.link(run.pid(slot)),
        Step::Unlink(slot) => cx.unlink(run.pid(slot)),
        Step::Monitor(slot, mark) => run.mark(mark, cx.monitor(run.pid(slot))),
        Step::MonitorName(named, mark) => run.mark(mark, cx.monitor(name(named))),
        Step::Demonitor(mark) => return done(cx.demonitor(run.reference(mark))),
        Step::DemonitorFlush(mark) => return done(cx.demonitor_flush(run.reference(mark))),
        Step::TrapExit(traps) => drop(cx.trap_exit(traps)),
        Step::Signal(slot, reason) => cx.exit_process(run.pid(slot), ExitReason::new(&reason)),
        Step::Exit(reason) => cx.exit(ExitReason::new(&reason)),
        Step::Register(named, slot) => {
            return done(cx.register(name(named), run.pid(slot)).is_ok());
        }
        Step::Unregister(named) => return done(cx.unregister(name(named)).is_some()),
        Step::Whereis(named) => {
            let pid = cx.whereis(name(named));
            return Some(Event::Found(pid.map(|pid| run.book().slot(pid))));
        }
        Step::Send(slot, number) => cx.send(run.pid(slot), &number).expect("it is sent"),
        Step::SendName(named, number) => return done(cx.send(name(named), &number).is_ok()),
        Step::Poll | Step::Receive => unreachable!("they wait"),
    }
    None
}
