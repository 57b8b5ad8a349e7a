use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    async fn take(self, _cx: &mut Context) -> String {
        String::new()
    }
}

fn main() {}
