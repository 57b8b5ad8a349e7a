//! Sockets: echo, closing, giving way, many waiters.

mod common;

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use common::{next, scheduler};
use otp_scheduler::net::{TcpListener, TcpStream};
use otp_scheduler::{Scheduler, yield_now};

async fn echo(stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

fn echo_server(scheduler: &Scheduler) -> std::net::SocketAddr {
    let listener = TcpListener::bind_on(scheduler, "127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let inner = scheduler.clone();
    scheduler.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            inner.spawn(echo(stream));
        }
    });
    address
}

async fn read_exactly(stream: &TcpStream, buffer: &mut [u8]) {
    let mut have = 0;
    while have < buffer.len() {
        let count = stream.read(&mut buffer[have..]).await.unwrap();
        assert_ne!(count, 0, "the stream ended early");
        have += count;
    }
}

#[test]
fn sixty_four_connections_echo() {
    let scheduler = scheduler(2);
    let address = echo_server(&scheduler);
    let clients: Vec<_> = (0..64u8)
        .map(|client| {
            scheduler.spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                assert_eq!(stream.peer_addr().unwrap(), address);
                for round in 0..50u8 {
                    let sent = [client, round, 3, 4, 5];
                    stream.write_all(&sent).await.unwrap();
                    let mut received = [0; 5];
                    read_exactly(&stream, &mut received).await;
                    assert_eq!(sent, received);
                }
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
            })
        })
        .collect();
    for client in clients {
        client.wait().unwrap();
    }
    let events: u64 = scheduler
        .figures()
        .schedulers
        .iter()
        .map(|w| w.events)
        .sum();
    assert!(events > 0);
}

#[test]
fn more_than_the_buffers_hold_goes_through() {
    let scheduler = scheduler(2);
    let address = echo_server(&scheduler);
    const BYTES: usize = 4 << 20;
    let client = scheduler.spawn(async move {
        let stream = Arc::new(TcpStream::connect(address).await.unwrap());
        let sent: Vec<u8> = (0..BYTES).map(|index| (index % 251) as u8).collect();
        let mut received = vec![0; BYTES];
        let reader = read_exactly(&stream, &mut received);
        let writer = stream.write_all(&sent);
        // Both directions at once in one task, or the echo's buffers would fill up.
        let (mut reader, mut writer) = (Box::pin(reader), Box::pin(writer));
        let mut written = false;
        std::future::poll_fn(|cx| {
            if !written && writer.as_mut().poll(cx).map(Result::unwrap).is_ready() {
                written = true;
            }
            reader.as_mut().poll(cx)
        })
        .await;
        drop((reader, writer));
        assert!(sent == received);
    });
    client.wait().unwrap();
}

#[test]
fn a_socket_that_is_always_ready_gives_way() {
    let scheduler = scheduler(1);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    // A thread that never stops sending.
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(&[7; 65_536]).is_ok() {}
    });
    let (out, reading) = mpsc::channel();
    let reader = scheduler.spawn({
        let stop = Arc::clone(&stop);
        async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut buffer = [0; 16];
            let mut reads = 0u64;
            while !stop.load(Ordering::Relaxed) {
                stream.read(&mut buffer).await.unwrap();
                reads += 1;
                if reads == 1_000 {
                    out.send(()).unwrap();
                }
            }
        }
    });
    next(&reading);
    // The one worker reads on; the stop can only come from a second task that gets its turn.
    let other = scheduler.spawn(async move {
        yield_now().await;
        stop.store(true, Ordering::Relaxed);
    });
    other.wait().unwrap();
    reader.wait().unwrap();
    sender.join().unwrap();
}

#[test]
fn errors_come_back() {
    let scheduler = scheduler(1);
    assert_eq!(
        TcpListener::bind("127.0.0.1:0").unwrap_err().kind(),
        ErrorKind::Other,
        "off a scheduler thread"
    );
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let refused = scheduler.spawn(TcpStream::connect_on(&scheduler, address));
    assert_eq!(
        refused.wait().unwrap().unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert_eq!(scheduler.figures().sources, 0);
}

#[test]
fn two_tasks_may_accept_on_one_listener() {
    let scheduler = scheduler(2);
    let listener = Arc::new(TcpListener::bind_on(&scheduler, "127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let acceptors: Vec<_> = (0..2)
        .map(|_| {
            let listener = Arc::clone(&listener);
            scheduler.spawn(async move { listener.accept().await.map(|(_, peer)| peer) })
        })
        .collect();
    let clients = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
    for acceptor in acceptors {
        let peer = acceptor.wait().unwrap().unwrap();
        assert!(
            clients
                .iter()
                .any(|client| client.local_addr().unwrap() == peer)
        );
    }
}

#[test]
fn a_stream_changes_hands_with_the_standard_library() {
    use std::io::{Read, Write};
    let scheduler = scheduler(1);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let task = scheduler.spawn(async move {
        let stream = TcpStream::from_std(client)?;
        stream.write_all(b"there").await?;
        stream.into_std()
    });
    let mut back = task.wait().unwrap().unwrap();
    back.set_nonblocking(false).unwrap();
    let mut buffer = [0; 5];
    server.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"there");
    server.write_all(b"again").unwrap();
    back.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"again");
    assert_eq!(scheduler.figures().sources, 0);
}
