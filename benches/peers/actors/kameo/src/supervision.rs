//! Actors under a supervisor: an actor is one as soon as others are started under it.

use std::time::{Duration, Instant};

use kameo::actor::{ActorRef, Spawn};
use kameo::error::Infallible;
use kameo::supervision::RestartPolicy;
use kameo::{Actor, mailbox};
use peer_common::at_once;
use tokio::sync::mpsc;

use crate::echo::Echo;

/// More restarts within the period than any run makes.
const MAX_RESTARTS: u32 = 100_000_000;

/// No restart of a run gets older than the supervisor remembers.
const PERIOD: Duration = Duration::from_secs(3600);

struct Parent;

impl Actor for Parent {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(parent: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(parent)
    }
}

/// Tells the driver that it runs.
struct Child;

impl Actor for Child {
    type Args = mpsc::UnboundedSender<ActorRef<Self>>;
    type Error = Infallible;

    async fn on_start(news: Self::Args, myself: ActorRef<Self>) -> Result<Self, Infallible> {
        news.send(myself).expect("the driver waits");
        Ok(Self)
    }
}

pub async fn restart(n: u64, before: u64) -> Duration {
    let (news, mut started) = mpsc::unbounded_channel();
    let parent = Parent::spawn_with_mailbox(Parent, mailbox::unbounded());
    let first = Child::supervise(&parent, news)
        .restart_limit(MAX_RESTARTS, PERIOD)
        .spawn_with_mailbox(mailbox::unbounded())
        .await;
    let mut child = started.recv().await.expect("the child starts");
    assert_eq!(child.id(), first.id());
    let mut began = Instant::now();
    for number in 0..before + n {
        if number == before {
            began = Instant::now();
        }
        child.kill();
        // It has the same id again.
        child = started.recv().await.expect("the child starts again");
    }
    began.elapsed()
}

/// A child is started by whoever wants it, and entered with its supervisor.
pub async fn start_child(n: u64, clients: u64, supervisors: u64) -> Duration {
    let parents: Vec<_> = (0..supervisors)
        .map(|_| Parent::spawn_with_mailbox(Parent, mailbox::unbounded()))
        .collect();
    let each = n / clients;
    let (kept, mut children) = mpsc::unbounded_channel();
    let elapsed = at_once(clients, |client| {
        let (parents, kept) = (parents.clone(), kept.clone());
        async move {
            // One to which nobody has a reference ends.
            let mut children = Vec::with_capacity(each as usize);
            for number in client * each..(client + 1) * each {
                let child = Echo::supervise(&parents[(number % supervisors) as usize], Echo)
                    .restart_policy(RestartPolicy::Never)
                    .spawn_with_mailbox(mailbox::unbounded())
                    .await;
                child.wait_for_startup().await;
                children.push(child);
            }
            kept.send(children).expect("the driver counts");
        }
    })
    .await;
    let mut running = 0;
    for _ in 0..clients {
        let children = children.recv().await.expect("each client has its children");
        running += children.iter().filter(|child| child.is_alive()).count() as u64;
    }
    assert_eq!(running, each * clients);
    elapsed
}
