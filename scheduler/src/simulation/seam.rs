//! What the rest of the scheduler finds in place of threads when it is simulated.

use std::io;

use crate::header::Task;
use crate::lock::Mutex;
use crate::random::{SplitMix, mix};

/// Lies in the core. The loop that owns the simulation takes out of it what others put in.
#[derive(Debug)]
pub(crate) struct Simulated {
    seed: u64,
    /// Tasks that became ready, in order. The only queue: a simulation has no worker, so every push comes here.
    pushed: Mutex<Vec<Task>>,
    /// The program's random numbers. Apart from the loop's, so that the one does not shift the other.
    random: Mutex<SplitMix>,
}

impl Simulated {
    pub(crate) fn new(seed: u64) -> Simulated {
        Simulated {
            seed,
            pushed: Mutex::new(Vec::new()),
            random: Mutex::new(SplitMix::new(mix(!seed))),
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn push(&self, task: Task) {
        self.pushed.lock().push(task);
    }

    /// Moves what was pushed to the end of `into`.
    pub(super) fn take(&self, into: &mut Vec<Task>) {
        into.append(&mut self.pushed.lock());
    }

    pub(crate) fn random(&self) -> u64 {
        self.random.lock().next()
    }

    pub(crate) fn refuse_io(&self) -> io::Error {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "a simulation (this one has the seed {}) has no sockets: what comes from outside would not come \
                 again in a replay. Put a process that plays the other side in the socket's place",
                self.seed
            ),
        )
    }
}
