//! The attribute `#[reductions]`: it makes Rust code count its reductions, and so give way, as Erlang's does by itself.
//!
//! Programs have it from `otp_scheduler` or `otp_vm`, with examples. It is named after what it puts in, as OTP calls
//! that; it does not make code preemptible (the clock does that to all code), it makes it give way at good places.

mod attribute;
mod ticks;

use proc_macro::TokenStream;

/// Puts ticks at the entries of functions and at the beginnings of loops.
///
/// It goes on a function, a method, an `impl` block (of a trait, too), a trait with default methods, or an inline
/// module, and reaches all that is inside.
///
/// # What is put where
///
/// | place                                               | what                                 |
/// |-----------------------------------------------------|--------------------------------------|
/// | each turn of a `for`, `while` or `loop` that awaits | `if tick(1) { proceed(0).await }`    |
/// | each turn of another loop                           | `checkpoint(1)`                      |
/// | entry of an `async fn` that awaits                  | `if tick(1) { proceed(0).await }`    |
/// | entry of another function                           | `checkpoint(1)`                      |
///
/// (The former means `proceed(1).await`, in half the time.)
///
/// - A loop awaits if there is an `.await` in its body, or in the condition of a `while`: one that the loop itself
///   would wait at, so not in a closure, an `async` block or an item inside. Loops inside the loop count. The same goes
///   for functions.
/// - Loops in closures and `async` blocks are loops like others. Entries of closures and `async` blocks get nothing:
///   most of them are a line long, and the compiler makes one loop of them and their callers.
/// - An await is put only where there is one already. So no future has to wait that never did. At the entry, dropping
///   the future means what it means before the first poll; in a loop, it means that the turns so far are done, and the
///   next has not begun: no item was taken from the iterator, and no condition looked at.
/// - A future that was `Send` stays so: an awaited tick holds only what is in scope at an await of the code's own.
///
/// # What is left alone
///
/// - `const fn`, constants, statics, `const` blocks, lengths of arrays: nothing in them can be counted at compile time.
/// - What is in the brackets of macros (`vec![..]`, `select! {..}`): an attribute sees no code in them, so an `.await`
///   there is not seen either.
/// - Items inside that have the attribute themselves. `#[reductions(skip)]` on one leaves it without ticks.
/// - Iteration in other crates (`for_each`, `sort_by`, `collect`).
///
/// # Cost
///
/// A tick is a load, a subtraction, a store and a comparison in the thread's own memory: about a nanosecond, two with
/// an await. A loop with one is not vectorised, so leave innermost loops over numbers without.
///
/// # Arguments
///
/// - `crate = path`: where `checkpoint`, `proceed` and `tick` are to be found, for programs that have the crate by
///   another name.
/// - `skip`: nothing is put in.
///
/// # Errors
///
/// On anything else, on a `const fn`, and on a module in a file of its own the attribute does not compile.
#[proc_macro_attribute]
pub fn reductions(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(arguments.into(), item.into(), "::otp_scheduler").into()
}

/// As `reductions`, for programs that have only `otp-vm`, which calls it by that name.
///
/// Puts ticks at the entries of functions and at the beginnings of loops: awaited ones where a loop or an
/// `async fn` awaits anyway, `checkpoint(1)` elsewhere. The attribute `otp_scheduler::reductions` has the whole story.
#[proc_macro_attribute]
pub fn reductions_vm(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(arguments.into(), item.into(), "::otp_vm").into()
}
