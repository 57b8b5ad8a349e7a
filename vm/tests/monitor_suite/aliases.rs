//! Cases about monitors that are aliases.

use otp_vm::{AliasMode, MonitorOptions};

use super::*;

fn explicit() -> MonitorOptions {
    MonitorOptions::new().alias(AliasMode::ExplicitUnalias)
}

#[test]
fn gh_5225_demonitor_alias() {
    seeds(0..20, |mut cx| async move {
        for flush in [false, true] {
            let demonitor = |cx: &Context, reference| {
                if flush {
                    cx.demonitor_flush(reference)
                } else {
                    cx.demonitor(reference)
                }
            };
            let alias = cx.alias();
            assert!(!demonitor(&cx, alias));
            let options = SpawnOptions::new().monitor_opt(explicit());
            let spawned = cx.spawn_opt(options, |_| async {}).unwrap();
            let reference = spawned.monitor.unwrap();
            assert_eq!(down(&mut cx, reference).await, ExitReason::normal());
            assert!(!demonitor(&cx, reference));
            let noproc = cx.monitor_opt(spawned.pid, explicit());
            assert_eq!(down(&mut cx, noproc).await, ExitReason::noproc());
            assert!(!demonitor(&cx, noproc));
            // They are aliases still.
            for alias in [alias, reference, noproc] {
                cx.send(alias, &1).unwrap();
                assert_eq!(expect::<i32>(&mut cx).await, 1);
                assert!(cx.unalias(alias));
            }
        }
    });
}

#[test]
fn unexpected_alias_at_demonitor_gh5310() {
    seeds(0..50, |mut cx| async move {
        let options = MonitorOptions::new().alias(AliasMode::ReplyDemonitor);
        let (pid, monitor) = cx
            .spawn_monitor(|mut cx| async move {
                let alias = expect::<Ref>(&mut cx).await;
                cx.receive().await;
                cx.send(alias, "through it").unwrap();
            })
            .unwrap();
        let alias = cx.monitor_opt(pid, options);
        cx.send(pid, &alias).unwrap();
        assert!(cx.demonitor_flush(alias));
        cx.send(pid, &()).unwrap();
        let told = next_down(&mut cx).await;
        assert_eq!(
            (told.reference, told.reason),
            (monitor, ExitReason::normal())
        );
        nothing_comes(&mut cx).await;
    });
}

async fn demonitors_as_it_ends(mut cx: Context) {
    for round in 0..200 {
        let reason = if round % 2 == 0 {
            ExitReason::new("atom")
        } else {
            ExitReason::new(&cx.make_ref())
        };
        let pid = cx.spawn(idle).unwrap();
        let reference = cx.monitor_opt(pid, explicit());
        cx.exit_process(pid, reason);
        for _ in 0..random() % 4 {
            cx.yield_now().await;
        }
        cx.demonitor_flush(reference);
        assert!(!cx.is_alive(pid).await);
        assert_eq!(cx.message_queue_len(), 0);
        assert!(cx.unalias(reference));
    }
}

#[test]
fn down_on_alias_gh5310() {
    seeds(0..5, demonitors_as_it_ends);
    run(demonitors_as_it_ends);
}

#[test]
fn monitor_3_noproc_gh6185() {
    seeds(0..10, |mut cx| async move {
        let cx = &mut cx;
        for (alias, tagged, at_node) in (0..8).map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0)) {
            let tag = cx.make_ref();
            let mut options = MonitorOptions::new();
            if alias {
                options = options.alias(AliasMode::ExplicitUnalias);
            }
            if tagged {
                options = options.tag(&tag).unwrap();
            }
            let monitor = |cx: &Context, options| {
                if at_node {
                    cx.monitor_opt(("nobody_is", cx.node()), options)
                } else {
                    cx.monitor_opt("nobody_is", options)
                }
            };
            for is_there in [false, true] {
                if is_there {
                    let pid = cx.spawn(idle).unwrap();
                    cx.register("nobody_is", pid).unwrap();
                }
                let reference = monitor(cx, options.clone());
                if is_there {
                    let pid = cx.whereis("nobody_is").unwrap();
                    cx.exit_process(pid, bang());
                }
                let message = cx
                    .receive_timeout(Duration::from_millis(100))
                    .await
                    .unwrap();
                assert_eq!(message.down().is_none(), tagged);
                let (of, told, _, object, reason): (
                    otp_vm::OwnedTerm,
                    Ref,
                    Atom,
                    Monitored,
                    ExitReason,
                ) = message.decode().unwrap();
                assert_eq!(of.root().as_ref(), tagged.then_some(tag));
                assert_eq!(told, reference);
                assert_eq!(object, Monitored::Name(Atom::new("nobody_is").unwrap()));
                let expected = if is_there {
                    bang()
                } else {
                    ExitReason::noproc()
                };
                assert_eq!(reason, expected);
                if alias {
                    cx.send(reference, &1).unwrap();
                    assert_eq!(expect::<i32>(cx).await, 1);
                    assert!(cx.unalias(reference));
                }
                cx.send(reference, &2).unwrap();
                nothing_comes(cx).await;
                assert_eq!(cx.process_info(cx.pid()).unwrap().monitors, []);
            }
        }
    });
}
