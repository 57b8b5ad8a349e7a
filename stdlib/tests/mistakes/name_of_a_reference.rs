use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    async fn stop(&mut self, _cx: &mut Context) -> bool {
        true
    }
}

fn main() {}
