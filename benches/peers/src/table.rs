//! All figures of all systems: their JSON, and the table for people.

use std::fmt::Write;

use benches::measure::{Figure, percentile, show};
use benches::system::Answer;
use serde_json::{Value, json};

use crate::outcome::Outcome;

/// A system that is measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name, as its program has it.
    pub name: String,
    /// Its name and version for people.
    pub label: String,
    /// Its version.
    pub version: String,
}

/// What came of one figure of one system.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What came of each process.
    pub outcomes: Vec<Outcome>,
    /// What the figure was of bare tokio, each time.
    pub bare: Vec<Option<f64>>,
}

impl Cell {
    /// Returns the value in the middle.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        median(self.outcomes.iter().map(of))
    }

    /// Returns the multiple of bare tokio in the middle.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let pairs = self.outcomes.iter().map(of).zip(&self.bare);
        median(pairs.map(|(value, bare)| Some(value? / (*bare)?)))
    }

    /// Returns what has to be said, each thing once.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for outcome in &self.outcomes {
            let said = match outcome {
                Outcome::Answered(Answer::Value(_, said)) => said.clone(),
                Outcome::Answered(Answer::Unsupported(why)) => vec![why.clone()],
                Outcome::Answered(Answer::Wrong(what)) => vec![what.clone()],
                Outcome::Hung(limit) => vec![format!("no answer in {limit:?}")],
                Outcome::Failed(words) => vec![words.clone()],
            };
            // Numbers in what is said differ each time; the first stands for all.
            let kind = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
            for text in said {
                if !notes.iter().any(|known: &String| kind(known) == kind(&text)) {
                    notes.push(text);
                }
            }
        }
        notes
    }

    /// Returns in one word what came of it, the worst of all times.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        let verdicts = self.outcomes.iter().map(|outcome| match outcome {
            Outcome::Answered(Answer::Value(..)) => (0, "measured"),
            Outcome::Answered(Answer::Unsupported(_)) => (1, "n/a"),
            Outcome::Answered(Answer::Wrong(_)) => (2, "wrong"),
            Outcome::Failed(_) => (3, "failed"),
            Outcome::Hung(_) => (4, "hung"),
        });
        verdicts.max_by_key(|(grade, _)| *grade).map_or("n/a", |(_, verdict)| verdict)
    }

    /// Returns what stands in the table, without its ratio.
    #[must_use]
    pub fn shown(&self, figure: Figure) -> String {
        match (self.verdict(), self.value()) {
            ("measured", Some(value)) => show(figure, value),
            (verdict, _) => verdict.to_owned(),
        }
    }

    fn json(&self) -> Value {
        let values: Vec<Option<f64>> = self.outcomes.iter().map(of).collect();
        json!({
            "outcome": self.verdict(),
            "value": self.value(),
            "ratio": self.ratio(),
            "values": values,
            "notes": self.notes(),
        })
    }
}

fn of(outcome: &Outcome) -> Option<f64> {
    match outcome {
        Outcome::Answered(Answer::Value(value, _)) => Some(*value),
        Outcome::Answered(Answer::Unsupported(_) | Answer::Wrong(_))
        | Outcome::Hung(_)
        | Outcome::Failed(_) => None,
    }
}

fn median(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect::<Option<_>>()?;
    (!values.is_empty()).then(|| percentile(&mut values, 0.5))
}

/// Returns the table: a row for each system, a column for each figure, the ratio below the value.
#[must_use]
pub fn text(systems: &[Measured], figures: &[Figure], cells: &[Vec<Cell>]) -> String {
    let width = systems.iter().map(|system| system.label.len()).max().unwrap_or(0);
    let mut table = format!("{:<width$}", "");
    for figure in figures {
        let _ = write!(table, " {:>12}", figure.name());
    }
    table.push('\n');
    for (system, row) in systems.iter().zip(cells) {
        let _ = write!(table, "{:<width$}", system.label);
        for (figure, cell) in figures.iter().zip(row) {
            let _ = write!(table, " {:>12}", cell.shown(*figure));
        }
        let _ = write!(table, "\n{:<width$}", "");
        for cell in row {
            let ratio = cell.ratio().filter(|_| cell.verdict() == "measured");
            let ratio = ratio.map_or_else(String::new, |ratio| format!("x {ratio:.2}"));
            let _ = write!(table, " {ratio:>12}");
        }
        table.push('\n');
    }
    for (system, row) in systems.iter().zip(cells) {
        for (figure, cell) in figures.iter().zip(row) {
            for note in cell.notes() {
                let _ = writeln!(table, "{}, {}: {note}", system.label, figure.name());
            }
        }
    }
    table
}

/// Returns all of it for other programs.
#[must_use]
pub fn json(systems: &[Measured], figures: &[Figure], cells: &[Vec<Cell>]) -> Value {
    let systems = systems.iter().zip(cells).map(|(system, row)| {
        let figures: serde_json::Map<String, Value> = figures
            .iter()
            .zip(row)
            .map(|(figure, cell)| (figure.name().to_owned(), cell.json()))
            .collect();
        json!({
            "name": system.name,
            "label": system.label,
            "version": system.version,
            "figures": figures,
        })
    });
    systems.collect()
}

#[cfg(test)]
mod tests {
    use super::Cell;
    use crate::outcome::Outcome;
    use benches::measure::Figure;
    use benches::system::Answer;
    use std::time::Duration;

    fn value(value: f64) -> Outcome {
        Outcome::Answered(Answer::Value(value, vec![format!("{value} of 9 hooks ran")]))
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let outcomes = vec![value(10.0), value(40.0), value(30.0)];
        let cell = Cell { outcomes, bare: vec![Some(10.0), Some(10.0), Some(1.0)] };
        assert_eq!((cell.value(), cell.ratio()), (Some(30.0), Some(4.0)));
        assert_eq!((cell.verdict(), cell.shown(Figure::Start)), ("measured", "30 ns".into()));
        assert_eq!(cell.notes(), ["10 of 9 hooks ran"], "said once");
    }

    #[test]
    fn one_hang_is_not_outvoted() {
        let hung = Outcome::Hung(Duration::from_secs(9));
        let cell = Cell { outcomes: vec![value(1.0), value(2.0), hung], bare: vec![None; 3] };
        assert_eq!((cell.verdict(), cell.shown(Figure::Start)), ("hung", "hung".into()));
        assert_eq!((cell.value(), cell.ratio()), (None, None));
    }
}
