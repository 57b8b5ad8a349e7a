//! The socket with its output, and the wait for whatever comes first.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use otp_vm::net::TcpStream;
use otp_vm::{Context, Message};

use super::input::Input;
use crate::kv::resp::Reply;

/// Room for output that an idle connection keeps.
const KEPT_BYTES: usize = 64 * 1024;

/// What ended a wait.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes have come.
    Read,
    /// A message has come.
    Message(Message),
    /// Some output was written.
    Wrote,
    /// The client is gone.
    Closed,
}

/// A socket and the replies that are to be written to it.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    output: Reply,
    /// How much of the output is written.
    written: usize,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Socket {
        Socket {
            stream,
            output: Reply::new(),
            written: 0,
        }
    }

    /// Where replies go.
    pub(super) fn output(&mut self) -> &mut Reply {
        &mut self.output
    }

    /// Bytes that are still to be written.
    pub(super) fn pending(&self) -> usize {
        self.output.len() - self.written
    }

    /// Waits for bytes, and with `messages` also for messages and for room to write what is to be written.
    ///
    /// Reads, writes and receives are cancellation safe, so that whichever is not first is as if it had not begun.
    pub(super) async fn wait(
        &mut self,
        cx: &mut Context,
        input: &mut Input,
        messages: bool,
    ) -> Event {
        if !messages {
            let read = self.stream.read(input.room()).await;
            return Socket::has_read(read, input);
        }
        let (stream, output) = (&self.stream, &self.output.as_bytes()[self.written..]);
        let first = {
            let room = input.room();
            let mut receive = pin!(cx.receive());
            poll_fn(|task| {
                if !output.is_empty()
                    && let Poll::Ready(written) = stream.poll_write(task, output)
                {
                    return Poll::Ready(First::Written(written));
                }
                if let Poll::Ready(read) = stream.poll_read(task, room) {
                    return Poll::Ready(First::Read(read));
                }
                receive.as_mut().poll(task).map(First::Message)
            })
            .await
        };
        match first {
            First::Read(read) => Socket::has_read(read, input),
            First::Message(message) => Event::Message(message),
            First::Written(Ok(count)) if count > 0 => {
                self.has_written(count);
                Event::Wrote
            }
            First::Written(_) => Event::Closed,
        }
    }

    /// Writes all that is to be written.
    pub(super) async fn write_all(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self
                .stream
                .write(&self.output.as_bytes()[self.written..])
                .await?
            {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.has_written(count),
            }
        }
        Ok(())
    }

    fn has_read(read: io::Result<usize>, input: &mut Input) -> Event {
        match read {
            Ok(count) if count > 0 => {
                input.filled(count);
                Event::Read
            }
            // The end, or an error of the connection: either way nobody is there to be told.
            Ok(_) | Err(_) => Event::Closed,
        }
    }

    fn has_written(&mut self, count: usize) {
        self.written += count;
        if self.written == self.output.len() {
            self.output.clear();
            self.output.shrink(KEPT_BYTES);
            self.written = 0;
        } else if self.written > KEPT_BYTES && self.written > self.output.len() / 2 {
            // Who is always a little behind must not make the output grow for ever. Each byte is moved once on average.
            self.output.remove_front(self.written);
            self.written = 0;
        }
    }
}

enum First {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Message(Message),
}
