//! OTP's own supervisor as the oracle: histories that it was driven through, each step recorded
//! (`tools/oracle.escript`), are played on our machine, and both must have done the same.
//!
//! `scripted/` holds the histories that are written by hand, most of them named after the cases of
//! OTP's `supervisor_SUITE`; `random.txt` those that are not. `make oracle` records all of them
//! afresh where Erlang is installed, and compares; `ASH_ORACLE` names the directory of the
//! recordings that are compared then.

mod compare;
mod differences;
mod docs;
mod fixture;
mod player;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::compare::compare_all;
use crate::differences::Difference;
use crate::fixture::{History, parse};

fn recordings() -> PathBuf {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle");
    std::env::var_os("ASH_ORACLE").map_or_else(|| PathBuf::from(own), PathBuf::from)
}

fn recording(path: &Path) -> Vec<History> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    parse(&text)
}

fn scripted() -> Vec<History> {
    let directory = recordings().join("scripted");
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", directory.display()));
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry of the directory").file_name()).collect();
    names.sort();
    names.iter().flat_map(|name| recording(&directory.join(name))).collect()
}

#[test]
fn scripted_histories_go_as_they_do_in_otp_or_say_where_not() {
    let histories = scripted();
    let mut names = BTreeSet::new();
    for (history, compared) in histories.iter().zip(compare_all(&histories)) {
        let name = &history.name;
        assert!(names.insert(name), "two histories are called {name}");
        assert!(compared.met.is_empty(), "{name} does not say that it meets {:?}", compared.met);
        assert_eq!(compared.interleaved, 0, "{name}: supervisors do things in another order");
    }
}

/// What is not shown is not known to be different.
#[test]
fn every_difference_is_shown_by_a_scripted_history() {
    let shown: BTreeSet<Difference> =
        compare_all(&scripted()).into_iter().flat_map(|one| one.declared).collect();
    let hidden: Vec<_> = Difference::ALL.iter().filter(|one| !shown.contains(one)).collect();
    assert!(hidden.is_empty(), "no history shows {hidden:?}");
}

#[test]
fn random_histories_go_as_they_do_in_otp() {
    let histories = recording(&recordings().join("random.txt"));
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
    let enough = histories.len() < 100 || whole * 10 >= histories.len() * 9;
    assert!(enough, "too few histories are compared to their end");
}
