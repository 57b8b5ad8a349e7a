//! What a VM's memory goes into.

use otp_heap::OwnedTerm;

use crate::named_items::{figures, one};
use crate::process::table::ProcessTable;
use crate::process_info::bytes_of;
use crate::vm::Vm;

/// Bytes that a VM holds, by kind. `erlang:memory/0`.
///
/// What the program's own code allocates is not among them, nor is what the scheduler has for its threads, nor modules
/// and names. A program has one table of atoms and one count of shared binaries: with several VMs each shows the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// Processes and system together.
    pub total: usize,
    /// All of [`ProcessInfo::memory`](crate::ProcessInfo::memory): control blocks, bodies, heaps, dictionaries,
    /// mailboxes.
    pub processes: usize,
    /// The same without the room on heaps that nothing lies in yet.
    pub processes_used: usize,
    /// Part of `processes`: terms, on heaps and in dictionaries, and the messages in mailboxes.
    pub heaps: usize,
    /// What belongs to no process: atoms, shared binaries, tables, timers, and control blocks that wait for a process.
    pub system: usize,
    /// The table of atoms, the room in it for atoms to come included.
    pub atom: usize,
    /// What the atoms take that there are.
    pub atom_used: usize,
    /// Shared binaries (of more than 64 bytes in messages, and all that Rust code holds), each once. Exact.
    pub binary: usize,
    /// Rows of tables.
    pub ets: usize,
    /// Timers that wait to send, with their messages; those in the scheduler's wheel are not counted again.
    pub timers: usize,
    /// What the VM's allocator, mimalloc, has from the system, for all VMs of the program: messages, heaps, rows and
    /// shared binaries, with what lies free in it; and the program's other memory if it installs
    /// [`AccountingAllocator`](crate::AccountingAllocator). No part of `total`, which counts by kind.
    pub allocator: usize,
}

impl MemoryInfo {
    /// `[{total, Bytes}, {processes, Bytes}, …]`, as `erlang:memory/0` gives it.
    pub fn to_term(&self) -> OwnedTerm {
        one(|builder| figures(builder, &self.by_name()))
    }

    /// Bytes of one kind, by OTP's name: `erlang:memory/1`. None if there is no such kind; `code` is none, since
    /// modules are part of the program.
    ///
    /// ```
    /// # let vm = otp_vm::Vm::builder().schedulers(1).build()?;
    /// let memory = vm.memory();
    /// assert_eq!(memory.get("atom_used"), Some(memory.atom_used));
    /// assert_eq!(memory.get("code"), None);
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub fn get(&self, kind: &str) -> Option<usize> {
        let mut all = self.by_name().into_iter();
        all.find(|&(name, _)| name == kind).map(|(_, bytes)| bytes)
    }

    fn by_name(&self) -> [(&'static str, usize); 9] {
        [
            ("total", self.total),
            ("processes", self.processes),
            ("processes_used", self.processes_used),
            ("system", self.system),
            ("atom", self.atom),
            ("atom_used", self.atom_used),
            ("binary", self.binary),
            ("ets", self.ets),
            ("timers", self.timers),
        ]
    }
}

impl Vm {
    /// What the VM's memory goes into. Each process is looked at once, while the others run: it costs as many looks.
    /// `erlang:memory/0`.
    ///
    /// ```
    /// # let vm = otp_vm::Vm::builder().schedulers(1).build()?;
    /// let memory = vm.memory();
    /// assert_eq!(memory.total, memory.processes + memory.system);
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub fn memory(&self) -> MemoryInfo {
        let core = self.core();
        let (mut processes, mut unused, mut heaps, mut looked_at) = (0, 0, 0, 0);
        for pid in self.processes_iterator() {
            if let Some(bytes) = bytes_of(self, pid) {
                looked_at += 1;
                processes += bytes.all;
                unused += bytes.unused;
                heaps += bytes.terms;
            }
        }
        let atoms = otp_heap::atom_bytes();
        let binary = otp_heap::shared_binary_bytes();
        let ets = core.tables.bytes();
        let timers = core.timers.bytes();
        let vacant = core
            .processes
            .bytes()
            .saturating_sub(looked_at * ProcessTable::BYTES_PER_PROCESS);
        let system = atoms.allocated + binary + ets + timers + vacant;
        MemoryInfo {
            total: processes + system,
            processes,
            processes_used: processes - unused,
            heaps,
            system,
            atom: atoms.allocated,
            atom_used: atoms.used,
            binary,
            ets,
            timers,
            allocator: otp_heap::allocator_bytes(),
        }
    }
}
