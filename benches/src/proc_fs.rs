//! What the kernel says of this program: memory and CPU time.

use std::fs;

/// The kernel gives CPU times in units of a hundredth of a second, whatever its own clock: USER_HZ.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident memory of this program, in bytes.
///
/// # Panics
/// Where there is no Linux `/proc`.
pub(crate) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status")
        .expect("resident memory is read from /proc, which needs Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("the kernel tells VmRSS");
    let kilobytes: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("VmRSS is a number of kB");
    kilobytes * 1024
}

/// CPU seconds, user and system, of all threads of this program so far, in steps of 10 ms.
///
/// # Panics
/// Where there is no Linux `/proc`.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat")
        .expect("CPU time is read from /proc, which needs Linux");
    // The program's name, in parentheses, may hold anything.
    let (_, rest) = stat
        .rsplit_once(") ")
        .expect("the name ends in a parenthesis");
    let ticks = rest.split(' ').skip(11).take(2);
    let ticks: f64 = ticks
        .map(|field| field.parse::<f64>().expect("times are numbers"))
        .sum();
    ticks / TICKS_PER_SECOND
}

/// Context switches of all threads of this program that still run, by choice or not.
///
/// # Panics
/// Where there is no Linux `/proc`.
pub(crate) fn context_switches() -> u64 {
    let threads =
        fs::read_dir("/proc/self/task").expect("threads are read from /proc, which needs Linux");
    threads
        // One that ended since has nothing to tell.
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .map(|status| {
            let counts = status.lines().filter_map(|line| {
                let (name, count) = line.split_once(':')?;
                let count = count.trim().parse::<u64>();
                name.ends_with("voluntary_ctxt_switches")
                    .then(|| count.expect("switches are counted"))
            });
            counts.sum::<u64>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn memory_that_is_touched_becomes_resident() {
        let before = resident_bytes();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(
            resident_bytes() >= before + (32 << 20),
            "64 MiB were written"
        );
        drop(block);
    }

    #[test]
    fn work_takes_cpu_time() {
        let before = cpu_seconds();
        let began = Instant::now();
        let mut sum = 0u64;
        while cpu_seconds() == before {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "a minute of work and no CPU time"
            );
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_seconds() > before);
    }

    #[test]
    fn a_thread_that_sleeps_is_switched() {
        let before = context_switches();
        let (out, told) = std::sync::mpsc::channel();
        let (end, is_over) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            out.send(()).expect("it is awaited");
            // Ends with its sender.
            is_over.recv().unwrap_err();
        });
        told.recv().expect("the thread begins");
        let began = Instant::now();
        while context_switches() <= before {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "it waits, and no switch is counted"
            );
            std::thread::yield_now();
        }
        drop(end);
        thread.join().expect("it ends");
    }
}
