//! Where trace messages go: to a process, or to a handler of the program's.
//!
//! # Protocol
//! 1. An event is told where it happens, mostly under the lock of the process that it happens to; so the events of a
//!    process come in their order. For that nothing of the program's may run then: a process gets a message; what is
//!    for a handler waits in a queue, and a task runs the handler while there is something in it.
//! 2. A stream that was stopped takes nothing more. It is stopped by the end of its session, by a second with more
//!    events than the limit (or as many that wait for a handler), and by a handler's panic. The traces that still
//!    point to it are dropped when somebody comes by them.
//! 3. The handler is taken out of the stream while it runs, and is dropped by whoever ends the session, or by the
//!    task if it runs then: never by who merely lets go of a stream, perhaps under a lock.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use otp_heap::Pid;
use otp_scheduler::lock::Mutex;
use otp_scheduler::uncounted;

use super::event::{self, Event};
use super::flags::TraceFlags;
use super::pattern::{Look, Patterns};
use crate::core::Core;
use crate::envelope::{HOST, Parcel};
use crate::message::Message;
use crate::process::{handler_returns, quietly};

/// A second, within which events are counted.
const WINDOW_NS: u64 = 1_000_000_000;

/// Why a trace session tells nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceStop {
    /// There were more events within a second, or more waited for the handler, than
    /// [`VmBuilder::max_trace_events`](crate::VmBuilder::max_trace_events) allows.
    Overload,
    /// The handler panicked; the panic was logged.
    Panic,
    /// The session was ended.
    Ended,
}

pub(super) type Handler = Box<dyn FnMut(&Message) + Send>;

/// The events for one tracer.
#[derive(Debug)]
pub(crate) struct Stream {
    to: To,
    /// Of its session.
    patterns: Arc<Patterns>,
    /// 0 while it runs, else a [`TraceStop`] and one.
    stopped: AtomicU8,
    /// Told so far.
    events: AtomicU64,
    /// When the second began that is counted now, and how many events it had.
    window_began: AtomicU64,
    in_window: AtomicU64,
}

#[derive(Debug)]
enum To {
    Process(Pid),
    Handler(Mutex<Waiting>),
}

/// A handler and what waits for it.
struct Waiting {
    /// None while it runs, and when it is over.
    handler: Option<Handler>,
    queue: VecDeque<Item>,
    /// A task sees to the queue.
    is_served: bool,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Waiting")
            .field("queue", &self.queue.len())
            .finish_non_exhaustive()
    }
}

enum Item {
    Event(Parcel),
    /// A message for a process, once all before it was handled.
    Then(Pid, Parcel),
}

impl Stream {
    pub(super) fn to_process(pid: Pid, patterns: Arc<Patterns>) -> Self {
        Self::new(To::Process(pid), patterns)
    }

    pub(super) fn to_handler(handler: Handler, patterns: Arc<Patterns>) -> Self {
        let waiting = Waiting {
            handler: Some(handler),
            queue: VecDeque::new(),
            is_served: false,
        };
        Self::new(To::Handler(Mutex::new(waiting)), patterns)
    }

    fn new(to: To, patterns: Arc<Patterns>) -> Self {
        Self {
            to,
            patterns,
            stopped: AtomicU8::new(0),
            events: AtomicU64::new(0),
            window_began: AtomicU64::new(0),
            in_window: AtomicU64::new(0),
        }
    }

    /// The process that it tells; None for a handler.
    pub(super) fn tracer(&self) -> Option<Pid> {
        match self.to {
            To::Process(pid) => Some(pid),
            To::Handler(_) => None,
        }
    }

    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub(super) fn stopped(&self) -> Option<TraceStop> {
        match self.stopped.load(Ordering::Acquire) {
            0 => None,
            1 => Some(TraceStop::Overload),
            2 => Some(TraceStop::Panic),
            _ => Some(TraceStop::Ended),
        }
    }

    /// Whether it tells anybody anything.
    pub(super) fn is_live(&self, core: &Core) -> bool {
        self.stopped().is_none()
            && self
                .tracer()
                .is_none_or(|pid| core.with_process(pid, |_| ()).is_some())
    }

    /// Whether it was this that stopped it.
    fn stop(&self, why: TraceStop) -> bool {
        let code = match why {
            TraceStop::Overload => 1,
            TraceStop::Panic => 2,
            TraceStop::Ended => 3,
        };
        self.stopped
            .compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Ends it for good; gives what is to be dropped where no lock is held.
    pub(super) fn end(&self) -> Option<impl Send + use<>> {
        self.stop(TraceStop::Ended);
        match &self.to {
            To::Process(_) => None,
            To::Handler(waiting) => {
                let mut waiting = waiting.lock();
                Some((waiting.handler.take(), mem::take(&mut waiting.queue)))
            }
        }
    }

    /// Tells of an event of `pid`. May be called under that one's lock.
    pub(super) fn tell(self: &Arc<Self>, core: &Core, pid: Pid, flags: TraceFlags, event: Event) {
        // Nobody is told of itself: each message about a message would make one more.
        if self.tracer() == Some(pid) || self.stopped().is_some() {
            return;
        }
        otp_scheduler::tick(1);
        let Look::Told(more) = self.patterns.look(&event) else {
            return;
        };
        let limit = core.traces.limit;
        if self.counts_over(core, limit) {
            if self.stop(TraceStop::Overload) {
                uncounted(|| self.put(core, Item::Event(event::overload(limit)), u64::MAX));
            }
            return;
        }
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        uncounted(|| {
            let parcel = event.to_parcel(core, pid, flags, number, more.as_deref());
            self.put(core, Item::Event(parcel), limit);
        });
    }

    /// Counts an event; true past the limit.
    fn counts_over(&self, core: &Core, limit: u64) -> bool {
        let now = core.scheduler.coarse_now();
        let began = self.window_began.load(Ordering::Relaxed);
        if now.saturating_sub(began) >= WINDOW_NS {
            self.window_began.store(now, Ordering::Relaxed);
            self.in_window.store(0, Ordering::Relaxed);
        }
        self.in_window.fetch_add(1, Ordering::Relaxed) >= limit
    }

    /// Sends `parcel` to `pid`, after all that was told so far was handled.
    pub(super) fn then(self: &Arc<Self>, core: &Core, pid: Pid, parcel: Parcel) {
        match &self.to {
            To::Process(_) => core.signal(pid, parcel),
            To::Handler(_) => uncounted(|| self.put(core, Item::Then(pid, parcel), u64::MAX)),
        }
    }

    fn put(self: &Arc<Self>, core: &Core, item: Item, limit: u64) {
        let waiting = match (&self.to, item) {
            (To::Process(tracer), Item::Event(parcel)) => return core.signal(*tracer, parcel),
            (To::Process(_), Item::Then(pid, parcel)) => return core.signal(pid, parcel),
            (To::Handler(waiting), item) => {
                let mut waiting = waiting.lock();
                if waiting.queue.len() as u64 >= limit {
                    if self.stop(TraceStop::Overload) {
                        let last = Item::Event(event::overload(limit));
                        waiting.queue.push_back(last);
                    }
                    return;
                }
                waiting.queue.push_back(item);
                waiting
            }
        };
        let mut waiting = waiting;
        if !mem::replace(&mut waiting.is_served, true) {
            drop(waiting);
            let (stream, core_of) = (Arc::clone(self), core.weak());
            drop(core.scheduler.spawn(async move {
                while let Some(core) = core_of.upgrade() {
                    if !stream.serve(&core) {
                        break;
                    }
                    drop(core);
                    otp_scheduler::proceed(1).await;
                }
            }));
        }
    }

    /// Handles the next item, on a scheduler's thread. False when there is none: then the next that comes has a task
    /// made.
    fn serve(&self, core: &Core) -> bool {
        let To::Handler(waiting) = &self.to else {
            return false;
        };
        let (handler, item) = {
            let mut waiting = waiting.lock();
            let Some(item) = waiting.queue.pop_front() else {
                waiting.is_served = false;
                return false;
            };
            let handler = match &item {
                Item::Event(_) => waiting.handler.take(),
                Item::Then(..) => None,
            };
            (handler, item)
        };
        match item {
            Item::Then(pid, parcel) => core.signal(pid, parcel),
            Item::Event(parcel) => {
                if let Some(handler) = handler {
                    self.handle(handler, &Message::new(parcel));
                }
            }
        }
        true
    }

    fn handle(&self, mut handler: Handler, message: &Message) {
        if !handler_returns(|| handler(message)) {
            self.stop(TraceStop::Panic);
        } else if self.stopped() != Some(TraceStop::Ended)
            && let To::Handler(waiting) = &self.to
        {
            let mut waiting = waiting.lock();
            // Under the lock again: who ends the session takes the handler under it.
            if self.stopped() != Some(TraceStop::Ended) {
                waiting.handler = Some(handler);
                return;
            }
        }
        quietly(HOST, || drop(handler));
    }
}
