//! The handlers of a manager: each event to each of them, newest first; who fails is taken out.

use otp_vm::{Context, ExitReason, OwnedTerm, Pid, Term, to_term};

use super::install::{AnyHandler, Bad, Called, Happened, How, Make};
use super::{
    Answer, Event, GenEventExit, HandlerError, HandlerId, Init, Install, Next, Removed, Terminate,
    report,
};
use crate::r#gen::Name;
use crate::unwind::{Caught, caught};

/// A handler in its manager.
pub(super) struct Installed<E> {
    pub(super) id: HandlerId,
    pub(super) handler: AnyHandler<E>,
    /// Who is linked to the manager for its sake.
    pub(super) supervisor: Option<Pid>,
}

pub(super) struct Handlers<E> {
    /// Newest first, as OTP's.
    pub(super) list: Vec<Installed<E>>,
    /// The manager's name.
    pub(super) name: Option<Name>,
}

impl<E: Event> Handlers<E> {
    pub(super) fn new(name: Option<Name>) -> Self {
        Self {
            list: Vec::new(),
            name,
        }
    }

    pub(super) fn ids(&self) -> Vec<&HandlerId> {
        self.list.iter().map(|installed| &installed.id).collect()
    }

    /// Those who supervise a handler.
    pub(super) fn supervisors(&self) -> Vec<Pid> {
        let supervisors = self.list.iter();
        supervisors
            .filter_map(|installed| installed.supervisor)
            .collect()
    }

    pub(super) fn find(&self, id: &HandlerId) -> Option<&AnyHandler<E>> {
        self.position(id).map(|at| &self.list[at].handler)
    }

    pub(super) fn find_mut(&mut self, id: &HandlerId) -> Option<&mut AnyHandler<E>> {
        self.position(id).map(|at| &mut self.list[at].handler)
    }

    fn position(&self, id: &HandlerId) -> Option<usize> {
        self.list.iter().position(|installed| installed.id == *id)
    }

    fn supervised_by(&self, supervisor: Pid) -> Option<usize> {
        let is_its = |installed: &Installed<E>| installed.supervisor == Some(supervisor);
        self.list.iter().position(is_its)
    }

    /// Hands it to every handler. Gives whether the manager is to hibernate.
    pub(super) async fn handle(&mut self, happened: Happened<'_, E>, cx: &mut Context) -> bool {
        let (mut hibernate, mut at) = (false, 0);
        while let Some(installed) = self.list.get_mut(at) {
            let next = Caught(installed.handler.handle(happened, cx)).await;
            if let Some(wants) = self.settle(at, next, happened.term(), cx).await {
                hibernate |= wants;
                at += 1;
            }
        }
        hibernate
    }

    /// Asks one of them.
    pub(super) async fn call(
        &mut self,
        id: &HandlerId,
        request: Term<'_>,
        cx: &mut Context,
    ) -> (bool, Result<OwnedTerm, HandlerError>) {
        let Some(at) = self.position(id) else {
            return (false, Err(HandlerError::BadModule));
        };
        let called = Caught(self.list[at].handler.handle_call(request, cx)).await;
        let (next, answer) = match called {
            Ok(Called::Unknown(error)) => {
                report::unknown_call(cx, id, request, &error);
                let reason = ExitReason::new(&Bad::Call(error.to_string()));
                return (false, Err(HandlerError::Error(reason)));
            }
            Ok(Called::Answered(Answer::Error(reason) | Answer::Reply(_, Next::Error(reason)))) => {
                let error = HandlerError::Error(reason.clone());
                (Ok(Next::Error(reason)), Err(error))
            }
            Ok(Called::Answered(Answer::Reply(reply, next))) => (Ok(next), Ok(reply)),
            Err(reason) => (Err(reason.clone()), Err(HandlerError::Exit(reason))),
        };
        let hibernate = self.settle(at, next, request, cx).await;
        (hibernate.unwrap_or(false), answer)
    }

    /// Does what a handler wants next, or takes it out. Some: there is still one in its place, and whether that wants
    /// to hibernate.
    async fn settle(
        &mut self,
        at: usize,
        next: Result<Next<E>, ExitReason>,
        last: Term<'_>,
        cx: &mut Context,
    ) -> Option<bool> {
        let (why, removed) = match next {
            Ok(Next::Ok) => return Some(false),
            Ok(Next::Hibernate) => return Some(true),
            Ok(Next::Swap(args, with)) => {
                return self.swap_in_place(at, args, with, last, cx).await;
            }
            Ok(Next::Remove) => (Terminate::RemoveHandler, Removed::Normal),
            Ok(Next::Error(reason)) => (Terminate::Error(reason.clone()), Removed::Error(reason)),
            Err(reason) => (Terminate::Exit(reason.clone()), Removed::Exit(reason)),
        };
        // What became of `terminate` is told by its report.
        let _ = self.take_out(at, why, removed, Some(last), cx).await;
        None
    }

    /// A handler has another put in its place.
    async fn swap_in_place(
        &mut self,
        at: usize,
        args: OwnedTerm,
        Install { id, make }: Install<E>,
        last: Term<'_>,
        cx: &mut Context,
    ) -> Option<bool> {
        let supervisor = self.list[at].supervisor;
        let removed = Removed::Swapped(id.clone(), supervisor);
        let why = Terminate::Args(args.root());
        let old = self.take_out(at, why, removed, Some(last), cx).await;
        let made = Caught(make(How::Swapped(Some(left(old))), cx)).await;
        let (handler, hibernate) = match made.unwrap_or_else(Init::Error) {
            Init::Ok(handler) => (handler, false),
            Init::Hibernate(handler) => (handler, true),
            Init::Error(reason) => {
                report::not_swapped(cx, self.name.as_ref(), &id, last, &reason);
                // OTP's word for it.
                let crash = otp_vm::Atom::new("crash").map_or(reason, ExitReason::from);
                tell(cx, supervisor, id, Removed::Error(crash));
                return None;
            }
        };
        let installed = Installed {
            id,
            handler,
            supervisor,
        };
        self.list.insert(at, installed);
        Some(hibernate)
    }

    /// Adds a handler in front. Gives whether the manager is to hibernate.
    pub(super) async fn add(
        &mut self,
        id: HandlerId,
        make: Make<E>,
        how: How,
        supervisor: Option<Pid>,
        cx: &mut Context,
    ) -> Result<bool, HandlerError> {
        if let Some(supervisor) = supervisor {
            // The link stays when the handler goes: another may have the same supervisor.
            cx.link(supervisor);
        }
        let made = Caught(make(how, cx)).await.map_err(HandlerError::Exit)?;
        let (handler, hibernate) = match made {
            Init::Ok(handler) => (handler, false),
            Init::Hibernate(handler) => (handler, true),
            Init::Error(reason) => return Err(HandlerError::Error(reason)),
        };
        let installed = Installed {
            id,
            handler,
            supervisor,
        };
        self.list.insert(0, installed);
        Ok(hibernate)
    }

    /// Takes a handler out, and gives what its `terminate` gives.
    pub(super) async fn delete(
        &mut self,
        id: &HandlerId,
        args: Term<'_>,
        cx: &mut Context,
    ) -> Result<OwnedTerm, HandlerError> {
        let at = self.position(id).ok_or(HandlerError::ModuleNotFound)?;
        let ended = self.take_out(at, Terminate::Args(args), Removed::Normal, None, cx);
        ended.await.map_err(HandlerError::Exit)
    }

    /// Takes a handler out, if it is there, and adds another. `supervisor` is the new one's; None: the old one's.
    pub(super) async fn swap(
        &mut self,
        old: &HandlerId,
        args: Term<'_>,
        Install { id, make }: Install<E>,
        supervisor: Option<Pid>,
        cx: &mut Context,
    ) -> Result<bool, HandlerError> {
        let (how, supervisor) = match self.position(old) {
            None => (How::Swapped(None), supervisor),
            Some(at) => {
                let supervisor = supervisor.or(self.list[at].supervisor);
                let removed = Removed::Swapped(id.clone(), supervisor);
                let old = self.take_out(at, Terminate::Args(args), removed, None, cx);
                (How::Swapped(Some(left(old.await))), supervisor)
            }
        };
        self.add(id, make, how, supervisor, cx).await
    }

    /// Takes those out that a process supervised which has ended.
    pub(super) async fn supervisor_ended(
        &mut self,
        supervisor: Pid,
        reason: &ExitReason,
        cx: &mut Context,
    ) {
        while let Some(at) = self.supervised_by(supervisor) {
            let why = Terminate::StopReason(reason.clone());
            let _ = self.take_out(at, why, Removed::Shutdown, None, cx).await;
        }
    }

    /// Takes all of them out: the manager ends.
    pub(super) async fn stop(&mut self, cx: &mut Context) {
        while !self.list.is_empty() {
            let stopped = self.take_out(0, Terminate::Stop, Removed::Shutdown, None, cx);
            let _ = stopped.await;
        }
    }

    /// Ends one: `terminate`, then the report of a failure, then its supervisor is told.
    async fn take_out(
        &mut self,
        at: usize,
        why: Terminate<'_>,
        removed: Removed,
        last: Option<Term<'_>>,
        cx: &mut Context,
    ) -> Result<OwnedTerm, ExitReason> {
        let Installed {
            id,
            mut handler,
            supervisor,
        } = self.list.remove(at);
        let mut ended = Caught(handler.terminate(why, cx)).await;
        if removed.is_failure() {
            report::terminated(cx, self.name.as_ref(), &id, &*handler, last, &removed);
        }
        // Its destructor is the program's code as well.
        if let Err(reason) = caught(|| drop(handler)) {
            ended = Err(reason);
        }
        if let Err(reason) = &ended {
            report::terminate_failed(cx, &id, reason);
        }
        tell(cx, supervisor, id, removed);
        ended
    }
}

/// What a handler leaves to the one in its place: what its `terminate` gave, or `{'EXIT', Reason}`.
fn left(ended: Result<OwnedTerm, ExitReason>) -> OwnedTerm {
    ended.unwrap_or_else(|reason| {
        to_term(&HandlerError::Exit(reason)).unwrap_or_else(|_| otp_vm::atoms::ERROR.into())
    })
}

/// Tells the supervisor that its handler is gone.
fn tell(cx: &Context, supervisor: Option<Pid>, handler: HandlerId, reason: Removed) {
    if let Some(supervisor) = supervisor {
        // One whose mailbox refuses it is told of that by its own limit.
        let _ = cx.send(supervisor, &GenEventExit { handler, reason });
    }
}
