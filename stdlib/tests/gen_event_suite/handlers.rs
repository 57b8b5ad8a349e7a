//! Handlers added, deleted and swapped.

use otp_stdlib::gen_event::{
    Answer, EventHandler, Handler, HandlerId, Init, Install, Next, NoMessage,
};
use otp_vm::OwnedTerm;

use super::dummies::{Args1, Dummy1, dummy_id, dummy1, swap_in};
use super::*;

/// A handler that nobody adds.
struct Faulty;

impl EventHandler for Faulty {
    type Event = Event;
    type Args = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Info = NoMessage;

    fn module() -> &'static str {
        "faulty_h"
    }

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Faulty)
    }

    async fn handle_event(&mut self, _event: &Event, _cx: &mut Context) -> Next<Event> {
        Next::ok()
    }
}

/// `{dummy_h, self()}`.
fn of_self(cx: &Context) -> (Handler<Dummy>, String) {
    let me = cx.pid();
    let handler = Handler::with_id(&me).unwrap();
    (handler, format!("{{dummy_h,{me}}}"))
}

async fn delete<A: serde::Serialize + Send + Sync>(
    cx: &mut Context,
    manager: &Manager,
    handler: impl Into<HandlerId> + Send,
    args: &A,
) -> String {
    let deleted = manager.delete_handler(cx, handler, args).await;
    deleted.expect("it is deleted").to_string()
}

#[test]
fn add_handler() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let made = manager.add_handler(&mut cx, dummy(), Args::MakeError).await;
        refused(made, "my_error");
        assert!(which(&mut cx, &manager).await.is_empty());
        add(&mut cx, &manager).await;
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h"]);

        let (handler, id) = of_self(&cx);
        let made = manager.add_handler(&mut cx, handler.clone(), Args::MakeError);
        refused(made.await, "my_error");
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h"]);
        let args = Args::Parent(cx.pid());
        manager.add_handler(&mut cx, handler, args).await.unwrap();
        assert_eq!(which(&mut cx, &manager).await, [&id, "dummy_h"]);
        stop(&mut cx, &manager).await;
        nothing(&mut cx).await;
    });
}

#[test]
fn add_sup_handler() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let pid = manager.whereis(&cx).unwrap();
        let made = manager.add_sup_handler(&mut cx, dummy(), Args::MakeError);
        refused(made.await, "my_error");
        assert!(which(&mut cx, &manager).await.is_empty());
        add_sup(&mut cx, &manager).await;
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h"]);
        cx.exit_process(pid, ExitReason::from(atom("sup_died")));
        cx.sleep(ms(1000)).await;
        assert!(which(&mut cx, &manager).await.is_empty());
        assert_eq!(told(&mut cx).await, "{gen_event_EXIT,dummy_h,shutdown}");

        add_sup(&mut cx, &manager).await;
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h"]);
        let (handler, id) = of_self(&cx);
        let made = manager.add_handler(&mut cx, handler.clone(), Args::MakeError);
        refused(made.await, "my_error");
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h"]);
        let args = Args::Parent(cx.pid());
        let added = manager.add_sup_handler(&mut cx, handler, args).await;
        added.unwrap();
        assert_eq!(which(&mut cx, &manager).await, [&id, "dummy_h"]);
        stop(&mut cx, &manager).await;
        // Newest first.
        let first = format!("{{gen_event_EXIT,{id},shutdown}}");
        assert_eq!(told(&mut cx).await, first);
        assert_eq!(told(&mut cx).await, "{gen_event_EXIT,dummy_h,shutdown}");
        nothing(&mut cx).await;
    });
}

#[test]
fn a_handler_goes_with_who_supervises_it() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let args = Args1::Parent(cx.pid());
        manager
            .add_handler(&mut cx, dummy1(None), args)
            .await
            .unwrap();
        let adder = manager.clone();
        let me = cx.pid();
        let supervisor = cx.spawn(async move |mut cx: Context| {
            add_sup(&mut cx, &adder).await;
            cx.send(me, &atom("added")).unwrap();
            let reason = ExitReason::from(atom("gone"));
            common::for_ever(&mut cx).await;
            reason
        });
        let supervisor = supervisor.unwrap();
        assert_eq!(told(&mut cx).await, "added");
        assert_eq!(which(&mut cx, &manager).await, ["dummy_h", "dummy1_h"]);
        cx.exit_process(supervisor, ExitReason::from(atom("gone")));
        // The others hear of it.
        let exit = format!("{{dummy1_h,{{'EXIT',{supervisor},gone}}}}");
        assert_eq!(told(&mut cx).await, exit);
        assert_eq!(which(&mut cx, &manager).await, ["dummy1_h"]);
        stop(&mut cx, &manager).await;
        nothing(&mut cx).await;
    });
}

#[test]
fn the_manager_is_linked_with_who_supervises_a_handler_and_ends_without_a_signal() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let pid = manager.whereis(&cx).unwrap();
        let links = |cx: &Context| cx.process_info(pid).unwrap().links;
        assert!(!links(&cx).contains(&cx.pid()));
        add_sup(&mut cx, &manager).await;
        assert!(links(&cx).contains(&cx.pid()));
        // The link stays when the handler goes, as OTP's does.
        delete(&mut cx, &manager, dummy(), &()).await;
        assert_eq!(told(&mut cx).await, "{gen_event_EXIT,dummy_h,normal}");
        assert!(links(&cx).contains(&cx.pid()));
        add_sup(&mut cx, &manager).await;
        // It is told by a message, and lives, although it does not trap exits.
        let reason = ExitReason::from(atom("bad"));
        manager.stop(&mut cx, reason, LIMIT).await.unwrap();
        assert_eq!(told(&mut cx).await, "{gen_event_EXIT,dummy_h,shutdown}");
        nothing(&mut cx).await;
    });
}

#[test]
fn delete_handler() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let (hej, none) = (atom("return_hej"), Vec::<u32>::new());
        let dumy = HandlerId::new(atom("duuuuuuuuumy"));
        add(&mut cx, &manager).await;
        let deleted = manager.delete_handler(&mut cx, &dumy, &none).await;
        assert_eq!(handler_error(deleted), HandlerError::ModuleNotFound);
        assert_eq!(delete(&mut cx, &manager, dummy(), &hej).await, "return_hej");
        assert!(which(&mut cx, &manager).await.is_empty());
        add(&mut cx, &manager).await;
        assert_eq!(delete(&mut cx, &manager, dummy(), &none).await, "ok");
        assert!(which(&mut cx, &manager).await.is_empty());

        let args = Args::Parent(cx.pid());
        for id in [1, 2] {
            let added = manager.add_handler(&mut cx, dummy_id(id), args.clone());
            added.await.unwrap();
        }
        let dumy = HandlerId::with_id(atom("duuuuuuuuumy"), &1).unwrap();
        let deleted = manager.delete_handler(&mut cx, dumy, &none).await;
        assert_eq!(handler_error(deleted), HandlerError::ModuleNotFound);
        for id in [1, 2] {
            let gave = delete(&mut cx, &manager, &dummy_id(id), &hej).await;
            assert_eq!(gave, "return_hej");
        }
        assert!(which(&mut cx, &manager).await.is_empty());
        let added = manager.add_handler(&mut cx, dummy_id(2), args);
        added.await.unwrap();
        assert_eq!(delete(&mut cx, &manager, dummy_id(2), &none).await, "ok");
        assert!(which(&mut cx, &manager).await.is_empty());
        stop(&mut cx, &manager).await;
        nothing(&mut cx).await;
    });
}

#[test]
fn swap_handler() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let (swap, none) = (atom("swap"), Vec::<u32>::new());
        let args = Args::Parent(cx.pid());
        for (old, id, to, name) in [
            (dummy(), "dummy_h", None, "dummy1_h"),
            (dummy_id(3), "{dummy_h,3}", Some(4), "{dummy1_h,4}"),
        ] {
            let added = manager.add_handler(&mut cx, old.clone(), args.clone());
            added.await.unwrap();
            let faulty = Handler::<Faulty>::new();
            let swapped = manager.swap_handler(&mut cx, (faulty, &swap), swap_in(None));
            refused(swapped.await, "non_existing");
            assert_eq!(which(&mut cx, &manager).await, [id]);
            let swapped = manager.swap_handler(&mut cx, (old, &swap), swap_in(to));
            swapped.await.unwrap();
            assert_eq!(which(&mut cx, &manager).await, [name]);
            assert_eq!(delete(&mut cx, &manager, dummy1(to), &none).await, "ok");
            assert!(which(&mut cx, &manager).await.is_empty());
        }
        stop(&mut cx, &manager).await;
        nothing(&mut cx).await;
    });
}

#[test]
fn swap_sup_handler() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        let (swap, none) = (atom("swap"), Vec::<u32>::new());
        let faulty = Handler::<Faulty>::new();
        add_sup(&mut cx, &manager).await;
        let swapped = manager.swap_handler(&mut cx, (&faulty, &swap), swap_in(None));
        refused(swapped.await, "non_existing");
        let swapped = manager.swap_handler(&mut cx, (dummy(), &swap), swap_in(None));
        swapped.await.unwrap();
        assert_eq!(which(&mut cx, &manager).await, ["dummy1_h"]);
        let me = cx.pid();
        let gone = format!("{{gen_event_EXIT,dummy_h,{{swapped,dummy1_h,{me}}}}}");
        assert_eq!(told(&mut cx).await, gone);
        assert_eq!(delete(&mut cx, &manager, dummy1(None), &none).await, "ok");
        assert_eq!(told(&mut cx).await, "{gen_event_EXIT,dummy1_h,normal}");

        let args = Args::Parent(me);
        let added = manager.add_sup_handler(&mut cx, dummy_id(3), args);
        added.await.unwrap();
        let swapped = manager.swap_sup_handler(&mut cx, (&faulty, &swap), swap_in(None));
        refused(swapped.await, "non_existing");
        let swapped = manager.swap_sup_handler(&mut cx, (dummy_id(3), &swap), swap_in(Some(4)));
        swapped.await.unwrap();
        assert_eq!(which(&mut cx, &manager).await, ["{dummy1_h,4}"]);
        let gone = format!("{{gen_event_EXIT,{{dummy_h,3}},{{swapped,{{dummy1_h,4}},{me}}}}}");
        assert_eq!(told(&mut cx).await, gone);
        assert_eq!(
            delete(&mut cx, &manager, dummy1(Some(4)), &none).await,
            "ok"
        );
        assert_eq!(told(&mut cx).await, "{gen_event_EXIT,{dummy1_h,4},normal}");
        stop(&mut cx, &manager).await;
        nothing(&mut cx).await;
    });
}

#[test]
fn who_swaps_a_supervised_handler_takes_it_over() {
    simulated(async |mut cx: Context| {
        let manager = manager(&mut cx).await;
        add_sup(&mut cx, &manager).await;
        let (swapper, me) = (manager.clone(), cx.pid());
        let other = cx.spawn(async move |mut cx: Context| {
            let swap = atom("swap");
            let swapped = swapper.swap_sup_handler(&mut cx, (dummy(), &swap), swap_in(None));
            swapped.await.unwrap();
            let message = told(&mut cx).await;
            cx.send(me, &atom(&message)).unwrap();
        });
        let other = other.unwrap();
        let gone = format!("{{gen_event_EXIT,dummy_h,{{swapped,dummy1_h,{other}}}}}");
        assert_eq!(told(&mut cx).await, gone);
        delete(&mut cx, &manager, Handler::<Dummy1>::new(), &()).await;
        // The other is told of the new one's end; this one is not.
        assert_eq!(told(&mut cx).await, "'{gen_event_EXIT,dummy1_h,normal}'");
        nothing(&mut cx).await;
    });
}

/// A handler that keeps something that is no term, and hands it over.
struct Keeper(Option<std::sync::mpsc::Sender<u32>>);

impl EventHandler for Keeper {
    type Event = u32;
    type Args = Option<std::sync::mpsc::Sender<u32>>;
    type Call = ();
    type Reply = bool;
    type Info = NoMessage;

    async fn init(args: Self::Args, _cx: &mut Context) -> Init<Self> {
        Init::ok(Keeper(args))
    }

    async fn init_swapped(
        _args: Self::Args,
        old: Option<OwnedTerm>,
        _cx: &mut Context,
    ) -> Init<Self> {
        let old = old.expect("there was one");
        let native: otp_vm::Native<std::sync::mpsc::Sender<u32>> =
            otp_vm::from_term(old.root()).expect("a sender");
        Init::ok(Keeper(native.into_inner()))
    }

    async fn handle_event(&mut self, event: &u32, _cx: &mut Context) -> Next<u32> {
        if let Some(sender) = &self.0 {
            sender.send(*event).unwrap();
        }
        Next::ok()
    }

    async fn handle_call(&mut self, _request: (), _cx: &mut Context) -> Answer<bool, u32> {
        Answer::new(self.0.is_some())
    }

    async fn terminate(
        &mut self,
        _why: otp_stdlib::gen_event::Terminate<'_>,
        _cx: &mut Context,
    ) -> OwnedTerm {
        match self.0.take() {
            Some(sender) => otp_vm::to_term(&otp_vm::Native::new(sender)).expect("a resource"),
            None => OwnedTerm::from(atom("ok")),
        }
    }
}

#[test]
fn what_is_no_term_goes_in_by_arguments_and_from_one_to_the_next() {
    simulated(async |mut cx: Context| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let manager = EventManager::<u32>::start(&mut cx).await.unwrap();
        let keeper = Handler::<Keeper>::new();
        assert_eq!(keeper.id().to_string(), "'Keeper'");
        let added = manager.add_handler(&mut cx, keeper.clone(), Some(sender));
        added.await.unwrap();
        manager.sync_notify(&mut cx, &7).await.unwrap();
        let new = Handler::<Keeper>::with_id("new").unwrap();
        let install = Install::new(new.clone(), None);
        let swapped = manager.swap_handler(&mut cx, (&keeper, &()), install);
        swapped.await.unwrap();
        assert!(manager.call(&mut cx, &new, ()).await.unwrap());
        manager.sync_notify(&mut cx, &8).await.unwrap();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [7, 8]);
        // To another process it can't go: who asked learns that.
        let deleted = manager.delete_handler(&mut cx, &new, &()).await;
        let HandlerError::Error(reason) = handler_error(deleted) else {
            panic!("it can't be sent")
        };
        assert!(reason.to_string().starts_with("{bad_reply,"), "{reason}");
        let left = manager.which_handlers(&mut cx).await.unwrap();
        assert!(left.is_empty());
        assert!(receiver.recv().is_err(), "it was dropped");
    });
}
