//! The suite's modules: `ch_sup` with its server `ch`, those of its applications with phases, and some that fail.

use std::time::Duration;

use otp_stdlib::application::{self, StartType};
use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_vm::{
    Arguments, Atom, Context, ExitReason, Function, Module, OwnedTerm, Pid, atoms, to_term,
};
use serde::{Deserialize, Serialize};

use super::atom;

/// Those with phases.
const PHASED: [&str; 10] = [
    "myApp",
    "topApp",
    "topApp2",
    "topApp3",
    "appinc1",
    "appinc1x",
    "appinc2",
    "appinc2top",
    "appinc2A",
    "appinc2B",
];

pub fn all() -> Vec<Module> {
    let mut modules: Vec<Module> = PHASED.map(phased).into();
    modules.extend([
        ch_sup(),
        failing("app_start_error", Failing::Error),
        failing("trans_normal_sup", Failing::Normal),
        failing("trans_abnormal_sup", Failing::Abnormal),
        group_leader_sup(),
        app_faulty(),
        deadlock::module(),
        shutdown::module(),
    ]);
    modules
}

fn built(name: &str, functions: Vec<Function>) -> Module {
    let builder = functions
        .into_iter()
        .fold(Module::builder(name), |builder, function| {
            builder.function(function)
        });
    builder.build().expect("a module")
}

/// `start/2`: a supervisor of `ch` servers, by their numbers.
fn start() -> Function {
    Function::new("start", 2, |cx, arguments| {
        Box::pin(async move {
            let (_, (_, low, high)): (StartType, (Atom, u32, u32)) = arguments.decode()?;
            Arguments::result(&(atoms::OK, start_tree(cx, low, high).await, Vec::<u8>::new()))
        })
    })
}

async fn start_tree(cx: &mut Context, low: u32, high: u32) -> Pid {
    let children = (low..=high).map(|number| {
        let child = ChildSpec::worker(format!("ch{number}"), move |cx| Ch::start_link(cx, number));
        child.shutdown(Shutdown::After(Duration::from_secs(2)))
    });
    let flags = SupervisorFlags::one_for_one().intensity(12, Duration::from_secs(60));
    let tree = Supervisor::start_link(cx, flags, children.collect());
    let tree = tree.name(&format!("ch_sup{low}")).await.expect("it starts");
    tree.pid().expect("a pid")
}

fn ch_sup() -> Module {
    let stop = Function::new("stop", 1, |cx, arguments| {
        Box::pin(async move {
            let (state,): (OwnedTerm,) = arguments.decode()?;
            if cx.whereis("test_application_stop_called").is_some() {
                let called = (atom("stop_called"), state);
                let _ = cx.send("test_application_stop_called", &called);
            }
            Arguments::result(&atoms::OK)
        })
    });
    let start_phase = Function::new("start_phase", 3, |_, _| {
        Box::pin(async { Arguments::result(&atoms::OK) })
    });
    let config_change = Function::new("config_change", 3, |cx, arguments| {
        Box::pin(async move {
            let change: (OwnedTerm, OwnedTerm, OwnedTerm) = arguments.decode()?;
            let _ = cx.send("conf_change", &change);
            Arguments::result(&atoms::OK)
        })
    });
    built("ch_sup", vec![start(), stop, start_phase, config_change])
}

/// One that tells `start_phase` of each phase.
fn phased(name: &str) -> Module {
    let start_phase = Function::new("start_phase", 3, |cx, arguments| {
        Box::pin(async move {
            let (phase, ..): (Atom, StartType, OwnedTerm) = arguments.decode()?;
            let _ = cx.send("start_phase", &(atom("sp"), phase));
            Arguments::result(&atoms::OK)
        })
    });
    built(name, vec![start(), start_phase])
}

#[derive(Clone, Copy)]
enum Failing {
    Error,
    Normal,
    Abnormal,
}

/// One whose start fails, with a tree that it has started already.
fn failing(name: &'static str, how: Failing) -> Module {
    let start = Function::new("start", 2, move |cx, _| {
        Box::pin(async move {
            let flags = SupervisorFlags::one_for_one();
            let tree = Supervisor::start_link(cx, flags, vec![]).name(name);
            tree.await.expect("it starts");
            match how {
                Failing::Error => Arguments::result(&(atoms::ERROR, "start error")),
                Failing::Normal => cx.exit(ExitReason::normal()),
                Failing::Abnormal => cx.exit(ExitReason::from(atom("abnormal"))),
            }
        })
    });
    built(name, vec![start])
}

/// One with a process that is linked to nobody: `nisse`.
fn group_leader_sup() -> Module {
    let start = Function::new("start", 2, |cx, _| {
        Box::pin(async move {
            let child = ChildSpec::process("group_leader", |mut cx: Context| async move {
                let me = cx.pid();
                let stupid = cx.spawn(move |mut cx| async move {
                    cx.register("nisse", cx.pid()).expect("a name");
                    cx.send(me, "registration_done").expect("a term");
                    cx.receive().await;
                });
                stupid.expect("a process");
                cx.receive().await;
                cx.trap_exit(true);
                cx.receive().await;
            });
            let flags = SupervisorFlags::one_for_one();
            let tree = Supervisor::start_link(cx, flags, vec![child]).await;
            Arguments::result(&tree.map(|tree| tree.pid()))
        })
    });
    built("group_leader_sup", vec![start])
}

/// The one of `supervisor_SUITE`, whose child calls what is not there.
fn app_faulty() -> Module {
    let start = Function::new("start", 2, |cx, _| {
        Box::pin(async move {
            let child = ChildSpec::worker("app_faulty", |cx| Faulty::start_link(cx, ()));
            let flags = SupervisorFlags::one_for_all().intensity(0, Duration::from_secs(1));
            let tree = Supervisor::start_link(cx, flags, vec![child]).await;
            let tree = tree.map(|tree| tree.pid()).map_err(ExitReason::from);
            Arguments::result(&tree)
        })
    });
    built("app_faulty", vec![start])
}

struct Faulty;

impl GenServer for Faulty {
    type Args = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(_: (), cx: &mut Context) -> Init<Self> {
        let arguments = (atom("argument1"), atom("argument2"));
        let (module, function) = ("an_undefined_module_with", "an_undefined_function");
        let called = cx.apply::<_, OwnedTerm>(module, function, &arguments).await;
        match called {
            Ok(_) => Init::ok(Self),
            Err(error) => cx.exit(ExitReason::from(error)),
        }
    }
}

/// The suite's server.
pub struct Ch;

#[derive(Serialize, Deserialize)]
pub enum Ask {
    GetPidKey(String),
    GetPidAllKey,
}

impl GenServer for Ch {
    type Args = u32;
    type Call = Ask;
    type Reply = OwnedTerm;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(number: u32, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        cx.unregister(&format!("ch_{number}"));
        cx.register(&format!("ch_{number}"), cx.pid())
            .expect("a name");
        let start_type = application::start_type(cx).await.expect("an answer");
        // A slow one, so that applications are started at the same time.
        if number == 77 {
            cx.sleep(Duration::from_millis(100)).await;
        }
        let _ = cx.send("st_type", &(atom("st"), start_type));
        Init::ok(Self)
    }

    async fn handle_call(&mut self, ask: Ask, _: From<OwnedTerm>, cx: &mut Context) -> Reply<Self> {
        let answer = match ask {
            Ask::GetPidKey(key) => {
                let value = application::get_own_key::<OwnedTerm>(cx, &key).expect("a term");
                to_term(&value)
            }
            Ask::GetPidAllKey => {
                let app = application::get_application(cx).expect("an application");
                to_term(&application::get_all_key(cx, app.as_str()))
            }
        };
        Reply::new(answer.expect("a term"))
    }
}

/// One whose child hangs as it starts, or as it stops, if it is told to.
pub mod deadlock {
    use super::*;

    pub fn module() -> Module {
        let start = Function::new("start", 2, |cx, _| {
            Box::pin(async move {
                let child = ChildSpec::worker("deadlock_child", |cx| {
                    Child::start_link(cx, ()).name("deadlock_child")
                });
                let child = child.shutdown(Shutdown::After(Duration::from_secs(25)));
                let flags = SupervisorFlags::one_for_one().intensity(5, Duration::from_secs(10));
                let tree = Supervisor::start_link(cx, flags, vec![child]).name("deadlock_sup");
                Arguments::result(&tree.await.map(|tree| tree.pid()))
            })
        });
        built("deadlock", vec![start])
    }

    pub struct Child;

    #[derive(Serialize, Deserialize)]
    pub enum Tell {
        Restart,
    }

    impl GenServer for Child {
        type Args = ();
        type Call = NoMessage;
        type Reply = NoMessage;
        type Cast = Tell;
        type Info = NoMessage;
        type Continue = NoMessage;

        async fn init(_: (), cx: &mut Context) -> Init<Self> {
            if application::get_env_or(cx, "deadlock", "fail_start", false) == Ok(true) {
                super::super::common::for_ever(cx).await;
            }
            cx.trap_exit(true);
            Init::ok(Self)
        }

        async fn handle_cast(&mut self, _: Tell, _: &mut Context) -> NoReply<Self> {
            NoReply::stop(atoms::ERROR)
        }

        async fn terminate(&mut self, _: &ExitReason, cx: &mut Context) {
            let tester = application::get_env::<Pid>(cx, "deadlock", "fail_stop");
            if let Ok(Some(tester)) = tester {
                cx.send(tester, &(atom("deadlock"), cx.pid()))
                    .expect("a term");
                let continued = |message: &otp_vm::Message| {
                    (message.decode::<Atom>() == Ok(atom("continue"))).then_some(())
                };
                cx.receive_where(super::super::common::LIMIT, continued)
                    .await;
            }
        }
    }

    /// The next start of the child will hang.
    pub async fn restart_and_fail(cx: &mut Context) {
        application::set_env(cx, "deadlock", "fail_start", &true)
            .await
            .unwrap();
        let child = ServerRef::<Child>::from_name("deadlock_child").unwrap();
        child.cast(cx, Tell::Restart).unwrap();
    }
}

/// What `kernel.shutdown_func` names.
mod shutdown {
    use super::*;

    pub fn module() -> Module {
        let do_shutdown = Function::new("do_shutdown", 1, |cx, arguments| {
            Box::pin(async move {
                let (reason,): (ExitReason,) = arguments.decode()?;
                let test = application::get_env::<Pid>(cx, "kernel", "shutdown_func_test");
                let test = test.expect("a pid").expect("it is set");
                cx.send(test, &(cx.pid(), atom("shutting_down"), reason))
                    .expect("a term");
                let ok = |message: &otp_vm::Message| {
                    (message.decode::<Atom>() == Ok(atoms::OK)).then_some(())
                };
                cx.receive_where(super::super::common::LIMIT, ok).await;
                Arguments::result(&atoms::OK)
            })
        });
        built("shutdown", vec![do_shutdown])
    }
}
