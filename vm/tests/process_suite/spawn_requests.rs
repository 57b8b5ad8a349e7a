//! Cases about spawning by request.

use std::time::Duration;

use otp_vm::{
    Atom, Context, ExitReason, Pid, Priority, Ref, SpawnOptions, SpawnReply, SpawnRequestOptions,
    TableOptions, Vm, random,
};

use crate::common::{bounded, down, exit, expect, idle, run};
use crate::simulated::seeds;

type Reply = (Atom, Ref, Atom, Pid);

fn options() -> SpawnRequestOptions {
    SpawnRequestOptions::new(SpawnOptions::new())
}

fn linked_and_monitored() -> SpawnRequestOptions {
    SpawnRequestOptions::new(SpawnOptions::new().link().monitor())
}

async fn requests(mut cx: Context) {
    cx.trap_exit(true);
    let tag = cx.make_ref();
    let reason = ExitReason::new(&("exit", tag));

    let exits = reason.clone();
    let asked = linked_and_monitored().reply_tag(&tag).unwrap();
    let request = cx.spawn_request(asked, |cx| async move { cx.exit(exits) });
    let reply: (Ref, Ref, Atom, Pid) = expect(&mut cx).await;
    assert_eq!((reply.0, reply.1, reply.2.as_str()), (tag, request, "ok"));
    assert_eq!(down(&mut cx, request).await, reason);
    assert_eq!(exit(&mut cx, reply.3).await, reason);

    let exits = reason.clone();
    let request = cx.spawn_request(linked_and_monitored(), |cx| async move { cx.exit(exits) });
    let reply: Reply = expect(&mut cx).await;
    assert_eq!((reply.0.as_str(), reply.1), ("spawn_reply", request));
    assert_eq!(down(&mut cx, request).await, reason);
    assert_eq!(exit(&mut cx, reply.3).await, reason);

    let parent = cx.pid();
    let request = cx.spawn_request(options(), move |cx| async move {
        cx.send(parent, &("own", cx.pid())).unwrap();
    });
    let reply: Reply = expect(&mut cx).await;
    assert_eq!((reply.1, reply.2.as_str()), (request, "ok"));
    assert_eq!(
        expect::<(String, Pid)>(&mut cx).await,
        ("own".to_owned(), reply.3)
    );
}

#[test]
fn spawn_request_bif() {
    seeds(0..50, requests);
    run(requests);
}

/// The child fails at once, and still there is the answer first.
#[test]
fn spawn_request_monitor_child_exit() {
    let fails = |mut cx: Context| async move {
        let tag = cx.make_ref();
        let asked = SpawnRequestOptions::new(SpawnOptions::new().monitor());
        let asked = asked.reply_tag(&tag).unwrap();
        let request =
            cx.spawn_request(asked, |cx| async move { cx.exit(ExitReason::new("undef")) });
        let reply: (Ref, Ref, Atom, Pid) = expect(&mut cx).await;
        assert_eq!((reply.0, reply.1, reply.2.as_str()), (tag, request, "ok"));
        let told = cx.receive().await.down().unwrap();
        assert_eq!(
            (told.reference, told.object.pid()),
            (request, Some(reply.3))
        );
        assert_eq!(told.reason, ExitReason::new("undef"));
    };
    seeds(0..50, fails);
    run(fails);
}

#[test]
fn spawn_request_link_child_exit() {
    let fails = |mut cx: Context| async move {
        cx.trap_exit(true);
        let tag = cx.make_ref();
        let asked = SpawnRequestOptions::new(SpawnOptions::new().link());
        let asked = asked.reply_tag(&tag).unwrap();
        let request =
            cx.spawn_request(asked, |cx| async move { cx.exit(ExitReason::new("undef")) });
        let reply: (Ref, Ref, Atom, Pid) = expect(&mut cx).await;
        assert_eq!((reply.0, reply.1, reply.2.as_str()), (tag, request, "ok"));
        let told = cx.receive().await.exit().unwrap();
        assert_eq!(
            (told.from, told.reason),
            (reply.3, ExitReason::new("undef"))
        );
    };
    seeds(0..50, fails);
    run(fails);
}

/// The arguments are what a closure has caught; lists are a tenth as long as OTP's.
#[test]
fn spawn_huge_arglist() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let reference = cx.make_ref();
        let list = |length: u32| (0..length).collect::<Vec<_>>();
        let arguments = (
            list(100_000),
            list(300_000),
            "a".repeat(1 << 20),
            "b".repeat(1 << 20),
            vec![cx.pid(); 20],
            reference,
            list(228),
        );
        let all = ExitReason::new(&arguments);
        for way in 0..5 {
            let caught = arguments.clone();
            let child = move |mut cx: Context| async move {
                assert_eq!(expect::<String>(&mut cx).await, "go");
                cx.exit(ExitReason::new(&caught));
            };
            let (pid, monitor) = match way {
                0 => {
                    let asked = SpawnRequestOptions::new(SpawnOptions::new().monitor());
                    let request = cx.spawn_request(asked, child);
                    let reply: Reply = expect(&mut cx).await;
                    assert_eq!((reply.1, reply.2.as_str()), (request, "ok"));
                    (reply.3, Some(request))
                }
                1 => cx
                    .spawn_monitor(child)
                    .map(|(pid, monitor)| (pid, Some(monitor)))
                    .unwrap(),
                2 => {
                    let options = SpawnOptions::new().monitor();
                    let spawned = cx.spawn_opt(options, child).unwrap();
                    (spawned.pid, spawned.monitor)
                }
                3 => (cx.spawn_link(child).unwrap(), None),
                _ => {
                    let pid = cx.spawn(child).unwrap();
                    (pid, Some(cx.monitor(pid)))
                }
            };
            cx.send(pid, "go").unwrap();
            let reason = match monitor {
                Some(monitor) => down(&mut cx, monitor).await,
                None => exit(&mut cx, pid).await,
            };
            // A failure would print all of it.
            assert!(reason == all, "{way}");
        }
    });
}

/// Parents that ask for a linked child and end. Each child has a watcher that tells with what it ended.
async fn parents_end(mut cx: Context, parents: usize, reason: ExitReason) {
    let tester = cx.pid();
    for _ in 0..parents {
        let kaboom = reason.clone();
        let options = SpawnOptions::new().priority(Priority::Max);
        let parent = cx.spawn_opt(options.clone(), move |cx| async move {
            let table = cx.table_new("", TableOptions::set()).unwrap();
            for row in 0..100_u32 {
                table.insert(&cx, &row, &()).unwrap();
            }
            let child = SpawnRequestOptions::new(options.link());
            cx.spawn_request(child, move |cx| async move {
                let watches = SpawnOptions::new().link().trap_exit();
                cx.spawn_opt(watches, move |mut cx| async move {
                    let told = cx.receive().await.exit().unwrap();
                    cx.send(tester, &told.reason).unwrap();
                })
                .unwrap();
                idle(cx).await;
            });
            cx.sleep(Duration::from_millis(random() % 10)).await;
            cx.exit(kaboom);
        });
        parent.unwrap();
    }
    let mut told = 0;
    while told < parents {
        // A child may end before it has a watcher.
        let Some(message) = cx.receive_timeout(Duration::from_secs(2)).await else {
            break;
        };
        assert_eq!(message.decode::<ExitReason>().unwrap(), reason);
        told += 1;
    }
    assert!(told > 0);
    while cx.vm().processes() != [cx.pid()] {
        cx.sleep(Duration::from_millis(1)).await;
    }
}

/// OTP has 10,000 parents.
const PARENTS: usize = 300;

#[test]
fn spawn_request_link_parent_exit() {
    let kaboom = ExitReason::from(Atom::new("kaboom").unwrap());
    let reason = kaboom.clone();
    seeds(0..10, move |cx| parents_end(cx, 50, reason.clone()));
    bounded(2, |cx| parents_end(cx, PARENTS, kaboom));
}

#[test]
fn spawn_request_link_parent_exit_compound_reason() {
    let kaboom = ExitReason::new("kaboom");
    let reason = kaboom.clone();
    seeds(0..10, move |cx| parents_end(cx, 50, reason.clone()));
    bounded(2, |cx| parents_end(cx, PARENTS, kaboom));
}

#[test]
fn spawn_request_abandon_bif() {
    run(|mut cx| async move {
        assert!(!cx.spawn_request_abandon(cx.make_ref()));
        let request = cx.spawn_request(options(), |_| async {});
        assert!(!cx.spawn_request_abandon(request));
        // Its answer was sent.
        assert_eq!(expect::<Reply>(&mut cx).await.1, request);
    });
}

async fn reply_options(mut cx: Context) {
    let parent = cx.pid();
    for reply in [
        SpawnReply::Yes,
        SpawnReply::SuccessOnly,
        SpawnReply::ErrorOnly,
        SpawnReply::No,
    ] {
        cx.spawn_request(options().reply(reply), move |cx| async move {
            cx.send(parent, "own").unwrap();
        });
        if matches!(reply, SpawnReply::Yes | SpawnReply::SuccessOnly) {
            assert_eq!(expect::<Reply>(&mut cx).await.2.as_str(), "ok");
        }
        assert_eq!(expect::<String>(&mut cx).await, "own");
        assert_eq!(cx.message_queue_len(), 0);
    }
}

/// Options that aren't known don't compile; what fails here is a VM that is full.
#[test]
fn spawn_request_reply_option() {
    seeds(0..30, reply_options);
    run(reply_options);

    let vm = Vm::builder()
        .schedulers(1)
        .max_processes(1)
        .build()
        .unwrap();
    let run = vm.run(|mut cx| async move {
        for reply in [
            SpawnReply::Yes,
            SpawnReply::ErrorOnly,
            SpawnReply::SuccessOnly,
            SpawnReply::No,
        ] {
            let request = cx.spawn_request(linked_and_monitored().reply(reply), idle);
            let told = cx.receive_timeout(Duration::ZERO).await;
            if matches!(reply, SpawnReply::Yes | SpawnReply::ErrorOnly) {
                let (tag, of, outcome, reason): (Atom, Ref, Atom, Atom) =
                    told.expect("an answer").decode().unwrap();
                assert_eq!((tag.as_str(), of), ("spawn_reply", request));
                assert_eq!(
                    (outcome.as_str(), reason.as_str()),
                    ("error", "system_limit")
                );
            } else {
                assert!(told.is_none(), "{told:?}");
            }
            let own = cx.process_info(cx.pid()).unwrap();
            assert_eq!((own.monitors, own.links), (vec![], vec![]));
        }
    });
    run.wait().unwrap();
}
