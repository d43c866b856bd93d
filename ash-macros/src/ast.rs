//! A tree, once it has been parsed.
//!
//! Settings and options stay in the order in which they were written: it is the order in which
//! children start and expressions are evaluated.

#![expect(clippy::wildcard_enum_match_arm, reason = "syn's enums, of which few variants matter")]

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens as _, quote_spanned};
use syn::{Expr, Lit, LitStr, Path};

use crate::words::Key;

/// Which of the two macros reads the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    Plain,
    Stateful,
}

/// A supervisor: the outermost one or one written inline.
pub(crate) struct Supervisor {
    /// The crate that the expansion refers to, if the user names it.
    pub(crate) crate_path: Option<Path>,
    pub(crate) name: Option<Expr>,
    pub(crate) settings: Vec<Setting>,
    /// The options of an inline one, as a child of its supervisor.
    pub(crate) options: Vec<ChildOption>,
}

/// One key of a supervisor, other than its name.
pub(crate) enum Setting {
    Strategy(Choice),
    Intensity(Intensity),
    Backoff(Backoff),
    AutoShutdown(Choice),
    MaxChildren(Expr),
    KillGrace(Time),
    Logger(Expr),
    Workers(Vec<Worker>),
    Supervisors(Vec<Nested>),
}

/// One entry of `workers`.
pub(crate) struct Worker {
    pub(crate) id: Expr,
    pub(crate) factory: Factory,
    pub(crate) policy: Choice,
    pub(crate) options: Vec<ChildOption>,
}

/// A worker's factory, and its shape, which decides the builder's method for it.
pub(crate) struct Factory {
    pub(crate) shape: Shape,
    pub(crate) expr: Expr,
}

/// What a factory takes and returns, as far as its syntax shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It is not a closure.
    Unknown,
    /// A closure that creates a worker.
    Worker(Parameters),
    /// A closure that is the worker: `|child| async …`
    Task,
}

/// How many parameters a closure has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameters {
    None,
    One,
    /// Only in a stateful tree.
    Two,
}

/// One entry of `supervisors`.
pub(crate) enum Nested {
    Inline(Supervisor),
    Expr(Expr),
    Child { spec: Expr, policy: Choice, options: Vec<ChildOption> },
}

/// One option of a child.
pub(crate) struct ChildOption {
    /// The key as it was written, for its span.
    pub(crate) key: Ident,
    pub(crate) value: OptionValue,
}

/// What an option sets.
pub(crate) enum OptionValue {
    Restart(Choice),
    Shutdown(Stop),
    InitTimeout(Time),
    Liveness(Time),
    Backoff(Backoff),
    Significant(Expr),
}

impl OptionValue {
    /// Returns the key that sets it.
    pub(crate) const fn key(&self) -> Key {
        match self {
            Self::Restart(_) => Key::Restart,
            Self::Shutdown(_) => Key::Shutdown,
            Self::InitTimeout(_) => Key::InitTimeout,
            Self::Liveness(_) => Key::Liveness,
            Self::Backoff(_) => Key::Backoff,
            Self::Significant(_) => Key::Significant,
        }
    }
}

/// A value of one of the enums.
pub(crate) enum Choice {
    /// The bare name of a variant.
    Word { of: &'static str, word: Ident },
    /// A path that ends in the name of a variant.
    Path { variant: String, expr: Expr },
    /// Anything else, whose value only the compiler knows.
    Other(Expr),
}

impl Choice {
    /// Returns whether this is certainly the variant of that name.
    pub(crate) fn is(&self, name: &str) -> bool {
        match self {
            Self::Word { word, .. } => word == name,
            Self::Path { variant, .. } => variant == name,
            Self::Other(_) => false,
        }
    }
}

/// How a child is stopped.
pub(crate) enum Stop {
    Choice(Choice),
    Timeout(Time),
}

/// A length of time.
pub(crate) enum Time {
    /// For `10s`, the constructor `from_secs` and the amount 10.
    Literal {
        constructor: &'static str,
        amount: u64,
        span: Span,
    },
    Expr(Expr),
}

impl Time {
    /// Returns the expression of type `Duration`.
    pub(crate) fn duration(&self) -> TokenStream {
        match self {
            Self::Literal { constructor, amount, span } => {
                let constructor = Ident::new(constructor, Span::call_site());
                let amount = Literal::u64_unsuffixed(*amount);
                quote_spanned!(span.resolved_at(Span::call_site())=>
                    ::core::time::Duration::#constructor(#amount)
                )
            }
            Self::Expr(expr) => expr.to_token_stream(),
        }
    }
}

/// How long restarts wait.
pub(crate) enum Backoff {
    /// `none`, `constant(…)` or `exponential(…)`.
    Known {
        constructor: Ident,
        delays: Vec<Time>,
        jitter: Option<Expr>,
    },
    Expr(Expr),
}

/// How many restarts are too many.
pub(crate) enum Intensity {
    Pair { max_restarts: Expr, within_seconds: Expr },
    Expr(Expr),
}

/// Strips the invisible groups in which `macro_rules` wraps its fragments.
pub(crate) fn visible(mut expr: &Expr) -> &Expr {
    while let Expr::Group(group) = expr {
        expr = &group.expr;
    }
    expr
}

/// Strips parentheses, which would be redundant where the expression is placed.
pub(crate) fn without_parens(mut expr: Expr) -> Expr {
    while let Expr::Paren(paren) = expr {
        expr = *paren.expr;
    }
    expr
}

/// Strips invisible groups and parentheses.
pub(crate) fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(paren) = visible(expr) {
        expr = &paren.expr;
    }
    visible(expr)
}

/// Returns the string literal that an expression is, if it is one.
pub(crate) fn literal(expr: &Expr) -> Option<&LitStr> {
    match bare(expr) {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Str(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
