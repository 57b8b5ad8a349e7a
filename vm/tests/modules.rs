//! Process modules: calls by name, their errors, and processes that begin with one.

mod common;

use std::time::Duration;

use common::{LIMIT, down, run};
use otp_vm::{
    ApplyError, Arguments, BuildError, Call, Context, ExitReason, Function, InitialCall, LoadError,
    Mfa, Module, ModuleError, Pid, SpawnOptions, Vm, from_term, module, to_term,
};
use serde::{Deserialize, Serialize};

/// An argument of the sample.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub struct Point {
    x: i32,
    y: i32,
}

module! {
    /// What the tests call.
    ///
    /// In two paragraphs.
    pub mod sample [vsn: 3, authors: ["a", "b"]] {
        /// The sum.
        pub async fn add(_cx: &mut Context, a: i64, b: i64) -> i64 {
            a + b
        }

        /// Typed both ways.
        pub async fn mirror(_cx: &mut Context, point: Point) -> Result<Point, String> {
            if point.x == 0 { Err("origin".into()) } else { Ok(Point { x: -point.x, y: point.y }) }
        }

        /// Who calls.
        pub async fn caller(cx: &mut Context) -> Pid {
            cx.pid()
        }

        /// Tells and waits.
        pub async fn wait_for(cx: &mut Context, witness: Pid, what: String) {
            cx.send(witness, &("began", &what)).unwrap();
            cx.receive_where(LIMIT, |message| message.decode::<String>().ok().filter(|got| *got == what)).await;
        }

        /// Ends with the reason.
        pub async fn fail(cx: &mut Context, why: String) {
            cx.exit(why);
        }
    }
}

fn load(cx: &Context) {
    assert!(cx.vm().load_module(sample::module()).unwrap().is_none());
}

#[test]
fn a_module_tells_what_is_in_it() {
    let module = sample::module();
    assert_eq!(
        module.to_string(),
        "sample exports add/2, caller/0, fail/1, mirror/1, wait_for/2"
    );
    let info = module.info();
    assert_eq!(info.doc, "What the tests call.\n\nIn two paragraphs.");
    let attributes: Vec<String> = info
        .attributes
        .iter()
        .map(|(key, value)| format!("{key} {}", value.root()))
        .collect();
    assert_eq!(attributes, ["vsn 3", r#"authors {<<"a">>,<<"b">>}"#]);
    assert_eq!(info.exports[0].mfa.to_string(), "sample:add/2");
    assert_eq!(info.exports[0].doc, "The sum.");
}

#[test]
fn functions_take_and_give_typed_values() {
    run(|mut cx| async move {
        load(&cx);
        assert_eq!(
            cx.apply::<_, i64>("sample", "add", &(1, 2)).await.unwrap(),
            3
        );
        assert_eq!(
            cx.apply::<_, i64>("sample", "add", &vec![1, 2])
                .await
                .unwrap(),
            3
        );
        assert_eq!(
            cx.apply::<_, Pid>("sample", "caller", &()).await.unwrap(),
            cx.pid()
        );
        let mirrored: Result<Point, String> = cx
            .apply("sample", "mirror", &(Point { x: 1, y: 2 },))
            .await
            .unwrap();
        assert_eq!(mirrored, Ok(Point { x: -1, y: 2 }));
        let refused: Result<Point, String> = cx
            .apply("sample", "mirror", &(Point { x: 0, y: 2 },))
            .await
            .unwrap();
        assert_eq!(refused, Err("origin".to_owned()));
        // As plain Rust.
        assert_eq!(sample::add(&mut cx, 4, 5).await, 9);
    });
}

#[test]
fn errors_name_the_function_and_what_there_is() {
    run(|mut cx| async move {
        let error = cx.apply::<_, ()>("sample", "add", &(1,)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "sample:add/1 is undefined: no module sample is loaded, but none; give `VmBuilder::module` some"
        );
        load(&cx);
        let error = cx.apply::<_, ()>("sample", "add", &(1,)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "sample:add/1 is undefined: sample exports add/2, caller/0, fail/1, mirror/1, wait_for/2"
        );
        assert_eq!(
            ExitReason::from(error).to_string(),
            "{undef,[{sample,add,[1],[]}]}"
        );
        let error = cx.apply::<_, ()>("simple", "add", &(1,)).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("no module simple is loaded, but sample"),
            "{error}"
        );

        let error = cx
            .apply::<_, i64>("sample", "add", &(1, "two"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, ApplyError::FunctionClause { .. }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .starts_with("sample:add/2 does not take these arguments: ")
        );
        assert_eq!(
            ExitReason::from(error).to_string(),
            "{function_clause,[{sample,add,[1,<<\"two\">>],[]}]}"
        );
        let error = cx
            .apply::<_, i64>("sample", "add", "text")
            .await
            .unwrap_err();
        assert!(matches!(error, ApplyError::Arguments(_)), "{error}");
        assert!(ExitReason::from(error).to_string().starts_with("{badarg,"));
        let error = cx
            .apply::<_, String>("sample", "add", &(1, 2))
            .await
            .unwrap_err();
        assert!(matches!(error, ApplyError::Decode { .. }), "{error}");
        let error = cx
            .apply::<_, i64>("sample", "add", &vec![0; 256])
            .await
            .unwrap_err();
        assert!(matches!(error, ApplyError::TooMany(256)), "{error}");
    });
}

#[test]
fn processes_begin_with_a_function() {
    run(|mut cx| async move {
        load(&cx);
        let me = cx.pid();
        let call = |what: &str| Call::new("sample", "wait_for", &(me, what)).unwrap();
        let plain = cx.spawn(call("a").body()).unwrap();
        let linked = cx.spawn_link(call("a").body()).unwrap();
        let (monitored, _) = cx.spawn_monitor(call("a").body()).unwrap();
        let options = SpawnOptions::new().link().monitor();
        let both = cx.spawn_opt(options, call("a").body()).unwrap().pid;
        let orphan = cx.vm().spawn(call("a").body()).unwrap();
        for _ in 0..5 {
            let (began, what): (String, String) = common::expect(&mut cx).await;
            assert_eq!((began.as_str(), what.as_str()), ("began", "a"));
        }
        for pid in [plain, linked, monitored, both, orphan] {
            let mfa = call("a").mfa();
            assert_eq!(cx.vm().initial_call(pid), Some(InitialCall::Mfa(mfa)));
            let monitor = cx.monitor(pid);
            cx.send(pid, "a").unwrap();
            assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        }
    });
}

#[test]
fn what_is_not_there_ends_its_process_with_undef() {
    run(|mut cx| async move {
        load(&cx);
        for (module, function, reason) in [
            ("sample", "walk", "{undef,[{sample,walk,[7],[]}]}"),
            ("example", "add", "{undef,[{example,add,[7],[]}]}"),
            ("sample", "fail", "{function_clause,[{sample,fail,[7],[]}]}"),
        ] {
            let call = Call::new(module, function, &(7,)).unwrap();
            let (_, monitor) = cx.spawn_monitor(call.body()).unwrap();
            assert_eq!(down(&mut cx, monitor).await.to_string(), reason);
        }
        let call = Call::new("sample", "fail", &("why",)).unwrap();
        let (_, monitor) = cx.spawn_monitor(call.body()).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("why"));
    });
}

#[test]
fn calls_and_funs_are_terms() {
    run(|mut cx| async move {
        load(&cx);
        let call = Call::new("sample", "add", &(1, 2)).unwrap();
        let data = to_term(&call).unwrap();
        assert_eq!(data.to_string(), "{sample,add,[1,2]}");
        let again: Call = from_term(data.root()).unwrap();
        assert_eq!(cx.apply_call(again).await.unwrap().to_string(), "3");
        assert!(from_term::<Call>(to_term(&("sample", "add", 7)).unwrap().root()).is_err());

        let fun = call.mfa().to_fun();
        assert_eq!(fun.to_string(), "fun sample:add/2");
        let fun = Mfa::of_fun(fun.root()).unwrap();
        let call = Call::of(fun, &(3, 4)).unwrap();
        assert_eq!(cx.apply_call(call).await.unwrap().to_string(), "7");
        let error = Call::of(fun, &(3,)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sample:add/2 was called with 1 arguments: give 2"
        );
        assert!(Mfa::of_fun(data.root()).is_none());
    });
}

fn constant(value: i32) -> Module {
    let get = Function::new("get", 0, move |_cx, _| {
        Box::pin(async move { Arguments::result(&value) })
    });
    let wait = Function::new("wait", 0, move |cx, _| {
        Box::pin(async move {
            cx.receive().await;
            Arguments::result(&value)
        })
    });
    Module::builder("constant")
        .function(get)
        .function(wait)
        .build()
        .unwrap()
}

#[test]
fn a_new_version_is_for_the_next_call() {
    run(|mut cx| async move {
        let vm = cx.vm().clone();
        vm.load_module(constant(1)).unwrap();
        let me = cx.pid();
        let old = cx
            .spawn(move |mut cx: Context| async move {
                cx.send(me, "runs").unwrap();
                let old: i32 = cx.apply("constant", "wait", &()).await.unwrap();
                cx.send(me, &old).unwrap();
            })
            .unwrap();
        assert_eq!(common::expect::<String>(&mut cx).await, "runs");
        // It is in the function once it waits for a message.
        while vm.process_info(old).unwrap().status != otp_vm::Status::Waiting {
            cx.yield_now().await;
        }
        assert!(vm.load_module(constant(2)).unwrap().is_some());
        assert_eq!(cx.apply::<_, i32>("constant", "get", &()).await.unwrap(), 2);
        cx.send(old, "go on").unwrap();
        assert_eq!(common::expect::<i32>(&mut cx).await, 1);
        assert!(vm.unload_module("constant").is_some());
        assert!(vm.module("constant").is_none());
        assert!(!vm.function_exported("constant", "get", 0));
    });
}

#[test]
fn the_limit_of_modules_is_an_error() {
    let named = |name: &str| Module::builder(name).build().unwrap();
    let vm = Vm::builder()
        .schedulers(1)
        .max_modules(1)
        .module(named("one"))
        .build()
        .unwrap();
    let error = vm.load_module(named("two")).unwrap_err();
    assert!(matches!(error, LoadError::Limit { limit: 1, .. }));
    assert_eq!(
        error.to_string(),
        "two is one module more than the limit of 1: unload some, or build the VM with `max_modules` higher"
    );
    // A new version takes no room.
    assert!(vm.load_module(named("one")).unwrap().is_some());
    assert_eq!(vm.modules().len(), 1);
    let none = Vm::builder()
        .schedulers(1)
        .max_modules(0)
        .module(named("one"))
        .build();
    assert!(matches!(
        none,
        Err(BuildError::Module(LoadError::Limit { limit: 0, .. }))
    ));
    vm.shutdown(Duration::from_secs(1)).wait();
}

#[test]
fn a_module_that_can_not_be_is_refused() {
    let nothing = |name: &str, arity| {
        Function::new(name, arity, |_cx, _| {
            Box::pin(async { Arguments::result(&()) })
        })
    };
    let twice = Module::builder("m")
        .function(nothing("f", 1))
        .function(nothing("f", 1))
        .build();
    assert_eq!(
        twice.unwrap_err().to_string(),
        "m:f/1 is defined twice: give one of them another name, or another arity"
    );
    let arity = Module::builder("m").function(nothing("f", 256)).build();
    assert!(matches!(arity, Err(ModuleError::Arity { arity: 256, .. })));
    let name = Module::builder(&"m".repeat(256)).build();
    assert!(matches!(name, Err(ModuleError::Name { .. })));
    let both = Module::builder("m")
        .function(nothing("f", 1))
        .function(nothing("f", 2))
        .build();
    assert_eq!(both.unwrap().to_string(), "m exports f/1, f/2");
}
