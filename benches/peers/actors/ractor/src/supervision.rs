//! Actors under a supervisor: ractor tells it of each end, and what it does then is the program's own.

use std::time::{Duration, Instant};

use peer_common::at_once;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;

use crate::echo::Echo;

/// The name that the restarted child takes each time.
const NAME: &str = "bench_child";

type News = mpsc::UnboundedSender<ActorRef<()>>;

/// Tells the driver that it runs.
struct Child;

impl Actor for Child {
    type Msg = ();
    type State = ();
    type Arguments = News;

    async fn pre_start(&self, myself: ActorRef<()>, news: News) -> Result<(), ActorProcessingErr> {
        news.send(myself)?;
        Ok(())
    }
}

/// Starts its child, and starts it again when it has ended.
struct Parent;

impl Parent {
    async fn start_child(myself: ActorRef<()>, news: &News) -> Result<(), ActorProcessingErr> {
        let name = Some(NAME.to_owned());
        Actor::spawn_linked(name, Child, news.clone(), myself.get_cell()).await?;
        Ok(())
    }
}

impl Actor for Parent {
    type Msg = ();
    type State = News;
    type Arguments = News;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        news: News,
    ) -> Result<News, ActorProcessingErr> {
        Self::start_child(myself, &news).await?;
        Ok(news)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        news: &mut News,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) => {
                Self::start_child(myself, news).await
            }
            _ => Ok(()),
        }
    }
}

pub async fn restart(n: u64, before: u64) -> Duration {
    let (news, mut started) = mpsc::unbounded_channel();
    let parent = Actor::spawn(None, Parent, news).await;
    parent.expect("the supervisor starts");
    let mut child = started.recv().await.expect("the child starts");
    let mut began = Instant::now();
    for number in 0..before + n {
        if number == before {
            began = Instant::now();
        }
        child.kill();
        let next = started.recv().await.expect("the child starts again");
        assert_ne!(next.get_id(), child.get_id());
        child = next;
    }
    began.elapsed()
}

/// Keeps its children, whatever becomes of them.
struct Keeper;

impl Actor for Keeper {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        _: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A child is started by whoever wants it, and linked to its supervisor: it is asked for nothing.
pub async fn start_child(n: u64, clients: u64, supervisors: u64) -> Duration {
    let mut keepers = Vec::new();
    for _ in 0..supervisors {
        let started = Actor::spawn(None, Keeper, ()).await;
        keepers.push(started.expect("the supervisor starts").0);
    }
    let each = n / clients;
    let elapsed = at_once(clients, |client| {
        let keepers = keepers.clone();
        async move {
            for number in client * each..(client + 1) * each {
                let keeper = &keepers[(number % supervisors) as usize];
                let child = Actor::spawn_linked(None, Echo, (), keeper.get_cell()).await;
                child.expect("the child starts");
            }
        }
    })
    .await;
    let children: usize = keepers
        .iter()
        .map(|keeper| keeper.get_children().len())
        .sum();
    assert_eq!(children as u64, each * clients);
    elapsed
}
