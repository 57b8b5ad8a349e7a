//! How a process of a behaviour begins: by a start, or because another process becomes one.

use otp_vm::{Context, ExitReason, HOST, Pid, Timeout};

use super::{Name, New, parent};
use crate::proc_lib::{Refusal, Starter};
use crate::sys::{Control, DebugOption};

/// What a process of a behaviour has before its state.
pub(crate) struct Origin {
    /// Whose exit signal ends it, whatever its callbacks would say.
    pub(crate) parent: Pid,
    /// The name that it has taken.
    pub(crate) name: Option<Name>,
    /// How long it waits before it hibernates.
    pub(crate) hibernate_after: Timeout,
    /// What `sys` keeps of it, if it has debug options.
    pub(crate) control: Option<Control>,
}

/// Why a process has no state to begin with.
pub(crate) enum NoState {
    Ignore,
    Stop(ExitReason),
    Error(ExitReason),
}

impl Origin {
    /// Of a process that was started: takes its name.
    ///
    /// # Errors
    /// The reason to end with; the starter knows.
    pub(crate) async fn of_start<A>(
        cx: &mut Context,
        new: New<A>,
    ) -> Result<(Starter, A, Self), ExitReason> {
        let starter = Starter::receive(cx).await;
        if let Some(name) = &new.name
            && let Err(refusal) = name.register(cx).await
        {
            starter.init_fail(cx, refusal);
            return Err(ExitReason::normal());
        }
        let parent = if new.linked { starter.parent() } else { HOST };
        let origin = Self {
            parent,
            name: new.name,
            hibernate_after: new.hibernate_after,
            control: Control::of_start(cx, parent, new.debug),
        };
        Ok((starter, new.args, origin))
    }

    /// Ends a start that came to nothing: gives the reason to end with.
    pub(crate) fn fail(self, cx: &mut Context, starter: Starter, why: NoState) -> ExitReason {
        // The name is free when the starter learns of it, whoever keeps it.
        if let Some(name) = self.name {
            name.unregister(cx);
        }
        let refusal = match why {
            NoState::Ignore => Refusal::Ignore,
            NoState::Error(reason) => Refusal::Error(reason),
            // The starter learns the reason from the end of the process itself.
            NoState::Stop(reason) => return reason,
        };
        starter.init_fail(cx, refusal);
        ExitReason::normal()
    }
}

/// A process that becomes one of a behaviour: the options of `enter_loop`.
pub(crate) struct Entering {
    pub(crate) cx: Context,
    pub(crate) name: Option<Name>,
    pub(crate) hibernate_after: Timeout,
    pub(crate) debug: Vec<DebugOption>,
}

impl Entering {
    pub(crate) fn new(cx: Context) -> Self {
        Self {
            cx,
            name: None,
            hibernate_after: Timeout::Infinity,
            debug: Vec::new(),
        }
    }

    /// # Errors
    /// The reason to end with: it has not the name that it says, or was not started by `proc_lib`.
    pub(crate) fn begin(self) -> Result<(Context, Origin), ExitReason> {
        let Self {
            cx,
            name,
            hibernate_after,
            debug,
        } = self;
        if let Some(name) = &name {
            name.check(&cx)?;
        }
        let parent = parent(&cx)?;
        let control = Control::of_start(&cx, parent, debug);
        let origin = Origin {
            parent,
            name,
            hibernate_after,
            control,
        };
        Ok((cx, origin))
    }
}

/// The options that all of these have: of a builder with a field `entering`.
macro_rules! entering {
    () => {
        /// The name that the process has taken: it is looked at whether it is so.
        pub fn name(mut self, name: $crate::r#gen::Name) -> Self {
            self.entering.name = Some(name);
            self
        }

        /// Hibernates the process whenever no message came for so long. `{hibernate_after, Time}`.
        pub fn hibernate_after(mut self, after: impl Into<otp_vm::Timeout>) -> Self {
            self.entering.hibernate_after = after.into();
            self
        }

        /// With these options the process is looked at from now on. `{debug, Options}`.
        pub fn debug(
            mut self,
            options: impl IntoIterator<Item = $crate::sys::DebugOption>,
        ) -> Self {
            self.entering.debug = options.into_iter().collect();
            self
        }
    };
}

pub(crate) use entering;
