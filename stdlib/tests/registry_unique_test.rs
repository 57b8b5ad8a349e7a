//! Cases of Elixir's `registry/unique_test.exs` and `registry_test.exs`, as behaviour.

mod common;

use common::*;
use otp_stdlib::prelude::*;
use otp_stdlib::{RegisterError, StartError};
use otp_vm::{Context, ExitReason, Pid};

type Names = Registry<String, u64>;

async fn start(cx: &mut Context) -> Names {
    Names::start_link(cx, "names")
        .await
        .expect("the registry starts")
}

fn key(text: &str) -> String {
    text.to_owned()
}

/// A process that registers `name`, says so, and waits to be ended.
async fn holder(cx: &mut Context, names: Names, name: &'static str) -> Pid {
    let me = cx.pid();
    let pid = cx
        .spawn(move |mut cx: Context| async move {
            names.register(&mut cx, &key(name), &7).await.unwrap();
            cx.send(me, &Event::Started(name.into(), cx.pid())).unwrap();
            for_ever(&mut cx).await;
        })
        .unwrap();
    assert_eq!(started(cx, name).await, pid);
    pid
}

#[test]
fn counts_keys() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        assert_eq!(names.count(&cx), 0);
        names.register(&mut cx, &key("a"), &1).await.unwrap();
        names.register(&mut cx, &key("b"), &2).await.unwrap();
        assert_eq!(names.count(&cx), 2);
        assert!(names.unregister(&cx, &key("a")));
        assert_eq!(names.count(&cx), 1);
    });
}

#[test]
fn has_unique_registrations() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let me = cx.pid();
        assert_eq!(names.lookup(&cx, &key("hello")), None);
        names.register(&mut cx, &key("hello"), &1).await.unwrap();
        assert_eq!(names.lookup(&cx, &key("hello")), Some((me, 1)));
        assert_eq!(names.keys(&cx, me), ["hello"]);
        let again = names.register(&mut cx, &key("hello"), &2).await;
        assert_eq!(again, Err(RegisterError::AlreadyRegistered(me)));
        // The failed one left nothing.
        assert_eq!(names.keys(&cx, me), ["hello"]);
        assert_eq!(names.lookup(&cx, &key("hello")), Some((me, 1)));
        names.register(&mut cx, &key("world"), &2).await.unwrap();
        let mut keys = names.keys(&cx, me);
        keys.sort();
        assert_eq!(keys, ["hello", "world"]);
    });
}

#[test]
fn has_unique_registrations_across_processes() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let other = holder(&mut cx, names, "hello").await;
        let error = names.register(&mut cx, &key("hello"), &1).await;
        assert_eq!(error, Err(RegisterError::AlreadyRegistered(other)));
        assert_eq!(names.lookup(&cx, &key("hello")), Some((other, 7)));
        let me = cx.pid();
        assert!(names.keys(&cx, me).is_empty());
        assert_eq!(names.keys(&cx, other), ["hello"]);
    });
}

#[test]
fn compares_using_exact_equality() {
    run(async |mut cx: Context| {
        let registry = Registry::<otp_vm::OwnedTerm>::start_link(&mut cx, "exact")
            .await
            .unwrap();
        let integer = otp_vm::to_term(&1).unwrap();
        let float = otp_vm::to_term(&1.0).unwrap();
        registry.register(&mut cx, &integer, &()).await.unwrap();
        registry.register(&mut cx, &float, &()).await.unwrap();
        assert_eq!(registry.count(&cx), 2);
    });
}

#[test]
fn updates_current_process_value() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let me = cx.pid();
        assert_eq!(names.update_value(&cx, &key("a"), |value| value + 1), None);
        names.register(&mut cx, &key("a"), &1).await.unwrap();
        assert_eq!(
            names.update_value(&cx, &key("a"), |value| value + 1),
            Some(2)
        );
        assert_eq!(names.lookup(&cx, &key("a")), Some((me, 2)));
        holder(&mut cx, names, "b").await;
        assert_eq!(names.update_value(&cx, &key("b"), |value| value + 1), None);
        assert!(
            !names.unregister(&cx, &key("b")),
            "another's key is not given back"
        );
    });
}

#[test]
fn unregisters_process_by_key() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let me = cx.pid();
        let all = ["a", "b", "c", "d", "e"];
        for (value, name) in all.iter().enumerate() {
            names
                .register(&mut cx, &key(name), &(value as u64))
                .await
                .unwrap();
        }
        // From the middle, the front and the end: what stays, stays findable.
        for (gone, left) in [
            ("c", "abde"),
            ("a", "bde"),
            ("e", "bd"),
            ("b", "d"),
            ("d", ""),
        ] {
            assert!(names.unregister(&cx, &key(gone)));
            assert!(!names.unregister(&cx, &key(gone)));
            let mut keys = names.keys(&cx, me);
            keys.sort();
            assert_eq!(keys.concat(), left);
            for (value, name) in all.iter().enumerate() {
                let expected = left.contains(name).then_some((me, value as u64));
                assert_eq!(names.lookup(&cx, &key(name)), expected);
            }
        }
    });
}

#[test]
fn unregisters_with_no_entries() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        assert!(!names.unregister(&cx, &key("hello")));
    });
}

#[test]
fn links_and_unlinks_on_register_unregister() {
    run(async |mut cx: Context| {
        let parent = async |mut cx: Context| {
            Names::start_link(&mut cx, "names").await.unwrap();
            cx.send("asks", &()).unwrap();
            for_ever(&mut cx).await;
        };
        let me = cx.pid();
        cx.register("asks", me).unwrap();
        cx.spawn(parent).unwrap();
        cx.receive().await;
        let names = Names::named("names").unwrap();
        let partition = cx.whereis("names").unwrap();
        let linked = |cx: &Context| {
            let info = cx.vm().process_info(me).expect("alive");
            info.links.contains(&partition)
        };
        assert!(!linked(&cx));
        names.register(&mut cx, &key("a"), &1).await.unwrap();
        names.register(&mut cx, &key("b"), &1).await.unwrap();
        assert!(linked(&cx));
        names.unregister(&cx, &key("a"));
        assert!(linked(&cx));
        names.unregister(&cx, &key("b"));
        assert!(!linked(&cx));
        // A registration that fails leaves no link either.
        holder(&mut cx, names, "c").await;
        names.register(&mut cx, &key("c"), &1).await.unwrap_err();
        assert!(!linked(&cx));
    });
}

#[test]
fn the_parent_stays_linked_without_a_key() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        names.register(&mut cx, &key("a"), &1).await.unwrap();
        names.unregister(&cx, &key("a"));
        let partition = cx.whereis("names").unwrap();
        assert!(
            cx.vm()
                .process_info(cx.pid())
                .unwrap()
                .links
                .contains(&partition)
        );
    });
}

#[test]
fn clean_up_registry_on_process_crash() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let pid = holder(&mut cx, names, "a").await;
        let monitor = cx.monitor(pid);
        cx.exit_process(pid, ExitReason::kill());
        down(&mut cx, monitor).await;
        // At once, whether the partition has cleaned up or not.
        assert_eq!(names.lookup(&cx, &key("a")), None);
        assert_eq!(names.whereis(&cx, &key("a")), None);
        // The partition has its EXIT before this call, since it had before the DOWN was sent.
        let partition = cx.whereis("names").unwrap();
        let partition = ServerRef::<otp_stdlib::registry::Partition>::from_pid(partition);
        partition
            .call(
                &mut cx,
                otp_stdlib::registry::Request::Clean(pid, otp_vm::to_term("a").unwrap()),
            )
            .await
            .unwrap();
        assert_eq!(names.count(&cx), 0);
        assert!(names.keys(&cx, pid).is_empty());
    });
}

#[test]
fn a_register_against_a_dead_holder_takes_over() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let me = cx.pid();
        for _ in 0..200 {
            let pid = holder(&mut cx, names, "a").await;
            let monitor = cx.monitor(pid);
            cx.exit_process(pid, ExitReason::kill());
            down(&mut cx, monitor).await;
            names.register(&mut cx, &key("a"), &1).await.unwrap();
            assert_eq!(names.lookup(&cx, &key("a")), Some((me, 1)));
            names.unregister(&cx, &key("a"));
        }
    });
}

#[test]
fn the_partition_does_not_take_keys_of_the_living() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let me = cx.pid();
        names.register(&mut cx, &key("a"), &1).await.unwrap();
        let partition = cx.whereis("names").unwrap();
        let partition = ServerRef::<otp_stdlib::registry::Partition>::from_pid(partition);
        partition
            .call(
                &mut cx,
                otp_stdlib::registry::Request::Clean(me, otp_vm::to_term("a").unwrap()),
            )
            .await
            .unwrap();
        assert_eq!(names.lookup(&cx, &key("a")), Some((me, 1)));
    });
}

#[test]
fn contenders_for_one_key_take_turns() {
    // Each registers when it can, is alone while it holds the key, and dies holding it.
    const CONTENDERS: usize = 50;
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let holding = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let mut monitors = Vec::new();
        for _ in 0..CONTENDERS {
            let holding = std::sync::Arc::clone(&holding);
            let contend = move |mut cx: Context| async move {
                while let Err(error) = names.register(&mut cx, &key("a"), &1).await {
                    assert!(
                        matches!(error, RegisterError::AlreadyRegistered(_)),
                        "{error}"
                    );
                    cx.yield_now().await;
                }
                let before = holding.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                assert_eq!(before, 0, "two hold the key");
                cx.yield_now().await;
                holding.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            };
            monitors.push(cx.spawn_monitor(contend).unwrap().1);
        }
        for monitor in monitors {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        }
    });
}

#[test]
fn doesnt_grow_ets_on_already_registered() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let rows = |cx: &Context| (names.count(cx), cx.table("names.pids").unwrap().len());
        let empty = rows(&cx);
        names.register(&mut cx, &key("a"), &1).await.unwrap();
        let before = rows(&cx);
        for _ in 0..10 {
            names.register(&mut cx, &key("a"), &1).await.unwrap_err();
        }
        assert_eq!(rows(&cx), before);
        names.unregister(&cx, &key("a"));
        assert_eq!(rows(&cx), empty);
    });
}

#[test]
fn raises_on_unknown_registry_name() {
    run(async |mut cx: Context| {
        let unknown = Names::named("unknown").unwrap();
        let error = unknown.register(&mut cx, &key("a"), &1).await.unwrap_err();
        assert!(matches!(error, RegisterError::NoRegistry(_)), "{error}");
        assert_eq!(unknown.lookup(&cx, &key("a")), None);
        assert_eq!(unknown.count(&cx), 0);
    });
}

#[test]
fn a_second_registry_of_the_name_is_refused() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        start(&mut cx).await;
        let error = Names::start_link(&mut cx, "names").await.unwrap_err();
        assert!(matches!(error, StartError::AlreadyStarted(_)), "{error}");
    });
}

#[test]
fn via_callbacks() {
    run(async |mut cx: Context| {
        let names = start(&mut cx).await;
        let me = cx.pid();
        let args = ProbeArgs::new("p", me);
        let probe = Probe::start(&mut cx, args.clone())
            .via_with(&names, &key("v"), &9)
            .await
            .unwrap();
        assert_eq!(
            names.lookup(&cx, &key("v")),
            Some((probe.pid().unwrap(), 9))
        );
        let via = ServerRef::<Probe>::via(&names, &key("v")).unwrap();
        assert_eq!(
            via.call(&mut cx, Do::Ping).await.unwrap(),
            probe.pid().unwrap()
        );
        // A reference through a registry finds the next incarnation.
        stop_probe(&mut cx, probe.pid().unwrap(), ExitReason::normal()).await;
        let next = Probe::start(&mut cx, args)
            .via(&names, &key("v"))
            .await
            .unwrap();
        assert_eq!(
            via.call(&mut cx, Do::Ping).await.unwrap(),
            next.pid().unwrap()
        );
        assert_ne!(next, probe);
    });
}

#[test]
fn a_registry_under_a_supervisor_comes_back() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let args = ProbeArgs::new("user", me);
        let names = Names::named("names").unwrap();
        let children = vec![
            ChildSpec::worker("names", |cx| Names::child(cx, "names")),
            ChildSpec::worker("user", move |cx| {
                let names = Names::named("names").expect("a name");
                Probe::start_link(cx, args.clone()).via(&names, &key("u"))
            }),
        ];
        let flags = SupervisorFlags::rest_for_one();
        Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let first = started(&mut cx, "user").await;
        let partition = cx.whereis("names").unwrap();
        cx.exit_process(partition, ExitReason::kill());
        loop {
            if let Event::Started(_, second) = event(&mut cx).await {
                assert_ne!(first, second);
                assert_eq!(names.whereis(&cx, &key("u")), Some(second));
                break;
            }
        }
        assert_eq!(names.count(&cx), 1);
    });
}
