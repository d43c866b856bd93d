//! Prints how the cost of things grows with the number of children, of supervisors and of levels,
//! and what memory is left after many starts and stops.
//!
//! `growth [--most N] [--json FILE]` runs all, each size in a process of its own, with `N` children
//! at most; `growth CURVE SIZE` is one such process.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::Command;

use benches::growth::Curve;
use benches::measure::percentile;

type AnyError = Box<dyn std::error::Error>;

/// With so many children at most, all is tried and nothing is measured.
const SMALL: usize = 1_000;

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => all(1_000_000, None),
        ["--most", most] => all(most.parse()?, None),
        ["--json", path] => all(1_000_000, Some(path)),
        ["--most", most, "--json", path] => all(most.parse()?, Some(path)),
        [curve, size] => {
            let curve = Curve::ALL.into_iter().find(|known| known.name() == curve);
            for (name, value) in curve.ok_or("no such curve")?.measure(size.parse()?) {
                println!("{name} {value}");
            }
            Ok(())
        }
        _ => Err("say nothing, `--most N` or `--json FILE`".into()),
    }
}

fn all(most: usize, json: Option<&str>) -> Result<(), AnyError> {
    let mut curves = Vec::new();
    for curve in Curve::ALL {
        println!("{}", curve.said());
        let mut points = Vec::new();
        for size in curve.sizes(most) {
            let values = medians(curve, size, if most > SMALL { 3 } else { 1 })?;
            print!("  {size:>9}");
            for (name, value) in &values {
                print!("   {name} {value:.0}");
            }
            println!();
            let values: Vec<String> =
                values.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            points.push(format!("      {{\"size\": {size}, {}}}", values.join(", ")));
        }
        curves.push(format!(
            "  \"{}\": {{\n    \"said\": \"{}\",\n    \"points\": [\n{}\n    ]\n  }}",
            curve.name(),
            curve.said(),
            points.join(",\n")
        ));
    }
    if let Some(path) = json {
        std::fs::write(path, format!("{{\n{}\n}}\n", curves.join(",\n")))?;
    }
    Ok(())
}

/// Takes one size of a curve in several processes, and returns the medians.
fn medians(curve: Curve, size: usize, rounds: usize) -> Result<Vec<(String, f64)>, AnyError> {
    let mut taken = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        taken.push(take(curve, size)?);
    }
    let names = taken[0].iter().map(|(name, _)| name.clone()).enumerate();
    let middle = |at: usize| {
        let mut values: Vec<f64> = taken.iter().map(|round| round[at].1).collect();
        percentile(&mut values, 0.5)
    };
    Ok(names.map(|(at, name)| (name, middle(at))).collect())
}

fn take(curve: Curve, size: usize) -> Result<Vec<(String, f64)>, AnyError> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).args([curve.name(), &size.to_string()]).output()?;
    if !output.status.success() {
        let name = curve.name();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{name} of {size}: {}: {errors}", output.status).into());
    }
    let mut values = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let (name, value) = line.split_once(' ').ok_or("a name and a value")?;
        values.push((name.to_owned(), value.parse()?));
    }
    Ok(values)
}
