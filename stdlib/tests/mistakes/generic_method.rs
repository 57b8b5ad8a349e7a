use otp_stdlib::prelude::*;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[cast]
    fn put<T: serde::Serialize>(&mut self, _value: T) {}
}

fn main() {}
