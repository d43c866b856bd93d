//! Prints how many instructions things take, ours beside bare tokio, as callgrind counts them on
//! one thread.
//!
//! Each thing is counted for two numbers of it, and the difference is divided by theirs, so that
//! nothing but the thing itself is left: no start where children are terminated, and no end of
//! what was started. `instructions [--json FILE]`; needs valgrind.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::Command;

use benches::measure::{Figure, ONE_THREAD, TERMINATED};

type AnyError = Box<dyn std::error::Error>;

const SYSTEMS: [&str; 3] = ["ours", "stateful", "bare"];

/// Of how many, and of how many more.
const FEW: u64 = 2_000;

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let json = match arguments.as_slice() {
        [] => None,
        [option, path] if option == "--json" => Some(path),
        _ => return Err("say nothing, or `--json FILE`".into()),
    };
    println!(
        "{:<12} {:>10} {:>10} {:>10} {:>11}",
        "instructions", "ours", "stateful", "bare", "ours/bare"
    );
    let mut rows = Vec::new();
    for figure in [Figure::Start, Figure::Terminate, Figure::RestartP50, Figure::Storm] {
        let mut counts = [0.0; 3];
        for (number, system) in SYSTEMS.into_iter().enumerate() {
            counts[number] = each(system, figure)?;
        }
        let name = if figure == Figure::RestartP50 { "restart" } else { figure.name() };
        let [ours, stateful, bare] = counts;
        let ratio = ours / bare;
        println!("{name:<12} {ours:>10.0} {stateful:>10.0} {bare:>10.0} {ratio:>11.2}");
        rows.push(format!(
            "  {{\"figure\": \"{name}\", \"ours\": {ours:.0}, \"stateful\": {stateful:.0}, \"bare\": {bare:.0}}}"
        ));
    }
    if let Some(path) = json {
        std::fs::write(path, format!("[\n{}\n]\n", rows.join(",\n")))?;
    }
    Ok(())
}

/// Returns the instructions that one of a figure's things takes.
fn each(system: &str, figure: Figure) -> Result<f64, AnyError> {
    let (few, more) = if figure == Figure::Terminate {
        // Of as many children, which have all been started before.
        (count(system, figure, 2 * FEW, FEW)?, count(system, figure, 2 * FEW, 2 * FEW)?)
    } else {
        (count(system, figure, FEW, FEW)?, count(system, figure, 2 * FEW, 2 * FEW)?)
    };
    Ok((more - few) / FEW as f64)
}

fn count(system: &str, figure: Figure, number: u64, terminated: u64) -> Result<f64, AnyError> {
    let figures = std::env::current_exe()?.with_file_name("figures");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(figures)
        .args([system, figure.name(), &number.to_string()])
        .env(ONE_THREAD, "1")
        .env(TERMINATED, terminated.to_string())
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let collected = errors.lines().find_map(|line| line.split_once("Collected : "));
    let (_, collected) = collected.ok_or_else(|| format!("no count: {errors}"))?;
    Ok(collected.trim().parse()?)
}
