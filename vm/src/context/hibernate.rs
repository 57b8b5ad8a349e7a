//! Hibernation: a process that gives up its body until a message is there.

use std::future::pending;
use std::mem;
use std::sync::Arc;

use otp_heap::Pid;

use super::Context;
use crate::exit_reason::IntoExit;
use crate::process::body::LazyBody;
use crate::process::{Attention, Body, NextBody};

impl Context {
    /// Waits for a message, in as little memory as there can be, and goes on with `next` when one is there, which it
    /// leaves in the mailbox; at once if one is there already. `erlang:hibernate/3`.
    ///
    /// It never returns: the body that awaits it is dropped, with all that it holds, as OTP drops the stack. What
    /// `next` shall have it captures. Exit signals act as always.
    /// [`ProcessInfo::hibernated`](crate::ProcessInfo::hibernated) tells that a process waits so.
    ///
    /// Given back are the body's memory (a large future's, to the last byte but `next`'s), what the process's heap does
    /// not need for the terms that are kept ([`Context::heap`]; roots that `next` does not get keep theirs all the
    /// same), and spare room in the dictionary and in the lists of links, monitors and requests. Messages stay as they
    /// are.
    ///
    /// To go on with a function of a module, `next` is [`Call::continuation`](crate::Call::continuation).
    ///
    /// The Context goes to `next`; what stays here is that of a process which is gone. So a body that awaits this
    /// beside something else ([`select!`](https://docs.rs/tokio/latest/tokio/macro.select.html)) can't go on as if
    /// nothing had happened: it is dropped when it next gives way.
    ///
    /// # Panics
    /// In a native process, whose body is a thread's stack.
    ///
    /// ```
    /// use otp_vm::{Context, Pid, Timeout, Vm};
    /// use std::pin::Pin;
    ///
    /// // One that goes on with itself names its future's type.
    /// fn count(mut cx: Context, asked: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    ///     Box::pin(async move {
    ///         let from = cx.receive_as::<Pid>(Timeout::Infinity).await.unwrap();
    ///         cx.send(from, &asked).unwrap();
    ///         cx.hibernate(move |cx| count(cx, asked + 1)).await
    ///     })
    /// }
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let counter = cx.spawn(|cx| count(cx, 1)).unwrap();
    ///     cx.send(counter, &cx.pid()).unwrap();
    ///     cx.send(counter, &cx.pid()).unwrap();
    ///     [cx.receive().await.decode(), cx.receive().await.decode()]
    /// });
    /// assert_eq!(run.wait()?, [Ok(1), Ok(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn hibernate<B, F>(&mut self, next: B) -> !
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let is_native = self
            .state()
            .is_some_and(|state| state.rare.as_ref().is_some_and(|rare| rare.is_native));
        assert!(
            !is_native,
            "a native process can't hibernate: wait for the message, or spawn it with an async body"
        );
        // No second one for one process: two receives at once look at the same messages.
        let nobodys = self.of_nobody();
        mem::replace(self, nobodys).go_on_with(next);
        pending().await
    }

    /// The Context of an incarnation before this one: gone, whatever becomes of this one.
    fn of_nobody(&self) -> Context {
        let serial = match self.pid.serial().wrapping_sub(1) {
            // The serial of a slot with nobody in it.
            0 => u32::MAX,
            serial => serial,
        };
        Context {
            vm: self.vm.for_process(),
            process: self.process,
            pid: Pid::from_parts(self.pid.index(), serial),
        }
    }

    fn go_on_with<B, F>(self, next: B)
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        // The new body may be gone, and its Context with it, before this thread gets on.
        let core = Arc::clone(self.vm.core());
        let (slot, pid) = (self.process, self.pid);
        let body = otp_scheduler::uncounted(|| Box::pin(LazyBody::new(next, self)) as Body);
        let mut next = Some(NextBody {
            body,
            bytes: size_of::<LazyBody<B, F>>() as u32,
        });
        // SAFETY: slots live as long as the core.
        let process = unsafe { slot.as_ref() };
        {
            let mut state = process.lock();
            if process.is(pid) && !state.exiting {
                state.rare().next_body = next.take();
                process.note(Attention::TURNS);
            }
        }
        // If this is not the process's own slice.
        process.wake();
        drop(next);
        drop(core);
    }
}
