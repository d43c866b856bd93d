//! The machine against a reference model: random histories of hundreds of steps, of one supervisor
//! and of trees of them under a simulated clock, are played on both, and after each step orders,
//! answers, notices (charges among them) and the state of every child must be the same.
//!
//! | file | what it holds |
//! |---|---|
//! | `reference/` | what `semantics.md` says, in the plainest code there is |
//! | `world/` | machines, models, tasks and time; what must hold at each step |
//! | `steps.rs` | what can happen, readable line by line |
//! | `spec.rs`, `histories.rs` | supervisors and histories at random |
//!
//! `PROPTEST_CASES=20000 cargo test -p ash-core --test model` plays more of them.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the model says what a rule is about; what it says nothing of does nothing"
)]

mod histories;
mod reference;
mod spec;
mod steps;
mod world;

use proptest::prelude::{ProptestConfig, TestCaseError, proptest as properties};
use proptest::test_runner::RngAlgorithm;

use crate::histories::{flat, of_a_tree, of_one, tree};
use crate::steps::play;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        // It forks a generator for each value of a history, which the default takes its time for.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

properties! {
    #![proptest_config(config(300))]

    #[test]
    fn one_supervisor_does_what_the_rules_say(spec in flat(), history in of_one()) {
        play(&spec, &history).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_tree_of_supervisors_does_what_the_rules_say(spec in tree(), history in of_a_tree()) {
        play(&spec, &history).map_err(TestCaseError::fail)?;
    }
}
