use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    async fn get(key: String, _cx: &mut Context) -> String {
        key
    }
}

fn main() {}
