//! What a program is told on its command line.

/// Options that each have a value.
#[derive(Clone, Debug)]
pub struct Options<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Options<'a> {
    /// Takes the options apart, of which these are known.
    ///
    /// # Errors
    ///
    /// Says which options there are if one is not known or has no value.
    pub fn read(arguments: &'a [String], known: &[&str]) -> Result<Self, String> {
        let pairs = arguments.chunks(2).map(|pair| match pair {
            [name, value] if known.contains(&name.as_str()) => Ok((name.as_str(), value.as_str())),
            [name] if known.contains(&name.as_str()) => Err(format!("{name} needs a value")),
            [name, ..] => Err(format!("no option {name}: there are {}", known.join(", "))),
            [] => Err("a chunk is not empty".into()),
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the value of an option, if that was given.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    /// Returns the value of an option as a number, or what it is by default.
    ///
    /// # Errors
    ///
    /// Says so if the value is no number.
    pub fn number(&self, name: &str, default: usize) -> Result<usize, String> {
        self.value(name).map_or(Ok(default), |value| {
            value.parse().map_err(|_| format!("{name} needs a number, not {value:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<(usize, Option<String>), String> {
        let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
        let options = Options::read(&arguments, &["--pairs", "--json"])?;
        Ok((options.number("--pairs", 5)?, options.value("--json").map(str::to_owned)))
    }

    #[test]
    fn options_have_defaults_and_what_is_wrong_is_said() {
        assert_eq!(read(&[]), Ok((5, None)));
        assert_eq!(read(&["--json", "a", "--pairs", "7"]), Ok((7, Some("a".into()))));
        assert_eq!(read(&["--help"]), Err("no option --help: there are --pairs, --json".into()));
        assert_eq!(read(&["--json"]), Err("--json needs a value".into()));
        assert_eq!(read(&["--pairs", "x"]), Err("--pairs needs a number, not \"x\"".into()));
    }
}
