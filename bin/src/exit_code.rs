//! What the binary's exit codes mean. After a second signal, which doesn't wait for an orderly end, it is 128 and the
//! signal's number.

/// The module ended with `normal`, or in order after SIGTERM, SIGHUP or Ctrl-C.
pub const DONE: u8 = 0;
/// The module ended by itself with another reason: it crashed, or its restart intensity was exceeded. Also a workload
/// that failed, and output that can't be written, but for one whose reader is gone.
pub const FAILED: u8 = 1;
/// The command line or the configuration was wrong, or the module's function does not take what it gives.
pub const USAGE: u8 = 2;
/// The VM or the module could not be started: an address in use, a file missing.
pub const NOT_STARTED: u8 = 3;
/// The end was asked for, but some processes had to be killed.
pub const KILLED: u8 = 4;
