//! Replies to requests that nobody waits for in a call: they come as messages, through the alias of the request.

use std::time::Duration;

use otp_vm::{
    AliasMode, Context, MonitorOptions, Ref, ReplyTo, Timeout, Vm, atoms, from_term, to_term,
};

#[path = "common/virtual_time.rs"]
mod virtual_time;

use virtual_time::{ms, nothing_within, simulated};

/// `{Pid, Ref}`, as whoever makes requests of a shape of its own has it.
fn reply_to(cx: &Context, alias: Ref) -> ReplyTo {
    from_term(to_term(&(cx.pid(), alias)).unwrap().root()).unwrap()
}

async fn replies_twice(mut cx: Context) {
    while let Some(to) = cx.receive_as::<ReplyTo>(Timeout::Infinity).await {
        for reply in 1..=2 {
            cx.reply(&to, &reply).unwrap();
        }
    }
}

#[test]
fn a_reply_is_a_message_of_its_alias() {
    simulated(|mut cx| async move {
        let server = cx.spawn_link(replies_twice).unwrap();
        // For as long as the alias is active.
        let alias = cx.alias();
        cx.send(server, &reply_to(&cx, alias)).unwrap();
        for reply in 1..=2 {
            assert_eq!(
                cx.receive().await.decode::<(Ref, i32)>().unwrap(),
                (alias, reply)
            );
        }
        cx.unalias(alias);
        cx.send(server, &reply_to(&cx, alias)).unwrap();
        nothing_within(&mut cx, ms(10)).await;
        // For one reply, which ends the monitor as well.
        let options = MonitorOptions::new().alias(AliasMode::ReplyDemonitor);
        let request = cx.monitor_opt(server, options);
        cx.send(server, &reply_to(&cx, request)).unwrap();
        assert_eq!(
            cx.receive().await.decode::<(Ref, i32)>().unwrap(),
            (request, 1)
        );
        cx.unlink(server);
        cx.exit_process(server, "over");
        nothing_within(&mut cx, ms(10)).await;
    });
}

#[test]
fn a_reference_that_is_no_alias_gets_nothing() {
    simulated(|mut cx| async move {
        let server = cx.spawn_link(replies_twice).unwrap();
        let reference = cx.make_ref();
        cx.send(server, &reply_to(&cx, reference)).unwrap();
        nothing_within(&mut cx, ms(10)).await;
    });
}

#[test]
fn the_late_reply_of_a_call_is_no_message() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let run = vm.run(|mut cx: Context| async move {
        let server = cx
            .spawn_link(|mut cx: Context| async move {
                let call = cx.receive().await;
                let (tag, to, ()): (otp_vm::Atom, ReplyTo, ()) = call.decode().unwrap();
                assert_eq!(tag, atoms::GEN_CALL);
                cx.receive().await;
                cx.reply(&to, &"late").unwrap();
                cx.send(cx.parent(), "replied").unwrap();
            })
            .unwrap();
        // Another alias of the caller's changes nothing.
        cx.alias();
        let over = cx.call::<_, String>(server, &(), Duration::ZERO).await;
        assert!(matches!(over, Err(otp_vm::CallError::Timeout)), "{over:?}");
        cx.send(server, "go on").unwrap();
        assert_eq!(cx.receive().await.decode::<String>().unwrap(), "replied");
        assert_eq!(cx.message_queue_len(), 0);
    });
    run.wait().unwrap();
}
