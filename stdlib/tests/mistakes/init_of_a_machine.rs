//! A state machine whose `Init` is the prelude's, which is a server's.

use otp_stdlib::gen_statem::{Event, Transition};
use otp_stdlib::prelude::*;
use otp_vm::Context;

struct Door;

impl GenStatem for Door {
    type Args = ();
    type State = bool;
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(_: (), _cx: &mut Context) -> Init<Self> {
        Init::ignore()
    }

    async fn handle_event(&mut self, _: &bool, _: Event<Self>, _: &mut Context) -> Transition<Self> {
        Transition::keep_state()
    }
}

fn main() {}
