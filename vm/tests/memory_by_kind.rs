//! `memory/0`, kind by kind. Atoms and shared binaries are the program's, so this is a program of its own, of one test.

mod common;

use std::time::Duration;

use common::{bounded, down, idle};
use otp_vm::{Atom, Binary, MemoryInfo, TableOptions};

fn is_a_sum(memory: &MemoryInfo) {
    assert_eq!(memory.total, memory.processes + memory.system);
    assert!(memory.processes_used <= memory.processes);
    assert!(memory.heaps <= memory.processes);
    assert!(memory.atom_used <= memory.atom);
    let parts = memory.atom + memory.binary + memory.ets + memory.timers;
    assert!(parts <= memory.system, "{memory:?}");
    assert!(memory.allocator >= memory.heaps + memory.ets, "{memory:?}");
}

#[test]
fn each_kind_grows_by_what_is_made_of_it_and_comes_back() {
    bounded(1, |mut cx| async move {
        let memory = |cx: &otp_vm::Context| {
            let memory = cx.vm().memory();
            is_a_sum(&memory);
            memory
        };
        let first = memory(&cx);

        // Shared once, however many have it; taken over, copied, and as a part of another.
        let binary = Binary::from(vec![7_u8; 1 << 20]);
        let copied = Binary::from(&binary[..1000]);
        let _part = binary.slice(10..20);
        cx.send(cx.pid(), &binary).unwrap();
        let with = memory(&cx).binary - first.binary;
        assert!((1_049_576..1_050_000).contains(&with), "{with}");
        drop((binary, copied, _part, cx.receive().await));
        assert_eq!(memory(&cx).binary, first.binary);

        let timer = cx.send_after(Duration::from_secs(3600), cx.pid(), &vec![1_u64; 1000]);
        let with = memory(&cx).timers;
        assert!(with >= first.timers + 8000, "{with}");
        cx.cancel_timer(timer.unwrap()).unwrap();
        assert!(memory(&cx).timers <= with - 8000);

        let table = cx.table_new("rows", TableOptions::set()).unwrap();
        table.insert(&cx, &1, &vec![1_u64; 1000]).unwrap();
        assert!(memory(&cx).ets >= first.ets + 8000);
        drop(table.delete_table(&cx).unwrap());
        assert_eq!(memory(&cx).ets, first.ets);

        let name = "an atom of this test alone";
        Atom::new(name).unwrap();
        assert!(memory(&cx).atom_used >= first.atom_used + name.len());

        // Room that nothing lies in is not used; and a control block is some process's or waits for one.
        let kept = cx.heap().keep_value(&vec![1_u64; 1000]).unwrap();
        let with = memory(&cx);
        assert!(with.processes_used >= first.processes_used + 8000);
        let _ = cx.heap().release(kept);
        cx.garbage_collect();
        let (pid, monitor) = cx.spawn_monitor(idle).unwrap();
        cx.yield_now().await;
        let with = memory(&cx);
        cx.exit_process(pid, "enough");
        down(&mut cx, monitor).await;
        let without = memory(&cx);
        assert!(without.processes < with.processes && without.system > with.system);

        for (kind, bytes) in [("total", without.total), ("timers", without.timers)] {
            assert_eq!(without.get(kind), Some(bytes));
        }
        assert!(without.to_term().to_string().starts_with("[{total,"));
    });
}
