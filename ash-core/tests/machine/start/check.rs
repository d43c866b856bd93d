//! START 3: what is checked before anything starts.

use ash_core::machine::Machine;
use ash_core::spec::ChildAttributes;
use ash_core::{AutoShutdown, SpecError};

use crate::harness::{ChildExt, ConfigExt, OneForOne, Rig, app, permanent, supervisor, transient};

/// What is wrong with a supervisor of these children.
fn refusal(
    auto_shutdown: AutoShutdown,
    children: impl IntoIterator<Item = ChildAttributes>,
) -> SpecError {
    let children = children.into_iter().map(|child| (child, ()));
    let machine: Result<Machine<(), u32>, _> =
        Machine::new(app(OneForOne).auto_shutdown(auto_shutdown), children);
    machine.expect_err("the spec is invalid")
}

#[test]
fn start_3_a_spec_is_checked_before_any_child_starts() {
    let never = AutoShutdown::Never;
    let any = AutoShutdown::AnySignificant;
    let path = |id: &str| format!("app/{id}");
    assert_eq!(
        refusal(never, [permanent("a"), permanent("b"), permanent("a")]),
        SpecError::DuplicateId { path: path("a") }
    );
    assert_eq!(refusal(never, [permanent("")]), SpecError::EmptyId { parent: "app".into() });
    assert_eq!(refusal(never, [permanent("a/b")]), SpecError::SlashInId { path: path("a/b") });
    assert_eq!(
        refusal(never, [transient("a").significant()]),
        SpecError::SignificantUnderNever { path: path("a") }
    );
    assert_eq!(
        refusal(any, [permanent("a").significant()]),
        SpecError::SignificantPermanent { path: path("a") }
    );
    assert_eq!(
        refusal(never, [supervisor("a").liveness(1)]),
        SpecError::LivenessOnSupervisor { path: path("a") }
    );
    assert_eq!(
        refusal(never, [permanent("a").liveness(0)]),
        SpecError::ZeroLiveness { path: path("a") }
    );
}

#[test]
fn start_3_the_name_of_a_supervisor_is_checked() {
    for (name, expected) in [
        ("", SpecError::EmptyId { parent: String::new() }),
        ("a/b", SpecError::SlashInId { path: "a/b".into() }),
    ] {
        let config = ash_core::machine::MachineConfig::new(name.into());
        let machine: Result<Machine<(), u32>, _> = Machine::new(config, []);
        assert_eq!(machine.expect_err("the name is invalid"), expected);
    }
}

#[test]
fn start_3_start_child_checks_what_it_is_given() {
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(AutoShutdown::AnySignificant), []);
    rig.start_child(1, permanent(""));
    rig.start_child(2, permanent("a/b"));
    rig.start_child(3, permanent("a").significant());
    rig.start_child(4, supervisor("a").liveness(5));
    rig.expect([
        "reply 1 the spec is invalid: a child or supervisor in `app` has an empty id; \
         give it a name",
        "reply 2 the spec is invalid: the id of `app/a/b` holds a `/`, which separates the parts \
         of a path; use another character",
        "reply 3 the spec is invalid: `app/a` is significant and permanent; a significant child \
         is transient or temporary",
        "reply 4 the spec is invalid: `app/a` is a supervisor and cannot have a liveness; set it \
         on its workers",
    ]);
    assert!(rig.machine.is_empty());
}
