//! The host's side: calls, casts, monitors and mailboxes, from threads and from any executor.

mod common;

use std::thread;
use std::time::Duration;

use common::{LIMIT, idle};
use otp_vm::simulation::Simulation;
use otp_vm::{
    CallError, Context, Down, ExitReason, HostReceiveError, MessageKind, RunError, Timeout, Vm,
    from_term,
};

fn vm() -> Vm {
    Vm::builder().schedulers(2).build().unwrap()
}

/// Doubles what it is asked, tells the mailbox what it was cast, and ends by `stop`.
async fn server(mut cx: Context) -> ExitReason {
    loop {
        let message = cx.receive().await;
        match message.kind() {
            MessageKind::Call { from, request } => {
                let n: u64 = from_term(request).unwrap();
                cx.reply(&from, &(2 * n)).unwrap();
            }
            MessageKind::Cast(request) => {
                let reason: String = from_term(request).unwrap();
                return reason.into();
            }
            _ => {}
        }
    }
}

#[test]
fn the_host_calls_casts_and_monitors_from_a_thread() {
    let vm = vm();
    let server = vm.spawn(server).unwrap();
    let doubled: u64 = vm.call(server, &21, LIMIT).wait().unwrap().unwrap();
    assert_eq!(doubled, 42);
    let mut mailbox = vm.mailbox().unwrap();
    let monitor = mailbox.context().monitor(server);
    vm.cast(server, "enough").unwrap();
    let down = mailbox.receive_blocking().unwrap().down().unwrap();
    assert_eq!((down.reference, down.reason), (monitor, "enough".into()));

    let dead: Result<u64, CallError> = vm.call(server, &21, LIMIT).wait().unwrap();
    assert!(matches!(dead, Err(CallError::Exit(reason)) if reason == ExitReason::noproc()));
    let nobody: Result<u64, CallError> = vm.call("nobody", &21, LIMIT).wait().unwrap();
    assert!(matches!(nobody, Err(CallError::Exit(_))));
    let Down { reason, .. } = vm.monitor(server).wait().unwrap();
    assert_eq!(reason, ExitReason::noproc());
    vm.cast("nobody", "is told nothing").unwrap();

    let deaf = vm.spawn(idle).unwrap();
    let late: Result<u64, CallError> = vm.call(deaf, &1, Duration::from_millis(1)).wait().unwrap();
    assert!(matches!(late, Err(CallError::Timeout)));
    assert!(vm.shutdown(LIMIT).wait().unwrap().is_orderly());
}

#[test]
fn a_call_to_nobody_says_that_nobody_was_there() {
    let vm = vm();
    let error = |name| {
        let call = vm.call::<_, u64>(name, &1, LIMIT).wait().unwrap();
        call.unwrap_err().to_string()
    };
    let nobody = error("nobody of that name");
    assert!(nobody.starts_with("the server ended: noproc (most likely it was not there"));
    // Another end has no such hint.
    let ends = vm.spawn(|mut cx: Context| async move {
        cx.receive().await;
        ExitReason::from("done")
    });
    vm.register("ends", ends.unwrap()).unwrap();
    let ended = error("ends");
    assert!(
        ended.starts_with("the server ended: ") && ended.contains("done"),
        "{ended}"
    );
    assert!(!ended.contains("most likely"), "{ended}");
}

#[test]
fn a_mailbox_receives_what_was_sent_in_order() {
    let vm = vm();
    let mut mailbox = vm.mailbox().unwrap();
    let to = mailbox.pid();
    const MESSAGES: u32 = 10_000;
    vm.spawn(move |cx: Context| async move {
        for number in 0..MESSAGES {
            cx.send(to, &number).unwrap();
            cx.tick(1).await;
        }
    })
    .unwrap();
    // By turns: blocked, with a limit, awaited.
    for number in 0..MESSAGES {
        let message = match number % 3 {
            0 => mailbox.receive_blocking().unwrap(),
            1 => mailbox.receive_timeout_blocking(LIMIT).unwrap().unwrap(),
            _ => otp_block_on(mailbox.receive()).unwrap(),
        };
        assert_eq!(message.decode::<u32>().unwrap(), number);
    }
    assert!(
        mailbox
            .receive_timeout_blocking(Duration::ZERO)
            .unwrap()
            .is_none()
    );
    assert!(
        mailbox
            .receive_timeout_blocking(Duration::from_millis(2))
            .unwrap()
            .is_none()
    );
    drop(mailbox);
    assert!(vm.shutdown(LIMIT).wait().unwrap().is_orderly());
}

/// The simplest executor that there is.
fn otp_block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_mailbox_is_a_process_to_others() {
    let vm = vm();
    let mut mailbox = vm.mailbox().unwrap();
    let pid = mailbox.pid();
    vm.register("host", pid).unwrap();
    // Called, it answers.
    let asked =
        vm.run(|mut cx: Context| async move { cx.call::<_, u64>("host", &20, LIMIT).await });
    let message = mailbox.receive_blocking().unwrap();
    let MessageKind::Call { from, request } = message.kind() else {
        panic!("{message}");
    };
    let n: u64 = from_term(request).unwrap();
    mailbox.context().reply(&from, &(n + 1)).unwrap();
    assert_eq!(asked.wait().unwrap().unwrap(), 21);
    // Dropped, it ends normally, even if it traps exits.
    mailbox.context().trap_exit(true);
    let mut other = vm.mailbox().unwrap();
    other.context().monitor(pid);
    drop(mailbox);
    let down = other.receive_blocking().unwrap().down().unwrap();
    assert_eq!(
        (down.object.pid(), down.reason),
        (Some(pid), ExitReason::normal())
    );
    assert_eq!(vm.whereis("host"), None);
}

#[test]
fn a_mailbox_that_ended_tells_why() {
    let vm = vm();
    let mut mailbox = vm.mailbox().unwrap();
    // By a link, while it waits.
    let linked = mailbox.context().spawn_link(|mut cx: Context| async move {
        cx.receive().await;
        ExitReason::from("the link")
    });
    vm.send(linked.unwrap(), "go").unwrap();
    let ended = HostReceiveError::Exit("the link".into());
    assert_eq!(mailbox.receive_blocking().unwrap_err(), ended);
    assert_eq!(
        mailbox.receive_blocking().unwrap_err(),
        ended,
        "and tells so again"
    );
    assert_eq!(mailbox.receive_timeout_blocking(LIMIT).unwrap_err(), ended);
    // By the shut-down.
    let mut mailbox = vm.mailbox().unwrap();
    let waits = thread::spawn(move || mailbox.receive_blocking().map(|_| ()));
    assert!(vm.shutdown(LIMIT).wait().unwrap().is_orderly());
    let ended = HostReceiveError::Exit(ExitReason::shutdown());
    assert_eq!(waits.join().unwrap(), Err(ended));
}

#[test]
fn mailboxes_come_and_go_while_messages_fly() {
    let vm = vm();
    for round in 0..500 {
        let mut mailbox = vm.mailbox().unwrap();
        let to = mailbox.pid();
        vm.spawn(move |cx: Context| async move {
            for number in 0..10 {
                cx.send(to, &number).unwrap();
            }
        })
        .unwrap();
        if round % 2 == 0 {
            mailbox.receive_blocking().unwrap();
        }
        if round % 3 == 0 {
            vm.exit(to, ExitReason::kill());
            while mailbox.receive_blocking().is_ok() {}
        }
    }
    assert!(vm.shutdown(LIMIT).wait().unwrap().is_orderly());
}

#[test]
fn blocking_forms_are_refused_on_the_vms_own_threads_and_name_the_other() {
    let vm = vm();
    let run = vm.run(|cx: Context| async move {
        let mut mailbox = cx.vm().mailbox().unwrap();
        let receive = mailbox.receive_blocking().map(|_| ()).unwrap_err();
        let limited = mailbox
            .receive_timeout_blocking(LIMIT)
            .map(|_| ())
            .unwrap_err();
        let call = cx.vm().call::<_, ()>(cx.pid(), "hello", LIMIT).wait();
        let monitor = cx.vm().monitor(cx.pid()).wait();
        (receive, limited, call.map(|_| ()), monitor.map(|_| ()))
    });
    let (receive, limited, call, monitor) = run.wait().unwrap();
    assert_eq!(receive, HostReceiveError::OnSchedulerThread);
    assert_eq!(limited, HostReceiveError::OnSchedulerThread);
    assert!(receive.to_string().contains("`.await`"));
    assert_eq!(call, Err(RunError::OnSchedulerThread));
    assert_eq!(monitor, Err(RunError::OnSchedulerThread));
    assert!(RunError::OnSchedulerThread.to_string().contains("`.await`"));
    // The call above has its own process's answer to come.
    vm.shutdown(LIMIT).wait().unwrap();
}

#[test]
fn a_simulated_mailbox_is_awaited() {
    let explored = Simulation::builder().explore(0..50, |simulation| {
        let vm = Vm::builder().simulate(simulation).build()?;
        let mut mailbox = vm.mailbox()?;
        assert_eq!(
            mailbox.receive_blocking().map(|_| ()),
            Err(HostReceiveError::Simulated)
        );
        let to = mailbox.pid();
        vm.spawn(move |cx: Context| async move {
            cx.sleep(Duration::from_secs(3600)).await;
            cx.send(to, "an hour later").unwrap();
        })?;
        let soon = simulation.block_on(async move {
            let soon = mailbox.receive_timeout(Duration::from_secs(1)).await;
            let later = mailbox.receive_timeout(Timeout::Infinity).await;
            (soon.unwrap().is_none(), later.unwrap().unwrap().to_string())
        });
        assert_eq!(soon?, (true, "<<\"an hour later\">>".to_owned()));
        assert!(simulation.block_on(vm.shutdown(LIMIT))?.is_orderly());
        Ok(())
    });
    explored.unwrap_or_else(|failure| panic!("{failure}"));
}
