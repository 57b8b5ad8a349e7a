use otp_stdlib::prelude::*;

struct Cache(String);

#[gen_server]
impl Cache {
    fn init() -> Self {
        Cache(String::new())
    }

    #[call]
    fn get(&mut self) -> Option<(u32, &'static str)> {
        None
    }
}

struct Store;

#[gen_server]
impl Store {
    fn init() -> Self {
        Store
    }

    #[cast]
    fn put(&mut self, keys: Vec<&'static str>) {
        drop(keys);
    }
}

struct Told;

#[gen_server]
impl Told {
    fn init() -> Self {
        Told
    }

    #[info]
    fn told(&mut self, news: (u32, [&'static str; 2])) {
        drop(news);
    }
}

fn main() {}
