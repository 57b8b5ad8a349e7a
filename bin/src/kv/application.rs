//! `kv` as an application: what `otp-vm run kv` starts.

use otp_stdlib::application::{self, Application, ApplicationSpec, StartType};
use otp_stdlib::prelude::StartError;
use otp_vm::{Context, Pid};

use super::{
    ACCEPTOR_SUPERVISOR, CLIENT_SUPERVISOR, Options, STORE_SUPERVISOR, TOP, acceptor, announce,
    keeper, listener, pubsub, start, store,
};
use crate::Runnable;

/// The application's name.
const NAME: &str = "kv";

/// The application. Its environment is [`Options`], by their long names.
#[derive(Debug)]
pub struct Kv;

impl Application for Kv {
    type Args = ();

    /// Starts the tree, and says where it listens.
    async fn start(_: StartType, _: (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
        let options: Options = application::get_all_env_as(cx, NAME)?;
        let top = start(cx, options).await?;
        announce(cx).await.map_err(StartError::Exit)?;
        Ok((top, Kv))
    }
}

/// What `run kv` starts: the application, with its options. For the list of a program that is to have it, too.
pub fn runnable() -> Runnable {
    Runnable::application_with_options::<Options>(application())
}

/// Its specification.
pub fn application() -> ApplicationSpec {
    ApplicationSpec::new(NAME)
        .description("A server that speaks the Redis protocol")
        .vsn(env!("CARGO_PKG_VERSION"))
        .applications(["kernel", "stdlib"])
        .registered([
            TOP,
            STORE_SUPERVISOR,
            CLIENT_SUPERVISOR,
            ACCEPTOR_SUPERVISOR,
            keeper::NAME,
            store::NAME,
            listener::NAME,
            pubsub::NAME,
            acceptor::CONNECTIONS,
        ])
        .module::<Kv>(())
}
