//! The service as a program: it serves until its standard input ends, and then drains.
//!
//! `cargo run -p otp-example-web-service -- entries.redb`, and in another terminal
//! `curl -X PUT --data 'let it crash' http://127.0.0.1:PORT/entries/motto`.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use otp_example_web_service::{Options, run};
use otp_vm::Vm;

/// The whole drain; connections have their own limit.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::args_os().nth(1).map(PathBuf::from);
    let database =
        database.ok_or("which file is the database in? Name it as the first argument")?;
    // The sockets are tokio's: its own thread waits for them, and the processes run on the VM's.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let vm = Vm::builder()
        .name("web_service")
        .tokio(runtime.handle().clone())
        .build()?;
    let (news, told) = mpsc::channel();
    let service = vm.run(|cx| run(cx, Options::new(database, news)));
    let printer = std::thread::spawn(move || {
        for news in told {
            println!("{news:?}");
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let down = vm
        .shutdown(LIMIT)
        .wait()
        .ok_or("this is a thread of the VM")?;
    println!("ended: {}", service.wait()?);
    drop(printer.join());
    if !down.is_orderly() {
        return Err(format!("some processes had to be killed: {down:?}").into());
    }
    Ok(())
}
