//! What is known of a process, item by item, as terms.

use otp_heap::{Builder, OwnedTerm, Pid, atoms};
use otp_scheduler::Priority;

use crate::context::Context;
use crate::destination::NODE;
use crate::max_heap_size::MaxHeapSize;
use crate::message::Monitored;
use crate::named_items::{atom, figure, finish, named_items};
use crate::process_info::{HeapInfo, ProcessInfo, Status, look};
use crate::vm::Vm;

named_items! {
    /// An item of `process_info/2`, by OTP's name.
    ///
    /// BEAM's own are not among them: positions in the code (`current_function` and so on), the stack,
    /// `error_handler`, `catchlevel`, generations (`fullsweep_after`, `old_heap_size`) and `min_bin_vheap_size`.
    InfoItem
    /// The name, or `[]`.
    RegisteredName "registered_name"
    /// The type of the function that it began with, as a text.
    InitialCall "initial_call"
    /// An atom: `running`, `runnable`, `waiting`, `suspended`, `garbage_collecting`, `exiting`.
    Status "status"
    /// A number.
    MessageQueueLen "message_queue_len"
    /// A list of the messages, oldest first.
    Messages "messages"
    /// A list of pids.
    Links "links"
    /// A list of `{process, Pid}`, `{process, {Name, Node}}` and `{time_offset, clock_service}`.
    Monitors "monitors"
    /// A list of pids.
    MonitoredBy "monitored_by"
    /// A list of `{Key, Value}`.
    Dictionary "dictionary"
    /// A boolean.
    TrapExit "trap_exit"
    /// An atom: `low`, `normal`, `high`, `max`.
    Priority "priority"
    /// A pid.
    GroupLeader "group_leader"
    /// Words.
    TotalHeapSize "total_heap_size"
    /// Words allocated for terms: [`HeapInfo::heap_block_size`].
    HeapSize "heap_size"
    /// Words.
    MinHeapSize "min_heap_size"
    /// A map.
    MaxHeapSize "max_heap_size"
    /// A number.
    Reductions "reductions"
    /// A list: `max_heap_size`, `min_heap_size`, `minor_gcs` (collections).
    GarbageCollection "garbage_collection"
    /// A list: `heap_block_size`, `heap_size`, `mbuf_size`, `bin_vheap_size` (all in words).
    GarbageCollectionInfo "garbage_collection_info"
    /// Bytes.
    Memory "memory"
    /// An atom: `on_heap`, `off_heap`.
    MessageQueueData "message_queue_data"
    /// A list of `{Pid, Count, 0}`.
    Suspending "suspending"
    /// An atom, or `undefined`.
    Label "label"
    /// A pid, or `undefined`.
    Parent "parent"
}

impl Vm {
    /// One item: `{Item, Value}`, but bare `[]` for the name of a process that has none. None if the process is gone.
    /// `process_info(Pid, Item)`.
    pub fn process_info_item(&self, pid: Pid, item: InfoItem) -> Option<OwnedTerm> {
        let (info, messages) = look(self, pid, item == InfoItem::Messages)?;
        let mut builder = Builder::new();
        match (item, info.registered_name) {
            (InfoItem::RegisteredName, None) => {
                builder.nil();
            }
            _ => pair(&mut builder, item, &info, &messages),
        }
        Some(finish(builder))
    }

    /// Some items, in the order asked for: a list of `{Item, Value}`, all of one moment. None if the process is gone.
    /// `process_info(Pid, Items)`.
    ///
    /// ```
    /// use otp_vm::{InfoItem, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     let items = [InfoItem::TrapExit, InfoItem::RegisteredName, InfoItem::Priority];
    ///     cx.process_info_items(cx.pid(), &items).unwrap().to_string()
    /// });
    /// assert_eq!(run.wait()?, "[{trap_exit,false},{registered_name,[]},{priority,normal}]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn process_info_items(&self, pid: Pid, items: &[InfoItem]) -> Option<OwnedTerm> {
        let (info, messages) = look(self, pid, items.contains(&InfoItem::Messages))?;
        let mut builder = Builder::new();
        for &item in items {
            pair(&mut builder, item, &info, &messages);
        }
        builder.list(items.len());
        Some(finish(builder))
    }
}

impl Context {
    /// As [`Vm::process_info_item`].
    pub fn process_info_item(&self, pid: Pid, item: InfoItem) -> Option<OwnedTerm> {
        self.vm().process_info_item(pid, item)
    }

    /// As [`Vm::process_info_items`].
    pub fn process_info_items(&self, pid: Pid, items: &[InfoItem]) -> Option<OwnedTerm> {
        self.vm().process_info_items(pid, items)
    }
}

fn pids<'p>(builder: &mut Builder<()>, pids: impl ExactSizeIterator<Item = &'p Pid>) {
    let len = pids.len();
    for &pid in pids {
        builder.pid(pid);
    }
    builder.list(len);
}

/// `{Item, Value}`.
fn pair(builder: &mut Builder<()>, item: InfoItem, info: &ProcessInfo, messages: &[OwnedTerm]) {
    builder.atom(atom(item.name()));
    match item {
        InfoItem::RegisteredName => match info.registered_name {
            Some(name) => {
                builder.atom(name);
            }
            None => {
                builder.nil();
            }
        },
        InfoItem::InitialCall => {
            builder.bytes(info.initial_call);
        }
        InfoItem::Status => {
            builder.atom(atom(status(info.status)));
        }
        InfoItem::MessageQueueLen => {
            builder.integer(info.message_queue_len as i128);
        }
        InfoItem::Messages => {
            for message in messages {
                builder.term(message.root());
            }
            builder.list(messages.len());
        }
        InfoItem::Links => pids(builder, info.links.iter()),
        InfoItem::Monitors => {
            for &(_, monitored) in &info.monitors {
                match monitored {
                    Monitored::Pid(pid) => builder.atom(atoms::PROCESS).pid(pid),
                    Monitored::Name(name) => {
                        builder.atom(atoms::PROCESS).atom(name).atom(NODE).tuple(2)
                    }
                    Monitored::TimeOffset => builder
                        .atom(atom("time_offset"))
                        .atom(atom("clock_service")),
                };
                builder.tuple(2);
            }
            builder.list(info.monitors.len());
        }
        InfoItem::MonitoredBy => pids(builder, info.monitored_by.iter()),
        InfoItem::Dictionary => {
            for (key, value) in &info.dictionary {
                builder.term(key.root()).term(value.root()).tuple(2);
            }
            builder.list(info.dictionary.len());
        }
        InfoItem::TrapExit => {
            builder.value(&info.trap_exit);
        }
        InfoItem::Priority => {
            builder.atom(atom(priority(info.priority)));
        }
        InfoItem::GroupLeader => {
            builder.pid(info.group_leader);
        }
        InfoItem::TotalHeapSize => {
            builder.integer(info.heap.total_heap_size as i128);
        }
        InfoItem::HeapSize => {
            // What is allocated: OTP's figures of the same name in `garbage_collection_info` tell what is used.
            builder.integer(info.heap.heap_block_size as i128);
        }
        InfoItem::MinHeapSize => {
            builder.integer(info.heap.min_heap_size as i128);
        }
        InfoItem::MaxHeapSize => limit(builder, info.heap.max_heap_size),
        InfoItem::Reductions => {
            builder.integer(info.reductions as i128);
        }
        InfoItem::GarbageCollection => {
            builder.atom(atom("max_heap_size"));
            limit(builder, info.heap.max_heap_size);
            builder.tuple(2);
            figure(builder, "min_heap_size", info.heap.min_heap_size);
            figure(builder, "minor_gcs", info.heap.collections as usize);
            builder.list(3);
        }
        InfoItem::GarbageCollectionInfo => collection_info(builder, &info.heap),
        InfoItem::Memory => {
            builder.integer(info.memory as i128);
        }
        InfoItem::MessageQueueData => {
            builder.atom(atom(info.heap.message_queue_data.name()));
        }
        InfoItem::Suspending => {
            for &(pid, active, outstanding) in &info.suspending {
                builder.pid(pid).integer(active).integer(outstanding);
                builder.tuple(3);
            }
            builder.list(info.suspending.len());
        }
        InfoItem::Label => {
            builder.atom(info.label.unwrap_or(atoms::UNDEFINED));
        }
        InfoItem::Parent => match info.parent {
            Some(parent) => {
                builder.pid(parent);
            }
            None => {
                builder.atom(atoms::UNDEFINED);
            }
        },
    }
    builder.tuple(2);
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Runnable => "runnable",
        Status::Waiting => "waiting",
        Status::Suspended => "suspended",
        Status::GarbageCollecting => "garbage_collecting",
        Status::Exiting => "exiting",
    }
}

fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
        Priority::Max => "max",
    }
}

fn limit(builder: &mut Builder<()>, limit: MaxHeapSize) {
    builder.atom(atom("size")).integer(limit.size as i128);
    let flags = [
        ("kill", limit.kill),
        ("error_logger", limit.error_logger),
        ("include_shared_binaries", limit.include_shared_binaries),
        ("include_native_memory", limit.include_native_memory),
    ];
    for (name, flag) in flags {
        builder.atom(atom(name)).value(&flag);
    }
    builder.map(1 + flags.len());
}

fn collection_info(builder: &mut Builder<()>, heap: &HeapInfo) {
    let binary_words = heap
        .binary_bytes
        .div_ceil(crate::process::memory::WORD_BYTES);
    let figures = [
        ("heap_block_size", heap.heap_block_size),
        ("heap_size", heap.heap_size),
        ("mbuf_size", heap.mbuf_size),
        ("bin_vheap_size", binary_words),
    ];
    for (name, number) in figures {
        figure(builder, name, number);
    }
    builder.list(figures.len());
}
