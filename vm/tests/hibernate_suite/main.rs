//! OTP's hibernate_SUITE. Sizes are those of the process's heap, in words, and of the body, in bytes.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/virtual_time.rs"]
mod virtual_time;

use std::pin::Pin;
use std::sync::Arc;

use otp_heap::Root;
use otp_vm::{
    ApplyError, Builder, Call, Context, ExitReason, InfoItem, OwnedTerm, Pid, ProcessInfo, Ref,
    SpawnOptions, Status, from_term, module, receive, to_term,
};
use serde::Serialize;

use common::{LIMIT, bounded, down, exit, expect};
use virtual_time::{ms, simulated};

/// Waits until the process hibernates, and tells how it looks then.
async fn hibernated(cx: &Context, pid: Pid) -> ProcessInfo {
    loop {
        let info = cx.process_info(pid).expect("it lives");
        if info.hibernated && info.status == Status::Waiting {
            return info;
        }
        cx.sleep(ms(1)).await;
    }
}

/// Bytes that the body holds in itself, and that hibernation gives back.
const SCRATCH: usize = 10_000;

/// A process that keeps a pid and a reference, in its body and on its heap, and hibernates when it is told to.
fn basic_child(
    mut cx: Context,
    kept: (Pid, Ref),
    on_heap: Root,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let scratch = [1_u8; SCRATCH];
        loop {
            receive!(cx, {
                {hibernate, from: Pid, garbage: bool} => {
                    if garbage {
                        let list = cx.heap().keep_value(&vec![7; 5_000]).unwrap();
                        cx.heap().release(list).unwrap();
                    }
                    cx.send(from, "going").unwrap();
                    cx.hibernate(move |cx| basic_child(cx, kept, on_heap)).await
                },
                {"whats_up", from: Pid} => {
                    let sum: u64 = scratch.iter().map(|&byte| u64::from(byte)).sum();
                    let on_heap = OwnedTerm::copy_of((), cx.heap().get(&on_heap).unwrap()).unwrap();
                    cx.send(from, &(kept, on_heap, sum)).unwrap();
                },
                "stop" => return,
            });
        }
    })
}

#[test]
fn basic() {
    simulated(async |mut cx: Context| {
        let kept = (cx.pid(), cx.make_ref());
        let start = async move |cx: Context| {
            let on_heap = cx.heap().keep_value(&kept).unwrap();
            basic_child(cx, kept, on_heap).await
        };
        let child = cx.spawn_link(start).unwrap();
        let kept_words = to_term(&kept).unwrap().root().words();
        let hibernate = otp_vm::Atom::new("hibernate").unwrap();
        let mut bytes = None;
        for round in 0..100 {
            cx.send(child, &(hibernate, cx.pid(), round % 2 == 0))
                .unwrap();
            assert_eq!(expect::<String>(&mut cx).await, "going");
            let asleep = hibernated(&cx, child).await;
            assert_eq!(asleep.message_queue_len, 0);
            let heap_size = asleep.heap.heap_size;
            assert!(heap_size <= kept_words + 8, "{heap_size} words");
            // Not more from one round to the next, once the first body is gone.
            if round > 0 {
                assert_eq!(*bytes.get_or_insert(asleep.memory), asleep.memory);
            }
            cx.send(child, &("whats_up", cx.pid())).unwrap();
            let (state, on_heap, sum): ((Pid, Ref), (Pid, Ref), u64) = expect(&mut cx).await;
            assert_eq!((state, on_heap, sum), (kept, kept, SCRATCH as u64));
            assert!(!cx.process_info(child).unwrap().hibernated);
        }
        cx.unlink(child);
        let monitor = cx.monitor(child);
        cx.send(child, "stop").unwrap();
        assert!(down(&mut cx, monitor).await.is_normal());
    });
}

fn heap_size(cx: &Context, pid: Pid) -> usize {
    let item = cx.process_info_item(pid, InfoItem::HeapSize).unwrap();
    from_term::<(otp_vm::Atom, usize)>(item.root()).unwrap().1
}

#[test]
fn min_heap_size() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let options = SpawnOptions::new().link().min_heap_size(15_000);
        let in_use = |cx: &Context| {
            let kept = cx.heap().keep_value("kept").unwrap();
            cx.heap().release(kept).unwrap();
            heap_size(cx, cx.pid())
        };
        let child = async move |mut cx: Context| {
            cx.send(parent, &in_use(&cx)).unwrap();
            cx.hibernate(async move |cx: Context| {
                cx.send(parent, &in_use(&cx)).unwrap();
                common::idle(cx).await;
            })
            .await
        };
        let child = cx.spawn_opt(options, child).unwrap().pid;
        assert!(expect::<usize>(&mut cx).await >= 15_000);
        hibernated(&cx, child).await;
        assert!(heap_size(&cx, child) <= 20);
        cx.send(child, "wake up").unwrap();
        assert!(expect::<usize>(&mut cx).await >= 15_000);
        cx.unlink(child);
        cx.exit_process(child, ExitReason::kill());
    });
}

#[test]
fn a_body_is_as_small_as_its_successor_while_it_hibernates() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let large = [3_u8; 15_000];
        let child = cx
            .spawn_link(async move |mut cx: Context| {
                let large = Box::new(large);
                cx.hibernate(async move |cx: Context| {
                    let mut room = [0_u8; 15_000];
                    room.copy_from_slice(&large[..]);
                    cx.yield_now().await;
                    cx.send(parent, &room[14_999]).unwrap();
                    common::idle(cx).await;
                })
                .await
            })
            .unwrap();
        let asleep = hibernated(&cx, child).await.memory;
        cx.send(child, "wake up").unwrap();
        assert_eq!(expect::<u8>(&mut cx).await, 3);
        // The room for what the body will be is part of it from the start.
        assert!(asleep < 17_000, "{asleep}");
        cx.unlink(child);
        cx.exit_process(child, ExitReason::kill());
    });
}

#[test]
fn what_the_body_held_is_dropped_before_it_sleeps_and_what_is_passed_on_is_kept() {
    simulated(async |mut cx: Context| {
        let (dropped, kept) = (Arc::new(()), Arc::new(()));
        let (held, passed) = (Arc::clone(&dropped), Arc::clone(&kept));
        let (child, monitor) = cx
            .spawn_monitor(async move |mut cx: Context| {
                let room = [0_u8; SCRATCH];
                cx.receive().await;
                let _held = (held, room);
                cx.hibernate(async move |mut cx: Context| {
                    cx.receive().await;
                    drop(passed);
                })
                .await
            })
            .unwrap();
        cx.sleep(ms(1)).await;
        let awake = cx.process_info(child).unwrap().memory;
        cx.send(child, "sleep").unwrap();
        let asleep = hibernated(&cx, child).await.memory;
        assert!(asleep + SCRATCH <= awake, "{awake}, then {asleep}");
        assert_eq!(
            (Arc::strong_count(&dropped), Arc::strong_count(&kept)),
            (1, 2)
        );
        cx.send(child, "wake up").unwrap();
        assert!(down(&mut cx, monitor).await.is_normal());
        assert_eq!(Arc::strong_count(&kept), 1);
    });
}

#[test]
fn messages_in_queue() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let child = cx
            .spawn_link(async move |mut cx: Context| {
                receive!(cx, { "go_ahead" => () });
                assert_eq!(cx.message_queue_len(), 1);
                cx.hibernate(async move |mut cx: Context| {
                    let first = cx.receive().await;
                    cx.forward(parent, first).unwrap();
                    common::idle(cx).await;
                })
                .await
            })
            .unwrap();
        let tag = cx.make_ref();
        cx.send(child, &tag).unwrap();
        cx.send(child, "go_ahead").unwrap();
        assert_eq!(expect::<Ref>(&mut cx).await, tag);
        cx.unlink(child);
        cx.exit_process(child, "done");
    });
}

module! {
    /// What is hibernated into.
    pub mod hibernate_suite {
        /// Hibernates into a function that is not there.
        pub async fn into_nothing(cx: &mut Context) {
            cx.hibernate(call("no_such_function", &("x",)).continuation()).await
        }

        /// Hibernates, and goes on by telling.
        pub async fn sleep_and_tell(cx: &mut Context, whom: Pid) {
            cx.hibernate(call("tell", &(whom,)).continuation()).await
        }

        /// Tells that it goes on.
        pub async fn tell(cx: &mut Context, whom: Pid) {
            cx.send(whom, "awake").unwrap();
        }
    }
}

fn call<A: Serialize + ?Sized>(function: &str, arguments: &A) -> Call {
    Call::new("hibernate_suite", function, arguments).unwrap()
}

fn load(cx: &Context) {
    cx.vm().load_module(hibernate_suite::module()).unwrap();
}

/// `{Module, Function, Arguments}` as data; what is no call is refused before anybody hibernates.
fn is_no_call<T: Serialize>(term: &T) {
    let term = to_term(term).unwrap();
    let refused = from_term::<Call>(term.root());
    assert!(refused.is_err(), "{term} was taken");
}

#[test]
fn bad_args() {
    simulated(async |mut cx: Context| {
        load(&cx);
        let parent = cx.pid();
        let child = async move |mut cx: Context| {
            let (module, function, none) = ("hibernate_suite", "tell", Vec::<u8>::new());
            let long = "x".repeat(256);
            let mut improper = Builder::<()>::new();
            improper.integer(1).integer(2).cons();
            let improper = improper.finish(()).unwrap();
            is_no_call(&(1, function, &none));
            is_no_call(&(1.5, function, &none));
            is_no_call(&((module, 1), function, &none));
            is_no_call(&(cx.pid(), function, &none));
            is_no_call(&(&long, function, &none));
            is_no_call(&(module, 1, &none));
            is_no_call(&(module, 1.5, &none));
            is_no_call(&(module, (function, 1), &none));
            is_no_call(&(module, cx.make_ref(), &none));
            is_no_call(&(module, &long, &none));
            is_no_call(&(module, function, 1));
            is_no_call(&(module, function, "text"));
            is_no_call(&(module, function, cx.pid()));
            is_no_call(&(module, function, &improper));
            is_no_call(&(module, function));
            let none_is_too_long = Call::new(module, &long, &none);
            assert!(matches!(none_is_too_long, Err(ApplyError::Name(_))));
            let error = Call::new(module, function, &vec![0; 5122]).unwrap_err();
            assert!(matches!(error, ApplyError::TooMany(5122)), "{error}");
            assert_eq!(ExitReason::from(error).to_string(), "system_limit");
            cx.garbage_collect();
            // It goes on, and hibernates.
            cx.hibernate(call("tell", &(parent,)).continuation()).await
        };
        let (child, monitor) = cx.spawn_monitor(child).unwrap();
        hibernated(&cx, child).await;
        cx.send(child, "wake up").unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "awake");
        assert!(down(&mut cx, monitor).await.is_normal());
    });
}

/// By a call in the body, and from a function of the module itself.
#[test]
fn undefined_mfa() {
    simulated(async |mut cx: Context| {
        load(&cx);
        cx.trap_exit(true);
        let by_body = cx.spawn_link(async |mut cx: Context| {
            cx.hibernate(call("no_such_function", &("x",)).continuation())
                .await
        });
        let by_function = cx.spawn_link(call("into_nothing", &()).body());
        for child in [by_body.unwrap(), by_function.unwrap()] {
            hibernated(&cx, child).await;
            cx.send(child, "wake up").unwrap();
            let reason = exit(&mut cx, child).await.to_string();
            let undef = "{undef,[{hibernate_suite,no_such_function,[<<\"x\">>],[]}]}";
            assert_eq!(reason, undef);
        }
    });
}

#[test]
fn a_function_of_a_module_hibernates_its_process_which_keeps_its_initial_call() {
    simulated(async |mut cx: Context| {
        load(&cx);
        let call = call("sleep_and_tell", &(cx.pid(),));
        let begun = Some(call.mfa().into());
        let (child, monitor) = cx.spawn_monitor(call.body()).unwrap();
        hibernated(&cx, child).await;
        assert_eq!(cx.vm().initial_call(child), begun);
        cx.send(child, "wake up").unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "awake");
        assert!(down(&mut cx, monitor).await.is_normal());
    });
}

/// A panic of what it goes on with is the process's, not before a message is there.
#[test]
fn a_successor_that_panics_at_once_ends_the_process() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let child = cx
            .spawn_link(async |mut cx: Context| {
                cx.hibernate(|_: Context| -> std::future::Ready<()> { panic!("at once") })
                    .await
            })
            .unwrap();
        hibernated(&cx, child).await;
        cx.send(child, "wake up").unwrap();
        let reason = exit(&mut cx, child).await.to_string();
        assert!(reason.contains("at once"), "{reason}");
    });
}

/// What is left behind is the Context of nobody: no second one of the process, whatever becomes of it.
#[test]
fn who_goes_on_beside_a_hibernation_has_the_context_of_nobody() {
    use std::future::poll_fn;
    use std::task::Poll;
    bounded(1, async |mut cx: Context| {
        let parent = cx.pid();
        let child = async move |mut cx: Context| {
            let me = cx.pid();
            {
                let mut sleep = std::pin::pin!(cx.hibernate(async move |mut cx: Context| {
                    let message = cx.receive().await;
                    cx.forward(parent, message).unwrap();
                    assert_eq!(cx.pid(), me);
                }));
                // Polled once, as in a `select!` whose other branch is ready.
                poll_fn(|task| {
                    assert!(sleep.as_mut().poll(task).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            assert_ne!(cx.pid(), me);
            assert!(!cx.vm().is_alive(cx.pid()) && cx.vm().is_alive(me));
            assert_eq!(cx.message_queue_len(), 0);
            // Only once it gives way.
            std::future::pending::<()>().await;
        };
        let (child, monitor) = cx.spawn_monitor(child).unwrap();
        cx.send(child, "kept").unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "kept");
        assert!(down(&mut cx, monitor).await.is_normal());
    });
}

#[test]
fn a_native_process_is_told_that_it_cannot_hibernate() {
    bounded(1, async |mut cx: Context| {
        cx.trap_exit(true);
        let body = |mut cx: otp_vm::NativeContext| {
            cx.block_on(async |cx| cx.hibernate(common::idle).await)
        };
        let native = cx.spawn_native_opt(SpawnOptions::new().link(), body);
        let reason = exit(&mut cx, native.unwrap().pid).await.to_string();
        assert!(
            reason.contains("a native process can't hibernate"),
            "{reason}"
        );
    });
}

fn clean(mut cx: Context) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        cx.erase_all();
        while cx.receive_timeout(ms(0)).await.is_some() {}
        cx.hibernate(clean).await
    })
}

#[test]
fn no_heap() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let child = cx.spawn_link(clean).unwrap();
        let least = hibernated(&cx, child).await.memory;
        for _ in 0..100 {
            let asleep = hibernated(&cx, child).await;
            assert_eq!((asleep.memory, asleep.message_queue_len), (least, 0));
            assert_eq!(heap_size(&cx, child), asleep.heap.total_heap_size);
            assert!(asleep.heap.total_heap_size <= 8, "{:?}", asleep.heap);
            cx.send(child, "wake up").unwrap();
            while cx.process_info(child).unwrap().message_queue_len > 0 {
                cx.yield_now().await;
            }
        }
        cx.unlink(child);
        let monitor = cx.monitor(child);
        cx.exit_process(child, "bye");
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("bye"));
    });
}

#[test]
fn wake_up_and_bif_trap() {
    bounded(2, async |mut cx: Context| {
        let parent = cx.pid();
        let child = cx
            .spawn_link(async move |mut cx: Context| {
                cx.hibernate(async move |mut cx: Context| {
                    cx.receive().await;
                    // Long enough to give way in between.
                    let text = "0123456789abcdef".repeat(54_000 / 16);
                    let mut sum = 0;
                    for byte in text.bytes() {
                        cx.tick(10).await;
                        sum += u64::from(byte);
                    }
                    cx.send(parent, &(cx.pid(), sum > 0)).unwrap();
                    common::idle(cx).await;
                })
                .await
            })
            .unwrap();
        hibernated(&cx, child).await;
        cx.send(child, "wake up").unwrap();
        let answer = cx.receive_as::<(Pid, bool)>(LIMIT).await;
        assert_eq!(answer, Some((child, true)));
        cx.unlink(child);
        cx.exit_process(child, "done");
    });
}

#[test]
fn signals_act_on_one_that_hibernates_and_only_messages_wake_it() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let child = cx
            .spawn(async move |mut cx: Context| {
                cx.trap_exit(true);
                cx.hibernate(async move |mut cx: Context| {
                    let exit = cx.receive().await.exit().unwrap();
                    cx.send(parent, &exit.reason.to_string()).unwrap();
                    cx.hibernate(common::idle).await
                })
                .await
            })
            .unwrap();
        hibernated(&cx, child).await;
        for _ in 0..3 {
            // Links, monitors and their ends are no messages.
            cx.link(child);
            let monitor = cx.monitor(child);
            assert!(cx.is_alive(child).await);
            cx.demonitor(monitor);
            cx.unlink(child);
            assert!(cx.is_alive(child).await);
            assert!(hibernated(&cx, child).await.links.is_empty());
        }
        assert_eq!(cx.message_queue_len(), 0);
        // A trapped exit is a message.
        cx.exit_process(child, "wake up");
        assert!(expect::<String>(&mut cx).await.contains("wake up"));
        hibernated(&cx, child).await;
        let monitor = cx.monitor(child);
        cx.exit_process(child, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}
