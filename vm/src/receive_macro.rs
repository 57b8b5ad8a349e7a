//! `receive!`: Erlang's `receive`, with the patterns of `term_match!`.

/// Waits for the first message that one of the patterns matches, and goes on with that arm; the other messages stay, in
/// order. `receive … after … end`.
///
/// The patterns are those of [`term_match!`](crate::term_match!), each a bracket (`{…}`, `[…]`, `(value)`), a literal,
/// an atom, `_`, or `name: Type`. What a pattern binds may borrow from the message, for as long as the arm lasts. Arms
/// are tried in order for each message; an arm may await, return, and use the `Context`. With `after` the last arm is
/// run when no message came in time ([`Timeout`](crate::Timeout) or a `Duration`; zero: only look). There are no
/// guards: what depends on more than a pattern is for [`Context::receive_where`](crate::Context::receive_where).
///
/// Dropping it while it waits loses nothing: it is [`Context::receive_matching`](crate::Context::receive_matching).
///
/// ```
/// use otp_vm::{Pid, Vm, receive};
/// use std::time::Duration;
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let run = vm.run(|mut cx| async move {
///     cx.send(cx.pid(), &("noise", 1)).unwrap();
///     cx.send(cx.pid(), &(otp_vm::atoms::OK, cx.pid(), "text")).unwrap();
///     let length = receive!(cx, {
///         {ok, from: Pid, text: &str} => {
///             assert_eq!(from, cx.pid());
///             cx.yield_now().await;
///             text.len()
///         },
///         {error, _} => 0,
///         after Duration::from_secs(5) => panic!("nothing came"),
///     });
///     (length, cx.message_queue_len())
/// });
/// assert_eq!(run.wait()?, (4, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! receive {
    ($cx:expr, { $($arms:tt)+ }) => {
        $crate::__receive!($cx, [] $($arms)+)
    };
}

/// Collects the arms, one a step.
#[doc(hidden)]
#[macro_export]
macro_rules! __receive {
    ($cx:expr, [$($arms:tt)*] after $after:expr => $late:expr $(,)?) => {
        $crate::__receive_arms!($cx, $after, $late, $($arms)*)
    };
    ($cx:expr, [$($arms:tt)*]) => {
        $crate::__receive_arms!(
            $cx,
            $crate::Timeout::Infinity,
            ::std::unreachable!("without an alarm it waits for a message"),
            $($arms)*
        )
    };
    ($cx:expr, [$($arms:tt)*] $name:ident : $type:ty => $arm:expr $(, $($rest:tt)*)?) => {
        $crate::__receive!($cx, [$($arms)* ([$name: $type] $arm)] $($($rest)*)?)
    };
    ($cx:expr, [$($arms:tt)*] # $map:tt => $arm:expr $(, $($rest:tt)*)?) => {
        $crate::__receive!($cx, [$($arms)* ([# $map] $arm)] $($($rest)*)?)
    };
    ($cx:expr, [$($arms:tt)*] $pattern:tt => $arm:expr $(, $($rest:tt)*)?) => {
        $crate::__receive!($cx, [$($arms)* ([$pattern] $arm)] $($($rest)*)?)
    };
}

/// The patterns look at each message; the chosen one is the arms' own, which may await.
#[doc(hidden)]
#[macro_export]
macro_rules! __receive_arms {
    ($cx:expr, $after:expr, $late:expr, $(([$($pattern:tt)+] $arm:expr))+) => {
        match $cx
            .receive_matching($after, |message| {
                $($crate::__macros::matches_term!(message.term(), $($pattern)+))||+
            })
            .await
        {
            ::std::option::Option::None => $late,
            ::std::option::Option::Some(message) => {
                $(
                    if let $crate::__macros::__bound!([] $($pattern)+) =
                        $crate::__macros::term_match!(message.term(), $($pattern)+)
                    {
                        $arm
                    } else
                )+
                {
                    ::std::unreachable!("a pattern that matched matches again")
                }
            }
        }
    };
}

/// What the macro expands to, and nothing to be used by hand.
#[doc(hidden)]
pub mod support {
    pub use otp_heap::{__bound, matches_term, term_match};
}
