//! Cases about starts, one by one and all together.

use std::time::Duration;

use otp_stdlib::application::{self, ApplicationError};
use otp_stdlib::supervisor::Restart;
use otp_vm::{Context, ExitReason};

use super::common::{down, ended, exit_of};
use super::*;

#[test]
fn ensure_started() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        application::define(cx, app("app1", 1, 3)).await.unwrap();
        application::ensure_started(cx, "app1").await.unwrap();
        application::ensure_started(cx, "app1").await.unwrap();
        let error = application::start(cx, "app1").await;
        assert_eq!(shown(error), "{already_started,app1}");
        application::stop(cx, "app1").await.unwrap();
        let error = application::ensure_started(cx, "hopefully_not_an_existing_app_file").await;
        assert_eq!(shown(error), no_file("hopefully_not_an_existing_app_file"));

        let permanent = Restart::Permanent;
        application::ensure_started_as(cx, "app1", permanent)
            .await
            .unwrap();
        application::ensure_started_as(cx, "app1", permanent)
            .await
            .unwrap();
        application::stop(cx, "app1").await.unwrap();
        application::unload(cx, "app1").await.unwrap();
    });
}

#[test]
fn ensure_all_started() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let on = |apps: &str| format!("{{applications, [kernel, {apps}]}}");
        for spec in [
            app("app1", 1, 3),
            app("app9", 19, 19),
            app10(", app9", ""),
            app_with("app_chain_error", 20, 20, &on("app_chain_error2")),
            app_with(
                "app_chain_error2",
                21,
                21,
                &on("app10, hopefully_not_an_existing_app"),
            ),
        ] {
            application::define(cx, spec).await.unwrap();
        }
        // One by itself.
        assert!(!is_started(cx, "app1").await);
        let started = application::ensure_all_started(cx, "app1").await.unwrap();
        assert_eq!(names(&started), ["app1"]);
        assert!(is_started(cx, "app1").await);
        let started = application::ensure_all_started(cx, "app1").await.unwrap();
        assert!(started.is_empty());
        application::stop(cx, "app1").await.unwrap();
        assert!(!is_started(cx, "app1").await);
        application::unload(cx, "app1").await.unwrap();

        // One that is not there.
        let name = "hopefully_not_an_existing_app_file";
        let error = application::ensure_all_started(cx, name).await;
        assert_eq!(shown(error), format!("{{{name},{}}}", no_file(name)));

        // What it depends on is started first, if it does not run.
        let error = application::start(cx, "app10").await;
        assert_eq!(shown(error), "{not_started,app9}");
        let temporary = Restart::Temporary;
        let started = application::ensure_all_started_as(cx, "app10", temporary).await;
        assert_eq!(names(&started.unwrap()), ["app9", "app10"]);
        assert!(is_started(cx, "app9").await && is_started(cx, "app10").await);
        application::stop(cx, "app10").await.unwrap();
        application::unload(cx, "app10").await.unwrap();
        let started = application::ensure_all_started_as(cx, "app10", temporary).await;
        assert_eq!(names(&started.unwrap()), ["app10"]);
        for app in ["app9", "app10"] {
            application::stop(cx, app).await.unwrap();
            application::unload(cx, app).await.unwrap();
        }

        // One far below is missing: what was started for it is stopped again …
        let missing = "hopefully_not_an_existing_app";
        let expected = format!("{{{missing},{}}}", no_file(missing));
        let chain = ["app_chain_error", "app_chain_error2", "app10"];
        let error = application::ensure_all_started(cx, "app_chain_error").await;
        assert_eq!(shown(error), expected);
        assert!(!is_started(cx, "app9").await);
        for app in chain {
            assert!(!is_started(cx, app).await, "{app}");
        }
        // … but for what ran before.
        let started = application::ensure_all_started_as(cx, "app9", temporary).await;
        assert_eq!(names(&started.unwrap()), ["app9"]);
        let error = application::ensure_all_started(cx, "app_chain_error").await;
        assert_eq!(shown(error), expected);
        assert!(is_started(cx, "app9").await);
        for app in chain {
            assert!(!is_started(cx, app).await, "{app}");
        }
        application::stop(cx, "app9").await.unwrap();
        for app in ["app9", "app10", "app_chain_error2", "app_chain_error"] {
            application::unload(cx, app).await.unwrap();
        }
    });
}

#[test]
fn optional_applications() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let optional = |cx: &Context| {
            let optional = application::get_key::<Vec<Atom>>(cx, "app10", "optional_applications");
            optional.unwrap().unwrap()
        };
        application::define(cx, app10(", app9", "")).await.unwrap();
        let error = application::start(cx, "app10").await;
        assert_eq!(shown(error), "{not_started,app9}");
        assert!(optional(cx).is_empty());
        application::unload(cx, "app10").await.unwrap();

        // An optional one may be missing …
        application::define(cx, app10(", app9", "app9"))
            .await
            .unwrap();
        application::start(cx, "app10").await.unwrap();
        assert_eq!(names(&optional(cx)), ["app9"]);
        assert!(!is_started(cx, "app9").await);
        application::stop(cx, "app10").await.unwrap();
        application::unload(cx, "app10").await.unwrap();

        // … and if it is not, it need not run …
        application::define(cx, app("app9", 19, 19)).await.unwrap();
        application::start(cx, "app10").await.unwrap();
        assert!(!is_started(cx, "app9").await);
        application::stop(cx, "app10").await.unwrap();
        application::unload(cx, "app10").await.unwrap();

        // … but is started where all are.
        let temporary = Restart::Temporary;
        let started = application::ensure_all_started_as(cx, "app10", temporary).await;
        assert_eq!(names(&started.unwrap()), ["app9", "app10"]);
        assert!(is_started(cx, "app9").await);
        for app in ["app9", "app10"] {
            application::stop(cx, app).await.unwrap();
            application::unload(cx, app).await.unwrap();
        }

        // One that fails is an error.
        let failing = app10(", app_start_error", "app_start_error");
        application::define(cx, failing).await.unwrap();
        application::define(cx, app_start_error()).await.unwrap();
        match application::ensure_all_started_as(cx, "app10", temporary).await {
            Err(ApplicationError::Of(app, _)) => assert_eq!(app.as_str(), "app_start_error"),
            other => panic!("{other:?}"),
        }
        application::unload(cx, "app10").await.unwrap();
    });
}

fn app_start_error() -> ApplicationSpec {
    spec("{application, app_start_error, [{applications, [kernel]}, {mod, {app_start_error, []}}]}")
}

#[test]
fn otp_1586() {
    suite(async |mut cx: Context| {
        application::define(&mut cx, app("app5", 7, 9))
            .await
            .unwrap();
        let options = "{applications, [kernel]}, {included_applications, [app5]}";
        let app4 = app_with("app4", 7, 9, options);
        application::load(&mut cx, app4).await.unwrap();
        assert!(is_loaded(&cx, "app5"));
        application::unload(&mut cx, "app4").await.unwrap();
        assert!(!is_loaded(&cx, "app5"));
    });
}

#[test]
fn otp_2718() {
    suite(async |mut cx: Context| {
        cx.trap_exit(true);
        let transient = |name: &str| {
            spec(&format!(
                "{{application, {name}, [{{vsn, \"1.0\"}}, {{applications, [kernel, stdlib]}},
                  {{mod, {{{name}_sup, []}}}}]}}"
            ))
        };
        // A transient one may end so as it starts …
        application::load(&mut cx, transient("trans_normal"))
            .await
            .unwrap();
        let error = application::start_as(&mut cx, "trans_normal", Restart::Transient).await;
        assert_eq!(
            shown(error),
            "{{'EXIT',normal},{trans_normal_sup,start,[normal,[]]}}"
        );
        assert!(!is_started(&mut cx, "trans_normal").await);

        // … and not so: that ends the controller, and all with it.
        let controller = cx.whereis(application::CONTROLLER).unwrap();
        application::load(&mut cx, transient("trans_abnormal"))
            .await
            .unwrap();
        let error = application::start_as(&mut cx, "trans_abnormal", Restart::Transient).await;
        let failure = "{bad_return,{{trans_abnormal_sup,start,[normal,[]]},{'EXIT',abnormal}}}";
        assert_eq!(shown(error), failure);
        assert_eq!(
            exit_of(&mut cx, controller).await.to_string(),
            format!("{{shutdown,{{application_start_failure,trans_abnormal,{failure}}}}}")
        );
        let gone = application::which_applications(&mut cx).await;
        assert_eq!(
            gone,
            Err(ApplicationError::Controller(ExitReason::noproc()))
        );
    });
}

/// Has processes start an application, all at once, and gives what came of it.
async fn at_once(cx: &mut Context, processes: usize, app: &'static str) -> Vec<String> {
    let me = cx.pid();
    for _ in 0..processes {
        let start = move |mut cx: Context| async move {
            let result = match application::start(&mut cx, app).await {
                Ok(()) => "ok".to_owned(),
                error => shown(error),
            };
            cx.send(me, &(atom("started"), result)).unwrap();
        };
        cx.spawn(start).unwrap();
    }
    let mut results = Vec::new();
    for _ in 0..processes {
        let result = cx.receive_where(common::LIMIT, |message| {
            message.decode::<(Atom, String)>().ok()
        });
        results.push(result.await.expect("an answer").1);
    }
    results
}

#[test]
fn otp_2973() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        application::define(cx, app("app0", 77, 80)).await.unwrap();
        assert_eq!(at_once(cx, 2, "app0").await, ["ok", "ok"]);
        application::stop(cx, "app0").await.unwrap();

        application::define(cx, app_start_error()).await.unwrap();
        let error = "{<<\"start error\">>,{app_start_error,start,[normal,[]]}}";
        assert_eq!(at_once(cx, 2, "app_start_error").await, [error, error]);
    });
}

#[test]
fn otp_4227() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        application::load(cx, app("app9", 19, 19)).await.unwrap();
        application::load(cx, app10(", app9", "")).await.unwrap();
        let error = application::start(cx, "app10").await;
        assert_eq!(shown(error), "{not_started,app9}");

        // It was started, and runs no more.
        application::start(cx, "app9").await.unwrap();
        let master = application::get_master(cx, "app9").unwrap();
        let top = cx.whereis("ch_sup19").unwrap();
        let ends = cx.monitor(master);
        cx.exit_process(top, ExitReason::kill());
        down(cx, ends).await;
        while is_started(cx, "app9").await {
            cx.yield_now().await;
        }
        let error = application::start(cx, "app10").await;
        assert_eq!(shown(error), "{not_running,app9}");
    });
}

#[test]
fn otp_5363() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let group_leader = spec(
            "{application, group_leader, [{applications, [kernel, stdlib]}, {mod, {group_leader_sup, []}}]}",
        );
        application::load(cx, group_leader).await.unwrap();
        application::start(cx, "group_leader").await.unwrap();
        // It is started by a child that nobody waits for.
        let nisse = loop {
            match cx.whereis("nisse") {
                Some(pid) => break pid,
                None => cx.sleep(Duration::from_millis(1)).await,
            }
        };
        let monitor = cx.monitor(nisse);
        application::stop(cx, "group_leader").await.unwrap();
        down(cx, monitor).await;
        assert_eq!(cx.whereis("nisse"), None);
    });
}

#[test]
fn otp_5606() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        application::load(cx, app("app1", 1, 3)).await.unwrap();
        assert_eq!(at_once(cx, 4, "app1").await, ["ok"; 4]);
        let error = application::start(cx, "app1").await;
        assert_eq!(shown(error), "{already_started,app1}");
    });
}

#[test]
fn otp_16504() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        application::define(cx, app("app1", 1, 3)).await.unwrap();
        cx.register("test_application_stop_called", cx.pid())
            .unwrap();
        application::ensure_started(cx, "app1").await.unwrap();
        let master = application::get_master(cx, "app1").unwrap();
        cx.exit_process(master, ExitReason::kill());
        let called = cx.receive_where(common::LIMIT, |message| {
            let (called, _) = message.decode::<(Atom, OwnedTerm)>().ok()?;
            (called.as_str() == "stop_called").then_some(())
        });
        called.await.expect("stop is called");
        assert_eq!(ended(cx, master).await, ExitReason::noproc());
    });
}

/// A case of `supervisor_SUITE`.
#[test]
fn faulty_application_shutdown() {
    suite(async |mut cx: Context| {
        let faulty = spec(
            "{application, app_faulty, [{vsn, \"1.0\"}, {applications, [kernel, stdlib]}, {mod, {app_faulty, []}}]}",
        );
        let error = application::start(&mut cx, faulty).await;
        assert_eq!(
            shown(error),
            "{{shutdown,{failed_to_start_child,app_faulty,\
               {undef,[{an_undefined_module_with,an_undefined_function,[argument1,argument2],[]}]}}},\
              {app_faulty,start,[normal,[]]}}"
        );
        application::unload(&mut cx, "app_faulty").await.unwrap();
    });
}
