//! The vocabulary of the macros, and the error messages for words outside it.

use std::fmt::Write as _;

/// Every key of every place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    AutoShutdown,
    Backoff,
    Crate,
    InitTimeout,
    Intensity,
    KillGrace,
    Liveness,
    Logger,
    MaxChildren,
    Name,
    Restart,
    Shutdown,
    Significant,
    Strategy,
    Supervisors,
    Workers,
}

/// Where keys can appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The outermost supervisor.
    Root,
    /// An inline supervisor.
    Inline,
    /// After a worker's policy.
    Worker,
    /// After the policy of a supervisor that is an expression.
    Supervisor,
}

impl Key {
    const ALL: [Self; 16] = [
        Self::AutoShutdown,
        Self::Backoff,
        Self::Crate,
        Self::InitTimeout,
        Self::Intensity,
        Self::KillGrace,
        Self::Liveness,
        Self::Logger,
        Self::MaxChildren,
        Self::Name,
        Self::Restart,
        Self::Shutdown,
        Self::Significant,
        Self::Strategy,
        Self::Supervisors,
        Self::Workers,
    ];

    /// Returns the key that is written like this.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == word)
    }

    /// Returns how the key is written.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AutoShutdown => "auto_shutdown",
            Self::Backoff => "backoff",
            Self::Crate => "crate",
            Self::InitTimeout => "init_timeout",
            Self::Intensity => "intensity",
            Self::KillGrace => "kill_grace",
            Self::Liveness => "liveness",
            Self::Logger => "logger",
            Self::MaxChildren => "max_children",
            Self::Name => "name",
            Self::Restart => "restart",
            Self::Shutdown => "shutdown",
            Self::Significant => "significant",
            Self::Strategy => "strategy",
            Self::Supervisors => "supervisors",
            Self::Workers => "workers",
        }
    }
}

impl Place {
    /// Returns the keys that are allowed here, in the order in which errors list them.
    pub(crate) const fn keys(self) -> &'static [Key] {
        match self {
            Self::Root => &[
                Key::Name,
                Key::Strategy,
                Key::Intensity,
                Key::Workers,
                Key::Supervisors,
                Key::Backoff,
                Key::AutoShutdown,
                Key::MaxChildren,
                Key::KillGrace,
                Key::Logger,
                Key::Crate,
            ],
            Self::Inline => &[
                Key::Name,
                Key::Strategy,
                Key::Intensity,
                Key::Workers,
                Key::Supervisors,
                Key::Backoff,
                Key::AutoShutdown,
                Key::MaxChildren,
                Key::KillGrace,
                Key::Logger,
                Key::Restart,
                Key::Shutdown,
                Key::InitTimeout,
                Key::Significant,
            ],
            Self::Worker => {
                &[Key::Shutdown, Key::InitTimeout, Key::Liveness, Key::Backoff, Key::Significant]
            }
            Self::Supervisor => &[Key::Shutdown, Key::InitTimeout, Key::Backoff, Key::Significant],
        }
    }

    /// Returns the error message for a word that is not a key here.
    pub(crate) fn unknown(self, word: &str) -> String {
        let (kind, place) = match self {
            Self::Root | Self::Inline => ("key", "a supervisor"),
            Self::Worker => ("option", "a worker"),
            Self::Supervisor => ("option", "a supervisor"),
        };
        let names: Vec<_> = self.keys().iter().map(|key| key.name()).collect();
        if let Some(reason) = Key::named(word).and_then(|key| self.misplaced(key)) {
            return format!("`{word}` has no place here: {reason}; allowed: {}", list(&names));
        }
        format!("unknown {kind} `{word}` of {place}{}", hint(word, &names))
    }

    /// Returns why a key that is allowed elsewhere is not allowed here, if there is a reason.
    fn misplaced(self, key: Key) -> Option<&'static str> {
        match (self, key) {
            (Self::Root, Key::Restart | Key::Shutdown | Key::InitTimeout | Key::Significant) => {
                Some("it is for children, and the outermost supervisor is nobody's child")
            }
            (Self::Root | Self::Inline | Self::Supervisor, Key::Liveness) => {
                Some("only workers send heartbeats")
            }
            (Self::Worker | Self::Supervisor, Key::Restart) => {
                Some("the policy stands before the options, without a key")
            }
            (Self::Inline, Key::Crate) => Some("only the outermost supervisor takes it"),
            (
                Self::Supervisor,
                Key::Name
                | Key::Strategy
                | Key::Intensity
                | Key::Workers
                | Key::Supervisors
                | Key::AutoShutdown
                | Key::MaxChildren
                | Key::KillGrace
                | Key::Logger,
            ) => Some("it is set where the supervisor itself is made"),
            _ => None,
        }
    }
}

/// The variants of one of the enums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// What users call it.
    pub(crate) what: &'static str,
    pub(crate) type_name: &'static str,
    pub(crate) words: &'static [&'static str],
    /// What else is allowed there, for error messages.
    pub(crate) or: &'static str,
}

const OR_EXPRESSION: &str = "any other expression in `( )`";

pub(crate) const POLICY: Words = Words {
    what: "restart policy",
    type_name: "RestartPolicy",
    words: &["Permanent", "Transient", "Temporary"],
    or: OR_EXPRESSION,
};

pub(crate) const STRATEGY: Words = Words {
    what: "restart strategy",
    type_name: "RestartStrategy",
    words: &["OneForOne", "OneForAll", "RestForOne"],
    or: OR_EXPRESSION,
};

pub(crate) const AUTO_SHUTDOWN: Words = Words {
    what: "auto-shutdown",
    type_name: "AutoShutdown",
    words: &["Never", "AnySignificant", "AllSignificant"],
    or: OR_EXPRESSION,
};

pub(crate) const SHUTDOWN: Words = Words {
    what: "shutdown",
    type_name: "Shutdown",
    words: &["Infinity", "BrutalKill"],
    or: "a duration such as `10s`, or any other expression in `( )`",
};

pub(crate) const BACKOFF: Words = Words {
    what: "backoff",
    type_name: "Backoff",
    words: &["none", "constant(1s)", "exponential(100ms, 30s)"],
    or: OR_EXPRESSION,
};

impl Words {
    /// Returns the error message for a word that is none of these.
    pub(crate) fn unknown(&self, word: &str) -> String {
        format!("unknown {} `{word}`{}, {}", self.what, hint(word, self.words), self.or)
    }

    /// Returns the error message for anything that is not a word.
    pub(crate) fn expected(&self) -> String {
        format!("expected one of {}, or {}", list(self.words), self.or)
    }
}

/// Returns the end of an error message about `word`: what may have been meant, and what is allowed.
fn hint(word: &str, allowed: &[&str]) -> String {
    let meant = closest(word, allowed);
    let meant = meant.map(|meant| format!(", did you mean `{meant}`?")).unwrap_or_default();
    let separator = if meant.is_empty() { ";" } else { "" };
    format!("{meant}{separator} allowed: {}", list(allowed))
}

/// Returns the words as error messages list them.
pub(crate) fn list(words: &[&str]) -> String {
    words.iter().fold(String::new(), |mut text, word| {
        let separator = if text.is_empty() { "" } else { ", " };
        write!(text, "{separator}`{word}`").expect("a String takes any text");
        text
    })
}

/// Returns the word that differs least from `word`, if it differs by no more than a typo.
fn closest<'a>(word: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let word = letters(word);
    let slip = (1 + word.len() / 4).min(2);
    allowed
        .iter()
        .map(|&candidate| (distance(&word, &letters(candidate)), candidate))
        .filter(|&(distance, _)| distance <= slip)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Normalises a word for comparison: ASCII letters and digits, lower case, arguments dropped.
fn letters(word: &str) -> Vec<char> {
    let word = word.split('(').next().unwrap_or_default();
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Returns how many letters must be inserted, deleted or replaced to turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_changes() {
        let count = |a: &str, b: &str| distance(&letters(a), &letters(b));
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("workers", "worker"), 1);
        assert_eq!(count("one_for_one", "OneForOne"), 0);
    }

    #[test]
    fn a_slip_finds_the_word_and_a_guess_finds_none() {
        assert_eq!(closest("Permament", POLICY.words), Some("Permanent"));
        assert_eq!(closest("permanent", POLICY.words), Some("Permanent"));
        assert_eq!(closest("exponentail", BACKOFF.words), Some("exponential(100ms, 30s)"));
        assert_eq!(closest("Sometimes", POLICY.words), None);
    }

    #[test]
    fn every_key_is_found_by_its_name_and_stands_somewhere() {
        let places = [Place::Root, Place::Inline, Place::Worker, Place::Supervisor];
        for key in Key::ALL {
            assert_eq!(Key::named(key.name()), Some(key));
            assert!(places.iter().any(|place| place.keys().contains(&key)), "{key:?}");
        }
    }
}
