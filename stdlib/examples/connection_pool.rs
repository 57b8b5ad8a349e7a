//! A pool of connections: who checks one out is monitored, so that one whose holder dies comes back; who finds none
//! waits in a queue and is answered later, by its `From`; who has stopped waiting, dead or out of patience, is handed
//! none.
//!
//! Elixir's pattern of a GenServer with checkout, checkin and `:DOWN`, completed by what poolboy does for callers that
//! time out.
//!
//! `cargo run -p otp-stdlib --example connection_pool`

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::time::Duration;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{CallError, Context, Down, ExitReason, Pid, RandomState, Ref, Timeout, Vm};
use serde::{Deserialize, Serialize};

/// What stands for a connection; it would be a number of a socket that the pool's process has.
type Connection = u32;

struct Pool {
    free: Vec<Connection>,
    waiting: VecDeque<(Ref, From<Connection>)>,
    /// By what each caller named its check-out: those who have a connection, and those who wait for one.
    leases: HashMap<Ref, Lease, RandomState>,
}

struct Lease {
    monitor: Ref,
    connection: Option<Connection>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Status {
    free: usize,
    held: usize,
    waiting: usize,
}

#[gen_server]
impl Pool {
    fn init(size: u32) -> Self {
        Pool {
            free: (1..=size).collect(),
            waiting: VecDeque::new(),
            leases: HashMap::default(),
        }
    }

    /// Use [`checkout`]. The name of the lease is the caller's: it must be able to give up one of which it has not
    /// heard.
    #[call]
    fn take(
        &mut self,
        lease: Ref,
        from: From<Connection>,
        cx: &mut Context,
    ) -> Reply<Self, Connection> {
        let connection = self.free.pop();
        let monitor = cx.monitor(from.pid());
        let given = Lease {
            monitor,
            connection,
        };
        self.leases.insert(lease, given);
        match connection {
            Some(connection) => Reply::new(connection),
            None => {
                self.waiting.push_back((lease, from));
                Reply::later()
            }
        }
    }

    /// Gives up what one has, or waits for. A second time it does nothing.
    #[cast]
    fn checkin(&mut self, lease: Ref, cx: &mut Context) {
        if let Some(lease) = self.leases.get(&lease) {
            cx.demonitor_flush(lease.monitor);
        }
        self.end(lease, cx);
    }

    /// The caller died: with a connection, or while it waited.
    #[info]
    fn down(&mut self, down: Down, cx: &mut Context) {
        let monitors = |(_, lease): &(&Ref, &Lease)| lease.monitor == down.reference;
        if let Some((&lease, _)) = self.leases.iter().find(monitors) {
            self.end(lease, cx);
        }
    }

    #[call]
    fn status(&self) -> Status {
        Status {
            free: self.free.len(),
            held: self.leases.len() - self.waiting.len(),
            waiting: self.waiting.len(),
        }
    }

    fn end(&mut self, lease: Ref, cx: &Context) {
        self.waiting.retain(|(waiting, _)| *waiting != lease);
        let ended = self.leases.remove(&lease);
        let Some(connection) = ended.and_then(|lease| lease.connection) else {
            return;
        };
        match self.waiting.pop_front() {
            Some((next, from)) => {
                let lease = self.leases.get_mut(&next).expect("who waits has a lease");
                lease.connection = Some(connection);
                from.reply(cx, &connection).expect("a number is a term");
            }
            None => self.free.push(connection),
        }
    }
}

/// A connection, and under which name to give it back by [`checkin`](PoolClient::checkin).
///
/// # Errors
/// As a call's. A connection that comes too late goes back: the pool can't see that a caller has stopped waiting, only
/// the caller can say so, and signals between two processes keep their order. (A future that is dropped half-way says
/// nothing; what it was given comes back with the end of its process.)
async fn checkout(
    pool: &ServerRef<Pool>,
    cx: &mut Context,
    patience: impl Into<Timeout>,
) -> Result<(Ref, Connection), CallError> {
    let lease = cx.make_ref();
    match pool.timeout(patience).take(cx, lease).await {
        Ok(connection) => Ok((lease, connection)),
        Err(error) => {
            pool.checkin(cx, lease).expect("a reference is a term");
            Err(error)
        }
    }
}

/// A process that checks a connection out, says which, and keeps it until it is killed.
fn holder(cx: &Context, pool: &ServerRef<Pool>) -> Pid {
    let (pool, owner) = (pool.clone(), cx.pid());
    let body = async move |mut cx: Context| {
        let (_, connection) = checkout(&pool, &mut cx, Timeout::Infinity)
            .await
            .expect("a connection");
        cx.send(owner, &connection).expect("a term");
        cx.receive().await;
    };
    cx.spawn(body).expect("a process")
}

async fn until(pool: &ServerRef<Pool>, cx: &mut Context, [free, held, waiting]: [usize; 3]) {
    let wanted = Status {
        free,
        held,
        waiting,
    };
    while pool.status(cx).await.expect("an answer") != wanted {
        cx.yield_now().await;
    }
    println!("{wanted:?}");
}

/// Whether the one of whose patience it was a matter of microseconds had a connection.
async fn use_it(mut cx: Context) -> bool {
    let cx = &mut cx;
    let pool = Pool::start_link(cx, 2).await.expect("it starts");
    let patience = Duration::from_secs(1);

    let (mine, first) = checkout(&pool, cx, patience).await.expect("one is free");
    let holding = holder(cx, &pool);
    let second: Connection = cx.receive().await.decode().expect("a connection");
    until(&pool, cx, [0, 2, 0]).await;

    // Nobody gives one back: this caller has waited for a second, in vain.
    let late = checkout(&pool, cx, patience).await;
    println!("{}", late.as_ref().expect_err("there is none"));
    assert!(matches!(late, Err(CallError::Timeout)));
    // Two wait, and the first of them dies.
    let impatient = holder(cx, &pool);
    until(&pool, cx, [0, 2, 1]).await;
    let waiting = holder(cx, &pool);
    until(&pool, cx, [0, 2, 2]).await;
    cx.exit_process(impatient, ExitReason::kill());
    until(&pool, cx, [0, 2, 1]).await;

    // A holder dies: its connection goes to the one who still waits, and to none of the others.
    cx.exit_process(holding, ExitReason::kill());
    let given: Connection = cx.receive().await.decode().expect("a connection");
    println!("{waiting} has what {holding} had: {given}");
    assert_eq!(given, second);
    until(&pool, cx, [0, 2, 0]).await;

    pool.checkin(cx, mine).expect("a term");
    until(&pool, cx, [1, 1, 0]).await;
    pool.checkin(cx, mine).expect("a term");
    cx.exit_process(waiting, ExitReason::kill());
    until(&pool, cx, [2, 0, 0]).await;

    // Given back at the moment in which the patience ends: whoever is first, no connection is lost.
    let (lease, again) = checkout(&pool, cx, patience).await.expect("one is free");
    assert!([first, second].contains(&again));
    holder(cx, &pool);
    cx.receive().await;
    let given_back = pool.clone();
    cx.spawn(async move |cx: Context| {
        let microseconds = cx.random() % 4000;
        cx.sleep(patience + Duration::from_micros(microseconds))
            .await;
        given_back.checkin(&cx, lease).expect("a term");
    })
    .expect("a process");
    let tried = checkout(&pool, cx, patience).await;
    if let Ok((lease, _)) = tried {
        pool.checkin(cx, lease).expect("a term");
    }
    println!("at the last moment: {tried:?}");
    until(&pool, cx, [1, 1, 0]).await;
    assert_eq!(cx.message_queue_len(), 0);
    tried.is_ok()
}

/// In a simulation, where the second passes at once, and who is first is another in each order.
fn run(simulation: &mut Simulation) -> Result<bool, Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    let in_time = simulation.block_on(vm.run(use_it))??;
    simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    Ok(in_time)
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut Simulation::new(1)?).map(drop)
}

#[test]
fn holds_in_every_order() {
    let mut in_time = 0;
    let explored = Simulation::builder().explore(0..100, |simulation| {
        in_time += u32::from(run(simulation)?);
        Ok(())
    });
    assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 100);
    assert!((1..100).contains(&in_time), "{in_time}");
}
