//! A rate limiter: a bucket of tokens for each key, filled again as time passes. And where one process for all keys
//! becomes the place in which everybody waits: then there are several, and a key belongs to one of them.
//!
//! Elixir's pattern of a GenServer that counts by key, and `PartitionSupervisor` for more of it. (Where the counting is
//! all there is to it, a table does it without a process: `Table::update_counter`.)
//!
//! `cargo run -p otp-stdlib --example rate_limiter`

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, RandomState, Vm};
use serde::{Deserialize, Serialize};

#[derive(Clone)]
struct Options {
    /// Requests that a key may make at once.
    burst: u32,
    /// After which time it may make one more; not zero.
    refill: Duration,
    /// What a decision takes: a look into a list of customers, say.
    cost: Duration,
}

/// How many tokens there were, and when. No timer fills a bucket: what it has now follows from the time. Full buckets
/// are as good as none, and are swept out, so that keys of which no more is heard take no memory.
#[derive(Clone, Copy)]
struct Bucket {
    tokens: u32,
    at: Duration,
}

struct RateLimiter {
    options: Options,
    buckets: HashMap<String, Bucket, RandomState>,
}

#[gen_server]
impl RateLimiter {
    fn init(options: Options, cx: &mut Context) -> Self {
        sweep_later(cx);
        RateLimiter {
            options,
            buckets: HashMap::default(),
        }
    }

    /// Takes a token of the key's; the error is after which time there is one.
    #[call]
    async fn allow(&mut self, key: String, cx: &mut Context) -> Result<(), Duration> {
        cx.sleep(self.options.cost).await;
        let now = Duration::from_nanos(cx.monotonic_time());
        let (options, full) = (&self.options, self.options.burst);
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            tokens: full,
            at: now,
        });
        *bucket = bucket.at_time(now, options);
        if bucket.tokens == 0 {
            return Err(bucket.at + options.refill - now);
        }
        bucket.tokens -= 1;
        Ok(())
    }

    /// How many keys take up memory.
    #[call]
    fn keys(&self) -> usize {
        self.buckets.len()
    }

    #[info]
    fn sweep(&mut self, _: Sweep, cx: &mut Context) {
        let now = Duration::from_nanos(cx.monotonic_time());
        let options = &self.options;
        self.buckets
            .retain(|_, bucket| bucket.at_time(now, options).tokens < options.burst);
        sweep_later(cx);
    }
}

/// What it sends itself.
#[derive(Serialize, Deserialize)]
struct Sweep;

fn sweep_later(cx: &Context) {
    cx.send_after(Duration::from_secs(60), cx.pid(), &Sweep)
        .expect("a time that the clock can say");
}

impl Bucket {
    fn at_time(self, now: Duration, options: &Options) -> Bucket {
        let refilled = (now - self.at).as_nanos() / options.refill.as_nanos();
        let refilled = u32::try_from(refilled).unwrap_or(u32::MAX);
        match self.tokens.saturating_add(refilled) {
            // What has begun of the next one counts.
            tokens if tokens < options.burst => Bucket {
                tokens,
                at: self.at + options.refill * refilled,
            },
            _ => Bucket {
                tokens: options.burst,
                at: now,
            },
        }
    }
}

type Failure = Box<dyn Error + Send + Sync>;

async fn limits(cx: &mut Context) -> Result<(), Failure> {
    let options = Options {
        burst: 3,
        refill: Duration::from_secs(10),
        cost: Duration::ZERO,
    };
    let limiter = RateLimiter::start_link(cx, options).await?;
    for _ in 0..3 {
        assert_eq!(limiter.allow(cx, "ada".into()).await?, Ok(()));
    }
    let wait = limiter.allow(cx, "ada".into()).await?.expect_err("no more");
    println!("ada may come again in {:.1} s", wait.as_secs_f32());
    // Another key has its own.
    assert_eq!(limiter.allow(cx, "bob".into()).await?, Ok(()));
    assert_eq!(limiter.keys(cx).await?, 2);

    // To the nanosecond: who comes when it was said gets one token, and no second one.
    cx.sleep(wait).await;
    assert_eq!(limiter.allow(cx, "ada".into()).await?, Ok(()));
    let wait = limiter.allow(cx, "ada".into()).await?.expect_err("no more");
    assert!(wait <= Duration::from_secs(10));
    // A long time is worth no more than a full bucket.
    cx.sleep(Duration::from_secs(3600)).await;
    assert_eq!(limiter.keys(cx).await?, 0);
    let mut allowed = 0;
    while limiter.allow(cx, "ada".into()).await?.is_ok() {
        allowed += 1;
    }
    assert_eq!(allowed, 3);
    Ok(())
}

const PARTITIONS: usize = 4;
const REQUESTS: usize = 100;

/// How long it takes until as many keys, all at once, are answered by whom `limiter` says.
async fn time<F>(cx: &mut Context, limiter: F) -> Result<Duration, Failure>
where
    F: Fn(&Context, &str) -> Option<ServerRef<RateLimiter>>,
{
    let begun = cx.monotonic_time();
    let mut asked = Vec::new();
    for number in 0..REQUESTS {
        let key = format!("customer {number}");
        let limiter = limiter(cx, &key).ok_or("no limiter")?;
        let request = RateLimiterCall::Allow(key);
        asked.push(limiter.send_request_as::<Result<(), Duration>>(cx, request)?);
    }
    for request in asked {
        assert_eq!(request.receive_response(cx, None).await?, Ok(()));
    }
    Ok(Duration::from_nanos(cx.monotonic_time() - begun))
}

async fn bottleneck(cx: &mut Context) -> Result<(), Failure> {
    let options = Options {
        burst: 3,
        refill: Duration::from_secs(10),
        cost: Duration::from_millis(100),
    };

    // A server does one thing at a time, and so the last of a hundred has waited for all others.
    let one = RateLimiter::start_link(cx, options.clone()).await?;
    let alone = time(cx, |_, _| Some(one.clone())).await?;
    assert!(alone >= REQUESTS as u32 * options.cost);

    // No two keys have anything to do with each other, so nothing says that it has to be one.
    let child = move |_number| RateLimiter::child_spec(options.clone());
    let flags = PartitionFlags::new().partitions(PARTITIONS);
    let limiters =
        PartitionSupervisor::<RateLimiter>::start_link(cx, "limiters", flags, child).await?;
    let partitioned = time(cx, |cx, key| limiters.server(cx, key)).await?;
    println!("{REQUESTS} at once: {alone:.1?} by one, {partitioned:.1?} by {PARTITIONS}");
    assert!(partitioned < alone / 2);
    Ok(())
}

/// In a simulation, where hours pass at once.
fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    let used = vm.run(async |mut cx: Context| {
        limits(&mut cx).await?;
        bottleneck(&mut cx).await
    });
    let used = simulation.block_on(used)??;
    used.map_err(|error| error as Box<dyn Error>)?;
    simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut Simulation::new(1)?)
}

#[test]
fn holds_in_every_order() {
    let explored = Simulation::builder().explore(0..50, run);
    assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 50);
}
