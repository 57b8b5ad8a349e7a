//! Schedulers online, changed by many at once.

use otp_vm::{Context, ExitReason, Vm};

use crate::common::{LIMIT, bounded};

const PROCESSES: usize = 2500;

/// Each process changes the number ten times, and then ends as it is told; every eleventh may be ended meanwhile.
async fn change_online(mut cx: Context, exits: bool) {
    let vm = cx.vm().clone();
    let all = vm.system_info().schedulers;
    let before = vm.schedulers_online();
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let body = async move |cx: Context| {
            for _ in 0..10 {
                let online = 1 + cx.random() as usize % all;
                let before = cx.vm().set_schedulers_online(online).unwrap();
                assert!((1..=all).contains(&before));
                cx.tick(100).await;
            }
            if exits {
                cx.exit("bye");
            }
        };
        processes.push(cx.spawn_monitor(body).unwrap());
    }
    if exits {
        for &(pid, _) in processes.iter().step_by(11) {
            cx.exit_process(pid, "bye");
        }
    }
    for _ in &processes {
        let down = cx.receive_timeout(LIMIT).await.expect("all of them end");
        let reason = down.down().unwrap().reason;
        if exits {
            assert_eq!(reason, ExitReason::from("bye"));
        } else {
            assert!(reason.is_normal(), "{reason}");
        }
    }
    vm.set_schedulers_online(before).unwrap();
    assert_eq!(vm.schedulers_online(), before);
}

#[test]
fn simultaneously_change_schedulers_online() {
    bounded(4, |cx| change_online(cx, false));
}

#[test]
fn simultaneously_change_schedulers_online_with_exits() {
    bounded(4, |cx| change_online(cx, true));
}

/// By default all are online that the program may use; and no more than there are can be.
#[test]
fn scheduler_threads() {
    let available = std::thread::available_parallelism().unwrap().get();
    let vm = Vm::builder().build().unwrap();
    let info = vm.system_info();
    assert_eq!(
        (info.schedulers, info.schedulers_online),
        (available, available)
    );
    vm.shutdown(LIMIT).wait();
    for schedulers in [1, 2, 8] {
        let vm = Vm::builder().schedulers(schedulers).build().unwrap();
        let info = vm.system_info();
        assert_eq!(
            (info.schedulers, info.schedulers_online),
            (schedulers, schedulers)
        );
        assert!(vm.set_schedulers_online(0).is_err());
        assert!(vm.set_schedulers_online(schedulers + 1).is_err());
        vm.shutdown(LIMIT).wait();
    }
    assert!(Vm::builder().schedulers(0).build().is_err());
}

/// One thing follows the processors: the number online, set as the program sees them.
#[test]
fn update_cpu_info() {
    bounded(2, |cx| async move {
        let vm = cx.vm();
        let available = std::thread::available_parallelism().unwrap().get();
        let online = available.min(vm.system_info().schedulers);
        vm.set_schedulers_online(online).unwrap();
        assert_eq!(vm.schedulers_online(), online);
        assert_eq!(vm.set_schedulers_online(2), Ok(online));
    });
}
