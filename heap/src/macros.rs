//! `term!` makes a term, `term_match!` takes one apart; both in a syntax close to Erlang's.
//!
//! The rules work along a sequence, an element a step, so the compiler's `recursion_limit` (128)
//! bounds the elements that one bracket may have.

/// Makes an [`OwnedTerm`](crate::OwnedTerm), in Erlang's syntax as far as Rust's tokens go.
///
/// | written | is |
/// |---|---|
/// | `ok`, `EXIT`, `true` | atom of that name |
/// | `1`, `-1`, `2.5` | integer, float |
/// | `"text"`, `b"\x00"` | binary, as `str` and bytes are |
/// | `'c'` | integer |
/// | `{ok, 1}`, `[1, 2]`, `[1 \| [2]]`, `#{a => 1}` | tuple, list, list with a tail, map |
/// | `(expression)` | what the value serialises as: see [the mapping](crate#how-rust-types-map-to-terms) |
///
/// Atoms of other names are expressions: `(atoms::GEN_CALL)`, `(Atom::new("a b")?)`. So are terms
/// that exist: `(&term)` copies one. For text at run time there is [`parse`](crate::parse()).
///
/// # Panics
///
/// If the term cannot be made: an expression whose `Serialize` fails, an infinite float, a table
/// of atoms that is full. It is for tests, and for terms whose shape is known; a
/// [`Builder`](crate::Builder) gives errors.
///
/// ```
/// use otp_heap::{Pid, Ref, term};
///
/// let (pid, reference) = (Pid::from_parts(4, 1), Ref::from_u64(5));
/// let options = vec![("depth", 3)];
/// let call = term!({call, {(pid), (reference)}, [1, -2.5 | tail], #{text => "ab", [] => (options)}});
/// assert_eq!(
///     call.to_string(),
///     r#"{call,{<0.4.1>,#Ref<0.0.0.5>},[1,-2.5|tail],#{text => <<"ab">>,[] => [{<<"depth">>,3}]}}"#
/// );
/// assert_eq!(term!(ok), otp_heap::parse("ok").unwrap());
/// ```
#[macro_export]
macro_rules! term {
    ($($term:tt)+) => {{
        let mut builder = $crate::Builder::<()>::new();
        $crate::__push_term!(builder, $($term)+);
        match builder.finish(()) {
            Ok(term) => term,
            Err(error) => ::std::panic!("no term can be made of this: {error}"),
        }
    }};
}

/// Takes a [`Term`](crate::Term) apart: the bound values if it has the form, `None` if not.
///
/// A pattern is written as for [`term!`](crate::term!), and has besides:
///
/// | written | matches |
/// |---|---|
/// | `name: Type` | what [`from_term`](crate::from_term) reads as that type, and binds it |
/// | `name: Term` | any term, and binds it |
/// | `_` | any term |
/// | `(expression)` | a term equal (`=:=`) to what the value serialises as |
/// | `#{key => pattern}` | a map that has the key, and maybe others |
///
/// One bound value is given as it is, several as a tuple in the order of the pattern, none as
/// `()`. A name is bound once: with the same name again the last one counts.
///
/// ```
/// use otp_heap::{Pid, Term, term, term_match};
///
/// let message = term!({hello, (Pid::from_parts(4, 1)), [1, 2, 3], #{text => "ab", size => 2}});
/// let t = message.root();
/// let Some((pid, rest, text)) =
///     term_match!(t, {hello, pid: Pid, [1 | rest: Term], #{text => text: &str}})
/// else {
///     panic!("{t} has another form")
/// };
/// assert_eq!((pid.index(), text), (4, "ab"));
/// assert_eq!(rest.to_string(), "[2,3]");
///
/// assert_eq!(term_match!(t, {hello, _, list: Vec<u8>, _}), Some(vec![1, 2, 3]));
/// assert_eq!(term_match!(t, {hello, (pid), [_, _], _}), None);
/// assert_eq!(term_match!(t, {_, (pid), _, #{size => 2}}), Some(()));
/// ```
#[macro_export]
macro_rules! term_match {
    ($term:expr, $($pattern:tt)+) => {
        '_matched: {
            #[allow(unused_imports)]
            use $crate::__macros::Read as _;
            let whole: $crate::Term<'_> = $term;
            $crate::__match_term!('_matched, whole, $($pattern)+);
            $crate::__bound!([] $($pattern)+)
        }
    };
}

/// Whether a [`Term`](crate::Term) has the form of a pattern: see [`term_match!`](crate::term_match!).
///
/// ```
/// use otp_heap::{matches_term, term};
///
/// let reply = term!({error, {enoent, "a.txt"}});
/// assert!(matches_term!(reply.root(), {error, {enoent, _}}));
/// assert!(!matches_term!(reply.root(), {error, _, _}));
/// ```
#[macro_export]
macro_rules! matches_term {
    ($term:expr, $($pattern:tt)+) => {
        $crate::term_match!($term, $($pattern)+).is_some()
    };
}

/// Pushes one term on a builder's stack.
#[doc(hidden)]
#[macro_export]
macro_rules! __push_term {
    ($builder:ident, {$($elements:tt)*}) => {
        let len = $crate::__push_elements!($builder, 0, $($elements)*);
        $builder.tuple(len);
    };
    ($builder:ident, [$($elements:tt)*]) => {
        $crate::__push_list!($builder, 0, $($elements)*);
    };
    ($builder:ident, # {$($pairs:tt)*}) => {
        let len = $crate::__push_pairs!($builder, 0, $($pairs)*);
        $builder.map(len);
    };
    ($builder:ident, ($value:expr)) => {
        $builder.value(&$value);
    };
    ($builder:ident, $atom:ident) => {
        $builder.value(&$crate::__macros::Name(::std::stringify!($atom)));
    };
    ($builder:ident, $literal:literal) => {
        $crate::__macros::Literal::push($literal, &mut $builder);
    };
}

/// Pushes the elements of a tuple, and counts them.
#[doc(hidden)]
#[macro_export]
macro_rules! __push_elements {
    ($builder:ident, $count:expr,) => {
        $count
    };
    ($builder:ident, $count:expr, # $map:tt $(, $($rest:tt)*)?) => {{
        $crate::__push_term!($builder, # $map);
        $crate::__push_elements!($builder, $count + 1, $($($rest)*)?)
    }};
    ($builder:ident, $count:expr, - $number:tt $(, $($rest:tt)*)?) => {{
        $crate::__push_term!($builder, - $number);
        $crate::__push_elements!($builder, $count + 1, $($($rest)*)?)
    }};
    ($builder:ident, $count:expr, $element:tt $(, $($rest:tt)*)?) => {{
        $crate::__push_term!($builder, $element);
        $crate::__push_elements!($builder, $count + 1, $($($rest)*)?)
    }};
}

/// Pushes the elements of a list and its tail, and makes cells of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __push_list {
    ($builder:ident, $count:expr,) => {
        $crate::__push_list!($builder, $count, | []);
    };
    ($builder:ident, 0, | []) => {
        $builder.nil();
    };
    ($builder:ident, $count:expr, | []) => {
        $builder.list($count);
    };
    ($builder:ident, $count:expr, | $($tail:tt)+) => {
        $crate::__push_term!($builder, $($tail)+);
        for _ in 0..$count {
            $builder.cons();
        }
    };
    ($builder:ident, $count:expr, # $map:tt $(, $($rest:tt)*)?) => {
        $crate::__push_term!($builder, # $map);
        $crate::__push_list!($builder, $count + 1, $($($rest)*)?);
    };
    ($builder:ident, $count:expr, # $map:tt | $($tail:tt)+) => {
        $crate::__push_term!($builder, # $map);
        $crate::__push_list!($builder, $count + 1, | $($tail)+);
    };
    ($builder:ident, $count:expr, - $number:tt $(, $($rest:tt)*)?) => {
        $crate::__push_term!($builder, - $number);
        $crate::__push_list!($builder, $count + 1, $($($rest)*)?);
    };
    ($builder:ident, $count:expr, - $number:tt | $($tail:tt)+) => {
        $crate::__push_term!($builder, - $number);
        $crate::__push_list!($builder, $count + 1, | $($tail)+);
    };
    ($builder:ident, $count:expr, $element:tt $(, $($rest:tt)*)?) => {
        $crate::__push_term!($builder, $element);
        $crate::__push_list!($builder, $count + 1, $($($rest)*)?);
    };
    ($builder:ident, $count:expr, $element:tt | $($tail:tt)+) => {
        $crate::__push_term!($builder, $element);
        $crate::__push_list!($builder, $count + 1, | $($tail)+);
    };
}

/// Pushes the keys and values of a map, and counts the pairs.
#[doc(hidden)]
#[macro_export]
macro_rules! __push_pairs {
    ($builder:ident, $count:expr,) => {
        $count
    };
    ($builder:ident, $count:expr, => # $map:tt $(, $($rest:tt)*)?) => {{
        $crate::__push_term!($builder, # $map);
        $crate::__push_pairs!($builder, $count + 1, $($($rest)*)?)
    }};
    ($builder:ident, $count:expr, => - $number:tt $(, $($rest:tt)*)?) => {{
        $crate::__push_term!($builder, - $number);
        $crate::__push_pairs!($builder, $count + 1, $($($rest)*)?)
    }};
    ($builder:ident, $count:expr, => $value:tt $(, $($rest:tt)*)?) => {{
        $crate::__push_term!($builder, $value);
        $crate::__push_pairs!($builder, $count + 1, $($($rest)*)?)
    }};
    ($builder:ident, $count:expr, # $map:tt => $($rest:tt)+) => {{
        $crate::__push_term!($builder, # $map);
        $crate::__push_pairs!($builder, $count, => $($rest)+)
    }};
    ($builder:ident, $count:expr, - $number:tt => $($rest:tt)+) => {{
        $crate::__push_term!($builder, - $number);
        $crate::__push_pairs!($builder, $count, => $($rest)+)
    }};
    ($builder:ident, $count:expr, $key:tt => $($rest:tt)+) => {{
        $crate::__push_term!($builder, $key);
        $crate::__push_pairs!($builder, $count, => $($rest)+)
    }};
}

/// Statements that bind what a pattern binds, or leave the block with `None`.
#[doc(hidden)]
#[macro_export]
macro_rules! __match_term {
    ($out:lifetime, $part:ident, _) => {
        let _ = $part;
    };
    ($out:lifetime, $part:ident, $name:ident: $type:ty) => {
        let ::std::option::Option::Some($name) = $crate::__macros::Kind::<$type>::new().read($part)
        else {
            break $out ::std::option::Option::None;
        };
    };
    ($out:lifetime, $part:ident, {$($elements:tt)*}) => {
        let ::std::option::Option::Some(tuple) = $part.as_tuple() else {
            break $out ::std::option::Option::None;
        };
        let mut elements = tuple.iter();
        $crate::__match_elements!($out, elements, $($elements)*);
    };
    ($out:lifetime, $part:ident, [$($elements:tt)*]) => {
        $crate::__match_list!($out, $part, $($elements)*);
    };
    ($out:lifetime, $part:ident, # {$($pairs:tt)*}) => {
        let ::std::option::Option::Some(map) = $part.as_map() else {
            break $out ::std::option::Option::None;
        };
        $crate::__match_pairs!($out, map, $($pairs)*);
    };
    ($out:lifetime, $part:ident, $atom:ident) => {
        if !$crate::__macros::Name(::std::stringify!($atom)).is($part) {
            break $out ::std::option::Option::None;
        }
    };
    ($out:lifetime, $part:ident, $($value:tt)+) => {
        if $part != $crate::term!($($value)+).root() {
            break $out ::std::option::Option::None;
        }
    };
}

/// The next element of a tuple, and those after it.
#[doc(hidden)]
#[macro_export]
macro_rules! __match_elements {
    ($out:lifetime, $elements:ident,) => {
        if $elements.next().is_some() {
            break $out ::std::option::Option::None;
        }
    };
    ($out:lifetime, $elements:ident, $name:ident: $type:ty $(, $($rest:tt)*)?) => {
        $crate::__match_elements!(@ $out, $elements, [$name: $type] $($($rest)*)?);
    };
    ($out:lifetime, $elements:ident, # $map:tt $(, $($rest:tt)*)?) => {
        $crate::__match_elements!(@ $out, $elements, [# $map] $($($rest)*)?);
    };
    ($out:lifetime, $elements:ident, - $number:tt $(, $($rest:tt)*)?) => {
        $crate::__match_elements!(@ $out, $elements, [- $number] $($($rest)*)?);
    };
    ($out:lifetime, $elements:ident, $element:tt $(, $($rest:tt)*)?) => {
        $crate::__match_elements!(@ $out, $elements, [$element] $($($rest)*)?);
    };
    (@ $out:lifetime, $elements:ident, [$($element:tt)+] $($rest:tt)*) => {
        let ::std::option::Option::Some(part) = $elements.next() else {
            break $out ::std::option::Option::None;
        };
        $crate::__match_term!($out, part, $($element)+);
        $crate::__match_elements!($out, $elements, $($rest)*);
    };
}

/// The first element of a list, and those after it.
#[doc(hidden)]
#[macro_export]
macro_rules! __match_list {
    ($out:lifetime, $list:ident,) => {
        if !$list.is_nil() {
            break $out ::std::option::Option::None;
        }
    };
    ($out:lifetime, $list:ident, | $($tail:tt)+) => {
        $crate::__match_term!($out, $list, $($tail)+);
    };
    ($out:lifetime, $list:ident, $name:ident: $type:ty $(, $($rest:tt)*)?) => {
        $crate::__match_list!(@ $out, $list, [$name: $type] $($($rest)*)?);
    };
    ($out:lifetime, $list:ident, $name:ident: $type:ty | $($tail:tt)+) => {
        $crate::__match_list!(@ $out, $list, [$name: $type] | $($tail)+);
    };
    ($out:lifetime, $list:ident, # $map:tt $(, $($rest:tt)*)?) => {
        $crate::__match_list!(@ $out, $list, [# $map] $($($rest)*)?);
    };
    ($out:lifetime, $list:ident, # $map:tt | $($tail:tt)+) => {
        $crate::__match_list!(@ $out, $list, [# $map] | $($tail)+);
    };
    ($out:lifetime, $list:ident, - $number:tt $(, $($rest:tt)*)?) => {
        $crate::__match_list!(@ $out, $list, [- $number] $($($rest)*)?);
    };
    ($out:lifetime, $list:ident, - $number:tt | $($tail:tt)+) => {
        $crate::__match_list!(@ $out, $list, [- $number] | $($tail)+);
    };
    ($out:lifetime, $list:ident, $element:tt $(, $($rest:tt)*)?) => {
        $crate::__match_list!(@ $out, $list, [$element] $($($rest)*)?);
    };
    ($out:lifetime, $list:ident, $element:tt | $($tail:tt)+) => {
        $crate::__match_list!(@ $out, $list, [$element] | $($tail)+);
    };
    (@ $out:lifetime, $list:ident, [$($element:tt)+] $($rest:tt)*) => {
        let ::std::option::Option::Some(cell) = $list.as_cons() else {
            break $out ::std::option::Option::None;
        };
        let (part, list) = (cell.head(), cell.tail());
        $crate::__match_term!($out, part, $($element)+);
        $crate::__match_list!($out, list, $($rest)*);
    };
}

/// The first pair of a map's pattern, and those after it.
#[doc(hidden)]
#[macro_export]
macro_rules! __match_pairs {
    ($out:lifetime, $map:ident,) => {
        let _ = $map;
    };
    ($out:lifetime, $map:ident, # $key:tt => $($rest:tt)+) => {
        $crate::__match_pairs!(@key $out, $map, [# $key] $($rest)+);
    };
    ($out:lifetime, $map:ident, - $key:tt => $($rest:tt)+) => {
        $crate::__match_pairs!(@key $out, $map, [- $key] $($rest)+);
    };
    ($out:lifetime, $map:ident, $key:tt => $($rest:tt)+) => {
        $crate::__match_pairs!(@key $out, $map, [$key] $($rest)+);
    };
    (@key $out:lifetime, $map:ident, [$($key:tt)+] $($rest:tt)+) => {
        let ::std::option::Option::Some(part) = $map.get($crate::term!($($key)+).root()) else {
            break $out ::std::option::Option::None;
        };
        $crate::__match_pairs!(@value $out, $map, part, $($rest)+);
    };
    (@value $out:lifetime, $map:ident, $part:ident, $name:ident: $type:ty $(, $($rest:tt)*)?) => {
        $crate::__match_term!($out, $part, $name: $type);
        $crate::__match_pairs!($out, $map, $($($rest)*)?);
    };
    (@value $out:lifetime, $map:ident, $part:ident, # $value:tt $(, $($rest:tt)*)?) => {
        $crate::__match_term!($out, $part, # $value);
        $crate::__match_pairs!($out, $map, $($($rest)*)?);
    };
    (@value $out:lifetime, $map:ident, $part:ident, - $value:tt $(, $($rest:tt)*)?) => {
        $crate::__match_term!($out, $part, - $value);
        $crate::__match_pairs!($out, $map, $($($rest)*)?);
    };
    (@value $out:lifetime, $map:ident, $part:ident, $value:tt $(, $($rest:tt)*)?) => {
        $crate::__match_term!($out, $part, $value);
        $crate::__match_pairs!($out, $map, $($($rest)*)?);
    };
}

/// What a pattern bound, its names gathered by a walk over all its tokens.
#[doc(hidden)]
#[macro_export]
macro_rules! __bound {
    ([$($bound:ident)*]) => {
        ::std::option::Option::Some(($($bound),*))
    };
    ([$($bound:ident)*] $name:ident: $type:ty $(, $($rest:tt)*)?) => {
        $crate::__bound!([$($bound)* $name] $($($rest)*)?)
    };
    ([$($bound:ident)*] $name:ident: $type:ty | $($rest:tt)+) => {
        $crate::__bound!([$($bound)* $name] $($rest)+)
    };
    ([$($bound:ident)*] {$($inner:tt)*} $($rest:tt)*) => {
        $crate::__bound!([$($bound)*] $($inner)*, $($rest)*)
    };
    ([$($bound:ident)*] [$($inner:tt)*] $($rest:tt)*) => {
        $crate::__bound!([$($bound)*] $($inner)*, $($rest)*)
    };
    ([$($bound:ident)*] $other:tt $($rest:tt)*) => {
        $crate::__bound!([$($bound)*] $($rest)*)
    };
}

/// What the macros expand to, and nothing to be used by hand.
#[doc(hidden)]
pub mod support {
    use std::marker::PhantomData;

    use serde::de::Deserialize;
    use serde::ser::{Serialize, Serializer};

    use crate::{Builder, Term, embed, from_term};

    /// An atom by the name of an identifier.
    #[derive(Debug)]
    pub struct Name(pub &'static str);

    impl Name {
        fn as_str(&self) -> &'static str {
            self.0.strip_prefix("r#").unwrap_or(self.0)
        }

        pub fn is(&self, term: Term<'_>) -> bool {
            term.as_atom()
                .is_some_and(|atom| atom.as_str() == self.as_str())
        }
    }

    impl Serialize for Name {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_newtype_struct(embed::ATOM, self.as_str())
        }
    }

    /// The types of literals: one of integers alone, so that a literal without suffix is of that.
    pub trait Literal {
        fn push<H>(self, builder: &mut Builder<H>);
    }

    impl Literal for i128 {
        fn push<H>(self, builder: &mut Builder<H>) {
            builder.integer(self);
        }
    }

    impl Literal for f64 {
        fn push<H>(self, builder: &mut Builder<H>) {
            builder.float(self);
        }
    }

    impl Literal for char {
        fn push<H>(self, builder: &mut Builder<H>) {
            builder.integer(u32::from(self));
        }
    }

    impl Literal for &str {
        fn push<H>(self, builder: &mut Builder<H>) {
            builder.bytes(self);
        }
    }

    impl<const N: usize> Literal for &[u8; N] {
        fn push<H>(self, builder: &mut Builder<H>) {
            builder.bytes(self);
        }
    }

    /// A type to read a term as. A term itself, which is no `Deserialize`, is read by the method
    /// of the type's own, which goes before that of a trait.
    #[derive(Debug)]
    pub struct Kind<T>(PhantomData<T>);

    impl<T> Kind<T> {
        #[allow(clippy::new_without_default)]
        pub fn new() -> Kind<T> {
            Kind(PhantomData)
        }
    }

    impl<'h> Kind<Term<'h>> {
        pub fn read(self, term: Term<'h>) -> Option<Term<'h>> {
            Some(term)
        }
    }

    pub trait Read<'h, T> {
        fn read(self, term: Term<'h>) -> Option<T>;
    }

    impl<'h, T: Deserialize<'h>> Read<'h, T> for Kind<T> {
        fn read(self, term: Term<'h>) -> Option<T> {
            from_term(term).ok()
        }
    }
}
