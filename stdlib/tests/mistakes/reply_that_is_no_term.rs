use otp_stdlib::prelude::*;

struct Cache;

struct Entry;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    fn get(&mut self) -> Entry {
        Entry
    }
}

fn main() {}
