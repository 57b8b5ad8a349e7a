//! Cases about registered names.

use std::time::Duration;

use otp_vm::{Context, ExitReason, Pid, RegisterError, SendError, TableOptions};

use crate::common::{bounded, down, run};
use crate::simulated::seeds;

#[test]
fn bad_register() {
    run(|mut cx| async move {
        let (dead, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        down(&mut cx, monitor).await;
        let too_long = "x".repeat(256);
        let refused = [
            ("undefined", cx.pid()),
            ("bad_register", dead),
            (&*too_long, cx.pid()),
        ];
        for (name, pid) in refused {
            let error = cx.register(name, pid).unwrap_err();
            match name {
                "undefined" => assert_eq!(error, RegisterError::Reserved),
                "bad_register" => assert_eq!(error, RegisterError::NoProcess),
                _ => assert!(matches!(error, RegisterError::Atom(_)), "{error}"),
            }
            assert!(matches!(cx.send(name, &1), Err(SendError::NoName)));
        }
    });
}

const TIMERS: usize = 1000;
const ROWS: u32 = 100;

/// Has a name, and a table of that name, until it is told to end.
async fn owner(mut cx: Context, tester: Pid) {
    cx.register("otp_6237", cx.pid()).unwrap();
    let table = cx
        .table_new("otp_6237", TableOptions::set().named())
        .unwrap();
    for row in 0..ROWS {
        table.insert(&cx, &row, &row).unwrap();
    }
    for _ in 0..TIMERS {
        cx.send_after(Duration::from_secs(1000), cx.pid(), &())
            .unwrap();
    }
    cx.send(tester, &()).unwrap();
    cx.receive().await;
}

async fn one_after_the_other(mut cx: Context, readers: usize) {
    let tester = cx.pid();
    let readers: Vec<Pid> = (0..readers)
        .map(|_| {
            let reads = cx.spawn_link(|cx| async move {
                loop {
                    if let Some(table) = cx.table("otp_6237") {
                        drop(table.scan_with(&cx, 0, 1000, |_, _| ()));
                    }
                    cx.yield_now().await;
                }
            });
            reads.unwrap()
        })
        .collect();
    for _ in 0..20 {
        let pid = cx.spawn_link(move |cx| owner(cx, tester)).unwrap();
        crate::common::expect::<()>(&mut cx).await;
        assert_eq!(cx.whereis("otp_6237"), Some(pid));
        cx.send(pid, &()).unwrap();
        while cx.whereis("otp_6237").is_some() {
            cx.yield_now().await;
        }
        // At the first try.
        let table = cx
            .table_new("otp_6237", TableOptions::set().named())
            .unwrap();
        drop(table.delete_table(&cx).unwrap());
    }
    for pid in readers {
        cx.unlink(pid);
        cx.exit_process(pid, ExitReason::kill());
    }
}

#[test]
fn otp_6237() {
    seeds(0..5, |cx| one_after_the_other(cx, 2));
    bounded(2, |cx| one_after_the_other(cx, 5));
}

/// Not OTP's: a text that is no atom when it is given is a name all the same, once somebody has it.
#[test]
fn a_text_that_is_no_atom_yet_is_looked_for_again() {
    seeds(0..1, |mut cx| async move {
        cx.send_after(Duration::from_secs(1), "not_an_atom_before_61d0", &7)
            .unwrap();
        assert!(cx.send("not_an_atom_before_61d0", &1).is_err());
        assert!(otp_vm::Atom::existing("not_an_atom_before_61d0").is_none());
        cx.register("not_an_atom_before_61d0", cx.pid()).unwrap();
        assert_eq!(cx.receive().await.decode::<i32>().unwrap(), 7);
    });
}
