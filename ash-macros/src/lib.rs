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

use proc_macro2::TokenStream;
use quote::{quote, ToTokens as _};

use crate::ast::Flavor;
use crate::errors::Errors;
use crate::expand::Roots;

/// a
#[proc_macro]
pub fn supervision_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    tree(Flavor::Plain, input.into()).into()
}

/// b
#[proc_macro]
pub fn stateful_supervision_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    tree(Flavor::Stateful, input.into()).into()
}

fn tree(flavor: Flavor, input: TokenStream) -> TokenStream {
    build(flavor, input, || roots::find(flavor)).unwrap_or_else(|error| {
        let errors = error.into_compile_error();
        quote!({ #errors })
    })
}

fn build(
    flavor: Flavor,
    input: TokenStream,
    roots: impl FnOnce() -> Result<Roots, String>,
) -> syn::Result<TokenStream> {
    todo!()
}
