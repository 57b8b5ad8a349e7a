//! Blocks that live long, and that threads replace for each other, take no more room than at first.
//!
//! Alone in its program: it looks at what the allocator has from the system.

mod common;

use std::sync::mpsc;
use std::thread;

use common::LIMIT;
use otp_heap::{OwnedTerm, allocator_bytes, to_term};
use otp_vm::Vm;

/// Blocks that are alive all the time: of 64 bytes, some 6 MB.
const BLOCKS: usize = 100_000;

/// What a thread replaces in its turn, and how many turns each has: each block is replaced by both twenty times, on the
/// average.
const AT_ONCE: usize = BLOCKS / 8;
const TURNS: usize = 160;

fn block(number: usize) -> OwnedTerm {
    to_term(&(number as u64, 1, 2)).expect("a small term")
}

/// Some, and where chance stands.
struct Blocks {
    all: Vec<OwnedTerm>,
    chance: u64,
}

impl Blocks {
    fn new() -> Self {
        Self {
            all: (0..BLOCKS).map(block).collect(),
            chance: 0x9E37_79B9_7F4A_7C15,
        }
    }

    fn replace_some(&mut self) {
        for _ in 0..AT_ONCE {
            // Xorshift.
            self.chance ^= self.chance << 13;
            self.chance ^= self.chance >> 7;
            self.chance ^= self.chance << 17;
            let place = self.chance as usize % self.all.len();
            self.all[place] = block(place);
        }
    }
}

#[test]
fn what_two_threads_replace_by_chance_takes_no_more_room() {
    // Whoever has a VM in the program.
    let vm = Vm::builder().schedulers(1).build().expect("a VM");
    let mut blocks = Blocks::new();
    let (to_them, theirs) = mpsc::channel::<Blocks>();
    let (to_us, ours) = mpsc::channel();
    let them = thread::spawn(move || {
        for mut blocks in theirs {
            blocks.replace_some();
            to_us.send(blocks).expect("they are awaited");
        }
    });
    let before = allocator_bytes();
    for _ in 0..TURNS {
        blocks.replace_some();
        to_them.send(blocks).expect("the thread lives");
        blocks = ours.recv().expect("they come back");
    }
    let after = allocator_bytes();
    drop(to_them);
    them.join().expect("it ends");
    // Half as much again, if each keeps pages for itself.
    assert!(
        after < before + before / 4,
        "{BLOCKS} blocks took {before} bytes and now take {after}"
    );
    assert!(vm.shutdown(LIMIT).wait().expect("it ends").is_orderly());
}
