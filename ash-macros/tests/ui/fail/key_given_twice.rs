use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        intensity: (1, 2),
        name: "again",
        intensity: (3, 4),
        supervisors: [{ name: "inline", workers: [], workers: [] }],
        workers: [("a", || todo(), Permanent, shutdown: 1s, shutdown: 2s)],
    };
}
