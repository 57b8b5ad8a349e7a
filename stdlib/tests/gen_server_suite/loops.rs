//! Processes that become servers: `enter_loop`.

use otp_stdlib::gen_server::{Name, enter_loop};
use otp_stdlib::proc_lib::{self, Starter};

use super::names::DummyVia;
use super::suite::{Answer, Call, Cast, State, Suite, atom, exit_within, is, simulated, told};
use super::*;

/// Starts a process that initialises itself, and says that it has a name, which it takes if `takes`.
async fn spec_init(cx: &mut Context, name: Option<Name>, takes: bool) -> Pid {
    let body = async move |mut cx: Context| {
        let starter = Starter::receive(&mut cx).await;
        cx.trap_exit(true);
        if let (Some(Name::Local(name)), true) = (&name, takes) {
            cx.register(name.as_str(), cx.pid()).unwrap();
        }
        starter.init_ack(&cx);
        let entered = enter_loop(cx, Suite(State::Empty));
        match name {
            Some(name) => entered.name(name).await,
            None => entered.await,
        }
    };
    proc_lib::start_link(cx, body).await.expect("it starts")
}

#[test]
fn spec_init_() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let name = Name::local("my_server").unwrap();
        for name in [Some(name.clone()), None] {
            let pid = spec_init(&mut cx, name, true).await;
            let server = ServerRef::<Suite>::from_pid(pid);
            assert_eq!(
                server.call(&mut cx, Call::StartedP).await.unwrap(),
                Answer::Ok
            );
            assert_eq!(server.call(&mut cx, Call::Stop).await.unwrap(), Answer::Ok);
            assert!(is(&exit_within(&mut cx, pid).await, "stopped"));
        }
        let pid = spec_init(&mut cx, Some(name), false).await;
        assert!(is(
            &exit_within(&mut cx, pid).await,
            "process_not_registered"
        ));
        // Not started by proc_lib.
        let pid = cx
            .spawn_link(async |cx: Context| enter_loop(cx, Suite(State::Empty)).await)
            .unwrap();
        let reason = exit_within(&mut cx, pid).await;
        assert!(
            is(&reason, "process_was_not_started_by_proc_lib"),
            "{reason}"
        );
    });
}

#[test]
fn spec_init_local_registered_parent() {
    simulated(async |mut cx: Context| {
        cx.register("foobar", cx.pid()).unwrap();
        cx.trap_exit(true);
        let pid = spec_init(&mut cx, Some(Name::local("my_server").unwrap()), true).await;
        let server = ServerRef::<Suite>::from_name("my_server").unwrap();
        server.cast(&cx, Cast::Stop(cx.pid())).unwrap();
        assert_eq!(told(&mut cx).await, (pid, "stopped".to_owned()));
    });
}

#[test]
fn the_parent_by_name_ends_the_server_with_terminate() {
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let (parent, _) = cx
            .spawn_monitor(async move |mut cx: Context| {
                cx.register("parent", cx.pid()).unwrap();
                let pid = spec_init(&mut cx, None, false).await;
                cx.send(me, &pid).unwrap();
                common::for_ever(&mut cx).await;
            })
            .unwrap();
        let server: Pid = cx.receive().await.decode().unwrap();
        let monitor = cx.monitor(server);
        cx.exit_process(parent, atom("over"));
        assert!(is(&down(&mut cx, monitor).await, "over"));
    });
}

#[test]
fn otp_5854() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        cx.register("armitage", cx.pid()).unwrap();
        let pid = spec_init(&mut cx, Some(Name::local("armitage").unwrap()), false).await;
        assert!(is(
            &exit_within(&mut cx, pid).await,
            "process_not_registered"
        ));
        let keeper = DummyVia::default();
        keeper.give("armitage", cx.pid());
        let name = Name::via(&keeper, "armitage").unwrap();
        let pid = spec_init(&mut cx, Some(name), false).await;
        let reason = exit_within(&mut cx, pid).await;
        assert_eq!(reason.to_string(), "{process_not_registered_via,dummy_via}");
    });
}
