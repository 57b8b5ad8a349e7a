//! What becomes of an event when its callback has returned: state enter calls, actions, the order of what comes next.

use otp_vm::{Context, ExitReason, OwnedTerm};

use super::event::Queued;
use super::machine::{Handled, Handling, Machine, Wait};
use super::returns::{Action, Actions, Kind, SetTimeout, Transition, bad_action, bad_reply_action};
use super::{EventType, GenStatem, TimeoutType};

/// What the actions of a transition, and of the state enter calls on its way, leave to be done at its end.
struct Noted<N> {
    postpone: bool,
    wait: Wait,
    next_events: Vec<(EventType<N>, OwnedTerm)>,
    timeouts: Vec<(TimeoutType<N>, SetTimeout)>,
}

impl<N> Noted<N> {
    fn new() -> Self {
        Self {
            postpone: false,
            wait: Wait::Plainly,
            next_events: Vec::new(),
            timeouts: Vec::new(),
        }
    }

    /// Whether nothing is left to be done but to wait for a message.
    fn is_plain(&self) -> bool {
        !self.postpone && self.next_events.is_empty() && self.timeouts.is_empty()
    }
}

impl<M: GenStatem> Machine<M> {
    /// The first of all transitions: into the state that `init` gave.
    pub(super) fn enter<'a>(
        &'a mut self,
        cx: &'a mut Context,
        actions: Actions<M>,
    ) -> Handling<'a> {
        let kind = Kind::Repeat;
        Box::pin(self.settle(cx, Transition { kind, actions }))
    }

    /// Does what most callbacks return, of a machine that has nothing waiting: to keep the state, and perhaps a reply.
    /// Gives anything else back.
    #[inline]
    pub(super) fn settle_plainly(
        &mut self,
        cx: &Context,
        transition: Transition<M>,
    ) -> Result<Handled, Transition<M>> {
        if self.rare.is_some() || !matches!(transition.kind, Kind::Keep) {
            return Err(transition);
        }
        let replied = match transition.actions.only() {
            Some(None) => Ok(()),
            Some(Some(Action::Reply(from, reply))) => from.reply(cx, reply),
            _ => return Err(transition),
        };
        Ok(match replied {
            Ok(()) => {
                self.current = None;
                Ok(Wait::Plainly)
            }
            Err(error) => Err(bad_action("reply", &error)),
        })
    }

    /// Does what the current event's callback has returned.
    pub(super) async fn settle(&mut self, cx: &mut Context, transition: Transition<M>) -> Handled {
        let mut noted = Noted::new();
        let mut next = None;
        let mut transition = transition;
        loop {
            let enters = match transition.kind {
                Kind::Keep => false,
                Kind::Repeat => true,
                Kind::Next(state) => {
                    let differs = state != self.state_data.0;
                    next = Some(state);
                    differs
                }
                Kind::Stop(reason) => {
                    self.go_to(next);
                    let replied = self.last_replies(cx, transition.actions);
                    return Err(replied.err().unwrap_or(reason));
                }
            };
            if let Err(reason) = self.act(cx, &mut noted, transition.actions, next.as_ref()) {
                self.go_to(next);
                return Err(reason);
            }
            if !enters {
                break;
            }
            // The state is the old one until all went well, as in OTP: what fails meanwhile fails in there.
            let (old, data) = &mut self.state_data;
            let old = &*old;
            let state = next.as_ref().unwrap_or(old);
            transition = data.state_enter(state, old, cx).await.0;
        }
        self.tell_settled(cx, noted.postpone, next.as_ref());
        let changed = self.go_to(next);
        if noted.is_plain() && self.rare.is_none() {
            self.current = None;
            return Ok(noted.wait);
        }
        self.arrange(cx, noted, changed).await
    }

    /// Sends replies, and notes the rest for the end.
    fn act(
        &mut self,
        cx: &Context,
        noted: &mut Noted<M::TimeoutName>,
        actions: Actions<M>,
        next: Option<&M::State>,
    ) -> Result<(), ExitReason> {
        for action in actions {
            match action {
                Action::Reply(from, reply) => self
                    .reply(cx, from, &reply)
                    // The caller would wait for nothing: it is to learn why.
                    .map_err(|error| bad_action("reply", &error))?,
                Action::Postpone(postpone) => noted.postpone = postpone,
                Action::Hibernate(true) => noted.wait = Wait::Hibernated,
                Action::Hibernate(false) => noted.wait = Wait::Plainly,
                Action::NextEvent(event_type, content) => {
                    self.tell_next_event(cx, &event_type, &content, next);
                    noted.next_events.push((event_type, content));
                }
                Action::Timeout(timeout, set) => noted.timeouts.push((timeout, set)),
                Action::Bad(reason) => return Err(reason),
            }
        }
        Ok(())
    }

    /// The replies of one that ends. Its other actions have no meaning.
    fn last_replies(&mut self, cx: &Context, actions: Actions<M>) -> Result<(), ExitReason> {
        for action in actions {
            if let Action::Reply(from, reply) = action {
                let replied = self.reply(cx, from, &reply);
                replied.map_err(|error| bad_reply_action(&error))?;
            }
        }
        Ok(())
    }

    /// Whether it is another than before.
    fn go_to(&mut self, next: Option<M::State>) -> bool {
        let Some(next) = next else {
            return false;
        };
        let changed = next != self.state_data.0;
        self.state_data.0 = next;
        changed
    }

    /// Puts timeouts and events into their places.
    async fn arrange(
        &mut self,
        cx: &mut Context,
        noted: Noted<M::TimeoutName>,
        changed: bool,
    ) -> Handled {
        self.tell_timeouts(cx, &noted.timeouts);
        let timers = &mut self.rare().timers;
        if changed {
            timers.cancel(cx, &TimeoutType::StateTimeout).await;
        }
        timers.cancel(cx, &TimeoutType::Timeout).await;
        if !noted.timeouts.is_empty() {
            let set = timers.set(cx, noted.timeouts).await;
            set.map_err(|error| bad_action("timeout", &error))?;
        }
        let current = self.current.take();
        let rare = self.rare();
        if noted.postpone {
            // None is there when the first state is entered: there is nothing to postpone.
            rare.postponed.extend(current);
        }
        if changed {
            while let Some(event) = rare.postponed.pop_back() {
                rare.queue.push_front(event);
            }
        }
        for (event_type, content) in noted.next_events.into_iter().rev() {
            rare.queue.push_front(Queued::Own(event_type, content));
        }
        Ok(noted.wait)
    }
}
