//! Processes of one's own that `sys` knows: OTP's `sys_sp1` and `sys_sp2`, which allocate channels.

use std::any::Any;

use otp_stdlib::proc_lib::{self, Starter};
use otp_stdlib::sys::{Control, Next, System, SystemMessage};
use otp_vm::{OwnedTerm, Pid, ReplyTo};
use serde::Deserialize;

use super::*;

/// What is allocated, and what is free.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Channels(Vec<u32>, Vec<u32>);

struct Process {
    channels: Channels,
    /// Those of `sys_sp1` refuse a state that is none: by a panic, where OTP's throw.
    has_callbacks: bool,
    module: &'static str,
}

impl System for Process {
    fn module(&self) -> &'static str {
        self.module
    }

    fn get_state(&self) -> OwnedTerm {
        assert!(
            !(self.has_callbacks && self.channels == Channels(vec![], vec![])),
            "fail"
        );
        sys::term(&self.channels)
    }

    fn state(&mut self) -> &mut dyn Any {
        &mut self.channels
    }
}

#[derive(Deserialize)]
enum Request {
    Alloc(ReplyTo),
    Free(u32),
}

#[derive(Serialize)]
enum Ask {
    Free(u32),
}

async fn body(mut cx: Context, module: &'static str, has_callbacks: bool, most: u32) -> ExitReason {
    let starter = Starter::receive(&mut cx).await;
    cx.register(module, cx.pid()).expect("the name is free");
    let mut control = Control::new(starter.parent());
    starter.init_ack(&cx);
    let mut process = Process {
        channels: Channels(vec![], (1..=most).collect()),
        has_callbacks,
        module,
    };
    loop {
        let message = cx.receive().await;
        if let Some(message) = SystemMessage::of(&message) {
            let next = sys::handle_system_msg(&mut cx, message, &mut control, &mut process);
            match next.await {
                Next::Continue => continue,
                Next::Terminate(reason) => return reason,
            }
        }
        control.debug(&cx, &process, || SystemEvent::of_message(&message));
        let Channels(allocated, free) = &mut process.channels;
        match message.decode() {
            Ok(Request::Alloc(from)) => {
                let channel = free.remove(0);
                allocated.push(channel);
                cx.reply(&from, &channel).expect("a number");
                let (out, to) = (sys::term(&channel), sys::term(&from.pid()));
                let state = sys::term(&process.channels);
                control.debug(&cx, &process, || SystemEvent::Out(out, to, state));
            }
            Ok(Request::Free(channel)) => {
                allocated.retain(|&other| other != channel);
                free.insert(0, channel);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn start(cx: &mut Context, module: &'static str, has_callbacks: bool, most: u32) -> Pid {
    let body = move |cx| body(cx, module, has_callbacks, most);
    proc_lib::start_link(cx, body).await.expect("it starts")
}

/// The suite's `spec_proc`.
async fn spec_proc(cx: &mut Context, module: &'static str, has_callbacks: bool) {
    start(cx, module, has_callbacks, 100).await;
    let process = atom(module);
    sys::statistics(process, true).call(cx).await.unwrap();
    sys::trace(process, true).call(cx).await.unwrap();
    let me = cx.pid();
    let reference = cx.alias_reply();
    cx.send(process, &(atom("alloc"), (me, reference))).unwrap();
    let (_, channel): (otp_vm::Ref, u32) = cx.receive().await.decode().unwrap();
    assert_eq!(channel, 1);

    let free: Vec<u32> = (2..=100).collect();
    let state = sys::get_state(process).call(cx).await.unwrap();
    assert_eq!(state, sys::term(&Channels(vec![1], free.clone())));
    let replace = sys::replace_state(process, move |Channels(allocated, was): &Channels| {
        assert_eq!(*was, free);
        Channels(allocated.clone(), vec![2, 3, 4])
    });
    assert_eq!(
        replace.call(cx).await,
        Ok(sys::term(&Channels(vec![1], vec![2, 3, 4])))
    );
    cx.send(process, &Ask::Free(1)).unwrap();
    let state = sys::get_state(process).call(cx).await;
    assert_eq!(state, Ok(sys::term(&Channels(vec![], vec![1, 2, 3, 4]))));
    let statistics = sys::get_statistics(process).call(cx).await.unwrap();
    let statistics = statistics.expect("it counts");
    assert_eq!((statistics.messages_in, statistics.messages_out), (2, 1));
    sys::statistics(process, false).call(cx).await.unwrap();

    // A state that can't be shown.
    let nothing = || Channels(vec![], vec![]);
    let replaced = sys::replace_state(process, move |_: &Channels| nothing())
        .call(cx)
        .await;
    let shown = sys::get_state(process).call(cx).await;
    if has_callbacks {
        for failed in [replaced, shown] {
            let text = failed.unwrap_err().to_string();
            let start =
                format!("{{callback_failed,{{{module},system_get_state}},{{error,{{panic,<<\"fail");
            assert!(text.contains(&start), "{text}");
        }
    } else {
        assert_eq!(
            (replaced, shown),
            (Ok(sys::term(&nothing())), Ok(sys::term(&nothing())))
        );
    }
    sync_terminate(cx, module).await;

    // A function that fails, and one for another state.
    start(cx, module, has_callbacks, 4).await;
    let fails = |_: &Channels| panic!("fail");
    let text = sys::replace_state(process, fails)
        .call(cx)
        .await
        .unwrap_err()
        .to_string();
    let start_of =
        format!("{{callback_failed,{{{module},system_replace_state}},{{error,{{panic,<<\"fail");
    assert!(text.contains(&start_of), "{text}");
    let other = sys::replace_state(process, |text: &String| text.clone())
        .call(cx)
        .await;
    let text = other.unwrap_err().to_string();
    assert!(
        text.contains("{wrong_state,<<\"the state is no alloc::string::String"),
        "{text}"
    );
    let state = sys::get_state(process).call(cx).await;
    assert_eq!(state, Ok(sys::term(&Channels(vec![], vec![1, 2, 3, 4]))));
    // What nobody wrote is not there.
    sys::suspend(process).call(cx).await.unwrap();
    let changed = sys::change_code(process, atom("m"), "1", "").call(cx).await;
    assert_eq!(
        changed.unwrap_err().to_string(),
        "the process refused: {'EXIT',undef}"
    );
    sync_terminate(cx, module).await;
}

async fn sync_terminate(cx: &mut Context, module: &str) {
    let pid = cx.whereis(module).expect("it lives");
    let monitor = cx.monitor(pid);
    sys::terminate(pid, ExitReason::normal())
        .call(cx)
        .await
        .unwrap();
    assert_eq!(common::down(cx, monitor).await, ExitReason::normal());
    assert_eq!(cx.whereis(module), None);
}

#[test]
fn special_process() {
    simulated(|mut cx: Context| async move {
        spec_proc(&mut cx, "sys_sp1", true).await;
        spec_proc(&mut cx, "sys_sp2", false).await;
    });
}
