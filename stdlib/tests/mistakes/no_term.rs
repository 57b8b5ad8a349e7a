use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

struct Key(String);

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    async fn get(&mut self, key: Key, _cx: &mut Context) -> String {
        key.0
    }
}

fn main() {}
