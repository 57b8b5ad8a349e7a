//! Adding, removing and listing children.

use super::*;

#[test]
fn child_adm() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let first = supervisor
            .start_child(&mut cx, probe("a", me))
            .await
            .unwrap();
        assert_eq!(started(&mut cx, "a").await, first);

        let again = supervisor
            .start_child(&mut cx, probe("a", me))
            .await
            .unwrap_err();
        assert_eq!(again, ChildError::AlreadyStarted(first));
        assert_eq!(
            supervisor.restart_child(&mut cx, "a").await,
            Err(ChildError::Running)
        );
        assert_eq!(
            supervisor.delete_child(&mut cx, "a").await,
            Err(ChildError::Running)
        );

        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        assert_eq!(pids(&mut cx, &supervisor).await, [None]);
        let present = supervisor
            .start_child(&mut cx, probe("a", me))
            .await
            .unwrap_err();
        assert_eq!(present, ChildError::AlreadyPresent);

        let second = supervisor.restart_child(&mut cx, "a").await.unwrap();
        assert_ne!(first, second);
        assert_eq!(started(&mut cx, "a").await, second);
        assert_eq!(pids(&mut cx, &supervisor).await, [Some(second)]);

        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        supervisor.delete_child(&mut cx, "a").await.unwrap();
        assert_eq!(
            supervisor.restart_child(&mut cx, "a").await,
            Err(ChildError::NotFound)
        );
        assert_eq!(
            supervisor.delete_child(&mut cx, "a").await,
            Err(ChildError::NotFound)
        );
        assert_eq!(
            supervisor.terminate_child(&mut cx, "a").await,
            Err(ChildError::NotFound)
        );
        assert!(pids(&mut cx, &supervisor).await.is_empty());
    });
}

#[test]
fn child_specs() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let inner = ChildSpec::supervisor("inner", |cx| {
            Supervisor::start_link(cx, SupervisorFlags::one_for_one(), vec![])
        });
        let children = vec![
            probe("a", me)
                .restart(Restart::Transient)
                .shutdown(Shutdown::BrutalKill),
            inner,
        ];
        let supervisor = start(&mut cx, one_for_one(), children).await;
        let spec = supervisor.get_childspec(&mut cx, "a").await.unwrap();
        assert_eq!(spec.id, "a");
        assert_eq!(
            (spec.restart, spec.shutdown),
            (Restart::Transient, Shutdown::BrutalKill)
        );
        assert_eq!((spec.kind, spec.significant), (ChildKind::Worker, false));
        // OTP's defaults: 5 seconds for workers, infinity for supervisors, permanent.
        let spec = supervisor.get_childspec(&mut cx, "inner").await.unwrap();
        assert_eq!(
            (spec.kind, spec.shutdown),
            (ChildKind::Supervisor, Shutdown::Infinity)
        );
        assert_eq!(spec.restart, Restart::Permanent);
        let missing = supervisor.get_childspec(&mut cx, "b").await.unwrap_err();
        assert_eq!(missing, ChildError::NotFound);
        let plain = ChildSpec::process("plain", async |_| {});
        let plain = format!("{plain:?}");
        assert!(
            plain.contains("After(5s)") && plain.contains("Permanent"),
            "{plain}"
        );
    });
}

#[test]
fn count_children() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let inner = ChildSpec::supervisor("inner", |cx| {
            Supervisor::start_link(cx, SupervisorFlags::one_for_one(), vec![])
        });
        let supervisor = start(
            &mut cx,
            one_for_one(),
            vec![probe("a", me), inner, ignoring("c")],
        )
        .await;
        let counts = supervisor.count_children(&mut cx).await.unwrap();
        assert_eq!(
            counts,
            ChildCounts {
                specs: 3,
                active: 2,
                supervisors: 1,
                workers: 2
            }
        );
        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        let counts = supervisor.count_children(&mut cx).await.unwrap();
        assert_eq!(
            counts,
            ChildCounts {
                specs: 3,
                active: 1,
                supervisors: 1,
                workers: 2
            }
        );
    });
}

#[test]
fn which_child() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let children = ["a", "b", "c"].map(|name| probe(name, me)).into();
        let supervisor = start(&mut cx, one_for_one(), children).await;
        let listed = supervisor.which_children(&mut cx).await.unwrap();
        for child in listed {
            let found = supervisor.which_child(&mut cx, child.id.clone()).await;
            assert_eq!(found, Ok(child));
        }
        supervisor.terminate_child(&mut cx, "b").await.unwrap();
        let ended = supervisor.which_child(&mut cx, "b").await.unwrap();
        assert_eq!((ended.pid, ended.restarting), (None, false));
        supervisor.delete_child(&mut cx, "b").await.unwrap();
        let nobody = supervisor.which_child(&mut cx, "b").await;
        assert_eq!(nobody, Err(ChildError::NotFound));
    });
}

#[test]
fn child_unlink() {
    // A child that unlinked itself is shut down all the same, and does not hang the supervisor.
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let child = probe("a", me).shutdown(Shutdown::After(LIMIT));
        let pid = supervisor.start_child(&mut cx, child).await.unwrap();
        started(&mut cx, "a").await;
        let parent = supervisor.pid().unwrap();
        ServerRef::<Probe>::from_pid(pid)
            .call(&mut cx, Do::Unlink(parent))
            .await
            .unwrap();
        let asked = supervisor.clone();
        let asking = cx.spawn_link(async move |mut cx: Context| {
            asked.terminate_child(&mut cx, "a").await.unwrap();
        });
        cx.send(parent, &"foo").unwrap();
        assert_eq!(
            exit_of(&mut cx, asking.unwrap()).await,
            ExitReason::normal()
        );
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
        // It took the message: it answers what came behind it, and has nothing left.
        assert_eq!(counts(&mut cx, &supervisor).await, [1, 0, 0, 1]);
        assert_eq!(cx.process_info(parent).unwrap().message_queue_len, 0);
    });
}
