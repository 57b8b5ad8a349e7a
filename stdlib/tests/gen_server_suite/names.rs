//! What keeps names besides the VM, in the cases with `{via, Module, Name}`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use otp_stdlib::{NameError, Via};
use otp_vm::{Atom, Context, OwnedTerm, Pid};

/// The suite's `dummy_via`: names of any text.
#[derive(Clone, Default)]
pub struct DummyVia(Arc<Mutex<HashMap<String, Pid>>>);

fn text(name: &OwnedTerm) -> String {
    name.to_string()
}

impl DummyVia {
    pub fn holder(&self, cx: &Context, name: &str) -> Option<Pid> {
        self.whereis_name(cx, &otp_vm::to_term(name).expect("a text"))
    }

    /// Gives a name to a process, as the case itself does.
    pub fn give(&self, name: &str, pid: Pid) {
        let name = otp_vm::to_term(name).expect("a text");
        self.0.lock().expect("no panic").insert(text(&name), pid);
    }
}

impl Via for DummyVia {
    type Name = str;

    fn module(&self) -> Atom {
        Atom::new("dummy_via").expect("an atom")
    }

    async fn register_name(&self, cx: &mut Context, name: &OwnedTerm) -> Result<(), NameError> {
        let mut names = self.0.lock().expect("no panic");
        match names.get(&text(name)) {
            Some(&holder) if cx.vm().is_alive(holder) => Err(NameError::Taken(holder)),
            _ => {
                names.insert(text(name), cx.pid());
                Ok(())
            }
        }
    }

    fn unregister_name(&self, cx: &Context, name: &OwnedTerm) {
        let mut names = self.0.lock().expect("no panic");
        if names.get(&text(name)) == Some(&cx.pid()) {
            names.remove(&text(name));
        }
    }

    fn whereis_name(&self, cx: &Context, name: &OwnedTerm) -> Option<Pid> {
        let holder = self.0.lock().expect("no panic").get(&text(name)).copied();
        holder.filter(|&pid| cx.vm().is_alive(pid))
    }
}
