//! `otp-vm bench WORKLOAD`: runs a workload one time and prints its figures.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use otp_benches::{BenchError, Settings, Workload};

use crate::exit_code;

/// The command line after `bench`.
#[derive(Debug, Args)]
struct Options {
    /// Print one JSON object on one line instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    workload: Workload,
}

pub(crate) fn command() -> Command {
    Options::augment_args(Command::new("bench"))
        .about(
            "Measure a workload; without options, with the arguments of the figures in the README",
        )
        .arg_required_else_help(true)
        .subcommand_value_name("WORKLOAD")
        .subcommand_help_heading("Workloads")
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let options = match Options::from_arg_matches(matches) {
        Ok(options) => options,
        Err(error) => return crate::usage(&error),
    };
    let report = match options.workload.run(&options.settings) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{} bench: {error}", crate::binary_name());
            return ExitCode::from(match error {
                BenchError::NoWork(_) => exit_code::USAGE,
                _ => exit_code::FAILED,
            });
        }
    };
    let text = if options.json {
        report.to_json() + "\n"
    } else {
        report.to_string()
    };
    crate::printed(io::stdout().write_all(text.as_bytes()), exit_code::DONE)
}
