#!/usr/bin/env bash
# otp-vm beside the BEAM, ractor, kameo and actix: builds what is needed, and runs all of it in turns. One table.
# Arguments are those of peer-compare: `--turns 9`, `--quick`, lines by name. Needs `escript` (package erlang-base).
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
cargo build --release --package otp-vm-cli
cargo build --release --manifest-path benches/peers/actors/Cargo.toml --target-dir "$target/peers" --locked
exec "$target/peers/release/peer-compare" --otp-vm "$target/release/otp-vm" "$@"
