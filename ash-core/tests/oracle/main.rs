//! OTP's own supervisor as the oracle: histories that it was driven through, each step recorded
//! (`tools/oracle.escript`), are played on our machine, and both must have done the same.
//!
//! `make oracle` records afresh where Erlang is installed, and compares live: `ASH_ORACLE` names
//! the directory of the recordings then. `docs/otp.md` has the language and the differences.

mod differences;
mod fixture;
mod player;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::differences::Difference;
use crate::fixture::{History, parse};
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
    let total = history.steps.len();
    for (index, step) in history.steps.iter().enumerate() {
        let events = player.step(step);
        if player.departed {
            let is_prefix = step.events.starts_with(&events);
            return if is_prefix {
                Ok(Compared { met: player.met, steps: (index, total) })
            } else {
                Err(tell(history, step, "before the difference", &step.events, &events))
            };
        }
        let ours = step.ours.as_ref();
        let expected = ours.and_then(|ours| ours.events.as_ref()).unwrap_or(&step.events);
        if events != *expected {
            let gives_up = events.contains("gave_up") || expected.contains("gave_up");
            if player.charged_early && gives_up {
                player.depart(Difference::RestartIsChargedWhenDecided);
                return Ok(Compared { met: player.met, steps: (index, total) });
            }
            return Err(tell(history, step, "what happened", expected, &events));
        }
        let state = player.state();
        let expected = ours.and_then(|ours| ours.state.as_ref()).unwrap_or(&step.state);
        if state != *expected {
            return Err(tell(history, step, "what there is", expected, &state));
        }
    }
    Ok(Compared { met: player.met, steps: (total, total) })
}

fn tell(history: &History, step: &fixture::Step, what: &str, otp: &str, ours: &str) -> String {
    format!(
        "{} line {}: `{}`, {what}\n    OTP:  {otp}\n    ours: {ours}",
        history.name, step.number, step.line
    )
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
