//! The process behind a state machine: start, loop, end.
//!
//! As a server's, the loop's future holds the data, the state, the parent and no more; callbacks' futures are boxed and
//! exist only while they run. What becomes of an event when its callback has returned is in `settle`.

use std::collections::VecDeque;
use std::pin::{Pin, pin};

use otp_vm::{
    Context, DecodeError, ExitReason, HOST, Message, MessageKind, Pid, Timeout, from_term,
};

use super::event::Queued;
use super::returns::{Actions, InitKind};
use super::start::Seed;
use super::timers::Timers;
use super::{Event, EventType, From, GenStatem, report};
use crate::r#gen::{Name, New};
use crate::proc_lib::{Refusal, Starter, hibernate, terminate_request};
use crate::unwind::{Caught, caught};

/// A state machine between two events.
pub(super) struct Machine<M: GenStatem> {
    pub(super) data: M,
    pub(super) state: M::State,
    /// Whose exit signal ends the machine, whatever its callbacks would say.
    parent: Pid,
    /// The event that is being handled.
    pub(super) current: Option<Queued<M::TimeoutName>>,
    pub(super) rare: Option<Box<Rare<M::TimeoutName>>>,
}

/// What a machine has that does more than go from message to message.
pub(super) struct Rare<N> {
    /// A name that the VM does not know.
    pub(super) name: Option<Name>,
    /// How long the machine waits before it hibernates.
    hibernate_after: Timeout,
    /// Events to be handled before any message.
    pub(super) queue: VecDeque<Queued<N>>,
    /// Those put off to the next change of the state, the oldest first.
    pub(super) postponed: VecDeque<Queued<N>>,
    pub(super) timers: Timers<N>,
}

impl<N> Rare<N> {
    fn new(name: Option<Name>, hibernate_after: Timeout) -> Box<Self> {
        Box::new(Self {
            name,
            hibernate_after,
            queue: VecDeque::new(),
            postponed: VecDeque::new(),
            timers: Timers::new(),
        })
    }
}

impl<M: GenStatem> Machine<M> {
    pub(super) fn new(
        state: M::State,
        data: M,
        parent: Pid,
        name: Option<Name>,
        hibernate_after: Timeout,
    ) -> Self {
        let name = name.filter(|name| !matches!(name, Name::Local(_)));
        let is_plain = name.is_none() && hibernate_after == Timeout::Infinity;
        Self {
            data,
            state,
            parent,
            current: None,
            rare: (!is_plain).then(|| Rare::new(name, hibernate_after)),
        }
    }

    pub(super) fn rare(&mut self) -> &mut Rare<M::TimeoutName> {
        self.rare
            .get_or_insert_with(|| Rare::new(None, Timeout::Infinity))
    }
}

/// What the machine does when an event is settled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Plainly,
    Hibernated,
}

/// Or why it ends.
pub(super) type Handled = Result<Wait, ExitReason>;
pub(super) type Handling<'a> = Pin<Box<dyn Future<Output = Handled> + Send + 'a>>;
type Begun<M> = Result<(Machine<M>, Option<Actions<M>>), ExitReason>;
type Beginning<'a, M> = Pin<Box<dyn Future<Output = Begun<M>> + Send + 'a>>;

/// The body of a machine's process, and of one that wakes from hibernation.
pub(super) async fn life<M: GenStatem>(mut cx: Context, seed: Box<Seed<M>>) -> ExitReason {
    let (mut machine, first) = match begin(&mut cx, seed).await {
        Ok(begun) => begun,
        Err(reason) => return reason,
    };
    let mut handled = match first {
        Some(actions) => Caught(machine.enter(&mut cx, actions)).await,
        None => Ok(Ok(Wait::Plainly)),
    };
    loop {
        let wait = match handled.unwrap_or_else(Err) {
            Ok(wait) => wait,
            Err(reason) => return Box::pin(machine.end(&mut cx, reason)).await,
        };
        if !machine.next_queued() {
            let message = match (wait, machine.hibernate_after()) {
                (Wait::Plainly, Timeout::Infinity) => cx.receive().await,
                (Wait::Plainly, after) => match Box::pin(cx.receive_timeout(after)).await {
                    Some(message) => message,
                    None => Box::pin(sleep(&mut cx, machine)).await,
                },
                (Wait::Hibernated, _) => Box::pin(sleep(&mut cx, machine)).await,
            };
            machine.current = Some(Queued::Message(message));
        }
        handled = Caught(machine.handle(&mut cx)).await;
    }
}

async fn sleep<M: GenStatem>(cx: &mut Context, machine: Machine<M>) -> ! {
    let seed = Box::new(Seed::Awake(machine));
    hibernate(cx, move |cx| go_on(cx, seed)).await
}

/// A machine's life after hibernation. Its type is named, since one life leads to the next.
fn go_on<M: GenStatem>(
    cx: Context,
    seed: Box<Seed<M>>,
) -> Pin<Box<dyn Future<Output = ExitReason> + Send>> {
    Box::pin(life(cx, seed))
}

#[expect(
    clippy::boxed_local,
    reason = "the box goes when it is empty, not with the machine"
)]
fn begin<M: GenStatem>(cx: &mut Context, seed: Box<Seed<M>>) -> Beginning<'_, M> {
    match *seed {
        Seed::New(new) => Box::pin(initialise(cx, new)),
        Seed::Entered(machine, actions) => Box::pin(async { Ok((machine, Some(actions))) }),
        // The message that woke it is there.
        Seed::Awake(machine) => Box::pin(async { Ok((machine, None)) }),
    }
}

/// As a server's: see [its life](mod@crate::gen_server#the-life-of-a-server), steps 2 and 3.
async fn initialise<M: GenStatem>(cx: &mut Context, new: Box<New<M::Args>>) -> Begun<M> {
    let starter = Starter::receive(cx).await;
    let New {
        args,
        name,
        linked,
        hibernate_after,
    } = *new;
    if let Some(name) = &name
        && let Err(refusal) = name.register(cx).await
    {
        starter.init_fail(cx, refusal);
        return Err(ExitReason::normal());
    }
    let parent = if linked { starter.parent() } else { HOST };
    // In a block of its own, so that `init` is called under the watch as well, not only polled.
    let init = Caught(pin!(async { M::init(args, cx).await })).await;
    let init = init.map_or_else(InitKind::Stop, |init| init.0);
    if let InitKind::Ok(state, data, actions) = init {
        starter.init_ack(cx);
        let machine = Machine::new(state, data, parent, name, hibernate_after);
        return Ok((machine, Some(actions)));
    }
    // The name is free when the starter learns of it, whoever keeps it.
    if let Some(name) = name {
        name.unregister(cx);
    }
    match init {
        InitKind::Ok(..) => unreachable!("handled above"),
        InitKind::Ignore => {
            starter.init_fail(cx, Refusal::Ignore);
            Err(ExitReason::normal())
        }
        // The starter learns the reason from the end of the process itself.
        InitKind::Stop(reason) => Err(reason),
        InitKind::Error(reason) => {
            starter.init_fail(cx, Refusal::Error(reason));
            Err(ExitReason::normal())
        }
    }
}

impl<M: GenStatem> Machine<M> {
    #[inline]
    fn hibernate_after(&self) -> Timeout {
        self.rare
            .as_ref()
            .map_or(Timeout::Infinity, |rare| rare.hibernate_after)
    }

    /// Takes the next event that is no message yet to be received: those that were inserted or postponed, then the
    /// timeouts that are due.
    #[inline]
    fn next_queued(&mut self) -> bool {
        let Some(rare) = &mut self.rare else {
            return false;
        };
        let next = rare.queue.pop_front().or_else(|| {
            let (timeout, content) = rare.timers.next_due()?;
            Some(Queued::Own(EventType::Timeout(timeout), content))
        });
        let found = next.is_some();
        if found {
            self.current = next;
        }
        found
    }

    /// What is to be done about the current event, to be run under watch: all of it may be the program's code. Decoding
    /// the event, which is done here already, is as well.
    fn handle<'a>(&'a mut self, cx: &'a mut Context) -> Handling<'a> {
        caught(move || self.dispatch(cx)).unwrap_or_else(end)
    }

    fn dispatch<'a>(&'a mut self, cx: &'a mut Context) -> Handling<'a> {
        let decoded = match &self.current {
            Some(Queued::Message(message)) => match message.kind() {
                MessageKind::Call { from, request } => {
                    from_term(request).map(|request| Event::Call(From::from(from), request))
                }
                MessageKind::Cast(request) => from_term(request).map(Event::Cast),
                _ => match special(message, self.parent, &mut self.rare) {
                    None => from_term(message.term()).map(Event::Info),
                    Some(Special::End(reason)) => {
                        // As in OTP, it is no event.
                        self.current = None;
                        return end(reason);
                    }
                    Some(Special::Timeout(event_type, content)) => {
                        let decoded = Event::decode(&event_type, content.root());
                        self.current = Some(Queued::Own(event_type, content));
                        decoded
                    }
                },
            },
            Some(Queued::Own(event_type, content)) => {
                let decoded = Event::decode(event_type, content.root());
                // No receive comes in between: a machine that always goes on would keep its scheduler, and not notice a
                // kill.
                return match decoded {
                    Ok(event) => Box::pin(async move {
                        cx.tick(1).await;
                        self.step(cx, event).await
                    }),
                    Err(error) => Box::pin(async move {
                        cx.tick(1).await;
                        self.unknown(cx, error).await
                    }),
                };
            }
            None => return Box::pin(async { Ok(Wait::Plainly) }),
        };
        match decoded {
            Ok(event) => Box::pin(self.step(cx, event)),
            Err(error) => Box::pin(self.unknown(cx, error)),
        }
    }

    async fn step(&mut self, cx: &mut Context, event: Event<M>) -> Handled {
        let transition = self.data.handle_event(&self.state, event, cx).await;
        match self.settle_plainly(cx, transition) {
            Ok(handled) => handled,
            // Boxed, so that the future of a plain message has no room for it.
            Err(transition) => Box::pin(self.settle(cx, transition)).await,
        }
    }

    async fn unknown(&mut self, cx: &mut Context, error: DecodeError) -> Handled {
        let Self {
            data,
            state,
            current,
            ..
        } = self;
        let Some(event) = current else {
            return Ok(Wait::Plainly);
        };
        let (event_type, content) = event.halves();
        let transition = data
            .handle_unknown(state, event_type, content, error, cx)
            .await;
        self.settle(cx, transition).await
    }

    /// Calls `terminate`, and gives the reason to exit with.
    async fn end(mut self, cx: &mut Context, reason: ExitReason) -> ExitReason {
        let terminated = Caught(pin!(async {
            self.data.terminate(&reason, &self.state, cx).await;
        }))
        .await;
        let reason = terminated.err().unwrap_or(reason);
        if reason.is_abnormal() {
            report::terminated(cx, &self, &reason);
        }
        reason
    }
}

/// A message that is no event of the program's.
enum Special<N> {
    End(ExitReason),
    Timeout(EventType<N>, otp_vm::OwnedTerm),
}

/// What the machine does about a message itself. The one place for messages of `sys`.
fn special<N>(message: &Message, parent: Pid, rare: &mut Option<Box<Rare<N>>>) -> Option<Special<N>>
where
    N: Clone + Eq + std::hash::Hash + serde::Serialize,
{
    if let MessageKind::Exit { from, .. } = message.kind() {
        // The host program stands above all parents: a VM that shuts down ends in order.
        let exit = message.exit().filter(|_| from == parent || from == HOST)?;
        return Some(Special::End(exit.reason));
    }
    if let Some(rare) = rare
        && let Some((timeout, content)) = rare.timers.fired(message)
    {
        return Some(Special::Timeout(EventType::Timeout(timeout), content));
    }
    terminate_request(message).map(Special::End)
}

pub(super) fn end<'a>(reason: ExitReason) -> Handling<'a> {
    Box::pin(async move { Err(reason) })
}
