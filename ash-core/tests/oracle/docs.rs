//! `docs/otp.md` tells what is here, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::compare::compare_all;
use crate::differences::Difference;
use crate::fixture::History;
use crate::{recordings, scripted};

/// How many cases OTP's `supervisor_SUITE` has.
const CASES: usize = 93;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    let path = root().join("docs/otp.md");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// The rows of the table in a section of the page, without its head.
fn table(section: &str) -> Vec<Vec<String>> {
    let page = page();
    let mut parts = page.split("\n## ");
    let part = parts.find(|part| part.starts_with(section)).expect("the page has this section");
    let rows = part.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn rust_files(directory: &Path, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(directory).expect("a directory of the workspace");
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// The differences that the histories of each case show; `own` ones are of no case.
fn differences_by_case(histories: &[History]) -> BTreeMap<&str, BTreeSet<&'static str>> {
    let mut cases = BTreeMap::<_, BTreeSet<_>>::new();
    for (history, compared) in histories.iter().zip(compare_all(histories)) {
        let case = history.name.split('/').next().expect("a name");
        let shown = compared.declared.into_iter().map(Difference::name);
        cases.entry(case).or_default().extend(shown);
    }
    cases.remove("own");
    cases
}

#[test]
fn the_page_lists_every_case_of_the_suite() {
    let histories = scripted();
    let mut cases = differences_by_case(&histories);
    let mut sources = Vec::new();
    rust_files(&root().join("ash-core/tests"), &mut sources);
    let rows = table("The suite");
    let listed: BTreeSet<&str> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    assert_eq!((rows.len(), listed.len()), (CASES, CASES), "each case once");
    for row in &rows {
        let (case, here, how) = (row[1].trim_matches('`'), row[2].as_str(), &row[3]);
        assert!(!how.is_empty(), "{case}: how?");
        let differences: BTreeSet<_> = quoted(how).filter_map(Difference::named).collect();
        let named: BTreeSet<_> = differences.into_iter().map(Difference::name).collect();
        let shown = cases.remove(case);
        assert_eq!(here == "history", shown.is_some(), "{case}: a history, or none");
        assert_eq!(named, shown.unwrap_or_default(), "{case}: where it differs");
        let tests = quoted(here).chain(quoted(how)).filter(|name| is_name_of_test(name));
        for name in tests.filter(|name| Difference::named(name).is_none()) {
            let test = format!("fn {name}(");
            let is_there = sources.iter().any(|source| source.contains(&test));
            assert!(is_there, "{case}: there is no test `{name}`");
        }
    }
    assert!(cases.is_empty(), "no cases of the suite: {cases:?}");
}

/// Names of tests are sentences.
fn is_name_of_test(quoted: &str) -> bool {
    quoted.matches('_').count() >= 3
}

#[test]
fn the_page_lists_every_difference_and_the_histories_that_show_it() {
    let histories = scripted();
    let mut shown = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (history, compared) in histories.iter().zip(compare_all(&histories)) {
        for difference in compared.declared {
            shown.entry(difference.name()).or_default().insert(&history.name);
        }
    }
    let rows = table("The differences");
    let listed: BTreeMap<&str, BTreeSet<&str>> =
        rows.iter().map(|row| (row[1].trim_matches('`'), quoted(&row[4]).collect())).collect();
    assert_eq!(listed, shown);
}

#[test]
fn the_page_shows_a_history_as_it_is() {
    let page = page();
    let shown = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown = shown.expect("the page shows a history");
    let admin = std::fs::read_to_string(recordings().join("scripted/admin.txt"));
    assert!(admin.expect("the recording").contains(shown), "it is not in admin.txt:\n{shown}");
}
