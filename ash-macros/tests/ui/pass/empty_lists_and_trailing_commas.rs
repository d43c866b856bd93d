use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let spec: SupervisorSpec = supervision_tree! {
        supervisors: [],
        workers: [],
        name: "app",
    };
    assert_eq!(spec.name(), "app");
}
