//! Exits, links, monitors and names compared with Erlang itself, on small programs made at random.
//!
//! Each scenario runs on an Erlang node, and here in simulation, many times in many orders. What was seen of each run
//! here must be allowed by a reference model of signal order; and what was seen on Erlang must come up here as well.
//! docs/COMPAT.md tells what is compared, and the differences.
//!
//! One alone: `OTP_VM_SCENARIO=17 cargo test -p otp-vm --test scenarios erlang -- --nocapture`.

mod erlang;
mod model;
mod ours;
mod rules;
mod scenario;
mod search;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::AddAssign;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ours::Stage;
use rules::{Broken, Grain, LIBERTIES, Liberty, Rules};
use scenario::{End, Event, Observation, Program, Reason, Scenario, Step};
use search::{Verdict, by, search};

/// As the issue has it.
const SCENARIOS: u64 = 2_000;
const RUNS_ON_ERLANG: u32 = 50;

/// Runs here of each scenario, before those that look for what was seen on Erlang.
const RUNS: usize = 60;
/// Runs in search of one observation: by a script of steps that leads to it if each also takes in what it was sent when
/// it should, which is left to chance; and without a script. Hardly any needs more than a hundred.
const SCRIPTED_RUNS: usize = 20_000;
const MORE_RUNS: usize = 2_000;

/// So much of what is seen on Erlang comes up here at least: it is 99 of a hundred. The model must allow the others,
/// but a simulation that left out orders would show nowhere else.
const FOUND_PERCENT: usize = 97;

/// So many observations, each of one run on Erlang, may be beyond the model: what comes up there once in a million runs
/// was met once, and there may be more like it. Each is printed. What is seen here has no such allowance.
const UNKNOWN_ON_ERLANG: usize = 2;

/// Runs one scenario, by its seed, and prints what was seen.
const ONE: &str = "OTP_VM_SCENARIO";

/// What came of scenarios.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    scenarios: usize,
    ours: usize,
    on_erlang: usize,
    /// Seen on Erlang and here.
    both: usize,
    /// Of these, those that a script had to lead to.
    by_script: usize,
    /// Seen on Erlang only: allowed, but where one process at a time runs it can't come up.
    at_once: usize,
    /// Seen on Erlang only, which takes liberties.
    at_liberty: [usize; LIBERTIES.len()],
    /// Seen on Erlang only, in one run, and beyond the model.
    unknown: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.scenarios += other.scenarios;
        self.ours += other.ours;
        self.on_erlang += other.on_erlang;
        self.both += other.both;
        self.by_script += other.by_script;
        self.at_once += other.at_once;
        for (sum, more) in self.at_liberty.iter_mut().zip(other.at_liberty) {
            *sum += more;
        }
        self.unknown += other.unknown;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} scenarios, {} observations here, all allowed; {} on Erlang, {} of them here ({} by a script), {} that \
             need two processes at once",
            self.scenarios, self.ours, self.on_erlang, self.both, self.by_script, self.at_once,
        )?;
        for (times, (_, what)) in self.at_liberty.iter().zip(LIBERTIES) {
            write!(formatter, ", {times} {what}")?;
        }
        write!(formatter, ", {} unknown", self.unknown)
    }
}

/// What is wrong with one scenario.
fn failure(seed: u64, what: &str, observation: &Observation, others: &[&Observation]) -> String {
    let scenario = Scenario::new(seed);
    let mut text = format!("scenario {seed}: {what}\n{scenario}this was seen:\n{observation}");
    let nearest = others.iter().min_by_key(|other| {
        let pairs = other.0.iter().zip(&observation.0);
        pairs.filter(|(one, other)| one != other).count()
    });
    if let Some(nearest) = nearest {
        text += &format!("and on the other side, most like it:\n{nearest}");
    }
    text + &format!(
        "once more: {ONE}={seed} cargo test -p otp-vm --test scenarios erlang -- --nocapture"
    )
}

/// What was seen here, and how often; and without the order that is nobody's promise.
#[derive(Debug, Default)]
struct Ours {
    times: HashMap<Observation, u32>,
    sorted: HashSet<Observation>,
}

impl Ours {
    fn add(&mut self, observation: Observation) {
        self.sorted.insert(observation.sorted());
        *self.times.entry(observation).or_default() += 1;
    }

    fn all(&self) -> Vec<&Observation> {
        self.times.keys().collect()
    }
}

/// Compares the runs of one scenario.
fn compare(
    seed: u64,
    scenario: &Scenario,
    on_erlang: &[(Observation, u32)],
) -> Result<Counts, String> {
    let mut stage = Stage::new(scenario, seed);
    let mut ours = Ours::default();
    for _ in 0..RUNS {
        ours.add(stage.run());
    }
    let theirs: Vec<_> = on_erlang
        .iter()
        .map(|(observation, _)| observation)
        .collect();
    let mut counts = Counts {
        scenarios: 1,
        on_erlang: theirs.len(),
        ..Counts::default()
    };
    for &(ref observation, times) in on_erlang {
        let sorted = observation.sorted();
        if ours.sorted.contains(&sorted) {
            counts.both += 1;
            continue;
        }
        let verdict = search(scenario, observation, by(Grain::Slices));
        let script = match &verdict {
            Verdict::Allowed(script) => Some(script),
            _ => None,
        };
        let runs = match verdict {
            Verdict::Allowed(_) => SCRIPTED_RUNS,
            Verdict::Refused => 0,
            Verdict::Undecided => MORE_RUNS,
        };
        let found = (0..runs).any(|_| {
            ours.add(match script {
                Some(script) => stage.run_by(script),
                None => stage.run(),
            });
            ours.sorted.contains(&sorted)
        });
        let is_allowed = |liberties| {
            let rules = Rules {
                liberties,
                ..by(Grain::Signals)
            };
            matches!(search(scenario, observation, rules), Verdict::Allowed(_))
        };
        if found {
            counts.both += 1;
            counts.by_script += 1;
        } else if script.is_some() {
            let what = "on Erlang, and never here";
            return Err(failure(seed, what, observation, &ours.all()));
        } else if is_allowed(&[]) {
            counts.at_once += 1;
        } else if let Some(taken) = LIBERTIES.iter().position(|&(its, _)| is_allowed(its)) {
            counts.at_liberty[taken] += 1;
        } else {
            let what = "on Erlang, and the model does not allow it";
            let failure = failure(seed, what, observation, &ours.all());
            if times > 1 {
                return Err(failure);
            }
            println!("{failure}");
            counts.unknown += 1;
        }
    }
    let ours = ours.times;
    for observation in ours.keys() {
        let verdict = search(scenario, observation, by(Grain::Signals));
        if !matches!(verdict, Verdict::Allowed(_)) {
            let what = format!("the model does not allow what is done here: {verdict:?}");
            return Err(failure(seed, &what, observation, &theirs));
        }
    }
    counts.ours = ours.len();
    stage.close();
    if std::env::var_os(ONE).is_some() {
        println!("{scenario}");
        for observation in ours.keys() {
            let times = on_erlang.iter().find(|(theirs, _)| theirs == observation);
            println!(
                "{} times here, {} on Erlang:",
                ours[observation],
                times.map_or(0, |times| times.1)
            );
            println!("{observation}");
        }
    }
    Ok(counts)
}

/// Compares scenarios, on as many threads as there are cores; fails with what is wrong, of a few of them.
fn compare_all(seeds: &[u64], scenarios: &[Scenario], on_erlang: &[erlang::Tally]) -> Counts {
    const FAILURES_SHOWN: usize = 5;
    let (next, results) = (
        AtomicUsize::new(0),
        Mutex::new((Counts::default(), Vec::new())),
    );
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(index) else {
                        return;
                    };
                    let result = compare(
                        seeds[index],
                        scenario,
                        on_erlang.get(index).map_or(&[], Vec::as_slice),
                    );
                    let mut results = results.lock().expect("nobody panics with it");
                    match result {
                        Ok(counts) => results.0 += counts,
                        Err(failure) => results.1.push(failure),
                    }
                }
            });
        }
    });
    let (counts, failures) = results.into_inner().expect("nobody panics with it");
    println!("{counts}");
    assert!(
        failures.is_empty(),
        "{} of {} scenarios differ. Some of them:\n\n{}",
        failures.len(),
        scenarios.len(),
        failures[..failures.len().min(FAILURES_SHOWN)].join("\n\n")
    );
    assert!(
        counts.unknown <= UNKNOWN_ON_ERLANG,
        "the model lacks something that Erlang does, see above: {counts}"
    );
    counts
}

#[test]
fn what_erlang_does_is_done_here_and_what_is_done_here_is_allowed() {
    let one = std::env::var(ONE).ok();
    let one = one.map(|seed| seed.parse::<u64>().expect("a number"));
    let seeds: Vec<u64> = one.map_or((0..SCENARIOS).collect(), |seed| vec![seed]);
    let scenarios: Vec<Scenario> = seeds.iter().map(|&seed| Scenario::new(seed)).collect();
    let on_erlang = erlang::run(&scenarios, RUNS_ON_ERLANG);
    let counts = compare_all(&seeds, &scenarios, &on_erlang.unwrap_or_default());
    assert!(
        one.is_some() || counts.both * 100 >= counts.on_erlang * FOUND_PERCENT,
        "most of what is seen on Erlang does not need two processes at once: {counts}"
    );
}

/// So that the comparison can fail.
#[test]
fn each_rule_of_the_model_is_needed() {
    const BROKEN: [Broken; 14] = [
        Broken::UnlinkUntold,
        Broken::KillIsTrapped,
        Broken::KilledByKill,
        Broken::LinkKills,
        Broken::NormalEnds,
        Broken::NormalEndsNotEvenOneself,
        Broken::TrapsNothing,
        Broken::NobodyIsLinked,
        Broken::NobodyIsMonitored,
        Broken::LateMonitorKnows,
        Broken::DownAfterDemonitor,
        Broken::FlushLeavesMessage,
        Broken::NameStays,
        Broken::TwoNames,
    ];
    const ENOUGH: u64 = 1_000;
    const RUNS: usize = 20;
    let mut unnoticed = BROKEN.to_vec();
    for seed in 0..ENOUGH {
        let scenario = Scenario::new(seed);
        let mut stage = Stage::new(&scenario, seed);
        let seen: HashSet<Observation> = (0..RUNS).map(|_| stage.run()).collect();
        unnoticed.retain(|&broken| {
            let rules = Rules {
                broken: Some(broken),
                ..by(Grain::Signals)
            };
            let is_refused = |seen| search(&scenario, seen, rules) == Verdict::Refused;
            !seen.iter().any(is_refused)
        });
        if unnoticed.is_empty() {
            return;
        }
    }
    panic!("these make no difference: {unnoticed:?}");
}

/// Both unlink at once, and one links anew before it knows: see `vm/src/process/links.rs`. Each poll finds nothing, so
/// neither has seen what the other did. Then the link that is made last holds.
#[test]
fn unlinks_that_cross_are_acknowledged() {
    let program = |root, steps: &[Step]| Program {
        root,
        steps: steps.to_vec(),
    };
    let scenario = Scenario {
        programs: vec![
            program(
                true,
                &[
                    Step::TrapExit(true),
                    Step::SpawnLink(1),
                    Step::Send(1, 1),
                    Step::Unlink(1),
                    Step::Poll,
                    Step::Receive,
                    Step::Receive,
                    Step::Link(1),
                    Step::Send(1, 4),
                ],
            ),
            program(
                false,
                &[
                    Step::Send(0, 2),
                    Step::Unlink(0),
                    Step::Link(0),
                    Step::Poll,
                    Step::Send(0, 3),
                    Step::Receive,
                    Step::Receive,
                    Step::Exit(Reason::Oops),
                ],
            ),
        ],
    };
    let maker = |told: &[Event]| {
        let before = [
            Event::Started,
            Event::Nothing,
            Event::Message(2),
            Event::Message(3),
        ];
        [&before, told].concat()
    };
    let child = vec![
        Event::Started,
        Event::Nothing,
        Event::Message(1),
        Event::Message(4),
    ];
    let observation = |told: &[Event]| {
        let child = (child.clone(), End::Ended(Reason::Oops));
        Observation(vec![(maker(told), End::Alive), child])
    };
    let (told, untold) = (
        observation(&[Event::Exit(1, Reason::Oops)]),
        observation(&[]),
    );
    let rules = by(Grain::Signals);
    let unacknowledged = Rules {
        broken: Some(Broken::UnlinkUnacknowledged),
        ..rules
    };
    let is_allowed = |seen, rules| matches!(search(&scenario, seen, rules), Verdict::Allowed(_));
    assert!(is_allowed(&told, rules) && !is_allowed(&untold, rules));
    assert!(is_allowed(&untold, unacknowledged) && !is_allowed(&told, unacknowledged));
}

/// As Erlang was seen to do it: the first link stands, and the exit signal that tells of the other's end is on its way.
#[test]
fn a_second_link_to_the_dead_may_be_told_so_first() {
    let program = |steps: &[Step]| Program {
        root: true,
        steps: steps.to_vec(),
    };
    let ends_the_other = [Step::Link(0), Step::Signal(0, Reason::Oops), Step::Link(0)];
    let scenario = Scenario {
        programs: vec![program(&[]), program(&ends_the_other)],
    };
    let observation = |reason| {
        let ended = |reason| (vec![Event::Started], End::Ended(reason));
        Observation(vec![ended(Reason::Oops), ended(reason)])
    };
    let rules = by(Grain::Signals);
    let anew = Rules {
        liberties: &[Liberty::LinksAnew],
        ..rules
    };
    let is_allowed = |reason, rules| {
        matches!(
            search(&scenario, &observation(reason), rules),
            Verdict::Allowed(_)
        )
    };
    assert!(is_allowed(Reason::Oops, rules) && !is_allowed(Reason::Noproc, rules));
    assert!(is_allowed(Reason::Oops, anew) && is_allowed(Reason::Noproc, anew));
}

/// As Erlang was seen to do it, on a busy machine: process 2 ends, and 3 is told so while 2 still has its name.
#[test]
fn who_ends_may_be_gone_before_its_name() {
    let program = |steps: &[Step]| Program {
        root: true,
        steps: steps.to_vec(),
    };
    let scenario = Scenario {
        programs: vec![
            program(&[Step::Register(0, 2), Step::Register(1, 0)]),
            program(&[Step::Register(1, 1), Step::Exit(Reason::Oops)]),
            program(&[Step::Link(1)]),
        ],
    };
    let observation = |is_free| {
        let registers = vec![Event::Started, Event::Done(false), Event::Done(is_free)];
        let named = vec![Event::Started, Event::Done(true)];
        Observation(vec![
            (registers, End::Alive),
            (named, End::Ended(Reason::Oops)),
            (vec![Event::Started], End::Ended(Reason::Noproc)),
        ])
    };
    let is_allowed = |is_free, liberties| {
        let rules = Rules {
            liberties,
            ..by(Grain::Signals)
        };
        let verdict = search(&scenario, &observation(is_free), rules);
        matches!(verdict, Verdict::Allowed(_))
    };
    assert!(is_allowed(true, &[]) && !is_allowed(false, &[]));
    assert!(is_allowed(false, &[Liberty::GoneBeforeItsName]));
}
