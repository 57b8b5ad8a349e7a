//! `statistics/1` and `system_info/1`: typed, and by OTP's names as terms.

mod common;
#[path = "common/virtual_time.rs"]
mod virtual_time;

use std::collections::HashSet;
use std::time::Duration;

use common::{LIMIT, bounded, down, idle};
use otp_vm::{Context, OwnedTerm, Statistics, StatisticsItem, SystemInfoItem, Vm, from_term};
use serde::de::DeserializeOwned;

fn item<T: DeserializeOwned>(name: &str, statistics: &Statistics, last: Option<&Statistics>) -> T {
    let item = StatisticsItem::from_name(name).unwrap();
    decoded(name, &statistics.item(item, last))
}

fn decoded<T: DeserializeOwned>(name: &str, term: &OwnedTerm) -> T {
    from_term(term.root()).unwrap_or_else(|error| panic!("{name}: {term}: {error}"))
}

#[test]
fn reductions_are_exact_for_who_asks_and_else_those_of_slices_that_have_ended() {
    virtual_time::simulated(|cx| async move {
        cx.yield_now().await;
        let before = cx.vm().statistics();
        cx.bump_reductions(1000);
        let in_slice = cx.vm().statistics().since(&before);
        assert!(in_slice.exact_reductions >= 1000);
        assert_eq!(
            in_slice.reductions, 0,
            "one scheduler, and its slice goes on"
        );
        assert_eq!(in_slice.context_switches, 0);
        cx.yield_now().await;
        let after = cx.vm().statistics();
        let spent = after.since(&before);
        assert!(spent.reductions >= 1000);
        assert!(spent.context_switches >= 1);
        // Each reader has its own last reading.
        let (total, part): (u64, u64) = item("reductions", &after, Some(&before));
        assert_eq!((total, part), (after.reductions, spent.reductions));
        let (total, part): (u64, u64) = item("exact_reductions", &after, None);
        assert_eq!(
            (total, part),
            (after.exact_reductions, after.exact_reductions)
        );
        let switches: (u64, u64) = item("context_switches", &after, None);
        assert_eq!(switches, (after.context_switches, 0));
    });
}

#[test]
fn run_queues_have_who_waits_and_active_tasks_who_runs_too() {
    // On a machine however busy, it keeps its scheduler until it gives way.
    let vm = Vm::builder().schedulers(1).max_bound(0).build().unwrap();
    let run = vm.run(|mut cx| async move {
        let children: Vec<_> = (0..10).map(|_| cx.spawn_monitor(idle).unwrap()).collect();
        let now = cx.vm().statistics();
        let queued = now.total_run_queue_lengths();
        // The last woken may be the next to run, in no queue.
        assert!((9..=10).contains(&queued), "{queued}");
        assert_eq!(now.total_active_tasks(), queued + 1);
        assert_eq!(now.active_tasks.len(), now.run_queue_lengths.len());
        for name in ["run_queue", "total_run_queue_lengths"] {
            assert_eq!(item::<usize>(name, &now, None), queued);
        }
        assert_eq!(item::<usize>("total_active_tasks", &now, None), queued + 1);
        assert_eq!(
            item::<Vec<usize>>("active_tasks", &now, None),
            now.active_tasks
        );
        let lengths: Vec<usize> = item("run_queue_lengths", &now, None);
        assert_eq!((lengths.len(), lengths.iter().sum()), (2, queued));
        for (pid, monitor) in children {
            cx.exit_process(pid, "enough");
            assert_eq!(down(&mut cx, monitor).await, "enough".into());
        }
    });
    run.wait().unwrap();
    vm.shutdown(LIMIT).wait();
}

#[test]
fn the_wall_clock_is_the_vms_own() {
    virtual_time::simulated(|cx| async move {
        let before = cx.vm().statistics();
        cx.sleep(Duration::from_secs(3600)).await;
        let after = cx.vm().statistics();
        let spent = after.since(&before).wall_clock;
        assert!(spent >= Duration::from_secs(3600) && spent < Duration::from_secs(3601));
        let (total, part): (u64, u64) = item("wall_clock", &after, Some(&before));
        assert_eq!(u128::from(total), after.wall_clock.as_millis());
        assert_eq!(u128::from(part), spent.as_millis());
    });
}

#[test]
fn runtime_is_cpu_time() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let before = vm.statistics();
    let busy = Duration::from_millis(5);
    while vm.statistics().since(&before).runtime < busy {}
    let (total, part): (u64, u64) = item("runtime", &vm.statistics(), Some(&before));
    assert!(total >= part && part >= 5);
    vm.shutdown(LIMIT).wait();
}

#[test]
fn collections_are_counted() {
    bounded(1, |cx| async move {
        let before = cx.vm().statistics();
        let kept = cx.heap().keep_value(&vec![1_u64; 1000]).unwrap();
        let _ = cx.heap().release(kept);
        cx.garbage_collect();
        let after = cx.vm().statistics();
        let spent = after.since(&before);
        assert!(spent.collections >= 1 && spent.words_reclaimed >= 1000);
        let term: (u64, u64, u64) = item("garbage_collection", &after, None);
        assert_eq!(term, (after.collections, after.words_reclaimed, 0));
    });
}

#[test]
fn the_time_of_schedulers_is_told_by_state() {
    bounded(2, |cx: Context| async move {
        let now = cx.vm().statistics();
        let times: Vec<(u64, u64, u64)> = item("scheduler_wall_time", &now, None);
        let numbers: Vec<u64> = times.iter().map(|time| time.0).collect();
        assert_eq!(numbers, [1, 2]);
        assert!(times.iter().all(|&(_, active, total)| active <= total));
        let term = now
            .item(StatisticsItem::MicrostateAccounting, None)
            .to_string();
        for name in ["type", "id", "emulator", "check_io", "sleep", "other"] {
            assert_eq!(term.matches(&format!("{name} =>")).count(), 2, "{term}");
        }
    });
}

/// Each name finds its item, and each item has a value.
#[test]
fn all_items_have_names_and_values() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let now = vm.statistics();
    let mut names = HashSet::new();
    for &item in StatisticsItem::ALL {
        assert_eq!(StatisticsItem::from_name(item.name()), Some(item));
        assert!(names.insert(item.name()));
        assert_ne!(now.item(item, None).to_string(), "system_limit");
    }
    assert_eq!(StatisticsItem::from_name("io"), None);
    names.clear();
    for &item in SystemInfoItem::ALL {
        assert_eq!(SystemInfoItem::from_name(item.name()), Some(item));
        assert!(names.insert(item.name()));
        assert_ne!(vm.system_info_item(item).to_string(), "system_limit");
    }
    assert_eq!(SystemInfoItem::from_name("port_count"), None);
    vm.shutdown(LIMIT).wait();
}

#[test]
fn items_of_system_info_are_those_of_the_struct() {
    let vm = Vm::builder()
        .schedulers(2)
        .schedulers_online(1)
        .max_tables(7)
        .build()
        .unwrap();
    let run = vm.run(|cx| async move {
        let info = cx.vm().system_info();
        let table = cx.table_new("one", otp_vm::TableOptions::set()).unwrap();
        let number = |name: &str| -> usize {
            let item = SystemInfoItem::from_name(name).unwrap();
            decoded(name, &cx.vm().system_info_item(item))
        };
        assert_eq!(number("ets_count"), 1);
        drop(table);
        let same = [
            ("ets_limit", 7),
            ("atom_limit", info.atom_limit),
            ("logical_processors", info.processors.configured),
            ("logical_processors_online", info.processors.online),
            ("logical_processors_available", info.processors.available),
            ("process_count", 1),
            ("process_limit", otp_vm::DEFAULT_MAX_PROCESSES),
            ("schedulers", 2),
            ("schedulers_online", 1),
            ("scheduler_id", 1),
            ("wordsize", 8),
        ];
        for (name, value) in same {
            assert_eq!(number(name), value, "{name}");
        }
        assert!(number("atom_count") >= info.atom_count && info.atom_count > 0);
    });
    run.wait().unwrap();
    vm.shutdown(LIMIT).wait();
}
