//! A whole supervision tree, declared in one place.
//!
//! [`supervision_tree!`] builds a `SupervisorSpec`, [`stateful_supervision_tree!`] a
//! `StatefulSupervisorSpec`. Both come with `ash-flare`, which most users want; without it they
//! need `ash-core`, and `ash-stateful` for the second.
//!
//! A tree expands to calls of the public builders and to nothing else: the builders can express
//! whatever the macros can, and further calls can be chained to the result. What the macros add is
//! a check of the whole tree at compile time. Mistakes that a spec would report only when it is
//! started, such as two children with the same id, are compile errors that point at the mistake.
//!
//! Nothing has to be imported. The expansion refers to the crate by its name in the user's
//! `Cargo.toml`: `ash-flare` if it is among the dependencies, else `ash-core` and `ash-stateful`,
//! renamed or not.

mod ast;
mod check;
mod errors;
mod expand;
mod parse;
mod roots;
mod scan;
mod toml;
mod value;
mod words;

use proc_macro2::{Span, TokenStream};
use quote::quote;

use crate::ast::Flavor;
use crate::errors::Errors;
use crate::roots::Roots;

/// Builds a `SupervisorSpec` from a declaration of the tree.
///
/// # Examples
///
/// ```
/// # use ash_core::{ChildContext, SupervisorSpec, Worker};
/// # use ash_macros::supervision_tree;
/// # struct Idle;
/// # #[ash_core::async_trait]
/// # impl Worker for Idle {
/// #     type Error = std::io::Error;
/// #     async fn run(&mut self) -> Result<(), Self::Error> { std::future::pending().await }
/// # }
/// # struct DbPool;
/// # impl DbPool { fn new() -> Idle { Idle } }
/// # struct Http;
/// # impl Http { fn new(_: ChildContext) -> Idle { Idle } }
/// # fn cache() -> SupervisorSpec { SupervisorSpec::new("cache") }
/// let spec = supervision_tree! {
///     name: "app",
///     strategy: RestForOne,
///     intensity: (5, 10),
///     backoff: exponential(100ms, 30s, jitter: 0.1),
///     workers: [
///         ("db-pool", || DbPool::new(), Permanent),
///         ("pump", || DbPool::new(), Transient, shutdown: 10s, liveness: 30s),
///     ],
///     supervisors: [
///         cache(),
///         {
///             name: "web",
///             restart: Transient,
///             workers: [("http", |child| Http::new(child), Permanent)],
///         },
///     ],
/// };
/// assert_eq!(spec.name(), "app");
/// assert!(spec.check().is_ok());
/// ```
///
/// # Supervisors
///
/// A supervisor is a list of `key: value`, in any order. Only `name` is needed.
///
/// | key | value | if left out |
/// |---|---|---|
/// | `name` | an expression | |
/// | `strategy` | `OneForOne`, `OneForAll`, `RestForOne` | `OneForOne` |
/// | `intensity` | `(max_restarts, within_seconds)` | `(3, 5)` |
/// | `workers` | `[worker, …]` | none |
/// | `supervisors` | `[supervisor, …]` | none |
/// | `backoff` | `none`, `constant(delay)`, `exponential(initial, max)` | `none` |
/// | `auto_shutdown` | `Never`, `AnySignificant`, `AllSignificant` | `Never` |
/// | `max_children` | a number | no bound |
/// | `kill_grace` | a duration | `1s` |
/// | `logger` | a `slog::Logger` | the one of `slog-scope` |
/// | `crate` | the path of `ash-flare`, where it is not a direct dependency | found by `Cargo.toml` |
///
/// Children start in the order in which they are written: those under `supervisors` before those
/// under `workers` if that key comes first.
///
/// An entry of `supervisors` is one of three:
///
/// - `{ … }`, an inline supervisor, with the same keys (except `crate`) and its options as a child:
///   `restart`, `shutdown`, `init_timeout`, `significant`. Its `backoff` applies to its children;
/// - an expression of any type that is `Into<SupervisorSpec>`. A block must be in `( )`, because
///   `{` always opens an inline supervisor;
/// - `(expression, policy, options…)`, the same with options: `shutdown`, `init_timeout`,
///   `backoff`, `significant`.
///
/// # Workers
///
/// A worker is `(id, factory, policy)`, followed by any options of its `ChildSpec`, in any order:
///
/// | option | value | if left out |
/// |---|---|---|
/// | `shutdown` | a duration, `Infinity`, `BrutalKill` | `5s` |
/// | `init_timeout` | a duration | no bound |
/// | `liveness` | a duration, how often it must call `heartbeat()` | never |
/// | `backoff` | as for a supervisor | its supervisor's |
/// | `significant` | `true`, `false` | `false` |
///
/// The id is any expression, and so is the factory. A closure without parameters creates the
/// worker, one with a parameter creates it from its `ChildContext`, and one whose body is `async`
/// is a task: it is the worker itself.
///
/// ```
/// # use ash_macros::supervision_tree;
/// let spec = supervision_tree! {
///     name: "app",
///     workers: [
///         (
///             format!("tick-{}", 1),
///             |child| async move {
///                 child.heartbeat();
///                 Ok::<_, std::io::Error>(())
///             },
///             Transient,
///             liveness: 30s,
///         ),
///     ],
/// };
/// assert!(spec.check().is_ok());
/// ```
///
/// # Values
///
/// - A duration is a whole number with a unit, `ns`, `us`, `ms`, `s`, `m` or `h`, or an expression
///   of type `Duration`.
/// - A policy is `Permanent`, `Transient` or `Temporary`.
/// - The words above can also be paths, such as `RestartPolicy::Permanent` or
///   `Shutdown::Timeout(10s)`. Any other expression of the type must be in `( )`, because a lone
///   name is taken for a misspelt word.
/// - A backoff can have `jitter: fraction` as its last argument.
///
/// ```
/// # use std::time::Duration;
/// # use ash_core::RestartPolicy;
/// # use ash_macros::supervision_tree;
/// # struct Idle;
/// # #[ash_core::async_trait]
/// # impl ash_core::Worker for Idle {
/// #     type Error = std::io::Error;
/// #     async fn run(&mut self) -> Result<(), Self::Error> { std::future::pending().await }
/// # }
/// let policy = RestartPolicy::Transient;
/// let timeout = Duration::from_secs(10);
/// let spec = supervision_tree! {
///     name: "app",
///     workers: [
///         ("a", || Idle, (policy), init_timeout: timeout / 2),
///         ("b", || Idle, RestartPolicy::Permanent, backoff: constant(1s, jitter: 0.5)),
///     ],
/// };
/// assert!(spec.check().is_ok());
/// ```
///
/// # Errors
///
/// All mistakes of a tree are reported at once, each where it is and with what is allowed there: an
/// unknown key, option or word, a key given twice, a missing `name`, a tuple that is not a worker,
/// literal ids that are equal, empty or contain a `/`, a significant child that is permanent or
/// under a supervisor without `auto_shutdown`, a `liveness` of a supervisor or of zero.
///
/// ```compile_fail
/// # use ash_macros::supervision_tree;
/// supervision_tree! {
///     name: "app",
///     stratgy: OneForAll, // unknown key `stratgy` of a supervisor, did you mean `strategy`?
/// };
/// ```
#[proc_macro]
pub fn supervision_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    tree(Flavor::Plain, input.into(), roots::find).into()
}

/// Builds a `StatefulSupervisorSpec`, whose workers share a `WorkerContext`.
///
/// The syntax is that of [`supervision_tree!`], with two differences:
///
/// - A factory's parameter is the supervisor's `Arc<WorkerContext>`, and `|ctx|` needs no type. A
///   second one is the `ChildContext`. A factory without parameters creates a worker that needs no
///   context. A factory that is not a closure must take the `Arc<WorkerContext>`.
/// - Inline supervisors share their parent's context. One that is an expression has its own.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use ash_core::{ChildContext, Worker};
/// # use ash_macros::stateful_supervision_tree;
/// # use ash_stateful::WorkerContext;
/// # struct Bidder(Arc<WorkerContext>);
/// # impl Bidder {
/// #     fn new(_id: u32, ctx: Arc<WorkerContext>) -> Self { Bidder(ctx) }
/// # }
/// # #[ash_core::async_trait]
/// # impl Worker for Bidder {
/// #     type Error = std::io::Error;
/// #     async fn run(&mut self) -> Result<(), Self::Error> { std::future::pending().await }
/// # }
/// let spec = stateful_supervision_tree! {
///     name: "auction",
///     strategy: OneForOne,
///     intensity: (5, 10),
///     workers: [
///         ("bidder-1", |ctx| Bidder::new(1, ctx), Permanent),
///         ("bidder-2", |ctx| Bidder::new(2, ctx), Transient, shutdown: 10s),
///         (
///             "clock",
///             |ctx, child| async move {
///                 ctx.set("ticks", 0.into());
///                 child.stop_token().cancelled().await;
///                 Ok::<_, std::io::Error>(())
///             },
///             Permanent,
///         ),
///     ],
///     supervisors: [
///         { name: "inline", workers: [("bidder-3", |ctx| Bidder::new(3, ctx), Permanent)] },
///     ],
/// };
/// spec.context().set("open", true.into());
/// assert!(spec.check().is_ok());
/// ```
#[proc_macro]
pub fn stateful_supervision_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    tree(Flavor::Stateful, input.into(), roots::find).into()
}

/// Returns the expression that builds a tree, or one that reports everything that is wrong with it.
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
    let roots = match tree.as_ref().and_then(|tree| tree.crate_path.clone()) {
        Some(path) => Ok(Roots { core: path.clone(), stateful: path }),
        None => find_roots(flavor),
    };
    let roots = roots.map_err(|message| errors.at(Span::call_site(), message)).ok();
    match (tree, roots, errors.into_compile_error()) {
        (Some(tree), Some(roots), None) => expand::expand(flavor, &tree, &roots),
        (_, Some(roots), errors) => {
            // A spec of the right type avoids further errors where the result is used.
            let spec = expand::placeholder(flavor, &roots);
            quote!({ #errors #spec })
        }
        (_, None, errors) => quote!({ #errors ::core::unreachable!() }),
    }
}
