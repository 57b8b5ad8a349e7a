//! The binary `otp-vm`, with the bundled modules.

fn main() -> std::process::ExitCode {
    otp_vm_cli::main(Vec::<otp_vm_cli::Runnable>::new())
}
