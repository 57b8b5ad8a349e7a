//! Ends of supervisors: how long they take, and how their children end.

use super::*;

fn dynamic(module: &str, restart: &str, shutdown: &str) -> String {
    let spec =
        format!("{{child, {{{module}, start_child, []}}, {restart}, {shutdown}, worker, []}}");
    init("simple_one_for_one", 2, &[spec])
}

#[test]
fn sup_stop_timeout_dynamic() {
    run(async |mut cx, _| {
        let supervisor = started(&mut cx, &dynamic("supervisor_1", "temporary", "1000")).await;
        let (first, second) = (child(&mut cx, "[]").await, child(&mut cx, "[]").await);
        cx.link(first);
        cx.link(second);
        cx.send(second, &term("{sleep, 200000}")).unwrap();
        terminate(&mut cx, supervisor, "shutdown").await;
        assert_eq!(exit_of(&mut cx, supervisor).await, "shutdown");
        assert_eq!(exit_of(&mut cx, first).await, "shutdown");
        assert_eq!(exit_of(&mut cx, second).await, "killed");
    });
}

#[test]
fn sup_stop_brutal_kill_dynamic() {
    run(async |mut cx, _| {
        let supervisor = started(
            &mut cx,
            &dynamic("supervisor_4", "temporary", "brutal_kill"),
        )
        .await;
        let mut children = Vec::new();
        for _ in 0..10 {
            let pid = child(&mut cx, "[]").await;
            cx.link(pid);
            children.push(pid);
        }
        terminate(&mut cx, supervisor, "shutdown").await;
        assert_eq!(exit_of(&mut cx, supervisor).await, "shutdown");
        for pid in children {
            assert_eq!(exit_of(&mut cx, pid).await, "killed");
        }
    });
}

#[test]
fn sup_stop_non_shutdown_exit_dynamic() {
    run(async |mut cx, shared| {
        for restart in ["temporary", "transient", "permanent"] {
            shared.reports.lock().unwrap().clear();
            let supervisor = started(&mut cx, &dynamic("supervisor_4", restart, "5000")).await;
            let mut children = Vec::new();
            for reason in ["normal", "shutdown", "{shutdown,test}", "other"] {
                let pid = child(&mut cx, &format!("[{reason}]")).await;
                cx.link(pid);
                children.push((pid, reason));
            }
            terminate(&mut cx, supervisor, "shutdown").await;
            assert_eq!(exit_of(&mut cx, supervisor).await, "shutdown");
            for (pid, reason) in children {
                assert_eq!(exit_of(&mut cx, pid).await, reason);
            }
            // What nobody asked for is reported.
            let reports = shared.reports.lock().unwrap();
            let mut reported: Vec<_> = reports
                .iter()
                .filter_map(|report| report.reason.clone())
                .collect();
            reported.sort_by_key(ToString::to_string);
            let reported: Vec<_> = reported.iter().map(ToString::to_string).collect();
            match restart {
                "permanent" => assert_eq!(reported, ["normal", "other", "{shutdown,test}"]),
                _ => assert_eq!(reported, ["other"]),
            }
        }
    });
}

#[test]
fn simple_one_for_one_shutdown() {
    run(async |mut cx, _| {
        let supervisor = started(&mut cx, &dynamic("supervisor_2", "permanent", "2000")).await;
        for linger in ["[1000]", "[1000]", "[5000]"] {
            child(&mut cx, linger).await;
        }
        let begun = cx.monotonic_time();
        terminate(&mut cx, supervisor, "shutdown").await;
        let took = Duration::from_nanos(cx.monotonic_time() - begun);
        // The two end by themselves, at the same time; the third is killed when its time is over.
        assert!(
            took >= Duration::from_secs(2) && took < Duration::from_secs(3),
            "{took:?}"
        );
        check_exit(&mut cx, &[supervisor]).await;
    });
}
