//! Phases of a start: OTP's `application_starter`.

use std::sync::Arc;

use otp_vm::{Atom, Context, ExitReason};

use super::StartType;
use super::callback::atom;
use super::spec::ApplicationSpec;

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
        run_phase(spec, included, (phase, start_type), cx).await?;
    }
    Ok(())
}

/// Runs one phase of an application; and then of those that it includes, if it says so. Each has its turn once, though
/// they include each other. (OTP's go round for ever then.)
async fn run_phase(
    spec: &ApplicationSpec,
    included: &[Arc<ApplicationSpec>],
    (phase, start_type): (Atom, StartType),
    cx: &mut Context,
) -> Result<(), ExitReason> {
    let mut had_turn = Vec::new();
    let mut next = vec![spec];
    while let Some(spec) = next.pop() {
        if had_turn.contains(&spec.name) {
            continue;
        }
        had_turn.push(spec.name);
        let Some(callbacks) = &spec.callbacks else {
            continue;
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
            let below = spec.included.iter().rev();
            let found = below.filter_map(|name| included.iter().find(|spec| spec.name == *name));
            next.extend(found.map(|spec| &**spec));
        }
    }
    Ok(())
}
