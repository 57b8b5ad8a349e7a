use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    async fn get(&mut self, key: String, _cx: Context) -> String {
        key
    }
}

fn main() {}
