use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl GenServer for Cache {
    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Cache)
    }
}

fn main() {}
