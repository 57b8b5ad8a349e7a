//! A state machine in the hands of `sys`: what it is asked, and what it tells to whoever looks at it.
//!
//! A machine that is suspended, or has debug options, has a [`Control`] among what few machines have; one that has none
//! pays for nothing here.

use std::any::Any;
use std::time::Duration;

use otp_vm::{Atom, BoxFuture, Context, ExitReason, OwnedTerm, ReplyTo, SendError, Term, to_term};
use serde::Serialize;

use super::event::Queued;
use super::machine::{Machine, Wait, sleep};
use super::returns::{SetTimeout, When};
use super::start::Seed;
use super::{EventType, FormatStatus, From, GenStatem, TimeoutType};
use crate::sys::{self, Control, Next, Shown, System, SystemEvent, SystemMessage, suspended};
use crate::unwind::caught;

type Watched<M> = Result<(Machine<M>, Wait), ExitReason>;

/// Does what the current event asks, which is a system message: see [`watch`].
pub(super) async fn asked<M: GenStatem>(
    cx: &mut Context,
    mut machine: Machine<M>,
    wait: Wait,
) -> Watched<M> {
    let asked = match machine.current.take() {
        Some(Queued::Message(message)) => SystemMessage::of(&message),
        _ => None,
    };
    watch(cx, machine, wait, asked).await
}

/// Does what `sys` asks, until the machine is not suspended any more: then it goes back to its loop, to wait as it did
/// before. Gives the reason, if it ends.
pub(super) async fn watch<M: GenStatem>(
    cx: &mut Context,
    mut machine: Machine<M>,
    wait: Wait,
    mut asked: Option<SystemMessage>,
) -> Watched<M> {
    loop {
        if let Some(message) = asked.take() {
            let parent = machine.parent;
            let control = machine.rare().control.take();
            let mut control = control.unwrap_or_else(|| Box::new(Control::new(parent)));
            let next = control.take(cx, message, &mut machine).await;
            machine.rare().control = control.is_needed().then_some(control);
            machine.tidy();
            if let Next::Terminate(reason) = next {
                return Err(machine.end(cx, reason).await);
            }
        }
        if !machine.control().is_some_and(Control::is_suspended) {
            return Ok((machine, wait));
        }
        if wait == Wait::Hibernated && cx.message_queue_len() == 0 {
            sleep(cx, Seed::Suspended(machine)).await
        }
        match suspended(cx, machine.parent).await {
            Ok(message) => asked = Some(message),
            Err(reason) => return Err(machine.end(cx, reason).await),
        }
    }
}

impl<M: GenStatem> System for Machine<M> {
    fn module(&self) -> &'static str {
        "gen_statem"
    }

    fn name(&self, cx: &Context) -> OwnedTerm {
        let name = self.rare.as_ref().and_then(|rare| rare.name.as_ref());
        name.map_or_else(|| sys::name_of(cx), |name| name.to_term())
    }

    fn get_state(&self) -> OwnedTerm {
        let (state, data) = &self.state_data;
        sys::term(&(sys::term(state), data.system_get_data()))
    }

    fn state(&mut self) -> &mut dyn Any {
        &mut self.state_data
    }

    fn format_status(&mut self, cx: &Context, shown: Shown) -> OwnedTerm {
        /// A text, and a term.
        type Pair<'a> = (&'a str, OwnedTerm);
        #[derive(Serialize)]
        enum Item<'a> {
            Header(String),
            Data(Vec<Pair<'a>>),
        }
        let name = System::name(self, cx);
        let timeouts = self
            .rare
            .as_ref()
            .map_or(0, |rare| rare.timers.list().len());
        let status = FormatStatus::of(self, None, shown.log);
        let modules = vec![sys::atom(std::any::type_name::<M>())];
        sys::term(&vec![
            Item::Header(format!("Status for state machine {name}")),
            Item::Data(vec![
                ("Status", sys::term(&shown.state)),
                ("Parent", sys::term(&shown.parent)),
                ("Modules", sys::term(&modules)),
                ("Time-outs", sys::term(&(timeouts, &status.timeouts))),
                ("Logged Events", sys::term(&status.log)),
                ("Postponed", sys::term(&status.postponed)),
            ]),
            Item::Data(vec![("State", sys::term(&(status.state, status.data)))]),
        ])
    }

    fn code_change<'a>(
        &'a mut self,
        cx: &'a mut Context,
        _module: OwnedTerm,
        old_version: OwnedTerm,
        extra: OwnedTerm,
    ) -> BoxFuture<'a, Result<(), ExitReason>> {
        let (state, data) = &mut self.state_data;
        Box::pin(data.code_change(state, old_version, extra, cx))
    }

    fn format_event(&self, name: &OwnedTerm, event: &SystemEvent) -> String {
        let words = match event {
            SystemEvent::Other(event) => in_words(event.root()),
            _ => None,
        };
        words.map_or_else(
            || event.format(name),
            |words| format!("*DBG* {name} {words}"),
        )
    }
}

/// An event of a machine, as OTP's terms.
#[derive(Serialize)]
enum Told {
    /// The module, and the first state.
    Enter(Atom, OwnedTerm),
    /// The event, and the state.
    In(OwnedTerm, OwnedTerm),
    Out(OwnedTerm, ReplyTo),
    /// The event, the state, and the next one.
    Postpone(OwnedTerm, OwnedTerm, OwnedTerm),
    Consume(OwnedTerm, OwnedTerm, OwnedTerm),
    /// The timeout, and the state.
    StartTimer(OwnedTerm, OwnedTerm),
    Terminate(ExitReason, OwnedTerm),
}

impl<M: GenStatem> Machine<M> {
    fn control(&self) -> Option<&Control> {
        self.rare.as_ref()?.control.as_deref()
    }

    /// The events that `sys` logged.
    pub(super) fn logged(&self) -> Vec<OwnedTerm> {
        let control = self.control();
        control.map_or_else(Vec::new, |control| control.options().logged())
    }

    #[inline]
    fn is_looked_at(&self) -> bool {
        self.control()
            .is_some_and(|control| !control.options().is_empty())
    }

    /// Begins with debug options, and tells `{enter, Module, State}`.
    pub(super) fn look_at(&mut self, cx: &Context, control: Option<Control>) {
        let Some(control) = control else { return };
        self.rare().control = Some(Box::new(control));
        self.tell(cx, |machine| {
            let module = sys::atom_of(std::any::type_name::<M>());
            Some(Told::Enter(module, sys::term(&machine.state_data.0)))
        });
    }

    /// Tells an event to whoever looks at the machine. What the program's code fails in there is not the machine's
    /// failure: then nothing is told.
    #[inline]
    fn tell(&mut self, cx: &Context, event: impl FnOnce(&Self) -> Option<Told>) {
        if self.is_looked_at()
            && let Ok(Some(event)) = caught(|| event(self))
        {
            self.tell_event(cx, &event);
        }
    }

    fn tell_event(&mut self, cx: &Context, event: &Told) {
        // It is told with a machine that it is no part of.
        let Some(mut control) = self.rare().control.take() else {
            return;
        };
        control.debug(cx, self, || SystemEvent::Other(sys::term(event)));
        self.rare().control = Some(control);
    }

    /// `{in, Event, State}`: of the current event.
    pub(super) fn tell_in(&mut self, cx: &Context) {
        self.tell(cx, |machine| {
            let event = machine.current.as_ref()?;
            Some(Told::In(event.to_term(), sys::term(&machine.state_data.0)))
        });
    }

    /// The same, of one that is inserted on the way to the next state.
    pub(super) fn tell_next_event(
        &mut self,
        cx: &Context,
        event_type: &EventType<M::TimeoutName>,
        content: &OwnedTerm,
        next: Option<&M::State>,
    ) {
        self.tell(cx, |machine| {
            let state = next.unwrap_or(&machine.state_data.0);
            Some(Told::In(
                sys::term(&(event_type, content)),
                sys::term(state),
            ))
        });
    }

    /// Sends a reply, and tells it.
    pub(super) fn reply(
        &mut self,
        cx: &Context,
        from: From<M::Reply>,
        reply: &M::Reply,
    ) -> Result<(), SendError> {
        if !self.is_looked_at() {
            return from.reply(cx, reply);
        }
        let (reply, to) = (to_term(reply)?, from.reply_to());
        let (sent, shown) = sys::reply_and_show(cx, &to, reply);
        self.tell(cx, |_| Some(Told::Out(shown, to)));
        sent
    }

    /// What has become of the current event.
    pub(super) fn tell_settled(&mut self, cx: &Context, postpone: bool, next: Option<&M::State>) {
        self.tell(cx, |machine| {
            // None is there when the first state is entered.
            let event = machine.current.as_ref()?.to_term();
            let state = &machine.state_data.0;
            let next = sys::term(next.unwrap_or(state));
            Some(match postpone {
                true => Told::Postpone(event, sys::term(state), next),
                false => Told::Consume(event, sys::term(state), next),
            })
        });
    }

    /// The timeouts that are started by this. As in OTP the last of a type counts, and comes first.
    pub(super) fn tell_timeouts(
        &mut self,
        cx: &Context,
        actions: &[(TimeoutType<M::TimeoutName>, SetTimeout)],
    ) {
        if !self.is_looked_at() {
            return;
        }
        for (at, (timeout, action)) in actions.iter().enumerate().rev() {
            let is_last = actions[at + 1..].iter().all(|(later, _)| later != timeout);
            let SetTimeout::Start(when, content) = action else {
                continue;
            };
            let (time, options) = match *when {
                When::After(after) => (after, vec![]),
                When::At(at) => (Duration::from_nanos(at), vec![(sys::atom("abs"), true)]),
                When::Infinity => continue,
            };
            if is_last {
                let time = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
                self.tell(cx, |machine| {
                    Some(Told::StartTimer(
                        sys::term(&(timeout, time, content, &options)),
                        sys::term(&machine.state_data.0),
                    ))
                });
            }
        }
    }

    /// `{terminate, Reason, State}`.
    pub(super) fn tell_end(&mut self, cx: &Context, reason: &ExitReason) {
        self.tell(cx, |machine| {
            let state = sys::term(&machine.state_data.0);
            Some(Told::Terminate(reason.clone(), state))
        });
    }
}

/// An event, as `gen_statem` prints it; nothing, if it is none of its events.
fn in_words(event: Term<'_>) -> Option<String> {
    let tuple = event.as_tuple()?;
    let part = |at| tuple.get(at);
    let (first, second) = (part(1)?, part(2)?);
    let tag = part(0)?.as_atom()?.as_str();
    Some(match (tag, part(3)) {
        ("in", None) => format!("receive {} in state {second}", what(first)),
        ("out", None) => format!("send {first} to {}", second.as_tuple()?.get(0)?),
        ("enter" | "start_timer" | "terminate", None) => format!("{tag} {first} in state {second}"),
        ("postpone" | "consume", Some(next)) if next == second => {
            format!("{tag} {} in state {second}", what(first))
        }
        ("postpone" | "consume", Some(next)) => {
            format!("{tag} {} in state {second} => {next}", what(first))
        }
        _ => return None,
    })
}

/// `{Type, Content}` in words.
fn what(event: Term<'_>) -> String {
    let words = || {
        let event = event.as_tuple().filter(|event| event.len() == 2)?;
        let (event_type, content) = (event.get(0)?, event.get(1)?);
        let call = event_type.as_tuple().filter(|call| call.len() == 2);
        let from = call.and_then(|call| match call.get(0)?.as_atom() {
            Some(tag) if tag.as_str() == "call" => call.get(1)?.as_tuple()?.get(0),
            _ => None,
        });
        Some(match from {
            Some(from) => format!("call {content} from {from}"),
            None => format!("{event_type} {content}"),
        })
    };
    words().unwrap_or_else(|| event.to_string())
}
