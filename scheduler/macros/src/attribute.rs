//! The attribute itself: its arguments, and what it may stand on.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::visit_mut::VisitMut;
use syn::{Error, ImplItemFn, Item, Path, Result, Token, TraitItemFn, parse2};

use crate::ticks::Ticks;

enum Arguments {
    Skip,
    Ticks(Path),
}

/// The item with its ticks; as it was, with an error, if that can't be.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream, default: &str) -> TokenStream {
    let expanded = read(arguments, default).and_then(|arguments| match arguments {
        Arguments::Skip => Ok(item.clone()),
        Arguments::Ticks(path) => put_in(item.clone(), path),
    });
    expanded.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote! { #error #item }
    })
}

const ARGUMENTS: &str = "expected nothing, `crate = path` or `skip`";

fn read(arguments: TokenStream, default: &str) -> Result<Arguments> {
    let parser = |input: ParseStream<'_>| {
        if input.is_empty() {
            return Ok(Arguments::Ticks(syn::parse_str(default)?));
        }
        if input.peek(Token![crate]) {
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            return Ok(Arguments::Ticks(input.call(Path::parse_mod_style)?));
        }
        match input.parse::<syn::Ident>() {
            Ok(word) if word == "skip" => Ok(Arguments::Skip),
            Ok(word) => Err(Error::new_spanned(word, ARGUMENTS)),
            Err(_) => Err(input.error(ARGUMENTS)),
        }
    };
    parser.parse2(arguments)
}

fn put_in(item: TokenStream, path: Path) -> Result<TokenStream> {
    let mut ticks = Ticks::new(path);
    match parse2::<Item>(item.clone()) {
        Ok(Item::Fn(function)) if function.sig.constness.is_some() => {
            return Err(Error::new_spanned(
                function.sig.constness,
                "a `const fn` can't count reductions; remove the attribute, or `const`",
            ));
        }
        Ok(Item::Mod(module)) if module.content.is_none() => {
            return Err(Error::new_spanned(
                module,
                "only an inline module can have its reductions counted; put the attribute on the items in its file",
            ));
        }
        Ok(mut item @ (Item::Fn(_) | Item::Impl(_) | Item::Trait(_) | Item::Mod(_))) => {
            ticks.visit_item_mut(&mut item);
            return Ok(item.into_token_stream());
        }
        _ => {}
    }
    // Methods, which are no items by themselves.
    if let Ok(mut function) = parse2::<ImplItemFn>(item.clone()) {
        ticks.visit_impl_item_fn_mut(&mut function);
        return Ok(function.into_token_stream());
    }
    if let Ok(mut function) = parse2::<TraitItemFn>(item.clone()) {
        ticks.visit_trait_item_fn_mut(&mut function);
        return Ok(function.into_token_stream());
    }
    Err(Error::new_spanned(
        item,
        "`reductions` goes on a function, an `impl` block, a trait or an inline module",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, item: &str) -> String {
        let tokens = |text: &str| text.parse::<TokenStream>().expect("tokens");
        let spaced = expand(tokens(arguments), tokens(item), "::scheduler").to_string();
        spaced.split_whitespace().collect()
    }

    /// Checkpoints and awaits in an expansion.
    fn counts(item: &str) -> (usize, usize) {
        let text = expanded("", item);
        assert!(!text.contains("compile_error"), "{text}");
        (
            text.matches("::scheduler::checkpoint(1);").count(),
            text.matches("if::scheduler::tick(1){::scheduler::proceed(0).await;}")
                .count(),
        )
    }

    #[test]
    fn entries_and_loops_of_plain_code_have_checkpoints() {
        assert_eq!(counts("fn f() {}"), (1, 0));
        assert_eq!(
            counts("fn f() { for _ in x { while y { loop { break; } } } }"),
            (4, 0)
        );
        assert_eq!(counts("fn f() { let g = || loop { h() }; }"), (2, 0));
        assert_eq!(counts("async fn f() { loop { h() } }"), (2, 0));
    }

    #[test]
    fn what_awaits_awaits_its_ticks() {
        assert_eq!(counts("async fn f() { g().await }"), (0, 1));
        assert_eq!(counts("async fn f() { loop { g().await } }"), (0, 2));
        assert_eq!(
            counts("async fn f() { for _ in 0..9 { g().await; for _ in 0..9 {} } }"),
            (1, 2)
        );
        assert_eq!(
            counts("async fn f() { for _ in 0..9 { loop { g().await } } }"),
            (0, 3)
        );
        assert_eq!(
            counts("async fn f() { while let Some(x) = next().await {} }"),
            (0, 2)
        );
        // Only the loop in the block awaits.
        assert_eq!(
            counts("fn f() { loop { spawn(async { loop { g().await } }) } }"),
            (2, 1)
        );
        assert_eq!(
            counts("async fn f() { loop { spawn(async || g().await) } }"),
            (2, 0)
        );
        // The iterator is made once.
        assert_eq!(counts("async fn f() { for _ in g().await {} }"), (1, 1));
    }

    #[test]
    fn impls_traits_and_modules_are_gone_through() {
        assert_eq!(counts("impl A { fn f(&self) {} async fn g() {} }"), (2, 0));
        assert_eq!(counts("impl B for A { fn f(self) { loop {} } }"), (2, 0));
        assert_eq!(counts("trait B { fn f(&self); fn g(&self) {} }"), (1, 0));
        assert_eq!(
            counts("mod m { fn f() {} mod n { impl A { fn g() {} } } struct S; }"),
            (2, 0)
        );
        assert_eq!(counts("fn method(&self) { loop {} }"), (2, 0));
        assert_eq!(counts("fn required(&self);"), (0, 0));
        assert_eq!(counts("fn f() { fn g() {} g() }"), (2, 0));
    }

    #[test]
    fn what_runs_at_compile_time_and_what_has_its_own_attribute_is_left_alone() {
        assert_eq!(
            counts(
                "mod m { const fn f() { loop {} } const C: u8 = { loop {} }; static S: u8 = { loop {} };
                 fn g() { let a = [0; { loop {} }]; const { loop {} } } }"
            ),
            (1, 0)
        );
        assert_eq!(
            counts(
                "impl A { #[reductions(skip)] fn f() {} #[vm::reductions] fn g() {} fn h() {} }"
            ),
            (1, 0)
        );
        assert_eq!(counts("fn f() { m!(loop {}) }"), (1, 0));
    }

    #[test]
    fn arguments_name_the_crate_or_leave_the_item_as_it_is() {
        assert!(expanded("crate = my::vm", "fn f() {}").contains("{my::vm::checkpoint(1);}"));
        assert!(expanded("crate = crate", "fn f() {}").contains("{crate::checkpoint(1);}"));
        assert_eq!(expanded("skip", "fn f() {}"), "fnf(){}");
    }

    #[test]
    fn errors_say_what_to_do_and_keep_the_item() {
        for (arguments, item, says) in [
            ("", "struct S;", "goes on a function"),
            ("", "const fn f() {}", "remove the attribute"),
            ("", "mod m;", "on the items in its file"),
            ("fast", "fn f() {}", "expected nothing"),
        ] {
            let text = expanded(arguments, item);
            let says: String = says.split_whitespace().collect();
            assert!(
                text.contains("compile_error") && text.contains(&says),
                "{text}"
            );
            let item: String = item.split_whitespace().collect();
            assert!(text.ends_with(&item), "{text}");
        }
    }
}
