//! Flags that are none.

use otp_vm::TraceFlags;

use crate::stage::{simulate, worker};

/// Flags are a type; by name, from a user, they may be wrong. Two tracers in a row are two calls.
#[test]
fn bad_flag() {
    for name in ["bad_flag", "", "SEND", "send receive"] {
        assert!(name.parse::<TraceFlags>().is_err(), "{name}");
    }
    simulate(|cx| async move {
        let traced = cx.spawn(worker).unwrap();
        for _ in 0..2 {
            assert_eq!(cx.trace(traced, TraceFlags::SEND), Ok(1));
        }
    });
}

/// Either answer holds in OTP: here there is none.
#[test]
fn cpu_timestamp() {
    assert!("cpu_timestamp".parse::<TraceFlags>().is_err());
    assert_eq!("timestamp".parse(), Ok(TraceFlags::TIMESTAMP));
}
