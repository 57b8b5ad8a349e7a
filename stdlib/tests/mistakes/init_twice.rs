use otp_stdlib::prelude::*;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    fn init(_size: u32) -> Self {
        Cache
    }
}

fn main() {}
