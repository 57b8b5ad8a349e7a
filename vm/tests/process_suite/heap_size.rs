//! `min_heap_size`, `max_heap_size`, and the flags.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, Once};
use std::time::Duration;

use otp_vm::{
    Context, ExitReason, HeapSizeError, MAX_HEAP_SIZE_LIMIT_WORDS, MaxHeapSize, MaxHeapSizeOptions,
    MessageQueueData, Pid, SpawnError, SpawnOptions, Term, Vm, from_term, to_term,
};
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::common::{LIMIT, bounded, down, expect, idle, run};

/// Counts the reports of processes past their limit, and of crashes, by pid.
struct Reports;

static REPORTS: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);

struct PidOf(String);

impl Visit for PidOf {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "pid" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Reports {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "otp_vm::max_heap_size" || target == "otp_vm::crash"
    }
    fn event(&self, event: &Event<'_>) {
        let mut pid = PidOf(String::new());
        event.record(&mut pid);
        let mut reports = REPORTS.lock().unwrap();
        *reports.get_or_insert_default().entry(pid.0).or_default() += 1;
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn reports(pid: Pid) -> usize {
    let reports = REPORTS.lock().unwrap();
    let count = reports
        .as_ref()
        .and_then(|reports| reports.get(&pid.to_string()));
    count.copied().unwrap_or(0)
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Reports).expect("the first one");
    });
}

/// Keeps a list that grows for ever.
async fn grows(cx: Context) {
    let mut list = cx.heap().keep_value::<[u64]>(&[]).unwrap();
    for n in 0_u64.. {
        crate::push(&cx, &mut list, n);
        if n % 100 == 0 {
            cx.yield_now().await;
        }
    }
}

fn size_of(cx: &Context, pid: Pid) -> Option<MaxHeapSize> {
    cx.process_info(pid).map(|info| info.heap.max_heap_size)
}

/// What becomes of a process that grows.
async fn outcome(cx: &mut Context, options: SpawnOptions, kill: bool, report: bool) {
    let me = cx.pid();
    let body = move |mut cx: Context| async move {
        let limit = size_of(&cx, cx.pid()).unwrap();
        cx.send(me, &limit.size).unwrap();
        expect::<()>(&mut cx).await;
        grows(cx).await;
    };
    let spawned = cx.spawn_opt(options.monitor(), body).unwrap();
    let (pid, monitor) = (spawned.pid, spawned.monitor.unwrap());
    let size: usize = expect(cx).await;
    let asked = size_of(cx, pid).expect("it waits");
    assert_eq!(
        (asked.size, asked.kill, asked.error_logger),
        (size, kill, report)
    );
    let passed = cx.vm().system_info().heap_limits_passed;
    cx.send(pid, &()).unwrap();
    if kill {
        assert_eq!(down(cx, monitor).await, ExitReason::killed());
    } else {
        crate::until(cx, |cx| cx.vm().system_info().heap_limits_passed > passed).await;
        crate::until(cx, |_| !report || reports(pid) > 0).await;
        assert!(cx.is_alive(pid).await);
        cx.exit_process(pid, "die");
        assert_eq!(down(cx, monitor).await, ExitReason::from("die"));
    }
    assert_eq!(reports(pid) > 0, report);
    assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
}

#[test]
fn spawn_opt_max_heap_size() {
    install();
    run(|mut cx| async move {
        let (pid, monitor) = cx
            .spawn_monitor(|_| async { panic!("on purpose") })
            .unwrap();
        down(&mut cx, monitor).await;
        assert!(reports(pid) > 0);
        let by = |options| SpawnOptions::new().max_heap_size(options);
        let size = || MaxHeapSizeOptions::size(1024);
        let plain = SpawnOptions::new().max_heap_size(1024);
        outcome(&mut cx, plain, true, true).await;
        outcome(&mut cx, by(size()), true, true).await;
        outcome(&mut cx, by(size().kill(false)), false, true).await;
        outcome(&mut cx, by(size().error_logger(false)), true, false).await;
        let vm = cx.vm().clone();
        let zero = || MaxHeapSizeOptions::size(0);
        let first = vm.set_max_heap_size(zero().kill(false)).unwrap();
        assert_eq!(first, MaxHeapSize::default());
        outcome(&mut cx, by(size()), false, true).await;
        outcome(&mut cx, by(size().kill(true)), true, true).await;
        vm.set_max_heap_size(zero().kill(true).error_logger(false))
            .unwrap();
        outcome(&mut cx, by(size()), true, false).await;
        outcome(&mut cx, by(size().error_logger(true)), true, true).await;
        let large = MaxHeapSizeOptions::size(1 << 14)
            .kill(true)
            .error_logger(true);
        vm.set_max_heap_size(large).unwrap();
        outcome(&mut cx, SpawnOptions::new(), true, true).await;
        assert_eq!(vm.set_max_heap_size(first).unwrap().size, 1 << 14);
        outcome(&mut cx, by(size()), true, true).await;
    });
}

#[test]
fn process_flag_badarg() {
    #[derive(Serialize)]
    struct Kill {
        size: usize,
        kill: u8,
    }
    #[derive(Serialize)]
    struct Logger {
        size: usize,
        error_logger: u8,
    }
    #[derive(Serialize)]
    struct NoSize {
        kill: bool,
    }
    fn refused<T: Serialize>(value: &T) {
        let term = to_term(value).unwrap();
        let options = MaxHeapSizeOptions::from_term(term.root());
        assert_eq!(options, Err(HeapSizeError::Term), "{term}");
    }
    refused(&-1);
    refused(&"text");
    refused(&HashMap::<u8, u8>::new());
    refused(&NoSize { kill: true });
    refused(&Kill {
        size: 1024,
        kill: 7,
    });
    refused(&Logger {
        size: 1024,
        error_logger: 7,
    });
    refused(&(1_i128 << 64));
    run(|mut cx| async move {
        let min = cx.process_info(cx.pid()).unwrap().heap.min_heap_size;
        let below = HeapSizeError::BelowMin { size: min - 1, min };
        assert_eq!(cx.max_heap_size(min - 1), Err(below));
        let options = MaxHeapSizeOptions::size(min - 1);
        assert_eq!(cx.max_heap_size(options), Err(below));
        let size = MAX_HEAP_SIZE_LIMIT_WORDS + 1;
        assert_eq!(
            cx.max_heap_size(size),
            Err(HeapSizeError::TooLarge { size })
        );
        assert_eq!(
            cx.min_heap_size(size),
            Err(HeapSizeError::TooLarge { size })
        );
        let small = SpawnOptions::new().max_heap_size(min - 1);
        assert_eq!(
            cx.spawn_opt(small, idle).unwrap_err(),
            SpawnError::HeapSize(below)
        );
        assert_eq!(cx.vm().set_max_heap_size(min - 1), Err(below));
        // Nothing was changed.
        assert_eq!(size_of(&cx, cx.pid()), Some(MaxHeapSize::default()));
        cx.max_heap_size(min).unwrap();
        assert!(cx.min_heap_size(min + 1).is_err());
        // Of a process that is gone.
        let (give, given) = std::sync::mpsc::channel();
        let (_, monitor) = cx
            .spawn_monitor(move |cx| async move { give.send(cx).unwrap() })
            .unwrap();
        down(&mut cx, monitor).await;
        let gone = given.recv().unwrap();
        assert_eq!(gone.max_heap_size(1024), Err(HeapSizeError::Gone));
        cx.max_heap_size(MaxHeapSizeOptions::size(0)).unwrap();
    });
}

#[test]
fn process_flag_heap_size() {
    run(|cx| async move {
        let min = cx.min_heap_size(2586).unwrap();
        assert_eq!(cx.process_info(cx.pid()).unwrap().heap.min_heap_size, 2586);
        assert_eq!(cx.min_heap_size(min).unwrap(), 2586);
        assert_eq!(
            cx.set_message_queue_data(MessageQueueData::OffHeap),
            MessageQueueData::OnHeap
        );
        assert_eq!(
            cx.set_message_queue_data(MessageQueueData::OnHeap),
            MessageQueueData::OffHeap
        );
    });
}

#[test]
fn spawn_opt_heap_size() {
    run(|cx| async move {
        let options = SpawnOptions::new().min_heap_size(987);
        let pid = cx.spawn_opt(options, idle).unwrap().pid;
        assert_eq!(cx.process_info(pid).unwrap().heap.min_heap_size, 987);
    });
}

#[test]
fn command_line_max_heap_size() {
    let vm = Vm::builder()
        .schedulers(1)
        .max_heap_size(MAX_HEAP_SIZE_LIMIT_WORDS)
        .build()
        .unwrap();
    let run = vm.run(|cx| async move { size_of(&cx, cx.pid()).unwrap().size });
    assert_eq!(run.wait().unwrap(), MAX_HEAP_SIZE_LIMIT_WORDS);
    vm.shutdown(LIMIT).wait();
    let refused = Vm::builder().max_heap_size(1).build().unwrap_err();
    assert!(refused.to_string().contains("min_heap_size"), "{refused}");
}

/// Messages count, to the byte, but for a process that keeps them off its heap.
#[test]
fn a_mailbox_counts_unless_it_is_off_heap() {
    install();
    bounded(2, |mut cx| async move {
        let limit = SpawnOptions::new().monitor().max_heap_size(10_000);
        let off_heap = limit.clone().message_queue_data(MessageQueueData::OffHeap);
        let message = vec![0_u64; 1000];
        for (options, dies) in [(limit.clone(), true), (off_heap, false)] {
            let keeps_all = |mut cx: Context| async move {
                cx.receive_where(otp_vm::Timeout::Infinity, |message| {
                    message.decode::<()>().ok()
                })
                .await;
            };
            let spawned = cx.spawn_opt(options, keeps_all).unwrap();
            for _ in 0..20 {
                cx.send(spawned.pid, &message).unwrap();
                cx.yield_now().await;
            }
            if !dies {
                let info = cx.process_info(spawned.pid).unwrap();
                assert_eq!((info.message_queue_len, info.heap.mbuf_size), (20, 0));
                assert!(info.memory > 20 * 8000);
                cx.send(spawned.pid, &()).unwrap();
            }
            let reason = down(&mut cx, spawned.monitor.unwrap()).await;
            assert_eq!(reason == ExitReason::killed(), dies);
        }
        // Those that were received count no more: a hundred times the limit went through it.
        let takes_all = |mut cx: Context| async move {
            for _ in 0..2000 {
                let _: Vec<u64> = expect(&mut cx).await;
            }
        };
        let spawned = cx.spawn_opt(limit, takes_all).unwrap();
        for _ in 0..2000 {
            cx.send(spawned.pid, &message).unwrap();
            crate::waits_or_gone(&mut cx, spawned.pid).await;
        }
        let reason = down(&mut cx, spawned.monitor.unwrap()).await;
        assert_eq!(reason, ExitReason::normal());
    });
}

#[test]
fn a_dictionary_counts_and_who_only_puts_is_killed_without_an_await() {
    install();
    bounded(1, |mut cx| async move {
        let limit = SpawnOptions::new().monitor().max_heap_size(10_000);
        let puts = |cx: Context| async move {
            for n in 0_u64.. {
                cx.put(&n, &"value").unwrap();
            }
        };
        let spawned = cx.spawn_opt(limit, puts).unwrap();
        let reason = down(&mut cx, spawned.monitor.unwrap()).await;
        assert_eq!(reason, ExitReason::killed());
        assert_eq!(reports(spawned.pid), 1);
    });
}

#[test]
fn garbage_is_collected_before_a_heap_is_over_its_limit() {
    bounded(1, |mut cx| async move {
        let limit = SpawnOptions::new().monitor().max_heap_size(10_000);
        let churns = |cx: Context| async move {
            for n in 0..2000_u64 {
                let mut heap = cx.heap();
                let root = heap.keep_value(&vec![n; 1000]).unwrap();
                heap.release(root).unwrap();
            }
        };
        let spawned = cx.spawn_opt(limit, churns).unwrap();
        let reason = down(&mut cx, spawned.monitor.unwrap()).await;
        assert_eq!(reason, ExitReason::normal());
    });
}

/// A map of options as OTP's.
#[test]
fn options_are_read_from_a_map() {
    let term = otp_vm::Vm::builder().schedulers(1).build().unwrap();
    let map = term
        .run(|cx| async move { cx.process_info_item(cx.pid(), otp_vm::InfoItem::MaxHeapSize) })
        .wait()
        .unwrap()
        .unwrap();
    let limit: Term<'_> = map.root().as_tuple().unwrap().get(1).unwrap();
    let options = MaxHeapSizeOptions::from_term(limit).unwrap();
    assert_eq!(options, MaxHeapSizeOptions::from(MaxHeapSize::default()));
    let _: HashMap<String, otp_vm::OwnedTerm> = from_term(limit).unwrap();
}
