//! The Erlang node, a child process; `tests/erlang/rig.erl` is its side.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::Value;

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// A running node. It ends when its standard input does, so with this program at the latest.
#[derive(Debug)]
pub struct Erlang {
    input: ChildStdin,
    output: ChildStdout,
    // Held for its streams' sake; it outlives nothing.
    _child: Child,
}

/// The node that all tests of this program share, for the time of the guard.
///
/// `None` if there is no Erlang: the test is to skip, and a line says so. With
/// `OTP_VM_REQUIRE_FOREIGN=1` its absence is a failure.
pub fn erlang() -> Option<MutexGuard<'static, Erlang>> {
    static NODE: LazyLock<Option<Mutex<Erlang>>> =
        LazyLock::new(|| Erlang::start().map(Mutex::new));
    let node = NODE.as_ref();
    if node.is_none() {
        let required = std::env::var("OTP_VM_REQUIRE_FOREIGN").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "erl is not installed, and OTP_VM_REQUIRE_FOREIGN=1 asks for it"
        );
        let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        println!("skipped for want of erl ({skipped} so far in this file)");
    }
    // A test that fails with the guard in hand leaves the node as good as before: a request and
    // its reply are one call.
    node.map(|node| node.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Erlang {
    /// Starts a node; `None` if `erl` is not installed.
    ///
    /// # Panics
    ///
    /// If it is, and the rig does not compile or start.
    pub fn start() -> Option<Erlang> {
        Command::new("erl")
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/erlang/rig.erl");
        let beams = std::env::temp_dir().join(format!("otp-heap-rig-{}", std::process::id()));
        std::fs::create_dir_all(&beams).expect("the temporary directory is writable");
        let compiled = Command::new("erlc")
            .arg("-Werror")
            .arg("-o")
            .args([&beams, &source])
            .status()
            .expect("erlc stands beside erl");
        assert!(compiled.success(), "{} compiles", source.display());
        let mut child = Command::new("erl")
            // It prints what it can of Unicode, as the crate does.
            .args(["+pc", "unicode"])
            // The logger would write between our packets.
            .args(["-noinput", "-kernel", "logger_level", "none"])
            .args(["-s", "rig", "main", "-pa"])
            .arg(&beams)
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("erl starts");
        let mut erlang = Erlang {
            input: child.stdin.take().expect("it is piped"),
            output: child.stdout.take().expect("it is piped"),
            _child: child,
        };
        // Its first answer says that the module is loaded: the file is needed no more.
        erlang.ask("release", vec![vec![]]);
        std::fs::remove_dir_all(&beams).expect("the directory is ours");
        Some(erlang)
    }

    /// OTP's release, 25 or later.
    pub fn release(&mut self) -> u32 {
        let release = self.ask("release", vec![vec![]]).remove(0);
        release.to_i128().expect("a number") as u32
    }

    /// Calls a function of the rig for each list of arguments; gives their results.
    ///
    /// # Panics
    ///
    /// If one call fails.
    pub fn ask(&mut self, function: &str, batch: Vec<Vec<Value>>) -> Vec<Value> {
        let shown = |index: usize| format!("{:?}", batch[index]);
        let results = self.try_ask(function, &batch).into_iter().enumerate();
        results
            .map(|(index, result)| match result {
                Ok(value) => value,
                Err(reason) => panic!("{function} failed for {}: {reason:?}", shown(index)),
            })
            .collect()
    }

    /// The same, with the error of each call that failed.
    pub fn try_ask(&mut self, function: &str, batch: &[Vec<Value>]) -> Vec<Result<Value, Value>> {
        let arguments = batch.iter().map(|arguments| Value::list(arguments.clone()));
        let request = Value::Tuple(vec![Value::atom(function), Value::list(arguments)]);
        let reply = Value::from_external(&self.exchange(&request.to_external()));
        let unreadable = "Erlang does not read the request: a value in it is none of its terms";
        let results = reply.elements().expect(unreadable);
        assert_eq!(results.len(), batch.len(), "a result for each call");
        results
            .into_iter()
            .map(|result| match result {
                Value::Tuple(mut parts) if parts.len() == 2 => {
                    let result = parts.pop().expect("two parts");
                    if parts[0] == Value::atom("ok") {
                        Ok(result)
                    } else {
                        Err(result)
                    }
                }
                other => panic!("no result: {other:?}"),
            })
            .collect()
    }

    /// One packet there, one packet back.
    fn exchange(&mut self, request: &[u8]) -> Vec<u8> {
        let length = u32::try_from(request.len()).expect("a batch is under 4 GB");
        self.input
            .write_all(&length.to_be_bytes())
            .and_then(|()| self.input.write_all(request))
            .and_then(|()| self.input.flush())
            .expect("the node reads");
        let mut length = [0; 4];
        self.output
            .read_exact(&mut length)
            .expect("the node answers");
        let mut reply = vec![0; u32::from_be_bytes(length) as usize];
        self.output
            .read_exact(&mut reply)
            .expect("the node answers");
        reply
    }
}
