//! The service as its clients see it, over TCP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use otp_example_web_service::{News, Options, run};
use otp_vm::{ExitReason, Pid, Run, ShutdownReport, Vm};
use redb::{Database, ReadableDatabase, TableDefinition};
use tokio::runtime::{self, Runtime};

/// For what takes a moment, on a machine that has others to serve.
const PATIENCE: Duration = Duration::from_secs(60);

struct Service {
    vm: Vm,
    run: Run<ExitReason>,
    news: Receiver<News>,
    address: SocketAddr,
    database: File,
    /// Goes after the VM.
    _runtime: Runtime,
}

/// A database's file, which goes with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!("{name}-{}.redb", std::process::id());
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// What is kept under a key. It opens only if nobody has it open.
    fn kept(&self, key: &str) -> Option<String> {
        let database = Database::open(&self.0).unwrap();
        let read = database.begin_read().unwrap();
        let entries: TableDefinition<&str, &str> = TableDefinition::new("entries");
        let value = read.open_table(entries).unwrap().get(key).unwrap();
        value.map(|value| value.value().to_owned())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A test that failed may have it open; there may be none.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Service {
    fn start(name: &str, set: impl FnOnce(Options) -> Options) -> Self {
        let database = File::new(name);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let tokio = runtime.handle().clone();
        let vm = Vm::builder().schedulers(2).tokio(tokio).build().unwrap();
        let (sender, news) = mpsc::channel();
        let options = set(Options::new(database.0.clone(), sender));
        let run = vm.run(|cx| run(cx, options));
        let mut service = Service {
            vm,
            run,
            news,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            database,
            _runtime: runtime,
        };
        service.address = service.listening();
        service
    }

    fn next(&self) -> News {
        self.news.recv_timeout(PATIENCE).expect("there is news")
    }

    /// The next address that is listened at.
    fn listening(&self) -> SocketAddr {
        loop {
            if let News::Listening(address) = self.next() {
                return address;
            }
        }
    }

    fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).expect("somebody listens"))
    }

    fn whereis(&self, name: &str) -> Pid {
        self.vm.whereis(name).expect("it runs")
    }

    /// Ends it, and gives all that happened, from now on, in its order; and what is left.
    fn stop(self) -> (ShutdownReport, Vec<News>, File) {
        let report = self.vm.shutdown(PATIENCE).wait().unwrap();
        assert_eq!(self.run.wait().unwrap(), ExitReason::shutdown());
        (report, self.news.iter().collect(), self.database)
    }
}

struct Client(BufReader<TcpStream>);

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    closes: bool,
    body: String,
}

impl Client {
    fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(socket))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next answer; None: the connection is closed.
    fn answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        if self.0.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut closes, mut length) = (false, 0);
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let header = line.trim_end().to_ascii_lowercase();
            match header.split_once(": ") {
                None => break,
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("connection", value)) => closes = value == "close",
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        Some(Answer {
            status,
            closes,
            body,
        })
    }

    fn get(&mut self, key: &str) -> (u16, String) {
        self.send(&format!(
            "GET /entries/{key} HTTP/1.1\r\nhost: here\r\n\r\n"
        ));
        let answer = self.answer().expect("an answer");
        (answer.status, answer.body)
    }

    fn put(&mut self, key: &str, value: &str) -> u16 {
        self.begin_put(key, value.len(), "");
        self.send(value);
        self.answer().expect("an answer").status
    }

    fn begin_put(&mut self, key: &str, length: usize, header: &str) {
        self.send(&format!(
            "PUT /entries/{key} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n{header}\r\n"
        ));
    }

    /// Sends a request without its body, and returns when its handler waits for that.
    fn begin_slow_put(&mut self, key: &str, length: usize) {
        self.begin_put(key, length, "expect: 100-continue\r\n");
        assert_eq!(self.answer().expect("it goes on").status, 100);
    }
}

#[test]
fn what_is_put_is_got_by_all_and_stays_in_the_file() {
    let service = Service::start("put_get", |options| options);
    let (mut ada, mut bob) = (service.connect(), service.connect());
    assert_eq!(ada.get("motto").0, 404);
    assert_eq!(ada.put("motto", "let it crash"), 200);
    assert_eq!(bob.get("motto"), (200, "let it crash".to_owned()));
    assert_eq!(bob.put("motto", ""), 200);
    assert_eq!(ada.get("motto"), (200, String::new()));

    // Connections with nothing to do are closed.
    let (report, _, file) = service.stop();
    assert!(report.is_orderly(), "{report:?}");
    assert!(ada.answer().is_none());
    assert_eq!(file.kept("motto").as_deref(), Some(""));
}

#[test]
fn a_request_in_flight_is_answered_and_the_parts_end_in_order() {
    let service = Service::start("drain", |options| options);
    let mut client = service.connect();
    client.begin_slow_put("last", 4);
    client.send("wo");

    let down = service.vm.shutdown(PATIENCE);
    assert_eq!(service.next(), News::Ended("endpoint"));
    // Nobody is let in any more, and nothing else ends while the request is under way.
    TcpStream::connect(service.address).expect_err("the port is closed");
    assert_eq!(service.next(), News::Draining);
    assert_eq!(service.news.try_recv(), Err(TryRecvError::Empty));

    client.send("rd");
    let answer = client.answer().expect("an answer");
    assert_eq!((answer.status, answer.closes), (200, true));
    assert!(client.answer().is_none());
    let report = down.wait().unwrap();
    assert!(report.is_orderly(), "{report:?}");

    let (_, news, file) = service.stop();
    let mut order: Vec<&str> = news.iter().map(ended).collect();
    order.dedup();
    assert_eq!(order, ["connection", "readers", "store"]);
    assert_eq!(file.kept("last").as_deref(), Some("word"));
}

fn ended(news: &News) -> &'static str {
    match news {
        News::Ended(part) => part,
        other => panic!("{other:?}, but it ends"),
    }
}

#[test]
fn a_request_that_takes_longer_than_the_drain_is_given_up() {
    let drain = Duration::from_millis(50);
    let service = Service::start("too_long", |options| Options { drain, ..options });
    let mut client = service.connect();
    client.begin_slow_put("never", 4);
    let (report, news, _) = service.stop();
    // Its supervisor ended it: the VM itself had none to kill.
    assert!(report.is_orderly(), "{report:?}");
    assert_eq!(news.last(), Some(&News::Ended("store")));
    // The socket is closed, perhaps with what came unread.
    assert!(matches!(client.0.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn an_endpoint_that_crashes_is_back_at_its_port_and_connections_go_on() {
    let service = Service::start("crash", |options| options);
    let mut before = service.connect();
    assert_eq!(before.put("key", "value"), 200);
    let crashed = service.whereis("endpoint");
    service.vm.exit(crashed, ExitReason::kill());

    assert_eq!(service.next(), News::Ended("endpoint"));
    assert_eq!(service.next(), News::Listening(service.address));
    assert_ne!(service.whereis("endpoint"), crashed);
    assert_eq!(service.connect().get("key"), (200, "value".to_owned()));
    assert_eq!(before.get("key"), (200, "value".to_owned()));
}

#[test]
fn a_store_that_crashes_takes_along_who_needs_it_and_all_are_back() {
    let service = Service::start("store_crash", |options| options);
    let mut before = service.connect();
    assert_eq!(before.put("key", "value"), 200);
    service
        .vm
        .exit(service.whereis("store"), ExitReason::kill());

    // `rest_for_one`: those that started after it end, the last first, and start again.
    let mut order = Vec::new();
    let address = loop {
        match service.next() {
            News::Ended(part) => order.push(part),
            News::Draining => order.push("draining"),
            News::Listening(address) => break address,
        }
    };
    order.dedup();
    assert_eq!(
        order,
        ["store", "endpoint", "draining", "connection", "readers"]
    );
    assert_eq!(address, service.address);
    assert!(before.answer().is_none(), "it was ended");
    assert_eq!(service.connect().get("key"), (200, "value".to_owned()));
}

#[test]
fn who_comes_when_there_are_too_many_is_hung_up_on() {
    let service = Service::start("too_many", |options| Options {
        max_connections: 1,
        ..options
    });
    let mut first = service.connect();
    assert_eq!(first.put("key", "value"), 200);
    assert!(matches!(service.connect().0.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(first.get("key"), (200, "value".to_owned()));
    drop(first);
    // The news of what was refused, and of what was hung up.
    while service.next() != News::Ended("connection") {}
    while service.next() != News::Ended("connection") {}
    loop {
        // Its place is free a moment after its end.
        let mut next = service.connect();
        next.send("GET /entries/key HTTP/1.1\r\nhost: here\r\n\r\n");
        let mut line = String::new();
        if next.0.read_line(&mut line).is_ok_and(|read| read > 0) {
            assert_eq!(line, "HTTP/1.1 200 OK\r\n");
            break;
        }
    }
}
