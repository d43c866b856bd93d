use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        workers: [("a", || todo(), Permanent), (dynamic(), || todo(), Permanent), ("b", || todo(), Permanent)],
        supervisors: [
            // Under another supervisor the same id is fine.
            { name: "c", workers: [("a", || todo(), Permanent), ("a", || todo(), Permanent)] },
            { name: "b" },
        ],
    };
}
