//! Panics in every place where a behaviour runs the program's code.

use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{Supervise, SupervisorInit};
use otp_stdlib::sys::DebugOption;
use otp_stdlib::{ChildError, gen_statem};
use otp_vm::{CallError, Context, ExitReason, Pid, Vm};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::*;

/// A text that panics where it says.
#[derive(Debug)]
pub(super) struct Mine(pub(super) String);

impl Serialize for Mine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, "serialize", "a mine in serialize");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Mine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert_ne!(text, "deserialize", "a mine in deserialize");
        if text == "error" {
            return Err(D::Error::custom("as told"));
        }
        Ok(Self(text))
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_ne!(self.0, "drop", "a mine in drop");
        }
    }
}

/// A server of mines; each callback panics before it gives its future when told "early".
pub(super) struct Field {
    witness: Pid,
    _state: Mine,
}

/// `{error, Reason}`, so as not to be taken for another event.
fn told(reason: &ExitReason) -> Event {
    Event::Terminated("field".into(), reason.clone())
}

impl GenServer for Field {
    type Args = (Pid, &'static str);
    type Call = Mine;
    type Reply = Mine;
    type Cast = Mine;
    type Info = Mine;
    type Continue = Mine;

    async fn init((witness, state): Self::Args, cx: &mut Context) -> Init<Self> {
        assert_ne!(state, "init", "a mine in init");
        if state == "name" {
            cx.register("field", cx.pid()).unwrap();
            panic!("a mine in init");
        }
        Init::ok(Self {
            witness,
            _state: Mine(state.into()),
        })
    }

    #[allow(clippy::manual_async_fn, reason = "panics before there is a future")]
    fn handle_call(
        &mut self,
        request: Mine,
        _from: From<Mine>,
        _cx: &mut Context,
    ) -> impl Future<Output = Reply<Self>> + Send {
        assert_ne!(request.0, "early", "a mine before the future");
        async move {
            match request.0.as_str() {
                "stop_with" => Reply::stop_with(ExitReason::normal(), Mine("serialize".into())),
                "continue" => Reply::new(Mine("ok".into())).and_continue(Mine("early".into())),
                "reply" => Reply::new(Mine("serialize".into())),
                "reply dropped" => Reply::new(Mine("drop".into())),
                _ => Reply::new(Mine(request.0.clone())),
            }
        }
    }

    #[allow(clippy::manual_async_fn, reason = "panics before there is a future")]
    fn handle_cast(
        &mut self,
        request: Mine,
        _cx: &mut Context,
    ) -> impl Future<Output = NoReply<Self>> + Send {
        assert_ne!(request.0, "early", "a mine before the future");
        async move { NoReply::new().and_continue(Mine("drop".into())) }
    }

    #[allow(clippy::manual_async_fn, reason = "panics before there is a future")]
    fn handle_info(
        &mut self,
        info: Mine,
        _cx: &mut Context,
    ) -> impl Future<Output = NoReply<Self>> + Send {
        assert_ne!(info.0, "early", "a mine before the future");
        async move {
            if info.0 == "stop" {
                return NoReply::stop(reason("stopped"));
            }
            NoReply::new()
        }
    }

    #[allow(clippy::manual_async_fn, reason = "panics before there is a future")]
    fn handle_continue(
        &mut self,
        next: Mine,
        _cx: &mut Context,
    ) -> impl Future<Output = NoReply<Self>> + Send {
        assert_ne!(next.0, "early", "a mine before the future");
        async move {
            drop(next);
            NoReply::new()
        }
    }

    #[allow(clippy::manual_async_fn, reason = "panics before there is a future")]
    fn handle_unknown(
        &mut self,
        message: otp_vm::Message,
        _error: otp_vm::DecodeError,
        _cx: &mut Context,
    ) -> impl Future<Output = NoReply<Self>> + Send {
        assert!(message.bytes() == 0, "a mine before the future");
        async move { NoReply::new() }
    }

    #[allow(clippy::manual_async_fn, reason = "panics before there is a future")]
    fn terminate(
        &mut self,
        reason: &ExitReason,
        cx: &mut Context,
    ) -> impl Future<Output = ()> + Send {
        let _ = cx.send(self.witness, &told(reason));
        assert_ne!(self._state.0, "terminate", "a mine in terminate");
        async {}
    }
}

/// How a message is brought to the server.
enum Way {
    Call(&'static str),
    Cast(&'static str),
    Info(&'static str),
}

#[test]
fn a_panic_wherever_a_message_is_handled_calls_terminate() {
    for is_looked_at in [false, true] {
        panics_wherever_a_message_is_handled(is_looked_at);
    }
}

/// A server that is looked at has another loop.
fn panics_wherever_a_message_is_handled(is_looked_at: bool) {
    use Way::{Call, Cast, Info};
    run(async move |mut cx: Context| {
        let witness = cx.pid();
        let options = || is_looked_at.then_some(DebugOption::Statistics);
        for way in [
            Call("early"),
            Call("deserialize"),
            Call("error"),
            Call("reply"),
            Call("reply dropped"),
            Cast("early"),
            Cast("deserialize"),
            Cast("error"),
            Cast("continue"),
            Info("early"),
            Info("deserialize"),
            Info("error"),
            Call("continue"),
        ] {
            let server = Field::start(&mut cx, (witness, "")).debug(options());
            let server = server.await.unwrap();
            let pid = server.pid().unwrap();
            let monitor = cx.monitor(pid);
            let text = match way {
                Call(text) => {
                    let answer = server.call(&mut cx, Mine(text.into())).await;
                    match answer {
                        Err(CallError::Exit(reason)) => {
                            assert!(reason.to_string().contains("a mine"), "{text}: {reason}");
                        }
                        // Not to be dropped here.
                        Ok(mine) if matches!(text, "continue" | "reply dropped") => {
                            std::mem::forget(mine);
                        }
                        answer => panic!("{text}: {answer:?}"),
                    }
                    text
                }
                Cast(text) => {
                    server.cast(&cx, Mine(text.into())).unwrap();
                    text
                }
                Info(text) => {
                    cx.send(pid, text).unwrap();
                    text
                }
            };
            let reason = down(&mut cx, monitor).await;
            assert!(reason.to_string().contains("a mine"), "{text}: {reason}");
            let told = cx.receive_timeout(LIMIT).await.unwrap();
            let Event::Terminated(_, why) = told.decode().unwrap() else {
                panic!("{told}");
            };
            assert_eq!(why, reason, "{text}: terminate was not called");
        }
    });
}

#[test]
fn a_panic_at_the_end_is_the_reason_and_nobody_waits() {
    run(async |mut cx: Context| {
        let witness = cx.pid();
        for state in ["terminate", "drop"] {
            let server = Field::start(&mut cx, (witness, state)).await.unwrap();
            let pid = server.pid().unwrap();
            let monitor = cx.monitor(pid);
            cx.send(pid, "stop").unwrap();
            assert_eq!(terminated(&mut cx, "field").await, reason("stopped"));
            let reason = down(&mut cx, monitor).await;
            assert!(reason.to_string().contains("a mine"), "{state}: {reason}");
        }
        // The reply that is due after terminate.
        let server = Field::start(&mut cx, (witness, "")).await.unwrap();
        let answer = server.call(&mut cx, Mine("stop_with".into())).await;
        assert!(matches!(answer, Err(CallError::Exit(_))), "{answer:?}");
        assert_eq!(terminated(&mut cx, "field").await, ExitReason::normal());
    });
}

#[test]
fn a_panic_in_init_fails_the_start_and_frees_the_name() {
    run(async |mut cx: Context| {
        let witness = cx.pid();
        for state in ["init", "name"] {
            let error = Field::start(&mut cx, (witness, state)).await.unwrap_err();
            assert!(error.to_string().contains("a mine in init"), "{error}");
            assert_eq!(cx.whereis("field"), None);
        }
    });
}

/// A child whose start function panics while `armed` says so, at once or in its future.
fn mined(id: &'static str, early: bool, armed: Arc<AtomicBool>, witness: Pid) -> ChildSpec {
    let args = ProbeArgs::new(id, witness);
    ChildSpec::new(id, move |cx| {
        let armed = armed.load(Ordering::SeqCst);
        let args = args.clone();
        assert!(!(early && armed), "a mine in start");
        Box::pin(async move {
            assert!(!armed, "a mine in start");
            let server = Probe::start_link(cx, args).await?;
            Ok(server.pid().expect("a pid"))
        })
    })
}

fn is_mine(error: &ChildError) -> bool {
    matches!(error, ChildError::Start(StartError::Exit(_)))
        && error.to_string().contains("a mine in start")
}

#[test]
fn a_start_function_that_panics_is_a_failed_start() {
    for early in [true, false] {
        run(async move |mut cx: Context| {
            let witness = cx.pid();
            let armed = Arc::new(AtomicBool::new(true));
            let mine = |id| mined(id, early, Arc::clone(&armed), witness);
            cx.trap_exit(true);
            // In init: as any failed start.
            let flags = SupervisorFlags::one_for_one();
            let children = vec![probe("sibling", witness), mine("mine")];
            let error = Supervisor::start_link(&mut cx, flags.clone(), children)
                .await
                .unwrap_err();
            assert!(
                error.to_string().contains("failed_to_start_child"),
                "{error}"
            );
            started(&mut cx, "sibling").await;
            assert_eq!(terminated(&mut cx, "sibling").await, ExitReason::shutdown());

            // In start_child: the supervisor and the others go on.
            let children = vec![probe("sibling", witness)];
            let flags = flags.intensity(1, LIMIT);
            let supervisor = Supervisor::start_link(&mut cx, flags, children)
                .await
                .unwrap();
            let sibling = started(&mut cx, "sibling").await;
            let error = supervisor
                .start_child(&mut cx, mine("mine"))
                .await
                .unwrap_err();
            assert!(is_mine(&error), "{error:?}");
            assert!(cx.is_alive(sibling).await);

            // In a restart: it counts, and is tried again until the intensity is reached.
            armed.store(false, Ordering::SeqCst);
            let pid = supervisor.start_child(&mut cx, mine("mine")).await.unwrap();
            started(&mut cx, "mine").await;
            armed.store(true, Ordering::SeqCst);
            cx.exit_process(pid, ExitReason::kill());
            assert_eq!(terminated(&mut cx, "sibling").await, ExitReason::shutdown());
            let end = exit_of(&mut cx, supervisor.pid().unwrap()).await;
            assert_eq!(end, ExitReason::shutdown());
        });
    }
}

#[test]
fn a_start_function_that_panics_is_a_failed_start_of_a_dynamic_supervisor() {
    for early in [true, false] {
        run(async move |mut cx: Context| {
            let witness = cx.pid();
            let armed = Arc::new(AtomicBool::new(true));
            let mine = |id| mined(id, early, Arc::clone(&armed), witness);
            cx.trap_exit(true);
            let flags = DynamicSupervisorFlags::new().intensity(1, LIMIT);
            let supervisor = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
            supervisor
                .start_child(&mut cx, probe("sibling", witness))
                .await
                .unwrap();
            started(&mut cx, "sibling").await;
            let error = supervisor
                .start_child(&mut cx, mine("mine"))
                .await
                .unwrap_err();
            assert!(is_mine(&error), "{error:?}");
            let once = ChildSpec::once("once", |cx| {
                assert!(cx.message_queue_len() == usize::MAX, "a mine in start");
                Probe::start_link(cx, ProbeArgs::new("once", cx.pid()))
            });
            let error = supervisor.start_child(&mut cx, once).await.unwrap_err();
            assert!(is_mine(&error), "{error:?}");
            assert_eq!(supervisor.count_children(&mut cx).await.unwrap().specs, 1);

            armed.store(false, Ordering::SeqCst);
            let pid = supervisor.start_child(&mut cx, mine("mine")).await.unwrap();
            started(&mut cx, "mine").await;
            armed.store(true, Ordering::SeqCst);
            cx.exit_process(pid, ExitReason::kill());
            assert_eq!(terminated(&mut cx, "sibling").await, ExitReason::shutdown());
            let end = exit_of(&mut cx, supervisor.pid().unwrap()).await;
            assert_eq!(end, ExitReason::shutdown());
        });
    }
}

/// A callback that panics when it is called again.
struct Once;

impl Supervise for Once {
    type Args = (AtomicBool, Pid);

    async fn init((is_called, witness): &Self::Args, _: &mut Context) -> SupervisorInit {
        assert!(!is_called.swap(true, Ordering::SeqCst), "a mine in init");
        let flags = SupervisorFlags::one_for_one();
        SupervisorInit::Ok(flags, vec![probe("sibling", *witness)])
    }
}

#[test]
fn a_callback_that_panics_when_the_code_is_changed_leaves_the_tree_as_it_was() {
    run(async |mut cx: Context| {
        let args = (AtomicBool::new(false), cx.pid());
        let tree = Supervisor::start_link_with::<Once>(&mut cx, args)
            .await
            .unwrap();
        let sibling = started(&mut cx, "sibling").await;
        let error = tree.code_change(&mut cx).await.unwrap_err();
        let is_mine = error.to_string().contains("a mine in init");
        assert!(
            is_mine && matches!(error, ChildError::CodeChange(_)),
            "{error:?}"
        );
        let children = tree.which_children(&mut cx).await.unwrap();
        assert_eq!(children[0].pid, Some(sibling));
    });
}

/// The name of a timeout. One use of it panics, after so many that don't.
struct Fuse {
    what: &'static str,
    left: Arc<AtomicU64>,
}

impl Fuse {
    fn burn(&self, what: &str) {
        if what == self.what {
            let left = self.left.load(Ordering::SeqCst);
            assert_ne!(left, 0, "a fuse in {what}");
            self.left.store(left - 1, Ordering::SeqCst);
        }
    }
}

impl Clone for Fuse {
    fn clone(&self) -> Self {
        self.burn("clone");
        Self {
            what: self.what,
            left: Arc::clone(&self.left),
        }
    }
}

impl PartialEq for Fuse {
    fn eq(&self, _other: &Self) -> bool {
        self.burn("eq");
        true
    }
}

impl Eq for Fuse {}

impl Hash for Fuse {
    fn hash<H: Hasher>(&self, _hasher: &mut H) {
        self.burn("hash");
    }
}

impl Serialize for Fuse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.burn("serialize");
        self.what.serialize(serializer)
    }
}

/// A machine that sets a timeout of this name, and panics when it comes.
struct Fused(Fuse, Pid);

impl GenStatem for Fused {
    type Args = (Fuse, Pid);
    type State = ();
    type Call = NoMessage;
    type Reply = ();
    type Cast = ();
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = ();
    type TimeoutName = Fuse;

    async fn init((fuse, witness): (Fuse, Pid), _: &mut Context) -> gen_statem::Init<Self> {
        gen_statem::Init::ok((), Self(fuse, witness))
    }

    async fn handle_event(
        &mut self,
        (): &(),
        event: gen_statem::Event<Self>,
        _: &mut Context,
    ) -> gen_statem::Transition<Self> {
        let Self(Fuse { what, left }, _) = self;
        match event {
            gen_statem::Event::GenericTimeout(..) => panic!("the timeout has come"),
            _ => {
                let left = Arc::clone(left);
                let name = Fuse { what, left };
                gen_statem::Transition::keep_state().generic_timeout(name, Duration::ZERO, ())
            }
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, (): &(), cx: &mut Context) {
        cx.send(self.1, &told(reason)).expect("a term");
    }
}

#[test]
fn a_name_of_a_timeout_that_panics_anywhere_calls_terminate_and_is_reported() {
    // Where each is used when the timeout's turn comes; as a term it is in the report only.
    for (what, left) in [("clone", 1), ("hash", 1), ("eq", 0), ("serialize", 0)] {
        let (sender, reports) = mpsc::channel();
        let vm = Vm::builder().report_handler(move |report| {
            if let Some(report) = report.downcast_ref::<gen_statem::Terminated>() {
                sender.send(report.reason.to_string()).unwrap();
            }
        });
        let vm = vm.build().unwrap();
        let run = vm.run(async move |mut cx: Context| {
            let left = Arc::new(AtomicU64::new(left));
            let args = (Fuse { what, left }, cx.pid());
            let machine = Fused::start(&mut cx, args).await.unwrap();
            let monitor = cx.monitor(machine.pid().unwrap());
            machine.cast(&cx, ()).unwrap();
            let end = down(&mut cx, monitor).await;
            // Nothing of it is caught in between, and told under another name.
            assert_eq!(event(&mut cx).await, told(&end));
            end.to_string()
        });
        let end = run.wait().unwrap();
        let why = match what {
            "serialize" => "the timeout has come".to_owned(),
            what => format!("a fuse in {what}"),
        };
        assert!(end.contains(&why), "{what}: {end}");
        vm.shutdown(LIMIT).wait();
        let reported: Vec<String> = reports.try_iter().collect();
        assert_eq!(reported, [end], "{what}");
    }
}

#[test]
fn a_task_that_panics_in_its_function_or_whose_result_panics_is_an_error() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let mut task = Task::async_(
            &cx,
            |cx: Context| -> Pin<Box<dyn Future<Output = ()> + Send>> {
                panic!("a mine in {}", cx.pid())
            },
        )
        .unwrap();
        let end = task.yield_(&mut cx, LIMIT).await.unwrap().unwrap_err();
        assert!(end.to_string().contains("a mine in"), "{end}");

        // Nobody takes the result: it is dropped with its message, and that is nobody's affair.
        let task = Task::async_(&cx, async |mut cx: Context| {
            cx.receive().await;
            Mine("drop".into())
        })
        .unwrap();
        let pid = task.pid().unwrap();
        let monitor = cx.monitor(pid);
        assert!(task.ignore(&mut cx).await.is_none());
        cx.send(pid, &()).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn a_registration_that_panics_leaves_nothing() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let names = Registry::<String, Mine>::start_link(&mut cx, "names")
            .await
            .unwrap();
        let me = cx.pid();
        let holder = cx
            .spawn(async move |mut cx: Context| {
                let key = "key".to_owned();
                let mine = Mine("serialize".into());
                let registering = names.register(&mut cx, &key, &mine);
                let mut registering = Box::pin(registering);
                let caught = std::future::poll_fn(|task| {
                    let poll = std::panic::AssertUnwindSafe(|| registering.as_mut().poll(task));
                    std::task::Poll::Ready(std::panic::catch_unwind(poll).is_err())
                });
                assert!(caught.await, "it must panic");
                drop(registering);
                assert_eq!(names.keys(&cx, cx.pid()), Vec::<String>::new());
                names
                    .register(&mut cx, &key, &Mine("fine".into()))
                    .await
                    .unwrap();
                assert_eq!(names.keys(&cx, cx.pid()), ["key"]);
                assert!(names.unregister(&cx, &key));
                cx.send(me, &Event::Started("holder".into(), cx.pid()))
                    .unwrap();
                for_ever(&mut cx).await;
            })
            .unwrap();
        assert_eq!(started(&mut cx, "holder").await, holder);
        let partition = cx.whereis("names").unwrap();
        let links = cx.process_info(holder).unwrap().links;
        assert!(!links.contains(&partition), "a link for no key");
    });
}
