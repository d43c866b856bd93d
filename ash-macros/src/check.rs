//! The rules of a spec that can be checked from its source alone. The runtime checks them all again
//! when the tree starts, including values that are not literals; errors from here point at the
//! source.

use std::collections::HashSet;

use syn::{Expr, ExprLit, Lit, LitBool};

use crate::ast::{
    ChildOption, Choice, Nested, OptionValue, Setting, Supervisor, Time, literal, visible,
};
use crate::errors::Errors;

/// Reports every rule that the tree breaks.
pub(crate) fn check(tree: &Supervisor, errors: &mut Errors) {
    let stops = AutoShutdown::of(tree);
    let mut ids = Ids { held: HashSet::new(), errors };
    if let Some(name) = &tree.name {
        ids.check_text(name);
    }
    for setting in &tree.settings {
        match setting {
            Setting::Workers(workers) => {
                for worker in workers {
                    ids.hold(&worker.id);
                    check_significant(&worker.options, Some(&worker.policy), stops, ids.errors);
                    check_liveness(&worker.options, ids.errors);
                }
            }
            Setting::Supervisors(supervisors) => {
                for nested in supervisors {
                    check_nested(nested, stops, &mut ids);
                }
            }
            Setting::Strategy(_)
            | Setting::Intensity(_)
            | Setting::Backoff(_)
            | Setting::AutoShutdown(_)
            | Setting::MaxChildren(_)
            | Setting::KillGrace(_)
            | Setting::Logger(_) => {}
        }
    }
}

fn check_nested(nested: &Nested, stops: AutoShutdown, ids: &mut Ids<'_>) {
    match nested {
        Nested::Inline(tree) => {
            if let Some(name) = &tree.name {
                ids.hold_checked(name);
            }
            let policy = tree.options.iter().find_map(|option| match &option.value {
                OptionValue::Restart(policy) => Some(policy),
                OptionValue::Shutdown(_)
                | OptionValue::InitTimeout(_)
                | OptionValue::Liveness(_)
                | OptionValue::Backoff(_)
                | OptionValue::Significant(_) => None,
            });
            check_significant(&tree.options, policy, stops, ids.errors);
            check(tree, ids.errors);
        }
        Nested::Child { policy, options, .. } => {
            check_significant(options, Some(policy), stops, ids.errors);
        }
        Nested::Expr(_) => {}
    }
}

/// The literal ids of one supervisor's children.
struct Ids<'a> {
    held: HashSet<String>,
    errors: &'a mut Errors,
}

impl Ids<'_> {
    fn hold(&mut self, id: &Expr) {
        self.check_text(id);
        self.hold_checked(id);
    }

    /// Holds an id whose text is checked elsewhere.
    fn hold_checked(&mut self, id: &Expr) {
        let Some(text) = literal(id) else { return };
        if !self.held.insert(text.value()) {
            let id = text.value();
            let message = format!(
                "`{id}` is already the id of another child; ids are unique within a supervisor"
            );
            self.errors.at(text.span(), message);
        }
    }

    fn check_text(&mut self, id: &Expr) {
        let Some(text) = literal(id) else { return };
        if text.value().is_empty() {
            self.errors.at(text.span(), "an id must not be empty");
        } else if text.value().contains('/') {
            let message = "an id must not hold a `/`, which separates the parts of a path";
            self.errors.at(text.span(), message);
        }
    }
}

/// Whether the end of significant children can stop a supervisor, as far as its source shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AutoShutdown {
    Never,
    Perhaps,
}

impl AutoShutdown {
    fn of(tree: &Supervisor) -> Self {
        let choice = tree.settings.iter().find_map(|setting| match setting {
            Setting::AutoShutdown(choice) => Some(choice),
            Setting::Strategy(_)
            | Setting::Intensity(_)
            | Setting::Backoff(_)
            | Setting::MaxChildren(_)
            | Setting::KillGrace(_)
            | Setting::Logger(_)
            | Setting::Workers(_)
            | Setting::Supervisors(_) => None,
        });
        if choice.is_none_or(|choice| choice.is("Never")) { Self::Never } else { Self::Perhaps }
    }
}

/// Checks a significant child. Without a policy it is permanent.
fn check_significant(
    options: &[ChildOption],
    policy: Option<&Choice>,
    stops: AutoShutdown,
    errors: &mut Errors,
) {
    let significant = options.iter().find(|option| match &option.value {
        OptionValue::Significant(expr) => is_true(expr),
        OptionValue::Restart(_)
        | OptionValue::Shutdown(_)
        | OptionValue::InitTimeout(_)
        | OptionValue::Liveness(_)
        | OptionValue::Backoff(_) => false,
    });
    let Some(ChildOption { key, .. }) = significant else {
        return;
    };
    if policy.is_none_or(|policy| policy.is("Permanent")) {
        let message = "a significant child cannot be `Permanent`, which never ends for good; \
                       allowed: `Transient`, `Temporary`";
        errors.at(key.span(), message);
    }
    if stops == AutoShutdown::Never {
        let message = "a significant child needs a supervisor with `auto_shutdown: AnySignificant` \
                       or `auto_shutdown: AllSignificant`";
        errors.at(key.span(), message);
    }
}

fn check_liveness(options: &[ChildOption], errors: &mut Errors) {
    for option in options {
        if let OptionValue::Liveness(Time::Literal { amount: 0, span, .. }) = option.value {
            errors.at(span, "no worker can meet a liveness of zero; give it a longer one");
        }
    }
}

fn is_true(expr: &Expr) -> bool {
    let yes = |literal: &ExprLit| matches!(literal.lit, Lit::Bool(LitBool { value: true, .. }));
    matches!(visible(expr), Expr::Lit(literal) if yes(literal))
}
