//! Events, waited for and not, and other messages.

use super::dummies::{Args1, Info, dummy_id, dummy1};
use super::*;

/// How a case has handlers handle something.
#[derive(Clone, Copy)]
enum By {
    Notify,
    SyncNotify,
    Send,
}

/// What handlers are to do, as an event or as another message.
enum Do {
    Event,
    Swap(dummies::To),
    Delete,
    Error,
    Crash,
}

impl By {
    async fn has(self, cx: &mut Context, manager: &Manager, what: Do) {
        let me = cx.pid();
        let event = match what {
            Do::Event => Event::Event(me),
            Do::Swap(to) => Event::SwapEvent(to),
            Do::Delete => Event::DeleteEvent,
            Do::Error => Event::ErrorEvent,
            Do::Crash => Event::DoCrash,
        };
        match self {
            Self::Notify => manager.notify(cx, &event).expect("an event"),
            Self::SyncNotify => manager.sync_notify(cx, &event).await.expect("an event"),
            Self::Send => {
                let info = match what {
                    Do::Event => Info::Info(me),
                    Do::Swap(to) => Info::SwapInfo(to),
                    Do::Delete => Info::DeleteInfo,
                    Do::Error => Info::ErrorInfo,
                    Do::Crash => Info::DoCrash,
                };
                cx.send("my_dummy_handler", &info).expect("it is there");
            }
        }
    }

    /// The word for it in what handlers tell.
    fn word(self) -> &'static str {
        match self {
            Self::Notify | Self::SyncNotify => "event",
            Self::Send => "info",
        }
    }
}

async fn each_tells(cx: &mut Context, by: By, manager: &Manager, module: &str) {
    by.has(cx, manager, Do::Event).await;
    let (word, me) = (by.word(), cx.pid());
    assert_eq!(told(cx).await, format!("{{{module},{{{word},{me}}}}}"));
}

/// The case `notify`; `sync_notify` and `info` are the same by other means.
async fn notified(cx: &mut Context, by: By) {
    let manager = &manager(cx).await;
    let me = cx.pid();
    // Without an id, and with one.
    for (id, to, name, new) in [
        (None, None, "dummy_h", "dummy1_h"),
        (Some(5), Some(9), "{dummy_h,5}", "{dummy1_h,9}"),
    ] {
        let handler = id.map_or_else(dummy, dummy_id);
        let args = Args::Parent(me);
        let added = manager.add_handler(cx, handler.clone(), args.clone()).await;
        added.unwrap();
        assert_eq!(which(cx, manager).await, [name]);
        each_tells(cx, by, manager, "dummy_h").await;
        by.has(cx, manager, Do::Swap(to)).await;
        assert_eq!(which(cx, manager).await, [new]);
        each_tells(cx, by, manager, "dummy1_h").await;
        by.has(cx, manager, Do::Delete).await;
        assert_eq!(told(cx).await, "{dummy1_h,removed}");
        assert!(which(cx, manager).await.is_empty());
        manager.add_handler(cx, handler, args).await.unwrap();
        by.has(cx, manager, Do::Error).await;
        assert_eq!(told(cx).await, "{dummy_h,returned_error}");
        assert!(which(cx, manager).await.is_empty());
    }

    // Supervised.
    let crashed = |module: &str, told: &str| {
        let start = format!("{{gen_event_EXIT,{module},{{'EXIT',");
        assert!(
            told.starts_with(&start) && told.contains("badmatch, 4"),
            "{told}"
        );
    };
    let swapped = format!("{{gen_event_EXIT,dummy_h,{{swapped,dummy1_h,{me}}}}}");
    add_sup(cx, manager).await;
    assert_eq!(which(cx, manager).await, ["dummy_h"]);
    each_tells(cx, by, manager, "dummy_h").await;
    by.has(cx, manager, Do::Crash).await;
    crashed("dummy_h", &told(cx).await);
    for by_crash in [true, false] {
        add_sup(cx, manager).await;
        by.has(cx, manager, Do::Swap(None)).await;
        assert_eq!(told(cx).await, swapped);
        assert_eq!(which(cx, manager).await, ["dummy1_h"]);
        each_tells(cx, by, manager, "dummy1_h").await;
        if by_crash {
            by.has(cx, manager, Do::Crash).await;
            crashed("dummy1_h", &told(cx).await);
        } else {
            by.has(cx, manager, Do::Delete).await;
            assert_eq!(told(cx).await, "{dummy1_h,removed}");
            assert_eq!(told(cx).await, "{gen_event_EXIT,dummy1_h,normal}");
        }
    }
    add_sup(cx, manager).await;
    by.has(cx, manager, Do::Error).await;
    assert_eq!(told(cx).await, "{dummy_h,returned_error}");
    assert_eq!(told(cx).await, "{gen_event_EXIT,dummy_h,{return,faulty}}");
    assert!(which(cx, manager).await.is_empty());
    stop(cx, manager).await;
    nothing(cx).await;
}

#[test]
fn notify() {
    simulated(async |mut cx: Context| notified(&mut cx, By::Notify).await);
}

#[test]
fn sync_notify() {
    simulated(async |mut cx: Context| notified(&mut cx, By::SyncNotify).await);
}

#[test]
fn info() {
    simulated(async |mut cx: Context| notified(&mut cx, By::Send).await);
}

#[test]
fn all_handlers_get_an_event_newest_first_and_one_that_fails_harms_no_other() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let me = cx.pid();
        let of = |id: u32| format!("{{dummy_h,{id}}}");
        for id in 0..3 {
            let added = manager.add_handler(&mut cx, dummy_id(id), Args::Parent(me));
            added.await.unwrap();
            let to = dummy1(Some(id));
            let added = manager.add_handler(&mut cx, to, Args1::Parent(me)).await;
            added.unwrap();
        }
        manager.notify(&cx, &Event::Event(me)).unwrap();
        for _ in 0..3 {
            assert_eq!(told(&mut cx).await, format!("{{dummy1_h,{{event,{me}}}}}"));
            assert_eq!(told(&mut cx).await, format!("{{dummy_h,{{event,{me}}}}}"));
        }
        // Every other one fails.
        manager
            .sync_notify(&mut cx, &Event::ErrorEvent)
            .await
            .unwrap();
        for _ in 0..3 {
            assert_eq!(told(&mut cx).await, "{dummy1_h,error_event}");
            assert_eq!(told(&mut cx).await, "{dummy_h,returned_error}");
        }
        let left = ["{dummy1_h,2}", "{dummy1_h,1}", "{dummy1_h,0}"];
        assert_eq!(which(&mut cx, &manager).await, left);
        // A handler that swaps itself stays in its place.
        let middle = dummy_id(7);
        let added = manager.add_handler(&mut cx, middle, Args::Parent(me)).await;
        added.unwrap();
        let added = manager.add_handler(&mut cx, dummy1(Some(8)), Args1::Parent(me));
        added.await.unwrap();
        assert_eq!(which(&mut cx, &manager).await[1], of(7));
        let swap = Event::SwapEvent(Some(9));
        manager.sync_notify(&mut cx, &swap).await.unwrap();
        let now = which(&mut cx, &manager).await;
        assert_eq!(now[..2], ["{dummy1_h,8}", "{dummy1_h,9}"]);
        stop(&mut cx, &manager).await;
    });
}

#[test]
fn the_last_of_several_with_the_same_id_is_the_one_that_is_asked() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        add(&mut cx, &manager).await;
        add_sup(&mut cx, &manager).await;
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h", "dummy_h"]);
        for left in [1, 0] {
            let deleted = manager.delete_handler(&mut cx, dummy(), &()).await;
            assert_eq!(deleted.unwrap().to_string(), "ok");
            assert_eq!(which(&mut cx, &manager).await.len(), left);
            if left == 1 {
                assert_eq!(told(&mut cx).await, "{gen_event_EXIT,dummy_h,normal}");
            }
        }
        nothing(&mut cx).await;
    });
}
