//! What the kernel says of this program's memory.

use std::fs;

/// Resident memory of this program, in bytes.
///
/// # Panics
/// Where there is no Linux `/proc`.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status")
        .expect("resident memory is read from /proc, which needs Linux");
    let kilobytes = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        })
        .expect("the kernel tells VmRSS in kB");
    kilobytes * 1024
}
