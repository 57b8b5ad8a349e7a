//! What `sys` tells of a process.

use std::time::Duration;

use otp_vm::{Atom, OwnedTerm, Pid, Term, from_term};

use super::client::SysError;
use super::handle::SysState;

/// What a process is doing. `{status, Pid, {module, Module}, [PDict, SysState, Parent, Debug, Misc]}`.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The process.
    pub pid: Pid,
    /// The module of its system callbacks: `gen_server`, for supervisors and agents as well.
    pub module: Atom,
    /// Its process dictionary: a list of pairs.
    pub dictionary: OwnedTerm,
    /// Whether it is suspended.
    pub state: SysState,
    /// Whose end ends it; itself, if nobody's does.
    pub parent: Pid,
    /// Its debug options.
    pub debug: OwnedTerm,
    /// What the behaviour shows: `[{header, Text}, {data, [{Name, Value}]}, {items, {Name, Values}}, …]`.
    pub misc: OwnedTerm,
}

impl Status {
    /// The value that a behaviour shows under this name: `State`, `Logged events`, … The last, if there are several.
    ///
    /// ```
    /// # use otp_stdlib::prelude::*;
    /// # use otp_stdlib::sys;
    /// # use otp_vm::{Context, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(async |mut cx: Context| {
    /// let flags = SupervisorFlags::one_for_one();
    /// let tree = Supervisor::start_link(&mut cx, flags, vec![]).name("tree").await.unwrap();
    /// let status = sys::get_status(&tree).call(&mut cx).await.unwrap();
    /// assert_eq!(status.data("Status").unwrap().to_string(), "running");
    /// # });
    /// # run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn data(&self, name: &str) -> Option<OwnedTerm> {
        let mut found = None;
        for item in self.misc.root().list_iter() {
            let Some(data) = item.as_tuple().and_then(|item| item.get(1)) else {
                continue;
            };
            // `{items, Pair}`, or `{data, [Pair]}`.
            let pairs = data.as_tuple().into_iter();
            let pairs = pairs.chain(data.list_iter().filter_map(|pair| pair.as_tuple()));
            for pair in pairs.filter(|pair| pair.len() == 2) {
                let is_it = pair.get(0).and_then(|name| name.as_str()) == Some(name);
                if let (true, Some(value)) = (is_it, pair.get(1)) {
                    found = OwnedTerm::copy_of((), value).ok();
                }
            }
        }
        found
    }

    pub(super) fn of(answer: Term<'_>) -> Result<Self, SysError> {
        let read = || {
            let tuple = answer.as_tuple().filter(|tuple| tuple.len() == 4)?;
            let module = tuple.get(2)?.as_tuple()?.get(1)?.as_atom()?;
            let [dictionary, state, parent, debug, misc]: [OwnedTerm; 5] = {
                let parts: Vec<OwnedTerm> = from_term(tuple.get(3)?).ok()?;
                parts.try_into().ok()?
            };
            Some(Self {
                pid: tuple.get(1)?.as_pid()?,
                module,
                dictionary,
                state: from_term(state.root()).ok()?,
                parent: parent.root().as_pid()?,
                debug,
                misc,
            })
        };
        read().ok_or_else(|| SysError::Encode(format!("{answer} is no status")))
    }
}

/// What a process has counted since it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// When it began: time since 1970, UTC.
    pub start_time: Duration,
    /// When it was asked.
    pub current_time: Duration,
    /// Reductions that the process used in between.
    pub reductions: u64,
    /// Messages that it took.
    pub messages_in: u64,
    /// Messages that it sent as answers.
    pub messages_out: u64,
}

impl Statistics {
    /// `no_statistics`, or a list of pairs.
    pub(super) fn of(answer: &OwnedTerm) -> Result<Option<Self>, SysError> {
        if answer.root().as_atom().map(Atom::as_str) == Some("no_statistics") {
            return Ok(None);
        }
        let bad = |_| SysError::Encode(format!("{answer} are no statistics"));
        let pairs: Vec<(Atom, u64)> = from_term(answer.root()).map_err(bad)?;
        let count = |name: &str| {
            let pair = pairs.iter().find(|(atom, _)| atom.as_str() == name);
            pair.map_or(0, |&(_, count)| count)
        };
        Ok(Some(Self {
            start_time: Duration::from_nanos(count("start_time")),
            current_time: Duration::from_nanos(count("current_time")),
            reductions: count("reductions"),
            messages_in: count("messages_in"),
            messages_out: count("messages_out"),
        }))
    }
}
