//! What the end-to-end tests of `kv` share: the real binary on a free port, a small client, foreign programs.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_otp-vm");

/// A running `otp-vm run kv`, killed if the test forgets it.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts the server on a free port, with more options.
    pub fn start(options: &[&str]) -> Server {
        let mut command = Command::new(BINARY);
        Server::start_by(command.env("RUST_LOG", "off"), options)
    }

    /// Starts the server by a command that is the binary, or runs it.
    pub fn start_by(command: &mut Command, options: &[&str]) -> Server {
        let mut child = command
            .args(["run", "kv", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        stdout
            .read_line(&mut line)
            .expect("the binary says where it listens");
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Server { child, address }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address).expect("the server accepts")
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the process can be asked")
            .is_none()
    }

    /// The most resident memory that it had at any time, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the kernel tells of the process");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak.expect("VmHWM is a number of kB") * 1024
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// Nobody reads the server's standard error any more.
    pub fn close_stderr(&mut self) {
        drop(self.child.stderr.take());
    }

    /// Asks the server to end, as an operator would.
    pub fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the server to end by itself.
    pub fn wait(mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the process can be asked") {
            return status;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "the server did not end within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reply.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Vec<u8>>),
    Array(Option<Vec<Value>>),
}

impl Value {
    pub fn bulk(text: &str) -> Value {
        Value::Bulk(Some(text.as_bytes().to_vec()))
    }

    pub fn ok() -> Value {
        Value::Simple("OK".to_owned())
    }

    pub fn error(text: &str) -> Value {
        Value::Error(text.to_owned())
    }

    /// The elements of an array.
    pub fn elements(&self) -> &[Value] {
        match self {
            Value::Array(Some(elements)) => elements,
            other => panic!("not an array: {other:?}"),
        }
    }

    /// The integer.
    pub fn integer(&self) -> i64 {
        match self {
            Value::Integer(number) => *number,
            other => panic!("not an integer: {other:?}"),
        }
    }

    /// The text of a bulk string.
    pub fn text(&self) -> String {
        match self {
            Value::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("not a bulk string: {other:?}"),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Simple(text) => write!(f, "+{text}"),
            Value::Error(text) => write!(f, "-{text}"),
            Value::Integer(number) => write!(f, ":{number}"),
            Value::Bulk(None) => write!(f, "nil"),
            Value::Bulk(Some(bytes)) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Value::Array(None) => write!(f, "nil array"),
            Value::Array(Some(values)) => f.debug_list().entries(values).finish(),
        }
    }
}

/// A client that sends a command and reads the reply.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream: BufReader::new(stream),
        })
    }

    /// One command of words, split at spaces.
    pub fn run(&mut self, command: &str) -> Value {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.command(&words)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Value> {
        self.send(&request(arguments))?;
        self.reply()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub fn reply(&mut self) -> io::Result<Value> {
        let line = self.line()?;
        let (kind, rest) = line.split_at(1);
        let number = || {
            rest.parse::<i64>()
                .map_err(|error| io::Error::other(format!("{line:?}: {error}")))
        };
        Ok(match kind {
            "+" => Value::Simple(rest.to_owned()),
            "-" => Value::Error(rest.to_owned()),
            ":" => Value::Integer(number()?),
            "$" => match usize::try_from(number()?) {
                Err(_) => Value::Bulk(None),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Value::Bulk(Some(bytes))
                }
            },
            "*" => match usize::try_from(number()?) {
                Err(_) => Value::Array(None),
                Ok(length) => Value::Array(Some(
                    (0..length)
                        .map(|_| self.reply())
                        .collect::<io::Result<_>>()?,
                )),
            },
            _ => return Err(io::Error::other(format!("no reply begins so: {line:?}"))),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line);
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Everything until the server closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset instead of an end is a close as well.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }
}

/// A command as an array of bulk strings.
pub fn request<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Calls `check` until it says yes.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !check() {
        assert!(
            begin.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Whether a foreign program is there. If not, the test that asks is to skip, and the number of skipped tests so far is
/// printed; with `OTP_VM_REQUIRE_FOREIGN=1` its absence is a failure.
pub fn has_program(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let required = std::env::var("OTP_VM_REQUIRE_FOREIGN").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "{program} is not installed, and OTP_VM_REQUIRE_FOREIGN=1 asks for it"
        );
        let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        println!("skipped for want of {program} ({skipped} so far in this file)");
    }
    found
}

/// A real redis-server without persistence, on a free port.
pub struct Redis {
    child: Child,
    pub address: SocketAddr,
}

impl Redis {
    pub fn start() -> Redis {
        // Between choosing the port and using it somebody else may take it; then the server ends, and another is tried.
        for _ in 0..10 {
            let address = TcpListener::bind("127.0.0.1:0")
                .and_then(|free| free.local_addr())
                .expect("a port is free");
            let child = Command::new("redis-server")
                .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--databases", "1"])
                .stdout(Stdio::null())
                .spawn()
                .expect("redis-server starts");
            let mut redis = Redis { child, address };
            let begin = Instant::now();
            while redis
                .child
                .try_wait()
                .expect("the process can be asked")
                .is_none()
            {
                if TcpStream::connect(address).is_ok() {
                    return redis;
                }
                assert!(begin.elapsed() < PATIENCE, "redis-server does not listen");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("redis-server found no port");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same seed gives the same numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
