//! From a tree to calls of the public builders.
//!
//! All names are absolute paths, and the two variables of a stateful tree have the hygiene of
//! `macro_rules`, so they cannot collide with users' names.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Expr, parse_quote};

use crate::ast::{
    Backoff, ChildOption, Choice, Factory, Flavor, Intensity, Nested, OptionValue, Parameters,
    Setting, Shape, Stop, Supervisor, Time, Worker, bare, without_parens,
};
use crate::roots::Roots;

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

/// Returns the expression for an empty tree, which stands in for an invalid one.
pub(crate) fn placeholder(flavor: Flavor, roots: &Roots) -> TokenStream {
    let Roots { core, stateful } = roots;
    match flavor {
        Flavor::Plain => quote!(#core::SupervisorSpec::new("")),
        Flavor::Stateful => quote!(#stateful::StatefulSupervisorSpec::new("")),
    }
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
                let #context = ::std::clone::Clone::clone(#spec.context());
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
                    ::std::clone::Clone::clone(&#context),
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
                let grace = time.duration();
                quote!(.with_kill_grace(#grace))
            }
            Setting::Logger(expr) => {
                let logger = argument(Some(expr));
                quote!(.with_logger(#logger))
            }
            Setting::Workers(workers) => workers.iter().map(|worker| self.worker(worker)).collect(),
            Setting::Supervisors(supervisors) => {
                supervisors.iter().map(|nested| self.nested(nested)).collect()
            }
        }
    }

    fn worker(&self, worker: &Worker) -> TokenStream {
        let Worker { id, factory: Factory { shape, expr }, policy, options } = worker;
        // The call checks what a factory returns; with this span its errors point at the factory.
        let here = expr.span().resolved_at(Span::call_site());
        let id = argument(Some(id));
        let factory = self.factory(*shape, expr);
        let policy = self.choice(policy);
        // The builder's short form takes factories without parameters, or, in a stateful tree, with
        // the context.
        let is_short = match (self.flavor, shape) {
            (_, Shape::Unknown)
            | (Flavor::Plain, Shape::Worker(Parameters::None))
            | (Flavor::Stateful, Shape::Worker(Parameters::One)) => true,
            (_, Shape::Worker(_) | Shape::Task) => false,
        };
        if is_short && options.is_empty() {
            return quote_spanned!(here=> .with_worker(#id, #factory, #policy));
        }
        let constructor = self.constructor(*shape, here);
        let options = self.options(options);
        quote_spanned!(here=> .with_child(#constructor(#id, #factory).restart(#policy) #options))
    }

    /// Returns the path of the constructor that takes a factory of that shape.
    fn constructor(&self, shape: Shape, here: Span) -> TokenStream {
        let plain = |name| (&self.core, "ChildSpec", name);
        let stateful = |name| (&self.stateful, "StatefulChildSpec", name);
        let (root, child_spec, name) = match (self.flavor, shape) {
            (_, Shape::Worker(Parameters::None)) | (Flavor::Plain, Shape::Unknown) => {
                plain("worker")
            }
            (Flavor::Plain, Shape::Worker(_)) => plain("worker_with"),
            (Flavor::Plain, Shape::Task) => plain("task"),
            (Flavor::Stateful, Shape::Unknown | Shape::Worker(Parameters::One)) => {
                stateful("worker")
            }
            (Flavor::Stateful, Shape::Worker(Parameters::Two)) => stateful("worker_with"),
            (Flavor::Stateful, Shape::Task) => stateful("task"),
        };
        let root = respanned(root, here);
        let (child_spec, name) = (Ident::new(child_spec, here), Ident::new(name, here));
        quote_spanned!(here=> #root::#child_spec::#name)
    }

    /// Returns a factory as an argument.
    ///
    /// A closure is marked as generated by the macro, because clippy would suggest `Worker::new` in
    /// place of `|| Worker::new()`; its location is kept for the compiler's errors. Parameters that
    /// a task leaves out are added.
    fn factory(&self, shape: Shape, expr: &Expr) -> TokenStream {
        let Expr::Closure(closure) = bare(expr) else {
            return argument(Some(expr));
        };
        let mut closure = closure.clone();
        for bar in [&mut closure.inputs_begin, &mut closure.inputs_end] {
            bar.span = bar.span.resolved_at(Span::call_site());
        }
        let parameters = match (shape, self.flavor) {
            (Shape::Task, Flavor::Plain) => 1,
            (Shape::Task, Flavor::Stateful) => 2,
            (Shape::Unknown | Shape::Worker(_), _) => 0,
        };
        while closure.inputs.len() < parameters {
            closure.inputs.push(parse_quote!(_));
        }
        closure.to_token_stream()
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
                let timeout = time.duration();
                quote!(#core::Shutdown::Timeout(#timeout))
            }
            OptionValue::InitTimeout(time) | OptionValue::Liveness(time) => time.duration(),
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
                let delays = delays.iter().map(Time::duration);
                let jitter = jitter.iter().map(|jitter| argument(Some(jitter)));
                quote!(#core::Backoff::#constructor(#(#delays),*) #(.with_jitter(#jitter))*)
            }
            Backoff::Expr(expr) => expr.to_token_stream(),
        }
    }
}

/// Returns an expression as an argument, without redundant parentheses.
fn argument(expr: Option<&Expr>) -> TokenStream {
    expr.cloned().map(without_parens).to_token_stream()
}

/// Returns the path of a crate as if it were written at `span`.
fn respanned(path: &TokenStream, span: Span) -> TokenStream {
    let at_span = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    path.clone().into_iter().map(at_span).collect()
}

/// Returns whether a supervisor holds an inline one, which needs its context.
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

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    /// Compares parsed expressions, so that the spacing of `||` does not matter.
    fn assert_expands(flavor: Flavor, input: TokenStream, output: TokenStream) {
        let roots = Roots { core: parse_quote!(::core_root), stateful: parse_quote!(::st_root) };
        let expanded: Expr = syn::parse2(crate::tree(flavor, input, |_| Ok(roots))).unwrap();
        let expected: Expr = syn::parse2(output).unwrap();
        assert_eq!(expanded.to_token_stream().to_string(), expected.to_token_stream().to_string());
    }

    fn assert_plain(input: TokenStream, output: TokenStream) {
        assert_expands(Flavor::Plain, input, output);
    }

    fn assert_stateful(input: TokenStream, output: TokenStream) {
        assert_expands(Flavor::Stateful, input, output);
    }

    #[test]
    fn keys_keep_the_order_in_which_they_are_written_but_for_the_name() {
        assert_plain(
            quote! {
                supervisors: [other(1, 2), (a), ({ let b = 1; c(b) }),],
                intensity: (5, 1m),
                name: "app",
                workers: [("w", Pump::new, Permanent)],
                strategy: RestForOne,
            },
            quote! {
                ::core_root::SupervisorSpec::new("app")
                    .with_supervisor(other(1, 2))
                    .with_supervisor(a)
                    .with_supervisor({ let b = 1; c(b) })
                    .with_restart_intensity(::core_root::RestartIntensity::new(5, 60))
                    .with_worker("w", Pump::new, ::core_root::RestartPolicy::Permanent)
                    .with_restart_strategy(::core_root::RestartStrategy::RestForOne)
            },
        );
    }

    #[test]
    fn every_setting_is_a_call() {
        assert_plain(
            quote! {
                name: name.clone(), backoff: exponential(100ms, 30s, jitter: 0.1),
                auto_shutdown: AllSignificant, max_children: LIMIT + 1, kill_grace: 2s,
                logger: log.new(o!()), intensity: RestartIntensity::default(),
                strategy: (if strict { OneForAll } else { OneForOne })
            },
            quote! {
                ::core_root::SupervisorSpec::new(name.clone())
                    .with_backoff(
                        ::core_root::Backoff::exponential(
                            ::core::time::Duration::from_millis(100),
                            ::core::time::Duration::from_secs(30)
                        ).with_jitter(0.1)
                    )
                    .with_auto_shutdown(::core_root::AutoShutdown::AllSignificant)
                    .with_max_children(LIMIT + 1)
                    .with_kill_grace(::core::time::Duration::from_secs(2))
                    .with_logger(log.new(o!()))
                    .with_restart_intensity(RestartIntensity::default())
                    .with_restart_strategy(if strict { OneForAll } else { OneForOne })
            },
        );
    }

    #[test]
    fn every_option_is_a_call() {
        assert_plain(
            quote! {
                name: "app", auto_shutdown: (mode),
                workers: [
                    ("a", || A, RestartPolicy::Transient, liveness: 5m, significant: true),
                    ("b", || B, (policy), shutdown: Infinity, init_timeout: limit * 2),
                    ("c", || C, policy(), shutdown: 250ms, backoff: none),
                    ("d", || D, Temporary, shutdown: Timeout(grace), backoff: constant(1us)),
                    ("e", || E, Temporary, backoff: Backoff::none(), shutdown: Shutdown::BrutalKill,),
                    (
                        "f", || F, Temporary,
                        backoff: Backoff::exponential(1s, max).with_jitter(0.1),
                        shutdown: Shutdown::Timeout(10s),
                    ),
                ]
            },
            quote! {
                ::core_root::SupervisorSpec::new("app")
                    .with_auto_shutdown(mode)
                    .with_child(::core_root::ChildSpec::worker("a", || A)
                        .restart(RestartPolicy::Transient)
                        .liveness(::core::time::Duration::from_secs(300))
                        .significant(true))
                    .with_child(::core_root::ChildSpec::worker("b", || B)
                        .restart(policy)
                        .shutdown(::core_root::Shutdown::Infinity)
                        .init_timeout(limit * 2))
                    .with_child(::core_root::ChildSpec::worker("c", || C)
                        .restart(policy())
                        .shutdown(::core_root::Shutdown::Timeout(
                            ::core::time::Duration::from_millis(250)
                        ))
                        .backoff(::core_root::Backoff::none()))
                    .with_child(::core_root::ChildSpec::worker("d", || D)
                        .restart(::core_root::RestartPolicy::Temporary)
                        .shutdown(::core_root::Shutdown::Timeout(grace))
                        .backoff(::core_root::Backoff::constant(
                            ::core::time::Duration::from_micros(1)
                        )))
                    .with_child(::core_root::ChildSpec::worker("e", || E)
                        .restart(::core_root::RestartPolicy::Temporary)
                        .backoff(Backoff::none())
                        .shutdown(Shutdown::BrutalKill))
                    .with_child(::core_root::ChildSpec::worker("f", || F)
                        .restart(::core_root::RestartPolicy::Temporary)
                        .backoff(Backoff::exponential(
                            ::core::time::Duration::from_secs(1),
                            max
                        ).with_jitter(0.1))
                        .shutdown(Shutdown::Timeout(::core::time::Duration::from_secs(10))))
            },
        );
    }

    #[test]
    fn the_shape_of_a_factory_says_what_it_makes() {
        assert_plain(
            quote! {
                name: "app",
                workers: [
                    ("a", |child| A::new(child), Permanent),
                    ("b", move |child: ChildContext| async move { run(child).await }, Permanent),
                    ("c", |_| { async { Ok(()) } }, Permanent, shutdown: 1h),
                    ("d", || async { Ok(()) }, Permanent),
                    ("e", |_| { let tx = tx.clone(); async move { send(tx).await } }, Permanent),
                ]
            },
            quote! {
                ::core_root::SupervisorSpec::new("app")
                    .with_child(::core_root::ChildSpec::worker_with("a", |child| A::new(child))
                        .restart(::core_root::RestartPolicy::Permanent))
                    .with_child(::core_root::ChildSpec::task(
                            "b",
                            move |child: ChildContext| async move { run(child).await }
                        )
                        .restart(::core_root::RestartPolicy::Permanent))
                    .with_child(::core_root::ChildSpec::task("c", |_| { async { Ok(()) } })
                        .restart(::core_root::RestartPolicy::Permanent)
                        .shutdown(::core_root::Shutdown::Timeout(
                            ::core::time::Duration::from_secs(3600)
                        )))
                    .with_child(::core_root::ChildSpec::task("d", |_| async { Ok(()) })
                        .restart(::core_root::RestartPolicy::Permanent))
                    .with_child(::core_root::ChildSpec::task("e", |_| {
                            let tx = tx.clone();
                            async move { send(tx).await }
                        })
                        .restart(::core_root::RestartPolicy::Permanent))
            },
        );
    }

    #[test]
    fn inline_supervisors_take_their_own_keys_and_those_of_a_child() {
        assert_plain(
            quote! {
                name: "app",
                supervisors: [
                    { name: "web", strategy: OneForAll, workers: [("http", || Http, Permanent)] },
                    { restart: Transient, name: "db", backoff: constant(1s), shutdown: 10s },
                    (cache, Temporary, init_timeout: 1s, backoff: constant(2s)),
                ],
            },
            quote! {
                ::core_root::SupervisorSpec::new("app")
                    .with_supervisor(
                        ::core_root::SupervisorSpec::new("web")
                            .with_restart_strategy(::core_root::RestartStrategy::OneForAll)
                            .with_worker("http", || Http, ::core_root::RestartPolicy::Permanent)
                    )
                    .with_child(
                        ::core_root::ChildSpec::supervisor(
                            ::core_root::SupervisorSpec::new("db").with_backoff(
                                ::core_root::Backoff::constant(::core::time::Duration::from_secs(1))
                            )
                        )
                        .restart(::core_root::RestartPolicy::Transient)
                        .shutdown(::core_root::Shutdown::Timeout(
                            ::core::time::Duration::from_secs(10)
                        ))
                    )
                    .with_child(
                        ::core_root::ChildSpec::supervisor(cache)
                            .restart(::core_root::RestartPolicy::Temporary)
                            .init_timeout(::core::time::Duration::from_secs(1))
                            .backoff(
                                ::core_root::Backoff::constant(::core::time::Duration::from_secs(2))
                            )
                    )
            },
        );
    }

    #[test]
    fn stateful_workers_get_the_context_if_they_take_it() {
        assert_stateful(
            quote! {
                name: "auction",
                workers: [
                    ("a", |ctx| A::new(ctx), Permanent),
                    ("b", |ctx| B { ctx }, Transient, shutdown: BrutalKill),
                    ("c", || C, Temporary),
                    ("d", |ctx, child| D { ctx, child }, Temporary),
                    ("e", |ctx| async move { run(ctx).await }, Temporary),
                    ("f", E::new, Temporary),
                ],
                supervisors: [],
            },
            quote! {
                ::st_root::StatefulSupervisorSpec::new("auction")
                    .with_worker("a", |ctx| A::new(ctx), ::core_root::RestartPolicy::Permanent)
                    .with_child(::st_root::StatefulChildSpec::worker("b", |ctx| B { ctx })
                        .restart(::core_root::RestartPolicy::Transient)
                        .shutdown(::core_root::Shutdown::BrutalKill))
                    .with_child(::core_root::ChildSpec::worker("c", || C)
                        .restart(::core_root::RestartPolicy::Temporary))
                    .with_child(
                        ::st_root::StatefulChildSpec::worker_with("d", |ctx, child| D { ctx, child })
                            .restart(::core_root::RestartPolicy::Temporary)
                    )
                    .with_child(
                        ::st_root::StatefulChildSpec::task(
                            "e",
                            |ctx, _| async move { run(ctx).await }
                        )
                        .restart(::core_root::RestartPolicy::Temporary)
                    )
                    .with_worker("f", E::new, ::core_root::RestartPolicy::Temporary)
            },
        );
    }

    #[test]
    fn inline_stateful_supervisors_share_the_context_at_every_depth() {
        assert_stateful(
            quote! {
                name: "a",
                supervisors: [{ name: "b", supervisors: [{ name: "c", restart: Temporary }] }],
            },
            quote! {{
                let spec = ::st_root::StatefulSupervisorSpec::new("a");
                let context = ::std::clone::Clone::clone(spec.context());
                spec.with_supervisor(
                    ::st_root::StatefulSupervisorSpec::with_context(
                        "b",
                        ::std::clone::Clone::clone(&context),
                    )
                    .with_child(
                        ::core_root::ChildSpec::supervisor(
                            ::st_root::StatefulSupervisorSpec::with_context(
                                "c",
                                ::std::clone::Clone::clone(&context),
                            )
                        )
                        .restart(::core_root::RestartPolicy::Temporary)
                    )
                )
            }},
        );
    }

    #[test]
    fn the_crate_can_be_named() {
        assert_plain(
            quote!(crate: crate::vendored::flare, name: "app", strategy: OneForAll),
            quote! {
                crate::vendored::flare::SupervisorSpec::new("app").with_restart_strategy(
                    crate::vendored::flare::RestartStrategy::OneForAll
                )
            },
        );
    }
}
