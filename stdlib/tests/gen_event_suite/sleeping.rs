//! Managers that hibernate, by the wish of a handler or after a time.

use otp_stdlib::sys;

use super::dummies::{Args1, Call, Info, Reply, dummy1};
use super::*;

/// Longer than a simulation puts off who is ready.
const A_WHILE: Duration = ms(10);

/// Lets the manager go on until it waits, and gives whether it hibernates.
async fn sleeps(cx: &mut Context, pid: Pid) -> bool {
    cx.sleep(A_WHILE).await;
    cx.process_info(pid).expect("it lives").hibernated
}

async fn wakes(cx: &mut Context, pid: Pid) {
    cx.send(pid, &Info::Wake).unwrap();
    assert!(!sleeps(cx, pid).await);
}

#[test]
fn hibernate() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let manager = &manager(cx).await;
        let pid = manager.whereis(cx).unwrap();
        add(cx, manager).await;
        assert_eq!(which(cx, manager).await, ["dummy_h"]);
        let reply = manager.call(cx, &dummy(), Call::Hibernate).await;
        assert_eq!(reply.unwrap(), Reply::True);
        assert!(sleeps(cx, pid).await);

        wakes(cx, pid).await;
        let reply = manager.call(cx, &dummy(), Call::HibernateLater).await;
        assert_eq!(reply.unwrap(), Reply::Later);
        assert!(!sleeps(cx, pid).await);
        cx.sleep(ms(1000)).await;
        assert!(sleeps(cx, pid).await);

        wakes(cx, pid).await;
        for sync in [false, true] {
            manager.notify(cx, &Event::Hibernate).unwrap();
            assert!(sleeps(cx, pid).await);
            match sync {
                false => manager.notify(cx, &Event::Wakeup).unwrap(),
                true => manager.sync_notify(cx, &Event::Wakeup).await.unwrap(),
            }
            assert!(!sleeps(cx, pid).await);
        }
        manager.sync_notify(cx, &Event::Hibernate).await.unwrap();
        assert!(sleeps(cx, pid).await);

        // It is enough that one of them wants to.
        wakes(cx, pid).await;
        let args = Args1::Parent(cx.pid());
        manager.add_handler(cx, dummy1(None), args).await.unwrap();
        assert_eq!(which(cx, manager).await.len(), 2);
        manager.notify(cx, &Event::Hibernate).unwrap();
        assert!(sleeps(cx, pid).await);
        manager.notify(cx, &Event::Wakeup).unwrap();
        assert!(sleeps(cx, pid).await);
        wakes(cx, pid).await;
        assert_eq!(told(cx).await, "{dummy1_h,wake}");
        cx.send(pid, &Info::Gnurf).unwrap();
        assert!(sleeps(cx, pid).await);
        cx.send(pid, &Info::Sleep).unwrap();
        assert!(sleeps(cx, pid).await);
        assert_eq!(told(cx).await, "{dummy1_h,sleep}");
        wakes(cx, pid).await;
        assert_eq!(told(cx).await, "{dummy1_h,wake}");
        stop(cx, manager).await;

        // By `init`.
        let manager = &super::manager(cx).await;
        let pid = manager.whereis(cx).unwrap();
        let args = Args::Hibernate(cx.pid());
        manager.add_handler(cx, dummy(), args).await.unwrap();
        assert!(sleeps(cx, pid).await);
        sys::suspend(manager).call(cx).await.unwrap();
        assert!(sleeps(cx, pid).await);
        sys::resume(manager).call(cx).await.unwrap();
        assert!(sleeps(cx, pid).await);
        wakes(cx, pid).await;
        stop(cx, manager).await;
        nothing(cx).await;
    });
}

#[test]
fn auto_hibernate() {
    simulated(async |mut cx: Context| {
        let cx = &mut cx;
        let start = EventManager::<Event>::start(cx).name("auto_hibernate_handler");
        let manager = start.hibernate_after(ms(100)).await.unwrap();
        let (pid, me) = (manager.pid().unwrap(), cx.pid());
        for round in 0..5 {
            match round {
                0 => {}
                1 => add(cx, &manager).await,
                2 => {
                    let reply = manager.call(cx, &dummy(), Call::Hejsan).await;
                    assert_eq!(reply.unwrap(), Reply::Hejhopp);
                }
                3 => {
                    manager.notify(cx, &Event::HandleEvent(me)).unwrap();
                    assert_eq!(told(cx).await, "handled_event");
                }
                _ => {
                    cx.send(pid, &Info::HandleInfo(me)).unwrap();
                    assert_eq!(told(cx).await, "handled_info");
                }
            }
            assert!(!sleeps(cx, pid).await);
            cx.sleep(ms(70)).await;
            assert!(!sleeps(cx, pid).await, "not before its time");
            cx.sleep(ms(10)).await;
            assert!(sleeps(cx, pid).await);
            if round == 1 {
                let state = sys::get_state(&manager).call(cx).await.unwrap();
                assert_eq!(state.to_string(), format!("[{{dummy_h,false,{me}}}]"));
                assert!(sleeps(cx, pid).await);
            }
        }
        stop(cx, &manager).await;
        nothing(cx).await;
    });
}
