//! What is limited: events in a log, and functions.

use otp_stdlib::sys::{LOG_EVENTS, MAX_DEBUG_FUNCTIONS, MAX_LOG_EVENTS};

use super::*;

#[test]
fn a_log_keeps_the_last_events() {
    simulated(|mut cx: Context| async move {
        let cx = &mut cx;
        let server = start(cx).await;
        sys::log(&server, true).call(cx).await.unwrap();
        for n in 0..LOG_EVENTS as i64 {
            public_call(cx, &server, n).await.unwrap();
        }
        // Two events a call.
        let events = sys::get_log(&server).call(cx).await.unwrap();
        assert_eq!(events.len() as u64, LOG_EVENTS);
        assert!(events[0].to_string().contains("{req,5}"), "{events:?}");
        sys::log_most(&server, 3).call(cx).await.unwrap();
        let events = sys::get_log(&server).call(cx).await.unwrap();
        assert_eq!(events.len(), 3, "the log was cut");
        assert!(
            events[2].to_string().starts_with("{out,{ok,-9}"),
            "{events:?}"
        );
        let refused = sys::log_most(&server, MAX_LOG_EVENTS + 1)
            .call(cx)
            .await
            .unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("a log of 65537 events; at most 65536 are kept"),
            "{text}"
        );
        assert_eq!(sys::get_log(&server).call(cx).await.unwrap().len(), 3);
        stop(cx, &server).await;
    });
}

#[test]
fn so_many_functions_and_no_more() {
    simulated(|mut cx: Context| async move {
        let cx = &mut cx;
        let server = start(cx).await;
        let add = |server: &Ref, id: usize| {
            sys::install(server, &id, |_, _, _| ControlFlow::Continue(()))
        };
        for id in 0..MAX_DEBUG_FUNCTIONS {
            add(&server, id).call(cx).await.unwrap();
        }
        let text = add(&server, MAX_DEBUG_FUNCTIONS)
            .call(cx)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("64 functions are installed, as many as there may be"),
            "{text}"
        );
        sys::remove(&server, &0).call(cx).await.unwrap();
        add(&server, MAX_DEBUG_FUNCTIONS).call(cx).await.unwrap();
        stop(cx, &server).await;
    });
}
