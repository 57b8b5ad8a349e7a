//! The process behind a server: start, loop, end.
//!
//! The loop's future is what an idle server costs, so it holds the state, the parent and what to
//! do next, and nothing else. The futures of callbacks are boxed and exist only while they run.

use std::pin::{Pin, pin};
use std::time::Duration;

use otp_vm::{
    Atom, Context, ExitReason, HOST, Message, MessageKind, OwnedTerm, Pid, Timeout, atoms,
    from_term,
};

use super::start::Seed;
use super::system::{self, Watched};
use super::{Action, From, GenServer, Init, NoReply, Reply, report};
use crate::r#gen::{Name, New, NoState, Origin};
use crate::proc_lib::hibernate;
use crate::sys::{Control, SystemMessage};
use crate::unwind::{Caught, caught};

/// A server between two messages.
pub(super) struct Server<S: GenServer> {
    pub(super) state: S,
    /// Whose exit signal ends the server, whatever its callbacks would say.
    pub(super) parent: Pid,
    /// The message that is being handled, for the report of a failure.
    pub(super) last: Option<Message>,
    rare: Option<Box<Rare>>,
}

/// What few servers have.
struct Rare {
    /// A name that the VM does not know.
    name: Option<Name>,
    /// How long the server waits before it hibernates.
    hibernate_after: Timeout,
}

impl<S: GenServer> Server<S> {
    fn new(state: S, parent: Pid, name: Option<Name>, hibernate_after: Timeout) -> Self {
        let name = name.filter(|name| !matches!(name, Name::Local(_)));
        let is_plain = name.is_none() && hibernate_after == Timeout::Infinity;
        let rare = (!is_plain).then(|| {
            Box::new(Rare {
                name,
                hibernate_after,
            })
        });
        Self {
            state,
            parent,
            last: None,
            rare,
        }
    }
}

/// What a handler is called for.
pub(super) enum Event<S: GenServer> {
    Message(Message),
    /// A system message, and what the server does when it goes on.
    System(Box<(Message, Action<S>)>),
    Timeout,
    Continue(S::Continue),
}

/// Why the loop is left.
pub(super) enum Left<S: GenServer> {
    /// The server ends.
    Stop {
        reason: ExitReason,
        /// The reply that is due after `terminate`.
        reply: Option<(From<S::Reply>, S::Reply)>,
    },
    /// `sys` asks something, and the server may come back, to do this.
    System(Message, Action<S>),
}

impl<S: GenServer> Left<S> {
    pub(super) fn stop(reason: ExitReason) -> Box<Self> {
        Box::new(Self::Stop {
            reason,
            reply: None,
        })
    }
}

pub(super) type Handled<S> = Result<Action<S>, Box<Left<S>>>;
pub(super) type Begun<S> = Result<(Server<S>, Action<S>), ExitReason>;
type Beginning<'a, S> = Pin<Box<dyn Future<Output = Begun<S>> + Send + 'a>>;
pub(super) type Handling<'a, S> = Pin<Box<dyn Future<Output = Handled<S>> + Send + 'a>>;

/// The body of a server's process, and of one that wakes from hibernation.
pub(super) async fn life<S: GenServer>(mut cx: Context, seed: Box<Seed<S>>) -> ExitReason {
    let (mut server, mut next) = match begin(&mut cx, seed).await {
        Ok(begun) => begun,
        Err(reason) => return reason,
    };
    loop {
        let event = match next {
            Action::Wait => match &server.rare {
                None => Event::Message(cx.receive().await),
                Some(rare) => {
                    let after = rare.hibernate_after;
                    match Box::pin(cx.receive_timeout(after)).await {
                        Some(message) => Event::Message(message),
                        None => {
                            next = Action::Hibernate;
                            continue;
                        }
                    }
                }
            },
            Action::Hibernate => {
                let seed = Box::new(Seed::Awake(server));
                let awake = move |cx| go_on(cx, seed);
                Box::pin(hibernate(&mut cx, awake)).await
            }
            Action::Timeout(after) => Box::pin(wait(&mut cx, after)).await,
            Action::Continue(argument) => Event::Continue(argument),
        };
        let handled = Caught(server.handle(&mut cx, event)).await;
        match handled.unwrap_or_else(|reason| Err(Left::stop(reason))) {
            Ok(action) => next = action,
            Err(left) => match Box::pin(server.leave(&mut cx, left)).await {
                Ok(back) => (server, next) = back,
                Err(reason) => return reason,
            },
        }
    }
}

/// A server's life after hibernation. Its type is named, since one life leads to the next.
pub(super) fn go_on<S: GenServer>(
    cx: Context,
    seed: Box<Seed<S>>,
) -> Pin<Box<dyn Future<Output = ExitReason> + Send>> {
    Box::pin(life(cx, seed))
}

async fn wait<S: GenServer>(cx: &mut Context, after: Duration) -> Event<S> {
    match cx.receive_timeout(after).await {
        // It does not take the timeout off, which begins anew.
        Some(message) if SystemMessage::is_in(&message) => {
            Event::System(Box::new((message, Action::Timeout(after))))
        }
        Some(message) => Event::Message(message),
        None => Event::Timeout,
    }
}

#[expect(
    clippy::boxed_local,
    reason = "the box goes when it is empty, not with the server"
)]
fn begin<S: GenServer>(cx: &mut Context, seed: Box<Seed<S>>) -> Beginning<'_, S> {
    match *seed {
        Seed::New(new) => Box::pin(initialise(cx, new)),
        Seed::Entered(state, action, origin) => Box::pin(enter(cx, state, action, origin)),
        // The message that woke it is there.
        Seed::Awake(server) => Box::pin(async {
            let message = cx.receive().await;
            // A system message leaves it asleep.
            let event = match SystemMessage::is_in(&message) {
                true => Event::System(Box::new((message, Action::Hibernate))),
                false => Event::Message(message),
            };
            server.turn(cx, event).await
        }),
        Seed::Watched(watched) => Box::pin(system::watch(cx, watched, None)),
    }
}

/// Steps 2 and 3 of the [life of a server](super#the-life-of-a-server).
async fn initialise<S: GenServer>(cx: &mut Context, new: Box<New<S::Args>>) -> Begun<S> {
    let (starter, args, origin) = Origin::of_start(cx, *new).await?;
    // In a block of its own, so that `init` is called under the watch as well, not only polled.
    let init = Caught(pin!(async { S::init(args, cx).await })).await;
    let why = match init.unwrap_or_else(Init::Stop) {
        Init::Ok(state, action) => {
            starter.init_ack(cx);
            return enter(cx, state, action, origin).await;
        }
        Init::Ignore => NoState::Ignore,
        Init::Stop(reason) => NoState::Stop(reason),
        Init::Error(reason) => NoState::Error(reason),
    };
    Err(origin.fail(cx, starter, why))
}

/// A server that has a state goes to its loop; through the hands of `sys`, if it has debug options.
async fn enter<S: GenServer>(
    cx: &mut Context,
    state: S,
    action: Action<S>,
    origin: Origin,
) -> Begun<S> {
    let Origin {
        parent,
        name,
        hibernate_after,
        control,
    } = origin;
    let server = Server::new(state, parent, name, hibernate_after);
    match control {
        None => Ok((server, action)),
        Some(control) => {
            let watched = Watched::new(server, action, control);
            Box::pin(system::watch(cx, watched, None)).await
        }
    }
}

impl<S: GenServer> Server<S> {
    /// What is to be done about an event, to be run under watch: all of it may be the program's code. Decoding the
    /// message, which is done here already, is as well.
    pub(super) fn handle<'a>(
        &'a mut self,
        cx: &'a mut Context,
        event: Event<S>,
    ) -> Handling<'a, S> {
        caught(move || self.dispatch(cx, event)).unwrap_or_else(end)
    }

    fn dispatch<'a>(&'a mut self, cx: &'a mut Context, event: Event<S>) -> Handling<'a, S> {
        let Self {
            state,
            parent,
            last,
            ..
        } = self;
        match event {
            Event::Message(message) => {
                last.replace(message);
                handle_message(state, *parent, last, cx)
            }
            Event::System(message) => Box::pin(async {
                let (message, next) = *message;
                Err(Box::new(Left::System(message, next)))
            }),
            Event::Timeout => {
                let timeout = OwnedTerm::from(atoms::TIMEOUT);
                match from_term(timeout.root()) {
                    Ok(info) => handle_info(state, last, cx, info),
                    // No variant for it: a timeout that nobody wants is not worth a warning.
                    Err(_) => Box::pin(async { Ok(Action::Wait) }),
                }
            }
            Event::Continue(argument) => {
                Box::pin(async move {
                    // No receive comes in between: a server that always goes on would keep its
                    // scheduler, and not notice a kill.
                    cx.tick(1).await;
                    no_reply(state.handle_continue(argument, cx).await)
                })
            }
        }
    }

    /// Handles one event, and what comes of it, outside of the loop.
    async fn turn(mut self, cx: &mut Context, event: Event<S>) -> Begun<S> {
        let handled = Caught(self.handle(cx, event)).await;
        match handled.unwrap_or_else(|reason| Err(Left::stop(reason))) {
            Ok(action) => Ok((self, action)),
            Err(left) => self.leave(cx, left).await,
        }
    }

    /// Ends, or does what `sys` asks and comes back.
    async fn leave(self, cx: &mut Context, left: Box<Left<S>>) -> Begun<S> {
        match *left {
            Left::Stop { reason, reply } => {
                Err(self.end(cx, reason, reply, &mut Control::new(HOST)).await)
            }
            Left::System(message, next) => {
                let control = Control::new(self.parent);
                let watched = Watched::new(self, next, control);
                system::watch(cx, watched, SystemMessage::of(&message)).await
            }
        }
    }

    /// What the server is called where the VM does not know its name.
    pub(super) fn name(&self) -> Option<&Name> {
        self.rare.as_ref().and_then(|rare| rare.name.as_ref())
    }

    /// How long it waits before it hibernates.
    pub(super) fn hibernate_after(&self) -> Timeout {
        let rare = self.rare.as_ref();
        rare.map_or(Timeout::Infinity, |rare| rare.hibernate_after)
    }

    /// Calls `terminate`, sends the reply that is due, and gives the reason to exit with.
    pub(super) async fn end(
        mut self,
        cx: &mut Context,
        reason: ExitReason,
        reply: Option<(From<S::Reply>, S::Reply)>,
        control: &mut Control,
    ) -> ExitReason {
        let terminated = Caught(pin!(async { self.state.terminate(&reason, cx).await })).await;
        let mut reason = terminated.err().unwrap_or(reason);
        let log = control.options().logged();
        if let Some((from, value)) = reply {
            // The caller may be gone, and the server is ending anyway.
            let replied = caught(|| system::reply(cx, &self, control, from, &value));
            reason = replied.err().unwrap_or(reason);
        }
        if reason.is_abnormal() {
            let last = self.last.take();
            report::terminated(cx, &self.state, self.name(), last, &reason, log);
        }
        reason
    }
}

/// The message stays in `last` while it is handled; what goes well lets it go.
type Last = Option<Message>;

fn handle_message<'a, S: GenServer>(
    state: &'a mut S,
    parent: Pid,
    last: &'a mut Last,
    cx: &'a mut Context,
) -> Handling<'a, S> {
    let Some(message) = last.as_ref() else {
        return Box::pin(async { Ok(Action::Wait) });
    };
    let decoded = match message.kind() {
        MessageKind::Call { from, request } => match from_term::<S::Call>(request) {
            Ok(request) => return handle_call(state, last, cx, From::new(from), request),
            Err(error) => Err(error),
        },
        MessageKind::Cast(request) => match from_term::<S::Cast>(request) {
            Ok(request) => return handle_cast(state, last, cx, request),
            Err(error) => Err(error),
        },
        // The host program stands above all parents: a VM that shuts down ends in order.
        MessageKind::Exit { from, .. } if from == parent || from == HOST => {
            return end(message
                .exit()
                .map_or_else(ExitReason::shutdown, |exit| exit.reason));
        }
        _ if SystemMessage::is_in(message) => return asked(last),
        _ => from_term::<S::Info>(message.term()),
    };
    match (decoded, last.take()) {
        (Ok(info), message) => {
            *last = message;
            handle_info(state, last, cx, info)
        }
        (Err(error), Some(message)) => {
            Box::pin(async move { no_reply(state.handle_unknown(message, error, cx).await) })
        }
        (Err(_), None) => Box::pin(async { Ok(Action::Wait) }),
    }
}

fn handle_call<'a, S: GenServer>(
    state: &'a mut S,
    last: &'a mut Last,
    cx: &'a mut Context,
    from: From<S::Reply>,
    request: S::Call,
) -> Handling<'a, S> {
    Box::pin(async move {
        match state.handle_call(request, from, cx).await {
            Reply::Reply(value, action) => match from.reply(cx, &value) {
                Ok(()) => {
                    *last = None;
                    Ok(action)
                }
                // The caller would wait for nothing: it is to learn why.
                Err(error) => Err(Left::stop(bad_reply(&error))),
            },
            Reply::NoReply(action) => {
                *last = None;
                Ok(action)
            }
            Reply::Stop(reason, reply) => Err(Box::new(Left::Stop {
                reason,
                reply: reply.map(|value| (from, value)),
            })),
        }
    })
}

fn handle_cast<'a, S: GenServer>(
    state: &'a mut S,
    last: &'a mut Last,
    cx: &'a mut Context,
    request: S::Cast,
) -> Handling<'a, S> {
    Box::pin(async move {
        let handled = no_reply(state.handle_cast(request, cx).await);
        let_go(last, handled)
    })
}

fn handle_info<'a, S: GenServer>(
    state: &'a mut S,
    last: &'a mut Last,
    cx: &'a mut Context,
    info: S::Info,
) -> Handling<'a, S> {
    Box::pin(async move {
        let handled = no_reply(state.handle_info(info, cx).await);
        let_go(last, handled)
    })
}

#[inline]
fn let_go<S: GenServer>(last: &mut Last, handled: Handled<S>) -> Handled<S> {
    if handled.is_ok() {
        *last = None;
    }
    handled
}

/// A system message came to a server that waits for any.
#[cold]
fn asked<'a, S: GenServer>(last: &'a mut Last) -> Handling<'a, S> {
    let message = last.take();
    Box::pin(async move {
        match message {
            Some(message) => Err(Box::new(Left::System(message, Action::Wait))),
            None => Ok(Action::Wait),
        }
    })
}

fn end<'a, S: GenServer>(reason: ExitReason) -> Handling<'a, S> {
    Box::pin(async move { Err(Left::stop(reason)) })
}

fn no_reply<S: GenServer>(returned: NoReply<S>) -> Handled<S> {
    match returned {
        NoReply::NoReply(action) => Ok(action),
        NoReply::Stop(reason) => Err(Left::stop(reason)),
    }
}

/// `{bad_reply, Text}`: a reply that can't be a term.
pub(super) fn bad_reply(error: &dyn std::fmt::Display) -> ExitReason {
    match Atom::new("bad_reply") {
        Ok(tag) => ExitReason::new(&(tag, error.to_string())),
        Err(_) => ExitReason::from(atoms::BADARG),
    }
}
