use otp_stdlib::prelude::*;

struct Cache(String);

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache(String::new())
    }

    #[call]
    fn get(&mut self) -> &str {
        &self.0
    }
}

fn main() {}
