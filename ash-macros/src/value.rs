//! The values with a syntax of their own: durations, words, backoffs, intensities.
//!
//! A known word expands to an absolute path, so that it needs no `use`; an unknown word is reported
//! here, where the allowed ones are known; everything else is passed on as an expression.

#![expect(clippy::wildcard_enum_match_arm, reason = "syn's enums, of which few variants matter")]

use proc_macro2::Span;
use syn::parse::{ParseStream, Result};
use syn::{
    Error, Expr, ExprCall, ExprLit, ExprPath, Ident, Lit, LitInt, Token, parenthesized, token,
};

use crate::ast::{Backoff, Choice, Intensity, Stop, Time, visible, without_parens};
use crate::words::{BACKOFF, SHUTDOWN, Words, list};

/// The units of durations, each with a constructor of `Duration` and the factor to its unit.
const UNITS: [(&str, &str, u64); 6] = [
    ("ns", "from_nanos", 1),
    ("us", "from_micros", 1),
    ("ms", "from_millis", 1),
    ("s", "from_secs", 1),
    ("m", "from_secs", 60),
    ("h", "from_secs", 3600),
];

/// The backoffs by name, with the number of their delays and an example.
const BACKOFFS: [(&str, usize, &str); 3] = [
    ("none", 0, "`none`"),
    ("constant", 1, "`constant(1s)` or `constant(1s, jitter: 0.1)`"),
    (
        "exponential",
        2,
        "`exponential(100ms, 30s)` or `exponential(100ms, 30s, jitter: 0.1)`, from the first delay \
         to the longest",
    ),
];

/// Reads one of `words`, or an expression for one of them.
pub(crate) fn choice(input: ParseStream<'_>, words: Words) -> Result<Choice> {
    choose(expression(input, || words.expected())?, words)
}

/// Reads a child's shutdown.
pub(crate) fn stop(input: ParseStream<'_>) -> Result<Stop> {
    let expr = expression(input, || SHUTDOWN.expected())?;
    match visible(&expr) {
        Expr::Lit(ExprLit { lit: lit @ (Lit::Int(_) | Lit::Float(_)), .. }) => {
            literal_time(lit).map(Stop::Timeout)
        }
        Expr::Call(call) if word(&call.func).is_some_and(|word| word == "Timeout") => {
            match call.args.first() {
                Some(argument) if call.args.len() == 1 => {
                    to_time(argument.clone()).map(Stop::Timeout)
                }
                _ => Err(Error::new_spanned(call, "`Timeout` takes one duration: `Timeout(10s)`")),
            }
        }
        _ => choose(with_durations(expr), SHUTDOWN).map(Stop::Choice),
    }
}

/// Reads a duration.
pub(crate) fn time(input: ParseStream<'_>) -> Result<Time> {
    to_time(expression(input, expected_time)?)
}

/// Reads a backoff.
pub(crate) fn backoff(input: ParseStream<'_>) -> Result<Backoff> {
    let ahead = input.fork().parse::<Ident>().map(|word| word.to_string()).unwrap_or_default();
    let known = BACKOFFS.iter().find(|(name, ..)| *name == ahead);
    if let Some(&(_, delays, usage)) = known.filter(|_| !input.peek2(Token![::])) {
        return known_backoff(input, delays, usage);
    }
    let expr = expression(input, || BACKOFF.expected())?;
    let unknown = match &expr {
        Expr::Call(ExprCall { func, .. }) => word(func),
        expr => word(expr),
    };
    match (unknown, visible(&expr)) {
        (Some(word), _) => Err(Error::new(word.span(), BACKOFF.unknown(&word.to_string()))),
        (None, Expr::Lit(_)) => Err(Error::new_spanned(&expr, BACKOFF.expected())),
        (None, _) => Ok(Backoff::Expr(with_durations(without_parens(expr)))),
    }
}

/// Reads an intensity.
pub(crate) fn intensity(input: ParseStream<'_>) -> Result<Intensity> {
    const EXPECTED: &str = "an intensity is `(max_restarts, within_seconds)`, such as `(5, 10)`, \
                            or another expression of type `RestartIntensity`";
    let expr = without_parens(expression(input, || EXPECTED.into())?);
    match visible(&expr) {
        Expr::Tuple(pair) if pair.elems.len() == 2 => Ok(Intensity::Pair {
            max_restarts: pair.elems[0].clone(),
            within_seconds: seconds(&pair.elems[1])?,
        }),
        Expr::Tuple(_) | Expr::Lit(_) => Err(Error::new_spanned(&expr, EXPECTED)),
        _ => Ok(Intensity::Expr(expr)),
    }
}

/// Reads an expression, or says what was expected where there is none.
fn expression(input: ParseStream<'_>, expected: impl Fn() -> String) -> Result<Expr> {
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new(input.span(), expected()));
    }
    input.parse()
}

/// Returns the identifier that an expression is, if it is one.
fn word(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Path(ExprPath { qself: None, path, .. }) => path.get_ident(),
        _ => None,
    }
}

fn choose(expr: Expr, words: Words) -> Result<Choice> {
    let path = match visible(&expr) {
        Expr::Path(ExprPath { qself: None, path, .. }) => path,
        Expr::Lit(_) => return Err(Error::new_spanned(&expr, words.expected())),
        _ => return Ok(Choice::Other(without_parens(expr))),
    };
    let Some(variant) = path.segments.last().map(|segment| segment.ident.clone()) else {
        return Ok(Choice::Other(expr));
    };
    let name = variant.to_string();
    if words.words.contains(&name.as_str()) {
        return Ok(match path.get_ident() {
            Some(_) => Choice::Word { of: words.type_name, word: variant },
            None => Choice::Path { variant: name, expr },
        });
    }
    // A `$policy:expr` of a user's macro is treated like one in parentheses.
    if matches!(expr, Expr::Group(_)) {
        return Ok(Choice::Other(expr));
    }
    Err(Error::new(variant.span(), words.unknown(&name)))
}

fn expected_time() -> String {
    "expected a duration such as `10s` or `250ms`, or an expression of type `Duration`".into()
}

fn to_time(expr: Expr) -> Result<Time> {
    let expr = without_parens(expr);
    match visible(&expr) {
        Expr::Lit(literal) => literal_time(&literal.lit),
        _ => Ok(Time::Expr(expr)),
    }
}

/// Turns literal durations into expressions where they are arguments, as in
/// `Shutdown::Timeout(10s)` and `Backoff::constant(1s).with_jitter(0.1)`.
fn with_durations(mut expr: Expr) -> Expr {
    let mut inner = &mut expr;
    while let Expr::MethodCall(call) = inner {
        inner = &mut call.receiver;
    }
    if let Expr::Call(call) = inner {
        for argument in &mut call.args {
            let Expr::Lit(literal) = visible(argument) else { continue };
            if let Ok(time) = literal_time(&literal.lit) {
                *argument = Expr::Verbatim(time.duration());
            }
        }
    }
    expr
}

fn literal_time(literal: &Lit) -> Result<Time> {
    let number = match literal {
        Lit::Int(number) => number,
        Lit::Float(number) => {
            let message = "a duration is a whole number: write `1500ms` for `1.5s`";
            return Err(Error::new(number.span(), message));
        }
        _ => return Err(Error::new(literal.span(), expected_time())),
    };
    let units = UNITS.map(|(unit, ..)| unit);
    let Some((_, constructor, factor)) =
        UNITS.into_iter().find(|(unit, ..)| *unit == number.suffix())
    else {
        let message = match number.suffix() {
            "" => format!("a duration needs a unit, as in `{number}s`; allowed: {}", list(&units)),
            unit => format!("unknown unit `{unit}` of a duration; allowed: {}", list(&units)),
        };
        return Err(Error::new(number.span(), message));
    };
    let amount = number.base10_parse::<u64>()?.checked_mul(factor);
    let amount = amount.ok_or_else(|| Error::new(number.span(), "this duration is too long"))?;
    Ok(Time::Literal { constructor, amount, span: number.span() })
}

/// Reads the seconds of an intensity, which may be written as a duration.
fn seconds(expr: &Expr) -> Result<Expr> {
    let Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) = visible(expr) else {
        return Ok(without_parens(expr.clone()));
    };
    if matches!(number.suffix(), "" | "u64") {
        return Ok(expr.clone());
    }
    match literal_time(&Lit::Int(number.clone()))? {
        Time::Literal { constructor: "from_secs", amount, span } => {
            let lit = Lit::Int(LitInt::new(&amount.to_string(), span));
            Ok(Expr::Lit(ExprLit { attrs: Vec::new(), lit }))
        }
        Time::Literal { span, .. } => {
            Err(Error::new(span, "the window of an intensity is in whole seconds, as in `10s`"))
        }
        Time::Expr(expr) => Ok(expr),
    }
}

/// Reads a backoff whose name is known.
fn known_backoff(input: ParseStream<'_>, arity: usize, usage: &str) -> Result<Backoff> {
    let constructor: Ident = input.parse()?;
    let mut delays = Vec::new();
    let mut jitter = None;
    if input.peek(token::Paren) {
        let content;
        parenthesized!(content in input);
        while !content.is_empty() {
            if content.peek(Ident) && content.peek2(Token![:]) && !content.peek2(Token![::]) {
                let key: Ident = content.parse()?;
                if key != "jitter" || jitter.is_some() {
                    return Err(usage_error(key.span(), &constructor, usage));
                }
                content.parse::<Token![:]>()?;
                jitter = Some(content.parse()?);
            } else {
                delays.push(time(&content)?);
            }
            if !content.is_empty() {
                content.parse::<Token![,]>()?;
            }
        }
    }
    if delays.len() != arity || (arity == 0 && jitter.is_some()) {
        return Err(usage_error(constructor.span(), &constructor, usage));
    }
    Ok(Backoff::Known { constructor, delays, jitter })
}

fn usage_error(span: Span, constructor: &Ident, usage: &str) -> Error {
    Error::new(span, format!("`{constructor}` is written {usage}"))
}
