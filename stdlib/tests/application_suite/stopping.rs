//! Cases about the end of all applications.

use std::time::Duration;

use otp_stdlib::application;
use otp_vm::{Context, ExitReason, Pid, atoms};

use super::common::{LIMIT, exit_of};
use super::modules::deadlock;
use super::*;

fn deadlock_app() -> ApplicationSpec {
    spec(
        "{application, deadlock, [{vsn, \"1\"}, {applications, [kernel, stdlib]}, {mod, {deadlock, []}},
          {env, [{fail_start, false}, {fail_stop, false}]}]}",
    )
}

#[test]
fn shutdown_func() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        cx.trap_exit(true);
        let function = (atom("shutdown"), atom("do_shutdown"));
        application::set_env(cx, "kernel", "shutdown_func", &function)
            .await
            .unwrap();
        application::set_env(cx, "kernel", "shutdown_func_test", &cx.pid())
            .await
            .unwrap();
        let controller = cx.whereis(application::CONTROLLER).unwrap();
        cx.exit_process(controller, ExitReason::shutdown());
        let told = cx.receive_where(LIMIT, |message| {
            message.decode::<(Pid, Atom, ExitReason)>().ok()
        });
        let (pid, word, reason) = told.await.expect("it is called");
        assert_eq!(
            (word.as_str(), reason),
            ("shutting_down", ExitReason::shutdown())
        );
        cx.send(pid, &atoms::OK).unwrap();
        assert_eq!(exit_of(cx, controller).await, ExitReason::shutdown());
    });
}

#[test]
fn shutdown_timeout() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        cx.trap_exit(true);
        application::set_env(cx, "kernel", "shutdown_timeout", &1000)
            .await
            .unwrap();
        application::start(cx, deadlock_app()).await.unwrap();
        let top = cx.whereis("deadlock_sup").unwrap();
        // Its supervisor waits for a child that hangs in its init.
        deadlock::restart_and_fail(cx).await;
        let before = cx.whereis("deadlock_child").unwrap();
        while cx
            .whereis("deadlock_child")
            .is_none_or(|child| child == before)
        {
            cx.sleep(Duration::from_millis(1)).await;
        }
        let hangs = cx.whereis("deadlock_child").unwrap();
        let controller = cx.whereis(application::CONTROLLER).unwrap();
        let begun = cx.monotonic_time();
        cx.exit_process(controller, ExitReason::shutdown());
        assert_eq!(exit_of(cx, controller).await, ExitReason::shutdown());
        let took = Duration::from_nanos(cx.monotonic_time() - begun);
        assert!(
            took >= Duration::from_secs(1) && took < Duration::from_secs(2),
            "{took:?}"
        );
        // Nobody is left of it.
        assert!(!cx.is_alive(top).await && !cx.is_alive(hangs).await);
    });
}

#[test]
fn shutdown_deadlock() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        application::start(cx, deadlock_app()).await.unwrap();
        application::set_env(cx, "deadlock", "fail_stop", &cx.pid())
            .await
            .unwrap();
        let tester = cx.pid();
        let stop = move |mut cx: Context| async move {
            application::stop(&mut cx, "deadlock").await.unwrap();
            cx.send(tester, &atom("stopped")).unwrap();
        };
        cx.spawn(stop).unwrap();
        let server = cx.receive_where(LIMIT, |message| message.decode::<(Atom, Pid)>().ok());
        let (_, server) = server.await.expect("it waits in terminate");
        let ask = move |mut cx: Context| async move {
            let master = application::get_master(&cx, "deadlock").unwrap();
            application::get_child(&mut cx, master).await;
            cx.send(tester, &atom("asked")).unwrap();
        };
        cx.spawn(ask).unwrap();
        // Meanwhile the controller answers, which OTP's does not.
        assert!(is_started(cx, "deadlock").await);
        cx.sleep(Duration::from_millis(100)).await;
        cx.send(server, &atom("continue")).unwrap();
        for _ in ["stopped", "asked"] {
            let done = cx.receive_where(LIMIT, |message| message.decode::<Atom>().ok());
            done.await.expect("it is done");
        }
        assert!(
            !application::which_applications(cx)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(!is_started(cx, "deadlock").await);
        application::unload(cx, "deadlock").await.unwrap();
    });
}

#[test]
fn one_on_its_way_down_is_started_again_when_it_is_down() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        application::start(cx, deadlock_app()).await.unwrap();
        application::set_env(cx, "deadlock", "fail_stop", &cx.pid())
            .await
            .unwrap();
        let tester = cx.pid();
        let stop = move |mut cx: Context| async move {
            application::stop(&mut cx, "deadlock").await.unwrap();
        };
        cx.spawn(stop).unwrap();
        let server = cx.receive_where(LIMIT, |message| message.decode::<(Atom, Pid)>().ok());
        let (_, server) = server.await.expect("it waits in terminate");
        let again = move |mut cx: Context| async move {
            let started = application::ensure_all_started(&mut cx, "deadlock").await;
            cx.send(tester, &started.unwrap().len()).unwrap();
        };
        cx.spawn(again).unwrap();
        cx.sleep(Duration::from_millis(100)).await;
        cx.send(server, &atom("continue")).unwrap();
        let started = cx.receive_where(LIMIT, |message| message.decode::<usize>().ok());
        assert_eq!(started.await, Some(1));
        assert!(is_started(cx, "deadlock").await);
        // Its next stop is not to wait for anybody.
        application::unset_env(cx, "deadlock", "fail_stop")
            .await
            .unwrap();
    });
}
