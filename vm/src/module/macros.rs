//! `module!`.

/// Writes a process module as plain Rust: a Rust module with its functions, and a function `module()` that gives the
/// [`Module`](crate::Module).
///
/// Each function is `pub async fn name(cx: &mut Context, argument: Type, …) -> Type`; the types of arguments are
/// deserialised, that of the result is serialised. The context is the process's that calls. Its names are those of the
/// place where the module stands (`use super::*`), which is a Rust module, not a function. In brackets behind the name
/// are attributes; `vsn` is the version. What is not exported stands outside.
///
/// Within the program the functions are called as any others: `calc::add(&mut cx, 1, 2).await`.
///
/// ```
/// use otp_vm::{Context, module};
///
/// module! {
///     /// Sums and the like.
///     pub mod calc [vsn: "1.2"] {
///         /// The sum of two numbers.
///         pub async fn add(_cx: &mut Context, a: i64, b: i64) -> i64 {
///             a + b
///         }
///
///         /// Nought.
///         pub async fn zero(_cx: &mut Context) -> i64 {
///             0
///         }
///     }
/// }
///
/// fn main() {
///     let module = calc::module();
///     assert_eq!(module.to_string(), "calc exports add/2, zero/0");
///     assert_eq!(module.doc(), "Sums and the like.");
///     assert_eq!(module.attribute("vsn").unwrap().to_string(), r#"<<"1.2">>"#);
/// }
/// ```
#[macro_export]
macro_rules! module {
    (
        $(#[doc = $doc:literal])*
        $visible:vis mod $name:ident $([$($key:ident : $value:expr),* $(,)?])? {
            $(
                $(#[doc = $function_doc:literal])*
                pub async fn $function:ident(
                    $cx:ident : &mut $context:ty $(, $argument:ident : $type:ty)* $(,)?
                ) $(-> $result:ty)? $body:block
            )*
        }
    ) => {
        $(#[doc = $doc])*
        $visible mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(
                $(#[doc = $function_doc])*
                pub async fn $function($cx: &mut $context $(, $argument: $type)*) $(-> $result)? $body
            )*

            /// The process module, to be loaded into a VM.
            ///
            /// # Panics
            /// When the program's table of atoms has no room for its names.
            pub fn module() -> $crate::Module {
                $crate::Module::builder(::std::stringify!($name))
                    .doc(::std::concat!($($doc, "\n"),*))
                    $($(.attribute(::std::stringify!($key), &$value))*)?
                    $(
                        .function(
                            $crate::Function::new(
                                ::std::stringify!($function),
                                <[&str]>::len(&[$(::std::stringify!($argument)),*]),
                                |cx, arguments| ::std::boxed::Box::pin(async move {
                                    let ($($argument,)*): ($($type,)*) = arguments.decode()?;
                                    $crate::Arguments::result(&$function(cx $(, $argument)*).await)
                                }),
                            )
                            .doc(::std::concat!($($function_doc, "\n"),*)),
                        )
                    )*
                    .build()
                    .unwrap_or_else(|error| ::std::panic!("the module can't be made: {error}"))
            }
        }
    };
}
