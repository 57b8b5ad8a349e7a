//! Applications whose callbacks are those of a Rust type.

use std::time::Duration;

use otp_stdlib::application::{self, Change, StartType};
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::Restart;
use otp_vm::{Context, ExitReason, Pid, Term};
use serde::{Deserialize, Serialize};

use super::common::{
    Event, LIMIT, down, ended, event, exit_of, probe, reason, started, stop_probe, terminated,
};
use super::*;

/// One that tells `witness` of each of its callbacks, over a tree of one probe, `leaf`.
pub struct Shop {
    till: u32,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Args {
    pub till: u32,
    /// The callback that fails, and how.
    pub fails: Option<(String, Fail)>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Fail {
    Error,
    Panic,
    Hang,
}

fn tell(cx: &Context, what: String) {
    let told = Event::Terminated(what, ExitReason::normal());
    cx.send("witness", &told).expect("a witness");
}

/// The next callback.
pub async fn called(cx: &mut Context, what: &str) {
    match event(cx).await {
        Event::Terminated(called, _) if called == what => {}
        other => panic!("expected {what}, got {other:?}"),
    }
}

impl Shop {
    async fn fail(args: &Args, callback: &str, cx: &mut Context) -> Result<(), ExitReason> {
        match &args.fails {
            Some((at, Fail::Error)) if at == callback => Err(reason("as told")),
            Some((at, Fail::Panic)) if at == callback => panic!("as told"),
            Some((at, Fail::Hang)) if at == callback => {
                tell(cx, format!("{callback} hangs"));
                common::for_ever(cx).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Application for Shop {
    type Args = Args;

    async fn start(
        start_type: StartType,
        args: Args,
        cx: &mut Context,
    ) -> Result<(Pid, Self), otp_stdlib::StartError> {
        assert_eq!(start_type, StartType::Normal);
        let witness = cx.whereis("witness").expect("a witness");
        let flags = SupervisorFlags::one_for_one().intensity(0, LIMIT);
        let leaf = probe("leaf", witness);
        let top = application::tree(Supervisor::start_link(cx, flags, vec![leaf]).await)?;
        Self::fail(&args, "start", cx)
            .await
            .map_err(otp_stdlib::StartError::Exit)?;
        Ok((top, Self { till: args.till }))
    }

    async fn start_phase(
        phase: &str,
        _: StartType,
        args: Term<'_>,
        cx: &mut Context,
    ) -> Result<(), ExitReason> {
        let args: Args = otp_vm::from_term(args).expect("arguments");
        tell(cx, format!("phase {phase}"));
        Self::fail(&args, phase, cx).await
    }

    async fn prep_stop(&mut self, cx: &mut Context) {
        tell(cx, format!("prep_stop {}", self.till));
        self.till += 1;
        assert!(self.till != 8, "as told");
    }

    async fn stop(self, cx: &mut Context) {
        tell(cx, format!("stop {}", self.till));
        assert!(self.till != 10, "as told");
    }

    async fn config_change(change: Change, cx: &mut Context) -> Result<(), ExitReason> {
        tell(cx, format!("changed {}", change.changed.len()));
        match change.removed.first() {
            Some(key) => Err(ExitReason::new(&("needed", key))),
            None => Ok(()),
        }
    }
}

pub fn shop(args: Args) -> ApplicationSpec {
    ApplicationSpec::new("shop")
        .applications(["kernel", "stdlib"])
        .module::<Shop>(args)
}

pub fn witness(cx: &mut Context) {
    cx.register("witness", cx.pid()).expect("a name");
}

/// The shop as it runs.
async fn open(cx: &mut Context, args: Args, restart: Restart) -> Pid {
    witness(cx);
    application::start_as(cx, shop(args), restart)
        .await
        .unwrap();
    started(cx, "leaf").await
}

#[test]
fn its_callbacks_are_called_in_order() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        witness(cx);
        let none = Args::default();
        let spec = shop(Args {
            till: 3,
            fails: None,
        });
        let spec = spec.start_phase("open", &none).start_phase("sell", &none);
        application::start(cx, spec).await.unwrap();
        let leaf = started(cx, "leaf").await;
        called(cx, "phase open").await;
        called(cx, "phase sell").await;
        assert_eq!(
            application::get_application_of(cx, leaf),
            Some(atom("shop"))
        );
        assert_eq!(application::get_application(cx), None);
        application::stop(cx, "shop").await.unwrap();
        called(cx, "prep_stop 3").await;
        assert_eq!(terminated(cx, "leaf").await, ExitReason::shutdown());
        called(cx, "stop 4").await;
        assert_eq!(application::get_application_of(cx, leaf), None);
    });
}

#[test]
fn what_fails_as_it_stops_is_passed_over() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        for till in [7, 9] {
            if till == 7 {
                open(cx, Args { till, fails: None }, Restart::Temporary).await;
            } else {
                application::unload(cx, "shop").await.unwrap();
                application::start(cx, shop(Args { till, fails: None }))
                    .await
                    .unwrap();
                started(cx, "leaf").await;
            }
            application::stop(cx, "shop").await.unwrap();
            called(cx, &format!("prep_stop {till}")).await;
            terminated(cx, "leaf").await;
            called(cx, &format!("stop {}", till + 1)).await;
        }
    });
}

#[test]
fn a_start_that_fails_gives_its_reason() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        witness(cx);
        let fails = |how| Args {
            till: 0,
            fails: Some(("start".to_owned(), how)),
        };
        let error = application::start(cx, shop(fails(Fail::Error))).await;
        let shown_error = shown(error);
        assert!(
            shown_error.starts_with("{<<\"as told\">>,{'Shop',start,[normal,#{"),
            "{shown_error}"
        );
        // What it had started is gone.
        started(cx, "leaf").await;
        assert_eq!(terminated(cx, "leaf").await, ExitReason::shutdown());
        application::unload(cx, "shop").await.unwrap();

        let error = application::start(cx, shop(fails(Fail::Panic))).await;
        let shown_error = shown(error);
        assert!(
            shown_error.starts_with("{bad_return,{{'Shop',start,[normal,#{"),
            "{shown_error}"
        );
        assert!(
            shown_error.contains("{'EXIT',{panic,<<\"as told\">>,"),
            "{shown_error}"
        );
        started(cx, "leaf").await;
        terminated(cx, "leaf").await;
        assert!(!is_started(cx, "shop").await);
    });
}

#[test]
fn a_phase_that_fails_ends_the_tree() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        witness(cx);
        for (how, error) in [
            (
                Fail::Error,
                "{<<\"as told\">>,{'Shop',start_phase,[open,normal,#{",
            ),
            (
                Fail::Panic,
                "{bad_return_value,{{'Shop',start_phase,[open,normal,#{",
            ),
        ] {
            let args = Args {
                till: 0,
                fails: Some(("open".to_owned(), how)),
            };
            let spec = shop(Args::default()).start_phase("open", &args);
            let given = shown(application::start(cx, spec).await);
            assert!(given.starts_with(error), "{given}");
            started(cx, "leaf").await;
            called(cx, "phase open").await;
            assert_eq!(terminated(cx, "leaf").await, ExitReason::shutdown());
            application::unload(cx, "shop").await.unwrap();
        }
    });
}

#[test]
fn the_end_of_a_temporary_one_is_reported_and_no_more() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let leaf = open(cx, Args::default(), Restart::Temporary).await;
        let master = application::get_master(cx, "shop").unwrap();
        // No restart is allowed: the tree gives up.
        let ends = cx.monitor(master);
        stop_probe(cx, leaf, reason("oops")).await;
        terminated(cx, "leaf").await;
        called(cx, "prep_stop 0").await;
        called(cx, "stop 1").await;
        assert_eq!(down(cx, ends).await, ExitReason::shutdown());
        while is_started(cx, "shop").await {
            cx.yield_now().await;
        }
        // It can be started again, or forgotten.
        application::start(cx, "shop").await.unwrap();
        started(cx, "leaf").await;
    });
}

#[test]
fn the_end_of_a_permanent_one_ends_all() {
    for restart in [Restart::Permanent, Restart::Transient] {
        suite(move |mut cx: Context| async move {
            let cx = &mut cx;
            cx.trap_exit(true);
            let controller = cx.whereis(application::CONTROLLER).unwrap();
            let leaf = open(cx, Args::default(), restart).await;
            application::start(cx, app("app1", 1, 3)).await.unwrap();
            let other = cx.whereis("ch_sup1").unwrap();
            let ends = cx.monitor(other);
            stop_probe(cx, leaf, reason("oops")).await;
            let end = exit_of(cx, controller).await;
            assert_eq!(
                end.to_string(),
                "{shutdown,{application_terminated,shop,shutdown}}"
            );
            assert_eq!(down(cx, ends).await, ExitReason::shutdown());
        });
    }
}

/// One whose top ends as it is told.
struct Top;

impl Application for Top {
    type Args = ExitReason;

    async fn start(
        _: StartType,
        reason: ExitReason,
        cx: &mut Context,
    ) -> Result<(Pid, Self), otp_stdlib::StartError> {
        let top = cx.spawn_link(|mut cx: Context| async move {
            cx.receive().await;
            reason
        });
        Ok((top.map_err(otp_stdlib::StartError::from)?, Top))
    }
}

#[test]
fn a_transient_one_may_end_normally() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let spec = ApplicationSpec::new("top").module::<Top>(ExitReason::normal());
        application::start_as(cx, spec, Restart::Transient)
            .await
            .unwrap();
        let master = application::get_master(cx, "top").unwrap();
        let (top, module) = application::get_child(cx, master).await.unwrap();
        assert_eq!(module.as_str(), "Top");
        cx.send(top, &0).unwrap();
        ended(cx, master).await;
        while is_started(cx, "top").await {
            cx.yield_now().await;
        }
        assert_eq!(application::get_child(cx, master).await, None);
    });
}

#[test]
fn its_time_may_be_limited() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        witness(cx);
        let spec = shop(Args::default()).max_time(Duration::from_secs(3));
        application::start(cx, spec).await.unwrap();
        let begun = cx.monotonic_time();
        started(cx, "leaf").await;
        called(cx, "prep_stop 0").await;
        assert_eq!(terminated(cx, "leaf").await, ExitReason::shutdown());
        called(cx, "stop 1").await;
        let took = Duration::from_nanos(cx.monotonic_time() - begun);
        assert!(took >= Duration::from_secs(3), "{took:?}");
    });
}

#[test]
fn all_are_stopped_newest_first() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        cx.trap_exit(true);
        witness(cx);
        let controller = cx.whereis(application::CONTROLLER).unwrap();
        for (name, till) in [("first", 10), ("second", 20), ("third", 30)] {
            let args = Args { till, fails: None };
            let spec = ApplicationSpec::new(name).module::<Shop>(args);
            application::start(cx, spec).await.unwrap();
            started(cx, "leaf").await;
        }
        cx.exit_process(controller, ExitReason::shutdown());
        for till in [30, 20, 10] {
            called(cx, &format!("prep_stop {till}")).await;
            terminated(cx, "leaf").await;
            called(cx, &format!("stop {}", till + 1)).await;
        }
        assert_eq!(exit_of(cx, controller).await, ExitReason::shutdown());
    });
}

#[test]
fn a_change_may_be_refused() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        open(cx, Args::default(), Restart::Temporary).await;
        application::set_env(cx, "shop", "tills", &1).await.unwrap();
        let before = application::prep_config_change(cx).await.unwrap();
        application::unset_env(cx, "shop", "tills").await.unwrap();
        let errors = application::config_change(cx, before).await.unwrap();
        called(cx, "changed 0").await;
        assert_eq!(errors, [ExitReason::new(&("needed", atom("tills")))]);
    });
}
