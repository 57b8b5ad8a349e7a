use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[info]
    async fn sweep(&mut self, _tag: String, _count: u32, _cx: &mut Context) {}
}

fn main() {}
