//! The manager's process: start, loop, end.

use std::pin::Pin;

use otp_vm::{
    Context, ExitReason, HOST, Message, MessageKind, Native, Pid, ReplyTo, SendError, Term,
    Timeout, atoms, from_term,
};
use serde::Serialize;

use super::handlers::Handlers;
use super::install::{Bad, Happened, How, Make};
use super::wire::{New as NewHandler, Request, notified};
use super::{Event, HandlerError, Install, report};
use crate::done::Done;
use crate::r#gen::{New, Origin};
use crate::proc_lib::hibernate;
use crate::sys::{Control, Next, SystemEvent, SystemMessage, suspended};
use crate::unwind::caught;

/// A manager between two messages.
pub(super) struct Manager<E> {
    handlers: Handlers<E>,
    /// Whose exit signal ends the manager.
    parent: Pid,
    rare: Option<Box<Rare>>,
}

/// What few managers have.
struct Rare {
    /// How long the manager waits before it hibernates.
    hibernate_after: Timeout,
    /// What `sys` keeps of a manager that is suspended, or has debug options.
    control: Option<Control>,
}

impl Rare {
    /// None: there would be nothing in it.
    fn new(hibernate_after: Timeout, control: Option<Control>) -> Option<Box<Self>> {
        let is_plain = hibernate_after == Timeout::Infinity && control.is_none();
        (!is_plain).then(|| {
            Box::new(Self {
                hibernate_after,
                control,
            })
        })
    }
}

/// What a manager's body starts from.
pub(super) enum Seed<E> {
    New(Box<New<()>>),
    /// One that has hibernated.
    Awake(Manager<E>),
}

/// What comes after a message.
enum Turn {
    Wait,
    Hibernate,
    /// It was a system message: what was done before it is done again.
    Asked,
    End(ExitReason),
}

impl Turn {
    fn after(hibernate: bool) -> Self {
        match hibernate {
            true => Self::Hibernate,
            false => Self::Wait,
        }
    }
}

/// The body of a manager's process, and of one that wakes from hibernation.
pub(super) async fn life<E: Event>(mut cx: Context, seed: Seed<E>) -> ExitReason {
    let (mut manager, mut has_slept) = match seed {
        Seed::New(new) => match initialise(&mut cx, *new).await {
            Ok(manager) => (manager, false),
            Err(reason) => return reason,
        },
        // The message that woke it is there.
        Seed::Awake(manager) => (manager, true),
    };
    loop {
        let turn = match manager.is_suspended() {
            true if has_slept && cx.message_queue_len() == 0 => Turn::Hibernate,
            true => Box::pin(manager.suspended(&mut cx)).await,
            false => match cx.receive_timeout(manager.hibernate_after()).await {
                Some(message) => manager.turn(message, &mut cx).await,
                None => Turn::Hibernate,
            },
        };
        match turn {
            Turn::Wait => has_slept = false,
            Turn::Asked if !has_slept || manager.is_suspended() => {}
            Turn::Asked | Turn::Hibernate => {
                hibernate(&mut cx, move |cx| go_on(cx, manager)).await;
            }
            Turn::End(reason) => return manager.end(reason, &mut cx).await,
        }
    }
}

/// A manager's life after hibernation. Its type is named, since one life leads to the next.
fn go_on<E: Event>(
    cx: Context,
    manager: Manager<E>,
) -> Pin<Box<dyn Future<Output = ExitReason> + Send>> {
    Box::pin(life(cx, Seed::Awake(manager)))
}

async fn initialise<E: Event>(cx: &mut Context, new: New<()>) -> Result<Manager<E>, ExitReason> {
    // It has to outlive those who supervise its handlers.
    cx.trap_exit(true);
    let (starter, (), origin) = Origin::of_start(cx, new).await?;
    let manager = Manager {
        handlers: Handlers::new(origin.name),
        parent: origin.parent,
        rare: Rare::new(origin.hibernate_after, origin.control),
    };
    starter.init_ack(cx);
    Ok(manager)
}

impl<E: Event> Manager<E> {
    fn hibernate_after(&self) -> Timeout {
        let rare = self.rare.as_ref();
        rare.map_or(Timeout::Infinity, |rare| rare.hibernate_after)
    }

    fn control(&mut self) -> Option<&mut Control> {
        self.rare.as_mut()?.control.as_mut()
    }

    fn is_suspended(&mut self) -> bool {
        self.control().is_some_and(|control| control.is_suspended())
    }

    async fn turn(&mut self, message: Message, cx: &mut Context) -> Turn {
        let kind = message.kind();
        match kind {
            // The host program stands above all parents: a VM that shuts down ends in order.
            MessageKind::Exit { from, .. } if from == self.parent || from == HOST => {
                let exit = message.exit();
                return Turn::End(exit.map_or_else(ExitReason::shutdown, |exit| exit.reason));
            }
            MessageKind::Other(_) => {
                if let Some(asked) = SystemMessage::of(&message) {
                    return Box::pin(self.asked(asked, cx)).await;
                }
            }
            _ => {}
        }
        self.tell(cx, &message);
        match kind {
            MessageKind::Call { from, request } => {
                if let Some(request) = Request::of(request) {
                    return self.answer(from, request, &message, cx).await;
                }
            }
            MessageKind::Exit { from, .. } => {
                let exit = message.exit();
                let reason = exit.map_or_else(ExitReason::shutdown, |exit| exit.reason);
                self.handlers.supervisor_ended(from, &reason, cx).await;
                self.handlers.handle(Happened::Info(&message), cx).await;
                return Turn::Wait;
            }
            MessageKind::Other(term) => {
                if let Some(event) = notified(term) {
                    return Turn::after(self.notify(event, &message, cx).await);
                }
            }
            _ => {}
        }
        Turn::after(self.handlers.handle(Happened::Info(&message), cx).await)
    }

    /// Does what `sys` asks.
    async fn asked(&mut self, asked: SystemMessage, cx: &mut Context) -> Turn {
        let rare = self.rare.take();
        let (hibernate_after, control) = match rare {
            Some(rare) => (rare.hibernate_after, rare.control),
            None => (Timeout::Infinity, None),
        };
        let mut control = control.unwrap_or_else(|| Control::new(self.parent));
        let next = control.take(cx, asked, &mut self.handlers).await;
        self.rare = Rare::new(hibernate_after, control.is_needed().then_some(control));
        match next {
            Next::Continue => Turn::Asked,
            Next::Terminate(reason) => Turn::End(reason),
        }
    }

    /// Takes what a suspended manager takes.
    async fn suspended(&mut self, cx: &mut Context) -> Turn {
        match suspended(cx, self.parent).await {
            Ok(asked) => self.asked(asked, cx).await,
            Err(reason) => Turn::End(reason),
        }
    }

    /// Tells a message to whoever looks at the manager.
    fn tell(&mut self, cx: &Context, message: &Message) {
        if let Some(Rare {
            control: Some(control),
            ..
        }) = self.rare.as_deref_mut()
        {
            control.debug(cx, &self.handlers, || SystemEvent::of_message(message));
        }
    }

    /// Hands an event to all handlers. Gives whether to hibernate.
    async fn notify(&mut self, event: Term<'_>, message: &Message, cx: &mut Context) -> bool {
        let decoded = match caught(|| from_term::<E>(event)) {
            Ok(decoded) => decoded,
            Err(reason) => {
                report::event_failed(cx, event, &reason);
                return false;
            }
        };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                let unknown = Happened::Unknown(message, &error);
                return self.handlers.handle(unknown, cx).await;
            }
        };
        let happened = Happened::Event(&decoded, event);
        let hibernate = self.handlers.handle(happened, cx).await;
        if let Err(reason) = caught(|| drop(decoded)) {
            report::event_failed(cx, event, &reason);
        }
        hibernate
    }

    async fn answer(
        &mut self,
        from: ReplyTo,
        request: Request<'_>,
        message: &Message,
        cx: &mut Context,
    ) -> Turn {
        let handlers = &mut self.handlers;
        let hibernate = match request {
            Request::SyncNotify(event) => {
                let hibernate = self.notify(event, message, cx).await;
                reply(cx, from, &atoms::OK);
                hibernate
            }
            Request::Call(id, request) => {
                let (hibernate, answer) = handlers.call(&id, request, cx).await;
                reply(cx, from, &answer);
                hibernate
            }
            Request::Add(new) => {
                let supervisor = new.supervisor;
                let added = match install(new) {
                    Ok(Install { id, make }) => {
                        handlers.add(id, make, How::Added, supervisor, cx).await
                    }
                    Err(error) => Err(error),
                };
                done(cx, from, added)
            }
            Request::Delete(id, args) => {
                let deleted = handlers.delete(&id, args, cx).await;
                reply(cx, from, &deleted);
                false
            }
            Request::Swap(old, args, new) => {
                let supervisor = new.supervisor;
                let swapped = match install(new) {
                    Ok(install) => handlers.swap(&old, args, install, supervisor, cx).await,
                    Err(error) => Err(error),
                };
                done(cx, from, swapped)
            }
            Request::WhichHandlers => {
                reply(cx, from, &handlers.ids());
                false
            }
            Request::GetModules => {
                let ids = handlers.ids();
                let mut modules: Vec<_> = ids.iter().map(|id| id.module()).collect();
                modules.sort_unstable_by_key(|module| module.as_str());
                modules.dedup();
                reply(cx, from, &modules);
                false
            }
        };
        Turn::after(hibernate)
    }

    /// Ends the handlers. Who supervised one is told by a message, and not by its link besides.
    async fn end(mut self, reason: ExitReason, cx: &mut Context) -> ExitReason {
        let supervisors = self.handlers.supervisors();
        self.handlers.stop(cx).await;
        let others = supervisors.into_iter().filter(|&pid| pid != self.parent);
        others.for_each(|supervisor| cx.unlink(supervisor));
        reason
    }
}

fn install<E: Event>(new: NewHandler<'_>) -> Result<Install<E>, HandlerError> {
    let bad = |text: &str| HandlerError::Error(ExitReason::new(&Bad::Args(text.to_owned())));
    let make = from_term::<Native<Make<E>>>(new.make).map_err(|error| bad(&error.to_string()))?;
    let make = make.into_inner().ok_or_else(|| bad("it is gone"))?;
    Ok(Install { id: new.id, make })
}

fn done(cx: &Context, from: ReplyTo, done: Result<bool, HandlerError>) -> bool {
    let hibernate = matches!(done, Ok(true));
    reply(cx, from, &Done::from(done.map(drop)));
    hibernate
}

/// Who asked may be gone; one who gets nothing that can be sent learns that.
fn reply<T: Serialize>(cx: &Context, from: ReplyTo, answer: &T) {
    if let Err(SendError::Encode(error)) = cx.reply(&from, answer) {
        let reason = Bad::Reply(error.to_string());
        let _ = cx.reply(&from, &(atoms::ERROR, reason));
    }
}
