//! One process for the data of all users. They have nothing to do with each other, but wait for each other, and one
//! whose request crashes takes the data of all along. A process for each user keeps both apart: `sessions.rs` has the
//! whole of it.

use std::collections::BTreeMap;

use otp_stdlib::prelude::*;
use otp_vm::{CallError, Context};

use crate::Failure;

/// What it does with the data, right or wrong: it panics on what it did not expect.
fn add(cart: &mut Vec<String>, ware: String) -> usize {
    assert!(!ware.is_empty(), "a ware without a name");
    cart.push(ware);
    cart.len()
}

mod wrong {
    use super::*;

    pub(super) struct Carts(BTreeMap<String, Vec<String>>);

    #[gen_server]
    impl Carts {
        fn init() -> Self {
            Carts(BTreeMap::new())
        }

        #[call]
        fn add(&mut self, user: String, ware: String) -> usize {
            add(self.0.entry(user).or_default(), ware)
        }
    }
}

mod right {
    use super::*;

    pub(super) struct Cart(Vec<String>);

    #[gen_server]
    impl Cart {
        fn init() -> Self {
            Cart(Vec::new())
        }

        #[call]
        fn add(&mut self, ware: String) -> usize {
            add(&mut self.0, ware)
        }
    }
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    use right::{Cart, CartClient};
    use wrong::{Carts, CartsClient};

    let cx = &mut cx;
    let children = vec![
        ChildSpec::worker("carts", |cx| Carts::start_link(cx, ()).name("carts")),
        ChildSpec::worker("names", |cx| Registry::<String>::child(cx, "cart_names")),
        DynamicSupervisor::child_spec(DynamicSupervisorFlags::new()),
    ];
    let flags = SupervisorFlags::one_for_one();
    let tree = Supervisor::start_link(cx, flags, children).await?;

    let carts = ServerRef::<Carts>::from_name("carts")?;
    carts.add(cx, "bob".into(), "apples".into()).await?;
    let crashed = carts.add(cx, "ada".into(), String::new()).await;
    assert!(matches!(crashed, Err(CallError::Exit(_))));
    while carts.whereis(cx).is_none() {
        cx.yield_now().await;
    }
    let of_bob = carts.add(cx, "bob".into(), "pears".into()).await?;
    // The apples are gone.
    assert_eq!(of_bob, 1);

    let names = Registry::<String>::named("cart_names")?;
    let supervisor = tree.which_child(cx, "DynamicSupervisor").await?.pid;
    let supervisor = DynamicSupervisorRef::from_pid(supervisor.ok_or("no supervisor")?);
    for user in ["ada", "bob"] {
        let cart = ChildSpec::worker("cart", move |cx| {
            Cart::start_link(cx, ()).via(&names, &user.to_owned())
        });
        supervisor.start_child(cx, cart).await?;
    }
    let [ada, bob] = ["ada", "bob"].map(|user| ServerRef::<Cart>::via(&names, &user.to_owned()));
    let (ada, bob) = (ada?, bob?);
    bob.add(cx, "apples".into()).await?;
    let crashed = ada.add(cx, String::new()).await;
    assert!(matches!(crashed, Err(CallError::Exit(_))));
    let by_himself = bob.add(cx, "pears".into()).await?;
    assert_eq!(by_himself, 2);
    Ok(format!(
        "after ada's crash bob has {of_bob} ware, and {by_himself} in a process of his own"
    ))
}
