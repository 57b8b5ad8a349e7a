//! Points in time and unique integers.

mod common;
#[path = "common/virtual_time.rs"]
mod virtual_time;

use std::collections::HashSet;
use std::time::Duration;

use otp_vm::Context;

use common::{LIMIT, bounded};
use virtual_time::{ms, simulated};

#[test]
fn system_time_is_monotonic_time_and_an_offset_that_stays() {
    simulated(async |cx: Context| {
        let offset = cx.time_offset();
        let begun = cx.system_time();
        assert_eq!(begun, offset + Duration::from_nanos(cx.monotonic_time()));
        // 2020-01-01, in the unit that is asked for.
        assert_eq!(offset.as_secs(), 1_577_836_800);
        cx.sleep(ms(86_400_000)).await;
        assert_eq!(cx.time_offset(), offset);
        assert!((cx.system_time() - begun).as_millis() >= 86_400_000);
    });
}

#[test]
fn unique_integers_differ_and_monotonic_ones_grow_from_whichever_process() {
    const EACH: usize = 5000;
    bounded(2, async |mut cx: Context| {
        let parent = cx.pid();
        for _ in 0..4 {
            cx.spawn(async move |cx: Context| {
                let mut numbers = (Vec::new(), Vec::new());
                for _ in 0..EACH {
                    numbers.0.push(cx.unique_integer());
                    numbers.1.push(cx.unique_integer_monotonic());
                    cx.tick(10).await;
                }
                cx.send(parent, &numbers).unwrap();
            })
            .unwrap();
        }
        let (mut plain, mut monotonic) = (HashSet::new(), HashSet::new());
        for _ in 0..4 {
            let numbers = cx.receive_as::<(Vec<u64>, Vec<u64>)>(LIMIT).await.unwrap();
            assert!(numbers.1.is_sorted());
            plain.extend(numbers.0);
            monotonic.extend(numbers.1);
        }
        assert_eq!((plain.len(), monotonic.len()), (4 * EACH, 4 * EACH));
        let last = cx.unique_integer_monotonic();
        assert!(monotonic.iter().all(|&number| number < last));
    });
}
