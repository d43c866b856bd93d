//! OTP's own supervisor as the oracle: histories that it was driven through, each step recorded
//! (`tools/oracle.escript`), are played on our machine, and both must have done the same.
//!
//! To record afresh where Erlang is installed, see the head of `tools/oracle.escript`; `ASH_ORACLE`
//! names the directory of the recordings that are compared then.

#![expect(
    clippy::struct_excessive_bools,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "a player of recordings is a table of steps, and a task in it a few flags"
)]

mod differences;
mod fixture;
mod player;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::differences::Difference;
use crate::fixture::{History, Step, parse};
use crate::player::Player;

/// How a comparison went that found no defect.
struct Compared {
    met: Vec<Difference>,
    /// How many steps were compared in full, of how many.
    steps: (usize, usize),
}

fn recording(name: &str) -> Vec<History> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle");
    let directory =
        std::env::var_os("ASH_ORACLE").map_or_else(|| PathBuf::from(own), PathBuf::from);
    let path = directory.join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    parse(&text)
}

/// Plays a history and compares every step.
fn compare(history: &History) -> Result<Compared, String> {
    let mut player = Player::new(history);
    for (index, step) in history.steps.iter().enumerate() {
        compare_step(&mut player, step).map_err(|defect| tell(history, step, &defect))?;
        if player.departed {
            return Ok(Compared { met: player.met, steps: (index, history.steps.len()) });
        }
    }
    let steps = history.steps.len();
    Ok(Compared { met: player.met, steps: (steps, steps) })
}

/// Plays a step and compares it, up to where it departs from what OTP does.
fn compare_step(player: &mut Player<'_>, step: &Step) -> Result<(), Defect> {
    let events = player.step(step);
    let ours = step.ours.as_ref();
    let expected = ours.and_then(|ours| ours.events.as_ref()).unwrap_or(&step.events);
    let agrees = if player.departed { expected.starts_with(&events) } else { events == *expected };
    if !agrees {
        let gives_up = events.contains("gave_up") || expected.contains("gave_up");
        if player.charged_early && gives_up {
            player.depart(Difference::RestartIsChargedWhenDecided);
            return Ok(());
        }
        if !player.departed && player.retries_meet && sorted(&events) == sorted(expected) {
            player.meet(Difference::RetriesGoByPlace);
        } else {
            return Err(Defect { what: "what happened", otp: expected.clone(), ours: events });
        }
    }
    let state = player.state();
    let expected = ours.and_then(|ours| ours.state.as_ref()).unwrap_or(&step.state);
    if !player.departed && state != *expected {
        return Err(Defect { what: "what there is", otp: expected.clone(), ours: state });
    }
    Ok(())
}

fn sorted(events: &str) -> Vec<&str> {
    let mut events: Vec<_> = events.split(", ").collect();
    events.sort_unstable();
    events
}

/// Where we do not do as we should, and no difference explains it.
struct Defect {
    what: &'static str,
    otp: String,
    ours: String,
}

fn tell(history: &History, step: &Step, defect: &Defect) -> String {
    let Defect { what, otp, ours } = defect;
    let Step { number, line, .. } = step;
    let name = &history.name;
    format!("{name} line {number}: `{line}`, {what}\n    OTP:  {otp}\n    ours: {ours}")
}

/// Compares all histories of a file. Returns how each went.
fn compare_all(histories: &[History]) -> Vec<Compared> {
    let (compared, defects): (Vec<_>, Vec<_>) =
        histories.iter().map(compare).partition(Result::is_ok);
    let defects: Vec<String> = defects.into_iter().filter_map(Result::err).collect();
    assert!(
        defects.is_empty(),
        "{} of {} histories differ\n{}",
        defects.len(),
        histories.len(),
        defects.join("\n")
    );
    compared.into_iter().filter_map(Result::ok).collect()
}

#[test]
fn random_histories_go_as_they_do_in_otp() {
    let histories = recording("random.txt");
    let compared = compare_all(&histories);
    let whole = compared.iter().filter(|one| one.steps.0 == one.steps.1).count();
    let mut met = BTreeMap::<_, usize>::new();
    for difference in compared.iter().flat_map(|one| &one.met) {
        *met.entry(difference.name()).or_default() += 1;
    }
    println!(
        "{whole} of {} histories compared to their end; differences met: {met:?}",
        histories.len()
    );
    assert!(whole * 10 >= histories.len() * 8, "too few histories are compared to their end");
}
