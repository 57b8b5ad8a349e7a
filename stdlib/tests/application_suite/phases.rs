//! The case about phases: the examples of OTP's user's guide.

use otp_stdlib::application;
use otp_stdlib::supervisor::Restart;
use otp_vm::Context;

use super::*;

const PHASES: [&str; 5] = ["top", "init", "some", "spec", "go"];

/// How often each phase was run.
async fn counts(cx: &mut Context) -> [usize; 5] {
    let mut counts = [0; 5];
    while let Some(message) = cx.receive_timeout(std::time::Duration::ZERO).await {
        let (_, phase) = message.decode::<(Atom, Atom)>().expect("a phase");
        let at = PHASES.iter().position(|name| *name == phase.as_str());
        counts[at.expect("one of them")] += 1;
    }
    counts
}

#[test]
fn start_phases() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        cx.register("start_phase", cx.pid()).unwrap();
        for text in [
            "{application, myApp, [{applications, [kernel]}, {included_applications, []},
              {start_phases, [{init, [initArgs]}, {go, [goArgs]}]}, {mod, {myApp, {myApp, 1, 3}}}]}",
            "{application, topApp, [{applications, [kernel]}, {included_applications, [appinc1, appinc2]},
              {start_phases, [{init, [initArgs]}, {go, [goArgs]}]}, {mod, {topApp, {topApp, 4, 6}}}]}",
            "{application, topApp2, [{applications, [kernel]}, {included_applications, [appinc1, appinc2]},
              {start_phases, [{init, [initArgs]}, {go, [goArgs]}]},
              {mod, {application_starter, [topApp2, {topApp2, 4, 6}]}}]}",
            "{application, topApp3, [{applications, [kernel]}, {included_applications, [appinc1x, appinc2top]},
              {start_phases, [{top, [topArgs]}, {init, [initArgs]}, {some, [someArgs]}, {spec, [specArgs]},
                              {go, [goArgs]}]},
              {mod, {application_starter, [topApp3, {topApp3, 4, 6}]}}]}",
            "{application, appinc1, [{start_phases, [{go, [goArgs1]}]}, {mod, {appinc1, [arg]}}]}",
            "{application, appinc2, [{start_phases, [{init, [initArgs2]}, {go, [goArgs2]}]}, {mod, {appinc2, [arg]}}]}",
            "{application, appinc1x, [{start_phases, [{spec, [specArgs1]}, {go, [goArgs1]}]},
              {mod, {appinc1x, [arg1, arg2, arg3]}}]}",
            "{application, appinc2top, [{included_applications, [appinc2A, appinc2B]},
              {start_phases, [{init, []}, {some, []}, {go, []}]},
              {mod, {application_starter, [appinc2top, {app1, 107, 109}]}}]}",
            "{application, appinc2A, [{start_phases, [{some, [someArgs2A]}, {go, [goArgs2A]}]},
              {mod, {appinc2A, [arg1, arg2]}}]}",
            "{application, appinc2B, [{start_phases, [{init, [initArgs2B]}]}, {mod, {appinc2B, [arg1, arg2]}}]}",
        ] {
            application::define(cx, spec(text)).await.unwrap();
        }
        for (app, expected) in [
            ("myApp", [0, 1, 0, 0, 1]),
            ("topApp", [0, 1, 0, 0, 1]),
            ("topApp2", [0, 2, 0, 0, 3]),
            ("topApp3", [1, 3, 3, 2, 4]),
        ] {
            application::load(cx, app).await.unwrap();
            application::start_as(cx, app, Restart::Permanent)
                .await
                .unwrap();
            assert!(is_started(cx, app).await);
            assert_eq!(counts(cx).await, expected, "{app}");
            application::stop(cx, app).await.unwrap();
        }
    });
}

#[test]
fn applications_that_include_each_other_run_each_phase_once() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        cx.register("start_phase", cx.pid()).unwrap();
        for text in [
            "{application, topApp2, [{included_applications, [appinc2top, topApp2]}, {start_phases, [{go, []}]},
              {mod, {application_starter, [topApp2, {topApp2, 4, 6}]}}]}",
            "{application, appinc2top, [{included_applications, [topApp2]}, {start_phases, [{go, []}]},
              {mod, {application_starter, [appinc2top, {app1, 107, 109}]}}]}",
        ] {
            application::define(cx, spec(text)).await.unwrap();
        }
        application::start(cx, "topApp2").await.unwrap();
        assert_eq!(counts(cx).await, [0, 0, 0, 0, 2]);
        application::stop(cx, "topApp2").await.unwrap();
        application::unload(cx, "topApp2").await.unwrap();
    });
}

/// Each on the way from the top to another would have its turn on each of the ways, of which there are millions.
#[test]
fn applications_that_all_include_each_other_run_each_phase_once() {
    const APPS: usize = 12;
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        cx.register("start_phase", cx.pid()).unwrap();
        let names: Vec<String> = (0..APPS).map(|at| format!("knot{at}")).collect();
        for name in &names {
            let all = names.join(",");
            let text = format!(
                "{{application, {name}, [{{included_applications, [{all}]}}, {{start_phases, [{{go, []}}]}},
                  {{mod, {{application_starter, [topApp2, {{topApp2, 4, 6}}]}}}}]}}"
            );
            application::define(cx, spec(&text)).await.unwrap();
        }
        application::start(cx, "knot0").await.unwrap();
        assert_eq!(counts(cx).await, [0, 0, 0, 0, APPS]);
        application::stop(cx, "knot0").await.unwrap();
        application::unload(cx, "knot0").await.unwrap();
    });
}
