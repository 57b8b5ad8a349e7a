//! Cases about keys and environments.

use otp_stdlib::application::{self, Config, ConfigError, EnvOptions};
use otp_stdlib::prelude::ServerRef;
use otp_stdlib::supervisor::Restart;
use otp_vm::Context;

use super::modules::{Ask, Ch};
use super::*;

fn appinc() -> ApplicationSpec {
    spec(
        "{application, appinc,
          [{description, \"Test of new app file, including appnew\"},
           {id, \"CXC 138 ai\"},
           {vsn, \"2.0\"},
           {applications, [kernel]},
           {modules, []},
           {registered, []},
           {env, [{own_env1, value1}, {own2, val2}]},
           {included_applications, [appinc1, appinc2]},
           {start_phases, [{init, [kalle]}, {takeover, []}, {go, [sune]}]},
           {mod, {application_starter, [ch_sup, {appinc, 41, 43}]}}]}",
    )
}

/// Those that `appinc` includes.
async fn define_included(cx: &mut Context) {
    for text in [
        "{application, appinc1, [{start_phases, [{go, [goArgs1]}]}, {mod, {appinc1, [arg]}}]}",
        "{application, appinc2, [{start_phases, [{init, []}, {go, []}]}, {mod, {appinc2, [arg]}}]}",
    ] {
        application::define(cx, spec(text)).await.unwrap();
    }
}

/// `get_env/2`, as text.
fn env(cx: &Context, app: &str, key: &str) -> String {
    match application::get_env::<OwnedTerm>(cx, app, key).unwrap() {
        Some(value) => value.to_string(),
        None => "undefined".to_owned(),
    }
}

#[test]
fn get_env() {
    suite(async |mut cx: Context| {
        application::set_env(&mut cx, "kernel", "new_var", &atom("new_val"))
            .await
            .unwrap();
        assert_eq!(env(&cx, "kernel", "new_var"), "new_val");
        assert_eq!(env(&cx, "undefined_app", "a"), "undefined");
        assert_eq!(env(&cx, "kernel", "error_logger_xyz"), "undefined");
        let default = application::get_env_or(&cx, "kernel", "error_logger_xyz", atom("default"));
        assert_eq!(default, Ok(atom("default")));
    });
}

#[test]
fn get_key() {
    const START: &str = "{application_starter,[ch_sup,{appinc,41,43}]}";
    const PHASES: &str = "[{init,[kalle]},{takeover,[]},{go,[sune]}]";
    const ENV: &str = "[{own_env1,value1},{own2,val2}]";
    let keys = [
        (
            "description",
            "<<\"Test of new app file, including appnew\">>",
        ),
        ("id", "<<\"CXC 138 ai\">>"),
        ("vsn", "<<\"2.0\">>"),
        ("modules", "[]"),
        ("maxP", "infinity"),
        ("maxT", "infinity"),
        ("registered", "[]"),
        ("included_applications", "[appinc1,appinc2]"),
        ("optional_applications", "[]"),
        ("applications", "[kernel]"),
        ("env", ENV),
        ("mod", START),
        ("start_phases", PHASES),
    ];
    suite(move |mut cx: Context| async move {
        let cx = &mut cx;
        define_included(cx).await;
        application::load(cx, appinc()).await.unwrap();
        application::start_as(cx, "appinc", Restart::Permanent)
            .await
            .unwrap();
        assert!(is_started(cx, "appinc").await);
        let ch = ServerRef::<Ch>::from_name("ch_41").unwrap();
        for (key, value) in keys {
            let read = application::get_key::<OwnedTerm>(cx, "appinc", key).unwrap();
            assert_eq!(read.unwrap().to_string(), value, "{key}");
            // Its own processes need not say whose.
            let own = ch.call(cx, Ask::GetPidKey(key.to_owned())).await.unwrap();
            assert_eq!(own.to_string(), value, "{key}");
        }
        let unknown = application::get_key::<OwnedTerm>(cx, "appinc", "very_unknown").unwrap();
        assert!(unknown.is_none());
        let own = ch
            .call(cx, Ask::GetPidKey("very_unknown".into()))
            .await
            .unwrap();
        assert_eq!(own.to_string(), "nil");

        let all = keys
            .map(|(key, value)| format!("{{{key},{value}}}"))
            .join(",");
        let read = application::get_all_key(cx, "appinc").unwrap();
        let read = otp_vm::to_term(&read).unwrap().to_string();
        assert_eq!(
            read,
            format!("[{all}]")
                .replace("{maxP", "{'maxP'")
                .replace("{'maxP'", "{maxP")
        );
        let own = ch.call(cx, Ask::GetPidAllKey).await.unwrap();
        assert_eq!(own.to_string(), read);
    });
}

/// What the cases set for `appinc` and for one that is not known.
fn persist() -> Config {
    let text =
        "[{appinc, [{own2, persist}, {not_in_app, persist}]}, {unknown_app, [{key, persist}]}]";
    Config::from_term(term(text).root()).unwrap()
}

fn all(cx: &Context) -> [String; 4] {
    let of_appinc = ["own_env1", "own2", "not_in_app"].map(|key| env(cx, "appinc", key));
    let [own_env1, own2, not_in_app] = of_appinc;
    [own_env1, own2, not_in_app, env(cx, "unknown_app", "key")]
}

#[test]
fn set_env() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        define_included(cx).await;
        application::set_all_env(cx, persist(), EnvOptions::new())
            .await
            .unwrap();
        assert_eq!(all(cx), ["undefined", "persist", "persist", "persist"]);
        application::load(cx, appinc()).await.unwrap();
        assert_eq!(all(cx), ["value1", "val2", "persist", "persist"]);
        // Lost with the application.
        application::unload(cx, "appinc").await.unwrap();
        application::load(cx, appinc()).await.unwrap();
        assert_eq!(all(cx)[..3], ["value1", "val2", "undefined"]);
        application::unload(cx, "appinc").await.unwrap();
    });
}

#[test]
fn set_env_persistent() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        define_included(cx).await;
        let persistent = EnvOptions::new().persistent(true);
        application::set_all_env(cx, persist(), persistent)
            .await
            .unwrap();
        assert_eq!(all(cx), ["undefined", "persist", "persist", "persist"]);
        application::load(cx, appinc()).await.unwrap();
        assert_eq!(all(cx), ["value1", "persist", "persist", "persist"]);
        application::unload(cx, "appinc").await.unwrap();
        application::load(cx, appinc()).await.unwrap();
        assert_eq!(all(cx)[..3], ["value1", "persist", "persist"]);
        application::unload(cx, "appinc").await.unwrap();
    });
}

#[test]
fn set_env_errors() {
    let (foo, bar) = (atom("foo"), atom("bar"));
    let given = |text: &str| otp_stdlib::supervisor::Given::new(term(text).root());
    for (config, error) in [
        ("[{1, []}]", ConfigError::Name(given("1"))),
        ("[{foo, bar}]", ConfigError::Parameters(given("foo"))),
        ("[foo_bar]", ConfigError::Invalid(given("foo_bar"))),
        (
            "[{foo, [{1, 2}]}]",
            ConfigError::ParameterName(foo, given("1")),
        ),
        (
            "[{foo, [config]}]",
            ConfigError::Parameter(foo, given("config")),
        ),
        ("[{foo, []}, {foo, []}]", ConfigError::Duplicate(foo)),
        (
            "[{foo, [{bar, baz}, {bar, bat}]}]",
            ConfigError::DuplicateParameter(foo, bar),
        ),
    ] {
        assert_eq!(Config::from_term(term(config).root()), Err(error));
    }
    let config = term("[{kernel, [{distributed, config}]}]");
    match Config::from_term(config.root()) {
        Err(ConfigError::Erroneous(key, value, _)) => {
            assert_eq!(key.as_str(), "distributed");
            assert_eq!(value, given("config"));
        }
        other => panic!("{other:?}"),
    }
    // One that is built is checked as it is set.
    suite(async |mut cx: Context| {
        let error = application::set_env(&mut cx, "kernel", "distributed", &atom("config")).await;
        assert!(shown(error).starts_with("{badarg,<<\"application kernel: "));
    });
}

#[test]
fn persistent_env() {
    let options = EnvOptions::new().persistent(true);
    let value = atom("persist");
    suite(move |mut cx: Context| async move {
        let cx = &mut cx;
        define_included(cx).await;
        let three = |cx: &Context| ["own_env1", "own2", "key1"].map(|key| env(cx, "appinc", key));
        for key in ["own2", "key1"] {
            application::set_env_opt(cx, "appinc", key, &value, options)
                .await
                .unwrap();
        }
        application::load(cx, appinc()).await.unwrap();
        assert_eq!(three(cx), ["value1", "persist", "persist"]);
        application::set_env_opt(cx, "appinc", "own_env1", &value, options)
            .await
            .unwrap();
        assert_eq!(three(cx), ["persist"; 3]);
        application::unload(cx, "appinc").await.unwrap();
        application::load(cx, appinc()).await.unwrap();
        assert_eq!(three(cx), ["persist"; 3]);
        for key in ["own_env1", "key1"] {
            application::unset_env_opt(cx, "appinc", key, options)
                .await
                .unwrap();
        }
        assert_eq!(three(cx), ["undefined", "persist", "undefined"]);
        application::unload(cx, "appinc").await.unwrap();
        application::load(cx, appinc()).await.unwrap();
        assert_eq!(three(cx), ["value1", "persist", "undefined"]);
        application::unload(cx, "appinc").await.unwrap();
    });
}

/// What `ch_sup:config_change/3` was told since, as text.
async fn told(cx: &mut Context) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(message) = cx.receive_timeout(std::time::Duration::ZERO).await {
        told.push(message.term().to_string());
    }
    told
}

fn config(text: &str) -> Config {
    Config::from_term(term(text).root()).unwrap()
}

#[test]
fn otp_2012() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        cx.register("conf_change", cx.pid()).unwrap();
        let (app1, app2) = (app("app1", 1, 3), app("app2", 4, 6));
        let both = vec![app1.clone(), app2.clone()];
        application::load(cx, app1.clone()).await.unwrap();
        application::start_as(cx, "app1", Restart::Permanent)
            .await
            .unwrap();
        let before = application::prep_config_change(cx).await.unwrap();
        let change = config("[{app1, [{new1, hi}, {new2, moi}]}]");
        application::change_application_data(cx, vec![app1], change)
            .await
            .unwrap();
        assert!(
            application::config_change(cx, before)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(told(cx).await, ["{[],[{new1,hi},{new2,moi}],[]}"]);

        application::load(cx, app2).await.unwrap();
        application::start_as(cx, "app2", Restart::Permanent)
            .await
            .unwrap();
        let before = application::prep_config_change(cx).await.unwrap();
        let change = "[{app1, [{new1, hello}, {new3, mors}]}, {app2, [{new1, si}, {new2, no}]}]";
        application::change_application_data(cx, both, config(change))
            .await
            .unwrap();
        application::prep_config_change(cx).await.unwrap();
        assert!(
            application::config_change(cx, before)
                .await
                .unwrap()
                .is_empty()
        );
        let expected = [
            "{[],[{new1,si},{new2,no}],[]}",
            "{[{new1,hello}],[{new3,mors}],[new2]}",
        ];
        assert_eq!(told(cx).await, expected);
        application::stop(cx, "app1").await.unwrap();
        application::stop(cx, "app2").await.unwrap();
    });
}
