//! Suspended processes: the cases of the suite that no trace is needed for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use otp_vm::{
    Atom, Context, ExitReason, Message, Pid, Status, SuspendError, SuspendOptions, Timeout,
    TraceFlags, Vm,
};

use crate::stage::{Do, down, next, nothing, settle, simulate, tell, worker};

const PLAIN: fn() -> SuspendOptions = SuspendOptions::new;

fn status(cx: &Context, pid: Pid) -> Status {
    cx.process_info(pid).expect("it lives").status
}

/// Counts for ever.
fn counts(counter: &Arc<AtomicU64>) -> impl FnOnce(Context) -> Boxed + Send + 'static {
    let counter = Arc::clone(counter);
    move |cx| {
        Box::pin(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                cx.yield_now().await;
            }
        })
    }
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// How often this process suspends that one: those that are active, and those that will be.
fn counts_of(cx: &Context, pid: Pid) -> (u32, u32) {
    let suspending = cx.process_info(cx.pid()).expect("itself").suspending;
    let mut of_it = suspending.iter().filter(|(whom, _, _)| *whom == pid);
    of_it
        .next()
        .map_or((0, 0), |&(_, active, outstanding)| (active, outstanding))
}

/// With two schedulers, as a process runs on the other one; and under seeds.
fn everywhere<F>(case: impl Fn(Context) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    simulate(case);
    let vm = Vm::builder().schedulers(2).build().unwrap();
    vm.run(case).wait().unwrap();
}

#[test]
fn suspend() {
    everywhere(|mut cx| async move {
        let counter = Arc::new(AtomicU64::new(0));
        let pid = cx.spawn_link(counts(&counter)).unwrap();
        // Each seed is a run of its own.
        for _ in 0..400 {
            assert_eq!(cx.suspend_process(pid, PLAIN()).await, Ok(true));
            assert_eq!(status(&cx, pid), Status::Suspended);
            let counted = counter.load(Ordering::Relaxed);
            cx.yield_now().await;
            assert_eq!(counter.load(Ordering::Relaxed), counted);
            assert_eq!(cx.resume_process(pid), Ok(()));
            let resumed = status(&cx, pid);
            assert!(
                matches!(resumed, Status::Runnable | Status::Running),
                "{resumed:?}"
            );
            cx.yield_now().await;
        }
        cx.unlink(pid);
        cx.exit_process(pid, ExitReason::kill());
    });
}

#[test]
fn suspend_exit() {
    everywhere(|mut cx| async move {
        for round in 0..200 {
            let (worker, worker_monitor) = cx
                .spawn_monitor(|cx| async move {
                    for _ in 0..10 {
                        cx.tick(50).await;
                    }
                })
                .unwrap();
            let (suspender, monitor) = cx
                .spawn_monitor(move |mut cx| async move {
                    match cx.suspend_process(worker, PLAIN()).await {
                        Ok(suspended) => assert!(suspended),
                        Err(error) => assert_eq!(error, SuspendError::NoProcess),
                    }
                    cx.yield_now().await;
                    drop(cx.resume_process(worker));
                })
                .unwrap();
            if round % 2 == 0 {
                cx.exit_process(suspender, "bang");
            }
            let reason = down(&mut cx, monitor).await;
            assert!(
                reason.is_normal() || reason == ExitReason::from("bang"),
                "{reason}"
            );
            assert!(down(&mut cx, worker_monitor).await.is_normal());
        }
    });
}

#[test]
fn suspender_exit() {
    everywhere(|mut cx| async move {
        let counter = Arc::new(AtomicU64::new(0));
        let pid = cx.spawn_link(counts(&counter)).unwrap();
        let is_suspended = move |cx: &Context| status(cx, pid) == Status::Suspended;
        assert_eq!(cx.resume_process(pid), Err(SuspendError::NotSuspended));
        let (_, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                assert!(!is_suspended(&cx));
                for _ in 0..4 {
                    assert_eq!(cx.suspend_process(pid, PLAIN()).await, Ok(true));
                    assert!(is_suspended(&cx));
                }
                for _ in 0..3 {
                    cx.resume_process(pid).unwrap();
                    assert!(is_suspended(&cx));
                }
                cx.resume_process(pid).unwrap();
                assert!(!is_suspended(&cx));
                for _ in 0..3 {
                    cx.suspend_process(pid, PLAIN()).await.unwrap();
                    assert!(is_suspended(&cx));
                }
                ExitReason::from("bang")
            })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("bang"));
        assert!(!is_suspended(&cx));

        let this = cx.pid();
        let mut suspenders = Vec::new();
        for _ in 0..5 {
            let suspender = cx.spawn_monitor(move |mut cx| async move {
                cx.suspend_process(pid, PLAIN()).await.unwrap();
                cx.send(this, "suspended").unwrap();
                cx.receive().await;
            });
            suspenders.push(suspender.unwrap());
            assert_eq!(next(&mut cx).await, "<<\"suspended\">>");
        }
        for (left, (suspender, monitor)) in suspenders.into_iter().enumerate() {
            assert!(is_suspended(&cx));
            cx.exit_process(suspender, "bang");
            assert_eq!(down(&mut cx, monitor).await, ExitReason::from("bang"));
            assert_eq!(is_suspended(&cx), left < 4);
        }
        cx.unlink(pid);
        cx.exit_process(pid, ExitReason::kill());
    });
}

/// Here the limit can be set.
#[test]
fn suspend_system_limit() {
    const LIMIT: u32 = 1000;
    let vm = Vm::builder()
        .schedulers(2)
        .max_suspensions(LIMIT)
        .build()
        .unwrap();
    let run = vm.run(|mut cx| async move {
        let pid = cx.spawn_link(worker).unwrap();
        for _ in 0..LIMIT {
            assert_eq!(cx.suspend_process(pid, PLAIN()).await, Ok(true));
            assert_eq!(status(&cx, pid), Status::Suspended);
        }
        let over = Err(SuspendError::Limit { limit: LIMIT });
        assert_eq!(cx.suspend_process(pid, PLAIN()).await, over);
        let asynchronous = PLAIN().asynchronous();
        assert_eq!(cx.suspend_process(pid, asynchronous).await, over);
        assert_eq!(cx.suspend_process_async(pid, PLAIN(), "tag"), over);
        assert_eq!(counts_of(&cx, pid), (LIMIT, 0));
        for _ in 0..LIMIT {
            assert_eq!(status(&cx, pid), Status::Suspended);
            cx.resume_process(pid).unwrap();
        }
        assert_ne!(status(&cx, pid), Status::Suspended);
        assert_eq!(cx.resume_process(pid), Err(SuspendError::NotSuspended));
    });
    run.wait().unwrap();
}

/// A message `{Tag, What}`.
fn told(message: &Message) -> Option<(u64, Atom)> {
    message.decode().ok()
}

#[test]
fn suspend_opts() {
    everywhere(|mut cx| async move {
        let this = cx.pid();
        let (pid, monitor) = cx
            .spawn_monitor(move |cx| async move {
                loop {
                    cx.link(this);
                    cx.register("suspend_opts", cx.pid()).unwrap();
                    cx.unregister("suspend_opts");
                    cx.unlink(this);
                    cx.tick(1).await;
                }
            })
            .unwrap();
        let asynchronous = PLAIN().asynchronous();
        let unless = PLAIN().unless_suspending();
        let mut not_yet = 0;
        for round in 0..100 {
            assert_eq!(cx.suspend_process_async(pid, PLAIN(), &round), Ok(true));
            let (active, outstanding) = counts_of(&cx, pid);
            match (active, outstanding) {
                (0, 1) => not_yet += 1,
                (1, 0) => assert_eq!(status(&cx, pid), Status::Suspended),
                other => panic!("{other:?}"),
            }
            let mut count = 1;
            if active == 0 {
                let (options, adds) = match round % 3 {
                    0 => (asynchronous, 1),
                    1 => (asynchronous.unless_suspending(), 0),
                    _ => (unless, 0),
                };
                assert_eq!(cx.suspend_process(pid, options).await, Ok(adds == 1));
                count += adds;
            }
            let answer = cx.receive_where(Timeout::Infinity, told).await.unwrap();
            assert_eq!((answer.0, answer.1.as_str()), (round, "suspended"));
            assert_eq!(counts_of(&cx, pid), (count, 0));
            assert_eq!(status(&cx, pid), Status::Suspended);
            for _ in 0..count {
                cx.resume_process(pid).unwrap();
            }
            assert_eq!(counts_of(&cx, pid), (0, 0));
            // A synchronous one leaves a count of 1.
            assert_eq!(cx.suspend_process(pid, PLAIN()).await, Ok(true));
            assert_eq!(counts_of(&cx, pid), (1, 0));
            cx.resume_process(pid).unwrap();
        }
        // The answer of the other is not here before this one looks.
        assert!(not_yet > 0);

        for count in 1..=3 {
            assert_eq!(cx.suspend_process(pid, asynchronous).await, Ok(true));
            while counts_of(&cx, pid) != (count, 0) {
                assert_eq!(counts_of(&cx, pid), (0, count));
                cx.yield_now().await;
            }
        }
        for count in 4..=5 {
            assert_eq!(cx.suspend_process(pid, PLAIN()).await, Ok(true));
            assert_eq!(counts_of(&cx, pid), (count, 0));
        }
        for options in [unless, unless.asynchronous()] {
            assert_eq!(cx.suspend_process(pid, options).await, Ok(false));
            assert_eq!(counts_of(&cx, pid), (5, 0));
        }
        for count in (1..=4).rev() {
            cx.resume_process(pid).unwrap();
            assert_eq!(counts_of(&cx, pid), (count, 0));
        }
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        assert_eq!(counts_of(&cx, pid), (0, 0));
        // Once more than it stood: nobody is there.
        assert_eq!(cx.resume_process(pid), Err(SuspendError::NoProcess));
    });
}

#[test]
fn suspend_waiting() {
    simulate(|mut cx| async move {
        let pid = cx.spawn_link(worker).unwrap();
        settle(&mut cx, pid).await;
        assert_eq!(status(&cx, pid), Status::Waiting);
        assert_eq!(cx.suspend_process(pid, PLAIN()).await, Ok(true));
        assert_eq!(status(&cx, pid), Status::Suspended);
    });
}

#[test]
fn erl_704() {
    everywhere(|mut cx| async move {
        for _ in 0..100 {
            let counter = Arc::new(AtomicU64::new(0));
            let (pid, monitor) = cx.spawn_monitor(counts(&counter)).unwrap();
            assert_eq!(cx.suspend_process(pid, PLAIN()).await, Ok(true));
            cx.exit_process(pid, ExitReason::kill());
            drop(cx.resume_process(pid));
            assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        }
    });
}

/// As Erlang does it: whoever wants a message gets one, whatever becomes of the process.
#[test]
fn a_tag_is_answered_in_any_case() {
    simulate(|mut cx| async move {
        // It ends before it can rest: it doesn't give way until its end.
        let (pid, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        assert_eq!(cx.suspend_process_async(pid, PLAIN(), "first"), Ok(true));
        let outcome = cx.receive_where(Duration::from_secs(1), |message| {
            message.decode::<(String, Atom)>().ok()
        });
        let (tag, outcome) = outcome.await.unwrap();
        assert_eq!(tag, "first");
        match outcome.as_str() {
            // Before it began.
            "suspended" => cx.resume_process(pid).unwrap(),
            other => assert!(["exited", "badarg"].contains(&other), "{other}"),
        }
        assert!(down(&mut cx, monitor).await.is_normal());
        assert_eq!(cx.suspend_process_async(pid, PLAIN(), "second"), Ok(true));
        assert_eq!(next(&mut cx).await, "{<<\"second\">>,badarg}");
        assert_eq!(counts_of(&cx, pid), (0, 0));
        nothing(&mut cx).await;
    });
}

/// Its slices take in signals and messages, and are told as any.
#[test]
fn slices_of_a_suspended_process_begin_and_end() {
    simulate(|mut cx| async move {
        let pid = cx.spawn(worker).unwrap();
        settle(&mut cx, pid).await;
        assert_eq!(cx.suspend_process(pid, PLAIN()).await, Ok(true));
        let flags = TraceFlags::RUNNING | TraceFlags::RECEIVE;
        cx.trace(pid, flags).unwrap();
        for round in 0..2 {
            match round {
                0 => tell(&cx, pid, Do::Note(1)),
                _ => cx.resume_process(pid).unwrap(),
            }
            let mut told = Vec::new();
            while let Some(event) = cx.receive_timeout(Duration::from_millis(100)).await {
                let event = event.to_string();
                told.push(event.split(',').nth(2).unwrap().to_owned());
            }
            let running: Vec<_> = told.iter().filter(|what| *what != "'receive'").collect();
            assert!(!running.is_empty() && running.len() % 2 == 0, "{told:?}");
            for (n, what) in running.into_iter().enumerate() {
                assert_eq!(what, if n % 2 == 0 { "in" } else { "out" }, "{told:?}");
            }
            let received = told.iter().filter(|what| *what == "'receive'").count();
            assert_eq!(received, 1 - round, "{told:?}");
            assert_eq!(status(&cx, pid) == Status::Suspended, round == 0);
        }
    });
}
