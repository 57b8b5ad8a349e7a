//! The process that owns a registry's tables, and cleans up after the dead.

use otp_vm::{Context, ExitReason, OwnedTerm, Pid, TableError};
use serde::{Deserialize, Serialize};

use super::tables::{Tables, pids_name};
use crate::gen_server::{From, GenServer, Init, NoMessage, NoReply, Reply};

/// The registry's process.
#[derive(Debug)]
pub struct Partition {
    tables: Tables,
}

/// A request to the partition.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Remove what this process, which is dead, had registered; this key of it in any case.
    Clean(Pid, OwnedTerm),
}

/// What reaches the partition besides.
#[derive(Debug, Deserialize)]
pub enum Info {
    /// A process that had registered ended.
    #[serde(rename = "EXIT")]
    Exit(Pid, ExitReason),
}

/// Why a registry did not start.
#[derive(Serialize)]
enum Failed {
    BadName(String),
    Table(String),
}

impl GenServer for Partition {
    type Args = String;
    type Call = Request;
    type Reply = ();
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init(name: String, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        let Ok(pids) = pids_name(&name) else {
            return Init::error(ExitReason::new(&Failed::BadName(name)));
        };
        match Tables::create(cx, &name, pids) {
            Ok(tables) => Init::ok(Self { tables }),
            Err(error) => Init::error(ExitReason::new(&Failed::Table(error.to_string()))),
        }
    }

    async fn handle_call(
        &mut self,
        Request::Clean(pid, key): Request,
        _from: From<()>,
        cx: &mut Context,
    ) -> Reply<Self> {
        // A caller can be wrong, and nobody's keys are taken while he lives.
        if !cx.vm().is_alive(pid) {
            self.clean(pid, cx).await;
            // A process whose end was decided while it registered may have written this row after
            // its others were removed.
            self.removed(pid, self.tables.bury_row(cx, pid, &key));
        }
        Reply::new(())
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        let Info::Exit(pid, _) = info;
        // The living may send exit signals as well.
        if !cx.vm().is_alive(pid) {
            self.clean(pid, cx).await;
        }
        NoReply::new()
    }
}

impl Partition {
    /// Removes what the dead `pid` had registered.
    async fn clean(&self, pid: Pid, cx: &mut Context) {
        let count = self.tables.bury(cx, pid).unwrap_or(0);
        for place in 0..count {
            self.removed(pid, self.tables.bury_key(cx, pid, place));
            cx.tick(1).await;
        }
    }

    fn removed(&self, pid: Pid, removed: Result<(), TableError>) {
        if let Err(error) = removed {
            tracing::error!(event = "registry_clean", %pid, %error, "a key could not be removed");
        }
    }
}
