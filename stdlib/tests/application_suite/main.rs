//! Cases of OTP's `application_SUITE` under their own names, and what holds besides. What the suite has in files and in
//! modules is here in [`modules`]: its applications are data, and call functions by name.

#[path = "../common/mod.rs"]
mod common;
mod environment;
mod files;
mod modules;
mod permissions;
mod phases;
mod reports;
mod robust;
#[path = "../common/simulated.rs"]
mod simulated;
mod starting;
mod stopping;
mod typed;

use otp_stdlib::application::{
    self, ApplicationError, ApplicationSpec, Controller, ControllerOptions,
};
use otp_vm::{Atom, Context, OwnedTerm, Vm, VmBuilder};

/// A VM's builder with the suite's modules.
fn builder() -> VmBuilder {
    let modules = modules::all().into_iter();
    modules.fold(Vm::builder(), VmBuilder::module)
}

/// Runs `body` in simulations, beside a controller that it is linked with.
fn suite<B, F>(body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    suite_with(ControllerOptions::new(), body);
}

/// As [`suite`], with the controller's options.
fn suite_with<B, F>(options: ControllerOptions, body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    simulated::simulated_on(builder, move |mut cx: Context| {
        let (body, options) = (body.clone(), options.clone());
        async move {
            Controller::start_link(&mut cx, options)
                .await
                .expect("it starts");
            body(cx).await;
        }
    });
}

fn atom(name: &str) -> Atom {
    Atom::new(name).expect("an atom")
}

fn term(text: &str) -> OwnedTerm {
    text.parse().expect("a term")
}

fn spec(text: &str) -> ApplicationSpec {
    text.parse().expect("a specification")
}

/// One of the suite's applications, whose module is `ch_sup`: `app1()` and its like.
fn app(name: &str, low: u32, high: u32) -> ApplicationSpec {
    app_with(name, low, high, "")
}

/// The same, with more options.
fn app_with(name: &str, low: u32, high: u32, options: &str) -> ApplicationSpec {
    let module = format!("{{mod, {{ch_sup, {{{name}, {low}, {high}}}}}}}");
    let said =
        "{description, \"ERTS  CXC 138 10\"}, {vsn, \"2.0\"}, {modules, []}, {registered, []}";
    let options = match options {
        "" => "{applications, [kernel]}",
        options => options,
    };
    spec(&format!(
        "{{application, {name}, [{said}, {options}, {module}]}}"
    ))
}

/// That application depends on others, of which some are optional.
fn app10(applications: &str, optional: &str) -> ApplicationSpec {
    let options = format!(
        "{{applications, [kernel {applications}]}}, {{optional_applications, [{optional}]}}"
    );
    app_with("app10", 20, 20, &options)
}

async fn is_started(cx: &mut Context, app: &str) -> bool {
    let running = application::which_applications(cx).await.expect("a list");
    running.iter().any(|(name, ..)| name.as_str() == app)
}

fn is_loaded(cx: &Context, app: &str) -> bool {
    let loaded = application::loaded_applications(cx);
    loaded.iter().any(|(name, ..)| name.as_str() == app)
}

fn names(apps: &[Atom]) -> Vec<&str> {
    apps.iter().map(|app| app.as_str()).collect()
}

/// An error as the term that OTP has.
fn shown<T: std::fmt::Debug>(result: Result<T, ApplicationError>) -> String {
    let error = result.expect_err("an error");
    otp_vm::to_term(&error).expect("a term").to_string()
}

/// OTP's error of a file that is not there.
fn no_file(app: &str) -> String {
    format!("{{<<\"no such file or directory\">>,<<\"{app}.app\">>}}")
}
