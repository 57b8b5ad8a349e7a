//! The process behind a state machine: start, loop, end.
//!
//! As a server's, the loop's future holds the data, the state, the parent and no more; callbacks' futures are boxed and
//! exist only while they run. What becomes of an event when its callback has returned is in `settle`, what `sys` asks
//! in `system`.

use std::collections::VecDeque;
use std::pin::{Pin, pin};

use otp_vm::{
    Context, DecodeError, ExitReason, HOST, Message, MessageKind, Pid, Timeout, from_term,
};

use super::event::Queued;
use super::returns::{Actions, InitKind};
use super::start::Seed;
use super::system;
use super::timers::Timers;
use super::{Event, EventType, From, GenStatem, report};
use crate::r#gen::{Name, New, NoState, Origin};
use crate::proc_lib::hibernate;
use crate::sys::{Control, SystemMessage};
use crate::unwind::{Caught, caught};

/// A state machine between two events.
pub(super) struct Machine<M: GenStatem> {
    /// In one place, for functions of `sys` get both.
    pub(super) state_data: (M::State, M),
    /// Whose exit signal ends the machine, whatever its callbacks would say.
    pub(super) parent: Pid,
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
    /// Whether the event that is handled next was not looked at before.
    is_new: bool,
    /// What `sys` keeps of a machine that is suspended, or has debug options.
    pub(super) control: Option<Box<Control>>,
}

impl<N> Rare<N> {
    fn new(name: Option<Name>, hibernate_after: Timeout) -> Box<Self> {
        Box::new(Self {
            name,
            hibernate_after,
            queue: VecDeque::new(),
            postponed: VecDeque::new(),
            timers: Timers::new(),
            is_new: true,
            control: None,
        })
    }

    /// Whether there is nothing in it.
    fn is_plain(&self) -> bool {
        self.name.is_none()
            && self.hibernate_after == Timeout::Infinity
            && self.queue.is_empty()
            && self.postponed.is_empty()
            && self.timers.is_empty()
            && self.control.is_none()
    }
}

impl<M: GenStatem> Machine<M> {
    pub(super) fn new(cx: &Context, state: M::State, data: M, origin: Origin) -> Self {
        let Origin {
            parent,
            name,
            hibernate_after,
            control,
        } = origin;
        let name = name.filter(|name| !matches!(name, Name::Local(_)));
        let is_plain = name.is_none() && hibernate_after == Timeout::Infinity;
        let mut machine = Self {
            state_data: (state, data),
            parent,
            current: None,
            rare: (!is_plain).then(|| Rare::new(name, hibernate_after)),
        };
        machine.look_at(cx, control);
        machine
    }

    pub(super) fn rare(&mut self) -> &mut Rare<M::TimeoutName> {
        self.rare
            .get_or_insert_with(|| Rare::new(None, Timeout::Infinity))
    }

    /// Lets go what it does not need any more.
    pub(super) fn tidy(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_plain()) {
            self.rare = None;
        }
    }
}

/// What the machine does when an event is settled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Plainly,
    Hibernated,
    /// Nothing yet: the current event is a system message, and what was done before it stays as it is.
    Asked,
}

/// What it begins with.
pub(super) enum First<M: GenStatem> {
    /// It enters its first state.
    Enter(Actions<M>),
    /// A message is there, and is the current event.
    Handle,
    /// It goes on to wait.
    Wait(Wait),
}

/// Or why it ends.
pub(super) type Handled = Result<Wait, ExitReason>;
pub(super) type Handling<'a> = Pin<Box<dyn Future<Output = Handled> + Send + 'a>>;
type Begun<M> = Result<(Machine<M>, First<M>), ExitReason>;
type Beginning<'a, M> = Pin<Box<dyn Future<Output = Begun<M>> + Send + 'a>>;

/// The body of a machine's process, and of one that wakes from hibernation.
pub(super) async fn life<M: GenStatem>(mut cx: Context, seed: Box<Seed<M>>) -> ExitReason {
    let (mut machine, first) = match begin(&mut cx, seed).await {
        Ok(begun) => begun,
        Err(reason) => return reason,
    };
    let mut handled = match first {
        First::Enter(actions) => Caught(machine.enter(&mut cx, actions)).await,
        First::Handle => Caught(machine.handle(&mut cx)).await,
        First::Wait(wait) => Ok(Ok(wait)),
    };
    loop {
        let wait = match handled.unwrap_or_else(Err) {
            Ok(Wait::Asked) => {
                let back = Box::pin(system::asked(&mut cx, machine, Wait::Plainly)).await;
                match back {
                    Ok((back, wait)) => {
                        machine = back;
                        wait
                    }
                    Err(reason) => return reason,
                }
            }
            Ok(wait) => wait,
            Err(reason) => return Box::pin(machine.end(&mut cx, reason)).await,
        };
        // It runs code of the program's: that of the names of timeouts.
        let is_queued = match caught(|| machine.next_queued()) {
            Ok(is_queued) => is_queued,
            Err(reason) => return Box::pin(machine.end(&mut cx, reason)).await,
        };
        if !is_queued {
            let message = match (wait, machine.hibernate_after()) {
                (Wait::Hibernated, _) => {
                    let seed = Seed::Awake(machine, Wait::Hibernated);
                    Box::pin(sleep(&mut cx, seed)).await
                }
                (_, Timeout::Infinity) => cx.receive().await,
                (_, after) => match Box::pin(cx.receive_timeout(after)).await {
                    Some(message) => message,
                    None => {
                        let seed = Seed::Awake(machine, Wait::Plainly);
                        Box::pin(sleep(&mut cx, seed)).await
                    }
                },
            };
            machine.receive(message);
        }
        handled = Caught(machine.handle(&mut cx)).await;
    }
}

/// Goes on with this when a message is there.
pub(super) async fn sleep<M: GenStatem>(cx: &mut Context, seed: Seed<M>) -> ! {
    let seed = Box::new(seed);
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
        Seed::Entered(machine, actions) => Box::pin(async { Ok((machine, First::Enter(actions))) }),
        Seed::Awake(machine, wait) => Box::pin(wake(cx, machine, wait)),
        Seed::Suspended(machine) => Box::pin(async {
            let back = system::watch(cx, machine, Wait::Hibernated, None).await?;
            Ok((back.0, First::Wait(back.1)))
        }),
    }
}

/// Takes the message that woke it. A system message does not change what the machine waited in.
async fn wake<M: GenStatem>(cx: &mut Context, mut machine: Machine<M>, wait: Wait) -> Begun<M> {
    let message = cx.receive().await;
    let is_asked = SystemMessage::is_in(&message);
    machine.receive(message);
    if !is_asked {
        return Ok((machine, First::Handle));
    }
    let (machine, wait) = system::asked(cx, machine, wait).await?;
    Ok((machine, First::Wait(wait)))
}

/// As a server's: see [its life](mod@crate::gen_server#the-life-of-a-server), steps 2 and 3.
async fn initialise<M: GenStatem>(cx: &mut Context, new: Box<New<M::Args>>) -> Begun<M> {
    let (starter, args, origin) = Origin::of_start(cx, *new).await?;
    // In a block of its own, so that `init` is called under the watch as well, not only polled.
    let init = Caught(pin!(async { M::init(args, cx).await })).await;
    let why = match init.map_or_else(InitKind::Stop, |init| init.0) {
        InitKind::Ok(state, data, actions) => {
            starter.init_ack(cx);
            let machine = Machine::new(cx, state, data, origin);
            return Ok((machine, First::Enter(actions)));
        }
        InitKind::Ignore => NoState::Ignore,
        InitKind::Stop(reason) => NoState::Stop(reason),
        InitKind::Error(reason) => NoState::Error(reason),
    };
    Err(origin.fail(cx, starter, why))
}

impl<M: GenStatem> Machine<M> {
    #[inline]
    fn hibernate_after(&self) -> Timeout {
        self.rare
            .as_ref()
            .map_or(Timeout::Infinity, |rare| rare.hibernate_after)
    }

    #[inline]
    fn receive(&mut self, message: Message) {
        self.current = Some(Queued::Message(message));
        if let Some(rare) = &mut self.rare {
            rare.is_new = true;
        }
    }

    /// Takes the next event that is no message yet to be received: those that were inserted or postponed, then the
    /// timeouts that are due.
    #[inline]
    fn next_queued(&mut self) -> bool {
        let Some(rare) = &mut self.rare else {
            return false;
        };
        let next = rare.queue.pop_front();
        rare.is_new = next.is_none();
        let next = next.or_else(|| {
            let (timeout, content) = rare.timers.next_due()?;
            Some(Queued::Own(EventType::Timeout(timeout), content))
        });
        let found = next.is_some();
        if found {
            self.current = next;
        }
        found
    }

    /// Tells an event that was not there before.
    #[inline]
    fn tell_new(&mut self, cx: &Context) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_new) {
            self.tell_in(cx);
        }
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
                    Some(Special::System) => return Box::pin(async { Ok(Wait::Asked) }),
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
                self.tell_new(cx);
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
        self.tell_new(cx);
        match decoded {
            Ok(event) => Box::pin(self.step(cx, event)),
            Err(error) => Box::pin(self.unknown(cx, error)),
        }
    }

    async fn step(&mut self, cx: &mut Context, event: Event<M>) -> Handled {
        let (state, data) = &mut self.state_data;
        let transition = data.handle_event(state, event, cx).await;
        match self.settle_plainly(cx, transition) {
            Ok(handled) => handled,
            // Boxed, so that the future of a plain message has no room for it.
            Err(transition) => Box::pin(self.settle(cx, transition)).await,
        }
    }

    async fn unknown(&mut self, cx: &mut Context, error: DecodeError) -> Handled {
        let Self {
            state_data: (state, data),
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
    pub(super) async fn end(mut self, cx: &mut Context, reason: ExitReason) -> ExitReason {
        let (state, data) = &mut self.state_data;
        let terminated = Caught(pin!(async {
            data.terminate(&reason, state, cx).await;
        }))
        .await;
        let reason = terminated.err().unwrap_or(reason);
        if reason.is_abnormal() {
            report::terminated(cx, &self, &reason);
        } else {
            self.tell_end(cx, &reason);
        }
        reason
    }
}

/// A message that is no event of the program's.
enum Special<N> {
    End(ExitReason),
    Timeout(EventType<N>, otp_vm::OwnedTerm),
    System,
}

/// What the machine does about a message itself.
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
    SystemMessage::is_in(message).then_some(Special::System)
}

pub(super) fn end<'a>(reason: ExitReason) -> Handling<'a> {
    Box::pin(async move { Err(reason) })
}
