use std::rc::Rc;

use otp_stdlib::prelude::*;

struct Cache(Rc<String>);

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache(Rc::new(String::new()))
    }

    #[call]
    fn get(&mut self) -> String {
        self.0.to_string()
    }
}

fn main() {}
