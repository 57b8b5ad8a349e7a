use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    #[cast]
    async fn put(&mut self, _key: String, _cx: &mut Context) {}
}

fn main() {}
