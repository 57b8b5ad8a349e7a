//! Managers from outside of the VM, and callers that can't go on without one.

use otp_stdlib::gen_event::Install;
use otp_stdlib::sys;
use otp_vm::CallError;

use super::dummies::{Args1, Call, Reply, dummy_id, dummy1, swap_in};
use super::names::DummyVia;
use super::*;

/// A manager on a VM of its own, for each way to name it.
fn outside(test: impl Fn(&Vm, &Manager)) {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let via = DummyVia::default();
    for way in 0..3 {
        let via = via.clone();
        let run = vm.run(async move |mut cx: Context| {
            let start = EventManager::<Event>::start(&mut cx);
            match way {
                0 => start.await.unwrap(),
                1 => {
                    start.name("outside").await.unwrap();
                    Manager::from_name("outside").unwrap()
                }
                _ => {
                    start.via(&via, "outside").await.unwrap();
                    Manager::via(&via, "outside").unwrap()
                }
            }
        });
        let manager = run.wait().unwrap();
        test(&vm, &manager);
        let stopped = vm.run(async move |mut cx: Context| {
            let stopped = manager.stop(&mut cx, ExitReason::normal(), LIMIT);
            stopped.await
        });
        assert_eq!(stopped.wait().unwrap(), Ok(()));
    }
    vm.shutdown(LIMIT).wait();
}

#[test]
fn a_program_changes_handlers_asks_them_and_tells_events() {
    outside(|vm, manager| {
        let host = manager.on(vm);
        let (sender, told) = mpsc::channel();
        let witness = vm.spawn(async move |mut cx: Context| {
            loop {
                let message = cx.receive().await.term().to_string();
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let witness = witness.unwrap();
        let next = || told.recv_timeout(LIMIT).expect("it is told");

        host.add_handler(dummy(), Args::Parent(witness))
            .wait()
            .unwrap()
            .unwrap();
        let refused = host.add_handler(dummy_id(1), Args::MakeError).wait();
        super::refused(refused.unwrap(), "my_error");
        let ids = host.which_handlers().wait().unwrap().unwrap();
        assert_eq!(ids, [dummy().id().clone()]);
        // One after the other, by whatever name.
        host.notify(&Event::Event(witness)).unwrap();
        assert_eq!(next(), format!("{{dummy_h,{{event,{witness}}}}}"));
        host.sync_notify(&Event::HandleEvent(witness))
            .wait()
            .unwrap()
            .unwrap();
        assert_eq!(next(), "handled_event");
        assert_eq!(
            host.call(&dummy(), Call::Hejsan).wait().unwrap().unwrap(),
            Reply::Hejhopp
        );
        sys::suspend(manager).on(vm).wait().unwrap().unwrap();
        let late = host.call_timeout(&dummy(), Call::Hejsan, ms(1)).wait();
        assert!(matches!(
            late.unwrap(),
            Err(ManagerError::Call(CallError::Timeout))
        ));
        sys::resume(manager).on(vm).wait().unwrap().unwrap();
        let none = host.call(&dummy_id(7), Call::Hejsan).wait().unwrap();
        assert_eq!(handler_error(none), HandlerError::BadModule);

        let swap = host.swap_handler((dummy(), &atom("swap")), swap_in(None));
        swap.wait().unwrap().unwrap();
        let ids = host.which_handlers().wait().unwrap().unwrap();
        assert_eq!(ids, [dummy1(None).id().clone()]);
        let left = host
            .delete_handler(dummy1(None), &atom("return_hej"))
            .wait();
        assert_eq!(left.unwrap().unwrap().to_string(), "return_hej");
        let none = host.delete_handler(dummy1(None), &()).wait().unwrap();
        assert_eq!(handler_error(none), HandlerError::ModuleNotFound);
        // A term that is none is told before anything is asked.
        let bad = host.delete_handler(dummy1(None), &NoTerm).wait().unwrap();
        assert!(
            matches!(bad, Err(ManagerError::Call(CallError::Encode(_)))),
            "{bad:?}"
        );
        let with = Install::new(dummy1(None), Args1::Swap);
        let bad = host.swap_handler((dummy(), &NoTerm), with).wait().unwrap();
        assert!(
            matches!(bad, Err(ManagerError::Call(CallError::Encode(_)))),
            "{bad:?}"
        );
        vm.exit(witness, ExitReason::kill());
    });
}

/// What can't be a term.
struct NoTerm;

impl serde::Serialize for NoTerm {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no term"))
    }
}

#[test]
fn who_tells_nobody_learns_it_by_a_local_name_only() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let nobody = Manager::from_name("nobody").unwrap();
    let sent = nobody.on(&vm).notify(&Event::Wakeup);
    assert!(matches!(sent, Err(otp_vm::SendError::NoName)), "{sent:?}");
    let via = Manager::via(&DummyVia::default(), "nobody").unwrap();
    assert!(via.on(&vm).notify(&Event::Wakeup).is_ok());
    let gone = vm.run(async |cx: Context| cx.pid()).wait().unwrap();
    assert!(
        Manager::from_pid(gone)
            .on(&vm)
            .notify(&Event::Wakeup)
            .is_ok()
    );
    let called = nobody.on(&vm).call(&dummy(), Call::Hejsan).wait().unwrap();
    let Err(ManagerError::Call(error)) = called else {
        panic!("nobody answers: {called:?}")
    };
    assert_eq!(error.reason(), ExitReason::noproc());
    vm.shutdown(LIMIT).wait();
}

#[test]
fn a_caller_exits_where_the_manager_does_not_answer() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = manager(cx).await;
        add(cx, &manager).await;
        let reply = manager
            .call_or_exit(cx, &dummy(), Call::Hejsan, LIMIT)
            .await;
        assert_eq!(reply, Ok(Reply::Hejhopp));
        let none = manager
            .call_or_exit(cx, &dummy_id(1), Call::Hejsan, LIMIT)
            .await;
        assert_eq!(none, Err(HandlerError::BadModule));
        stop(cx, &manager).await;
        for (handler, after, rest) in [
            (dummy(), Timeout::Infinity, "dummy_h,hejsan,infinity"),
            (dummy_id(1), ms(1500).into(), "{dummy_h,1},hejsan,1500"),
        ] {
            let manager = manager.clone();
            let caller = cx.spawn_monitor(async move |mut cx: Context| {
                let call = manager.call_or_exit(&mut cx, &handler, Call::Hejsan, after);
                let _ = call.await;
            });
            let reason = common::down(cx, caller.unwrap().1).await.to_string();
            let arguments = format!("[my_dummy_handler,{rest}]");
            assert_eq!(reason, format!("{{noproc,{{gen_event,call,{arguments}}}}}"));
        }
    });
}
