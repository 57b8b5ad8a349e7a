//! The attribute's own arguments.

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::{Path, Result, Token};

/// Where `otp_stdlib` is to be found.
pub(crate) fn read(arguments: TokenStream) -> Result<Path> {
    let parser = |input: ParseStream<'_>| {
        if input.is_empty() {
            return syn::parse_str("::otp_stdlib");
        }
        if !input.peek(Token![crate]) {
            return Err(input.error("expected nothing, or `crate = path`"));
        }
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        input.call(Path::parse_mod_style)
    };
    parser.parse2(arguments)
}
