//! Prints the figures of ash-flare beside those of bare tokio, as ratios against the budgets.
//!
//! `figures [--children N] [--pairs N] [--json FILE]` runs all of them, each in processes of its
//! own; `figures SYSTEM FIGURE N` is one such process.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::Command;

use benches::bare;
use benches::measure::{Budget, Figure, percentile, processor, show};
use benches::options::Options;
use benches::ours::Ours;
use benches::stateful::Stateful;
use benches::system::{Answer, measure};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [system, figure, count] if !system.starts_with('-') => {
            let figure = Figure::ALL.into_iter().find(|known| known.name() == figure);
            let (figure, count) = (figure.ok_or("no such figure")?, count.parse()?);
            let answer = match system.as_str() {
                "ours" => measure::<Ours>(figure, count),
                "bare" => bare::measure(figure, count),
                "stateful" => measure::<Stateful>(figure, count),
                _ => return Err("the system is `ours`, `stateful` or `bare`".into()),
            };
            println!("{}", answer.lines());
            Ok(())
        }
        options => {
            let options = Options::read(options, &["--children", "--pairs", "--json"])?;
            let children = options.number("--children", 100_000)?;
            table(children, options.number("--pairs", 5)?, options.value("--json"))
        }
    }
}

fn table(
    children: usize,
    pairs: usize,
    json: Option<&str>,
) -> Result<(), Box<dyn std::error::Error>> {
    println!("{}: {children} children, medians of {pairs} pairs", processor());
    println!("{:<12} {:>14} {:>14} {:>7} {:>8}", "figure", "ours", "bare tokio", "ratio", "budget");
    let mut rows = Vec::new();
    for figure in Figure::ALL {
        let [ours, bare, ratio] = compare(["ours", "bare"], figure, children, pairs)?;
        let (budget, is_over) = match figure.budget() {
            Some(Budget::TimesBare(most)) => (format!("{most:.2}"), ratio > most),
            Some(Budget::NanosAChild(most)) => {
                let most = most * children as f64;
                (show(figure, most), ours > most)
            }
            None => ("-".into(), false),
        };
        let verdict = if is_over { " over" } else { "" };
        let name = figure.name();
        let (mine, reference) = (show(figure, ours), show(figure, bare));
        println!("{name:<12} {mine:>14} {reference:>14} {ratio:>7.2} {budget:>8}{verdict}");
        rows.push(format!(
            "  {{\"figure\": \"{name}\", \"ours\": {ours}, \"bare\": {bare}, \"ratio\": {ratio}}}"
        ));
    }
    let [stateful, plain, ratio] = compare(["stateful", "ours"], Figure::Start, children, pairs)?;
    let (stateful, plain) = (show(Figure::Start, stateful), show(Figure::Start, plain));
    println!("start of a stateful child {stateful}, of a plain one {plain}: {ratio:.2} (1.05)");
    if let Some(path) = json {
        std::fs::write(path, format!("[\n{}\n]\n", rows.join(",\n")))?;
    }
    Ok(())
}

/// Measures two systems in turn, and returns the median of each and of the ratios.
fn compare(
    [first, second]: [&str; 2],
    figure: Figure,
    children: usize,
    pairs: usize,
) -> Result<[f64; 3], Box<dyn std::error::Error>> {
    let mut values = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..pairs {
        let (one, other) = (one(first, figure, children)?, one(second, figure, children)?);
        for (list, value) in values.iter_mut().zip([one, other, one / other]) {
            list.push(value);
        }
    }
    Ok(values.map(|mut values| percentile(&mut values, 0.5)))
}

fn one(system: &str, figure: Figure, children: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    let arguments = [system, figure.name(), &figure.count(children).to_string()];
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    match Answer::read(&String::from_utf8(output.stdout)?) {
        Some(Answer::Value(value, notes)) if notes.is_empty() => Ok(value),
        answer => Err(format!("{system} {}: {answer:?}", figure.name()).into()),
    }
}
