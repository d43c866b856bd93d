//! Reading and skipping between values: keys, commas, and what cannot be read.

use proc_macro2::{Ident, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Result};
use syn::{Error, Token};

use crate::words::{Key, Place, list};

/// Reads a key that is allowed here and has not been given yet, and its colon.
pub(crate) fn key(
    input: ParseStream<'_>,
    place: Place,
    seen: &mut Vec<Key>,
) -> Result<(Key, Ident)> {
    if !input.peek(Ident::peek_any) {
        let names: Vec<_> = place.keys().iter().map(|key| key.name()).collect();
        let message = format!("expected `key: value`; allowed keys: {}", list(&names));
        return Err(Error::new(input.span(), message));
    }
    let word = input.call(Ident::parse_any)?;
    let name = word.to_string();
    let Some(key) = Key::named(&name).filter(|key| place.keys().contains(key)) else {
        return Err(Error::new(word.span(), place.unknown(&name)));
    };
    if seen.contains(&key) {
        let message = format!("`{name}` is given twice; each key is allowed once");
        return Err(Error::new(word.span(), message));
    }
    seen.push(key);
    if !input.peek(Token![:]) {
        return Err(Error::new(input.span(), format!("expected `:` after the key `{name}`")));
    }
    input.parse::<Token![:]>()?;
    Ok((key, word))
}

/// Reads the comma that must follow unless this is the end.
pub(crate) fn comma(input: ParseStream<'_>) -> Result<()> {
    if input.is_empty() {
        return Ok(());
    }
    if input.peek(Token![,]) {
        return input.parse::<Token![,]>().map(drop);
    }
    Err(Error::new(input.span(), "expected `,`"))
}

/// Returns whether a key comes next.
pub(crate) fn at_key(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![:]) && !input.peek2(Token![::])
}

/// Whether skipping takes the comma that it ends at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comma {
    Taken,
    Kept,
}

/// Skips what cannot be read, up to the next key.
pub(crate) fn skip_to_key_or_end(input: ParseStream<'_>, comma: Comma) {
    while !input.is_empty() && !at_key(input) {
        if input.peek(Token![,]) {
            let ahead = input.fork();
            skip_token(&ahead);
            if at_key(&ahead) || ahead.is_empty() {
                if comma == Comma::Taken {
                    skip_token(input);
                }
                return;
            }
        }
        skip_token(input);
    }
}

/// Skips the rest of an entry that cannot be read, and the comma after it.
pub(crate) fn skip_past_comma(input: ParseStream<'_>) {
    while !input.is_empty() {
        let ends = input.peek(Token![,]);
        skip_token(input);
        if ends {
            return;
        }
    }
}

pub(crate) fn skip_token(input: ParseStream<'_>) {
    // This takes any token, and callers have checked that there is one.
    let _: Result<TokenTree> = input.parse();
}
