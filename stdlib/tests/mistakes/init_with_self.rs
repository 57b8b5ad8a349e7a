use otp_stdlib::prelude::*;

struct Cache(u32);

#[gen_server]
impl Cache {
    fn init(&mut self) {
        self.0 = 1;
    }
}

fn main() {}
