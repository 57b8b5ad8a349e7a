//! What is not as usual, in one word: a worker reads it once between two slices, and looks at each matter only if some
//! flag is set. What a flag stands for lies elsewhere and changes first. Who waits, and is called, looks there.

use crate::sync::{AtomicU32, Ordering, fence};

/// One matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Matter {
    /// The schedulers are to stop.
    Stopping = 1,
    /// Some scheduler is not online.
    Offline = 2,
    /// A task of priority max or high may stand in some queue.
    Urgent = 4,
    /// Some task was an offender, ever.
    Offenders = 8,
}

#[derive(Debug, Default)]
pub(crate) struct Unusual(AtomicU32);

impl Unusual {
    pub(crate) fn set(&self, matter: Matter, is: bool) {
        if is {
            self.0.fetch_or(matter as u32, Ordering::SeqCst);
        } else {
            self.0.fetch_and(!(matter as u32), Ordering::SeqCst);
        }
    }

    /// After what the matter stands for came about: for a task, after each push into a queue, also of one that was
    /// taken out of another.
    #[inline]
    pub(crate) fn note(&self, matter: Matter) {
        fence(Ordering::SeqCst);
        if !self.has(matter) {
            self.set(matter, true);
        }
    }

    /// Takes the flag back, unless `still` says that it holds. Who notes at the same time finds the flag gone, and sets
    /// it, or is seen by the second look.
    pub(crate) fn settle(&self, matter: Matter, still: impl Fn() -> bool) {
        if !self.has(matter) || still() {
            return;
        }
        self.set(matter, false);
        fence(Ordering::SeqCst);
        if still() {
            self.set(matter, true);
        }
    }

    #[inline]
    pub(crate) fn has(&self, matter: Matter) -> bool {
        self.0.load(Ordering::Relaxed) & matter as u32 != 0
    }

    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    use super::*;

    #[test]
    fn loom_a_flag_is_not_taken_back_from_who_notes() {
        loom::model(|| {
            let model = Arc::new((Unusual::default(), AtomicBool::new(false)));
            let queue = Arc::clone(&model);
            let noting = thread::spawn(move || {
                let (unusual, queued) = &*queue;
                queued.store(true, Ordering::Relaxed);
                unusual.note(Matter::Urgent);
            });
            let (unusual, queued) = &*model;
            unusual.set(Matter::Urgent, true);
            unusual.settle(Matter::Urgent, || queued.load(Ordering::Relaxed));
            noting.join().unwrap();
            assert!(unusual.has(Matter::Urgent));
        });
    }
}
