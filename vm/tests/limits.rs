//! Each limit of a VM: refused with an error that says which and what next, and counted. The limit on atoms is the
//! program's, so this is a program of its own, of one test.

mod common;

use std::time::Duration;

use common::{LIMIT, down, idle};
use otp_vm::{Atom, Module, TableOptions, Vm, set_atom_limit};

/// The error names the knob.
fn says(error: &dyn std::fmt::Display, knob: &str) {
    let text = error.to_string();
    assert!(text.contains(knob) && text.contains("limit"), "{text}");
}

#[test]
fn each_limit_is_refused_with_what_next_and_counted() {
    let vm = Vm::builder()
        .schedulers(1)
        .max_processes(2)
        .max_timers(2)
        .max_tables(2)
        .max_modules(1)
        .build()
        .unwrap();
    let run = vm.run(|mut cx| async move {
        let vm = cx.vm().clone();
        let reached = || vm.system_info().limits_reached;
        assert_eq!(reached(), Default::default());

        let (pid, monitor) = cx.spawn_monitor(idle).unwrap();
        says(&cx.spawn(idle).unwrap_err(), "max_processes");
        assert_eq!(reached().processes, 1);
        cx.exit_process(pid, "enough");
        down(&mut cx, monitor).await;
        // Who is gone leaves room, once it is counted out.
        while vm.system_info().process_count > 1 {
            cx.yield_now().await;
        }
        cx.spawn_link(idle).unwrap();

        let hour = Duration::from_secs(3600);
        let first = cx.send_after(hour, cx.pid(), &1).unwrap();
        cx.send_after(hour, cx.pid(), &2).unwrap();
        says(
            &cx.send_after(hour, cx.pid(), &3).unwrap_err(),
            "max_timers",
        );
        assert_eq!(reached().timers, 1);
        cx.cancel_timer(first).unwrap();
        cx.send_after(hour, cx.pid(), &3).unwrap();

        let new = |name: &str| cx.table_new(name, TableOptions::set());
        let (first, _second) = (new("one").unwrap(), new("two").unwrap());
        says(&new("three").unwrap_err(), "max_tables");
        assert_eq!(reached().tables, 1);
        drop(first.delete_table(&cx).unwrap());
        new("three").unwrap();

        let module = |name: &str| Module::builder(name).build().unwrap();
        vm.load_module(module("one")).unwrap();
        vm.load_module(module("one")).unwrap();
        says(&vm.load_module(module("two")).unwrap_err(), "max_modules");
        assert_eq!(reached().modules, 1);
        vm.unload_module("one").unwrap();
        vm.load_module(module("two")).unwrap();

        let count = vm.system_info().atom_count;
        set_atom_limit(count as u32 + 1).unwrap();
        assert_eq!(vm.system_info().atom_limit, count + 1);
        Atom::new("the last of all").unwrap();
        let full = Atom::new("one more than that").unwrap_err();
        assert!(full.to_string().contains("set_atom_limit"), "{full}");
        assert_eq!(reached().atoms, 1);
        assert_eq!(
            (reached().processes, reached().timers, reached().modules),
            (1, 1, 1)
        );
    });
    run.wait().unwrap();
    vm.shutdown(LIMIT).wait();
}
