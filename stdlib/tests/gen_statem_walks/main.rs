//! State machines that walk by chance, each by its seed, here and on Erlang: the order of all events must be the same.
//!
//! A walk inserts events, postpones, repeats and changes its state, and sets, updates and cancels timeouts of zero, so
//! that nothing of it depends on time: on both sides a seed has one outcome. `statem_walks.erl` is the same machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use otp_stdlib::gen_statem::{Enter, Event, GenStatem, Init, TimeoutType, Transition};
use otp_stdlib::prelude::NoMessage;
use otp_vm::{Atom, Context, Timeout, Vm};

const WALKS: u64 = 3000;
/// Events after which a walk does no more than to go on.
const EVENTS: u64 = 60;
/// The first cast: has the machine wait until all of its messages are there.
const HOLD: u64 = 999;

struct Walk {
    seed: u64,
    events: u64,
    trace: Vec<String>,
}

fn step(x: u64) -> u64 {
    x.wrapping_mul(1_103_515_245).wrapping_add(12345) & 0x7fff_ffff
}

/// Nine numbers by chance.
fn draws(values: [u64; 4], seed: u64) -> [u64; 9] {
    let mut x = values
        .iter()
        .fold(step(seed), |x, value| step(x + value + 1));
    std::array::from_fn(|_| {
        x = step(x);
        x >> 16
    })
}

impl Walk {
    /// Notes an event, and draws what to do about it; nothing at the end.
    fn note(&mut self, name: &str, number: u64, content: u64, state: u64) -> Option<[u64; 9]> {
        let n = self.events;
        self.events += 1;
        self.trace.push(format!("{name}.{content}@{state}"));
        (n < EVENTS).then(|| draws([state, number, content, n], self.seed))
    }
}

fn timeout(next: Transition<Walk>, which: u64, content: u64) -> Transition<Walk> {
    let a = TimeoutType::Generic("a");
    match which {
        0 => next.timeout(Duration::ZERO, content),
        1 => next.state_timeout(Duration::ZERO, content),
        2 => next.generic_timeout("a", Duration::ZERO, content),
        3 => next.generic_timeout("b", Duration::ZERO, content),
        4 => next.update_timeout(TimeoutType::Timeout, content),
        5 => next.update_timeout(TimeoutType::StateTimeout, content),
        6 => next.update_timeout(a, content),
        7 => next.cancel_timeout(TimeoutType::StateTimeout),
        8 => next.cancel_timeout(a),
        _ => next,
    }
}

impl GenStatem for Walk {
    type Args = u64;
    type State = u64;
    type Call = ();
    type Reply = String;
    type Cast = u64;
    type Info = NoMessage;
    type Internal = u64;
    type Timeout = u64;
    type TimeoutName = &'static str;

    async fn init(seed: u64, _cx: &mut Context) -> Init<Self> {
        let walk = Walk {
            seed,
            events: 0,
            trace: Vec::new(),
        };
        Init::ok(0, walk)
    }

    async fn state_enter(&mut self, state: &u64, old: &u64, _cx: &mut Context) -> Enter<Self> {
        let Some([next, _, _, _, content, _, timeout, ..]) = self.note("enter", 6, *old, *state)
        else {
            return Enter::keep_state();
        };
        let enter = match next % 8 {
            0 => Enter::repeat_state(),
            _ => Enter::keep_state(),
        };
        match timeout % 6 {
            0 => enter.timeout(Duration::ZERO, content % 5),
            1 => enter.state_timeout(Duration::ZERO, content % 5),
            2 => enter.generic_timeout("a", Duration::ZERO, content % 5),
            _ => enter,
        }
    }

    async fn handle_event(
        &mut self,
        state: &u64,
        event: Event<Self>,
        cx: &mut Context,
    ) -> Transition<Self> {
        let (name, number, content) = match event {
            Event::Cast(HOLD) => {
                cx.receive_where(Timeout::Infinity, |message| message.decode::<Atom>().ok())
                    .await;
                return Transition::keep_state();
            }
            Event::Call(from, ()) => {
                return Transition::keep_state().reply(from, self.trace.join(" "));
            }
            Event::Cast(content) => ("cast", 0, content),
            Event::Internal(content) => ("internal", 1, content),
            Event::Timeout(content) => ("timeout", 2, content),
            Event::StateTimeout(content) => ("state_timeout", 3, content),
            Event::GenericTimeout("a", content) => ("a", 4, content),
            Event::GenericTimeout(_, content) => ("b", 5, content),
            Event::Info(_) => unreachable!("nobody sends any"),
        };
        let drawn = self.note(name, number, content, *state);
        let Some(
            [
                next,
                to,
                postpone,
                internal,
                content,
                cast,
                first,
                second,
                more,
            ],
        ) = drawn
        else {
            return Transition::keep_state();
        };
        let mut next = match next % 4 {
            0 => Transition::repeat_state(),
            1 => Transition::keep_state(),
            _ => Transition::next_state(to % 3),
        };
        if postpone % 3 == 0 {
            next = next.postpone();
        }
        if internal % 4 == 0 {
            next = next.next_event(Event::Internal(content % 5));
        }
        if cast % 8 == 0 {
            next = next.next_event(Event::Cast(more % 5));
        }
        next = timeout(next, first % 12, content % 5);
        timeout(next, second % 12, more % 5)
    }
}

/// Each walk's events, by our machine.
fn ours() -> Vec<String> {
    let vm = Vm::builder().schedulers(1).build().expect("a VM");
    let run = vm.run(async |mut cx: Context| {
        let mut walks = Vec::new();
        for seed in 0..WALKS {
            let walk = Walk::start(&mut cx, seed).await.expect("it starts");
            for n in [HOLD, 0, 1, 2, 3, 4, 5] {
                walk.cast(&cx, n).expect("a number");
            }
            let done = walk.send_request(&cx, ()).expect("a term");
            let go = Atom::new("go").expect("an atom");
            cx.send(walk.pid().expect("a pid"), &go).expect("an atom");
            let trace = done.wait_response(&mut cx, Timeout::Infinity).await;
            walks.push(trace.expect("it walks to the end"));
        }
        walks
    });
    let walks = run.wait().expect("all walks end");
    vm.shutdown(Duration::from_secs(5)).wait();
    walks
}

/// The same on Erlang. `None` if there is none; with `OTP_VM_REQUIRE_FOREIGN=1` its absence is a failure.
fn erlangs() -> Option<Vec<String>> {
    let version = Command::new("erl")
        .arg("-version")
        .stderr(Stdio::null())
        .status();
    if version.is_err() {
        let required = std::env::var("OTP_VM_REQUIRE_FOREIGN").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "erl is not installed, and OTP_VM_REQUIRE_FOREIGN=1 asks for it"
        );
        println!("skipped for want of erl: {WALKS} walks");
        return None;
    }
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gen_statem_walks/statem_walks.erl");
    let beams = std::env::temp_dir().join(format!("otp-vm-statem-walks-{}", std::process::id()));
    std::fs::create_dir_all(&beams).expect("the temporary directory is writable");
    let compiled = Command::new("erlc")
        .arg("-o")
        .args([&beams, &source])
        .status();
    assert!(compiled.expect("erlc stands beside erl").success());
    let walked = Command::new("erl")
        .args(["-noinput", "-pa"])
        .arg(&beams)
        .args(["-s", "statem_walks", "main", &WALKS.to_string()])
        .env("ERL_CRASH_DUMP_SECONDS", "0")
        .output()
        .expect("erl starts");
    std::fs::remove_dir_all(&beams).expect("the directory is ours");
    let text = String::from_utf8(walked.stdout).expect("ASCII");
    assert!(walked.status.success(), "{text}");
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn events_come_in_erlangs_order() {
    let ours = ours();
    // They go far enough, by each kind of event.
    for kind in [
        "cast",
        "internal",
        "timeout",
        "state_timeout",
        "a",
        "b",
        "enter",
    ] {
        let start = format!("{kind}.");
        let events = ours.iter().flat_map(|walk| walk.split(' '));
        let count = events.filter(|event| event.starts_with(&start)).count() as u64;
        assert!(count > WALKS, "{kind}: {count}");
    }
    let Some(erlangs) = erlangs() else {
        return;
    };
    assert_eq!(erlangs.len(), ours.len());
    for (seed, (ours, erlangs)) in ours.iter().zip(&erlangs).enumerate() {
        assert_eq!(ours, erlangs, "seed {seed}");
    }
}
