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
    // Fewer online than there are.
    for (schedulers, online) in [(2, 1), (8, 4), (4, 4)] {
        let builder = Vm::builder().schedulers(schedulers);
        let vm = builder.schedulers_online(online).build().unwrap();
        let info = vm.system_info();
        assert_eq!(
            (info.schedulers, info.schedulers_online),
            (schedulers, online)
        );
        assert_eq!(vm.run(|_| async { 7 }).wait(), Ok(7));
        assert_eq!(vm.set_schedulers_online(schedulers), Ok(online));
        vm.shutdown(LIMIT).wait();
    }
    for online in [0, 3] {
        let builder = Vm::builder().schedulers(2).schedulers_online(online);
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains("from 1 to 2"), "{error}");
    }
}

/// Tells the program below that it is the one that changes its affinity.
const CHILD: &str = "OTP_VM_TEST_AFFINITY";

/// The affinity of the program's main thread.
fn affinity(set: Option<&libc::cpu_set_t>) -> libc::cpu_set_t {
    let main = std::process::id().cast_signed();
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: sets of that size; all zero is one of no processors.
    unsafe {
        if let Some(set) = set {
            assert_eq!(libc::sched_setaffinity(main, size, set), 0);
        }
        let mut now: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(main, size, &raw mut now), 0);
        now
    }
}

/// It runs in a program of its own, whose affinity is changed.
#[test]
fn update_cpu_info() {
    if std::env::var_os(CHILD).is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "online::update_cpu_info"])
            .env(CHILD, "")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let vm = Vm::builder().schedulers(4).build().unwrap();
    let available = || vm.system_info().processors.available;
    let follow = || {
        let info = vm.system_info();
        let online = info.processors.available.min(info.schedulers);
        vm.set_schedulers_online(online).unwrap();
        assert_eq!(vm.schedulers_online(), online);
    };
    assert!(!vm.update_cpu_info(), "nothing has changed");
    let (before, all) = (available(), affinity(None));
    // SAFETY: sets.
    unsafe {
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        let processors = 0..libc::CPU_SETSIZE as usize;
        let mut usable = processors.filter(|&number| libc::CPU_ISSET(number, &all));
        libc::CPU_SET(usable.next().unwrap(), &mut one);
        affinity(Some(&one));
    }
    assert_eq!(vm.update_cpu_info(), before > 1);
    assert_eq!(available(), 1);
    follow();
    assert_eq!(vm.schedulers_online(), 1);
    assert!(!vm.update_cpu_info(), "told already");
    affinity(Some(&all));
    assert_eq!(vm.update_cpu_info(), before > 1);
    assert_eq!(available(), before);
    follow();
    vm.shutdown(LIMIT).wait();
}
