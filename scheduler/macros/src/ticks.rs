//! Where ticks go: one walk over the code, in which each loop learns from its inside whether it awaits.
//!
//! A plain tick is the first statement of its body. At an await the future may be dropped, and an item that was taken
//! from an iterator would be lost with it; and what a condition binds may not be `Send`. So `for` and `while` loops
//! that await are spelled out as the compiler spells them out, with the tick in front of the next item, or of the
//! condition.

use std::mem;

use proc_macro2::Span;
use quote::{ToTokens, quote, quote_spanned};
use syn::visit_mut::{self, VisitMut};
use syn::{
    AttrStyle, Attribute, Block, Expr, ExprForLoop, ExprLoop, ExprWhile, ImplItem, ImplItemFn,
    Item, ItemFn, Pat, Path, PathArguments, Signature, Stmt, TraitItem, TraitItemFn, Type,
    parse_quote,
};

pub(crate) struct Ticks {
    /// Where `checkpoint`, `proceed` and `tick` are.
    path: Path,
    /// There was an await so far in the loop, function, closure or block that is gone through.
    awaits: bool,
}

/// The last word of the attribute's path: on an item inside, it is that item's own.
const OWN: &str = "reductions";

impl Ticks {
    pub(crate) fn new(path: Path) -> Ticks {
        Ticks {
            path,
            awaits: false,
        }
    }

    fn tick(&self, awaits: bool) -> Stmt {
        let path = &self.path;
        if awaits {
            // What `proceed(1).await` does, without a future to keep while there is something left of the slice.
            parse_quote! { if #path::tick(1) { #path::proceed(0).await; } }
        } else {
            parse_quote! { #path::checkpoint(1); }
        }
    }

    /// Goes through a part of the code. True: it awaits.
    fn within(&mut self, walk: impl FnOnce(&mut Ticks)) -> bool {
        let outside = mem::replace(&mut self.awaits, false);
        walk(self);
        mem::replace(&mut self.awaits, outside)
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, body: &mut Block) {
        if has_own(attributes) || signature.constness.is_some() {
            return;
        }
        let awaits = self.within(|ticks| ticks.visit_block_mut(body));
        let tick = self.tick(awaits && signature.asyncness.is_some());
        body.stmts.insert(0, tick);
    }

    fn endless_loop(&mut self, endless: &mut ExprLoop) {
        let awaits = self.within(|ticks| ticks.visit_block_mut(&mut endless.body));
        endless.body.stmts.insert(0, self.tick(awaits));
        self.awaits |= awaits;
    }

    /// What to put in the loop's place, if it is not the loop.
    fn while_loop(&mut self, looped: &mut ExprWhile) -> Option<Expr> {
        let awaits = self.within(|ticks| {
            ticks.visit_expr_mut(&mut looped.cond);
            ticks.visit_block_mut(&mut looped.body);
        });
        let tick = self.tick(awaits);
        if !awaits {
            looped.body.stmts.insert(0, tick);
            return None;
        }
        self.awaits = true;
        let attributes = outer(&looped.attrs);
        let ExprWhile {
            label, cond, body, ..
        } = looped;
        let span = Span::mixed_site().located_at(looped.while_token.span);
        Some(Expr::Verbatim(quote_spanned! { span =>
            #(#attributes)* #label loop { #tick if #cond #body else { break; } }
        }))
    }

    /// As `while_loop`.
    fn for_loop(&mut self, looped: &mut ExprForLoop) -> Option<Expr> {
        // Evaluated once, in front of the loop.
        self.visit_expr_mut(&mut looped.expr);
        let awaits = self.within(|ticks| ticks.visit_block_mut(&mut looped.body));
        let tick = self.tick(awaits);
        if !awaits {
            looped.body.stmts.insert(0, tick);
            return None;
        }
        self.awaits = true;
        let attributes = outer(&looped.attrs);
        let ExprForLoop {
            label,
            pat,
            expr,
            body,
            ..
        } = looped;
        let span = Span::mixed_site().located_at(looped.for_token.span);
        let spelled_out = quote_spanned! { span =>
            match ::core::iter::IntoIterator::into_iter(#expr) {
                mut iterator => #label loop {
                    #tick
                    match ::core::iter::Iterator::next(&mut iterator) {
                        ::core::option::Option::None => break,
                        ::core::option::Option::Some(#pat) => #body
                    }
                }
            }
        };
        Some(Expr::Verbatim(quote! { #(#attributes)* #spelled_out }))
    }
}

impl VisitMut for Ticks {
    fn visit_item_mut(&mut self, item: &mut Item) {
        match item {
            Item::Fn(function) => self.visit_item_fn_mut(function),
            Item::Impl(block) if !has_own(&block.attrs) => {
                for item in &mut block.items {
                    if let ImplItem::Fn(function) = item {
                        self.visit_impl_item_fn_mut(function);
                    }
                }
            }
            Item::Trait(definition) if !has_own(&definition.attrs) => {
                for item in &mut definition.items {
                    if let TraitItem::Fn(function) = item {
                        self.visit_trait_item_fn_mut(function);
                    }
                }
            }
            Item::Mod(module) if !has_own(&module.attrs) => {
                for item in module.content.iter_mut().flat_map(|(_, items)| items) {
                    self.visit_item_mut(item);
                }
            }
            // Evaluated by the compiler, or no code.
            _ => {}
        }
    }

    fn visit_item_fn_mut(&mut self, function: &mut ItemFn) {
        self.function(&function.attrs, &function.sig, &mut function.block);
    }

    fn visit_impl_item_fn_mut(&mut self, function: &mut ImplItemFn) {
        self.function(&function.attrs, &function.sig, &mut function.block);
    }

    fn visit_trait_item_fn_mut(&mut self, function: &mut TraitItemFn) {
        if let Some(body) = &mut function.default {
            self.function(&function.attrs, &function.sig, body);
        }
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Loop(endless) => self.endless_loop(endless),
            Expr::While(looped) => {
                if let Some(other) = self.while_loop(looped) {
                    *expression = other;
                }
            }
            Expr::ForLoop(looped) => {
                if let Some(other) = self.for_loop(looped) {
                    *expression = other;
                }
            }
            Expr::Await(awaited) => {
                self.visit_expr_mut(&mut awaited.base);
                self.awaits = true;
            }
            Expr::Closure(closure) => {
                self.within(|ticks| ticks.visit_expr_mut(&mut closure.body));
            }
            Expr::Async(block) => {
                self.within(|ticks| ticks.visit_block_mut(&mut block.block));
            }
            Expr::Repeat(array) => self.visit_expr_mut(&mut array.expr),
            Expr::Const(_) => {}
            _ => visit_mut::visit_expr_mut(self, expression),
        }
    }

    // Constants may stand in these, but no code that runs.
    fn visit_attribute_mut(&mut self, _: &mut Attribute) {}
    fn visit_pat_mut(&mut self, _: &mut Pat) {}
    fn visit_path_arguments_mut(&mut self, _: &mut PathArguments) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
}

fn has_own(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|segment| segment.ident == OWN)
    })
}

/// Attributes of a loop, its inner ones too, to stand in front of what takes its place.
fn outer(attributes: &[Attribute]) -> impl Iterator<Item = impl ToTokens> {
    attributes.iter().cloned().map(|mut attribute| {
        attribute.style = AttrStyle::Outer;
        attribute
    })
}
