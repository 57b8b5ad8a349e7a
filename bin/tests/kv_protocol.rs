//! What clients send, well or badly formed, and the limits that hold.

mod kv_support;

use std::process::{Command, Stdio};
use std::time::Duration;

use kv_support::{BINARY, Client, Server, Value, eventually, request};

#[test]
fn malformed_requests_get_an_error_and_the_connection_is_closed() {
    let server = Server::start(&[
        "--max-value-bytes",
        "1000",
        "--max-arguments",
        "100",
        "--max-frame-bytes",
        "5000",
    ]);
    let mut large = b"*7\r\n$3\r\nSET\r\n".to_vec();
    for _ in 0..6 {
        large.extend_from_slice(b"$1000\r\n");
        large.extend_from_slice(&[b'x'; 1000]);
        large.extend_from_slice(b"\r\n");
    }
    let cases: [(&[u8], &str); 10] = [
        (
            b"*x\r\n",
            "-ERR Protocol error: invalid multibulk length\r\n",
        ),
        (
            b"*101\r\n",
            "-ERR Protocol error: invalid multibulk length\r\n",
        ),
        (
            b"*1\r\n:5\r\n",
            "-ERR Protocol error: expected '$', got ':'\r\n",
        ),
        (
            b"*1\r\n\r\n",
            "-ERR Protocol error: expected '$', got ' '\r\n",
        ),
        (
            b"*2\r\n$3\r\nGET\r\n$-5\r\n",
            "-ERR Protocol error: invalid bulk length\r\n",
        ),
        (
            b"*2\r\n$3\r\nGET\r\n$1001\r\n",
            "-ERR Protocol error: invalid bulk length\r\n",
        ),
        (
            b"*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n",
            "-ERR Protocol error: invalid bulk length\r\n",
        ),
        (
            b"SET k \"unbalanced\r\n",
            "-ERR Protocol error: unbalanced quotes in request\r\n",
        ),
        (&large, "-ERR Protocol error: too big request\r\n"),
        (
            b"PING\r\n*1\r\n+\r\n",
            "+PONG\r\n-ERR Protocol error: expected '$', got '+'\r\n",
        ),
    ];
    for (bytes, expected) in cases {
        let mut client = server.connect();
        client.send(bytes).expect("the server reads");
        assert_eq!(
            String::from_utf8_lossy(&client.rest()),
            expected,
            "{}",
            bytes.escape_ascii()
        );
    }
    let mut endless = server.connect();
    // The server may close before it has read all of it.
    let _ = endless.send(&[b'a'; 70_000]);
    let rest = endless.rest();
    assert!(rest.is_empty() || rest.starts_with(b"-ERR Protocol error: too big inline request"));
    assert_eq!(
        server.connect().run("PING"),
        Value::Simple("PONG".to_owned()),
        "others are not harmed"
    );
    assert!(server.terminate().success());
}

#[test]
fn inline_requests_are_answered() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client
        .send(b"SET greeting \"hello\\tworld\"\r\n\r\nGET greeting\nINCR n\r\nPING\r\n")
        .unwrap();
    let replies: Vec<Value> = (0..4).map(|_| client.reply().unwrap()).collect();
    assert_eq!(
        replies,
        [
            Value::ok(),
            Value::bulk("hello\tworld"),
            Value::Integer(1),
            Value::Simple("PONG".to_owned())
        ]
    );
}

#[test]
fn a_request_may_come_byte_by_byte_and_many_at_once() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for byte in request(&["SET", "k", "value"]) {
        client.send(&[byte]).unwrap();
    }
    assert_eq!(client.reply().unwrap(), Value::ok());
    let many: Vec<u8> = (0..5000)
        .flat_map(|_| [request(&["INCR", "n"]), request(&["GET", "k"])].concat())
        .collect();
    client.send(&many).unwrap();
    for count in 1..=5000 {
        assert_eq!(client.reply().unwrap(), Value::Integer(count));
        assert_eq!(client.reply().unwrap(), Value::bulk("value"));
    }
}

#[test]
fn large_values_pass_and_too_large_ones_do_not() {
    let server = Server::start(&["--max-value-bytes", "10000000"]);
    let mut client = server.connect();
    let value = vec![b'x'; 9_999_999];
    assert_eq!(
        client.command(&[b"SET", &b"k"[..], &value]).unwrap(),
        Value::ok()
    );
    assert_eq!(client.run("APPEND k y"), Value::Integer(10_000_000));
    assert_eq!(
        client.run("APPEND k z"),
        Value::error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    );
    assert_eq!(client.run("STRLEN k"), Value::Integer(10_000_000));
    let Value::Bulk(Some(bytes)) = client.run("GET k") else {
        panic!("no value")
    };
    assert!(bytes.len() == 10_000_000 && bytes.ends_with(b"xy"));
}

#[test]
fn pipelined_reads_are_answered_as_if_they_came_alone() {
    const READS: usize = 50;
    let server = Server::start(&["--max-output-bytes", "100000"]);
    let mut client = server.connect();
    let value = "x".repeat(150_000);
    client.command(&["SET", "k", &value]).unwrap();
    client
        .command(&["RPUSH", "list", &value[..90_000]])
        .unwrap();
    client.command(&["RPUSH", "long", &value]).unwrap();
    let one = [
        request(&["INCR", "n"]),
        request(&["GET", "k"]),
        request(&["LRANGE", "list", "0", "-1"]),
        request(&["LRANGE", "long", "0", "-1"]),
    ];
    client.send(&one.concat().repeat(READS)).unwrap();
    for count in 1..=READS {
        assert_eq!(client.reply().unwrap(), Value::Integer(count as i64));
        assert!(client.reply().unwrap() == Value::bulk(&value), "GET");
        assert_eq!(client.reply().unwrap().elements().len(), 1);
        let refused = format!("{:?}", client.reply().unwrap());
        assert!(refused.contains("--max-output-bytes"), "{refused}");
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let server = Server::start(&["--max-clients", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.run("PING"), Value::Simple("PONG".to_owned()));
    }
    let mut refused = server.connect();
    assert_eq!(
        String::from_utf8_lossy(&refused.rest()),
        "-ERR max number of clients reached\r\n"
    );
    clients.pop();
    eventually("a place is free again", || {
        server
            .connect()
            .command(&["PING"])
            .is_ok_and(|reply| reply == Value::Simple("PONG".to_owned()))
    });
}

#[test]
fn keys_expire_whether_or_not_anybody_looks() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for key in 0..1000 {
        client.run(&format!("SET key:{key} v PX 50"));
    }
    client.run("RPUSH list a b c");
    client.run("PEXPIRE list 50");
    client.run("SET stays v");
    assert_eq!(client.run("TTL stays"), Value::Integer(-1));
    // DBSIZE counts what the sweeper has not deleted yet, and nothing else here looks at the keys.
    eventually("the sweeper deletes what has expired", || {
        client.run("DBSIZE") == Value::Integer(1)
    });
    assert_eq!(client.run("LRANGE list 0 -1"), Value::Array(Some(vec![])));
    client.run("SET soon v PX 1");
    eventually("an expired key is not there", || {
        client.run("GET soon") == Value::Bulk(None)
    });
}

/// What INFO says of the memory of the tables.
fn used_memory(info: &Value) -> u64 {
    let info = info.text();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|value| value.trim().parse().ok())
        .expect("INFO tells the memory")
}

/// By how much the server's memory has grown at most while several clients at once sent these pairs of commands, each
/// pair of which leaves nothing.
fn growth_by(pair: &[u8], times: usize) -> u64 {
    const CLIENTS: usize = 8;
    let server = Server::start(&[]);
    let before = server.peak_memory();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.connect();
                client.send(&pair.repeat(times)).unwrap();
                for _ in 0..2 * times {
                    let reply = client.reply().unwrap();
                    assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
                }
            });
        }
    });
    server.peak_memory() - before
}

#[test]
fn what_is_put_off_does_not_pile_up() {
    let members: Vec<String> = (0..2000).map(|number| format!("member:{number}")).collect();
    for (add, remove) in [
        (&["RPUSH", "key"][..], &["DEL", "key"][..]),
        (&["SADD", "key"], &["DEL", "key"]),
        (&["FLUSHALL"], &["FLUSHALL"]),
    ] {
        let mut command = add.to_vec();
        let times = if add.len() > 1 {
            command.extend(members.iter().map(String::as_str));
            40
        } else {
            10_000
        };
        let grown = growth_by(&[request(&command), request(remove)].concat(), times);
        assert!(grown < 20_000_000, "{add:?}: {grown} bytes");
    }
}

#[test]
fn deleting_large_containers_frees_them_by_and_by() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for (push, key) in [("RPUSH", "list"), ("SADD", "set")] {
        let mut bytes = Vec::new();
        for chunk in 0..50 {
            let mut command = vec![push.to_owned(), key.to_owned()];
            command.extend((0..200).map(|number| format!("element {chunk} {number}")));
            bytes.extend(request(&command));
        }
        client.send(&bytes).unwrap();
        (0..50).for_each(|_| drop(client.reply().unwrap()));
    }
    assert_eq!(
        (client.run("LLEN list"), client.run("SCARD set")),
        (Value::Integer(10_000), Value::Integer(10_000))
    );
    let full = used_memory(&client.run("INFO memory"));
    assert_eq!(client.run("DEL list"), Value::Integer(1));
    assert_eq!(client.run("SET set overwritten"), Value::ok());
    assert_eq!(
        client.run("LPUSH list new"),
        Value::Integer(1),
        "an old container is no part of a new one"
    );
    eventually("the rows are freed", || {
        used_memory(&client.run("INFO memory")) < full / 10
    });
    assert_eq!(
        client.run("LRANGE list 0 -1"),
        Value::Array(Some(vec![Value::bulk("new")]))
    );
    client.run("FLUSHALL");
    assert_eq!(client.run("DBSIZE"), Value::Integer(0));
}

#[test]
fn messages_reach_subscribers_and_only_them() {
    let server = Server::start(&[]);
    let (mut one, mut two, mut publisher) = (server.connect(), server.connect(), server.connect());
    let confirmed = |channel: &str, count| {
        Value::Array(Some(vec![
            Value::bulk("subscribe"),
            Value::bulk(channel),
            Value::Integer(count),
        ]))
    };
    one.send(&request(&["SUBSCRIBE", "news", "sport"])).unwrap();
    assert_eq!(one.reply().unwrap(), confirmed("news", 1));
    assert_eq!(one.reply().unwrap(), confirmed("sport", 2));
    assert_eq!(two.run("SUBSCRIBE news"), confirmed("news", 1));
    assert_eq!(publisher.run("PUBLISH news hello"), Value::Integer(2));
    assert_eq!(publisher.run("PUBLISH sport goal"), Value::Integer(1));
    assert_eq!(publisher.run("PUBLISH weather rain"), Value::Integer(0));
    let message = |channel: &str, text: &str| {
        Value::Array(Some(vec![
            Value::bulk("message"),
            Value::bulk(channel),
            Value::bulk(text),
        ]))
    };
    assert_eq!(one.reply().unwrap(), message("news", "hello"));
    assert_eq!(one.reply().unwrap(), message("sport", "goal"));
    assert_eq!(two.reply().unwrap(), message("news", "hello"));
    assert_eq!(
        one.run("GET k"),
        Value::error(
            "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
             context"
        )
    );
    assert_eq!(
        one.run("PING"),
        Value::Array(Some(vec![Value::bulk("pong"), Value::bulk("")]))
    );
    one.send(&request(&["UNSUBSCRIBE"])).unwrap();
    assert_eq!(one.reply().unwrap().elements()[2], Value::Integer(1));
    assert_eq!(one.reply().unwrap().elements()[2], Value::Integer(0));
    assert_eq!(
        one.run("GET k"),
        Value::Bulk(None),
        "who listens to nothing is an ordinary client again"
    );
    drop(two);
    eventually("a subscriber that left is forgotten", || {
        publisher.run("PUBLISH news gone") == Value::Integer(0)
    });
    assert!(server.terminate().success());
}

#[test]
fn a_subscriber_that_takes_nothing_is_closed_and_harms_nobody() {
    let server = Server::start(&["--max-output-bytes", "1000000"]);
    let (mut slow, mut publisher) = (server.connect(), server.connect());
    slow.run("SUBSCRIBE flood");
    let message = "x".repeat(100_000);
    eventually("the slow subscriber is closed", || {
        publisher
            .command(&["PUBLISH", "flood", &message])
            .expect("the publisher is served")
            == Value::Integer(0)
    });
}

#[test]
fn a_subscriber_that_quits_and_takes_nothing_listens_no_more() {
    let server = Server::start(&[]);
    let (mut slow, mut publisher) = (server.connect(), server.connect());
    slow.run("SUBSCRIBE flood");
    // More than sockets hold, and less than the limit: the reply to QUIT cannot be written.
    let message = "x".repeat(1_000_000);
    for _ in 0..50 {
        assert_eq!(
            publisher.command(&["PUBLISH", "flood", &message]).unwrap(),
            Value::Integer(1)
        );
    }
    slow.send(b"QUIT\r\n").unwrap();
    eventually("nothing more is kept for it", || {
        publisher.run("PUBLISH flood more") == Value::Integer(0)
    });
}

#[test]
fn a_subscriber_that_sends_without_end_gets_its_messages_in_between() {
    const PINGS: usize = 100_000;
    let server = Server::start(&[]);
    let (mut subscriber, mut publisher) = (server.connect(), server.connect());
    subscriber.run("SUBSCRIBE news");
    // All of it is there at once when the server goes on.
    server.signal("STOP");
    subscriber.send(&b"PING\r\n".repeat(PINGS)).unwrap();
    publisher
        .send(&request(&["PUBLISH", "news", "hello"]))
        .unwrap();
    server.signal("CONT");
    let message = Value::Array(Some(["message", "news", "hello"].map(Value::bulk).to_vec()));
    let before = (0..PINGS).position(|_| subscriber.reply().unwrap() == message);
    assert!(before.is_some(), "it came behind all of the replies");
}

#[test]
fn the_server_ends_in_order_when_told_to() {
    let server = Server::start(&[]);
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.run("INCR n");
    }
    clients[0].run("SUBSCRIBE c");
    let begin = std::time::Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "no child had to be waited for"
    );
    for client in &mut clients {
        assert_eq!(client.rest(), b"", "connections are closed");
    }
}

#[test]
fn a_hang_up_ends_the_server_in_order_unless_it_is_ignored() {
    // The tests may themselves run under `nohup`, which their children inherit.
    let mut fresh = Command::new("env");
    let fresh = fresh.args(["--default-signal=HUP", BINARY]);
    let server = Server::start_by(fresh.env("RUST_LOG", "off"), &[]);
    server.signal("HUP");
    assert_eq!(server.wait().code(), Some(0));

    let mut nohup = Command::new("sh");
    let nohup = nohup.args(["-c", r#"trap '' HUP; exec "$0" "$@""#, BINARY]);
    let server = Server::start_by(nohup.env("RUST_LOG", "off"), &[]);
    server.signal("HUP");
    // Had it been caught, the second signal would end the program at once, with another code.
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_server_whose_log_nobody_reads_goes_on() {
    let mut command = Command::new(BINARY);
    let command = command.env("RUST_LOG", "info").stderr(Stdio::piped());
    let mut server = Server::start_by(command, &["--max-clients", "1"]);
    let mut client = server.connect();
    assert_eq!(client.run("SET k v"), Value::ok());
    server.close_stderr();
    for _ in 0..20 {
        // Each of them is told of in the log.
        assert_eq!(
            String::from_utf8_lossy(&server.connect().rest()),
            "-ERR max number of clients reached\r\n"
        );
    }
    assert_eq!(client.run("GET k"), Value::bulk("v"));
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_server_without_descriptors_accepts_again_when_there_are_some() {
    let mut command = Command::new("sh");
    let command = command.args(["-c", r#"ulimit -n 40; exec "$0" "$@""#, BINARY]);
    let server = Server::start_by(command.env("RUST_LOG", "off"), &[]);
    let mut clients: Vec<Client> = (0..60).map(|_| server.connect()).collect();
    let pong = Value::Simple("PONG".to_owned());
    assert_eq!(clients[0].run("PING"), pong, "who is in is served");
    // The last one waits in the kernel's queue until others have gone.
    let mut last = clients.pop().expect("there are sixty");
    last.send(b"PING\r\n").unwrap();
    drop(clients);
    assert_eq!(last.reply().unwrap(), pong);
    assert_eq!(server.connect().run("PING"), pong);
    assert!(server.terminate().success());
}
