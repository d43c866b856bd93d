//! A parser for as much of TOML as it takes to find dependencies in a manifest: every key with its
//! full path, and which values are strings or `true`. A complete parser would take users longer to
//! compile than the rest of this crate, and cargo has already rejected manifests that are not TOML.

/// A value, as far as dependencies need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    True,
    Other,
}

/// One key with the path of its tables, and its value.
pub(crate) type Entry = (Vec<String>, Value);

/// Returns all entries of a document. A table has an entry of its own, even if it is empty. A line
/// that is not understood is skipped.
pub(crate) fn entries(document: &str) -> Vec<Entry> {
    let mut scanner = Scanner { rest: document, entries: Vec::new() };
    let mut table = Vec::new();
    loop {
        scanner.skip_blank();
        if scanner.rest.is_empty() {
            return scanner.entries;
        }
        if scanner.line(&mut table).is_none() {
            scanner.skip_line();
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
    entries: Vec<Entry>,
}

impl Scanner<'_> {
    /// Reads a table's header or a key with its value.
    fn line(&mut self, table: &mut Vec<String>) -> Option<()> {
        if self.take("[") {
            // An array of tables holds no dependencies, but the keys that follow belong to it.
            let is_array = self.take("[");
            *table = self.path()?;
            self.entries.push((table.clone(), Value::Other));
            return (self.take("]") && (!is_array || self.take("]"))).then_some(());
        }
        self.key_and_value(table)
    }

    fn key_and_value(&mut self, table: &[String]) -> Option<()> {
        let mut path = table.to_vec();
        path.extend(self.path()?);
        self.skip_spaces();
        if !self.take("=") {
            return None;
        }
        self.skip_spaces();
        let value = self.value(&path)?;
        self.entries.push((path, value));
        Some(())
    }

    /// Reads a key, dotted or not.
    fn path(&mut self) -> Option<Vec<String>> {
        let mut path = Vec::new();
        loop {
            self.skip_spaces();
            let part = match self.rest.chars().next()? {
                '"' | '\'' => self.string()?,
                _ => self.bare(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))?.to_owned(),
            };
            path.push(part);
            self.skip_spaces();
            if !self.take(".") {
                return Some(path);
            }
        }
    }

    fn value(&mut self, path: &[String]) -> Option<Value> {
        match self.rest.chars().next()? {
            '"' | '\'' => self.string().map(Value::Text),
            '[' => self.array(),
            '{' => self.inline_table(path),
            _ => {
                let scalar =
                    self.bare(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '#'));
                Some(if scalar? == "true" { Value::True } else { Value::Other })
            }
        }
    }

    fn array(&mut self) -> Option<Value> {
        self.take("[");
        loop {
            self.skip_blank();
            if self.take("]") {
                return Some(Value::Other);
            }
            // A path that nobody looks up: the elements of arrays do not matter.
            self.value(&["[]".to_owned()])?;
            self.skip_blank();
            self.take(",");
        }
    }

    fn inline_table(&mut self, path: &[String]) -> Option<Value> {
        self.take("{");
        loop {
            self.skip_blank();
            if self.take("}") {
                return Some(Value::Other);
            }
            self.key_and_value(path)?;
            self.skip_blank();
            self.take(",");
        }
    }

    /// Reads a string of any of the four kinds.
    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let triple = quote.to_string().repeat(3);
        let end = if self.rest.starts_with(&triple) { triple } else { quote.to_string() };
        self.take(&end);
        let mut text = String::new();
        loop {
            if self.take(&end) {
                return Some(text);
            }
            let mut next = self.rest.chars();
            let mut c = next.next()?;
            if c == '\\' && quote == '"' {
                // Package names need no escapes; all that matters is that `\"` does not end the
                // string.
                c = next.next()?;
            }
            text.push(c);
            self.rest = next.as_str();
        }
    }

    fn bare(&mut self, belongs: impl Fn(char) -> bool) -> Option<&str> {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (bare, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!bare.is_empty()).then_some(bare)
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Skips spaces, line ends and comments.
    fn skip_blank(&mut self) {
        loop {
            self.rest =
                self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            if !self.rest.starts_with('#') {
                return;
            }
            self.skip_line();
        }
    }

    fn skip_line(&mut self) {
        self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end + 1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(document: &str, path: &[&str]) -> Option<Value> {
        let path: Vec<_> = path.iter().map(ToString::to_string).collect();
        entries(document).into_iter().find(|entry| entry.0 == path).map(|entry| entry.1)
    }

    fn text(text: &str) -> Option<Value> {
        Some(Value::Text(text.into()))
    }

    #[test]
    fn every_way_to_write_a_dependency_has_the_same_path() {
        for document in [
            "[dependencies]\nflare = { version = \"1\", package = \"ash-flare\" }",
            "[dependencies.flare]\nversion = '1'\npackage = 'ash-flare'",
            "[ dependencies . \"flare\" ] # comment\r\npackage = \"\"\"ash-flare\"\"\"\r\n",
            "dependencies.flare.package = 'ash-flare'",
            "dependencies = { flare = { package = '''ash-flare''', features = [] } }",
            "[dependencies]\nflare = {\n  features = [ # why\n 'a', \"]\", ],\n  package = 'ash-flare',\n}",
        ] {
            let path = ["dependencies", "flare", "package"];
            assert_eq!(get(document, &path), text("ash-flare"), "{document}");
        }
    }

    #[test]
    fn strings_hide_what_looks_like_syntax() {
        let document = "[package]\ndescription = \"\"\"\n[dependencies]\na = \\\"\"\"\"\n\
                        name = \"a # \\\" b\"\n[dependencies]\nb.workspace = true # true";
        assert_eq!(get(document, &["dependencies", "a"]), None);
        assert_eq!(get(document, &["package", "name"]), text("a # \" b"));
        assert_eq!(get(document, &["dependencies", "b", "workspace"]), Some(Value::True));
    }

    #[test]
    fn arrays_of_tables_and_scalars_are_passed_over() {
        let document = "[[bin]]\nname = \"x\"\nn = 1.5e3\nd = 1979-05-27T07:32:00Z\n\
                        list = [[1, 2], {a = 3}]\n[dependencies]\nlog = \"0.4\"";
        assert_eq!(get(document, &["dependencies", "log"]), text("0.4"));
        assert_eq!(get(document, &["bin", "list"]), Some(Value::Other));
    }

    #[test]
    fn a_line_that_is_not_toml_is_skipped() {
        assert_eq!(get("? what\n[a]\nb = 'c'", &["a", "b"]), text("c"));
        assert_eq!(get("a = \"open", &["a"]), None);
    }
}
