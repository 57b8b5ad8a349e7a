//! Many seeds, and one seed twice.

use std::env;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Builder, Simulation, Step, Trace};
use crate::panics::{forget_payload, panic_text};

/// The environment variable that makes [`Builder::explore`] run the one seed that it names.
pub const SEED_VARIABLE: &str = "OTP_SIMULATION_SEED";

/// What went wrong under a seed. Its `Debug` form is its text, for tests that unwrap it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The run answered an error, or panicked.
    Failed {
        /// The seed.
        seed: u64,
        /// What it said.
        message: String,
        /// What was done until then.
        trace: Trace,
    },
    /// Two runs under one seed were not the same.
    Differs {
        /// The seed.
        seed: u64,
        /// The first step that differs, as each of the runs had it; `None` for a run that ended before it.
        steps: Box<[Option<Step>; 2]>,
        /// What was done the first time, up to that step.
        trace: Trace,
    },
    /// It did not come to a run: [`Builder::build`] failed, or the environment variable has no number.
    NotRun {
        /// The seed.
        seed: u64,
        /// Why.
        message: String,
    },
}

impl Failure {
    /// The seed.
    pub fn seed(&self) -> u64 {
        match self {
            Failure::Failed { seed, .. }
            | Failure::Differs { seed, .. }
            | Failure::NotRun { seed, .. } => *seed,
        }
    }
}

impl Error for Failure {}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed {
                seed,
                message,
                trace,
            } => {
                write!(
                    formatter,
                    "under the seed {seed}: {message}\n{SEED_VARIABLE}={seed} runs this seed alone."
                )?;
                let trace = trace.to_string();
                if message.contains(&trace) {
                    return Ok(());
                }
                write!(formatter, " {trace}")
            }
            Failure::Differs { seed, steps, trace } => {
                write!(
                    formatter,
                    "two runs under the seed {seed} differ: something comes from outside the simulation (real time, \
                     an address, a `HashMap`'s order, another thread)"
                )?;
                for (step, run) in steps.iter().zip(["first", "second"]) {
                    match step {
                        Some(step) => write!(formatter, "\n{run:>6}: {step}")?,
                        None => write!(formatter, "\n{run:>6}: has ended")?,
                    }
                }
                write!(formatter, "\nUntil then: {trace}")
            }
            Failure::NotRun { seed, message } => {
                write!(formatter, "the seed {seed} was not run: {message}")
            }
        }
    }
}

impl Builder {
    /// Runs the same under each of many seeds, up to the first failure: an error or a panic of `run`. Answers how many
    /// seeds it ran. With [`OTP_SIMULATION_SEED`](SEED_VARIABLE) in the environment it runs that seed only.
    ///
    /// A panic in a *task* is the task's: `run` should look at the results of the tasks.
    ///
    /// # Errors
    ///
    /// The first failure, with its seed and the last steps.
    pub fn explore<R>(
        &self,
        seeds: impl IntoIterator<Item = u64>,
        mut run: R,
    ) -> Result<u64, Failure>
    where
        R: FnMut(&mut Simulation) -> Result<(), Box<dyn Error>>,
    {
        if let Some(seed) = seed_of_environment()? {
            return self.once(seed, &mut run).map(|_| 1);
        }
        let mut count = 0;
        for seed in seeds {
            self.once(seed, &mut run)?;
            count += 1;
        }
        Ok(count)
    }

    /// Runs the same twice under one seed. The answer is the trace, with as many steps as are to be kept.
    ///
    /// Both runs keep all their steps until they were compared, some 60 bytes each.
    ///
    /// # Errors
    ///
    /// The first step in which they differ, or a failure of one.
    pub fn replay<R>(&self, seed: u64, mut run: R) -> Result<Trace, Failure>
    where
        R: FnMut(&mut Simulation) -> Result<(), Box<dyn Error>>,
    {
        let all = self.clone().keep_steps(usize::MAX);
        let traces = [(); 2].map(|()| all.once(seed, &mut run));
        let traces_of = traces.each_ref().map(|result| match result {
            Ok(trace) | Err(Failure::Failed { trace, .. }) => Some(trace),
            Err(_) => None,
        });
        // Before any failure: one that comes but once is a difference.
        if let [Some(first), Some(second)] = traces_of
            && let Some(number) = first.first_difference(second)
        {
            let steps = [first.step(number), second.step(number)];
            return Err(Failure::Differs {
                seed,
                steps: Box::new(steps),
                trace: first.up_to(number).shortened(self.keep_steps),
            });
        }
        let [first, second] = traces;
        let shortened = |failure| match failure {
            Failure::Failed {
                seed,
                message,
                trace,
            } => Failure::Failed {
                seed,
                message,
                trace: trace.shortened(self.keep_steps),
            },
            other => other,
        };
        let trace = first.map_err(shortened)?;
        second.map_err(shortened)?;
        Ok(trace.shortened(self.keep_steps))
    }

    fn once<R>(&self, seed: u64, run: &mut R) -> Result<Trace, Failure>
    where
        R: FnMut(&mut Simulation) -> Result<(), Box<dyn Error>>,
    {
        let mut simulation = self.build(seed).map_err(|error| Failure::NotRun {
            seed,
            message: error.to_string(),
        })?;
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut simulation)));
        let trace = simulation.trace().clone();
        let message = match result {
            Ok(Ok(())) => return Ok(trace),
            Ok(Err(error)) => error.to_string(),
            Err(payload) => {
                let text = format!("a panic: {}", panic_text(&*payload));
                forget_payload(payload);
                text
            }
        };
        Err(Failure::Failed {
            seed,
            message,
            trace,
        })
    }
}

fn seed_of_environment() -> Result<Option<u64>, Failure> {
    let Some(value) = env::var_os(SEED_VARIABLE) else {
        return Ok(None);
    };
    let seed = value.to_str().and_then(|value| value.parse().ok());
    seed.map(Some).ok_or_else(|| Failure::NotRun {
        seed: 0,
        message: format!("{SEED_VARIABLE} is {value:?}; give the number of the seed, or unset it"),
    })
}
