//! TCP on the scheduler's poller.
//!
//! All operations take `&self`, so one task may read while another writes. Each tries the system call first when the
//! socket is believed ready, waits for the poller on `WouldBlock`, and charges reductions: a flat price for the call
//! and one for each 64 bytes. When the slice is over, the next operation gives way first, so a socket that is always
//! ready cannot hold its worker.
//!
//! All futures are cancellation safe: one that is dropped before it was ready has moved no byte, `write_all` apart,
//! which may have written a part.
//!
//! A socket belongs to the scheduler of the thread that made it, or to the one named with the `_on` functions.

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mio::Interest;

use crate::core::Core;
use crate::registration::Registration;
use crate::scheduler::Scheduler;
use crate::slice::{poll_proceed, tick};
use crate::slot;

/// Price of a system call on a socket: some 500 ns, of which a slice may have 200.
const CALL_REDUCTIONS: u32 = 20;

/// Bytes moved for one reduction: a cache line.
const BYTES_PER_REDUCTION: usize = 64;

/// Bytes in one system call at most, so that one call charges at most half a slice.
const MAX_BYTES: usize = BYTES_PER_REDUCTION * 2000;

fn charge(bytes: usize) {
    tick(CALL_REDUCTIONS + (bytes / BYTES_PER_REDUCTION) as u32);
}

fn current_core() -> io::Result<Arc<Core>> {
    let core = slot::with_core(Arc::clone).ok_or_else(|| {
        io::Error::other(
            "no scheduler on this thread to register the socket with; call it from a task, or name one with the \
             `_on` function",
        )
    })?;
    core.real_io()?;
    Ok(core)
}

/// Tries `operation` until it is anything but `WouldBlock`, and waits for readiness in between.
fn poll_operation<R>(
    registration: &Registration,
    cx: &mut Context<'_>,
    interest: Interest,
    mut operation: impl FnMut() -> io::Result<R>,
) -> Poll<io::Result<R>> {
    ready!(poll_proceed(cx));
    loop {
        let seen = ready!(registration.poll_ready(cx, interest));
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                charge(0);
                registration.clear_ready(seen, interest);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => charge(0),
            result => return Poll::Ready(result),
        }
    }
}

/// Tries `operation` once; on `WouldBlock` the readiness is taken back, so that `readable`/`writable` wait.
fn try_operation<R>(
    registration: &Registration,
    interest: Interest,
    operation: impl FnOnce() -> io::Result<R>,
) -> io::Result<R> {
    let seen = registration.readiness();
    let result = operation();
    if let Err(error) = &result
        && error.kind() == io::ErrorKind::WouldBlock
    {
        charge(0);
        registration.clear_ready(seen, interest);
    }
    result
}

/// Tries the addresses in turn; the last error if none will do.
fn first_address<R>(
    addresses: impl ToSocketAddrs,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<R>,
) -> io::Result<R> {
    let mut last = io::Error::new(
        io::ErrorKind::InvalidInput,
        "the address resolved to nothing; give an address and a port",
    );
    for address in addresses.to_socket_addrs()? {
        match attempt(address) {
            Ok(found) => return Ok(found),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A listening TCP socket. Mirrors `gen_tcp:listen/2`.
#[derive(Debug)]
pub struct TcpListener {
    // Dropped first: its token is forgotten before the descriptor's number can be in use again.
    registration: Registration,
    socket: mio::net::TcpListener,
}

impl TcpListener {
    /// Binds and listens (with `SO_REUSEADDR`, backlog 1024), on this thread's scheduler. Does not wait, unless
    /// `addresses` is a name to be resolved.
    ///
    /// # Errors
    ///
    /// What the system says; `Other` off a scheduler thread.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let core = current_core()?;
        first_address(addresses, |address| {
            TcpListener::new(&core, mio::net::TcpListener::bind(address)?)
        })
    }

    /// [`TcpListener::bind`] on a named scheduler, from any thread.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn bind_on(
        scheduler: &Scheduler,
        addresses: impl ToSocketAddrs,
    ) -> io::Result<TcpListener> {
        scheduler.core().real_io()?;
        first_address(addresses, |address| {
            TcpListener::new(scheduler.core(), mio::net::TcpListener::bind(address)?)
        })
    }

    /// Takes over a listener of the standard library, on this thread's scheduler. Makes it non-blocking.
    ///
    /// # Errors
    ///
    /// What the system says; `Other` off a scheduler thread.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        let core = current_core()?;
        listener.set_nonblocking(true)?;
        TcpListener::new(&core, mio::net::TcpListener::from_std(listener))
    }

    fn new(core: &Arc<Core>, mut socket: mio::net::TcpListener) -> io::Result<TcpListener> {
        let registration = Registration::new(core, &mut socket, Interest::READABLE)?;
        Ok(TcpListener {
            registration,
            socket,
        })
    }

    /// Waits for a connection. The stream belongs to the same scheduler. Mirrors `gen_tcp:accept/1`.
    ///
    /// # Errors
    ///
    /// What the system says. Some errors are the connection's (`ConnectionAborted`), some are lasting (too many open
    /// files): none is retried here; wait a little before the next call.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The poll form of [`TcpListener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = poll_operation(&self.registration, cx, Interest::READABLE, || {
            self.socket.accept()
        });
        let (socket, peer) = ready!(accepted)?;
        charge(0);
        Poll::Ready(TcpStream::new(self.registration.core(), socket).map(|stream| (stream, peer)))
    }

    /// The address it listens on, with the port that the system chose.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A TCP connection. Mirrors the passive mode of `gen_tcp`.
#[derive(Debug)]
pub struct TcpStream {
    // Dropped first, as above.
    registration: Registration,
    socket: mio::net::TcpStream,
}

impl TcpStream {
    /// Connects, on this thread's scheduler; the addresses are tried in turn. A name is resolved by the system,
    /// which blocks the thread: give an address where that matters.
    ///
    /// # Errors
    ///
    /// What the system says of the last address; `Other` off a scheduler thread.
    pub async fn connect(addresses: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let core = current_core()?;
        let addresses: Vec<SocketAddr> = addresses.to_socket_addrs()?.collect();
        TcpStream::connect_in_turn(core, addresses).await
    }

    /// [`TcpStream::connect`] on a named scheduler, from any thread and any runtime.
    ///
    /// # Errors
    ///
    /// What the system says of the last address.
    pub fn connect_on(
        scheduler: &Scheduler,
        addresses: impl ToSocketAddrs,
    ) -> impl Future<Output = io::Result<TcpStream>> + Send + 'static {
        let core = Arc::clone(scheduler.core());
        let addresses = addresses.to_socket_addrs().map(Vec::from_iter);
        async move { TcpStream::connect_in_turn(core, addresses?).await }
    }

    async fn connect_in_turn(core: Arc<Core>, addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
        core.real_io()?;
        let mut result = first_address(&[][..], |_| unreachable!("there is no address"));
        for address in addresses {
            result = TcpStream::connect_one(&core, address).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    async fn connect_one(core: &Arc<Core>, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::new(core, mio::net::TcpStream::connect(address)?)?;
        charge(0);
        poll_fn(|cx| {
            poll_operation(&stream.registration, cx, Interest::WRITABLE, || {
                if let Some(error) = stream.socket.take_error()? {
                    return Err(error);
                }
                match stream.socket.peer_addr() {
                    // Still on its way: as good as `WouldBlock`.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        Err(io::ErrorKind::WouldBlock.into())
                    }
                    result => result,
                }
            })
        })
        .await?;
        Ok(stream)
    }

    /// Takes over a connection of the standard library, on this thread's scheduler. Makes it non-blocking.
    ///
    /// # Errors
    ///
    /// What the system says; `Other` off a scheduler thread.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        let core = current_core()?;
        stream.set_nonblocking(true)?;
        TcpStream::new(&core, mio::net::TcpStream::from_std(stream))
    }

    /// Hands the connection to the standard library, still non-blocking.
    ///
    /// # Errors
    ///
    /// What the system says when the poller forgets it.
    pub fn into_std(mut self) -> io::Result<std::net::TcpStream> {
        self.registration.deregister(&mut self.socket)?;
        // SAFETY: the descriptor is given up by one owner and taken by the next.
        Ok(unsafe { std::net::TcpStream::from_raw_fd(self.socket.into_raw_fd()) })
    }

    fn new(core: &Arc<Core>, mut socket: mio::net::TcpStream) -> io::Result<TcpStream> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registration = Registration::new(core, &mut socket, interest)?;
        Ok(TcpStream {
            registration,
            socket,
        })
    }

    /// Reads what is there, or waits for it; 0 at the end of the stream. Mirrors `gen_tcp:recv(Socket, 0)`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// The poll form of [`TcpStream::read`].
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let room = buffer.len().min(MAX_BYTES);
        poll_operation(&self.registration, cx, Interest::READABLE, || {
            self.read_now(&mut buffer[..room])
        })
    }

    /// Reads what is there; `WouldBlock` if that is nothing.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(MAX_BYTES);
        try_operation(&self.registration, Interest::READABLE, || {
            self.read_now(&mut buffer[..room])
        })
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let seen = self.registration.readiness();
        let count = (&self.socket).read(buffer)?;
        charge(count);
        if count > 0 && count < buffer.len() {
            // The socket is empty: the next read waits without another system call. An edge that came since changes
            // the readiness, and so is not lost.
            self.registration.clear_open(seen, Interest::READABLE);
        }
        Ok(count)
    }

    /// Writes a part of the buffer, or waits for room; the number of bytes written.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn write(&self, buffer: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, buffer)).await
    }

    /// The poll form of [`TcpStream::write`].
    pub fn poll_write(&self, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        poll_operation(&self.registration, cx, Interest::WRITABLE, || {
            self.write_now(buffer)
        })
    }

    /// Writes what there is room for; `WouldBlock` if that is nothing.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn try_write(&self, buffer: &[u8]) -> io::Result<usize> {
        try_operation(&self.registration, Interest::WRITABLE, || {
            self.write_now(buffer)
        })
    }

    fn write_now(&self, buffer: &[u8]) -> io::Result<usize> {
        let count = (&self.socket).write(&buffer[..buffer.len().min(MAX_BYTES)])?;
        charge(count);
        Ok(count)
    }

    /// Writes the whole buffer. Mirrors `gen_tcp:send/2`. Dropped half way, it may have written a part.
    ///
    /// # Errors
    ///
    /// What the system says; `WriteZero` if it takes no more.
    pub async fn write_all(&self, mut buffer: &[u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.write(buffer).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => buffer = &buffer[count..],
            }
        }
        Ok(())
    }

    /// Waits until [`TcpStream::try_read`] is worth a try.
    ///
    /// # Errors
    ///
    /// None so far; the type leaves room.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| {
            ready!(poll_proceed(cx));
            self.registration
                .poll_ready(cx, Interest::READABLE)
                .map(|_| Ok(()))
        })
        .await
    }

    /// Waits until [`TcpStream::try_write`] is worth a try.
    ///
    /// # Errors
    ///
    /// None so far; the type leaves room.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| {
            ready!(poll_proceed(cx));
            self.registration
                .poll_ready(cx, Interest::WRITABLE)
                .map(|_| Ok(()))
        })
        .await
    }

    /// Ends one direction or both. Mirrors `gen_tcp:shutdown/2`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// `TCP_NODELAY`: small writes are sent at once.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_nodelay(nodelay)
    }

    /// The other end's address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
