//! A VM in a program of plain threads: start processes, call one, get messages of another, shut down in order.
//!
//! `cargo run -p otp-vm --example threads`

use std::error::Error;
use std::time::Duration;

use otp_vm::{Context, MessageKind, Vm, from_term};

/// Counts what it is cast, and answers how much it was.
async fn counter(mut cx: Context) {
    let mut count = 0_u64;
    loop {
        let message = cx.receive().await;
        match message.kind() {
            MessageKind::Cast(amount) => count += from_term::<u64>(amount).unwrap_or(0),
            // A caller that gave up meanwhile gets nothing.
            MessageKind::Call { from, .. } => drop(cx.reply(&from, &count)),
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().name("counting").schedulers(2).build()?;
    let counter = vm.spawn(counter)?;
    vm.register("counter", counter)?;

    // From several threads, by name.
    std::thread::scope(|scope| {
        for amount in 1..=10_u64 {
            let vm = &vm;
            scope.spawn(move || vm.cast("counter", &amount));
        }
    });
    let count: u64 = vm
        .call("counter", "how many?", Duration::from_secs(5))
        .wait()??;
    println!("the count is {count}");
    assert_eq!(count, 55);

    // A body's result comes by a move, whatever its type.
    let pid = vm.run(|cx| async move { cx.pid() }).wait()?;
    assert!(!vm.is_alive(pid));

    // A mailbox of the program's own: processes send to it, and it learns of ends.
    let mut mailbox = vm.mailbox()?;
    let to = mailbox.pid();
    let (worker, _monitor) = mailbox.context().spawn_monitor(move |cx| async move {
        cx.send(to, &("result", 6 * 7)).expect("a term");
    })?;
    let (_, result): (String, i32) = mailbox.receive_blocking()?.decode()?;
    let down = mailbox
        .receive_blocking()?
        .down()
        .ok_or("a DOWN was to come")?;
    println!("{worker} gave {result}, and ended: {}", down.reason);
    assert_eq!((down.object.pid(), result), (Some(worker), 42));

    let report = vm
        .shutdown(Duration::from_secs(5))
        .wait()
        .ok_or("this is a thread of the VM")?;
    println!("{} processes ended in order", report.ended);
    assert!(report.is_orderly(), "{report:?}");
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
