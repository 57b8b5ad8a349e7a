//! The binary `otp-vm`, which has `kv`.

fn main() -> std::process::ExitCode {
    otp_vm_cli::main([otp_vm_cli::kv::runnable()])
}
