//! Two VMs in a tokio program that was there before: its tasks call into both, and await what processes send. Neither
//! VM knows of the other, and a crash in one is nothing to the program.
//!
//! `cargo run -p otp-vm --example two_vms_in_tokio`

use std::error::Error;
use std::time::Duration;

use otp_vm::{Call, Context, Vm, module};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: Duration = Duration::from_secs(5);

module! {
    /// What the workers do.
    pub mod words [vsn: "1"] {
        /// The number of words in a text.
        pub async fn count(_cx: &mut Context, text: String) -> usize {
            text.split_whitespace().count()
        }
    }
}

/// A connection of the program's own server: its requests are work for a VM.
async fn serve(mut socket: TcpStream, workers: Vm) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut text = String::new();
    socket.read_to_string(&mut text).await?;
    // Awaited as anything else; the processes run on the VM's threads.
    let count = workers
        .run(move |mut cx| async move { cx.apply::<_, usize>("words", "count", &(text,)).await });
    let count = count.await??;
    socket.write_all(count.to_string().as_bytes()).await?;
    Ok(())
}

async fn program() -> Result<(), Box<dyn Error>> {
    let workers = Vm::builder()
        .name("workers")
        .schedulers(1)
        .module(words::module())
        .build()?;
    let watchers = Vm::builder().name("watchers").schedulers(1).build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let for_server = workers.clone();
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await?;
        serve(socket, for_server).await
    });
    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"let it crash").await?;
    client.shutdown().await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    assert_eq!(answer, "3");
    server.await?.map_err(|error| error.to_string())?;

    // Messages of the other VM's processes, in a task of tokio's, with its own select.
    let mut mailbox = watchers.mailbox()?;
    let to = mailbox.pid();
    let call = Call::new("words", "count", &("a",))?;
    watchers.spawn(move |mut cx: Context| async move {
        // The module is the other VM's.
        let error = cx.apply_call(call).await.map(drop).unwrap_err();
        cx.send(to, &error.to_string()).expect("a term");
    })?;
    let message = tokio::time::timeout(LIMIT, mailbox.receive()).await??;
    let error: String = message.decode()?;
    println!("{error}");
    assert!(error.starts_with("words:count/1 is undefined"));
    assert!(!watchers.is_alive(to) || workers.processes().iter().all(|&pid| pid != to));

    let (first, second) = (
        workers.shutdown(LIMIT).await,
        watchers.shutdown(LIMIT).await,
    );
    assert!(first.is_orderly() && second.is_orderly());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(program())
}

#[test]
fn runs() {
    main().unwrap();
}
