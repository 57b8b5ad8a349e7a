//! The program's code in a manager: wherever it panics, the manager and the other handlers live.

use otp_stdlib::gen_event::{
    Answer, EventHandler, FormatStatus, GenEventExit, Handler, Init, Install, Next, NoMessage,
    Removed, Terminate,
};
use otp_vm::OwnedTerm;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::*;

/// An event that panics as it is decoded, or dropped where it was decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Nasty {
    Calm,
    Decode,
    Drop,
}

/// Decoded, in the manager.
struct Event(Nasty);

impl Drop for Event {
    fn drop(&mut self) {
        if self.0 == Nasty::Drop && !std::thread::panicking() {
            panic!("in the destructor of an event")
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = match self.0 {
            Nasty::Calm => 0,
            Nasty::Decode => 1,
            Nasty::Drop => 2,
        };
        serializer.serialize_u32(number)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            0 => Ok(Event(Nasty::Calm)),
            1 => panic!("as an event is decoded"),
            2 => Ok(Event(Nasty::Drop)),
            other => Err(serde::de::Error::custom(format!("no event: {other}"))),
        }
    }
}

/// Where a handler panics.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Where {
    Nowhere,
    Init,
    Event,
    Exit,
    Terminate,
    Drop,
    FormatStatus,
    Reply,
    Info,
    Swap,
}

struct Panics {
    at: Where,
    events: u32,
}

impl Drop for Panics {
    fn drop(&mut self) {
        if self.at == Where::Drop && !std::thread::panicking() {
            panic!("in the destructor of a handler")
        }
    }
}

/// A reply that may be no term.
struct Count(Option<u32>);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(count) => serializer.serialize_u32(count),
            None => Err(serde::ser::Error::custom("no reply")),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(|count| Count(Some(count)))
    }
}

impl EventHandler for Panics {
    type Event = Event;
    type Args = Where;
    type Call = ();
    type Reply = Count;
    type Info = String;

    async fn init(at: Where, _cx: &mut Context) -> Init<Self> {
        assert!(at != Where::Init, "in init");
        Init::ok(Panics { at, events: 0 })
    }

    async fn handle_event(&mut self, _event: &Event, cx: &mut Context) -> Next<Event> {
        match self.at {
            Where::Event | Where::FormatStatus => panic!("in handle_event"),
            Where::Exit => cx.exit(ExitReason::kill()),
            Where::Swap => {
                let with = Install::new(Handler::<Panics>::new(), Where::Init);
                return Next::swap(&(), with);
            }
            _ => self.events += 1,
        }
        Next::ok()
    }

    async fn handle_call(&mut self, _request: (), _cx: &mut Context) -> Answer<Count, Event> {
        Answer::new(Count((self.at != Where::Reply).then_some(self.events)))
    }

    async fn handle_info(&mut self, info: String, _cx: &mut Context) -> Next<Event> {
        assert!(self.at != Where::Info, "{info}");
        Next::ok()
    }

    async fn terminate(&mut self, _why: Terminate<'_>, _cx: &mut Context) -> OwnedTerm {
        assert!(self.at != Where::Terminate, "in terminate");
        atom("ok").into()
    }

    fn format_status(&self, status: FormatStatus) -> FormatStatus {
        assert!(self.at != Where::FormatStatus, "in format_status");
        status
    }
}

type Nice = Handler<Panics>;

/// A manager with a handler that never fails, to which the others must do no harm.
async fn with_a_calm_one(cx: &mut Context) -> (EventManagerRef<Event>, Nice) {
    let manager = EventManager::<Event>::start(cx).await.unwrap();
    let calm = Nice::with_id("calm").unwrap();
    let added = manager.add_handler(cx, calm.clone(), Where::Nowhere).await;
    added.unwrap();
    (manager, calm)
}

/// What the supervisor was told of the end of its handler.
async fn gone(cx: &mut Context) -> GenEventExit {
    let message = cx.receive_timeout(LIMIT).await.expect("a message");
    GenEventExit::of(&message).expect("of a handler")
}

#[test]
fn a_panic_anywhere_in_a_handler_takes_it_out_and_nothing_else() {
    simulate(async |mut cx: Context, reports: Reports| {
        let (manager, calm) = with_a_calm_one(&mut cx).await;
        let pid = manager.pid().unwrap();
        let nasty = Nice::with_id("nasty").unwrap();
        let mut events = 0;
        for at in [
            Where::Init,
            Where::Event,
            Where::Exit,
            Where::Terminate,
            Where::Drop,
            Where::FormatStatus,
            Where::Reply,
            Where::Info,
            Where::Swap,
        ] {
            let added = manager.add_sup_handler(&mut cx, nasty.clone(), at).await;
            if at == Where::Init {
                let HandlerError::Exit(reason) = handler_error(added) else {
                    panic!("its init panics")
                };
                assert!(reason.to_string().contains("in init"), "{reason}");
                continue;
            }
            added.unwrap();
            manager
                .sync_notify(&mut cx, &Event(Nasty::Calm))
                .await
                .unwrap();
            events += 1;
            match at {
                Where::Event | Where::FormatStatus => {
                    let end = gone(&mut cx).await;
                    assert!(end.reason.is_failure() && end.handler == *nasty.id());
                    let Ok(Report::Terminated { state, .. }) = reports.try_recv() else {
                        panic!("a report")
                    };
                    assert_eq!(
                        state.contains("format_status crashed"),
                        at == Where::FormatStatus
                    );
                }
                Where::Exit => {
                    // The manager is not killed by it.
                    let end = gone(&mut cx).await.reason;
                    assert_eq!(end, Removed::Exit(ExitReason::kill()));
                    assert!(reports.try_recv().is_ok());
                }
                Where::Terminate | Where::Drop => {
                    let deleted = manager.delete_handler(&mut cx, &nasty, &()).await;
                    let error = handler_error(deleted);
                    assert!(matches!(error, HandlerError::Exit(_)), "{error:?}");
                    assert_eq!(gone(&mut cx).await.reason, Removed::Normal);
                }
                Where::Reply => {
                    let error = handler_error(manager.call(&mut cx, &nasty, ()).await.map(|_| ()));
                    let HandlerError::Error(reason) = error else {
                        panic!("its reply is no term")
                    };
                    assert!(reason.to_string().starts_with("{bad_reply,"), "{reason}");
                    assert_eq!(gone(&mut cx).await.reason, Removed::Error(reason));
                    assert!(reports.try_recv().is_ok());
                }
                Where::Info => {
                    cx.send(pid, "to all").unwrap();
                    let Removed::Exit(reason) = gone(&mut cx).await.reason else {
                        panic!("it panicked")
                    };
                    assert!(reason.to_string().contains("to all"), "{reason}");
                    assert!(reports.try_recv().is_ok());
                }
                Where::Swap => {
                    // The one that went, then the one that did not come: `crash` is OTP's word.
                    let with = Handler::<Panics>::new().id().clone();
                    let swapped = Removed::Swapped(with.clone(), Some(cx.pid()));
                    assert_eq!(gone(&mut cx).await.reason, swapped);
                    let end = gone(&mut cx).await;
                    assert_eq!(end.handler, with);
                    assert_eq!(end.reason, Removed::Error(ExitReason::from(atom("crash"))));
                    let report = reports.try_recv();
                    assert!(
                        matches!(&report, Ok(Report::Terminated { reason, .. })
                            if reason.contains("in init")),
                        "{report:?}"
                    );
                }
                Where::Nowhere | Where::Init => unreachable!("not among them"),
            }
            let left = manager.which_handlers(&mut cx).await.unwrap();
            assert_eq!(left, [calm.id().clone()], "{at:?}");
            let count = manager.call(&mut cx, &calm, ()).await.unwrap();
            assert_eq!(count.0, Some(events));
        }
        assert!(reports.try_recv().is_err());
    });
}

#[test]
fn an_event_that_panics_as_it_is_decoded_or_dropped_is_passed_over() {
    simulate(async |mut cx: Context, reports: Reports| {
        let (manager, calm) = with_a_calm_one(&mut cx).await;
        for (nasty, events) in [(Nasty::Decode, 0), (Nasty::Drop, 1), (Nasty::Calm, 2)] {
            // Not dropped here: that panics.
            let event = std::mem::ManuallyDrop::new(Event(nasty));
            manager.sync_notify(&mut cx, &event).await.unwrap();
            let count = manager.call(&mut cx, &calm, ()).await.unwrap();
            assert_eq!(count.0, Some(events), "{nasty:?}");
        }
        // One that is none: each handler is told, and stays.
        let pid = manager.pid().unwrap();
        cx.send(pid, &(atom("notify"), 7)).unwrap();
        assert_eq!(manager.call(&mut cx, &calm, ()).await.unwrap().0, Some(2));
        let report = reports.try_recv();
        assert!(
            matches!(&report, Ok(Report::NoHandleInfo { message: Some(message), .. })
                if message == "{notify,7}"),
            "{report:?}"
        );
    });
}

#[test]
fn handlers_end_in_order_with_the_manager_and_its_parent_ends_it() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        let starter = cx.spawn(async move |mut cx: Context| {
            let manager = EventManager::<super::Event>::start_link(&mut cx)
                .await
                .unwrap();
            cx.send(me, &manager).unwrap();
            common::for_ever(&mut cx).await;
        });
        let starter = starter.unwrap();
        let manager: Manager = cx.receive().await.decode().unwrap();
        let pid = manager.pid().unwrap();
        for id in [1, 2] {
            let handler = dummies::dummy_id(id);
            let added = manager.add_sup_handler(&mut cx, handler, Args::Parent(me));
            added.await.unwrap();
        }
        let monitor = cx.monitor(pid);
        cx.exit_process(starter, ExitReason::from(atom("parent")));
        for id in [2, 1] {
            let expected = format!("{{gen_event_EXIT,{{dummy_h,{id}}},shutdown}}");
            assert_eq!(told(&mut cx).await, expected);
        }
        let reason = common::down(&mut cx, monitor).await;
        assert_eq!(reason, ExitReason::from(atom("parent")));
        nothing(&mut cx).await;
    });
}

/// A handler of events of any shape, and of requests that are terms.
struct Any(Vec<String>);

impl EventHandler for Any {
    type Event = OwnedTerm;
    type Args = ();
    type Call = ();
    type Reply = Vec<String>;
    type Info = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Any(Vec::new()))
    }

    async fn handle_event(&mut self, event: &OwnedTerm, _cx: &mut Context) -> Next<OwnedTerm> {
        self.0.push(event.to_string());
        Next::ok()
    }

    async fn handle_call(&mut self, _: (), _: &mut Context) -> Answer<Vec<String>, OwnedTerm> {
        Answer::new(self.0.clone())
    }
}

#[test]
fn a_manager_of_terms_takes_events_of_any_shape() {
    simulated(async |mut cx: Context| {
        let manager = EventManager::<OwnedTerm>::start(&mut cx).await.unwrap();
        let any = Handler::<Any>::new();
        manager.add_handler(&mut cx, any.clone(), ()).await.unwrap();
        let pid = manager.pid().unwrap();
        manager.notify(&cx, &otp_vm::to_term(&7).unwrap()).unwrap();
        cx.send(pid, &(atom("notify"), ("alarm", atom("high"))))
            .unwrap();
        let event = otp_vm::to_term(&[atom("a"), atom("b")].as_slice()).unwrap();
        manager.sync_notify(&mut cx, &event).await.unwrap();
        let seen = manager.call(&mut cx, &any, ()).await.unwrap();
        assert_eq!(seen, ["7", "{<<\"alarm\">>,high}", "[a,b]"]);
    });
}
