//! What the compiler says about trees that are wrong, and what it accepts.
//!
//! The `.stderr` files hold our own errors and no one else's, so that they do not change with the
//! compiler. `TRYBUILD=overwrite cargo test -p ash-macros --test ui` writes them anew.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
