//! Dynamic supervisors whose flags a callback gives, at the start and when the code is changed.

use std::fmt;
use std::sync::Arc;

use otp_vm::{BoxFuture, Context, ExitReason, atoms};

use super::{DynamicSupervisor, DynamicSupervisorFlags, Reason};
use crate::gen_server::{GenServer, Start};
use crate::supervisor::Intensity;

/// A dynamic supervisor of one's own: Elixir's behaviour `DynamicSupervisor`.
///
/// ```
/// use otp_stdlib::dynamic_supervisor::{DynamicInit, SuperviseDynamic};
/// use otp_stdlib::prelude::*;
/// use otp_vm::{Context, Vm};
///
/// struct Sessions;
///
/// impl SuperviseDynamic for Sessions {
///     type Args = u64;
///
///     async fn init(most: &u64, _cx: &mut Context) -> DynamicInit {
///         DynamicInit::Ok(DynamicSupervisorFlags::new().max_children(*most))
///     }
/// }
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let run = vm.run(async |mut cx: Context| {
///     let sessions = DynamicSupervisor::start_link_with::<Sessions>(&mut cx, 100).name("sessions");
///     sessions.await.unwrap();
/// });
/// run.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SuperviseDynamic: 'static {
    /// What `init` gets. It is kept, for a change of code.
    type Args: Send + Sync + 'static;

    /// Gives the flags. `init/1`. It runs in the supervisor's process, and may run again, when the code is changed.
    fn init(args: &Self::Args, cx: &mut Context) -> impl Future<Output = DynamicInit> + Send;
}

/// What [`SuperviseDynamic::init`] gives.
#[derive(Debug)]
pub enum DynamicInit {
    /// `{:ok, flags}`.
    Ok(DynamicSupervisorFlags),
    /// `:ignore`: the supervisor ends with `normal`, and the start gives
    /// [`StartError::Ignore`](crate::StartError::Ignore). In a change of code nothing changes.
    Ignore,
    /// The supervisor ends with this reason. In a change of code nothing changes, and this is the error.
    Stop(ExitReason),
}

type Init = dyn for<'a> Fn(&'a mut Context) -> BoxFuture<'a, DynamicInit> + Send + Sync;

/// Where flags come from.
#[derive(Clone)]
pub(super) struct Callback(Arc<Init>);

impl Callback {
    fn of<S: SuperviseDynamic>(args: S::Args) -> Self {
        let args = Arc::new(args);
        Self(Arc::new(move |cx| {
            let args = Arc::clone(&args);
            Box::pin(async move { S::init(&args, cx).await })
        }))
    }

    pub(super) async fn init(&self, cx: &mut Context) -> DynamicInit {
        (self.0)(cx).await
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Callback")
    }
}

impl DynamicSupervisor {
    /// As [`start_link`](Self::start_link), with the flags that a callback gives. `DynamicSupervisor.start_link/3`.
    pub fn start_link_with<S: SuperviseDynamic>(
        cx: &mut Context,
        args: S::Args,
    ) -> Start<'_, Self> {
        let mut flags = DynamicSupervisorFlags::new();
        flags.callback = Some(Callback::of::<S>(args));
        <Self as GenServer>::start_link(cx, flags)
    }

    /// Calls the callback again, and takes on what it gives. What runs runs on.
    pub(super) async fn take_on(&mut self, cx: &mut Context) -> Result<(), ExitReason> {
        let Some(callback) = self.callback.clone() else {
            return Err(ExitReason::from(atoms::UNDEF));
        };
        let flags = match callback.init(cx).await {
            DynamicInit::Ok(flags) => flags,
            DynamicInit::Ignore => return Ok(()),
            DynamicInit::Stop(reason) => return Err(reason),
        };
        let intensity = Intensity::new(flags.max_restarts, flags.period)
            .map_err(|error| ExitReason::new(&Reason::SupervisorData(error)))?;
        self.intensity = self.intensity.take_over(intensity);
        self.max_children = flags.max_children;
        self.extra_arguments = flags.extra_arguments;
        Ok(())
    }
}
