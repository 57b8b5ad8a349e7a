//! Starts: synchronous, with a time limit, linked and monitored.

use std::pin::Pin;
use std::time::Duration;

use otp_stdlib::StartError;
use otp_stdlib::proc_lib::{self, StartOptions, Starter};
use otp_vm::{Context, ExitReason, InitialCall, Pid, Priority, Ref, SpawnOptions};

use crate::common::{down, exit_of, for_ever};
use crate::{SECOND, nothing_comes, simulate, told, until_it_waits};

const HALF: Duration = Duration::from_millis(500);

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells its witness that it is in its initialisation, is ready when told to go on, and ends when told to die.
fn sp4(witness: Pid) -> impl FnOnce(Context) -> Body + Send + 'static {
    move |mut cx| {
        Box::pin(async move {
            let starter = Starter::receive(&mut cx).await;
            cx.send(witness, &("init", cx.pid())).unwrap();
            told(&mut cx, "go_on").await;
            starter.init_ack(&cx);
            told(&mut cx, "die").await;
        })
    }
}

/// Never says that it is ready.
async fn hangs(mut cx: Context) {
    let _starter = Starter::receive(&mut cx).await;
    for_ever(&mut cx).await;
}

async fn tagged(cx: &mut Context, tag: &str) -> Pid {
    let tagged = cx.receive_where(SECOND, |message| {
        let (got, pid) = message.decode::<(String, Pid)>().ok()?;
        (got == tag).then_some(pid)
    });
    tagged
        .await
        .unwrap_or_else(|| panic!("no {tag} in a second"))
}

/// What the cases of a synchronous start have in common; gives the child, and what its starter sends about it.
async fn synchronous(
    cx: &mut Context,
    starter: impl FnOnce(Context) -> Body + Send + 'static,
) -> Pid {
    cx.spawn(starter).unwrap();
    let child = tagged(cx, "init").await;
    nothing_comes(cx, SECOND).await;
    cx.send(child, "go_on").unwrap();
    assert_eq!(tagged(cx, "started").await, child);
    child
}

#[test]
fn sync_start_nolink() {
    simulate(|mut cx, _| async move {
        let me = cx.pid();
        let child = synchronous(&mut cx, move |mut cx| {
            Box::pin(async move {
                let pid = proc_lib::start(&mut cx, sp4(me)).await.unwrap();
                cx.send(me, &("started", pid)).unwrap();
                for_ever(&mut cx).await;
            })
        })
        .await;
        assert!(cx.process_info(child).unwrap().links.is_empty());
    });
}

#[test]
fn sync_start_link() {
    simulate(|mut cx, _| async move {
        let me = cx.pid();
        let child = synchronous(&mut cx, move |mut cx| {
            Box::pin(async move {
                let pid = proc_lib::start_link(&mut cx, sp4(me)).await.unwrap();
                cx.send(me, &("started", pid)).unwrap();
                for_ever(&mut cx).await;
            })
        })
        .await;
        assert_eq!(cx.process_info(child).unwrap().links.len(), 1);
    });
}

/// Starts with a monitor from a process that traps exits, has the child end, and gives what came of it: `EXIT`, `DOWN`.
async fn monitored(cx: &mut Context, options: StartOptions) -> (Option<ExitReason>, ExitReason) {
    let me = cx.pid();
    let child = synchronous(cx, move |mut cx| {
        Box::pin(async move {
            cx.trap_exit(true);
            let (started, monitor): (_, Ref) = proc_lib::start_monitor(&mut cx, options, sp4(me))
                .await
                .unwrap();
            let pid = started.unwrap();
            cx.send(me, &("started", pid)).unwrap();
            let reason = down(&mut cx, monitor).await;
            let exit = cx.receive_timeout(SECOND).await;
            let exit = exit.map(|message| message.exit().expect("an EXIT"));
            assert!(exit.iter().all(|exit| exit.from == pid));
            cx.send(me, &(exit.map(|exit| exit.reason), reason))
                .unwrap();
        })
    })
    .await;
    cx.send(child, "die").unwrap();
    let ends = cx.receive().await;
    ends.decode().unwrap()
}

#[test]
fn sync_start_monitor() {
    simulate(|mut cx, _| async move {
        let normal = ExitReason::normal();
        assert_eq!(
            monitored(&mut cx, StartOptions::new()).await,
            (None, normal)
        );
    });
}

#[test]
fn sync_start_monitor_link() {
    simulate(|mut cx, _| async move {
        let normal = ExitReason::normal();
        let ends = monitored(&mut cx, StartOptions::new().link(true)).await;
        assert_eq!(ends, (Some(normal.clone()), normal));
    });
}

#[test]
fn sync_start_timeout() {
    simulate(|mut cx, _| async move {
        cx.trap_exit(true);
        let options = StartOptions::new().link(true).timeout(HALF);
        let begun = cx.monotonic_time();
        let started = proc_lib::start_opt(&mut cx, options, hangs).await;
        assert_eq!(started, Err(StartError::Timeout));
        assert!(cx.monotonic_time() - begun >= HALF.as_nanos() as u64);
        nothing_comes(&mut cx, HALF).await;
    });
}

#[test]
fn sync_start_link_timeout() {
    simulate(|mut cx, _| async move {
        cx.trap_exit(true);
        // `start_link` takes no limit of its own: OTP's start_link/4 is this.
        let options = StartOptions::new().link(true).timeout(HALF).label("linked");
        let started = proc_lib::start_opt(&mut cx, options, hangs).await;
        assert_eq!(started, Err(StartError::Timeout));
        nothing_comes(&mut cx, HALF).await;
    });
}

#[test]
fn sync_start_monitor_link_timeout() {
    simulate(|mut cx, _| async move {
        cx.trap_exit(true);
        let options = StartOptions::new().link(true).timeout(HALF);
        let (started, monitor) = proc_lib::start_monitor(&mut cx, options, hangs)
            .await
            .unwrap();
        assert_eq!(started, Err(StartError::Timeout));
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        nothing_comes(&mut cx, HALF).await;
    });
}

#[test]
fn a_monitored_start_that_fails_tells_its_reason_twice() {
    simulate(|mut cx, _| async move {
        cx.trap_exit(true);
        for link in [false, true] {
            let options = StartOptions::new().link(link);
            let die = async |_: Context| ExitReason::from("die");
            let (started, monitor) = proc_lib::start_monitor(&mut cx, options, die)
                .await
                .unwrap();
            assert_eq!(started, Err(StartError::Exit("die".into())));
            assert_eq!(down(&mut cx, monitor).await, ExitReason::from("die"));
            nothing_comes(&mut cx, HALF).await;
        }
    });
}

#[test]
fn spawn_opt() {
    simulate(|cx, _| async move {
        let low = SpawnOptions::new().priority(Priority::Low);
        let pid = proc_lib::spawn_opt(&cx, low, async |mut cx: Context| for_ever(&mut cx).await)
            .unwrap()
            .pid;
        until_it_waits(&cx, pid).await;
        let info = cx.process_info(pid).unwrap();
        assert_eq!(info.priority, Priority::Low);
        let call = proc_lib::initial_call(cx.vm(), pid).unwrap();
        assert_eq!(call, InitialCall::Fun(info.initial_call));
        let fun = "proc_lib_suite::starting::spawn_opt::";
        assert!(call.to_string().starts_with(fun), "{call}");
        assert_eq!(proc_lib::translate_initial_call(cx.vm(), pid), Some(call));

        // Without proc_lib there is only the other.
        let plain = cx
            .spawn(async |mut cx: Context| for_ever(&mut cx).await)
            .unwrap();
        assert_eq!(proc_lib::initial_call(cx.vm(), plain), None);
        assert!(proc_lib::translate_initial_call(cx.vm(), plain).is_some());
    });
}

/// A start takes no monitor, by its type: OTP's raises `badarg`. None is left on what it started.
#[test]
fn otp_6345() {
    simulate(|mut cx, _| async move {
        cx.trap_exit(true);
        let ready = async |mut cx: Context| {
            Starter::receive(&mut cx).await.init_ack(&cx);
            told(&mut cx, "die").await;
        };
        for link in [false, true] {
            let options = StartOptions::new().link(link);
            let pid = proc_lib::start_opt(&mut cx, options, ready).await.unwrap();
            until_it_waits(&cx, pid).await;
            assert!(cx.process_info(pid).unwrap().monitored_by.is_empty());
            cx.send(pid, "die").unwrap();
            if link {
                assert_eq!(exit_of(&mut cx, pid).await, ExitReason::normal());
            }
            nothing_comes(&mut cx, SECOND).await;
        }
    });
}

#[test]
fn init_dont_hang() {
    simulate(|mut cx, reports| async move {
        cx.trap_exit(true);
        let bad_init = async |mut cx: Context| {
            let starter = Starter::receive(&mut cx).await;
            if cx.pid() == starter.parent() {
                starter.init_ack(&cx);
            }
            panic!("bad_init");
        };
        let begun = cx.monotonic_time();
        let linked = proc_lib::start_link(&mut cx, bad_init).await.unwrap_err();
        let limit = StartOptions::new().timeout(SECOND);
        let alone = proc_lib::start_opt(&mut cx, limit.clone(), bad_init)
            .await
            .unwrap_err();
        let by_option = proc_lib::start_opt(&mut cx, limit.link(true), bad_init)
            .await
            .unwrap_err();
        assert!(
            cx.monotonic_time() - begun < SECOND.as_nanos() as u64,
            "at once"
        );
        assert_eq!(linked, alone);
        assert_eq!(linked, by_option);
        assert!(
            linked.to_string().contains("{panic,<<\"bad_init\">>,"),
            "{linked}"
        );
        assert_eq!(reports.try_iter().count(), 3);
        nothing_comes(&mut cx, SECOND).await;
    });
}
