use std::cell::Cell;

use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Counter(Cell<u32>);

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter(Cell::new(0))
    }

    #[call]
    async fn next(&self, cx: &mut Context) -> u32 {
        cx.yield_now().await;
        self.0.replace(self.0.get() + 1)
    }
}

fn main() {}
