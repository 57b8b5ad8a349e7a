//! The timeouts of a state machine.
//!
//! One is a timer of the VM, whose message is known by its reference, or a zero timeout: an event that waits here, in a
//! queue of its own, behind all others.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use otp_vm::{Context, Due, Message, OwnedTerm, RandomState, Ref, TimerError, atoms};
use serde::Serialize;

use super::TimeoutType;
use super::returns::{SetTimeout, When};
use crate::vm_made::MapByVmMade;

/// What runs, and what is due.
pub(super) struct Timers<N> {
    event: Option<Timer>,
    state: Option<Timer>,
    // Few machines have any.
    generic: Option<Box<Generic<N>>>,
    /// Zero timeouts, in the order in which they were started.
    due: VecDeque<TimeoutType<N>>,
}

struct Timer {
    /// The VM's timer; none: a zero timeout.
    reference: Option<Ref>,
    content: OwnedTerm,
}

struct Generic<N> {
    timers: HashMap<N, Timer, RandomState>,
    names: MapByVmMade<Ref, N>,
}

impl<N> Timers<N> {
    pub(super) fn new() -> Self {
        Self {
            event: None,
            state: None,
            generic: None,
            due: VecDeque::new(),
        }
    }

    /// Whether none runs or is due.
    pub(super) fn is_empty(&self) -> bool {
        let generic = self.generic.as_ref();
        self.event.is_none()
            && self.state.is_none()
            && generic.is_none_or(|generic| generic.timers.is_empty())
    }
}

/// The reference of `{timeout, Ref, _}`.
fn reference_of(message: &Message) -> Option<Ref> {
    let tuple = message.term().as_tuple().filter(|tuple| tuple.len() == 3)?;
    match tuple.get(0)?.as_atom()? {
        atoms::TIMEOUT => tuple.get(1)?.as_ref(),
        _ => None,
    }
}

impl<N: Clone + Eq + Hash + Serialize> Timers<N> {
    /// The timeout that a message says is over, if it is of one that runs.
    pub(super) fn fired(&mut self, message: &Message) -> Option<(TimeoutType<N>, OwnedTerm)> {
        let reference = reference_of(message)?;
        let is_it = |timer: &Option<Timer>| {
            let timer = timer.as_ref();
            timer.is_some_and(|timer| timer.reference == Some(reference))
        };
        let timeout = if is_it(&self.event) {
            TimeoutType::Timeout
        } else if is_it(&self.state) {
            TimeoutType::StateTimeout
        } else {
            TimeoutType::Generic(self.generic.as_ref()?.names.get(&reference)?.clone())
        };
        let timer = self.take(&timeout)?;
        Some((timeout, timer.content))
    }

    /// The zero timeout whose turn it is.
    pub(super) fn next_due(&mut self) -> Option<(TimeoutType<N>, OwnedTerm)> {
        let timeout = self.due.front()?.clone();
        let timer = self.take(&timeout)?;
        Some((timeout, timer.content))
    }

    /// Those that run or are due, and their contents.
    pub(super) fn list(&self) -> Vec<(TimeoutType<&N>, &OwnedTerm)> {
        let event = self.event.iter().map(|timer| (TimeoutType::Timeout, timer));
        let state = self.state.iter();
        let state = state.map(|timer| (TimeoutType::StateTimeout, timer));
        let generic = self.generic.iter().flat_map(|generic| &generic.timers);
        let generic = generic.map(|(name, timer)| (TimeoutType::Generic(name), timer));
        let all = event.chain(state).chain(generic);
        all.map(|(timeout, timer)| (timeout, &timer.content))
            .collect()
    }

    /// Does what the actions of one transition say, in their order; of several of a type the last one counts.
    pub(super) async fn set(
        &mut self,
        cx: &mut Context,
        actions: Vec<(TimeoutType<N>, SetTimeout)>,
    ) -> Result<(), TimerError> {
        let last = |at: usize, timeout: &TimeoutType<N>| {
            actions[at + 1..].iter().all(|(later, _)| later != timeout)
        };
        let counts: Vec<bool> = actions
            .iter()
            .enumerate()
            .map(|(at, (timeout, _))| last(at, timeout))
            .collect();
        for ((timeout, action), counts) in actions.into_iter().zip(counts) {
            if !counts {
                continue;
            }
            match action {
                SetTimeout::Start(When::Infinity, _) | SetTimeout::Cancel => {
                    self.cancel(cx, &timeout).await;
                }
                SetTimeout::Start(When::After(after), content) if after.is_zero() => {
                    self.cancel(cx, &timeout).await;
                    self.make_due(timeout, content);
                }
                SetTimeout::Start(when, content) => {
                    self.cancel(cx, &timeout).await;
                    self.start(cx, timeout, when, content)?;
                }
                SetTimeout::Update(content) => match self.get_mut(&timeout) {
                    Some(timer) => timer.content = content,
                    None => self.make_due(timeout, content),
                },
            }
        }
        Ok(())
    }

    /// Cancels one, if it runs or is due. Nothing of it comes after that.
    pub(super) async fn cancel(&mut self, cx: &mut Context, timeout: &TimeoutType<N>) {
        let Some(timer) = self.take(timeout) else {
            return;
        };
        if let Some(reference) = timer.reference
            && cx.cancel_timer(reference).is_none()
        {
            // It has fired: its message is there, and is nobody's now.
            let is_it =
                |message: &Message| (reference_of(message) == Some(reference)).then_some(());
            cx.receive_where(std::time::Duration::ZERO, is_it).await;
        }
    }

    fn start(
        &mut self,
        cx: &Context,
        timeout: TimeoutType<N>,
        when: When,
        content: OwnedTerm,
    ) -> Result<(), TimerError> {
        let due = match when {
            When::After(after) => Due::After(after),
            When::At(at) => Due::At(at),
            When::Infinity => return Ok(()),
        };
        let reference = cx.start_timer(due, cx.pid(), &timeout)?;
        if let TimeoutType::Generic(name) = &timeout {
            self.generic().names.insert(reference, name.clone());
        }
        let reference = Some(reference);
        self.insert(timeout, Timer { reference, content });
        Ok(())
    }

    fn make_due(&mut self, timeout: TimeoutType<N>, content: OwnedTerm) {
        self.due.push_back(timeout.clone());
        let reference = None;
        self.insert(timeout, Timer { reference, content });
    }

    fn insert(&mut self, timeout: TimeoutType<N>, timer: Timer) {
        match timeout {
            TimeoutType::Timeout => self.event = Some(timer),
            TimeoutType::StateTimeout => self.state = Some(timer),
            TimeoutType::Generic(name) => {
                self.generic().timers.insert(name, timer);
            }
        }
    }

    fn take(&mut self, timeout: &TimeoutType<N>) -> Option<Timer> {
        let timer = match timeout {
            TimeoutType::Timeout => self.event.take(),
            TimeoutType::StateTimeout => self.state.take(),
            TimeoutType::Generic(name) => {
                let generic = self.generic.as_mut()?;
                let timer = generic.timers.remove(name);
                if let Some(reference) = timer.as_ref().and_then(|timer| timer.reference) {
                    generic.names.remove(&reference);
                }
                timer
            }
        }?;
        if timer.reference.is_none() {
            self.due.retain(|due| due != timeout);
        }
        Some(timer)
    }

    fn get_mut(&mut self, timeout: &TimeoutType<N>) -> Option<&mut Timer> {
        match timeout {
            TimeoutType::Timeout => self.event.as_mut(),
            TimeoutType::StateTimeout => self.state.as_mut(),
            TimeoutType::Generic(name) => self.generic.as_mut()?.timers.get_mut(name),
        }
    }

    fn generic(&mut self) -> &mut Generic<N> {
        self.generic.get_or_insert_with(|| {
            Box::new(Generic {
                timers: HashMap::default(),
                names: MapByVmMade::default(),
            })
        })
    }
}
