use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    async fn init(_cx: &mut Context) -> Result<Self, String> {
        Ok(Cache)
    }
}

fn main() {}
