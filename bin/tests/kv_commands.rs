//! redis-cli works for every command, and redis-benchmark runs to its end.

mod kv_support;

use std::process::{Command, Output};

use kv_support::{Server, has_program};

/// Requests of each of redis-benchmark's tests, unless `OTP_VM_BENCHMARK_REQUESTS` says otherwise.
const BENCHMARK_REQUESTS: &str = "20000";

fn redis_cli(server: &Server, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &server.address.port().to_string()])
        .args(arguments)
        .output()
        .expect("redis-cli runs");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

#[test]
fn redis_cli_works_for_every_command() {
    if !has_program("redis-cli") {
        return;
    }
    let server = Server::start(&[]);
    let exact = [
        ("PING", "PONG"),
        ("PING hi", "hi"),
        ("ECHO hi", "hi"),
        ("SELECT 0", "OK"),
        ("QUIT", "OK"),
        ("FLUSHALL", "OK"),
        ("SET k 1", "OK"),
        ("SET k 2 NX", ""),
        ("SET k 2 XX", "OK"),
        ("SET k 3 GET", "2"),
        ("SET k 3 EX 100", "OK"),
        ("TTL k", "100"),
        ("SET k 3 KEEPTTL", "OK"),
        ("TTL k", "100"),
        ("PERSIST k", "1"),
        ("TTL k", "-1"),
        ("SET k 3 PX 100000", "OK"),
        ("GET k", "3"),
        ("GETSET k 4", "3"),
        ("GETDEL k", "4"),
        ("GET k", ""),
        ("APPEND k abc", "3"),
        ("STRLEN k", "3"),
        ("MSET a 1 b 2", "OK"),
        ("MGET a b c", "1\n2\n"),
        ("DEL a", "1"),
        ("EXISTS a b", "1"),
        ("TYPE b", "string"),
        ("KEYS b", "b"),
        ("DBSIZE", "2"),
        ("INCR n", "1"),
        ("DECR n", "0"),
        ("INCRBY n 5", "5"),
        ("DECRBY n 2", "3"),
        ("EXPIRE n 100", "1"),
        ("PEXPIRE n 100000", "1"),
        ("LPUSH l a b", "2"),
        ("RPUSH l c", "3"),
        ("LPOP l", "b"),
        ("RPOP l", "c"),
        ("LLEN l", "1"),
        ("LRANGE l 0 -1", "a"),
        ("SADD s a", "1"),
        ("SISMEMBER s a", "1"),
        ("SMEMBERS s", "a"),
        ("SCARD s", "1"),
        ("SPOP s", "a"),
        ("SADD s a", "1"),
        ("SREM s a", "1"),
        ("HSET h f 1", "1"),
        ("HGET h f", "1"),
        ("HINCRBY h f 2", "3"),
        ("HGETALL h", "f\n3"),
        ("HLEN h", "1"),
        ("HDEL h f", "1"),
        ("PUBLISH c m", "0"),
        ("CONFIG GET save", "save"),
        ("CLIENT SETNAME me", "OK"),
        ("UNSUBSCRIBE", "unsubscribe\n\n0"),
    ];
    for (command, expected) in exact {
        let arguments: Vec<&str> = command.split(' ').collect();
        assert_eq!(
            redis_cli(&server, &arguments),
            expected.trim_end(),
            "{command}"
        );
    }
    let telling = [
        ("INFO", "redis_version:"),
        ("COMMAND", "get"),
        ("TIME", "\n"),
        ("CLIENT ID", ""),
        ("SCAN 0", "0\n"),
        ("PTTL n", "9"),
    ];
    for (command, part) in telling {
        let arguments: Vec<&str> = command.split(' ').collect();
        let reply = redis_cli(&server, &arguments);
        assert!(
            reply.contains(part) && !reply.contains("ERR"),
            "{command}: {reply}"
        );
    }
    assert!(server.terminate().success());
}

fn benchmark(server: &Server, more: &[&str]) -> Output {
    let requests = std::env::var("OTP_VM_BENCHMARK_REQUESTS")
        .unwrap_or_else(|_| BENCHMARK_REQUESTS.to_owned());
    Command::new("redis-benchmark")
        .args(["-p", &server.address.port().to_string()])
        .args([
            "-t",
            "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,mset,lrange_100",
        ])
        .args(["-n", &requests, "-c", "50", "-q"])
        .args(more)
        .output()
        .expect("redis-benchmark runs")
}

#[test]
fn redis_benchmark_runs_to_its_end() {
    if !has_program("redis-benchmark") {
        return;
    }
    let server = Server::start(&[]);
    for more in [&[][..], &["-P", "16"]] {
        let output = benchmark(&server, more);
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !text.contains("Error") && errors.is_empty(),
            "{text}\n{errors}"
        );
        for test in [
            "PING_INLINE",
            "PING_MBULK",
            "SET",
            "GET",
            "INCR",
            "LPUSH",
            "RPUSH",
            "LPOP",
            "RPOP",
            "SADD",
            "HSET",
            "SPOP",
            "MSET (10 keys)",
            "LRANGE_100 (first 100 elements)",
        ] {
            let done = text
                .split(['\r', '\n'])
                .any(|line| line.starts_with(&format!("{test}: ")) && line.contains("per second"));
            assert!(done, "{test} did not end: {text}");
        }
    }
    assert!(server.terminate().success());
}
