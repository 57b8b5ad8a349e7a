//! What aborts the program whatever we do: the process is named before. Each in a program of its own.

mod common;

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use common::Bomb;
use otp_vm::{Context, SpawnOptions, Vm};

/// Tells a program that it is the one that aborts, and how.
const HOW: &str = "OTP_VM_TEST_ABORTS";

/// SIGABRT.
const ABORTED: i32 = 6;

/// Runs the test of that name in another program, in which it aborts, and gives what that wrote.
fn aborts(test: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(HOW, test)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), Some(ABORTED), "{text}");
    text
}

/// Runs `body` as a process called `culprit`, in the program that is to abort; in the other, gives what that wrote.
fn aborting(test: &str, body: fn()) -> Option<String> {
    if std::env::var(HOW).as_deref() != Ok(test) {
        return Some(aborts(test));
    }
    let vm = Vm::builder().schedulers(1).build().unwrap();
    vm.run(move |mut cx| async move {
        cx.spawn_opt(SpawnOptions::new().link(), move |cx: Context| async move {
            cx.register("culprit", cx.pid()).unwrap();
            body();
        })
        .unwrap();
        cx.receive().await;
    })
    .wait()
    .unwrap();
    None
}

fn is_named(text: &str, what: &str) {
    let first = text.find(what).unwrap_or_else(|| panic!("{text}"));
    let line = text[first..]
        .lines()
        .find(|line| line.starts_with("otp-vm: the program aborts in process <0."));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("> (culprit): aborts::aborting"), "{line}");
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    overflow(depth + 1) + frame[0]
}

#[test]
fn a_native_stack_overflow_names_the_process() {
    let test = "a_native_stack_overflow_names_the_process";
    if let Some(text) = aborting(test, || assert_ne!(black_box(overflow(0)), 0)) {
        is_named(&text, "has overflowed its stack");
    }
}

#[test]
fn a_failed_allocation_names_the_process() {
    let test = "a_failed_allocation_names_the_process";
    let body = || {
        // One that can fail is not the end.
        assert!(Vec::<u8>::new().try_reserve(isize::MAX as usize).is_err());
        drop(black_box(Vec::<u8>::with_capacity(isize::MAX as usize)));
    };
    if let Some(text) = aborting(test, body) {
        is_named(
            &text,
            "memory allocation of 9223372036854775807 bytes failed",
        );
        assert_eq!(text.matches("otp-vm:").count(), 1, "{text}");
    }
}

#[test]
fn a_panic_during_another_names_the_process() {
    let test = "a_panic_during_another_names_the_process";
    let body = || {
        let _bomb = Bomb;
        panic!("the first");
    };
    if let Some(text) = aborting(test, body) {
        is_named(&text, "panic");
    }
}

/// A handler that the program had before is called after the line, and decides what comes then.
#[test]
fn a_handler_that_was_there_before_is_called() {
    extern "C" fn before(_signal: i32) {
        let text = b"the handler before\n";
        // SAFETY: bytes of that length.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    }
    let test = "a_handler_that_was_there_before_is_called";
    if std::env::var(HOW).as_deref() == Ok(test) {
        // SAFETY: the handler only writes.
        unsafe { libc::signal(libc::SIGABRT, before as *const () as usize) };
    }
    if let Some(text) = aborting(test, || std::process::abort()) {
        is_named(&text, "");
        assert!(text.ends_with("the handler before\n"), "{text}");
    }
}

/// It says nothing about the code that runs when it comes.
#[test]
fn a_signal_from_outside_names_nobody() {
    let test = "a_signal_from_outside_names_nobody";
    if std::env::var(HOW).as_deref() == Ok(test) {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        vm.run(|_| async {
            // Another program sends it.
            let kill = format!("kill -ABRT {}", std::process::id());
            drop(Command::new("sh").args(["-c", &kill]).status());
            loop {
                black_box(());
            }
        })
        .wait()
        .unwrap();
    }
    assert!(!aborts(test).contains("otp-vm:"));
}

/// Nobody's code in particular: no line, and the program ends as it would have.
#[test]
fn an_abort_of_the_hosts_names_nobody() {
    let test = "an_abort_of_the_hosts_names_nobody";
    if std::env::var(HOW).as_deref() == Ok(test) {
        let _vm = Vm::builder().schedulers(1).build().unwrap();
        std::process::abort();
    }
    assert!(!aborts(test).contains("otp-vm:"));
}
