//! The handlers of OTP's suite: `dummy_h`, `dummy1_h`, and `oc_event`, which has no callback that it need not have.

use otp_stdlib::gen_event::{
    Answer, EventHandler, FormatStatus, Handler, Init, Install, Next, NoMessage, Terminate,
};
use otp_vm::{Context, ExitReason, OwnedTerm, Pid, to_term};
use serde::{Deserialize, Serialize};

use super::{atom, ms};

/// Which `dummy1_h` is to be swapped in: `dummy1_h`, or `{dummy1_h, Id}`.
pub type To = Option<u32>;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the words of OTP's suite")]
pub enum Event {
    Event(Pid),
    SwapEvent(To),
    ErrorEvent,
    DoCrash,
    DeleteEvent,
    Hibernate,
    Wakeup,
    HandleEvent(Pid),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the words of OTP's suite")]
pub enum Info {
    Info(Pid),
    SwapInfo(To),
    ErrorInfo,
    DoCrash,
    DeleteInfo,
    Sleep,
    Wake,
    Gnurf,
    HandleInfo(Pid),
    #[serde(rename = "EXIT")]
    Exit(Pid, ExitReason),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the words of OTP's suite")]
pub enum Call {
    Hejsan,
    SwapCall(To),
    DeleteCall,
    ErrorCall,
    ExitCall,
    Hibernate,
    HibernateLater,
    DelayedAnswer(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    Ok,
    Hejhopp,
    Swapped,
    True,
    Later,
    Delayed,
}

/// `make_error`, `[Parent]`, `[Parent, hibernate]`, `{state, State}`.
#[derive(Clone)]
pub enum Args {
    MakeError,
    Parent(Pid),
    Hibernate(Pid),
    CrashesInTerminate,
}

/// `dummy_h`.
pub struct Dummy {
    parent: Option<Pid>,
    crashes_in_terminate: bool,
}

/// `dummy1_h`.
pub struct Dummy1(Option<Pid>);

pub fn dummy() -> Handler<Dummy> {
    Handler::new()
}

pub fn dummy_id(id: u32) -> Handler<Dummy> {
    Handler::with_id(&id).expect("a term")
}

pub fn dummy1(to: To) -> Handler<Dummy1> {
    match to {
        None => Handler::new(),
        Some(id) => Handler::with_id(&id).expect("a term"),
    }
}

/// The other, to be swapped in.
pub fn swap_in(to: To) -> Install<Event> {
    Install::new(dummy1(to), Args1::Swap)
}

fn tell<T: Serialize>(cx: &Context, parent: Option<Pid>, module: &str, what: &T) {
    if let Some(parent) = parent {
        cx.send(parent, &(atom(module), what)).expect("a term");
    }
}

fn return_faulty() -> ExitReason {
    ExitReason::new(&(atom("return"), atom("faulty")))
}

fn badmatch() -> ! {
    panic!("badmatch, 4")
}

/// What it gives when it is asked to.
fn returned(why: &Terminate<'_>, word: &str) -> bool {
    why.args::<otp_vm::Atom>() == Some(atom(word))
}

impl EventHandler for Dummy {
    type Event = Event;
    type Args = Args;
    type Call = Call;
    type Reply = Reply;
    type Info = Info;

    fn module() -> &'static str {
        "dummy_h"
    }

    async fn init(args: Args, _cx: &mut Context) -> Init<Self> {
        let new = |parent| Dummy {
            parent,
            crashes_in_terminate: false,
        };
        match args {
            Args::MakeError => Init::error(atom("my_error")),
            Args::Parent(parent) => Init::ok(new(Some(parent))),
            Args::Hibernate(parent) => Init::ok(new(Some(parent))).hibernate(),
            Args::CrashesInTerminate => Init::ok(Dummy {
                crashes_in_terminate: true,
                ..new(None)
            }),
        }
    }

    async fn handle_event(&mut self, event: &Event, cx: &mut Context) -> Next<Event> {
        match event {
            Event::SwapEvent(to) => return Next::swap(&atom("swap"), swap_in(*to)),
            Event::ErrorEvent => return Next::error(return_faulty()),
            Event::DoCrash => badmatch(),
            Event::Hibernate => return Next::hibernate(),
            Event::Wakeup => {}
            Event::HandleEvent(from) => {
                cx.send(*from, &atom("handled_event")).expect("an atom");
            }
            event => tell(cx, self.parent, "dummy_h", event),
        }
        Next::ok()
    }

    async fn handle_call(&mut self, request: Call, cx: &mut Context) -> Answer<Reply, Event> {
        match request {
            Call::Hejsan => Answer::new(Reply::Hejhopp),
            Call::SwapCall(to) => Answer::swap(Reply::Swapped, &atom("swap"), swap_in(to)),
            Call::ErrorCall => Answer::error(return_faulty()),
            Call::ExitCall => badmatch(),
            Call::Hibernate => Answer::hibernate(Reply::True),
            Call::HibernateLater => {
                cx.send_after(ms(1000), cx.pid(), &Info::Sleep)
                    .expect("a timer");
                Answer::new(Reply::Later)
            }
            Call::DelayedAnswer(after) => {
                cx.sleep(ms(after)).await;
                Answer::new(Reply::Delayed)
            }
            Call::DeleteCall => Answer::new(Reply::Ok),
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> Next<Event> {
        match info {
            Info::SwapInfo(to) => return Next::swap(&atom("swap"), swap_in(to)),
            Info::ErrorInfo => return Next::error(return_faulty()),
            Info::DoCrash => badmatch(),
            Info::Sleep => return Next::hibernate(),
            Info::Wake | Info::Gnurf => {}
            Info::HandleInfo(from) => {
                cx.send(from, &atom("handled_info")).expect("an atom");
            }
            info => tell(cx, self.parent, "dummy_h", &info),
        }
        Next::ok()
    }

    async fn terminate(&mut self, why: Terminate<'_>, cx: &mut Context) -> OwnedTerm {
        if self.crashes_in_terminate {
            panic!("undef: terminate");
        }
        if returned(&why, "return_hej") {
            return atom("return_hej").into();
        }
        if returned(&why, "swap") {
            return to_term(&(atom("ok"), self.parent)).expect("a term");
        }
        if let Terminate::Error(_) = why {
            tell(cx, self.parent, "dummy_h", &atom("returned_error"));
        }
        atom("ok").into()
    }

    fn format_status(&self, mut status: FormatStatus) -> FormatStatus {
        status.set_state("dummy1_h handler state");
        status
    }

    fn system_get_state(&self) -> OwnedTerm {
        otp_stdlib::sys::term(&self.parent)
    }
}

/// `[Parent]`, and `swap`, which is for `init({swap, {ok, OldState}})` only.
#[derive(Clone)]
pub enum Args1 {
    Parent(Pid),
    Swap,
}

impl EventHandler for Dummy1 {
    type Event = Event;
    type Args = Args1;
    type Call = Call;
    type Reply = Reply;
    type Info = Info;

    fn module() -> &'static str {
        "dummy1_h"
    }

    async fn init(args: Args1, _cx: &mut Context) -> Init<Self> {
        match args {
            Args1::Parent(parent) => Init::ok(Dummy1(Some(parent))),
            Args1::Swap => panic!("nothing was swapped"),
        }
    }

    async fn init_swapped(args: Args1, old: Option<OwnedTerm>, _cx: &mut Context) -> Init<Self> {
        assert!(matches!(args, Args1::Swap));
        // Swapped from one that does not exist.
        let Some(old) = old else {
            return Init::error(atom("non_existing"));
        };
        let (ok, parent): (otp_vm::Atom, Option<Pid>) =
            otp_vm::from_term(old.root()).expect("what dummy_h left");
        assert_eq!(ok, atom("ok"));
        Init::ok(Dummy1(parent))
    }

    async fn handle_event(&mut self, event: &Event, cx: &mut Context) -> Next<Event> {
        match event {
            Event::DeleteEvent => return Next::remove(),
            Event::DoCrash => badmatch(),
            // The inverse of the other.
            Event::Hibernate => {}
            Event::Wakeup => return Next::hibernate(),
            event => tell(cx, self.0, "dummy1_h", event),
        }
        Next::ok()
    }

    async fn handle_call(&mut self, request: Call, _cx: &mut Context) -> Answer<Reply, Event> {
        match request {
            Call::DeleteCall => Answer::remove(Reply::Ok),
            _ => Answer::new(Reply::Ok),
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> Next<Event> {
        match info {
            Info::DeleteInfo => return Next::remove(),
            Info::DoCrash => badmatch(),
            Info::Gnurf => return Next::hibernate(),
            info => tell(cx, self.0, "dummy1_h", &info),
        }
        Next::ok()
    }

    async fn terminate(&mut self, why: Terminate<'_>, cx: &mut Context) -> OwnedTerm {
        if returned(&why, "return_hej") {
            return atom("return_hej").into();
        }
        if let Terminate::RemoveHandler = why {
            tell(cx, self.0, "dummy1_h", &atom("removed"));
        }
        atom("ok").into()
    }

    fn format_status(&self, mut status: FormatStatus) -> FormatStatus {
        status.set_state("dummy1_h handler state");
        status
    }
}

/// `oc_event`: nothing but what must be there.
pub struct OcEvent;

impl EventHandler for OcEvent {
    type Event = Event;
    type Args = ();
    type Call = Call;
    type Reply = Reply;
    type Info = NoMessage;

    fn module() -> &'static str {
        "oc_event"
    }

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(OcEvent)
    }

    async fn handle_event(&mut self, _event: &Event, _cx: &mut Context) -> Next<Event> {
        Next::ok()
    }
}
