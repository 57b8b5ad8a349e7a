//! Cases of erl_link_SUITE.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/seeds.rs"]
mod simulated;

use std::pin::Pin;
use std::time::Duration;

use common::{down, exit, idle, run};
use otp_vm::{
    Atom, Context, ExitReason, Monitored, Pid, Priority, SpawnOptions, Status, atoms, random,
};
use simulated::seeds;

/// How long nothing comes, in virtual time.
const NOTHING: Duration = Duration::from_secs(1);

fn is_linked(cx: &Context, a: Pid, b: Pid) -> bool {
    let links = |of, with| {
        cx.process_info(of)
            .is_some_and(|info| info.links.contains(&with))
    };
    let (there, back) = (links(a, b), links(b, a));
    assert_eq!(there, back, "one side of the link between {a} and {b}");
    there
}

/// What a test process does when it is told.
#[derive(serde::Serialize, serde::Deserialize, Clone, Copy, PartialEq, Debug)]
enum Do {
    Link(Pid),
    Unlink(Pid),
    Spawn,
    Trap,
    Exit,
    Ask,
}

/// A process that does as it is told by the tester, and answers each time.
fn puppet(mut cx: Context, tester: Pid) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        loop {
            let message = cx.receive().await;
            if let Some(exit) = message.exit() {
                cx.send(tester, &("EXIT", exit.from, exit.reason)).unwrap();
                continue;
            }
            let mut answer = cx.pid();
            match message.decode().unwrap() {
                Do::Link(pid) => cx.link(pid),
                Do::Unlink(pid) => cx.unlink(pid),
                Do::Spawn => answer = cx.spawn_link(move |cx| puppet(cx, tester)).unwrap(),
                Do::Trap => assert!(!cx.trap_exit(true)),
                Do::Exit => cx.exit(ExitReason::new("died")),
                Do::Ask => {}
            }
            cx.send(tester, &answer).unwrap();
        }
    })
}

async fn tell(cx: &mut Context, pid: Pid, act: Do) -> Pid {
    cx.send(pid, &act).unwrap();
    common::expect(cx).await
}

#[test]
fn links() {
    seeds(0..20, |mut cx| async move {
        let tester = cx.pid();
        let cx = &mut cx;
        let tp1 = cx.spawn(move |cx| puppet(cx, tester)).unwrap();
        tell(cx, tp1, Do::Ask).await;
        assert_eq!(cx.process_info(tp1).unwrap().links, []);
        let tp2 = tell(cx, tp1, Do::Spawn).await;
        assert!(is_linked(cx, tp1, tp2));
        tell(cx, tp2, Do::Unlink(tp1)).await;
        assert!(!is_linked(cx, tp1, tp2));
        tell(cx, tp2, Do::Link(tp1)).await;
        assert!(is_linked(cx, tp1, tp2));

        tell(cx, tp2, Do::Trap).await;
        cx.send(tp1, &Do::Exit).unwrap();
        let died = ExitReason::new("died");
        let told: (String, Pid, ExitReason) = common::expect(cx).await;
        assert_eq!(told, ("EXIT".to_owned(), tp1, died.clone()));
        assert_eq!(cx.process_info(tp2).unwrap().links, []);
        assert!(!cx.is_alive(tp1).await);

        let tp3 = cx.spawn(move |cx| puppet(cx, tester)).unwrap();
        tell(cx, tp3, Do::Link(tp2)).await;
        assert!(is_linked(cx, tp2, tp3));
        let monitor = cx.monitor(tp3);
        cx.send(tp2, &Do::Exit).unwrap();
        assert_eq!(down(cx, monitor).await, died);

        // Of oneself there is none.
        cx.link(cx.pid());
        assert_eq!(cx.process_info(cx.pid()).unwrap().links, []);
        cx.unlink(cx.pid());
        assert_eq!(cx.process_info(cx.pid()).unwrap().links, []);
    });
}

#[test]
fn process_monitors() {
    for by_name in [false, true] {
        seeds(0..10, move |mut cx| async move {
            let cx = &mut cx;
            let watched = cx
                .spawn(|mut cx| async move {
                    let mut message = cx.receive().await;
                    if let Ok(reference) = message.decode::<otp_vm::Ref>() {
                        assert!(!cx.demonitor(reference));
                        cx.send(cx.parent(), "done").unwrap();
                        message = cx.receive().await;
                    }
                    drop(message);
                    cx.exit(ExitReason::new("bye"));
                })
                .unwrap();
            cx.register("watched", watched).unwrap();
            let object = if by_name {
                Monitored::Name(Atom::new("watched").unwrap())
            } else {
                Monitored::Pid(watched)
            };
            let monitor = |cx: &Context| {
                if by_name {
                    cx.monitor("watched")
                } else {
                    cx.monitor(watched)
                }
            };
            let both = |cx: &Context| {
                let watched = cx.process_info(watched).map(|info| info.monitored_by);
                let own = cx.process_info(cx.pid()).unwrap().monitors;
                (own, watched.unwrap_or_default())
            };
            let reference = monitor(cx);
            assert_eq!(both(cx), (vec![(reference, object)], vec![cx.pid()]));
            // Only its owner takes it back.
            cx.send(watched, &reference).unwrap();
            assert_eq!(common::expect::<String>(cx).await, "done");
            assert_eq!(both(cx), (vec![(reference, object)], vec![cx.pid()]));
            assert!(cx.demonitor(reference));
            assert_eq!(both(cx), (vec![], vec![]));

            let reference = monitor(cx);
            assert_eq!(both(cx), (vec![(reference, object)], vec![cx.pid()]));
            cx.send(watched, &()).unwrap();
            let bye = cx.receive().await.down().unwrap();
            assert_eq!((bye.reference, bye.object), (reference, object));
            assert_eq!(bye.reason, ExitReason::new("bye"));
            assert_eq!(both(cx), (vec![], vec![]));

            let reference = monitor(cx);
            let gone = cx.receive().await.down().unwrap();
            assert_eq!((gone.reference, gone.object), (reference, object));
            assert_eq!(gone.reason, ExitReason::noproc());

            // Of oneself it is no more than a reference.
            cx.register("own", cx.pid()).unwrap();
            for reference in [cx.monitor(cx.pid()), cx.monitor("own")] {
                let own = cx.process_info(cx.pid()).unwrap();
                assert_eq!((own.monitors, own.monitored_by), (vec![], vec![]));
                assert!(cx.receive_timeout(NOTHING).await.is_none());
                assert!(!cx.demonitor(reference));
            }
        });
    }
}

#[test]
fn otp_5772_link() {
    seeds(0..100, |mut cx| async move {
        cx.trap_exit(true);
        cx.set_priority(Priority::High);
        let options = SpawnOptions::new().link().priority(Priority::Low);
        let pid = cx.spawn_opt(options, idle).unwrap().pid;
        if random().is_multiple_of(2) {
            cx.yield_now().await;
        }
        cx.exit_process(pid, ExitReason::new("bang"));
        for _ in 0..random() % 4 {
            cx.yield_now().await;
        }
        cx.unlink(pid);
        // At once, or never.
        drop(cx.receive_timeout(Duration::ZERO).await);
        assert!(cx.receive_timeout(NOTHING).await.is_none());
    });
}

#[test]
fn otp_5772_monitor() {
    seeds(0..100, |mut cx| async move {
        cx.set_priority(Priority::High);
        let options = SpawnOptions::new().priority(Priority::Low);
        let pid = cx.spawn_opt(options, idle).unwrap().pid;
        let reference = cx.monitor(pid);
        if random().is_multiple_of(2) {
            cx.yield_now().await;
        }
        cx.exit_process(pid, ExitReason::new("bang"));
        for _ in 0..random() % 4 {
            cx.yield_now().await;
        }
        let stood = cx.demonitor(reference);
        let down = cx.receive_timeout(Duration::ZERO).await;
        assert_eq!(stood, down.is_none());
        assert!(cx.receive_timeout(NOTHING).await.is_none());
    });
}

/// Three messages each way, so that all signals before have arrived.
async fn shake_hands(cx: &mut Context, other: Pid) {
    for _ in 0..3 {
        cx.send(other, &atoms::OK).unwrap();
        common::expect::<Atom>(cx).await;
    }
}

/// Two processes that do `each` at the other at once; afterwards both have the link, or neither has.
async fn agree<D, F>(mut cx: Context, each: D)
where
    D: Fn(Context, Pid, usize) -> F + Send + Clone + 'static,
    F: Future<Output = Context> + Send + 'static,
{
    let mut both = Vec::new();
    for side in 0..2 {
        let each = each.clone();
        let (pid, _) = cx
            .spawn_monitor(move |mut cx| async move {
                let other = common::expect::<Pid>(&mut cx).await;
                let parent = cx.parent();
                let mut cx = each(cx, other, side).await;
                shake_hands(&mut cx, other).await;
                cx.send(parent, &()).unwrap();
                idle(cx).await;
            })
            .unwrap();
        both.push(pid);
    }
    let [a, b] = both[..] else { unreachable!() };
    cx.send(a, &b).unwrap();
    cx.send(b, &a).unwrap();
    for _ in 0..2 {
        common::expect::<()>(&mut cx).await;
    }
    is_linked(&cx, a, b);
    for pid in both {
        assert!(cx.is_alive(pid).await);
    }
}

#[test]
fn otp_17127_local_link_with_simultaneous_link_unlink() {
    let at_once = |cx: Context, other, side| async move {
        cx.link(other);
        if side == 1 {
            cx.unlink(other);
        }
        cx
    };
    seeds(0..300, move |cx| agree(cx, at_once));
    run(move |cx| agree(cx, at_once));
}

#[test]
fn otp_17127_local_random() {
    let at_random = |cx: Context, other, _| async move {
        for _ in 0..1 + random() % 500 {
            match random() % 3 {
                0 => cx.link(other),
                1 => cx.unlink(other),
                _ => cx.yield_now().await,
            }
        }
        cx
    };
    seeds(0..300, move |cx| agree(cx, at_random));
    for _ in 0..10 {
        run(move |cx| agree(cx, at_random));
    }
}

/// Not OTP's: what a link that was taken back leaves behind is nothing, also when the other side has ended meanwhile.
#[test]
fn a_link_taken_back_as_the_other_ends_takes_no_later_link_away() {
    seeds(0..300, |mut cx| async move {
        cx.trap_exit(true);
        let pid = cx
            .spawn_link(|cx| async move { cx.yield_now().await })
            .unwrap();
        for _ in 0..random() % 6 {
            cx.yield_now().await;
        }
        cx.unlink(pid);
        drop(cx.receive_timeout(Duration::ZERO).await);
        cx.link(pid);
        let reason = exit(&mut cx, pid).await;
        assert!(
            reason == ExitReason::noproc() || reason.is_normal(),
            "{reason}"
        );
        assert!(cx.receive_timeout(NOTHING).await.is_none());
        let own = cx.process_info(cx.pid()).unwrap();
        assert_eq!((own.links, own.status), (vec![], Status::Running));
    });
}
