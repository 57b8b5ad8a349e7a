//! Ends at each point, and what comes at the wrong time: nobody is left, and nobody waits for ever.

use std::time::Duration;

use otp_stdlib::application::{self, Config, StartType};
use otp_stdlib::prelude::*;
use otp_vm::{Context, ExitReason, Pid, atoms};

use super::common::{LIMIT, down, ended, exit_of, reason, started, terminated};
use super::typed::{Args, Fail, called, shop, witness};
use super::*;

fn hanging() -> ApplicationSpec {
    shop(Args {
        till: 0,
        fails: Some(("start".to_owned(), Fail::Hang)),
    })
}

/// Starts an application aside, and gives who waits for it.
fn start_aside(cx: &Context, spec: ApplicationSpec) -> Pid {
    let me = cx.pid();
    let start = move |mut cx: Context| async move {
        let result = application::start(&mut cx, spec).await;
        let text = result.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        cx.send(me, &(atom("result"), text)).unwrap();
    };
    cx.spawn(start).unwrap()
}

async fn result(cx: &mut Context) -> String {
    let result = cx.receive_where(LIMIT, |message| message.decode::<(Atom, String)>().ok());
    result.await.expect("an answer").1
}

#[test]
fn a_master_that_is_killed_as_it_starts_leaves_nothing() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        witness(cx);
        start_aside(cx, hanging());
        let leaf = started(cx, "leaf").await;
        called(cx, "start hangs").await;
        let master = application::get_master(cx, "shop").unwrap();
        // The top is no one's yet.
        assert_eq!(application::get_child(cx, master).await, None);
        cx.exit_process(master, ExitReason::kill());
        assert!(result(cx).await.contains("killed"));
        ended(cx, leaf).await;
        assert!(!is_started(cx, "shop").await);
        assert_eq!(application::get_master(cx, "shop"), None);
        application::unload(cx, "shop").await.unwrap();
    });
}

#[test]
fn a_controller_that_ends_ends_those_that_start() {
    for how in [ExitReason::shutdown(), ExitReason::kill()] {
        suite(move |mut cx: Context| {
            let how = how.clone();
            async move {
                let cx = &mut cx;
                cx.trap_exit(true);
                witness(cx);
                let controller = cx.whereis(application::CONTROLLER).unwrap();
                start_aside(cx, hanging());
                let leaf = started(cx, "leaf").await;
                called(cx, "start hangs").await;
                let master = application::get_master(cx, "shop").unwrap();
                cx.exit_process(controller, how);
                exit_of(cx, controller).await;
                ended(cx, master).await;
                ended(cx, leaf).await;
                result(cx).await;
            }
        });
    }
}

#[test]
fn a_controller_that_is_killed_stops_all_in_order() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        cx.trap_exit(true);
        witness(cx);
        let controller = cx.whereis(application::CONTROLLER).unwrap();
        application::start(cx, shop(Args::default())).await.unwrap();
        started(cx, "leaf").await;
        cx.exit_process(controller, ExitReason::kill());
        called(cx, "prep_stop 0").await;
        assert_eq!(terminated(cx, "leaf").await, ExitReason::shutdown());
        called(cx, "stop 1").await;
        exit_of(cx, controller).await;
        // The next one knows nothing of it.
        Controller::start_link(cx, ControllerOptions::new())
            .await
            .unwrap();
        assert!(!is_loaded(cx, "shop"));
    });
}

#[test]
fn a_top_that_is_killed_ends_the_application() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        witness(cx);
        application::start(cx, shop(Args::default())).await.unwrap();
        let leaf = started(cx, "leaf").await;
        let master = application::get_master(cx, "shop").unwrap();
        let (top, _) = application::get_child(cx, master).await.unwrap();
        let ends = cx.monitor(master);
        cx.exit_process(top, ExitReason::kill());
        assert_eq!(down(cx, ends).await, ExitReason::killed());
        ended(cx, leaf).await;
    });
}

#[test]
fn a_master_that_is_killed_takes_its_helpers_along() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let text = "{application, group_leader, [{mod, {group_leader_sup, []}}]}";
        application::start(cx, spec(text)).await.unwrap();
        let nisse = loop {
            match cx.whereis("nisse") {
                Some(pid) => break pid,
                None => cx.sleep(Duration::from_millis(1)).await,
            }
        };
        let master = application::get_master(cx, "group_leader").unwrap();
        assert_eq!(
            application::get_application_of(cx, nisse),
            Some(atom("group_leader"))
        );
        cx.exit_process(master, ExitReason::kill());
        assert_eq!(ended(cx, nisse).await, ExitReason::killed());
    });
}

#[test]
fn what_is_asked_of_one_on_its_way_down_waits() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        witness(cx);
        application::start(cx, shop(Args::default())).await.unwrap();
        started(cx, "leaf").await;
        let me = cx.pid();
        for number in 0..3_u32 {
            let ask = move |mut cx: Context| async move {
                let asked = match number {
                    0 | 1 => application::stop(&mut cx, "shop").await,
                    _ => application::start(&mut cx, "shop").await,
                };
                cx.send(me, &(number, asked.is_ok())).unwrap();
            };
            cx.spawn(ask).unwrap();
        }
        let mut stopped = 0;
        for _ in 0..3 {
            let answer = cx.receive_where(LIMIT, |message| message.decode::<(u32, bool)>().ok());
            let (number, ok) = answer.await.expect("an answer");
            stopped += u32::from(ok && number < 2);
        }
        // At least one stop was in time, whatever the order.
        assert!(stopped >= 1);
        // Whoever asks now finds it in one state or the other.
        let runs = is_started(cx, "shop").await;
        assert_eq!(application::stop(cx, "shop").await.is_ok(), runs);
        application::unload(cx, "shop").await.unwrap();
    });
}

#[test]
fn whoever_gives_up_a_start_leaves_it_to_others() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let starter = start_aside(cx, app("app0", 77, 77));
        // Until it is under way.
        while application::get_master(cx, "app0").is_none() {
            cx.sleep(Duration::from_millis(1)).await;
        }
        cx.exit_process(starter, ExitReason::kill());
        let error = application::start(cx, "app0").await;
        assert!(error.is_ok(), "{error:?}");
        assert!(is_started(cx, "app0").await);
    });
}

#[test]
fn a_second_controller_is_refused() {
    suite(async |mut cx: Context| {
        cx.trap_exit(true);
        let first = cx.whereis(application::CONTROLLER).unwrap();
        let second = Controller::start_link(&mut cx, ControllerOptions::new()).await;
        assert_eq!(second.unwrap_err(), StartError::AlreadyStarted(first));
    });
}

#[test]
fn without_a_controller_there_is_nothing() {
    simulated::simulated(async |mut cx: Context| {
        let error = application::start(&mut cx, "shop").await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("start one with Controller::start_link)"),
            "{error}"
        );
        assert_eq!(application::get_env::<u32>(&cx, "shop", "tills"), Ok(None));
        assert!(application::get_all_env(&cx, "shop").is_empty());
        assert!(application::loaded_applications(&cx).is_empty());
        assert_eq!(application::get_application(&cx), None);
        assert_eq!(application::start_type(&mut cx).await, Ok(None));
    });
}

#[test]
fn a_wrong_specification_is_refused_by_whoever_gets_it() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let long = "x".repeat(300);
        for spec in [
            ApplicationSpec::new(&long),
            ApplicationSpec::new("shop").env(&long, &1),
            ApplicationSpec::new("shop").env("key", &otp_vm::Native::new(1)),
        ] {
            let error = application::load(cx, spec.clone()).await.unwrap_err();
            assert!(matches!(error, ApplicationError::Spec(_)), "{error}");
            let error = application::define(cx, spec).await.unwrap_err();
            assert!(matches!(error, ApplicationError::Spec(_)), "{error}");
        }
        assert!(!is_loaded(cx, "shop"));
        // Nor is one loaded whose included one is missing.
        let spec = ApplicationSpec::new("shop").included_applications(["till"]);
        assert_eq!(shown(application::load(cx, spec).await), no_file("till"));
        assert!(!is_loaded(cx, "shop"));
        let ends = application::get_env::<u32>(cx, "shop", "tills");
        assert_eq!(ends, Ok(None));
    });
}

#[test]
fn the_command_line_has_the_last_word() {
    let config = Config::from_toml("[shop]\na = 'config'\nb = 'config'\nc = 'config'").unwrap();
    let mut line = Config::new();
    line.set_text("shop.a=line").unwrap();
    let options = ControllerOptions::new().config(config).command_line(line);
    suite_with(options, async |mut cx: Context| {
        let cx = &mut cx;
        let spec = ["a", "b", "c", "d"].into_iter();
        let spec = spec.fold(ApplicationSpec::new("shop"), |spec, key| {
            spec.env(key, "spec")
        });
        application::load(cx, spec).await.unwrap();
        application::set_env(cx, "shop", "c", "set").await.unwrap();
        let values: std::collections::BTreeMap<String, String> =
            application::get_all_env_as(cx, "shop").unwrap();
        let values: Vec<&str> = values.values().map(String::as_str).collect();
        assert_eq!(values, ["line", "config", "set", "spec"]);
        let error = application::get_env::<u32>(cx, "shop", "a")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("shop.a is <<\"line\">>, and no u32: "),
            "{error}"
        );
    });
}

#[test]
fn a_wrong_configuration_starts_no_controller() {
    simulated::simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let mut config = Config::new();
        config.set("kernel", "permissions", &7).unwrap();
        let options = ControllerOptions::new().config(config);
        let error = Controller::start_link(&mut cx, options).await.unwrap_err();
        assert!(
            error.to_string().contains("permissions can't be 7"),
            "{error}"
        );
    });
}

/// One whose callbacks ask the controller.
struct Asking;

impl Application for Asking {
    type Args = ();

    async fn start(_: StartType, _: (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
        let me = application::get_application(cx).expect("an application");
        application::set_env(cx, me.as_str(), "started", &true)
            .await
            .unwrap();
        application::ensure_started(cx, "till").await.unwrap();
        let flags = SupervisorFlags::one_for_one();
        let top = Supervisor::start_link(cx, flags, vec![]).await;
        Ok((application::tree(top)?, Asking))
    }

    async fn stop(self, cx: &mut Context) {
        application::stop(cx, "till").await.unwrap();
    }
}

#[test]
fn callbacks_may_ask_the_controller() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        application::define(cx, ApplicationSpec::new("till"))
            .await
            .unwrap();
        let spec = ApplicationSpec::new("asking").module::<Asking>(());
        application::start(cx, spec).await.unwrap();
        assert!(is_started(cx, "till").await);
        assert_eq!(application::get_own_env::<bool>(cx, "started"), Ok(None));
        assert_eq!(
            application::get_env(cx, "asking", "started"),
            Ok(Some(true))
        );
        application::stop(cx, "asking").await.unwrap();
        assert!(!is_started(cx, "till").await);
    });
}

#[test]
fn what_the_controller_does_not_know_is_answered() {
    suite(async |mut cx: Context| {
        let controller = cx.whereis(application::CONTROLLER).unwrap();
        let answer: (Atom, String) = cx.call(controller, &"what?", LIMIT).await.unwrap();
        assert_eq!(answer.0.as_str(), "bad_call");
        cx.send(controller, "what?").unwrap();
        // A linked process that is no master may come and go; one that lives says nothing by a signal.
        let linked = cx.spawn(move |cx| async move {
            cx.link(controller);
            ExitReason::from(atoms::BADARG)
        });
        ended(&mut cx, linked.unwrap()).await;
        let stranger = cx.spawn(move |cx| async move {
            cx.exit_process(controller, reason("a stranger's"));
        });
        ended(&mut cx, stranger.unwrap()).await;
        assert!(is_started(&mut cx, "kernel").await);
        let asked = term("{load_application,{application,data,[{vsn,\"7\"}]}}");
        let answer: Atom = cx.call(controller, &asked, LIMIT).await.unwrap();
        assert_eq!(answer, atoms::OK);
        let vsn = application::get_key::<String>(&cx, "data", "vsn");
        assert_eq!(vsn, Ok(Some("7".to_owned())));
    });
}

fn library<'a>(name: &str, applications: impl IntoIterator<Item = &'a str>) -> ApplicationSpec {
    ApplicationSpec::new(name).applications(applications)
}

#[test]
fn applications_that_wait_for_each_other_are_named_and_none_of_them_is_left_started() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        for spec in [
            library("top", ["ground", "a"]),
            library("ground", []),
            library("a", ["b"]),
            library("b", ["ground", "c"]),
            library("c", ["a"]),
            library("narcissus", ["narcissus"]),
        ] {
            application::define(cx, spec).await.unwrap();
        }
        let error = application::ensure_all_started(cx, "top")
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "a: the applications a, b, c depend on each other in a circle: take one out of the `applications` of \
             another"
        );
        let term = otp_vm::to_term(&error).unwrap().to_string();
        assert_eq!(term, "{a,{circular_dependency,[a,b,c]}}");
        let error = application::ensure_all_started(cx, "narcissus").await;
        assert!(error.unwrap_err().to_string().contains("narcissus depend"));
        let running = application::which_applications(cx).await.unwrap();
        assert_eq!(
            running
                .iter()
                .filter(|(app, ..)| app.as_str() == "ground")
                .count(),
            0
        );
    });
}

#[test]
fn a_chain_of_dependencies_may_be_long() {
    const LONG: usize = 1_000;
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        let name = |at: usize| format!("link{at}");
        for at in 0..LONG {
            let below = (at > 0).then(|| name(at - 1));
            let spec = library(&name(at), below.as_deref());
            application::define(cx, spec).await.unwrap();
        }
        let started = application::ensure_all_started(cx, name(LONG - 1).as_str()).await;
        let started = started.unwrap();
        assert_eq!(started.len(), LONG);
        assert_eq!(started[0].as_str(), "link0");
    });
}

#[test]
fn what_depends_on_one_that_may_not_run_yet_does_not_start() {
    suite(async |mut cx: Context| {
        let cx = &mut cx;
        for spec in [library("ground", []), library("top", ["ground"])] {
            application::define(cx, spec).await.unwrap();
        }
        application::load(cx, "ground").await.unwrap();
        application::permit(cx, "ground", false).await.unwrap();
        let error = application::ensure_all_started(cx, "top").await;
        assert_eq!(shown(error), "{top,{not_started,ground}}");
    });
}
