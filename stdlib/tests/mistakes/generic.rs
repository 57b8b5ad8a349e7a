use otp_stdlib::prelude::*;

struct Cache<T>(Vec<T>);

#[gen_server]
impl<T> Cache<T> {
    fn init() -> Self {
        Cache(Vec::new())
    }
}

fn main() {}
