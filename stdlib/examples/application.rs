//! Applications: a shop that depends on a warehouse, with an environment, phases of its start, and a stop in order.
//!
//! `cargo run -p otp-stdlib --example application [CONFIG.toml]`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::application::{
    self, ApplicationSpec, Config, Controller, ControllerOptions, StartType,
};
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor;
use otp_vm::{Context, ExitReason, Pid, Term, Vm, from_term};

/// What the shop is configured with unless a file says otherwise.
const CONFIG: &str = "
[shop]
tills = 2
greeting = 'Good morning'
";

/// A server of the shop. It finds the greeting by itself: a process knows its application.
struct Till;

#[gen_server]
impl Till {
    fn init(number: u32, cx: &mut Context) -> Self {
        let greeting = application::get_own_env::<String>(cx, "greeting");
        let greeting = greeting.expect("a text").unwrap_or_default();
        println!("{greeting} at till {number}");
        Till
    }
}

/// What the shop keeps while it runs.
struct Shop {
    tills: u32,
}

impl Application for Shop {
    type Args = ();

    async fn start(_: StartType, _: (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
        // A value of another shape is an error that names application and key.
        let tills = application::get_env_or(cx, "shop", "tills", 1)?;
        let children = (0..tills).map(|number| {
            ChildSpec::worker(format!("till {number}"), move |cx| {
                Till::start_link(cx, number)
            })
        });
        let flags = SupervisorFlags::one_for_one();
        let tree = Supervisor::start_link(cx, flags, children.collect());
        Ok((application::tree(tree.await)?, Shop { tills }))
    }

    /// The tree runs by now; the shop counts as started when all phases are done.
    async fn start_phase(
        phase: &str,
        _: StartType,
        args: Term<'_>,
        _: &mut Context,
    ) -> Result<(), ExitReason> {
        let what: String = from_term(args).map_err(|error| ExitReason::from(error.to_string()))?;
        println!("{phase}: {what}");
        Ok(())
    }

    async fn prep_stop(&mut self, _: &mut Context) {
        println!("the last customers are served at {} tills", self.tills);
    }

    async fn stop(self, _: &mut Context) {
        println!("the shop is closed");
    }
}

fn specifications() -> [ApplicationSpec; 2] {
    // A library: it has a version and an environment, and nothing runs.
    let warehouse = ApplicationSpec::new("warehouse")
        .description("What there is")
        .vsn("2.1");
    let shop = ApplicationSpec::new("shop")
        .description("Sells what there is")
        .vsn("1.0")
        .applications(["kernel", "stdlib", "warehouse"])
        .env("tills", &1)
        .start_phase("open", "the doors")
        .start_phase("light", "the lamps")
        .module::<Shop>(());
    [warehouse, shop]
}

/// What runs in the VM: the controller, and by it the shop, until it is told to close.
async fn day(cx: &mut Context, config: Config) -> Result<(), Box<dyn Error + Send + Sync>> {
    cx.trap_exit(true);
    let options = ControllerOptions::new().config(config);
    let options = specifications()
        .into_iter()
        .fold(options, ControllerOptions::define);
    let controller = Controller::start_link(cx, options).await?;

    // A permanent application's end would be the controller's, and the day's.
    let permanent = supervisor::Restart::Permanent;
    let started = application::ensure_all_started_as(cx, "shop", permanent).await?;
    println!("started: {started:?}");
    for (app, about, vsn) in application::which_applications(cx).await? {
        println!("  {app} {vsn}: {about}");
    }

    // All that run are stopped, newest first.
    let controller = controller.pid().ok_or("it has ended")?;
    cx.exit_process(controller, ExitReason::shutdown());
    while cx
        .receive()
        .await
        .exit()
        .is_none_or(|exit| exit.from != controller)
    {}
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = match std::env::args().nth(1) {
        Some(file) if file.ends_with(".toml") => Config::from_file(file)?,
        _ => Config::from_toml(CONFIG)?,
    };
    let vm = Vm::builder().name("shop").schedulers(1).build()?;
    let day = vm.run(|mut cx| async move { day(&mut cx, config).await });
    // `.await` it in an async program.
    day.wait()?.map_err(|error| error.to_string())?;
    let report = vm
        .shutdown(Duration::from_secs(5))
        .wait()
        .ok_or("this is a thread of the VM")?;
    assert!(report.is_orderly(), "{report:?}");
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
