//! Clean-up by guards: a value whose `Drop` gives back what the process holds. It runs however the process ends, by its
//! return, a panic, an exit, a signal, even a kill, and before anybody is told of the end. Where it runs late, and
//! where never, stands here as well.
//!
//! Elixir's `try … after`, which a kill passes by, and `terminate/2`, which a kill and a server that does not trap
//! exits pass by. A guard can't await: what has to be told to another process is for `terminate`, or for a process that
//! monitors this one.
//!
//! `cargo run -p otp-stdlib --example cleanup_guards`

use std::error::Error;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use otp_vm::{Context, ExitReason, HostMailbox, Vm};

/// Holds something for as long as it lives: a lock, a lease, a span of a trace.
struct Guard {
    what: &'static str,
    given_back: mpsc::Sender<&'static str>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        println!("given back: {}", self.what);
        // Nobody listens: no reason to panic, for a panic while the body unwinds aborts the program.
        let _ = self.given_back.send(self.what);
    }
}

/// All that has been given back goes through one channel.
struct Guards {
    given_back: mpsc::Sender<&'static str>,
    list: mpsc::Receiver<&'static str>,
}

impl Guards {
    fn new() -> Self {
        let (given_back, list) = mpsc::channel();
        Guards { given_back, list }
    }

    fn guard(&self, what: &'static str) -> Guard {
        let given_back = self.given_back.clone();
        Guard { what, given_back }
    }

    /// What has been given back by now.
    fn so_far(&self) -> Vec<&'static str> {
        self.list.try_iter().collect()
    }
}

#[derive(Clone, Copy)]
enum End {
    Return,
    Panic,
    Exit,
    /// Somebody else ends it.
    Signal(fn() -> ExitReason),
}

/// Waits until a process that this thread monitors has ended, and gives its reason.
fn ended(mailbox: &mut HostMailbox) -> Result<ExitReason, Box<dyn Error>> {
    let down = mailbox.receive_blocking()?.down();
    Ok(down.ok_or("only the ends of processes come here")?.reason)
}

/// However a process ends that is where the VM can reach it, the guard has run when its end is told.
fn runs_at_every_end(vm: &Vm) -> Result<(), Box<dyn Error>> {
    let (guards, mut mailbox) = (Guards::new(), vm.mailbox()?);
    for (what, end) in [
        ("by return", End::Return),
        ("by panic", End::Panic),
        ("by exit", End::Exit),
        ("by shutdown", End::Signal(ExitReason::shutdown)),
        ("by kill", End::Signal(ExitReason::kill)),
    ] {
        let guard = guards.guard(what);
        let body = async move |mut cx: Context| {
            // A name for it: `let _ = guard` would drop it here and now.
            let _guard = guard;
            match end {
                End::Return => {}
                End::Panic => panic!("on purpose"),
                End::Exit => cx.exit("enough"),
                End::Signal(_) => {
                    cx.receive().await;
                }
            }
        };
        let (pid, _) = mailbox.context().spawn_monitor(body)?;
        if let End::Signal(reason) = end {
            vm.exit(pid, reason());
        }
        println!("told of the end {what}: {}", ended(&mut mailbox)?);
        assert_eq!(guards.so_far(), [what]);
    }
    Ok(())
}

/// Native code can't be stopped half-way. Who watches a process that is killed in it is told at once; the guard runs
/// when the code comes back to an `await`. So what it holds may still be held when a supervisor starts the next
/// process.
fn runs_late(vm: &Vm) -> Result<(), Box<dyn Error>> {
    let (guards, mut mailbox) = (Guards::new(), vm.mailbox()?);
    let guard = guards.guard("late");
    let (begun, has_begun) = mpsc::channel();
    let (go_on, waits) = mpsc::channel();
    let body = async move |mut cx: Context| {
        let _guard = guard;
        begun.send(()).expect("somebody waits for it");
        // A library that blocks, or computes for long. The VM has the other processes run on another thread.
        waits.recv().expect("the word to go on");
        cx.receive().await;
    };
    let (pid, _) = mailbox.context().spawn_monitor(body)?;
    has_begun.recv()?;
    vm.exit(pid, ExitReason::kill());
    assert_eq!(ended(&mut mailbox)?, ExitReason::killed());
    assert_eq!(guards.so_far(), [""; 0]);
    println!("{pid} is gone for everybody, and its guard has not run");

    go_on.send(())?;
    assert_eq!(guards.list.recv()?, "late");
    Ok(())
}

/// A thread that never returns never drops anything. The shut-down waits no longer than it was told, and names it.
fn never_runs(vm: Vm) -> Result<(), Box<dyn Error>> {
    let guards = Guards::new();
    let guard = guards.guard("never");
    let (begun, has_begun) = mpsc::channel();
    let stuck = vm.spawn(async move |_cx: Context| {
        let _guard = guard;
        begun.send(()).expect("somebody waits for it");
        loop {
            std::thread::park();
        }
    })?;
    has_begun.recv()?;
    let report = vm.shutdown(Duration::from_millis(100)).wait();
    let report = report.ok_or("this is a thread of the VM")?;
    println!("stuck: {:?}", report.threads);
    assert_eq!(report.stuck, [stuck]);
    assert_eq!(guards.so_far(), [""; 0]);
    Ok(())
}

/// Tells the program that it is the one which aborts.
const ABORTS: &str = "OTP_VM_EXAMPLE_ABORTS";

/// An abort ends the program where it stands: by `abort`, by a panic during another, by a stack that overflows. No
/// guard of any process runs; nor does one by `std::process::exit`, or when the program is killed from outside. What
/// must not be left behind then belongs to who outlives the program: a file's lock that the kernel takes back, a lease
/// that runs out.
fn aborts() -> Result<(), Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        // For the program of the test, which does as the example's does.
        .args(["--exact", "holds", "--nocapture"])
        .env(ABORTS, "yes")
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{printed}");
    assert!(printed.contains("given back: before"), "{printed}");
    assert!(!printed.contains("given back: behind"), "{printed}");
    println!("aborted: {}", output.status);
    Ok(())
}

/// What the other program does.
fn abort() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().schedulers(1).build()?;
    let guards = Guards::new();
    let [before, behind] = ["before", "behind"].map(|what| guards.guard(what));
    vm.run(async move |_cx: Context| {
        drop(before);
        let _guard = behind;
        std::process::abort();
    })
    .wait()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var_os(ABORTS).is_some() {
        return abort();
    }
    // Threads that block belong to real time, not to a simulation.
    let vm = Vm::builder().schedulers(2).build()?;
    runs_at_every_end(&vm)?;
    runs_late(&vm)?;
    never_runs(vm)?;
    aborts()
}

#[test]
fn holds() {
    main().unwrap();
}
