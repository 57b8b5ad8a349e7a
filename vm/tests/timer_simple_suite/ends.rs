//! Exit signals that are sent later.

use otp_vm::{Context, ExitReason, Pid, timer};

use crate::common::{exit, idle};
use crate::virtual_time::{ms, nothing_within, simulated};

/// A linked child; exits are trapped.
fn child(cx: &Context) -> Pid {
    cx.trap_exit(true);
    cx.spawn_link(idle).unwrap()
}

#[test]
fn exit_after1() {
    simulated(async |mut cx: Context| {
        let pid = child(&cx);
        timer::exit_after(&cx, ms(1000), pid, "exit_test1").unwrap();
        nothing_within(&mut cx, ms(999)).await;
        assert_eq!(exit(&mut cx, pid).await, ExitReason::from("exit_test1"));
    });
}

#[test]
fn exit_after2() {
    simulated(async |mut cx: Context| {
        let pid = child(&cx);
        let name = otp_vm::Atom::new("timer_simple_exit_after2").unwrap();
        // The name is resolved when the time has come.
        timer::exit_after(&cx, ms(1000), name, "exit_test2").unwrap();
        cx.register(name.as_str(), pid).unwrap();
        assert_eq!(exit(&mut cx, pid).await, ExitReason::from("exit_test2"));
    });
}

#[test]
fn exit_after3() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let pid = cx
            .spawn_link(async |cx: Context| {
                timer::exit_after(&cx, ms(1000), cx.pid(), "exit_test3").unwrap();
                idle(cx).await;
            })
            .unwrap();
        assert_eq!(exit(&mut cx, pid).await, ExitReason::from("exit_test3"));
    });
}

#[test]
fn exit_after4() {
    simulated(async |mut cx: Context| {
        let pid = child(&cx);
        timer::exit_after(&cx, ms(0), "timer_simple_nobody", "exit_test4").unwrap();
        nothing_within(&mut cx, ms(1000)).await;
        assert!(cx.is_alive(pid).await);
        // At once, where there is somebody.
        timer::exit_after(&cx, ms(0), pid, "exit_test4").unwrap();
        assert!(!cx.is_alive(pid).await);
        assert_eq!(exit(&mut cx, pid).await, ExitReason::from("exit_test4"));
    });
}

/// The signal is not the process's own.
#[test]
fn exit_after_with_normal_ends_nobody() {
    simulated(async |mut cx: Context| {
        timer::exit_after(&cx, ms(1), cx.pid(), ExitReason::normal()).unwrap();
        nothing_within(&mut cx, ms(10)).await;
    });
}

/// That of a process's own signal is its own.
#[test]
fn exit_process_after_is_in_the_callers_name() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let cancelled = cx.exit_process_after(ms(1), cx.pid(), "cancelled");
        assert!(cx.cancel_timer(cancelled.unwrap()).is_some());
        cx.exit_process_after(ms(1000), cx.pid(), "due").unwrap();
        nothing_within(&mut cx, ms(999)).await;
        let me = cx.pid();
        assert_eq!(exit(&mut cx, me).await, ExitReason::from("due"));
        let pid = cx.spawn_link(async |cx: Context| {
            let normal = ExitReason::normal();
            cx.exit_process_after(ms(1), cx.pid(), normal).unwrap();
            idle(cx).await;
        });
        assert_eq!(exit(&mut cx, pid.unwrap()).await, ExitReason::normal());
    });
}

#[test]
fn kill_after1() {
    simulated(async |mut cx: Context| {
        let pid = child(&cx);
        timer::kill_after(&cx, ms(1000), pid).unwrap();
        assert_eq!(exit(&mut cx, pid).await, ExitReason::killed());
    });
}

#[test]
fn kill_after2() {
    simulated(async |mut cx: Context| {
        let pid = child(&cx);
        cx.register("timer_simple_kill_after2", pid).unwrap();
        timer::kill_after(&cx, ms(1000), "timer_simple_kill_after2").unwrap();
        assert_eq!(exit(&mut cx, pid).await, ExitReason::killed());
    });
}

#[test]
fn kill_after3() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let pid = cx
            .spawn_link(async |cx: Context| {
                timer::kill_after(&cx, ms(1000), cx.pid()).unwrap();
                idle(cx).await;
            })
            .unwrap();
        assert_eq!(exit(&mut cx, pid).await, ExitReason::killed());
    });
}

#[test]
fn sleep2() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let pid = cx
            .spawn_link(async |cx: Context| cx.sleep(ms(1 << 32)).await)
            .unwrap();
        timer::kill_after(&cx, ms(1000), pid).unwrap();
        assert_eq!(exit(&mut cx, pid).await, ExitReason::killed());
    });
}
