//! A connection: one process, one client.
//!
//! 1. It waits for its socket, which the acceptor sends.
//! 2. It waits for bytes. While the client is subscribed to a channel, it waits for pushes as well, and for the end of
//!    the pub/sub server, with which it closes.
//! 3. It answers all complete requests that have come, as [`super`] tells, and writes the replies at once.
//! 4. It ends when the client closes, says QUIT, sends what is no request, or does not take its replies.
//!
//! It traps no exits: told to end, it ends at its next await, between system calls; what it had sent to the store is
//! done or not, and its client has no reply, so does not know.

mod about;
mod channels;
mod input;
mod session;
mod socket;

use std::time::Duration;

use otp_vm::net::TcpStream;
use otp_vm::{Binary, Context, Native};
use serde::{Deserialize, Serialize};

use super::options::Limits;
use super::resp::Parser;
use input::Input;
use session::Session;
use socket::{Event, Socket};

/// How long a connection waits for its socket, which is on its way when the process starts.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of replies after which they are written even if more requests are there.
const WRITE_BYTES: usize = 64 * 1024;

/// The socket, from the acceptor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Handover(pub Native<TcpStream>);

/// What a subscribed connection is sent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Push {
    /// Bytes for the client.
    Push(Binary),
}

/// Serves a client until it is gone.
pub async fn run(mut cx: Context, limits: Limits) {
    let handover = cx
        .receive_where(HANDOVER_TIMEOUT, |message| {
            message.decode::<Handover>().ok()
        })
        .await;
    let Some(stream) = handover.and_then(|Handover(stream)| stream.into_inner()) else {
        return;
    };
    // Without it, a reply in two parts would wait for the client's acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut input = Input::new();
    let mut parser = Parser::new(limits.parser());
    let mut session = Session::new(&cx, limits, &stream);
    let mut socket = Socket::new(stream);
    loop {
        if session.is_subscribed()
            && !take_messages(&mut cx, &mut session, &mut socket, &limits).await
        {
            break;
        }
        let event = socket
            .wait(&mut cx, &mut input, session.is_subscribed())
            .await;
        match event {
            Event::Read => {}
            Event::Message(message) => {
                if !session.take_message(&message, socket.output()) {
                    break;
                }
                continue;
            }
            Event::Wrote => continue,
            Event::Closed => break,
        }
        while let Some(progress) =
            answer(&mut cx, &mut parser, &mut input, &mut session, &mut socket).await
        {
            if progress == Progress::Closing {
                // While a client takes its last replies nobody looks into the mailbox, so nothing may come there.
                session.leave(&mut cx).await;
                // The client may be gone already, and learns nothing more.
                let _ = socket.write_all().await;
                return;
            }
            if !session.is_subscribed() && socket.write_all().await.is_err() {
                return;
            }
        }
        // A subscriber that reads slowly must not keep its connection from taking messages: its output is written in
        // the wait.
        if !session.is_subscribed() && socket.write_all().await.is_err() {
            break;
        }
        input.tidy();
    }
}

/// Takes all messages that have come, so that what waits for a subscriber is in its output, where the limit holds: a
/// client that sends without end would leave it in the mailbox. False if the connection is to be closed.
async fn take_messages(
    cx: &mut Context,
    session: &mut Session,
    socket: &mut Socket,
    limits: &Limits,
) -> bool {
    while socket.pending() <= limits.output_bytes {
        let Some(message) = cx.receive_timeout(Duration::ZERO).await else {
            return true;
        };
        if !session.take_message(&message, socket.output()) {
            return false;
        }
    }
    tracing::warn!(client = %session.peer(), "a subscriber does not take its output; closed");
    false
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There is much to write, and perhaps more to answer.
    Much,
    /// Nothing more is to be answered.
    Closing,
}

/// Answers requests out of the input. `None` when all complete ones are answered.
async fn answer(
    cx: &mut Context,
    parser: &mut Parser,
    input: &mut Input,
    session: &mut Session,
    socket: &mut Socket,
) -> Option<Progress> {
    loop {
        let buffer = input.bytes();
        match parser.parse(buffer) {
            Ok(Some(length)) => {
                let arguments = parser.arguments(buffer, length);
                if !arguments.is_empty() {
                    session.take(cx, arguments, socket).await;
                }
                input.consume(length);
                if session.is_closing() {
                    return Some(Progress::Closing);
                }
                if socket.output().len() >= WRITE_BYTES {
                    session.send_batch(cx, socket).await;
                    return Some(Progress::Much);
                }
            }
            Ok(None) => {
                session.send_batch(cx, socket).await;
                return None;
            }
            Err(error) => {
                session.send_batch(cx, socket).await;
                socket.output().protocol_error(error);
                return Some(Progress::Closing);
            }
        }
    }
}
