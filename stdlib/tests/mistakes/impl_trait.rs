use otp_stdlib::prelude::*;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[cast]
    fn put(&mut self, _key: impl Into<String>) {}
}

fn main() {}
