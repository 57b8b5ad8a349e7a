//! Runs `otp-vm bench`, the escripts and the actor libraries' programs in turns, and prints one table: for each line
//! the medians, and how many times as much as otp-vm each of the others takes.
//!
//! `peer-compare [--turns N] [--quick] [--otp-vm PATH] [LINE[=N]]...`, in the repository's root; `compare.sh` beside
//! the workspace builds what it needs. Each figure is of a program of its own, one at a time.

mod options;
mod programs;
mod table;

use std::process::ExitCode;

use options::Options;
use programs::Programs;
use table::Table;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("peer-compare: {error}");
            return ExitCode::from(2);
        }
    };
    let programs = match Programs::find(&options.otp_vm) {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("peer-compare: {error}");
            return ExitCode::from(3);
        }
    };
    let mut table = Table::new(&options.lines, programs.names());
    let mut failed = false;
    for turn in 0..options.turns {
        for (row, &(line, n)) in options.lines.iter().enumerate() {
            // Nobody is always the first, or always behind the same one.
            for place in 0..programs.count() {
                let column = (place + turn) % programs.count();
                match programs.measure(column, line, n) {
                    Ok(figure) => table.add(row, column, figure),
                    Err(error) => {
                        eprintln!("peer-compare: {}: {error}", line.name);
                        failed = true;
                    }
                }
            }
        }
    }
    println!("{}", programs.versions());
    println!();
    print!("{table}");
    ExitCode::from(u8::from(failed))
}
