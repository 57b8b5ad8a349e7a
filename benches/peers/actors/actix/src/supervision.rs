//! An actor under a supervisor of actix, which gives it a new context when it has stopped. It stays what it was: the
//! supervisor does not make another one, so its state is kept. A panic ends both.

use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot};

use crate::arbiters::Arbiters;

/// Tells the driver that it runs.
struct Child {
    news: mpsc::UnboundedSender<News>,
}

#[derive(Debug, PartialEq)]
enum News {
    Started,
    Restarting,
}

struct Stop;

impl Message for Stop {
    type Result = ();
}

impl Child {
    fn tell(&self, news: News) {
        self.news.send(news).expect("the driver waits");
    }
}

impl Actor for Child {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.tell(News::Started);
    }
}

impl Supervised for Child {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.tell(News::Restarting);
    }
}

impl Handler<Stop> for Child {
    type Result = ();

    fn handle(&mut self, _: Stop, cx: &mut Context<Self>) {
        cx.stop();
    }
}

pub async fn restart(arbiters: &Arbiters, n: u64, before: u64) -> Duration {
    let (news, started) = mpsc::unbounded_channel();
    let child = Supervisor::start_in_arbiter(arbiters.next(), |_| Child { news });
    let (done, is_done) = oneshot::channel();
    // Who stops it is on an arbiter as well.
    let driver = move || {
        actix::spawn(async move {
            let elapsed = stops(&child, started, n, before).await;
            done.send(elapsed).expect("the main thread waits");
        });
    };
    assert!(arbiters.next().spawn_fn(driver), "the arbiter runs");
    is_done.await.expect("the driver ends")
}

async fn stops(
    child: &Addr<Child>,
    mut news: mpsc::UnboundedReceiver<News>,
    n: u64,
    before: u64,
) -> Duration {
    assert_eq!(news.recv().await, Some(News::Started));
    let mut began = Instant::now();
    for number in 0..before + n {
        if number == before {
            began = Instant::now();
        }
        child.do_send(Stop);
        assert_eq!(news.recv().await, Some(News::Restarting));
        assert_eq!(news.recv().await, Some(News::Started));
    }
    began.elapsed()
}
