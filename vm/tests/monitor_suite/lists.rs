//! Cases about what `process_info` lists of monitors.

use std::collections::BTreeSet;

use super::*;

/// Its own monitors and by whom it is monitored.
fn own(cx: &Context) -> (Vec<Monitored>, Vec<Pid>) {
    let own = cx.process_info(cx.pid()).unwrap();
    let monitors = own.monitors.iter().map(|&(_, object)| object).collect();
    (monitors, own.monitored_by)
}

#[test]
fn list_cleanup() {
    seeds(0..30, |mut cx| async move {
        let cx = &mut cx;
        cx.register("master_bertie", cx.pid()).unwrap();
        assert_eq!(own(cx), (vec![], vec![]));
        let briefly = |mut cx: Context| async move { drop(cx.receive().await) };
        let p1 = cx.spawn(briefly).unwrap();
        let reference = cx.monitor(p1);
        assert_eq!(own(cx), (vec![Monitored::Pid(p1)], vec![]));
        assert!(cx.demonitor(reference));
        assert_eq!(own(cx), (vec![], vec![]));
        nothing_comes(cx).await;

        let jeeves = Monitored::Name(Atom::new("jeeves").unwrap());
        cx.register("jeeves", p1).unwrap();
        cx.monitor("jeeves");
        assert_eq!(own(cx), (vec![jeeves], vec![]));
        cx.send(p1, &()).unwrap();
        let told = next_down(cx).await;
        assert_eq!((told.object, told.reason), (jeeves, ExitReason::normal()));
        assert_eq!(own(cx), (vec![], vec![]));

        let tester = cx.pid();
        let p2 = cx.spawn(move |cx| async move {
            cx.monitor("master_bertie");
            cx.send(tester, &()).unwrap();
            idle(cx).await;
        });
        let p2 = p2.unwrap();
        expect::<()>(cx).await;
        assert_eq!(own(cx), (vec![], vec![p2]));
        cx.exit_process(p2, ExitReason::new("frop"));
        cx.sleep(Duration::from_secs(2)).await;
        assert_eq!(own(cx), (vec![], vec![]));
    });
}

#[derive(serde::Serialize, serde::Deserialize, Clone, Copy, PartialEq)]
enum Does {
    Monitor,
    Demonitor,
    Flaff,
}

/// Monitors the tester, stops to, or ends, as it is told.
async fn helper(mut cx: Context, tester: Pid) {
    let mut reference = None;
    loop {
        match expect::<Does>(&mut cx).await {
            Does::Monitor => reference = Some(cx.monitor(tester)),
            Does::Demonitor => assert!(cx.demonitor(reference.unwrap())),
            Does::Flaff => cx.exit(ExitReason::new("flaff")),
        }
        cx.send(tester, &()).unwrap();
    }
}

/// Every order in which the two helpers of the two local places begin, and what ends the monitors.
#[test]
fn mixer() {
    let orders: Vec<Vec<usize>> = (0..24).map(permutation).collect();
    assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), 24);
    for order in orders {
        seeds(0..2, move |mut cx| {
            let order = order.clone();
            async move {
                for (theirs, mine, by_exit) in [
                    (true, false, true),
                    (false, true, true),
                    (true, true, true),
                    (true, true, false),
                ] {
                    mix(&mut cx, &order, theirs, mine, by_exit).await;
                }
            }
        });
    }
}

fn permutation(mut code: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..4).collect();
    (1..=4)
        .rev()
        .map(|n| {
            let at = code % n;
            code /= n;
            left.remove(at)
        })
        .collect()
}

async fn mix(cx: &mut Context, order: &[usize], theirs: bool, mine: bool, by_exit: bool) {
    let tester = cx.pid();
    let pids: Vec<Pid> = (0..4)
        .map(|_| cx.spawn(move |cx| helper(cx, tester)).unwrap())
        .collect();
    let mut references = Vec::new();
    for &at in order {
        if theirs {
            cx.send(pids[at], &Does::Monitor).unwrap();
            expect::<()>(cx).await;
        }
        if mine {
            references.push((pids[at], cx.monitor(pids[at])));
        }
    }
    let all: BTreeSet<Pid> = pids.iter().copied().collect();
    let (mut watched, mut watching) = (BTreeSet::new(), BTreeSet::new());
    let mut lists = |cx: &Context| {
        let (monitors, monitored_by) = own(cx);
        let sizes = (monitors.len(), monitored_by.len());
        watched = monitors.iter().filter_map(|object| object.pid()).collect();
        watching = monitored_by.into_iter().collect();
        assert_eq!(sizes, (watched.len(), watching.len()));
        (watched.clone(), watching.clone())
    };
    let some = |are: bool| if are { all.clone() } else { BTreeSet::new() };
    assert_eq!(lists(cx), (some(mine), some(theirs)));
    let mut left = all.clone();
    for &at in order {
        left.remove(&pids[at]);
        let with = |are: bool| if are { left.clone() } else { BTreeSet::new() };
        if by_exit {
            cx.send(pids[at], &Does::Flaff).unwrap();
            if mine {
                let told = next_down(cx).await;
                assert_eq!(told.object, pids[at]);
                assert_eq!(told.reason, ExitReason::new("flaff"));
            } else {
                while cx.is_alive(pids[at]).await {}
            }
            // The news of a monitor that has ended comes by itself.
            cx.sleep(Duration::from_millis(10)).await;
        } else {
            let is_its = |entry: &&(Pid, Ref)| entry.0 == pids[at];
            let (_, reference) = references.iter().find(is_its).unwrap();
            assert!(cx.demonitor(*reference));
            cx.send(pids[at], &Does::Demonitor).unwrap();
            expect::<()>(cx).await;
        }
        assert_eq!(lists(cx), (with(mine), with(theirs)));
    }
    assert_eq!(own(cx), (vec![], vec![]));
    for pid in pids {
        cx.exit_process(pid, ExitReason::kill());
    }
}
