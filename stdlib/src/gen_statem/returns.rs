//! What callbacks return: where the machine goes, and what it does on the way.

use std::fmt;
use std::time::Duration;

use otp_vm::{Due, EncodeError, ExitReason, OwnedTerm, Timeout, to_term};
use serde::Serialize;

use super::{Event, EventType, From, GenStatem, TimeoutType};

/// What [`handle_event`](GenStatem::handle_event) returns: a state or an end, and actions. `event_handler_result()`.
///
/// The data is changed in place, so OTP's `keep_state` and `keep_state_and_data` are one here, and so on.
///
/// The actions are its methods. Replies are sent in their order; of several timeouts of the same type the last one
/// counts; events that are inserted are handled in the order in which they are given. All but
/// [`reply`](Self::reply) have no effect on a value that ends the machine.
#[must_use = "it does nothing until it is returned"]
pub struct Transition<M: GenStatem> {
    pub(super) kind: Kind<M::State>,
    pub(super) actions: Actions<M>,
}

/// What [`state_enter`](GenStatem::state_enter) returns. `state_enter_result()`.
///
/// A state that is being entered can't be left again, and there is no event that could be postponed: there is nothing
/// to say so with.
#[must_use = "it does nothing until it is returned"]
pub struct Enter<M: GenStatem>(pub(super) Transition<M>);

/// What [`init`](GenStatem::init) returns. `init_result()`.
#[must_use = "it does nothing until it is returned"]
pub struct Init<M: GenStatem>(pub(super) InitKind<M>);

pub(super) enum InitKind<M: GenStatem> {
    Ok(M::State, M, Actions<M>),
    Ignore,
    Stop(ExitReason),
    Error(ExitReason),
}

pub(super) enum Kind<S> {
    Next(S),
    Keep,
    Repeat,
    Stop(ExitReason),
}

/// When a timeout comes. `timeout_option()` and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long from now on. Zero: before any message that is not there yet, see
    /// [the order of events](super#the-order-of-events).
    After(Duration),
    /// At this point in time, in nanoseconds on the clock of
    /// [`Context::monotonic_time`](otp_vm::Context::monotonic_time). `{abs, true}`.
    At(u64),
    /// Never: as to cancel it.
    Infinity,
}

impl std::convert::From<Duration> for When {
    fn from(after: Duration) -> Self {
        Self::After(after)
    }
}

impl std::convert::From<Due> for When {
    fn from(due: Due) -> Self {
        match due {
            Due::After(after) => Self::After(after),
            Due::At(at) => Self::At(at),
        }
    }
}

impl std::convert::From<Timeout> for When {
    fn from(timeout: Timeout) -> Self {
        match timeout {
            Timeout::After(after) => Self::After(after),
            Timeout::Infinity => Self::Infinity,
        }
    }
}

/// One thing to be done on the way to the next event. `action()`.
pub(super) enum Action<M: GenStatem> {
    Reply(From<M::Reply>, M::Reply),
    Postpone(bool),
    Hibernate(bool),
    NextEvent(EventType<M::TimeoutName>, OwnedTerm),
    Timeout(TimeoutType<M::TimeoutName>, SetTimeout),
    /// One that can't be: `{bad_action_from_state_function, {Action, Text}}`.
    Bad(ExitReason),
}

/// What to do with a timeout.
pub(super) enum SetTimeout {
    Start(When, OwnedTerm),
    Update(OwnedTerm),
    Cancel,
}

/// Actions, of which most transitions have one at most: that one takes no memory of its own.
pub(super) struct Actions<M: GenStatem> {
    first: Option<Action<M>>,
    others: Vec<Action<M>>,
}

impl<M: GenStatem> Actions<M> {
    pub(super) fn new() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }

    /// The one there is, or that there is none; nothing if there are several.
    #[inline]
    pub(super) fn only(&self) -> Option<Option<&Action<M>>> {
        self.others.is_empty().then_some(self.first.as_ref())
    }

    #[inline]
    fn push(&mut self, action: Action<M>) {
        match self.first {
            None => self.first = Some(action),
            Some(_) => self.others.push(action),
        }
    }

    /// `content` as a term, or why there is none.
    fn content<T: Serialize>(name: &'static str, content: &T) -> Result<OwnedTerm, Action<M>> {
        to_term(content).map_err(|error| Self::bad(name, &error))
    }

    fn bad(name: &'static str, error: &EncodeError) -> Action<M> {
        Action::Bad(bad_action(name, error))
    }

    fn next_event(&mut self, event: &Event<M>)
    where
        M::Info: Serialize,
    {
        self.push(match event.content() {
            Ok(content) => Action::NextEvent(event.event_type(), content),
            Err(error) => Self::bad("next_event", &error),
        });
    }

    fn start(&mut self, kind: TimeoutType<M::TimeoutName>, when: When, content: &M::Timeout) {
        self.push(match Self::content("timeout", content) {
            Ok(content) => Action::Timeout(kind, SetTimeout::Start(when, content)),
            Err(bad) => bad,
        });
    }

    fn update(&mut self, kind: TimeoutType<M::TimeoutName>, content: &M::Timeout) {
        self.push(match Self::content("timeout", content) {
            Ok(content) => Action::Timeout(kind, SetTimeout::Update(content)),
            Err(bad) => bad,
        });
    }

    fn cancel(&mut self, kind: TimeoutType<M::TimeoutName>) {
        self.push(Action::Timeout(kind, SetTimeout::Cancel));
    }
}

impl<M: GenStatem> IntoIterator for Actions<M> {
    type Item = Action<M>;
    type IntoIter =
        std::iter::Chain<std::option::IntoIter<Action<M>>, std::vec::IntoIter<Action<M>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

/// `{bad_action_from_state_function, {Action, Text}}`.
pub(super) fn bad_action(name: &'static str, error: &dyn fmt::Display) -> ExitReason {
    bad("bad_action_from_state_function", name, error)
}

/// `{bad_reply_action_from_state_function, {reply, Text}}`: of one that ends.
pub(super) fn bad_reply_action(error: &dyn fmt::Display) -> ExitReason {
    bad("bad_reply_action_from_state_function", "reply", error)
}

fn bad(cause: &'static str, name: &'static str, error: &dyn fmt::Display) -> ExitReason {
    let atom = |text| otp_vm::Atom::new(text).unwrap_or(otp_vm::atoms::BADARG);
    ExitReason::new(&(atom(cause), (atom(name), error.to_string())))
}

impl<M: GenStatem> Transition<M> {
    fn new(kind: Kind<M::State>) -> Self {
        Self {
            kind,
            actions: Actions::new(),
        }
    }

    /// `{next_state, State, Data}`. If the state is another one than now, postponed events are handled again, the state
    /// timeout is cancelled, and [`state_enter`](GenStatem::state_enter) is called.
    pub fn next_state(state: M::State) -> Self {
        Self::new(Kind::Next(state))
    }

    /// `keep_state_and_data`, `{keep_state, Data}`.
    pub fn keep_state() -> Self {
        Self::new(Kind::Keep)
    }

    /// `repeat_state_and_data`, `{repeat_state, Data}`: keeps the state, and calls
    /// [`state_enter`](GenStatem::state_enter) as if it were new.
    pub fn repeat_state() -> Self {
        Self::new(Kind::Repeat)
    }

    /// `{stop, Reason}`; with [`reply`](Self::reply), `{stop_and_reply, Reason, Replies}`: the replies are sent before
    /// [`terminate`](GenStatem::terminate) is called.
    pub fn stop(reason: impl Into<ExitReason>) -> Self {
        Self::new(Kind::Stop(reason.into()))
    }

    /// Handles this event again when the state has changed. `postpone`.
    ///
    /// It waits behind those that were postponed before it. A native resource that was taken out of its content is not
    /// there the next time.
    pub fn postpone(self) -> Self {
        self.postpone_if(true)
    }

    /// As [`postpone`](Self::postpone), or not: of several the last one counts. `{postpone, Postpone}`.
    pub fn postpone_if(mut self, postpone: bool) -> Self {
        self.actions.push(Action::Postpone(postpone));
        self
    }

    fn actions(&mut self) -> Option<&mut Actions<M>> {
        Some(&mut self.actions)
    }
}

impl<M: GenStatem> Enter<M> {
    /// `keep_state_and_data`, `{keep_state, Data}`.
    pub fn keep_state() -> Self {
        Self(Transition::keep_state())
    }

    /// `repeat_state_and_data`, `{repeat_state, Data}`: calls [`state_enter`](GenStatem::state_enter) once more.
    pub fn repeat_state() -> Self {
        Self(Transition::repeat_state())
    }

    /// `{stop, Reason}`; with [`reply`](Self::reply), `{stop_and_reply, Reason, Replies}`.
    pub fn stop(reason: impl Into<ExitReason>) -> Self {
        Self(Transition::stop(reason))
    }

    fn actions(&mut self) -> Option<&mut Actions<M>> {
        self.0.actions()
    }
}

impl<M: GenStatem> Init<M> {
    /// `{ok, State, Data}`.
    pub fn ok(state: M::State, data: M) -> Self {
        Self(InitKind::Ok(state, data, Actions::new()))
    }

    /// `ignore`: the process ends with `normal`, and the start gives
    /// [`StartError::Ignore`](crate::StartError::Ignore).
    pub fn ignore() -> Self {
        Self(InitKind::Ignore)
    }

    /// `{stop, Reason}`: the process exits with the reason. A parent that started it linked and does not trap exits
    /// dies with it, as in OTP.
    pub fn stop(reason: impl Into<ExitReason>) -> Self {
        Self(InitKind::Stop(reason.into()))
    }

    /// `{error, Reason}`: the start gives the reason as an error, but the process ends with `normal`, so a linked
    /// parent lives on.
    pub fn error(reason: impl Into<ExitReason>) -> Self {
        Self(InitKind::Error(reason.into()))
    }

    fn actions(&mut self) -> Option<&mut Actions<M>> {
        match &mut self.0 {
            InitKind::Ok(_, _, actions) => Some(actions),
            _ => None,
        }
    }
}

/// The actions that all three may have.
macro_rules! actions {
    ($type:ident) => {
        impl<M: GenStatem> $type<M> {
            /// Replies to a call, this one or one that was kept. `{reply, From, Reply}`.
            ///
            /// A reply of another type than [`Reply`](GenStatem::Reply), and one for a caller that is known elsewhere,
            /// goes by [`From::reply`] at once.
            pub fn reply(self, from: From<M::Reply>, reply: M::Reply) -> Self {
                self.with(|actions| actions.push(Action::Reply(from, reply)))
            }

            /// Hibernates until the next message, if there is no event to handle. `hibernate`.
            pub fn hibernate(self) -> Self {
                self.hibernate_if(true)
            }

            /// As [`hibernate`](Self::hibernate), or not: of several the last one counts, that of a state enter call
            /// after that of the event. `{hibernate, Hibernate}`.
            pub fn hibernate_if(self, hibernate: bool) -> Self {
                self.with(|actions| actions.push(Action::Hibernate(hibernate)))
            }

            /// Starts the event timeout, which any event cancels: [`Event::Timeout`], if none came in time.
            /// `{timeout, Time, Content}`.
            pub fn timeout(self, when: impl Into<When>, content: M::Timeout) -> Self {
                let kind = TimeoutType::Timeout;
                self.with(|actions| actions.start(kind, when.into(), &content))
            }

            /// Starts the state timeout, which a change of the state cancels: [`Event::StateTimeout`]. One that runs is
            /// replaced. `{state_timeout, Time, Content}`.
            pub fn state_timeout(self, when: impl Into<When>, content: M::Timeout) -> Self {
                let kind = TimeoutType::StateTimeout;
                self.with(|actions| actions.start(kind, when.into(), &content))
            }

            /// Starts the timeout of this name, which nothing cancels but an action: [`Event::GenericTimeout`]. One
            /// that runs is replaced. `{{timeout, Name}, Time, Content}`.
            pub fn generic_timeout(
                self,
                name: M::TimeoutName,
                when: impl Into<When>,
                content: M::Timeout,
            ) -> Self {
                let kind = TimeoutType::Generic(name);
                self.with(|actions| actions.start(kind, when.into(), &content))
            }

            /// Gives a timeout that runs another content; one that does not run comes at once.
            /// `{TimeoutType, update, Content}`.
            ///
            /// The event timeout never runs at this point, for this event has cancelled it: updated, it comes at once.
            pub fn update_timeout(
                self,
                timeout: TimeoutType<M::TimeoutName>,
                content: M::Timeout,
            ) -> Self {
                self.with(|actions| actions.update(timeout, &content))
            }

            /// Cancels a timeout, if it runs. `{TimeoutType, cancel}`.
            pub fn cancel_timeout(self, timeout: TimeoutType<M::TimeoutName>) -> Self {
                self.with(|actions| actions.cancel(timeout))
            }

            fn with(mut self, act: impl FnOnce(&mut Actions<M>)) -> Self {
                if let Some(actions) = self.actions() {
                    act(actions);
                }
                self
            }
        }
    };
}

actions!(Transition);
actions!(Enter);
actions!(Init);

/// The action that needs an event to stand behind.
macro_rules! next_event {
    ($type:ident) => {
        impl<M: GenStatem> $type<M> {
            /// Inserts an event, to be handled before all that wait already; several in the order in which they are
            /// given. `{next_event, EventType, EventContent}`.
            ///
            /// Mostly an [`Event::Internal`], which only comes so; but any can be inserted, a call as well, to be
            /// handled in the next state.
            pub fn next_event(self, event: Event<M>) -> Self
            where
                M::Info: Serialize,
            {
                self.with(|actions| actions.next_event(&event))
            }
        }
    };
}

next_event!(Transition);
next_event!(Init);

// States and contents need no `Debug`: only what the VM knows is printed.

impl<M: GenStatem> fmt::Debug for Transition<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Next(_) => formatter.debug_tuple("NextState").finish_non_exhaustive(),
            Kind::Keep => formatter.write_str("KeepState"),
            Kind::Repeat => formatter.write_str("RepeatState"),
            Kind::Stop(reason) => formatter.debug_tuple("Stop").field(reason).finish(),
        }
    }
}

impl<M: GenStatem> fmt::Debug for Enter<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<M: GenStatem> fmt::Debug for Init<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            InitKind::Ok(..) => formatter.debug_tuple("Ok").finish_non_exhaustive(),
            InitKind::Ignore => formatter.write_str("Ignore"),
            InitKind::Stop(reason) => formatter.debug_tuple("Stop").field(reason).finish(),
            InitKind::Error(reason) => formatter.debug_tuple("Error").field(reason).finish(),
        }
    }
}
