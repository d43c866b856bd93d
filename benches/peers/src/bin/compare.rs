//! Runs every system's program for every figure, and prints one table.
//!
//! `compare [--children N] [--pairs N] [--limit SECONDS] [--only NAME,NAME] [--json FILE]`. Each
//! figure is taken in a fresh process, the systems in turn with bare tokio; a figure that takes
//! long is taken once.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use benches::measure::{Figure, now, show};
use benches::options;
use peers::outcome::{Outcome, run};
use peers::table::{Cell, Measured, json, text};
use peers::versions::locked;

type AnyError = Box<dyn std::error::Error>;

/// A process that takes longer is not repeated.
const LONG: Duration = Duration::from_secs(10);

struct Options {
    children: usize,
    pairs: usize,
    limit: Duration,
    only: Option<Vec<String>>,
    json: Option<PathBuf>,
}

fn options() -> Result<Options, AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let known = ["--children", "--pairs", "--limit", "--only", "--json"];
    let given = options::Options::read(&arguments, &known)?;
    Ok(Options {
        children: given.number("--children", 100_000)?,
        pairs: given.number("--pairs", 5)?,
        limit: Duration::from_secs(given.number("--limit", 300)?.try_into()?),
        only: given.value("--only").map(|names| names.split(',').map(str::to_owned).collect()),
        json: given.value("--json").map(PathBuf::from),
    })
}

/// A system, and the program that measures it.
struct System {
    measured: Measured,
    program: PathBuf,
    before: Vec<String>,
}

impl System {
    fn command(&self, figure: Figure, children: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.before).arg(figure.name()).arg(figure.count(children).to_string());
        command
    }
}

/// Returns all systems that can be measured here; what cannot is said.
fn systems() -> Result<Vec<System>, AnyError> {
    let here = std::env::current_exe()?;
    let here = here.parent().ok_or("the program is in a folder")?;
    let ours = locked("benches", "").unwrap_or_default();
    let mut systems = Vec::new();
    for (name, said, package, prefix) in [
        ("bare", "bare tokio", "tokio", ""),
        ("ours", "ash-flare", "ash-core", ""),
        ("stateful", "ash-flare, stateful", "ash-stateful", ""),
        ("ash1", "ash-flare", "ash-flare", "1."),
        ("ash3", "ash-flare", "ash-flare", "3."),
        ("ractor", "ractor-supervisor", "ractor-supervisor", ""),
        ("kameo", "kameo", "kameo", ""),
        ("task-supervisor", "task-supervisor", "task-supervisor", ""),
        ("bastion", "bastion", "bastion", ""),
    ] {
        let version = locked(package, prefix).unwrap_or(ours).to_owned();
        let label = match (name, locked("ractor", "")) {
            ("ractor", Some(ractor)) => format!("{said} {version} on ractor {ractor}"),
            (_, _) => format!("{said} {version}"),
        };
        let measured = Measured { name: name.into(), label, version };
        systems.push(System { measured, program: here.join(name), before: Vec::new() });
    }
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../otp");
    let (script, no_options) = ("figures.escript", [].as_slice());
    // As many processes as may be needed, which the other script says itself.
    let (exs, more_processes) = ("figures.exs", ["--erl", "+P 4000000"].as_slice());
    for (name, said, program, script, options) in [
        ("otp", "OTP", "escript", script, no_options),
        ("elixir", "Elixir", "elixir", exs, more_processes),
    ] {
        let script = scripts.join(script).to_string_lossy().into_owned();
        let mut before: Vec<String> = options.iter().copied().map(String::from).collect();
        before.push(script);
        match Command::new(program).args(&before).arg("version").output() {
            Ok(output) if output.status.success() => {
                let version = String::from_utf8(output.stdout)?.trim().to_owned();
                let label = format!("{said} {version}");
                let measured = Measured { name: name.into(), label, version };
                systems.push(System { measured, program: program.into(), before });
            }
            Ok(_) | Err(_) => println!("{said} is left out: no {program} here"),
        }
    }
    Ok(systems)
}

/// Takes one figure of all systems in turn, so often.
fn take(systems: &[System], figure: Figure, options: &Options) -> Result<Vec<Cell>, AnyError> {
    let mut cells: Vec<Cell> =
        systems.iter().map(|_| Cell { outcomes: Vec::new(), bare: Vec::new() }).collect();
    let mut finished = vec![false; systems.len()];
    for _ in 0..options.pairs {
        let mut bare = None;
        for (number, system) in systems.iter().enumerate() {
            if finished[number] {
                continue;
            }
            let start = now();
            let outcome = run(&mut system.command(figure, options.children), options.limit)?;
            let cell = &mut cells[number];
            let answered = matches!(&outcome, Outcome::Answered(_));
            cell.outcomes.push(outcome);
            let value =
                Cell { outcomes: cell.outcomes[cell.outcomes.len() - 1..].to_vec(), bare: vec![] };
            if system.measured.name == "bare" {
                bare = value.value();
            }
            cell.bare.push(bare);
            // What is not there, hangs or fails does so again, and long ones are steady.
            finished[number] = start.elapsed() > LONG || !answered || cell.verdict() == "n/a";
        }
    }
    Ok(cells)
}

/// Returns what these figures are taken on.
fn machine() -> serde_json::Value {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok();
    let cpu =
        cpu.as_deref().and_then(|info| info.lines().find(|line| line.starts_with("model name")));
    let cpu = cpu.and_then(|line| line.split_once(": ")).map(|(_, model)| model);
    let memory = std::fs::read_to_string("/proc/meminfo").ok();
    let memory = memory.as_deref().and_then(|info| info.lines().next()?.split_whitespace().nth(1));
    serde_json::json!({
        "cpu": cpu,
        "cores": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        "memory_kb": memory.and_then(|kb| kb.parse::<u64>().ok()),
        "kernel": said("uname", &["-sr"]),
        "rustc": said("rustc", &["--version"]),
        "date": said("date", &["-u", "+%Y-%m-%d"]),
        "load": std::fs::read_to_string("/proc/loadavg").ok().map(|load| load.trim().to_owned()),
    })
}

fn main() -> Result<ExitCode, AnyError> {
    let options = options()?;
    let mut systems = systems()?;
    if let Some(only) = &options.only {
        systems.retain(|system| {
            system.measured.name == "bare" || only.contains(&system.measured.name)
        });
    }
    let machine = machine();
    println!("{} children, medians of {} rounds", options.children, options.pairs);
    let mut rows: Vec<Vec<Cell>> = systems.iter().map(|_| Vec::new()).collect();
    for figure in Figure::ALL {
        for ((cell, row), system) in
            take(&systems, figure, &options)?.into_iter().zip(&mut rows).zip(&systems)
        {
            let value =
                cell.value().map_or_else(|| cell.verdict().into(), |value| show(figure, value));
            eprintln!("{:<12} {:<32} {value}", figure.name(), system.measured.label);
            row.push(cell);
        }
    }
    let measured: Vec<Measured> = systems.into_iter().map(|system| system.measured).collect();
    print!("{}", text(&measured, &Figure::ALL, &rows));
    if let Some(path) = &options.json {
        let all = serde_json::json!({
            "machine": machine,
            "children": options.children,
            "rounds": options.pairs,
            "systems": json(&measured, &Figure::ALL, &rows),
        });
        std::fs::write(path, format!("{all:#}\n"))?;
    }
    // A peer that fails is a figure; ours that fails is an error.
    let failed = measured.iter().zip(&rows).any(|(system, row)| {
        ["bare", "ours", "stateful"].contains(&system.name.as_str())
            && row.iter().any(|cell| cell.verdict() != "measured")
    });
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
