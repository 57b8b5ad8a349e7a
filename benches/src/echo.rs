//! The server of every workload that needs one: it answers a call with its argument.

use otp_stdlib::gen_server::{self, GenServer, Init, NoMessage, Reply};
use otp_vm::Context;

#[derive(Debug)]
pub(crate) struct Echo;

impl GenServer for Echo {
    type Args = ();
    type Call = u64;
    type Reply = u64;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init((): (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Self)
    }

    async fn handle_call(
        &mut self,
        number: u64,
        _from: gen_server::From<u64>,
        _cx: &mut Context,
    ) -> Reply<Self> {
        Reply::new(number)
    }
}
