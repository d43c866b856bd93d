//! macros
extern crate proc_macro;

mod ast;
mod check;
mod errors;
mod expand;
mod parse;
mod roots;
mod toml;
mod value;
mod words;

use proc_macro2::{Span, TokenStream};
use quote::quote;

use crate::ast::Flavor;
use crate::errors::Errors;
use crate::expand::Roots;

/// a
#[proc_macro]
pub fn supervision_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    tree(Flavor::Plain, input.into(), roots::find).into()
}

/// b
#[proc_macro]
pub fn stateful_supervision_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    tree(Flavor::Stateful, input.into(), roots::find).into()
}

/// Returns the expression that builds a tree, or one that says all that is wrong with it.
fn tree(
    flavor: Flavor,
    input: TokenStream,
    find_roots: impl FnOnce(Flavor) -> Result<Roots, String>,
) -> TokenStream {
    let mut errors = Errors::default();
    let tree = parse::tree(flavor, input, &mut errors);
    if let Some(tree) = &tree {
        check::check(tree, &mut errors);
    }
    let roots = match tree.as_ref().and_then(|tree| tree.root.clone()) {
        Some(root) => Ok(Roots { core: root.clone(), stateful: root }),
        None => find_roots(flavor),
    };
    let roots = roots.map_err(|message| errors.at(Span::call_site(), message)).ok();
    match (tree, roots, errors.into_compile_error()) {
        (Some(tree), Some(roots), None) => expand::expand(flavor, &tree, &roots),
        (_, Some(roots), errors) => {
            // A spec of the right type keeps the compiler from complaining about what uses it.
            let spec = expand::placeholder(flavor, &roots);
            quote!({ #errors #spec })
        }
        (_, None, errors) => quote!({ #errors ::core::unreachable!() }),
    }
}
