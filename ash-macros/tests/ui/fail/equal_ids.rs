use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        workers: [("a", || todo(), Permanent), (dynamic(), || todo(), Permanent), ("b", || todo(), Permanent)],
        supervisors: [
            // Another supervisor's children are another's.
            { name: "c", workers: [("a", || todo(), Permanent), ("a", || todo(), Permanent)] },
            { name: "b" },
        ],
    };
}
