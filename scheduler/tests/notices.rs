//! What is logged. The `tracing` subscriber belongs to the program, so this is one of its own.

mod common;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use common::{LIMIT, next};
use otp_scheduler::Scheduler;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Hands on the texts of warnings.
struct Hears(Mutex<Sender<String>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Hears {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("otp_scheduler")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        // The test may have ended.
        let _ = self.0.lock().unwrap().send(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_scheduler_that_is_held_up_at_the_limit_of_bound_threads_is_told_of_again_and_again() {
    let (out, heard) = channel();
    tracing::subscriber::set_global_default(Hears(Mutex::new(out))).expect("the first one");
    let builder = Scheduler::builder().schedulers(1).max_bound(0);
    let scheduler = builder.build().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&ended);
    let hog = scheduler.spawn(async move {
        while !ends.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    for _ in 0..2 {
        let text = next(&heard);
        assert!(text.contains("`max_bound` higher"), "{text}");
    }
    ended.store(true, Ordering::Relaxed);
    assert_eq!(hog.wait(), Ok(()));
    scheduler.stop();
    assert_eq!(scheduler.join(LIMIT), Ok(()));
}
