//! A cache whose entries have a time to live: what is too old is never given, and a sweeper takes it out by and by.
//!
//! Elixir's pattern of a GenServer with `get`, `put`, `delete` and a `:sweep` that it sends to itself
//! (`Process.send_after`).
//!
//! `cargo run -p otp-stdlib --example cache`

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, RandomState, Vm};
use serde::{Deserialize, Serialize};

/// On the clock of [`Context::monotonic_time`], which is never set back.
type Nanoseconds = u64;

struct Entry {
    value: String,
    expires_at: Nanoseconds,
}

/// One process, so one request at a time: puts are in order, and no two callers see halves of each other's work. But
/// reads wait in the same line, behind each other and behind each sweep. "Writes go through the server, reads bypass
/// it" is said of many a cache whose `get` is a call all the same, as it is here: then nothing is bypassed, whatever
/// the server keeps its entries in. Where reads are too many for one process the server owns a table
/// (`Context::table_new`) that it alone writes, and `get` is a plain function that looks into the table from the
/// caller's own process.
struct Cache {
    entries: HashMap<String, Entry, RandomState>,
    sweep_every: Duration,
}

#[derive(Clone)]
struct Options {
    sweep_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let sweep_every = Duration::from_secs(60);
        Options { sweep_every }
    }
}

/// What it sends itself.
#[derive(Serialize, Deserialize)]
struct Sweep;

#[gen_server]
impl Cache {
    fn init(options: Options, cx: &mut Context) -> Self {
        let cache = Cache {
            entries: HashMap::default(),
            sweep_every: options.sweep_every,
        };
        cache.schedule_sweep(cx);
        cache
    }

    /// What was put under the key, if it is not too old. That the sweeper has not come yet makes no difference.
    #[call]
    fn get(&mut self, key: String, cx: &mut Context) -> Option<String> {
        let entry = self.entries.get(&key)?;
        (cx.monotonic_time() < entry.expires_at).then(|| entry.value.clone())
    }

    /// Keeps a value for so long, in place of one that is there.
    #[cast]
    fn put(&mut self, key: String, value: String, time_to_live: Duration, cx: &mut Context) {
        let expires_at = cx.monotonic_time() + time_to_live.as_nanos() as Nanoseconds;
        self.entries.insert(key, Entry { value, expires_at });
    }

    #[cast]
    fn delete(&mut self, key: String) {
        self.entries.remove(&key);
    }

    /// How many entries take up memory.
    #[call]
    fn size(&self) -> usize {
        self.entries.len()
    }

    #[info]
    fn sweep(&mut self, _: Sweep, cx: &mut Context) {
        let now = cx.monotonic_time();
        self.entries.retain(|_, entry| now < entry.expires_at);
        // After the work, not by an interval: sweeps that take long would pile up in the mailbox.
        self.schedule_sweep(cx);
    }

    fn schedule_sweep(&self, cx: &Context) {
        cx.send_after(self.sweep_every, cx.pid(), &Sweep)
            .expect("a time that the clock can say");
    }
}

/// More than some calls take in a simulation, where each step takes a little time.
const CALLS: Duration = Duration::from_millis(50);

async fn use_it(mut cx: Context) -> Result<(), Box<dyn Error + Send + Sync>> {
    let cx = &mut cx;
    let children = vec![ChildSpec::worker("cache", |cx| {
        Cache::start_link(cx, Options::default()).name("cache")
    })];
    Supervisor::start_link(cx, SupervisorFlags::one_for_one(), children).await?;

    // By its name it is found again after a restart, empty.
    let cache = ServerRef::<Cache>::from_name("cache")?;
    cache.put(cx, "short".into(), "1".into(), Duration::from_secs(5))?;
    cache.put(cx, "long".into(), "2".into(), Duration::from_secs(90))?;
    cache.put(cx, "gone".into(), "3".into(), Duration::from_secs(90))?;
    cache.delete(cx, "gone".into())?;
    // A call comes behind the casts before it, so the puts are done now.
    assert_eq!(cache.get(cx, "short".into()).await?.as_deref(), Some("1"));
    assert_eq!(cache.get(cx, "gone".into()).await?, None);

    cx.sleep(Duration::from_secs(5)).await;
    println!("after 5 s: {:?}", cache.get(cx, "short".into()).await?);
    assert_eq!(cache.get(cx, "short".into()).await?, None);
    assert_eq!(cache.get(cx, "long".into()).await?.as_deref(), Some("2"));
    // Too old, but the sweeper has not come.
    assert_eq!(cache.size(cx).await?, 2);

    cx.sleep(Duration::from_secs(56)).await;
    println!("after 61 s: {} entry", cache.size(cx).await?);
    assert_eq!(cache.size(cx).await?, 1);

    // Put again, it lives on from now.
    cache.put(cx, "long".into(), "4".into(), Duration::from_secs(90))?;
    assert_eq!(cache.get(cx, "long".into()).await?.as_deref(), Some("4"));
    // Its time has begun, and the calls take some.
    cx.sleep(Duration::from_secs(90) - CALLS).await;
    assert_eq!(cache.get(cx, "long".into()).await?.as_deref(), Some("4"));
    cx.sleep(CALLS).await;
    assert_eq!(cache.get(cx, "long".into()).await?, None);
    cx.sleep(Duration::from_secs(60)).await;
    println!("after 211 s: {} entries", cache.size(cx).await?);
    assert_eq!(cache.size(cx).await?, 0);
    Ok(())
}

/// In a simulation, where minutes pass at once, and no machine is too slow for them.
fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    let used = simulation.block_on(vm.run(use_it))??;
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
