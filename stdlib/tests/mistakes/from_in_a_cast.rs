use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[cast]
    async fn put(&mut self, key: String, _from: gen_server::From<bool>, _cx: &mut Context) {}
}

fn main() {}
