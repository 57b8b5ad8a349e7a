//! States that own what can't be a term.

use otp_vm::{NATIVE_SHOWN, Native};

use super::*;

/// A server that owns a file, and shows itself as it serialises.
#[derive(Serialize)]
struct Owner {
    count: u64,
    file: Native<String>,
}

#[gen_server]
impl Owner {
    fn init() -> Self {
        Owner {
            count: 0,
            file: Native::new("its own".to_owned()),
        }
    }

    #[call]
    fn has_its_file(&mut self) -> bool {
        self.count += 1;
        self.file.is_present()
    }

    #[call]
    fn give(&mut self) -> Native<String> {
        std::mem::replace(&mut self.file, Native::new("another".to_owned()))
    }
}

#[test]
fn a_resource_stays_in_the_state_that_is_shown() {
    traced(async |mut cx: Context, lines| {
        let cx = &mut cx;
        let owner = Owner::start(cx, ()).await.unwrap();
        let expected = |count: u64| format!("#{{count => {count},file => <<\"{NATIVE_SHOWN}\">>}}");
        for count in 0..2 {
            let state = sys::get_state(&owner).call(cx).await.unwrap();
            assert_eq!(state.to_string(), expected(count));
            let status = sys::get_status(&owner).call(cx).await.unwrap();
            assert_eq!(status.data("State").unwrap().to_string(), expected(count));
            assert!(owner.has_its_file(cx).await.unwrap());
        }
        // Each event tells the state, too.
        sys::trace(&owner, true).call(cx).await.unwrap();
        assert!(owner.has_its_file(cx).await.unwrap());
        sys::no_debug(&owner).call(cx).await.unwrap();
        assert!(lines.lock().unwrap()[1].ends_with(&format!(", new state {}", expected(3))));
        // It moves when the server gives it away.
        let given = owner.give(cx).await.unwrap();
        assert_eq!(given.into_inner().as_deref(), Some("its own"));
    });
}
