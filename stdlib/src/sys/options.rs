//! Debug options that a process starts with.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

use otp_vm::{Context, EncodeError, OwnedTerm, to_term};
use serde::Serialize;

use super::SystemEvent;
use super::debug::{Debug, DebugFunction, LOG_EVENTS};

/// How a process is looked at from its beginning, by [`Start::debug`](crate::gen_server::Start::debug): OTP's
/// `sys:debug_option()`.
///
/// One that can't be (a log of too many events, a file that can't be made) is passed over with a warning, and the start
/// goes on, as in OTP.
#[non_exhaustive]
pub enum DebugOption {
    /// `trace`: see [`trace`](super::trace).
    Trace,
    /// `log`: see [`log`](super::log).
    Log,
    /// `{log, N}`: so many events are kept. See [`log_most`](super::log_most).
    LogMost(u64),
    /// `{log_to_file, FileName}`: see [`log_to_file`](super::log_to_file).
    LogToFile(PathBuf),
    /// `statistics`: see [`statistics`](super::statistics).
    Statistics,
    /// `{install, {FuncId, Func, FuncState}}`: see [`install`](Self::install).
    Install(OwnedTerm, DebugFunction),
}

impl DebugOption {
    /// A function that sees each event, as one of [`sys::install`](super::install).
    ///
    /// # Errors
    /// When the id can't be a term.
    pub fn install<I, F>(id: &I, function: F) -> Result<Self, EncodeError>
    where
        I: Serialize + ?Sized,
        F: FnMut(&Context, &SystemEvent, &OwnedTerm) -> ControlFlow<()> + Send + 'static,
    {
        Ok(Self::Install(to_term(id)?, Box::new(function)))
    }
}

impl Debug {
    /// Those of the calling process. `sys:debug_options/1`.
    pub(super) fn of(cx: &Context, options: impl IntoIterator<Item = DebugOption>) -> Self {
        let mut debug = Self::default();
        for option in options {
            let shown = format!("{option:?}");
            let mut done = Ok(());
            match option {
                DebugOption::Trace => debug.trace(true),
                DebugOption::Log => done = debug.log(LOG_EVENTS),
                DebugOption::LogMost(most) => done = debug.log(most),
                DebugOption::LogToFile(path) => done = debug.log_to_file(Some(&path)),
                DebugOption::Statistics => debug.statistics(cx, true),
                DebugOption::Install(id, function) => done = debug.install(id, function),
            }
            if let Err(error) = done {
                let pid = cx.pid();
                tracing::warn!(
                    event = "sys_debug_option",
                    %pid,
                    option = shown,
                    %error,
                    "a debug option is passed over"
                );
            }
        }
        debug
    }
}

impl fmt::Debug for DebugOption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trace => formatter.write_str("Trace"),
            Self::Log => formatter.write_str("Log"),
            Self::LogMost(most) => formatter.debug_tuple("LogMost").field(most).finish(),
            Self::LogToFile(path) => formatter.debug_tuple("LogToFile").field(path).finish(),
            Self::Statistics => formatter.write_str("Statistics"),
            Self::Install(id, _) => formatter.debug_tuple("Install").field(id).finish(),
        }
    }
}
