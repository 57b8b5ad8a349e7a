//! A manager in the hands of `sys`: what its handlers show, and what is done to their states.

use std::any::Any;

use otp_vm::{BoxFuture, Context, ExitReason, OwnedTerm, Term, atoms};
use serde::Serialize;

use super::handlers::{Handlers, Installed};
use super::install::Erased;
use super::{Event, EventHandler, EventManagerRef, FormatStatus, Handler, HandlerId};
use crate::sys::{self, Shown, SysCall, System, SystemEvent};
use crate::unwind::caught;

impl<E: Event> System for Handlers<E> {
    fn module(&self) -> &'static str {
        "gen_event"
    }

    fn name(&self, cx: &Context) -> OwnedTerm {
        match &self.name {
            Some(name) => name.to_term(),
            None => sys::name_of(cx),
        }
    }

    /// `[{Module, Id, State}]`. A handler that can't show its state does not keep the others from it.
    fn get_state(&self) -> OwnedTerm {
        let states = self.list.iter().map(|Installed { id, handler, .. }| {
            let state = caught(|| handler.system_get_state());
            let state = state.unwrap_or_else(|_| sys::text("system_get_state crashed"));
            (id.module(), id_term(id), state)
        });
        sys::term(&states.collect::<Vec<_>>())
    }

    /// All handlers: [`EventManagerRef::inspect`] finds the one.
    fn state(&mut self) -> &mut dyn Any {
        self
    }

    fn format_status(&mut self, cx: &Context, shown: Shown) -> OwnedTerm {
        #[derive(Serialize)]
        enum Item<'a> {
            Header(String),
            Data(Vec<(&'a str, OwnedTerm)>),
            Items((&'a str, Vec<OwnedTerm>)),
        }
        let name = System::name(self, cx);
        // What one of them makes of the log, the next one gets.
        let (mut log, mut handlers) = (shown.log, Vec::new());
        for Installed {
            id,
            handler,
            supervisor,
        } in &self.list
        {
            let status = FormatStatus::of_handler(&**handler, None, None, log);
            log = status.log;
            let supervisor =
                supervisor.map_or(OwnedTerm::from(atoms::FALSE), |pid| sys::term(&pid));
            handlers.push(sys::term(&(
                sys::atom("handler"),
                id.module(),
                id_term(id),
                status.state,
                supervisor,
            )));
        }
        sys::term(&vec![
            Item::Header(format!("Status for event handler {name}")),
            Item::Data(vec![
                ("Status", sys::term(&shown.state)),
                ("Logged Events", sys::term(&log)),
                ("Parent", sys::term(&shown.parent)),
            ]),
            Item::Items(("Installed handlers", handlers)),
        ])
    }

    /// Of all handlers of that module; the first that refuses ends it.
    fn code_change<'a>(
        &'a mut self,
        cx: &'a mut Context,
        module: OwnedTerm,
        old_version: OwnedTerm,
        extra: OwnedTerm,
    ) -> BoxFuture<'a, Result<(), ExitReason>> {
        Box::pin(async move {
            for Installed { id, handler, .. } in &mut self.list {
                if module.root().as_atom() == Some(id.module()) {
                    let (old_version, extra) = (sys::term(&old_version), sys::term(&extra));
                    handler.code_change(old_version, extra, cx).await?;
                }
            }
            Ok(())
        })
    }

    fn format_event(&self, name: &OwnedTerm, event: &SystemEvent) -> String {
        match event {
            SystemEvent::In(message) => in_words(name, message.root())
                .unwrap_or_else(|| format!("*DBG* {name} got {message}")),
            event => event.format(name),
        }
    }
}

impl<E: Event> EventManagerRef<E> {
    /// What `look` makes of a handler's state, in the manager's process; None: there is no such handler. The state need
    /// not be a term: see [`sys::inspect`]. `sys:get_state/1,2`.
    ///
    /// ```
    /// # use otp_stdlib::gen_event::{EventHandler, EventManager, Handler, Init, Next};
    /// # use otp_stdlib::prelude::*;
    /// # use otp_vm::{Context, Vm};
    /// struct Sum(u64);
    ///
    /// impl EventHandler for Sum {
    ///     // …
    /// #     type Event = u64;
    /// #     type Args = ();
    /// #     type Call = NoMessage;
    /// #     type Reply = NoMessage;
    /// #     type Info = NoMessage;
    /// #
    /// #     async fn init(_: (), _cx: &mut Context) -> Init<Self> {
    /// #         Init::ok(Sum(0))
    /// #     }
    /// #
    ///     async fn handle_event(&mut self, event: &u64, _cx: &mut Context) -> Next<u64> {
    ///         self.0 += event;
    ///         Next::ok()
    ///     }
    /// }
    ///
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(async |mut cx: Context| {
    /// let (manager, sum) = (EventManager::start(&mut cx).await.unwrap(), Handler::<Sum>::new());
    /// manager.add_handler(&mut cx, sum.clone(), ()).await.unwrap();
    /// manager.notify(&cx, &40).unwrap();
    /// let seen = manager.inspect(&sum, |sum| sum.0).call(&mut cx).await;
    /// assert_eq!(seen, Ok(Some(40)));
    /// manager.replace_state(&sum, |sum| Sum(sum.0 + 2)).call(&mut cx).await.unwrap();
    /// assert_eq!(manager.inspect(&sum, |sum| sum.0).call(&mut cx).await, Ok(Some(42)));
    /// # });
    /// # run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn inspect<H, R, F>(&self, handler: &Handler<H>, look: F) -> SysCall<Option<R>>
    where
        H: EventHandler<Event = E>,
        R: Send + 'static,
        F: FnOnce(&H) -> R + Send + 'static,
    {
        let id = handler.id().clone();
        sys::inspect(self.target().clone(), move |handlers: &Handlers<E>| {
            let handler: &dyn Any = &**handlers.find(&id)?;
            handler.downcast_ref().map(look)
        })
    }

    /// Replaces a handler's state by what `replace` makes of it, and gives all states as [`sys::get_state`] does. All
    /// stays if there is no such handler, and if `replace` panics. `sys:replace_state/2,3`.
    ///
    /// For the debugging of a running system, as OTP's: nobody else knows of the change.
    pub fn replace_state<H, F>(&self, handler: &Handler<H>, replace: F) -> SysCall<OwnedTerm>
    where
        H: EventHandler<Event = E>,
        F: FnOnce(&H) -> H + Send + 'static,
    {
        let id = handler.id().clone();
        sys::change_state(self.target().clone(), move |handlers: &mut Handlers<E>| {
            let Some(handler) = handlers.find_mut(&id) else {
                return;
            };
            let handler: &mut dyn Any = &mut **handler;
            if let Some(state) = handler.downcast_mut() {
                // As in OTP, a function that fails is passed over.
                let _ = caught(|| *state = replace(state));
            }
        })
    }
}

/// The id of a handler that has none is `false`.
fn id_term(id: &HandlerId) -> OwnedTerm {
    id.id().map_or(OwnedTerm::from(atoms::FALSE), sys::term)
}

/// A message, as `gen_event` prints it; nothing, if it is neither an event nor a call.
fn in_words(name: &OwnedTerm, message: Term<'_>) -> Option<String> {
    let message = message.as_tuple()?;
    let part = |at| message.get(at);
    if message.len() == 2 && part(0)?.as_atom()?.as_str() == "notify" {
        return Some(format!("*DBG* {name} got event {}", part(1)?));
    }
    let call = part(2)?.as_tuple().filter(|call| call.len() == 3)?;
    let is_call = message.len() == 3 && call.get(0)?.as_atom()?.as_str() == "call";
    let (handler, request) = (call.get(1)?, call.get(2)?);
    is_call.then(|| format!("*DBG* {name}({handler}) got call {request}"))
}

impl FormatStatus {
    /// What a handler makes of it.
    pub(super) fn of_handler<E: Event>(
        handler: &dyn Erased<E>,
        message: Option<OwnedTerm>,
        reason: Option<ExitReason>,
        log: Vec<OwnedTerm>,
    ) -> Self {
        Self::made(
            handler.type_name(),
            (message, reason, log),
            || handler.system_get_state(),
            |status| handler.format_status(status),
        )
    }
}
