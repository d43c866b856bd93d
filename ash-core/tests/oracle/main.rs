//! OTP's own supervisor as the oracle: histories that it was driven through, each step recorded
//! (`tools/oracle.escript`), are played on our machine, and both must have done the same.
//!
//! `scripted/` holds the histories that are written by hand, most of them named after the cases of
//! OTP's `supervisor_SUITE`; `random.txt` those that are not. `make oracle` records all of them
//! afresh where Erlang is installed, and compares; `ASH_ORACLE` names the directory of the
//! recordings that are compared then.

mod compare;
mod differences;
mod fixture;
mod player;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::compare::compare_all;
use crate::fixture::{History, parse};

fn recordings() -> PathBuf {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle");
    std::env::var_os("ASH_ORACLE").map_or_else(|| PathBuf::from(own), PathBuf::from)
}

fn recording(name: &str) -> Vec<History> {
    let path = recordings().join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    parse(&text)
}

#[test]
fn random_histories_go_as_they_do_in_otp() {
    let histories = recording("random.txt");
    let compared = compare_all(&histories);
    let whole = compared.iter().filter(|one| one.whole).count();
    let mut met = BTreeMap::<_, usize>::new();
    for difference in compared.iter().flat_map(|one| &one.met) {
        *met.entry(difference.name()).or_default() += 1;
    }
    println!(
        "{whole} of {} histories compared to their end; differences met: {met:?}",
        histories.len()
    );
    assert!(whole * 10 >= histories.len() * 9, "too few histories are compared to their end");
}
