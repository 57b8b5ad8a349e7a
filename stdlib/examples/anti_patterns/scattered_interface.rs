//! A scattered interface: an agent's closures are written wherever its state is wanted, so each of these places knows
//! how the state looks, and each in its own way. One module has all functions that go to one process.

use std::collections::BTreeMap;

use otp_stdlib::prelude::*;
use otp_vm::{CallError, Context};

use crate::Failure;

type Book = BTreeMap<String, String>;

/// Wrong: who puts writes names as they come, who looks up has them in small letters. Both are right by themselves.
mod wrong {
    use super::*;

    pub(super) async fn sign_up(cx: &mut Context, book: &Agent<Book>) -> Result<(), CallError> {
        let insert = |book: &mut Book| {
            book.insert("Ada".into(), "ada@example.org".into());
        };
        book.update(cx, insert).await
    }

    pub(super) async fn mail(
        cx: &mut Context,
        book: &Agent<Book>,
    ) -> Result<Option<String>, CallError> {
        book.get(cx, |book| book.get("ada").cloned()).await
    }
}

/// Right: the agent is this module's alone, and what a name is stands in one place.
mod right {
    use super::*;

    pub(super) struct Addresses(Agent<Book>);

    impl Addresses {
        pub(super) async fn start_link(cx: &mut Context) -> Result<Self, StartError> {
            Ok(Addresses(Agent::start_link(cx, Book::new).await?))
        }

        pub(super) async fn put(
            &self,
            cx: &mut Context,
            name: &str,
            address: &str,
        ) -> Result<(), CallError> {
            let (name, address) = (name.to_lowercase(), address.to_owned());
            let insert = |book: &mut Book| {
                book.insert(name, address);
            };
            self.0.update(cx, insert).await
        }

        pub(super) async fn get(
            &self,
            cx: &mut Context,
            name: &str,
        ) -> Result<Option<String>, CallError> {
            let name = name.to_lowercase();
            self.0.get(cx, move |book| book.get(&name).cloned()).await
        }
    }
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    let cx = &mut cx;
    let book = Agent::start_link(cx, Book::new).await?;
    wrong::sign_up(cx, &book).await?;
    let scattered = wrong::mail(cx, &book).await?;
    assert_eq!(scattered, None);

    let addresses = right::Addresses::start_link(cx).await?;
    addresses.put(cx, "Ada", "ada@example.org").await?;
    let kept_together = addresses.get(cx, "ada").await?;
    assert_eq!(kept_together.as_deref(), Some("ada@example.org"));
    Ok(format!("{scattered:?} in place of {kept_together:?}"))
}
