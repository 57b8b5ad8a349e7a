use otp_stdlib::prelude::*;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    fn get(&mut self, key: String) -> String {
        key
    }

    #[cast]
    fn get(&mut self, _key: u32) {}
}

fn main() {}
