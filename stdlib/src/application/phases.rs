//! Phases of a start: OTP's `application_starter`.

use std::sync::Arc;

use otp_vm::{Atom, Context, ExitReason};

use super::StartType;
use super::callback::atom;
use super::spec::ApplicationSpec;
use crate::supervisor::BoxFuture;

/// Runs all phases of an application, in order. `included` are those that are included, near and far.
///
/// # Errors
/// The reason of the first that failed.
pub(super) async fn run(
    spec: &ApplicationSpec,
    included: &[Arc<ApplicationSpec>],
    start_type: StartType,
    cx: &mut Context,
) -> Result<(), ExitReason> {
    for &(phase, _) in spec.phases.iter().flatten() {
        run_phase(spec, included, &[], (phase, start_type), cx).await?;
    }
    Ok(())
}

/// Runs one phase of an application; and then of those that it includes, if it says so. `above` are those that include
/// it: one that includes itself in the end has its turn once. (OTP's goes round for ever.)
fn run_phase<'a>(
    spec: &'a ApplicationSpec,
    included: &'a [Arc<ApplicationSpec>],
    above: &'a [Atom],
    (phase, start_type): (Atom, StartType),
    cx: &'a mut Context,
) -> BoxFuture<'a, Result<(), ExitReason>> {
    Box::pin(async move {
        let Some(callbacks) = &spec.callbacks else {
            return Ok(());
        };
        let Some(phases) = &spec.phases else {
            let undefined = (atom("start_phases_undefined"), spec.name);
            return Err(ExitReason::new(&undefined));
        };
        // One that it does not know concerns those below it.
        if let Some((_, args)) = phases.iter().find(|(name, _)| *name == phase) {
            let done = callbacks.start_phase(phase, start_type, args, cx).await;
            done.map_err(|failure| {
                failure.of_phase(callbacks.module(), (phase, start_type, args))
            })?;
        }
        if spec.starts_included {
            let above = [above, &[spec.name]].concat();
            for name in &spec.included {
                let found = included.iter().find(|spec| spec.name == *name);
                if let Some(spec) = found.filter(|spec| !above.contains(&spec.name)) {
                    run_phase(spec, included, &above, (phase, start_type), cx).await?;
                }
            }
        }
        Ok(())
    })
}
