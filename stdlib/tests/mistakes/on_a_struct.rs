use otp_stdlib::prelude::*;

#[gen_server]
struct Cache {
    entries: u32,
}

fn main() {}
