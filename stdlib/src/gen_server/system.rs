//! A server in the hands of `sys`: suspended, or with debug options. It has left its loop for this one, so that the
//! loop knows nothing of either.

use std::any::Any;
use std::pin::pin;

use otp_vm::{
    BoxFuture, Context, ExitReason, HOST, MessageKind, OwnedTerm, atoms, from_term, to_term,
};
use serde::Serialize;

use super::server_loop::{Begun, Event, Handled, Left, Server, bad_reply, go_on};
use super::start::Seed;
use super::{Action, FormatStatus, From, GenServer, Reply};
use crate::proc_lib::hibernate;
use crate::sys::{self, Control, Next, Shown, System, SystemEvent, SystemMessage, suspended};
use crate::unwind::{Caught, caught};

/// A server, what `sys` keeps of it, and what the server does next.
pub(super) struct Watched<S: GenServer> {
    server: Server<S>,
    control: Control,
    next: Action<S>,
}

impl<S: GenServer> Watched<S> {
    pub(super) fn new(server: Server<S>, next: Action<S>, control: Control) -> Box<Self> {
        Box::new(Self {
            server,
            control,
            next,
        })
    }
}

impl<S: GenServer> System for Server<S> {
    fn module(&self) -> &'static str {
        "gen_server"
    }

    fn name(&self, cx: &Context) -> OwnedTerm {
        match Server::name(self) {
            Some(name) => name.to_term(),
            None => sys::name_of(cx),
        }
    }

    fn get_state(&self) -> OwnedTerm {
        self.state.system_get_state()
    }

    fn state(&mut self) -> &mut dyn Any {
        self.state.system_state()
    }

    fn format_status(&mut self, cx: &Context, shown: Shown) -> OwnedTerm {
        /// A text, and a term.
        type Pair<'a> = (&'a str, &'a OwnedTerm);
        #[derive(Serialize)]
        enum Item<'a> {
            Header(String),
            Data(&'a [Pair<'a>]),
        }
        let name = System::name(self, cx);
        let status = FormatStatus::of(&self.state, None, None, shown.log);
        let (state, parent) = (sys::term(&shown.state), sys::term(&shown.parent));
        let log = sys::term(&status.log);
        sys::term(&vec![
            Item::Header(format!("Status for generic server {name}")),
            Item::Data(&[
                ("Status", &state),
                ("Parent", &parent),
                ("Logged events", &log),
            ]),
            Item::Data(&[("State", &status.state)]),
        ])
    }

    fn code_change<'a>(
        &'a mut self,
        cx: &'a mut Context,
        _module: OwnedTerm,
        old_version: OwnedTerm,
        extra: OwnedTerm,
    ) -> BoxFuture<'a, Result<(), ExitReason>> {
        Box::pin(self.state.code_change(old_version, extra, cx))
    }
}

/// Serves `sys`, and while there are debug options clients too, until nobody looks at the server any more: then it goes
/// back to its loop. Gives the reason, if it ends.
pub(super) async fn watch<S: GenServer>(
    cx: &mut Context,
    mut watched: Box<Watched<S>>,
    mut asked: Option<SystemMessage>,
) -> Begun<S> {
    loop {
        if let Some(message) = asked.take() {
            let Watched {
                server, control, ..
            } = &mut *watched;
            if let Next::Terminate(reason) = control.take(cx, message, server).await {
                return Err(watched.end(cx, Left::stop(reason)).await);
            }
        }
        if watched.control.is_suspended() {
            if matches!(watched.next, Action::Hibernate) && cx.message_queue_len() == 0 {
                sleep(cx, watched).await
            }
            match suspended(cx, watched.server.parent).await {
                Ok(message) => asked = Some(message),
                Err(reason) => return Err(watched.end(cx, Left::stop(reason)).await),
            }
        } else if watched.control.options().is_empty() {
            let Watched { server, next, .. } = *watched;
            return Ok((server, next));
        } else {
            let event = match watched.event(cx).await {
                Some(event) => event,
                None => sleep(cx, watched).await,
            };
            if let Event::Message(message) = &event
                && let Some(message) = SystemMessage::of(message)
            {
                asked = Some(message);
                continue;
            }
            match watched.handle(cx, event).await {
                Ok(action) => watched.next = action,
                Err(left) => return Err(watched.end(cx, left).await),
            }
        }
    }
}

/// Goes on with the same when a message is there.
async fn sleep<S: GenServer>(cx: &mut Context, watched: Box<Watched<S>>) -> ! {
    let seed = Box::new(Seed::Watched(watched));
    hibernate(cx, move |cx| go_on(cx, seed)).await
}

impl<S: GenServer> Watched<S> {
    /// What comes next to a server that is not suspended; `None`: nothing, and it hibernates. What it does next is as
    /// it was, for a system message does not change that.
    async fn event(&mut self, cx: &mut Context) -> Option<Event<S>> {
        let received = match self.next {
            Action::Continue(_) => {
                return match std::mem::take(&mut self.next) {
                    Action::Continue(argument) => Some(Event::Continue(argument)),
                    _ => unreachable!("looked at above"),
                };
            }
            Action::Hibernate if cx.message_queue_len() == 0 => return None,
            Action::Hibernate => Some(cx.receive().await),
            Action::Timeout(after) => match cx.receive_timeout(after).await {
                None => return Some(Event::Timeout),
                message => message,
            },
            Action::Wait => cx.receive_timeout(self.server.hibernate_after()).await,
        };
        match received {
            Some(message) => Some(Event::Message(message)),
            None => {
                self.next = Action::Hibernate;
                None
            }
        }
    }

    /// As the server's loop handles an event, with all that happens told.
    async fn handle(&mut self, cx: &mut Context, event: Event<S>) -> Handled<S> {
        match &event {
            Event::Message(message) => match message.kind() {
                // The server ends, whatever anybody would say.
                MessageKind::Exit { from, .. } if from == self.server.parent || from == HOST => {}
                _ => self.tell(cx, || SystemEvent::of_message(message)),
            },
            Event::Timeout => self.tell(cx, || SystemEvent::In(OwnedTerm::from(atoms::TIMEOUT))),
            Event::Continue(_) => self.tell(cx, || SystemEvent::Continue),
            Event::System(_) => {}
        }
        if let Event::Message(message) = event {
            let call = match message.kind() {
                MessageKind::Call { from, request } => {
                    let decoded = caught(|| from_term::<S::Call>(request));
                    Some((From::new(from), decoded))
                }
                _ => None,
            };
            return match call {
                Some((from, Ok(Ok(request)))) => {
                    self.server.last = Some(message);
                    self.call(cx, from, request).await
                }
                Some((_, Err(reason))) => {
                    self.server.last = Some(message);
                    Err(Left::stop(reason))
                }
                _ => self.other(cx, Event::Message(message)).await,
            };
        }
        self.other(cx, event).await
    }

    /// What has no reply, or does not decode.
    async fn other(&mut self, cx: &mut Context, event: Event<S>) -> Handled<S> {
        let handled = Caught(self.server.handle(cx, event)).await;
        let handled = handled.unwrap_or_else(|reason| Err(Left::stop(reason)));
        if handled.is_ok() {
            self.tell_state(cx);
        }
        handled
    }

    async fn call(
        &mut self,
        cx: &mut Context,
        from: From<S::Reply>,
        request: S::Call,
    ) -> Handled<S> {
        let state = &mut self.server.state;
        let called = Caught(pin!(async { state.handle_call(request, from, cx).await })).await;
        match called {
            Err(reason) => Err(Left::stop(reason)),
            Ok(Reply::Stop(reason, reply)) => Err(Box::new(Left::Stop {
                reason,
                reply: reply.map(|value| (from, value)),
            })),
            Ok(Reply::NoReply(action)) => {
                self.server.last = None;
                self.tell_state(cx);
                Ok(action)
            }
            Ok(Reply::Reply(value, action)) => {
                let Self {
                    server, control, ..
                } = self;
                // Its destructor is the program's code as well.
                let replied = caught(move || reply(cx, server, control, from, &value));
                replied.and_then(|sent| sent).map_err(Left::stop)?;
                self.server.last = None;
                Ok(action)
            }
        }
    }

    fn tell(&mut self, cx: &Context, event: impl FnOnce() -> SystemEvent) {
        self.control.debug(cx, &self.server, event);
    }

    fn tell_state(&mut self, cx: &Context) {
        let state = shown(&self.server);
        self.tell(cx, || SystemEvent::NoReply(state));
    }

    async fn end(self, cx: &mut Context, left: Box<Left<S>>) -> ExitReason {
        let Self {
            server,
            mut control,
            ..
        } = self;
        match *left {
            Left::Stop { reason, reply } => server.end(cx, reason, reply, &mut control).await,
            // Taken before the server's own handler would see it.
            Left::System(..) => ExitReason::normal(),
        }
    }
}

/// Replies, and tells what to whoever looks at the server.
///
/// # Errors
/// The reply can't be a term: the reason that the server ends with.
pub(super) fn reply<S: GenServer>(
    cx: &Context,
    server: &Server<S>,
    control: &mut Control,
    from: From<S::Reply>,
    value: &S::Reply,
) -> Result<(), ExitReason> {
    if control.options().is_empty() {
        return from.reply(cx, value).map_err(|error| bad_reply(&error));
    }
    let value = to_term(value).map_err(|error| bad_reply(&error))?;
    let to = from.reply_to();
    let (sent, value) = sys::reply_and_show(cx, &to, value);
    let (to, state) = (sys::term(&from.pid()), shown(server));
    control.debug(cx, server, || SystemEvent::Out(value, to, state));
    sent.map_err(|error| bad_reply(&error))
}

/// The state in an event.
fn shown<S: GenServer>(server: &Server<S>) -> OwnedTerm {
    let state = caught(|| server.state.system_get_state());
    state.unwrap_or_else(|_| sys::text("system_get_state crashed"))
}
