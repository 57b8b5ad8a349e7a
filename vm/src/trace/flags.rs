//! What is traced of a process, and how events look: the trace flags of OTP.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::str::FromStr;

/// Trace flags: which events of a process are traced, how they are stamped, and who inherits the flags. Joined by `|`.
///
/// ```
/// use otp_vm::TraceFlags;
///
/// let flags = TraceFlags::SEND | TraceFlags::RECEIVE | TraceFlags::SET_ON_SPAWN;
/// assert!(flags.contains(TraceFlags::SEND));
/// assert_eq!(flags.to_string(), "[send,'receive',set_on_spawn]");
/// assert_eq!("procs".parse(), Ok(TraceFlags::PROCS));
/// assert!("sned".parse::<TraceFlags>().is_err());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TraceFlags(u16);

impl TraceFlags {
    /// Messages that the process sends: `{trace, Pid, send, Message, To}`, where `To` is a pid, or a name as it was
    /// given; `send_to_non_existing_process` in place of `send` if nobody has that pid.
    pub const SEND: Self = Self(1);
    /// Messages that reach the process: `{trace, Pid, 'receive', Message}`. A message is traced when the process
    /// takes it in from its mailbox, at the latest in its next slice, whether or not its body receives it; its place
    /// among the signals is kept. A time limit of a wait that is over is traced as the message `timeout`.
    pub const RECEIVE: Self = Self(1 << 1);
    /// `spawn`, `spawned`, `exit`, `link`, `unlink`, `getting_linked`, `getting_unlinked`, `register` and `unregister`.
    pub const PROCS: Self = Self(1 << 2);
    /// `{trace, Pid, in, InitialCall}` when a slice begins, `out` when the process gives way.
    pub const RUNNING: Self = Self(1 << 3);
    /// Events end with the system's time: `{trace_ts, …, {MegaSeconds, Seconds, Microseconds}}`; in a simulation,
    /// with the time since the VM was built. Of several kinds of stamps this one is taken, then the strict one.
    pub const TIMESTAMP: Self = Self(1 << 4);
    /// Events end with [`Context::monotonic_time`](crate::Context::monotonic_time), in nanoseconds.
    pub const MONOTONIC_TIMESTAMP: Self = Self(1 << 5);
    /// Events end with `{Nanoseconds, Number}`, where the number grows with each event that the tracer gets.
    pub const STRICT_MONOTONIC_TIMESTAMP: Self = Self(1 << 6);
    /// Events have the number of the scheduler at their end, before a stamp: from 1, and 0 on threads of the host's.
    pub const SCHEDULER_ID: Self = Self(1 << 7);
    /// Processes that the process spawns have all its flags from their beginning.
    pub const SET_ON_SPAWN: Self = Self(1 << 8);
    /// The next one does, without this flag; and then the process has it no more.
    pub const SET_ON_FIRST_SPAWN: Self = Self(1 << 9);
    /// As [`SET_ON_SPAWN`](Self::SET_ON_SPAWN), for those that it spawns with a link.
    pub const SET_ON_LINK: Self = Self(1 << 10);
    /// As [`SET_ON_FIRST_SPAWN`](Self::SET_ON_FIRST_SPAWN), for those that it spawns with a link.
    pub const SET_ON_FIRST_LINK: Self = Self(1 << 11);
    /// `{trace, Pid, gc_major_start, Info}` when a collection of the process's heap begins, `gc_major_end` when it is
    /// over. `Info` is a list of pairs, in words: `heap_size`, `heap_block_size`, `mbuf_size` (messages),
    /// `bin_vheap_size` (shared binaries), and `wordsize`, what was reclaimed. There are no minor collections here.
    pub const GARBAGE_COLLECTION: Self = Self(1 << 12);
    /// Every flag; to switch off whatever is on. `all`.
    pub const ALL: Self = Self((1 << 13) - 1);

    /// No flag.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all flags of `other` are set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether others come to be traced by them.
    pub(super) const fn are_inherited(self) -> bool {
        self.has_any(Self(
            Self::SET_ON_SPAWN.0
                | Self::SET_ON_FIRST_SPAWN.0
                | Self::SET_ON_LINK.0
                | Self::SET_ON_FIRST_LINK.0,
        ))
    }

    /// Whether a flag is in both.
    pub(super) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The flags by OTP's names.
const NAMES: [(&str, TraceFlags); 14] = [
    ("send", TraceFlags::SEND),
    ("receive", TraceFlags::RECEIVE),
    ("procs", TraceFlags::PROCS),
    ("running", TraceFlags::RUNNING),
    ("garbage_collection", TraceFlags::GARBAGE_COLLECTION),
    ("timestamp", TraceFlags::TIMESTAMP),
    ("monotonic_timestamp", TraceFlags::MONOTONIC_TIMESTAMP),
    (
        "strict_monotonic_timestamp",
        TraceFlags::STRICT_MONOTONIC_TIMESTAMP,
    ),
    ("scheduler_id", TraceFlags::SCHEDULER_ID),
    ("set_on_spawn", TraceFlags::SET_ON_SPAWN),
    ("set_on_first_spawn", TraceFlags::SET_ON_FIRST_SPAWN),
    ("set_on_link", TraceFlags::SET_ON_LINK),
    ("set_on_first_link", TraceFlags::SET_ON_FIRST_LINK),
    ("all", TraceFlags::ALL),
];

/// The text is no trace flag. `badarg` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such trace flag: give one of send, receive, procs, running, all, or see `TraceFlags`")]
pub struct UnknownTraceFlag;

impl FromStr for TraceFlags {
    type Err = UnknownTraceFlag;

    /// One flag, by OTP's name.
    fn from_str(name: &str) -> Result<Self, UnknownTraceFlag> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|&(_, flag)| flag).ok_or(UnknownTraceFlag)
    }
}

impl BitOr for TraceFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for TraceFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Display for TraceFlags {
    /// As OTP prints its list.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[")?;
        let set = NAMES.iter().filter(|(_, flag)| self.contains(*flag));
        for (n, (name, _)) in set.filter(|(name, _)| *name != "all").enumerate() {
            let comma = if n > 0 { "," } else { "" };
            match *name {
                "receive" => write!(formatter, "{comma}'receive'")?,
                name => write!(formatter, "{comma}{name}")?,
            }
        }
        formatter.write_str("]")
    }
}

impl fmt::Debug for TraceFlags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_a_flag_of_its_own_and_all_is_all_of_them() {
        let mut together = TraceFlags::empty();
        for (name, flag) in NAMES.into_iter().filter(|(name, _)| *name != "all") {
            assert!(!together.has_any(flag), "{name}");
            together |= flag;
        }
        assert_eq!(together, TraceFlags::ALL);
        assert_eq!(
            TraceFlags::ALL.without(TraceFlags::ALL),
            TraceFlags::empty()
        );
        assert_eq!(TraceFlags::empty().to_string(), "[]");
    }
}
