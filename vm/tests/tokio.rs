//! Processes that use libraries of tokio's.
#![cfg(feature = "tokio")]

mod common;

use std::time::Duration;

use common::{LIMIT, down};
use otp_vm::{ExitReason, Vm};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

#[test]
fn processes_use_tokios_sockets_and_timers_and_are_killed_in_them() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let vm = Vm::builder()
        .schedulers(2)
        .tokio(runtime.handle().clone())
        .build()
        .unwrap();
    let run = vm.run(|mut cx| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (server, monitor) = cx
            .spawn_monitor(|_| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let number = stream.read_u32().await.unwrap();
                stream.write_u32(number + 1).await.unwrap();
                // Nothing comes any more.
                let _ = stream.read_u32().await;
                sleep(3 * LIMIT).await;
            })
            .unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_u32(41).await.unwrap();
        assert_eq!(stream.read_u32().await.unwrap(), 42);
        // A receive inside a combinator of tokio's.
        let received = timeout(Duration::from_millis(5), cx.receive()).await;
        assert!(received.is_err());
        cx.send(cx.pid(), &"hello").unwrap();
        let received = timeout(LIMIT, cx.receive()).await.unwrap();
        assert_eq!(received.decode::<String>().unwrap(), "hello");
        cx.exit_process(server, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
    });
    run.wait().unwrap();
    let report = vm.shutdown(LIMIT).wait().unwrap();
    assert!(report.is_orderly(), "{report:?}");
}
