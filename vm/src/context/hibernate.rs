//! Hibernation: a process that gives up its body until a message is there.

use std::future::pending;
use std::sync::Arc;

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
    /// Given back are the body's memory (a large future's, to the last byte but `next`'s), and spare room in the lists
    /// of links, monitors and requests. Messages stay as they are.
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
    pub async fn hibernate<B, F>(self, next: B) -> !
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        self.go_on_with(next);
        pending().await
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
