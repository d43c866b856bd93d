//! From tokens to a tree. What cannot be read is reported and skipped, so that one run of the
//! compiler shows every mistake.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser as _, Result};
use syn::{Error, Expr, Path, Stmt, braced, bracketed, parenthesized, token};

use crate::ast::{
    ChildOption, Choice, Factory, Flavor, Nested, OptionValue, Parameters, Setting, Shape,
    Supervisor, Worker, bare, literal,
};
use crate::errors::Errors;
use crate::scan::{Comma, at_key, comma, key, skip_past_comma, skip_to_key_or_end};
use crate::value;
use crate::words::{AUTO_SHUTDOWN, Key, POLICY, Place, STRATEGY, Words, list};

/// Reads the whole input of a macro.
pub(crate) fn tree(flavor: Flavor, tokens: TokenStream, errors: &mut Errors) -> Option<Supervisor> {
    let mut reader = Reader { flavor, errors };
    let mut tree = None;
    let parser = |input: ParseStream<'_>| {
        let content;
        braced!(content in input);
        tree = Some(reader.supervisor(&content, Place::Root, Span::call_site()));
        Ok(())
    };
    // Tokens that were skipped count as unexpected here, but their error has been reported.
    if let (Err(error), true) = (parser.parse2(enclosed(tokens)), errors.is_empty()) {
        errors.add(error);
    }
    tree
}

/// Encloses the input in braces that stand where its last token does: so whatever is missing at its
/// end is reported there, and not at the whole call.
fn enclosed(tokens: TokenStream) -> TokenStream {
    let end = tokens.clone().into_iter().last().map_or_else(Span::call_site, |last| last.span());
    let mut group = Group::new(Delimiter::Brace, tokens);
    group.set_span(end);
    TokenTree::Group(group).into()
}

/// Reads a tree, and collects the errors.
struct Reader<'a> {
    flavor: Flavor,
    errors: &'a mut Errors,
}

impl Reader<'_> {
    fn supervisor(&mut self, input: ParseStream<'_>, place: Place, span: Span) -> Supervisor {
        let mut tree =
            Supervisor { crate_path: None, name: None, settings: Vec::new(), options: Vec::new() };
        let seen = self.keys(input, place, |reader, key, word, input| {
            match key {
                Key::Name => tree.name = Some(input.parse()?),
                Key::Crate => tree.crate_path = Some(input.call(Path::parse_mod_style)?),
                Key::Restart
                | Key::Shutdown
                | Key::InitTimeout
                | Key::Liveness
                | Key::Significant => tree.options.push(reader.option(key, word, input)?),
                Key::Strategy
                | Key::Intensity
                | Key::Backoff
                | Key::AutoShutdown
                | Key::MaxChildren
                | Key::KillGrace
                | Key::Logger
                | Key::Workers
                | Key::Supervisors => tree.settings.push(reader.setting(key, input)?),
            }
            Ok(())
        });
        if !seen.contains(&Key::Name) {
            let message = "missing key `name`: a supervisor needs one, as in `name: \"app\"`";
            self.errors.at(span, message);
        }
        tree
    }

    fn setting(&mut self, key: Key, input: ParseStream<'_>) -> Result<Setting> {
        Ok(match key {
            Key::Strategy => Setting::Strategy(self.choice(input, STRATEGY)),
            Key::Intensity => Setting::Intensity(value::intensity(input)?),
            Key::Backoff => Setting::Backoff(value::backoff(input)?),
            Key::AutoShutdown => Setting::AutoShutdown(self.choice(input, AUTO_SHUTDOWN)),
            Key::MaxChildren => Setting::MaxChildren(input.parse()?),
            Key::KillGrace => Setting::KillGrace(value::time(input)?),
            Key::Logger => Setting::Logger(input.parse()?),
            Key::Workers => Setting::Workers(self.list(input, key, Self::worker)?),
            Key::Supervisors => Setting::Supervisors(self.list(input, key, Self::nested)?),
            Key::Name
            | Key::Crate
            | Key::Restart
            | Key::Shutdown
            | Key::InitTimeout
            | Key::Liveness
            | Key::Significant => unreachable!("{key:?} is not a supervisor's setting"),
        })
    }

    fn option(&mut self, key: Key, word: Ident, input: ParseStream<'_>) -> Result<ChildOption> {
        let value = match key {
            Key::Restart => OptionValue::Restart(self.choice(input, POLICY)),
            Key::Shutdown => OptionValue::Shutdown(value::stop(input)?),
            Key::InitTimeout => OptionValue::InitTimeout(value::time(input)?),
            Key::Liveness => OptionValue::Liveness(value::time(input)?),
            Key::Backoff => OptionValue::Backoff(value::backoff(input)?),
            Key::Significant => OptionValue::Significant(input.parse()?),
            Key::Name
            | Key::Crate
            | Key::Strategy
            | Key::Intensity
            | Key::AutoShutdown
            | Key::MaxChildren
            | Key::KillGrace
            | Key::Logger
            | Key::Workers
            | Key::Supervisors => unreachable!("{key:?} is not a child's option"),
        };
        Ok(ChildOption { key: word, value })
    }

    /// Reads a choice. An invalid one is treated as one of unknown value, so that no check reports
    /// it a second time.
    fn choice(&mut self, input: ParseStream<'_>, words: Words) -> Choice {
        value::choice(input, words).unwrap_or_else(|error| {
            self.errors.add(error);
            skip_to_key_or_end(input, Comma::Kept);
            Choice::Other(Expr::Verbatim(TokenStream::new()))
        })
    }

    fn worker(&mut self, input: ParseStream<'_>) -> Result<Worker> {
        match input.cursor().token_tree() {
            Some((TokenTree::Group(group), _)) if group.delimiter() == Delimiter::Parenthesis => {}
            Some((TokenTree::Group(group), _)) if group.delimiter() == Delimiter::Brace => {
                let message = format!("{WORKER}; supervisors in `{{ }}` belong in `supervisors`");
                return Err(Error::new(group.span(), message));
            }
            _ => return Err(input.error(WORKER)),
        }
        let content;
        let parens = parenthesized!(content in input);
        let tuple = Tuple { is: WORKER, content: &content, span: parens.span.join() };
        let id = tuple.element("the id is missing")?;
        let factory = tuple.element("the factory is missing, such as `|| Worker::new()`")?;
        let factory = self.factory(factory);
        let (policy, options) = self.policy_and_options(&tuple, Place::Worker)?;
        Ok(Worker { id, factory, policy, options })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "syn's enum, of which one variant matters")]
    fn factory(&mut self, expr: Expr) -> Factory {
        let shape = match bare(&expr) {
            Expr::Closure(closure) => {
                let parameters = match (closure.inputs.len(), self.flavor) {
                    (0, _) => Parameters::None,
                    (1, _) => Parameters::One,
                    (2, Flavor::Stateful) => Parameters::Two,
                    (_, flavor) => {
                        let error = Error::new_spanned(&closure.inputs, parameters_of(flavor));
                        self.errors.add(error);
                        Parameters::None
                    }
                };
                let is_task = closure.asyncness.is_some() || is_async(&closure.body);
                if is_task { Shape::Task } else { Shape::Worker(parameters) }
            }
            _ => Shape::Unknown,
        };
        Factory { shape, expr }
    }

    fn policy_and_options(
        &mut self,
        tuple: &Tuple<'_>,
        place: Place,
    ) -> Result<(Choice, Vec<ChildOption>)> {
        let input = tuple.content;
        if input.is_empty() || at_key(input) {
            let span = if input.is_empty() { tuple.span } else { input.span() };
            let words = list(POLICY.words);
            return Err(tuple.error(span, &format!("the policy is missing; allowed: {words}")));
        }
        let policy = self.choice(input, POLICY);
        comma(input)?;
        let mut options = Vec::new();
        self.keys(input, place, |reader, key, word, input| {
            options.push(reader.option(key, word, input)?);
            Ok(())
        });
        Ok((policy, options))
    }

    fn nested(&mut self, input: ParseStream<'_>) -> Result<Nested> {
        let Some((TokenTree::Group(group), rest)) = input.cursor().token_tree() else {
            return input.parse().map(Nested::Expr);
        };
        if group.delimiter() == Delimiter::Brace {
            let content;
            let braces = braced!(content in input);
            let tree = self.supervisor(&content, Place::Inline, braces.span.join());
            return Ok(Nested::Inline(tree));
        }
        let is_whole_entry = rest.eof() || rest.punct().is_some_and(|(p, _)| p.as_char() == ',');
        if group.delimiter() != Delimiter::Parenthesis || !is_whole_entry {
            return input.parse().map(Nested::Expr);
        }
        let content;
        let parens = parenthesized!(content in input);
        let tuple = Tuple { is: SUPERVISOR, content: &content, span: parens.span.join() };
        if let Some(braces) = inline_in_parens(&content) {
            let message = "an inline supervisor stands without parentheses, and takes `restart`, \
                           `shutdown`, `init_timeout` and `significant` as keys";
            return Err(Error::new(braces, message));
        }
        if content.is_empty() {
            return Err(Error::new(tuple.span, SUPERVISOR));
        }
        let spec = content.parse()?;
        if content.is_empty() {
            return Ok(Nested::Expr(spec));
        }
        if literal(&spec).is_some() {
            let message = format!("{SUPERVISOR}; workers belong in `workers`");
            return Err(Error::new(tuple.span, message));
        }
        comma(&content)?;
        let (policy, options) = self.policy_and_options(&tuple, Place::Supervisor)?;
        Ok(Nested::Child { spec, policy, options })
    }

    /// Reads `[…]`.
    fn list<T>(
        &mut self,
        input: ParseStream<'_>,
        key: Key,
        mut item: impl FnMut(&mut Self, ParseStream<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        if !input.peek(token::Bracket) {
            return Err(input.error(format!("`{}` is a list in `[ ]`", key.name())));
        }
        let content;
        bracketed!(content in input);
        let mut items = Vec::new();
        while !content.is_empty() {
            let read = item(self, &content).and_then(|item| {
                items.push(item);
                comma(&content)
            });
            if let Err(error) = read {
                self.errors.add(error);
                skip_past_comma(&content);
            }
        }
        Ok(items)
    }

    /// Reads `key: value, …` to the end and returns the keys.
    fn keys(
        &mut self,
        input: ParseStream<'_>,
        place: Place,
        mut value: impl FnMut(&mut Self, Key, Ident, ParseStream<'_>) -> Result<()>,
    ) -> Vec<Key> {
        let mut seen = Vec::new();
        while !input.is_empty() {
            let read = key(input, place, &mut seen)
                .and_then(|(key, word)| value(self, key, word, input))
                .and_then(|()| comma(input));
            if let Err(error) = read {
                self.errors.add(error);
                skip_to_key_or_end(input, Comma::Taken);
            }
        }
        seen
    }
}

const WORKER: &str = "a worker is a tuple `(id, factory, policy, options…)`";
const SUPERVISOR: &str = "a supervisor is `{ keys… }`, an expression, or a tuple \
                          `(spec, policy, options…)`";

/// The inside of a tuple.
struct Tuple<'a> {
    /// What the tuple should be.
    is: &'static str,
    content: ParseStream<'a>,
    span: Span,
}

impl Tuple<'_> {
    /// Reads the next element, which must be there.
    fn element(&self, missing: &str) -> Result<Expr> {
        if self.content.is_empty() {
            return Err(self.error(self.span, missing));
        }
        let expr = self.content.parse()?;
        comma(self.content)?;
        Ok(expr)
    }

    fn error(&self, span: Span, problem: &str) -> Error {
        Error::new(span, format!("{}: {problem}", self.is))
    }
}

/// Returns what factories of a tree may take.
const fn parameters_of(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::Plain => "a factory takes nothing or the child's context; allowed: `||`, `|child|`",
        Flavor::Stateful => {
            "a factory takes nothing, the supervisor's context, or that and the child's; allowed: \
             `||`, `|ctx|`, `|ctx, child|`"
        }
    }
}

/// Returns whether a closure's body is an `async` block, possibly after other statements.
#[expect(clippy::wildcard_enum_match_arm, reason = "syn's enum, of which two variants matter")]
fn is_async(body: &Expr) -> bool {
    match bare(body) {
        Expr::Async(_) => true,
        Expr::Block(block) => match block.block.stmts.last() {
            Some(Stmt::Expr(expr, None)) => is_async(expr),
            _ => false,
        },
        _ => false,
    }
}

/// Returns the span of an inline supervisor that is in parentheses.
fn inline_in_parens(input: ParseStream<'_>) -> Option<Span> {
    let (inside, span, _) = input.cursor().group(Delimiter::Brace)?;
    let (_, after) = inside.ident()?;
    let (colon, after) = after.punct()?;
    let path = after.punct().is_some_and(|(second, _)| second.as_char() == ':');
    (colon.as_char() == ':' && !path).then(|| span.join())
}
