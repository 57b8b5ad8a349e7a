//! Code that never gives way, of many kinds.

use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::Hasher;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::rig::Flag;

pub fn arithmetic(flag: &Flag) {
    let mut x = 1_u64;
    while flag.goes_on() {
        for _ in 0..1000 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// Blocks of all sizes, kept for a while, so that the allocator's locks are held often.
pub fn allocation(flag: &Flag, largest: usize) {
    let mut kept: Vec<Vec<u8>> = vec![Vec::new(); 64];
    let mut x = 1_usize;
    while flag.goes_on() {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        kept[(x >> 40) % 64] = black_box(Vec::with_capacity((x >> 20) % largest));
    }
}

pub fn locking(flag: &Flag, shared: &Mutex<u64>) {
    while flag.goes_on() {
        let mut number = shared.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        for _ in 0..100 {
            black_box(&mut *number);
        }
    }
}

/// As `println!`: whole lines, under a lock.
pub fn printing(flag: &Flag, output: &Mutex<File>) {
    let mut number = 0;
    while flag.goes_on() {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(output, "line {number} of a hog that prints").expect("the pipe is drained");
        number += 1;
    }
}

/// A library that knows nothing of schedulers, for long.
pub fn sorting(flag: &Flag) {
    let mut x = 1_u32;
    while flag.goes_on() {
        let mut numbers: Vec<u32> = (0..100_000)
            .map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                x
            })
            .collect();
        numbers.sort();
        black_box(&numbers);
    }
}

pub fn hashing(flag: &Flag) {
    let text = vec![7_u8; 1_000_000];
    while flag.goes_on() {
        let mut hasher = DefaultHasher::new();
        hasher.write(&text);
        black_box(hasher.finish());
    }
}

pub fn sleeping(flag: &Flag) {
    while flag.goes_on() {
        thread::sleep(Duration::from_millis(7));
    }
}

/// Ends with the pipe's other end.
pub fn reading(mut pipe: File) {
    let mut text = [0; 16];
    while pipe.read(&mut text).expect("the pipe can be read") > 0 {}
}

pub fn c_sorting(flag: &Flag) {
    extern "C" fn compare(a: *const libc::c_void, b: *const libc::c_void) -> libc::c_int {
        // SAFETY: `qsort` gives places in the array below.
        let (a, b) = unsafe { (*a.cast::<u32>(), *b.cast::<u32>()) };
        a.cmp(&b) as libc::c_int
    }
    let mut numbers: Vec<u32> = (0..50_000_u32)
        .map(|x| x.wrapping_mul(2_654_435_761))
        .collect();
    while flag.goes_on() {
        numbers.reverse();
        numbers[..25_000].reverse();
        // SAFETY: an array of so many numbers of that size.
        unsafe { libc::qsort(numbers.as_mut_ptr().cast(), numbers.len(), 4, Some(compare)) };
    }
}

pub fn c_filling(flag: &Flag) {
    let mut memory = vec![0_u8; 1 << 20];
    while flag.goes_on() {
        // SAFETY: memory of that size.
        unsafe { libc::memset(memory.as_mut_ptr().cast(), 7, memory.len()) };
        black_box(&memory);
    }
}

pub fn c_spinning(flag: &Flag) {
    extern "C" fn spin(flag: &Flag) {
        while flag.goes_on() {
            std::hint::spin_loop();
        }
    }
    spin(flag);
}

/// The pool of all, as a program would use it.
pub fn rayon_summing(flag: &Flag) {
    while flag.goes_on() {
        let sum: u64 = (0..100_000_u64)
            .into_par_iter()
            .map(|x| black_box(x) % 7)
            .sum();
        black_box(sum);
    }
}

/// What it awaits is there already, always.
pub async fn always_ready(flag: &Flag) {
    while flag.goes_on() {
        std::future::ready(()).await;
        std::future::poll_fn(|_| std::task::Poll::Ready(())).await;
    }
}

/// Threads come and go: their stacks are kept under a lock of the C library.
pub fn starting_threads(flag: &Flag) {
    while flag.goes_on() {
        thread::spawn(|| ()).join().expect("it does nothing");
    }
}

pub fn unwinding(flag: &Flag) {
    while flag.goes_on() {
        let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(7)));
        assert!(caught.is_err());
    }
}

/// Spins for a time.
pub fn spin_for(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// The reading end and the writing end.
pub fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are new and nobody else's.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (
            OwnedFd::from_raw_fd(ends[0]).into(),
            OwnedFd::from_raw_fd(ends[1]).into(),
        )
    }
}
