//! Killing processes loses nothing that was acknowledged, and executes nothing twice.

mod kv_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use kv_support::{Client, Server, Value, eventually};

const CLIENTS: usize = 50;
const KEYS: usize = 16;

/// How long the clients increment, unless `OTP_VM_CHAOS_SECONDS` says otherwise.
const CHAOS_SECONDS: u64 = 4;

#[derive(Default)]
struct Tally {
    attempted: [AtomicU64; KEYS],
    acknowledged: [AtomicU64; KEYS],
    connections: AtomicU64,
    refused_connections: AtomicU64,
}

/// Increments until told to stop; whoever loses the connection connects again.
fn increment(address: std::net::SocketAddr, number: usize, stop: &AtomicBool, tally: &Tally) {
    let mut client = None;
    let mut key = number;
    while !stop.load(Ordering::Relaxed) {
        let Some(connected) = &mut client else {
            match Client::connect(address) {
                Ok(connected) => {
                    tally.connections.fetch_add(1, Ordering::Relaxed);
                    client = Some(connected);
                }
                Err(_) => {
                    tally.refused_connections.fetch_add(1, Ordering::Relaxed);
                }
            }
            continue;
        };
        key = (key + 7) % KEYS;
        tally.attempted[key].fetch_add(1, Ordering::Relaxed);
        match connected.command(&["INCR".to_owned(), format!("key:{key}")]) {
            Ok(Value::Integer(_)) => {
                tally.acknowledged[key].fetch_add(1, Ordering::Relaxed);
            }
            // Fate unknown: the increment may have been executed or not.
            Ok(Value::Error(_)) => {}
            Ok(other) => panic!("INCR replied {other:?}"),
            Err(_) => client = None,
        }
    }
}

#[test]
fn under_chaos_every_counter_is_between_what_was_acknowledged_and_what_was_tried() {
    let seconds = std::env::var("OTP_VM_CHAOS_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let mut server = Server::start(&["--chaos", "50", "--chaos-seed", "42"]);
    let stop = Arc::new(AtomicBool::new(false));
    let tally = Arc::new(Tally::default());
    let threads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (stop, tally, address) = (Arc::clone(&stop), Arc::clone(&tally), server.address);
            thread::spawn(move || increment(address, number, &stop, &tally))
        })
        .collect();
    thread::sleep(Duration::from_secs(seconds.unwrap_or(CHAOS_SECONDS)));
    stop.store(true, Ordering::Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("a client ends"));
    assert!(server.is_running());
    assert_eq!(
        tally.refused_connections.load(Ordering::Relaxed),
        0,
        "the port was always open"
    );
    let reconnections = tally.connections.load(Ordering::Relaxed) - CLIENTS as u64;
    assert!(reconnections > 0, "no connection was killed");
    let mut total = 0;
    for key in 0..KEYS {
        let mut value = None;
        // The chaos goes on, so the one who looks may be killed too.
        eventually("the counter can be read", || {
            let reply = Client::connect(server.address)
                .and_then(|mut client| client.command(&["GET".to_owned(), format!("key:{key}")]));
            value = match reply {
                Ok(reply @ Value::Bulk(Some(_))) => reply.text().parse::<u64>().ok(),
                _ => None,
            };
            value.is_some()
        });
        let value = value.expect("it was read");
        let acknowledged = tally.acknowledged[key].load(Ordering::Relaxed);
        let attempted = tally.attempted[key].load(Ordering::Relaxed);
        assert!(
            (acknowledged..=attempted).contains(&value),
            "key {key}: acknowledged {acknowledged}, value {value}, attempted {attempted}"
        );
        total += value;
    }
    println!("{total} increments, {reconnections} reconnections");
    assert_eq!(
        server.terminate().code(),
        Some(0),
        "nothing is left over that had to be killed"
    );
}

#[test]
fn containers_are_whole_after_chaos() {
    let server = Server::start(&["--chaos", "100", "--chaos-seed", "7"]);
    let mut pushed = 0;
    let mut tried = 0;
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        let Ok(mut client) = Client::connect(server.address) else {
            continue;
        };
        loop {
            tried += 1;
            match client.command(&["RPUSH".to_owned(), "list".to_owned(), tried.to_string()]) {
                Ok(Value::Integer(_)) => pushed += 1,
                _ => break,
            }
            if begin.elapsed() > Duration::from_secs(2) {
                break;
            }
        }
    }
    let mut elements = Vec::new();
    eventually("the list can be read", || {
        let reply = Client::connect(server.address)
            .and_then(|mut client| client.command(&["LRANGE", "list", "0", "-1"]));
        match reply {
            Ok(Value::Array(Some(values))) => {
                elements = values
                    .iter()
                    .map(|value| value.text().parse::<u64>().expect("a number"))
                    .collect();
                true
            }
            _ => false,
        }
    });
    assert!(
        elements.windows(2).all(|two| two[0] < two[1]),
        "in the order of pushing, and none twice"
    );
    assert!((pushed..=tried).contains(&(elements.len() as u64)));
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn exceeding_an_intensity_ends_the_tree_with_an_exit_code() {
    let server = Server::start(&["--chaos-exceed"]);
    let status = server.wait();
    assert_eq!(status.code(), Some(1), "the tree ended by itself");
}
