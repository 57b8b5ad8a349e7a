//! Restarts that wait: an extension, off unless asked for.

use std::time::Duration;

use otp_vm::Context;

use super::Supervisor;
use super::children::{ChildState, Place};
use super::restart::tell_oneself_after;
use super::server::Later;
use crate::gen_server::NoReply;

/// How long restarts wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackOff {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl BackOff {
    /// The wait of a restart before which so many were within the period.
    fn after(self, restarts: usize) -> Duration {
        let doubled = u32::try_from(restarts)
            .ok()
            .and_then(|times| 2_u32.checked_pow(times));
        doubled
            .and_then(|times| self.first.checked_mul(times))
            .map_or(self.longest, |wait| wait.min(self.longest))
    }
}

impl Supervisor {
    /// Restarts the child at `place`, at once or when its wait is over.
    pub(super) async fn restart_in_time(
        &mut self,
        place: Place,
        cx: &mut Context,
    ) -> NoReply<Self> {
        let Some(back_off) = self.back_off else {
            return self.restart(place, cx).await;
        };
        let now_ns = cx.monotonic_time();
        let wait = back_off.after(self.intensity.recent(now_ns));
        let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let due_ns = now_ns.saturating_add(wait_ns);
        let Some(child) = self.children.get(place) else {
            return NoReply::new();
        };
        let later = Later::BackedOff(child.spec.id.clone(), due_ns);
        if wait.is_zero() || tell_oneself_after(cx, wait, &later).is_err() {
            // Without a timer left there is no wait.
            return self.restart(place, cx).await;
        }
        self.children.set(place, ChildState::BackingOff { due_ns });
        NoReply::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_longest() {
        let back_off = BackOff {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(70),
        };
        let waits = [0, 1, 2, 3, 4, 40, usize::MAX].map(|restarts| back_off.after(restarts));
        assert_eq!(
            waits.map(|wait| wait.as_millis()),
            [10, 20, 40, 70, 70, 70, 70]
        );
    }
}
