//! Names made at run time as atoms. The table of atoms is the whole program's, and what is in it stays. So a name for
//! each user fills it, and then nothing new can be named anywhere. A registry's names are any terms, and go with the
//! process.

use otp_stdlib::prelude::*;
use otp_vm::{Atom, AtomError, Context, set_atom_limit};

use crate::Failure;

/// How many atoms this program has left for its users. The limit is a million, unless one sets it.
const LEFT: u32 = 100;

struct Session;

#[gen_server]
impl Session {
    fn init() -> Self {
        Session
    }

    #[call]
    fn is_well(&self) -> bool {
        true
    }
}

async fn wrong(cx: &mut Context, user: u32) -> Result<ServerRef<Session>, StartError> {
    let name = format!("session_{user}");
    Session::start_link(cx, ()).name(&name).await
}

async fn right(cx: &mut Context, user: u32) -> Result<ServerRef<Session>, Failure> {
    let names = Registry::<String>::named("user_sessions")?;
    let name = format!("session_{user}");
    Session::start_link(cx, ()).via(&names, &name).await?;
    Ok(ServerRef::via(&names, &name)?)
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    let cx = &mut cx;
    Registry::<String>::start_link(cx, "user_sessions").await?;
    // What of the program's own atoms comes up late is there by now.
    let first = right(cx, 0).await?;
    assert!(first.is_well(cx).await?);
    let atoms = || cx.vm().system_info().atom_count;
    let before = atoms();
    set_atom_limit(before as u32 + LEFT)?;

    let mut started = 0;
    let error = loop {
        match wrong(cx, started).await {
            Ok(_) => started += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(started, LEFT);
    assert!(matches!(&error, StartError::BadName(text) if text.contains("set_atom_limit")));
    // All of the program is without new names now, not only the sessions; and when these end it is no better.
    assert!(matches!(
        Atom::new("something else"),
        Err(AtomError::TableFull { .. })
    ));

    for user in 1..1000 {
        let session = right(cx, user).await?;
        assert!(session.is_well(cx).await?);
    }
    Ok(format!("after {started} sessions: {error}"))
}
