//! The system's monitor: the cases of OTP's trace_SUITE about it, and what is ours.

#[path = "../common/mod.rs"]
mod common;
mod flood;
mod mailboxes;
mod trace_suite;
#[path = "../common/virtual_time.rs"]
mod virtual_time;

use std::time::{Duration, Instant};

use otp_vm::{Context, Message, Native, Pid, SystemMonitor, SystemMonitorOptions};

use common::LIMIT;

/// Sets the caller as the monitor.
fn monitor(cx: &Context, options: SystemMonitorOptions) {
    let monitor = SystemMonitor::process(cx.pid(), options);
    cx.vm().set_system_monitor(monitor).unwrap();
}

/// The next event about `pid` with this tag, as text; what others are told of is passed over.
async fn event(cx: &mut Context, pid: Pid, tag: &str) -> String {
    let begins = format!("{{monitor,{pid},{tag},");
    let found = cx.receive_where(LIMIT, |message: &Message| {
        Some(message.to_string()).filter(|text| text.starts_with(&begins))
    });
    found.await.expect("an event in time")
}

/// The keys of a list of pairs, as it is printed.
fn keys(event: &str) -> Vec<&str> {
    let list = event.split_once('[').expect("a list").1;
    let pairs = list.split('{').skip(1);
    pairs
        .map(|pair| pair.split(',').next().expect("a key"))
        .collect()
}

/// A number in such a list.
fn figure(event: &str, key: &str) -> u64 {
    let value = event
        .split_once(&format!("{{{key},"))
        .unwrap_or_else(|| panic!("no {key} in {event}"))
        .1;
    let end = value.find('}').expect("the end of the pair");
    value[..end].parse().expect("a number")
}

fn burn(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Takes its time to go: a heap that has one as garbage is long in its collection.
struct Slow(Duration);

impl Drop for Slow {
    fn drop(&mut self) {
        burn(self.0);
    }
}

/// Leaves such garbage on the process's heap, and collects it.
fn collect_for(cx: &Context, time: Duration) {
    let mut heap = cx.heap();
    let root = heap.keep_value(&Native::new(Slow(time))).unwrap();
    heap.release(root).unwrap();
    heap.collect();
}
