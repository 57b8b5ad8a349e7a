//! Who holds what must not be lost does nothing else: the tables' keeper.
//!
//! 1. The keeper makes the tables and is their heir.
//! 2. A store claims them by a call. The keeper gives away what it has; once the caller has all tables, it replies.
//! 3. A table that another process still has (an old store that is just dying) is on its way home: the claim waits for
//!    the `'ETS-TRANSFER'` message that tells of its arrival. There is one store at a time, so a newer claim takes the
//!    place of an older one.
//! 4. A claimer that dies, however far the handing over got, leaves each table to its heir, the keeper; one that is
//!    dead before it gets a table cannot be given it. So at any moment each table is with a living store or with the
//!    keeper, or is on its way to the keeper.
//! 5. If the keeper itself dies (it has no reason to), tables that a store has stay with it; the store, which watches
//!    the keeper, makes the new one the heir. Only both dying at once loses data.

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::{GenServer, Init, NoMessage, NoReply, Reply, ServerRef};
use otp_vm::{Context, ExitReason, Pid, TableError};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::tables::{self, Tables};

/// The keeper's registered name.
pub const NAME: &str = "kv_keeper";

/// A process without other work that is the heir of the tables.
#[derive(Debug)]
pub struct Keeper {
    tables: Tables,
    /// The claim that cannot be answered yet.
    claim: Option<From<Claimed>>,
}

/// Asks for the tables; the reply comes when the caller owns all of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claim;

/// The caller owns the tables.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claimed;

/// What the VM tells an heir.
#[derive(Debug, Deserialize)]
pub enum Info {
    /// A table came home, because its owner died.
    #[serde(rename = "ETS-TRANSFER")]
    Transfer(IgnoredAny, IgnoredAny, IgnoredAny),
}

impl Keeper {
    /// Gives all tables that are here to the claimer; true when it has all of them.
    fn give(&mut self, cx: &Context, claimer: Pid) -> bool {
        if self
            .tables
            .all()
            .into_iter()
            .any(|table| table.owner().is_none())
        {
            // They were with a store that died while the keeper was dead too. Nothing is left but to begin anew.
            match Tables::create(cx) {
                Ok(tables) => self.tables = tables,
                Err(error) => {
                    tracing::error!(%error, "the tables are gone and cannot be made again")
                }
            }
        }
        let mut complete = true;
        for table in self.tables.all() {
            let owner = table.owner();
            if owner == Some(claimer) {
                continue;
            }
            // A claimer that is dead needs no answer, and what it got comes back.
            complete &= owner == Some(cx.pid()) && table.give_away(cx, claimer, &()).is_ok();
        }
        complete
    }
}

impl GenServer for Keeper {
    type Args = ();
    type Call = Claim;
    type Reply = Claimed;
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init((): (), cx: &mut Context) -> Init<Keeper> {
        match Tables::create(cx) {
            Ok(tables) => Init::ok(Keeper {
                tables,
                claim: None,
            }),
            Err(error) => Init::stop(tables::exit_reason(&error)),
        }
    }

    async fn handle_call(
        &mut self,
        _: Claim,
        from: From<Claimed>,
        cx: &mut Context,
    ) -> Reply<Keeper> {
        if self.give(cx, from.pid()) {
            self.claim = None;
            return Reply::new(Claimed);
        }
        self.claim = Some(from);
        Reply::later()
    }

    async fn handle_info(&mut self, Info::Transfer(..): Info, cx: &mut Context) -> NoReply<Keeper> {
        if let Some(claim) = self.claim
            && self.give(cx, claim.pid())
        {
            self.claim = None;
            // The claimer may have died or given up; then the tables come back, or wait for its next claim.
            let _ = claim.reply(cx, &Claimed);
        }
        NoReply::new()
    }
}

/// Claims the tables for the caller: waits until it owns all of them.
///
/// # Errors
///
/// The reason to exit with when the keeper is not there or the tables are gone.
pub async fn claim(cx: &mut Context) -> Result<Tables, ExitReason> {
    let keeper = ServerRef::<Keeper>::from_name(NAME)
        .map_err(|error| ExitReason::from(error.to_string()))?;
    keeper.call(cx, Claim).await.map_err(ExitReason::from)?;
    Tables::find(cx).ok_or_else(|| tables::exit_reason(&TableError::OwnerGone))
}
