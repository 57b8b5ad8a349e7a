//! Debug options of a process: trace, log, statistics, and functions of one's own.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use otp_vm::{Context, OwnedTerm, Pid, atoms, to_term};
use serde::Serialize;

use super::event::{Direction, SystemEvent};
use crate::unwind::{caught, drop_caught};

/// How many events a log keeps unless told otherwise: OTP's 10.
pub const LOG_EVENTS: u64 = 10;

/// Most events that a log may be asked to keep. Chosen by feel: each is a copy of a message, and the log lies in the
/// process that is looked at.
pub const MAX_LOG_EVENTS: u64 = 1 << 16;

/// Most functions that can be installed in a process. Chosen by feel: each runs at each event.
pub const MAX_DEBUG_FUNCTIONS: usize = 64;

/// A function that sees each event of a process, and its name, in the process itself; by
/// [`Break`](ControlFlow::Break) it has seen enough, and is taken out, as one that panics is. OTP's `dbg_fun()`.
pub type DebugFunction =
    Box<dyn FnMut(&Context, &SystemEvent, &OwnedTerm) -> ControlFlow<()> + Send>;

/// An event of a process that is traced, or whose log is printed: a report for the handler that the VM was built with.
/// `tracing` has it as well, as `INFO`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traced {
    /// The process.
    pub pid: Pid,
    /// The event in words.
    pub text: String,
}

/// The debug options of a process. OTP's `[dbg_opt()]`.
#[derive(Default)]
pub struct Debug {
    trace: bool,
    log: Option<Log>,
    file: Option<File>,
    statistics: Option<Counts>,
    functions: Vec<Installed>,
}

/// A function, by the id that it was given. Where it goes, what it captured goes: the program's code, whose panics are
/// not those of the process that is looked at.
struct Installed {
    id: OwnedTerm,
    function: Option<DebugFunction>,
}

impl Drop for Installed {
    fn drop(&mut self) {
        drop_caught(self.function.take());
    }
}

struct Log {
    most: usize,
    /// With the line of text that `print` prints.
    events: VecDeque<(SystemEvent, String)>,
}

#[derive(Clone, Copy)]
struct Counts {
    start_time: u64,
    start_reductions: u64,
    messages_in: u64,
    messages_out: u64,
}

/// `[{start_time, …}, …]`.
#[derive(Serialize)]
pub(super) enum Count {
    StartTime(u64),
    CurrentTime(u64),
    Reductions(u64),
    MessagesIn(u64),
    MessagesOut(u64),
}

impl Debug {
    /// Whether there are none: then nobody looks at the process.
    pub fn is_empty(&self) -> bool {
        let Self {
            trace,
            log,
            file,
            statistics,
            functions,
        } = self;
        !trace && log.is_none() && file.is_none() && statistics.is_none() && functions.is_empty()
    }

    /// What there is to do at an event of the calling process: what [`Control::debug`](super::Control::debug) calls.
    /// `sys:handle_debug/4`.
    pub(super) fn handle(
        &mut self,
        cx: &Context,
        name: &OwnedTerm,
        event: SystemEvent,
        format: impl FnOnce(&SystemEvent) -> String,
    ) {
        self.functions.retain_mut(|Installed { function, .. }| {
            let Some(function) = function else {
                return false;
            };
            let seen = caught(|| function(cx, &event, name));
            seen.is_ok_and(|flow| flow.is_continue())
        });
        if let Some(counts) = &mut self.statistics {
            match event.direction() {
                Some(Direction::In) => counts.messages_in += 1,
                Some(Direction::Out) => counts.messages_out += 1,
                None => {}
            }
        }
        if !self.trace && self.log.is_none() && self.file.is_none() {
            return;
        }
        let text = format(&event);
        if self.trace {
            print(cx, text.clone());
        }
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{text}")
        {
            tracing::error!(pid = %cx.pid(), %error, "the log's file can't be written; it is closed");
            self.file = None;
        }
        if let Some(log) = &mut self.log {
            if log.events.len() == log.most {
                log.events.pop_front();
            }
            log.events.push_back((event, text));
        }
    }

    pub(super) fn trace(&mut self, on: bool) {
        self.trace = on;
    }

    /// Keeps this many events from now on, and those that are there already, as far as they are as many.
    pub(super) fn log(&mut self, most: u64) -> Result<(), OwnedTerm> {
        if most > MAX_LOG_EVENTS {
            return Err(super::text(&format!(
                "a log of {most} events; at most {MAX_LOG_EVENTS} are kept"
            )));
        }
        if most == 0 {
            self.log = None;
            return Ok(());
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let log = self.log.get_or_insert_with(|| Log {
            most,
            events: VecDeque::new(),
        });
        log.most = most;
        let spare = log.events.len().saturating_sub(most);
        log.events.drain(..spare);
        Ok(())
    }

    pub(super) fn print_log(&self, cx: &Context) {
        let events = self.log.iter().flat_map(|log| &log.events);
        events.for_each(|(_, text)| print(cx, text.clone()));
    }

    /// The events of the log, oldest first. `sys:get_log/1`.
    pub fn logged(&self) -> Vec<OwnedTerm> {
        let events = self.log.iter().flat_map(|log| &log.events);
        events.map(|(event, _)| event.to_term()).collect()
    }

    pub(super) fn log_to_file(&mut self, path: Option<&Path>) -> Result<(), OwnedTerm> {
        self.file = None;
        let Some(path) = path else { return Ok(()) };
        let file = File::create(path).map_err(|_| super::atom("open_file"))?;
        self.file = Some(file);
        Ok(())
    }

    pub(super) fn statistics(&mut self, cx: &Context, on: bool) {
        self.statistics = on.then(|| Counts {
            start_time: now(cx),
            start_reductions: cx.reductions(),
            messages_in: 0,
            messages_out: 0,
        });
    }

    pub(super) fn get_statistics(&self, cx: &Context) -> Option<[Count; 5]> {
        let counts = self.statistics?;
        Some([
            Count::StartTime(counts.start_time),
            Count::CurrentTime(now(cx)),
            Count::Reductions(cx.reductions() - counts.start_reductions),
            Count::MessagesIn(counts.messages_in),
            Count::MessagesOut(counts.messages_out),
        ])
    }

    /// One whose id is there already stays as it is.
    pub(super) fn install(
        &mut self,
        id: OwnedTerm,
        function: DebugFunction,
    ) -> Result<(), OwnedTerm> {
        let installed = Installed {
            id,
            function: Some(function),
        };
        if self.functions.iter().any(|other| other.id == installed.id) {
            return Ok(());
        }
        if self.functions.len() == MAX_DEBUG_FUNCTIONS {
            return Err(super::text(&format!(
                "{MAX_DEBUG_FUNCTIONS} functions are installed, as many as there may be; remove one"
            )));
        }
        self.functions.push(installed);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &OwnedTerm) {
        self.functions.retain(|other| other.id != *id);
    }

    /// The options as `get_status` shows them.
    pub(super) fn to_term(&self) -> OwnedTerm {
        #[derive(Serialize)]
        enum Shown {
            Trace,
            LogToFile,
            Log(usize, Vec<OwnedTerm>),
            Statistics(u64, u64, u64),
            Function(OwnedTerm),
        }
        let mut shown = Vec::new();
        shown.extend(self.trace.then_some(Shown::Trace));
        if let Some(log) = &self.log {
            shown.push(Shown::Log(log.most, self.logged()));
        }
        shown.extend(self.file.as_ref().map(|_| Shown::LogToFile));
        if let Some(counts) = self.statistics {
            let Counts {
                start_time,
                messages_in,
                messages_out,
                ..
            } = counts;
            shown.push(Shown::Statistics(start_time, messages_in, messages_out));
        }
        let ids = self
            .functions
            .iter()
            .map(|installed| installed.id.try_clone());
        shown.extend(ids.map(|id| Shown::Function(super::event::copy(id))));
        to_term(&shown).unwrap_or_else(|_| OwnedTerm::from(atoms::UNDEFINED))
    }
}

impl fmt::Debug for Debug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Debug")
            .field(&self.to_term())
            .finish()
    }
}

fn now(cx: &Context) -> u64 {
    u64::try_from(cx.system_time().as_nanos()).unwrap_or(u64::MAX)
}

/// A line for whoever reads along.
fn print(cx: &Context, text: String) {
    let pid = cx.pid();
    tracing::info!(event = "sys_trace", %pid, "{text}");
    cx.vm().report(&Traced { pid, text });
}
