//! From a tree to calls of the public builders.
//!
//! All names are absolute paths, and the two variables of a stateful tree have the hygiene of
//! `macro_rules`: users' names neither reach them nor are reached by them.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Expr, Path};

use crate::ast::{
    Arity, Backoff, ChildOption, Choice, Factory, Flavor, Intensity, Nested, OptionValue, Setting,
    Stop, Supervisor, Time, Worker, without_parens,
};

/// The crates whose names the expansion uses.
pub(crate) struct Roots {
    /// What holds `SupervisorSpec` and the policies.
    pub(crate) core: Path,
    /// What holds `StatefulSupervisorSpec`.
    pub(crate) stateful: Path,
}

/// Returns the expression that builds the tree.
pub(crate) fn expand(flavor: Flavor, tree: &Supervisor, roots: &Roots) -> TokenStream {
    let expander = Expander {
        flavor,
        core: roots.core.to_token_stream(),
        stateful: roots.stateful.to_token_stream(),
        spec: Ident::new("spec", Span::mixed_site()),
        context: Ident::new("context", Span::mixed_site()),
    };
    expander.outermost(tree)
}

struct Expander {
    flavor: Flavor,
    core: TokenStream,
    stateful: TokenStream,
    spec: Ident,
    context: Ident,
}

impl Expander {
    fn outermost(&self, tree: &Supervisor) -> TokenStream {
        let Self { core, stateful, spec, context, .. } = self;
        let name = argument(tree.name.as_ref());
        let settings = self.settings(tree);
        match self.flavor {
            Flavor::Plain => quote!(#core::SupervisorSpec::new(#name) #settings),
            Flavor::Stateful if has_inline(tree) => quote!({
                let #spec = #stateful::StatefulSupervisorSpec::new(#name);
                let #context = ::std::sync::Arc::clone(#spec.context());
                #spec #settings
            }),
            Flavor::Stateful => quote!(#stateful::StatefulSupervisorSpec::new(#name) #settings),
        }
    }

    fn inline(&self, tree: &Supervisor) -> TokenStream {
        let Self { core, stateful, context, .. } = self;
        let name = argument(tree.name.as_ref());
        let settings = self.settings(tree);
        match self.flavor {
            Flavor::Plain => quote!(#core::SupervisorSpec::new(#name) #settings),
            Flavor::Stateful => quote! {
                #stateful::StatefulSupervisorSpec::with_context(
                    #name,
                    ::std::sync::Arc::clone(&#context),
                ) #settings
            },
        }
    }

    fn settings(&self, tree: &Supervisor) -> TokenStream {
        tree.settings.iter().map(|setting| self.setting(setting)).collect()
    }

    fn setting(&self, setting: &Setting) -> TokenStream {
        let core = &self.core;
        match setting {
            Setting::Strategy(choice) => {
                let strategy = self.choice(choice);
                quote!(.with_restart_strategy(#strategy))
            }
            Setting::Intensity(Intensity::Pair { max_restarts, within_seconds }) => quote! {
                .with_restart_intensity(
                    #core::RestartIntensity::new(#max_restarts, #within_seconds)
                )
            },
            Setting::Intensity(Intensity::Expr(expr)) => quote!(.with_restart_intensity(#expr)),
            Setting::Backoff(backoff) => {
                let backoff = self.backoff(backoff);
                quote!(.with_backoff(#backoff))
            }
            Setting::AutoShutdown(choice) => {
                let auto_shutdown = self.choice(choice);
                quote!(.with_auto_shutdown(#auto_shutdown))
            }
            Setting::MaxChildren(expr) => {
                let max_children = argument(Some(expr));
                quote!(.with_max_children(#max_children))
            }
            Setting::KillGrace(time) => {
                let grace = duration(time);
                quote!(.with_kill_grace(#grace))
            }
            Setting::Logger(expr) => {
                let logger = argument(Some(expr));
                quote!(.with_logger(#logger))
            }
            Setting::Workers(workers) => {
                workers.iter().map(|worker| self.worker(worker)).collect()
            }
            Setting::Supervisors(supervisors) => {
                supervisors.iter().map(|nested| self.nested(nested)).collect()
            }
        }
    }

    fn worker(&self, worker: &Worker) -> TokenStream {
        let Self { core, stateful, .. } = self;
        let Worker { id, factory: Factory { arity, expr }, policy, options } = worker;
        let id = argument(Some(id));
        let factory = argument(Some(expr));
        let policy = self.choice(policy);
        // What the builder's short form takes: nothing, and the context of a stateful supervisor.
        let (short, constructor) = match (self.flavor, arity) {
            (Flavor::Plain, Arity::None | Arity::Unknown) => {
                (true, quote!(#core::ChildSpec::worker))
            }
            (Flavor::Plain, Arity::One) => (false, quote!(#core::ChildSpec::worker_with)),
            (Flavor::Stateful, Arity::One | Arity::Unknown) => {
                (true, quote!(#stateful::StatefulChildSpec::worker))
            }
            (Flavor::Stateful, Arity::None) => (false, quote!(#core::ChildSpec::worker)),
        };
        if short && options.is_empty() {
            return quote!(.with_worker(#id, #factory, #policy));
        }
        let options = self.options(options);
        quote!(.with_child(#constructor(#id, #factory).restart(#policy) #options))
    }

    fn nested(&self, nested: &Nested) -> TokenStream {
        let core = &self.core;
        match nested {
            Nested::Inline(tree) => {
                let spec = self.inline(tree);
                if tree.options.is_empty() {
                    return quote!(.with_supervisor(#spec));
                }
                let options = self.options(&tree.options);
                quote!(.with_child(#core::ChildSpec::supervisor(#spec) #options))
            }
            Nested::Expr(spec) => {
                let spec = argument(Some(spec));
                quote!(.with_supervisor(#spec))
            }
            Nested::Child { spec, policy, options } => {
                let spec = argument(Some(spec));
                let policy = self.choice(policy);
                let options = self.options(options);
                quote!(.with_child(#core::ChildSpec::supervisor(#spec).restart(#policy) #options))
            }
        }
    }

    fn options(&self, options: &[ChildOption]) -> TokenStream {
        options.iter().map(|ChildOption { key, value }| self.option(key, value)).collect()
    }

    fn option(&self, key: &Ident, value: &OptionValue) -> TokenStream {
        let method = format_ident!("{}", value.key().name(), span = key.span());
        let value = match value {
            OptionValue::Restart(policy) => self.choice(policy),
            OptionValue::Shutdown(Stop::Choice(choice)) => self.choice(choice),
            OptionValue::Shutdown(Stop::Timeout(time)) => {
                let core = &self.core;
                let timeout = duration(time);
                quote!(#core::Shutdown::Timeout(#timeout))
            }
            OptionValue::InitTimeout(time) | OptionValue::Liveness(time) => duration(time),
            OptionValue::Backoff(backoff) => self.backoff(backoff),
            OptionValue::Significant(expr) => argument(Some(expr)),
        };
        quote!(.#method(#value))
    }

    fn choice(&self, choice: &Choice) -> TokenStream {
        let core = &self.core;
        match choice {
            Choice::Word { of, word } => {
                let of = Ident::new(of, Span::call_site());
                quote!(#core::#of::#word)
            }
            Choice::Path { expr, .. } | Choice::Other(expr) => expr.to_token_stream(),
        }
    }

    fn backoff(&self, backoff: &Backoff) -> TokenStream {
        let core = &self.core;
        match backoff {
            Backoff::Known { constructor, delays, jitter } => {
                let delays = delays.iter().map(duration);
                let jitter = jitter.iter().map(|jitter| argument(Some(jitter)));
                quote!(#core::Backoff::#constructor(#(#delays),*) #(.with_jitter(#jitter))*)
            }
            Backoff::Expr(expr) => expr.to_token_stream(),
        }
    }
}

/// Returns an expression as an argument, where parentheses around it would be superfluous.
fn argument(expr: Option<&Expr>) -> TokenStream {
    expr.cloned().map(without_parens).to_token_stream()
}

fn duration(time: &Time) -> TokenStream {
    match time {
        Time::Literal { constructor, amount, span } => {
            let constructor = Ident::new(constructor, Span::call_site());
            let amount = Literal::u64_unsuffixed(*amount);
            quote_spanned!(span.resolved_at(Span::call_site())=>
                ::core::time::Duration::#constructor(#amount)
            )
        }
        Time::Expr(expr) => expr.to_token_stream(),
    }
}

/// Returns whether a supervisor holds an inline one, which then needs its context.
fn has_inline(tree: &Supervisor) -> bool {
    tree.settings.iter().any(|setting| match setting {
        Setting::Supervisors(supervisors) => {
            supervisors.iter().any(|nested| matches!(nested, Nested::Inline(_)))
        }
        Setting::Strategy(_)
        | Setting::Intensity(_)
        | Setting::Backoff(_)
        | Setting::AutoShutdown(_)
        | Setting::MaxChildren(_)
        | Setting::KillGrace(_)
        | Setting::Logger(_)
        | Setting::Workers(_) => false,
    })
}
