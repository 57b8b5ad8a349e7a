use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Cache;

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache
    }

    #[call]
    fn get(&mut self, key: String, cx: &mut Context) -> String {
        cx.sleep(Duration::from_millis(1)).await;
        key
    }
}

fn main() {}
