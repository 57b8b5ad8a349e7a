//! The command line.

use std::path::PathBuf;

use peer_common::{Line, parse};

/// How often each figure is taken, unless told otherwise: a median of five leaves out two that were disturbed, and all of
/// it takes less than four minutes on two cores that do nothing else.
const TURNS: usize = 5;

/// With `--quick`, one in so many: to see that all of it runs.
const QUICK: u64 = 100;

/// What was asked for.
#[derive(Debug)]
pub struct Options {
    pub turns: usize,
    pub otp_vm: PathBuf,
    pub lines: Vec<(&'static Line, u64)>,
}

impl Options {
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let (mut turns, mut quick) = (None, false);
        let mut otp_vm = PathBuf::from("target/release/otp-vm");
        let mut named = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--turns" => match arguments.next().map(|turns| turns.parse()) {
                    Some(Ok(number @ 1..)) => turns = Some(number),
                    _ => return Err("--turns needs a number from 1".to_owned()),
                },
                "--quick" => quick = true,
                "--otp-vm" => {
                    let path = arguments.next();
                    otp_vm = path.ok_or("--otp-vm needs the binary's path")?.into();
                }
                option if option.starts_with("--") => {
                    return Err(format!(
                        "there is no option {option}; there are --turns, --quick and --otp-vm"
                    ));
                }
                _ => named.push(argument),
            }
        }
        let mut lines = parse(named)?;
        if quick {
            for (_, n) in &mut lines {
                *n = n.div_ceil(QUICK);
            }
        }
        Ok(Self {
            turns: turns.unwrap_or(if quick { 1 } else { TURNS }),
            otp_vm,
            lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn all_lines_five_times_unless_told_otherwise() {
        let all = parsed("").unwrap();
        assert_eq!(
            (all.turns, all.lines.len()),
            (TURNS, peer_common::LINES.len())
        );
        let some = parsed("--turns 2 ring --otp-vm elsewhere restart=7").unwrap();
        assert_eq!((some.turns, some.otp_vm.to_str()), (2, Some("elsewhere")));
        let names: Vec<_> = some.lines.iter().map(|(line, n)| (line.name, *n)).collect();
        assert_eq!(names[1], ("restart", 7));
    }

    #[test]
    fn a_quick_one_does_a_part_of_all_once() {
        let quick = parsed("--quick restart=150").unwrap();
        assert_eq!((quick.turns, quick.lines[0].1), (1, 2));
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        for (text, part) in [
            ("--turns", "from 1"),
            ("--turns 0", "from 1"),
            ("--otp-vm", "path"),
            ("--fast", "no option --fast"),
            ("circle", "there is no line"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
