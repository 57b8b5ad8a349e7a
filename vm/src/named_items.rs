//! Items that tools ask for by OTP's names, one by one.

use otp_heap::{Atom, Builder, OwnedTerm, atoms};

/// Makes an enum of items from their names.
macro_rules! named_items {
    (
        $(#[$about:meta])*
        $name:ident
        $($(#[$doc:meta])* $item:ident $text:literal)*
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $item,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$item,)*];

            /// OTP's name.
            pub const fn name(self) -> &'static str {
                match self { $($name::$item => $text,)* }
            }

            /// The item of OTP's name, if there is one.
            pub fn from_name(name: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|item| item.name() == name)
            }
        }
    };
}

pub(crate) use named_items;

pub(crate) fn atom(name: &str) -> Atom {
    Atom::new(name).unwrap_or(atoms::UNDEFINED)
}

/// Over the limit on a block: what there is of it can't be shown as one term.
pub(crate) fn finish(builder: Builder<()>) -> OwnedTerm {
    builder
        .finish(())
        .unwrap_or_else(|_| OwnedTerm::from(atoms::SYSTEM_LIMIT))
}

/// One value as a term.
pub(crate) fn one(build: impl FnOnce(&mut Builder<()>)) -> OwnedTerm {
    let mut builder = Builder::new();
    build(&mut builder);
    finish(builder)
}

/// `{Name, Number}`.
pub(crate) fn figure<H>(builder: &mut Builder<H>, name: &str, number: usize) {
    builder.atom(atom(name)).integer(number as i128).tuple(2);
}

/// `[{Name, Number}, …]`.
pub(crate) fn figures(builder: &mut Builder<()>, figures: &[(&str, usize)]) {
    for &(name, number) in figures {
        figure(builder, name, number);
    }
    builder.list(figures.len());
}
