use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    async fn handle_call(&mut self, key: String, _cx: &mut Context) -> String {
        key
    }
}

fn main() {}
