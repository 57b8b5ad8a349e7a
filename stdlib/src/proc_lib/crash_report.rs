//! Crash reports: what is known of a process that ends by a failure of its own, and of those linked with it.
//!
//! Every process that [`proc_lib`](super) started makes one when its body panics, or ends with another reason than
//! `normal`, `shutdown` and `{shutdown, _}`. A process that is ended from outside, by an exit signal, makes none, as in
//! OTP: the report is of whoever failed first. It goes to the handler that the VM was built with, and to `tracing`, as
//! text.
//!
//! It is made while the process still is what it was: registered, linked, its mailbox full.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use otp_vm::{
    Ancestor, Atom, ExitReason, InitialCall, MAX_COPIED_BYTES, OwnedTerm, Pid, ProcessInfo, Status,
    Vm, atoms,
};

/// Most neighbours in a report: OTP's.
pub const MAX_NEIGHBOURS: usize = 15;

/// Most processes that are looked at to find those. Chosen by feel: a tree's width, but no million of links.
const MAX_EXAMINED: usize = 1000;

/// Most messages in a report, the oldest. Chosen by feel.
pub const MAX_MESSAGES: usize = 20;

/// Most links in a report. Chosen by feel.
pub const MAX_LINKS: usize = 100;

/// Most entries of the process dictionary in a report. Chosen by feel.
pub const MAX_DICTIONARY: usize = 100;

/// What failed, and how it was reported: see [`proc_lib`](super). The handler gets it by
/// `report.downcast_ref::<CrashReport>()`.
///
/// ```
/// use std::sync::mpsc;
/// use otp_stdlib::proc_lib::{self, CrashReport, Format};
/// use otp_vm::{Context, Vm};
///
/// let (sender, reports) = mpsc::channel();
/// let vm = Vm::builder()
///     .schedulers(1)
///     .report_handler(move |report| {
///         if let Some(report) = report.downcast_ref::<CrashReport>() {
///             sender.send(report.format(Format::new().single_line(true))).unwrap();
///         }
///     })
///     .build()?;
/// vm.run(async |cx: Context| {
///     proc_lib::spawn(&cx, async |cx: Context| cx.exit("no configuration")).unwrap();
/// })
/// .wait()?;
/// let text = reports.recv()?;
/// assert!(text.starts_with("crasher: initial call: "));
/// assert!(text.contains("exception exit: <<\"no configuration\">>, ancestors: [<0."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CrashReport {
    /// What it began with; None if it took the note away.
    pub initial_call: Option<InitialCall>,
    /// The process.
    pub pid: Pid,
    /// Its registered name.
    pub registered_name: Option<Atom>,
    /// Its label.
    pub label: Option<Atom>,
    /// What happened.
    pub error_info: ErrorInfo,
    /// Those above it, nearest first.
    pub ancestors: Vec<Ancestor>,
    /// How many messages wait.
    pub message_queue_len: usize,
    /// The oldest of them, [`MAX_MESSAGES`] at most, without those over [`otp_vm::MAX_COPIED_BYTES`].
    pub messages: Arc<[OwnedTerm]>,
    /// Whom it is linked with, the first [`MAX_LINKS`].
    pub links: Vec<Pid>,
    /// Its process dictionary without `$ancestors` and `$initial_call`, [`MAX_DICTIONARY`] entries at most, and none
    /// over [`otp_vm::MAX_COPIED_BYTES`].
    pub dictionary: Dictionary,
    /// Whether it traps exits.
    pub trap_exit: bool,
    /// What it was doing.
    pub status: Status,
    /// Bytes that the VM holds for it.
    pub memory: usize,
    /// Bytes that its own code allocated, if they are counted.
    pub native_memory: Option<usize>,
    /// Reductions that it had used, without its last slice.
    pub reductions: u64,
    /// Those linked with it that don't trap exits, and so end with it; those linked with them, and so on: the nearest
    /// first, [`MAX_NEIGHBOURS`] at most.
    pub neighbours: Vec<Neighbour>,
}

/// Keys and values of a process dictionary.
pub type Dictionary = Vec<(Arc<OwnedTerm>, Arc<OwnedTerm>)>;

/// How a process failed: `{Class, Reason, Stacktrace}`. A panic's place is in its reason, and its backtrace, if one is
/// captured, in the event of `tracing` that the VM makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorInfo {
    /// In which way.
    pub class: Class,
    /// Why.
    pub reason: ExitReason,
}

/// In which way a process failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It panicked.
    Error,
    /// It chose to end.
    Exit,
}

/// A process that ends with the one that failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Neighbour {
    /// The process.
    pub pid: Pid,
    /// Its registered name.
    pub registered_name: Option<Atom>,
    /// Its label.
    pub label: Option<Atom>,
    /// What it began with.
    pub initial_call: Option<InitialCall>,
    /// Those above it, nearest first.
    pub ancestors: Vec<Ancestor>,
    /// How many messages wait.
    pub message_queue_len: usize,
    /// Whom it is linked with, the first [`MAX_LINKS`].
    pub links: Vec<Pid>,
    /// Its process dictionary, as that of the process that failed.
    pub dictionary: Dictionary,
    /// Whether it traps exits: it does not, or it were no neighbour.
    pub trap_exit: bool,
    /// What it was doing.
    pub status: Status,
    /// Bytes that the VM holds for it.
    pub memory: usize,
    /// Reductions that it had used.
    pub reductions: u64,
}

/// Reports the end of a process, in its own last slice. Nothing is said of one that was ended from outside meanwhile.
pub(super) fn crashed(vm: &Vm, pid: Pid, class: Class, reason: &ExitReason) {
    if !reason.is_abnormal() || !vm.is_alive(pid) {
        return;
    }
    let Some(report) = CrashReport::of(vm, pid, class, reason) else {
        return;
    };
    let text = report.format(super::Format::new().chars_limit(super::format::EVENT_LIMIT_CHARS));
    tracing::error!(
        event = "crash_report",
        pid = %pid,
        registered_name = report.registered_name.map(|name| name.as_str()),
        label = report.label.map_or("", |label| label.as_str()),
        "crash report\n{text}"
    );
    vm.report(&report);
}

impl CrashReport {
    fn of(vm: &Vm, pid: Pid, class: Class, reason: &ExitReason) -> Option<Self> {
        let info = vm.process_info(pid)?;
        let (messages, message_queue_len) = vm.waiting_messages(pid, MAX_MESSAGES)?;
        let origin = vm.origin(pid);
        let neighbours = neighbours(vm, &info);
        Some(Self {
            initial_call: origin.as_ref().and_then(|_| vm.initial_call(pid)),
            pid,
            registered_name: info.registered_name,
            label: info.label,
            error_info: ErrorInfo {
                class,
                reason: reason.clone(),
            },
            ancestors: origin.map_or_else(Vec::new, |origin| origin.ancestors().to_vec()),
            message_queue_len,
            messages: messages.into(),
            links: first_links(info.links),
            dictionary: cleaned(info.dictionary),
            trap_exit: info.trap_exit,
            status: info.status,
            memory: info.memory,
            native_memory: info.native_memory,
            reductions: info.reductions,
            neighbours,
        })
    }
}

impl Neighbour {
    fn of(vm: &Vm, info: ProcessInfo) -> Self {
        let origin = vm.origin(info.pid);
        Self {
            pid: info.pid,
            registered_name: info.registered_name,
            label: info.label,
            initial_call: vm.initial_call(info.pid),
            ancestors: origin.map_or_else(Vec::new, |origin| origin.ancestors().to_vec()),
            message_queue_len: info.message_queue_len,
            links: first_links(info.links),
            dictionary: cleaned(info.dictionary),
            trap_exit: info.trap_exit,
            status: info.status,
            memory: info.memory,
            reductions: info.reductions,
        }
    }
}

/// What the report tells in lines of their own is left out.
fn cleaned(dictionary: Dictionary) -> Dictionary {
    let is_told = |key: &OwnedTerm| {
        let key = key.root().as_atom();
        key.is_some_and(|key| ["$ancestors", "$initial_call"].contains(&key.as_str()))
    };
    let is_small = |value: &OwnedTerm| value.bytes() <= MAX_COPIED_BYTES;
    let entries = dictionary
        .into_iter()
        .filter(|(key, value)| !is_told(key) && is_small(key) && is_small(value));
    entries.take(MAX_DICTIONARY).collect()
}

fn first_links(mut links: Vec<Pid>) -> Vec<Pid> {
    links.truncate(MAX_LINKS);
    links
}

/// Breadth first over links, past nobody that traps exits: what the end of the process takes along.
fn neighbours(vm: &Vm, of: &ProcessInfo) -> Vec<Neighbour> {
    let mut seen = HashSet::from([of.pid]);
    let mut next: VecDeque<Pid> = VecDeque::new();
    let enqueue = |links: &[Pid], next: &mut VecDeque<Pid>, seen: &mut HashSet<Pid>| {
        for &link in links {
            if seen.len() <= MAX_EXAMINED && seen.insert(link) {
                next.push_back(link);
            }
        }
    };
    enqueue(&of.links, &mut next, &mut seen);
    let mut found = Vec::new();
    while found.len() < MAX_NEIGHBOURS
        && let Some(pid) = next.pop_front()
    {
        let info = vm.process_info(pid).filter(|info| !info.trap_exit);
        if let Some(info) = info {
            enqueue(&info.links, &mut next, &mut seen);
            found.push(Neighbour::of(vm, info));
        }
    }
    found
}

/// The class of a reason that a body ended with. One that it returns may be that of a panic, too: behaviours catch the
/// panics of their callbacks.
pub(crate) fn class_of(reason: &ExitReason) -> Class {
    let term = reason.to_term();
    let tag = term
        .root()
        .as_tuple()
        .and_then(|tuple| tuple.get(0)?.as_atom());
    match tag {
        Some(atoms::PANIC) => Class::Error,
        _ => Class::Exit,
    }
}
