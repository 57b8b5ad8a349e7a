//! Processes that become state machines: `enter_loop`.

use otp_stdlib::gen_statem::{Enter, Init, Name, StatemRef, enter_loop};
use otp_stdlib::proc_lib::{self, Starter};
use otp_vm::{Context, ExitReason, Pid};

use super::deeds::{exit_of, verify_empty_msgq};
use super::names::DummyVia;
use super::scripted::{self, Data, Said, Scripted, Word};
use super::stage::{atom, simulated};

fn script<'a>(
    _data: &'a mut Data,
    state: &'a str,
    event: Said,
    _cx: &'a mut Context,
) -> otp_vm::BoxFuture<'a, scripted::Next> {
    Box::pin(async move {
        match (state, event) {
            ("state0", Said::Call(from, Word::Check)) => scripted::keep().reply(from, "yes".into()),
            ("state0", Said::Call(from, Word::Stop(reason))) => {
                scripted::Next::stop(reason).reply(from, "stopped".into())
            }
            (state, event) => scripted::surprise(state, &event),
        }
    })
}

fn init() -> Init<Scripted> {
    Scripted::new(Data::default(), script).init("state0")
}

/// A process that takes its name if `takes`, and says that it has it.
async fn enter(cx: &mut Context, takes: bool, name: Option<Name>) -> Pid {
    let body = async move |mut cx: Context| {
        let starter = Starter::receive(&mut cx).await;
        cx.trap_exit(true);
        if let (Some(Name::Local(name)), true) = (&name, takes) {
            cx.register(name.as_str(), cx.pid()).unwrap();
        }
        starter.init_ack(&cx);
        let entered = enter_loop(cx, init());
        match name {
            Some(name) => entered.name(name).await,
            None => entered.await,
        }
    };
    proc_lib::start_link(cx, body).await.expect("it starts")
}

async fn is_alive_and_stops(cx: &mut Context, pid: Pid) {
    let machine = StatemRef::<Scripted>::from_pid(pid);
    assert_eq!(scripted::call(cx, &machine, Word::Check).await, "yes");
    let stop = Word::Stop(ExitReason::normal());
    assert_eq!(scripted::call(cx, &machine, stop).await, "stopped");
    assert_eq!(exit_of(cx, pid).await, ExitReason::normal());
}

async fn ends_with(cx: &mut Context, pid: Pid, reason: &str) {
    assert_eq!(exit_of(cx, pid).await.to_string(), reason);
}

#[test]
fn enter_loop_() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let armitage = Name::local("armitage").unwrap();
        let pid = enter(&mut cx, true, Some(armitage.clone())).await;
        is_alive_and_stops(&mut cx, pid).await;
        let pid = enter(&mut cx, false, Some(armitage.clone())).await;
        ends_with(&mut cx, pid, "process_not_registered").await;
        let pid = enter(&mut cx, false, None).await;
        is_alive_and_stops(&mut cx, pid).await;
        // Not started by proc_lib.
        let body = async |cx: Context| enter_loop(cx, init()).await;
        let pid = cx.spawn_link(body).unwrap();
        ends_with(&mut cx, pid, "process_was_not_started_by_proc_lib").await;
        // Who started it is its parent.
        let pid = enter(&mut cx, false, None).await;
        let machine = StatemRef::<Scripted>::from_pid(pid);
        assert_eq!(scripted::call(&mut cx, &machine, Word::Check).await, "yes");
        cx.exit_process(pid, ExitReason::shutdown());
        ends_with(&mut cx, pid, "shutdown").await;
        // Another has the name.
        cx.register("armitage", cx.pid()).unwrap();
        let pid = enter(&mut cx, false, Some(armitage)).await;
        ends_with(&mut cx, pid, "process_not_registered").await;
        cx.unregister("armitage");
        let keeper = DummyVia::default();
        keeper.give("armitage", cx.pid());
        let name = Name::via(&keeper, "armitage").unwrap();
        let pid = enter(&mut cx, false, Some(name)).await;
        ends_with(&mut cx, pid, "{process_not_registered_via,dummy_via}").await;
        verify_empty_msgq(&mut cx).await;
    });
}

#[test]
fn one_that_enters_begins_as_after_init() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        let body = async move |mut cx: Context| {
            Starter::receive(&mut cx).await.init_ack(&cx);
            let data = Data {
                witness: Some(me),
                ..Data::default()
            };
            let entering = |data: &mut Data, state: &str, old: &str, cx: &Context| {
                let told = format!("{old} to {state}");
                cx.send(data.witness.unwrap(), &told).unwrap();
                Enter::keep_state()
            };
            let init = Scripted::new(data, stops_itself).entering(entering);
            let stop = Said::Internal(Word::Stop(atom("over").into()));
            enter_loop(cx, init.init("state0").next_event(stop)).await
        };
        proc_lib::start_link(&mut cx, body).await.unwrap();
        let expected = ["state0 to state0", "EXIT over"];
        assert_eq!(scripted::flush(&mut cx).await, expected);
        // What gives no state ends the process.
        for (init, reason) in [
            (Init::ignore(), "normal"),
            (Init::stop(atom("no")), "no"),
            (Init::error(atom("nor")), "nor"),
        ] {
            let init = std::sync::Mutex::new(Some(init));
            let body = async move |mut cx: Context| {
                Starter::receive(&mut cx).await.init_ack(&cx);
                let init: Init<Scripted> = init.lock().unwrap().take().unwrap();
                enter_loop(cx, init).await
            };
            let pid = proc_lib::start_link(&mut cx, body).await.unwrap();
            ends_with(&mut cx, pid, reason).await;
        }
    });
}

fn stops_itself<'a>(
    _data: &'a mut Data,
    state: &'a str,
    event: Said,
    _cx: &'a mut Context,
) -> otp_vm::BoxFuture<'a, scripted::Next> {
    Box::pin(async move {
        match event {
            Said::Internal(Word::Stop(reason)) => scripted::Next::stop(reason),
            event => scripted::surprise(state, &event),
        }
    })
}
