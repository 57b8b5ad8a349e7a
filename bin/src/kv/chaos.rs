//! Chaos: kills processes at random, to show that nothing is lost by it.
//!
//! Exempt are the keeper (who holds the data) and the listener (who holds the port), and the top supervisor with this
//! process itself. All else is killed: connections, which are temporary, in any number; and the children of each
//! supervisor at most half as often as the supervisor's intensity allows, so that what dies by itself has the other
//! half.
//!
//! The second mode is the opposite: the store is killed faster than it may be restarted, until its supervisor gives up,
//! is restarted, gives up again, and at last the top supervisor does.

use std::collections::VecDeque;
use std::time::Duration;

use otp_stdlib::prelude::{DynamicSupervisorRef, SupervisorRef};
use otp_vm::{Context, ExitReason, Pid};

use super::acceptor::CONNECTIONS;
use super::options::ChaosOptions;
use super::random::Random;
use super::{
    ACCEPTOR_SUPERVISOR, CLIENT_SUPERVISOR, MAX_RESTARTS, PERIOD, STORE_SUPERVISOR, TOP, keeper,
    listener, store,
};

/// The process's id in the top supervisor.
pub const ID: &str = "kv_chaos";

/// How long the exceeding mode waits for a store that is not there.
const STORE_PAUSE: Duration = Duration::from_millis(1);

/// Every how many kills a line is logged.
const KILLS_PER_LINE: u64 = 100;

/// The children of one supervisor, which are killed below its intensity.
#[derive(Debug)]
struct Group {
    supervisor: &'static str,
    /// When members were killed, within the last period, in nanoseconds.
    kills: VecDeque<u64>,
}

impl Group {
    fn new(supervisor: &'static str) -> Group {
        Group {
            supervisor,
            kills: VecDeque::new(),
        }
    }

    fn may_kill(&mut self, now: u64) -> bool {
        let begin = now.saturating_sub(PERIOD.as_nanos() as u64);
        while self.kills.front().is_some_and(|kill| *kill < begin) {
            self.kills.pop_front();
        }
        self.kills.len() < (MAX_RESTARTS / 2) as usize
    }
}

/// Kills until it is told to end.
pub async fn run(mut cx: Context, options: ChaosOptions) {
    if options.exceed {
        exceed(&mut cx).await;
        return;
    }
    let seed = options
        .seed
        .unwrap_or_else(|| Random::from_system().below(u64::MAX));
    tracing::info!(seed, kills_per_second = options.kills_per_second, "chaos");
    let mut random = Random::from_seed(seed);
    let mut groups = [
        TOP,
        STORE_SUPERVISOR,
        CLIENT_SUPERVISOR,
        ACCEPTOR_SUPERVISOR,
    ]
    .map(Group::new);
    let pause = Duration::from_secs(1) / options.kills_per_second;
    let mut next = cx.monotonic_time();
    let mut kills: u64 = 0;
    loop {
        next += pause.as_nanos() as u64;
        cx.sleep(Duration::from_nanos(
            next.saturating_sub(cx.monotonic_time()),
        ))
        .await;
        let victim = match victim(&mut cx, &mut random, &mut groups).await {
            Some(victim) => Some(victim),
            None => connection(&mut cx, &mut random).await,
        };
        if let Some(victim) = victim {
            cx.exit_process(victim, ExitReason::kill());
            kills += 1;
            if kills.is_multiple_of(KILLS_PER_LINE) {
                tracing::info!(kills, "chaos");
            }
        }
    }
}

/// Somebody to kill under one of the supervisors, half of the time and if its intensity allows.
async fn victim(cx: &mut Context, random: &mut Random, groups: &mut [Group]) -> Option<Pid> {
    if random.below(2) == 0 {
        return None;
    }
    let group = &mut groups[random.below(groups.len() as u64) as usize];
    let now = cx.monotonic_time();
    if !group.may_kill(now) {
        return None;
    }
    let exempt = [keeper::NAME, listener::NAME, ID];
    let children = SupervisorRef::from_name(group.supervisor)
        .ok()?
        .which_children(cx)
        .await
        .ok()?;
    let children = children
        .iter()
        .filter(|child| !exempt.contains(&child.id.as_str()));
    let victim = choose(random, children.filter_map(|child| child.pid).collect())?;
    group.kills.push_back(now);
    Some(victim)
}

/// Some connection.
async fn connection(cx: &mut Context, random: &mut Random) -> Option<Pid> {
    let children = DynamicSupervisorRef::from_name(CONNECTIONS)
        .ok()?
        .which_children(cx)
        .await
        .ok()?;
    let mut connections: Vec<Pid> = children.into_iter().filter_map(|child| child.pid).collect();
    // In an order that the seed decides upon alone, as far as the same connections are there.
    connections.sort_unstable();
    choose(random, connections)
}

fn choose(random: &mut Random, pids: Vec<Pid>) -> Option<Pid> {
    let index = usize::try_from(random.below(pids.len() as u64)).ok()?;
    pids.get(index).copied()
}

async fn exceed(cx: &mut Context) {
    tracing::warn!("chaos: exceeding the restart intensities on purpose");
    let mut last = None;
    loop {
        let store = cx.whereis(store::NAME).filter(|store| last != Some(*store));
        match store {
            Some(store) => {
                cx.exit_process(store, ExitReason::kill());
                last = Some(store);
            }
            None => cx.sleep(STORE_PAUSE).await,
        }
    }
}
