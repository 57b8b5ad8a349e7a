//! Points in time, and unique integers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Context;

impl Context {
    /// Nanoseconds since the VM was built; never goes back. `erlang:monotonic_time(nanosecond)`.
    ///
    /// A point in time, to be compared with others: `Duration::from_nanos(later - earlier)` is the span between two.
    pub fn monotonic_time(&self) -> u64 {
        self.core().scheduler.now()
    }

    /// The time since the beginning of 1970, UTC, in whatever unit the `Duration` is asked for. `erlang:system_time/1`.
    ///
    /// It is [`Context::monotonic_time`] and [`Context::time_offset`], which stays as it was when the VM was built: so
    /// it doesn't go back, nor follows a clock that is set meanwhile (OTP's `no_time_warp`, its default). In a
    /// simulation it begins at 2020-01-01.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move { cx.system_time().as_millis() });
    /// let by_the_host = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    /// assert!(run.wait()?.abs_diff(by_the_host.as_millis()) < 10_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn system_time(&self) -> Duration {
        self.time_offset() + Duration::from_nanos(self.monotonic_time())
    }

    /// What [`Context::system_time`] is ahead of [`Context::monotonic_time`]. `erlang:time_offset/0`.
    pub fn time_offset(&self) -> Duration {
        self.core().time_offset
    }

    /// An integer that this VM has not given before, by this function; positive, in no order.
    /// `erlang:unique_integer([positive])`.
    pub fn unique_integer(&self) -> u64 {
        self.make_ref().as_u64()
    }

    /// An integer greater than all that this VM has given before, by this function, to whichever process. All processes
    /// share one counter: where no order is needed, [`Context::unique_integer`] is faster.
    /// `erlang:unique_integer([monotonic, positive])`.
    pub fn unique_integer_monotonic(&self) -> u64 {
        self.core().last_unique.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn left(&self, at: u64) -> Duration {
        Duration::from_nanos(at.saturating_sub(self.monotonic_time()))
    }
}
