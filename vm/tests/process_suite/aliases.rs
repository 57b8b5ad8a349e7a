//! Cases about aliases and tags.

use std::time::Duration;

use otp_vm::{
    AliasMode, Atom, Context, ExitReason, MonitorOptions, Pid, Ref, SpawnOptions,
    SpawnRequestOptions,
};
use serde::Serialize;

use crate::common::{down, expect};
use crate::simulated::seeds;

/// Sends 1 and 2 through the alias that it is given, then, when it is told to go on, 3 and 4; and ends.
async fn sender(mut cx: Context) -> ExitReason {
    let (alias, reason): (Ref, ExitReason) = expect(&mut cx).await;
    for number in [1, 2] {
        cx.send(alias, &(alias, number)).unwrap();
    }
    cx.receive().await;
    for number in [3, 4] {
        cx.send(alias, &(alias, number)).unwrap();
    }
    reason
}

async fn gets(cx: &mut Context, alias: Ref, number: i32) {
    assert_eq!(expect::<(Ref, i32)>(cx).await, (alias, number));
}

/// The next message, and so there is none before it.
async fn next_is_down(cx: &mut Context, reference: Ref, reason: &ExitReason) {
    let message = cx.receive().await;
    let down = message.down().unwrap_or_else(|| panic!("{message}"));
    assert_eq!((down.reference, &down.reason), (reference, reason));
}

#[test]
fn alias_bif() {
    seeds(0..50, |mut cx| async move {
        let cx = &mut cx;
        let normal = ExitReason::normal();
        let (pid, monitor) = cx.spawn_monitor(sender).unwrap();
        let alias = cx.alias();
        cx.send(pid, &(alias, &normal)).unwrap();
        gets(cx, alias, 1).await;
        gets(cx, alias, 2).await;
        assert!(cx.unalias(alias));
        assert!(!cx.unalias(alias));
        cx.send(pid, &()).unwrap();
        next_is_down(cx, monitor, &normal).await;

        let (pid, monitor) = cx.spawn_monitor(sender).unwrap();
        let alias = cx.alias_reply();
        cx.send(pid, &(alias, &normal)).unwrap();
        cx.send(pid, &()).unwrap();
        gets(cx, alias, 1).await;
        next_is_down(cx, monitor, &normal).await;
        assert!(!cx.unalias(alias));
        assert!(!cx.unalias(cx.make_ref()));
    });
}

/// Not OTP's: what was sent before the alias ended, and not yet seen, is dropped as well.
#[test]
fn unalias_holds_for_what_has_been_sent() {
    seeds(0..10, |mut cx| async move {
        let alias = cx.alias();
        cx.send(alias, &1).unwrap();
        cx.send(cx.pid(), &2).unwrap();
        assert!(cx.unalias(alias));
        assert_eq!(expect::<i32>(&mut cx).await, 2);
        assert_eq!(cx.message_queue_len(), 0);
    });
}

#[derive(Clone, Copy)]
enum How {
    Monitor,
    Spawn,
    Request,
}

/// A sender that is monitored so.
async fn monitored(cx: &mut Context, how: How, options: MonitorOptions) -> (Pid, Ref) {
    let spawn = SpawnOptions::new().monitor_opt(options.clone());
    match how {
        How::Monitor => {
            let pid = cx.spawn(sender).unwrap();
            (pid, cx.monitor_opt(pid, options))
        }
        How::Spawn => {
            let spawned = cx.spawn_opt(spawn, sender).unwrap();
            (spawned.pid, spawned.monitor.unwrap())
        }
        How::Request => {
            let request = cx.spawn_request(SpawnRequestOptions::new(spawn), sender);
            let reply: (Atom, Ref, Atom, Pid) = expect(cx).await;
            assert_eq!(reply.1, request);
            (reply.3, request)
        }
    }
}

async fn modes(cx: &mut Context, how: How, reason: ExitReason) {
    let with = |mode| MonitorOptions::new().alias(mode);

    // Until unalias; the monitor goes on.
    let (pid, alias) = monitored(cx, how, with(AliasMode::ExplicitUnalias)).await;
    cx.send(pid, &(alias, &reason)).unwrap();
    gets(cx, alias, 1).await;
    gets(cx, alias, 2).await;
    assert!(cx.unalias(alias));
    cx.send(pid, &()).unwrap();
    next_is_down(cx, alias, &reason).await;

    // Demonitor ends it.
    let (pid, alias) = monitored(cx, how, with(AliasMode::Demonitor)).await;
    let other = cx.monitor(pid);
    cx.send(pid, &(alias, &reason)).unwrap();
    gets(cx, alias, 1).await;
    gets(cx, alias, 2).await;
    assert!(cx.demonitor(alias));
    cx.send(pid, &()).unwrap();
    next_is_down(cx, other, &reason).await;
    assert!(!cx.unalias(alias));

    // And so does the DOWN.
    for mode in [AliasMode::Demonitor, AliasMode::ReplyDemonitor] {
        let (pid, alias) = monitored(cx, how, with(mode)).await;
        cx.exit_process(pid, ExitReason::new("early"));
        next_is_down(cx, alias, &ExitReason::new("early")).await;
        cx.send(alias, &0).unwrap();
        assert!(!cx.unalias(alias));
    }

    // One reply, and that is all.
    let (pid, alias) = monitored(cx, how, with(AliasMode::ReplyDemonitor)).await;
    let other = cx.monitor(pid);
    cx.send(pid, &(alias, &reason)).unwrap();
    cx.send(pid, &()).unwrap();
    gets(cx, alias, 1).await;
    next_is_down(cx, other, &reason).await;
    assert!(!cx.demonitor(alias));
    let more = cx.receive_timeout(Duration::from_secs(1)).await;
    assert!(more.is_none(), "{more:?}");
    let own = cx.process_info(cx.pid()).unwrap();
    assert_eq!(own.monitors, []);
}

#[test]
fn monitor_alias() {
    seeds(0..30, |mut cx| async move {
        modes(&mut cx, How::Monitor, ExitReason::normal()).await;
    });
}

#[test]
fn spawn_monitor_alias() {
    seeds(0..30, |mut cx| async move {
        for how in [How::Spawn, How::Request] {
            let reference = ExitReason::new(&cx.make_ref());
            for reason in [ExitReason::normal(), reference] {
                modes(&mut cx, how, reason).await;
            }
        }
    });
}

async fn tags<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    cx: &mut Context,
    tag: T,
) {
    let options = || MonitorOptions::new().tag(&tag).unwrap();
    let reference = ExitReason::new(&cx.make_ref());
    for reason in [ExitReason::normal(), reference] {
        for how in [How::Monitor, How::Spawn, How::Request] {
            let (pid, monitor) = monitored(cx, how, options()).await;
            let nobody = cx.alias();
            cx.unalias(nobody);
            cx.send(pid, &(nobody, &reason)).unwrap();
            cx.send(pid, &()).unwrap();
            let message = cx.receive().await;
            assert!(message.down().is_none());
            let told: (T, Ref, Atom, Pid, ExitReason) = message.decode().unwrap();
            assert_eq!((&told.0, told.1, told.3), (&tag, monitor, pid));
            assert_eq!((told.2.as_str(), &told.4), ("process", &reason));

            let monitor = cx.monitor_opt(pid, options());
            let told: (T, Ref, Atom, Pid, ExitReason) = expect(cx).await;
            assert_eq!((&told.0, told.1, told.3), (&tag, monitor, pid));
            assert_eq!(told.4, ExitReason::noproc());
        }
    }
}

#[test]
fn monitor_tag() {
    seeds(0..20, |mut cx| async move {
        tags(&mut cx, Atom::new("a_tag").unwrap()).await;
        let reference = cx.make_ref();
        tags(&mut cx, reference).await;
    });
}

/// Not OTP's: the tag stays whatever else the monitor is.
#[test]
fn a_flush_takes_a_tagged_message_too() {
    seeds(0..5, |mut cx| async move {
        let (pid, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        let options = MonitorOptions::new().tag(&("any", "term")).unwrap();
        let tagged = cx.monitor_opt(pid, options);
        down(&mut cx, monitor).await;
        cx.sleep(Duration::from_secs(1)).await;
        assert_eq!(cx.message_queue_len(), 1);
        assert!(!cx.demonitor_flush(tagged));
        assert_eq!(cx.message_queue_len(), 0);
    });
}
