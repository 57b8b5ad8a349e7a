//! What is known of a VM, item by item, as terms.

use otp_heap::{Builder, OwnedTerm, atoms};

use crate::info::SystemInfo;
use crate::named_items::{atom, named_items, one};
use crate::vm::Vm;

named_items! {
    /// An item of `system_info/1`, by OTP's name.
    ///
    /// Those are not among them that have no meaning here: of ports, of code, of dirty schedulers, of the emulator's
    /// build and flags, and of distribution.
    SystemInfoItem
    /// A list of `{normal, Schedulers, Online, Active}`: one, since here is no other kind.
    AllSchedulersState "all_schedulers_state"
    /// A number.
    AtomCount "atom_count"
    /// A number.
    AtomLimit "atom_limit"
    /// A number: tables.
    EtsCount "ets_count"
    /// A number: most tables.
    EtsLimit "ets_limit"
    /// A number: the processors that the machine may have.
    LogicalProcessors "logical_processors"
    /// A number: those that the program may use.
    LogicalProcessorsAvailable "logical_processors_available"
    /// A number: those that run.
    LogicalProcessorsOnline "logical_processors_online"
    /// An atom: `on_heap`, `off_heap`.
    MessageQueueData "message_queue_data"
    /// An atom: `disabled`, `enabled`, `blocked_normal`.
    MultiScheduling "multi_scheduling"
    /// A list of pids.
    NormalMultiSchedulingBlockers "normal_multi_scheduling_blockers"
    /// A number.
    ProcessCount "process_count"
    /// A number.
    ProcessLimit "process_limit"
    /// The scheduler's number, from 1, that runs who asks; 0 elsewhere.
    SchedulerId "scheduler_id"
    /// A number.
    Schedulers "schedulers"
    /// A number.
    SchedulersOnline "schedulers_online"
    /// A number: 0, since monotonic time begins when the VM is built.
    StartTime "start_time"
    /// A text: the version of this library.
    Version "version"
    /// A number: bytes of a word.
    Wordsize "wordsize"
}

impl Vm {
    /// One item of what is known of the VM. `system_info(Item)`.
    ///
    /// ```
    /// use otp_vm::{SystemInfoItem, Vm};
    ///
    /// let vm = Vm::builder().schedulers(2).max_processes(1000).build()?;
    /// let item = SystemInfoItem::from_name("process_limit").unwrap();
    /// assert_eq!(vm.system_info_item(item).to_string(), "1000");
    /// let state = vm.system_info_item(SystemInfoItem::AllSchedulersState);
    /// assert_eq!(state.to_string(), "[{normal,2,2,2}]");
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub fn system_info_item(&self, item: SystemInfoItem) -> OwnedTerm {
        let info = self.system_info();
        one(|builder| value(builder, self, item, &info))
    }
}

fn value(builder: &mut Builder<()>, vm: &Vm, item: SystemInfoItem, info: &SystemInfo) {
    let number = match item {
        SystemInfoItem::AllSchedulersState => {
            builder.atom(atoms::NORMAL);
            for count in [
                info.schedulers,
                info.schedulers_online,
                vm.schedulers_active(),
            ] {
                builder.integer(count as i128);
            }
            builder.tuple(4).list(1);
            return;
        }
        SystemInfoItem::MessageQueueData => {
            builder.atom(atom(info.message_queue_data.name()));
            return;
        }
        SystemInfoItem::MultiScheduling => {
            builder.atom(atom(info.multi_scheduling.name()));
            return;
        }
        SystemInfoItem::NormalMultiSchedulingBlockers => {
            let blockers = vm.multi_scheduling_blockers();
            for &pid in &blockers {
                builder.pid(pid);
            }
            builder.list(blockers.len());
            return;
        }
        SystemInfoItem::Version => {
            builder.bytes(info.version);
            return;
        }
        SystemInfoItem::AtomCount => info.atom_count,
        SystemInfoItem::AtomLimit => info.atom_limit,
        SystemInfoItem::EtsCount => info.table_count,
        SystemInfoItem::EtsLimit => info.table_limit,
        SystemInfoItem::LogicalProcessors => info.processors.configured,
        SystemInfoItem::LogicalProcessorsAvailable => info.processors.available,
        SystemInfoItem::LogicalProcessorsOnline => info.processors.online,
        SystemInfoItem::ProcessCount => info.process_count,
        SystemInfoItem::ProcessLimit => info.process_limit,
        SystemInfoItem::SchedulerId => {
            otp_scheduler::current_scheduler().map_or(0, |number| number + 1)
        }
        SystemInfoItem::Schedulers => info.schedulers,
        SystemInfoItem::SchedulersOnline => info.schedulers_online,
        // The clock begins when the VM is built.
        SystemInfoItem::StartTime => 0,
        SystemInfoItem::Wordsize => crate::process::memory::WORD_BYTES,
    };
    builder.integer(number as i128);
}
