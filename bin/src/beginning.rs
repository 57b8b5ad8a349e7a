//! A process module as an application: its tree is what its `start` gives, or the one process that runs its `run`.

use otp_stdlib::application::{Application, ApplicationSpec, StartType};
use otp_stdlib::prelude::StartError;
use otp_vm::{ApplyError, Call, Context, ExitReason, Pid, SpawnOptions, from_term};
use serde::Serialize;

/// A call of a module's function, which begins a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Beginning {
    call: Call,
    way: Way,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Way {
    /// `run`.
    Process,
    /// `start`.
    Tree,
}

impl Beginning {
    pub(crate) fn new(call: Call, way: Way) -> Self {
        Self { call, way }
    }

    /// The application that does this.
    pub(crate) fn application(&self, spec: ApplicationSpec) -> ApplicationSpec {
        spec.module::<Begun>(self.clone())
    }

    /// With what a process ends, or a start, whose function does not take these arguments.
    pub(crate) fn refusal(&self) -> ExitReason {
        ExitReason::from(ApplyError::FunctionClause {
            call: Box::new(self.call.clone()),
            error: serde::de::Error::custom("the reason doesn't tell"),
        })
    }

    /// Makes the call, and gives the topmost process, which is linked with the caller.
    async fn begin(self, cx: &mut Context) -> Result<Pid, ExitReason> {
        let mfa = self.call.mfa();
        match self.way {
            Way::Process => {
                let options = SpawnOptions::new().link().label(mfa.module.as_str());
                let spawned = cx.spawn_opt(options, self.call.body());
                spawned.map(|spawned| spawned.pid).map_err(ExitReason::from)
            }
            Way::Tree => {
                let started = match cx.apply_call(self.call).await {
                    Ok(started) => started,
                    Err(error) => {
                        tracing::error!(%error, "the module's start could not be called");
                        return Err(error.into());
                    }
                };
                let top = from_term::<Result<Pid, ExitReason>>(started.root());
                top.unwrap_or_else(|error| {
                    let text = format!(
                        "{mfa} gave {started}, and not {{ok, Pid}} or {{error, Reason}}: {error}"
                    );
                    Err(ExitReason::from(text))
                })
            }
        }
    }
}

/// What such an application keeps: nothing.
struct Begun;

impl Application for Begun {
    type Args = Beginning;

    async fn start(
        _: StartType,
        beginning: Beginning,
        cx: &mut Context,
    ) -> Result<(Pid, Self), StartError> {
        let top = beginning.begin(cx).await.map_err(StartError::Exit)?;
        Ok((top, Begun))
    }
}
