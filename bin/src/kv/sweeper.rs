//! The sweeper: sees to it that expired keys go even if nobody asks for them.
//!
//! It only looks: the index of expiry is sorted, so the first row says whether anything is due. The store deletes.

use std::ops::Bound;
use std::time::Duration;

use otp_vm::{Context, Table};

use super::clock::now_ms;
use super::store::{self, Cast};
use super::tables::Tables;

/// The sweeper's registered name.
pub const NAME: &str = "kv_sweeper";

/// How often it looks. Redis's own active expiry runs ten times a second.
const PERIOD: Duration = Duration::from_millis(100);

/// Looks for ever.
pub async fn run(cx: Context) {
    loop {
        cx.sleep(PERIOD).await;
        let Some(tables) = Tables::find(&cx) else {
            continue;
        };
        if is_due(&cx, &tables.expiry)
            && let Err(error) = cx.cast(store::NAME, &Cast::Sweep)
        {
            tracing::warn!(%error, "expired keys could not be swept");
        }
    }
}

fn is_due(cx: &Context, expiry: &Table) -> bool {
    let mut first = None;
    let looked = expiry.range_with::<()>(cx, Bound::Unbounded, Bound::Unbounded, 1, |key, _| {
        first = key
            .as_tuple()
            .and_then(|key| key.get(0))
            .and_then(|time| time.as_i64());
        Ok(())
    });
    looked.is_ok() && first.is_some_and(|first| first <= now_ms())
}
