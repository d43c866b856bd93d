use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        intensity: 5,
        supervisors: [
            { name: "a", intensity: (5) },
            { name: "b", intensity: (5, 10, 15) },
            { name: "c", intensity: (5, 10ms) },
            { name: "d", intensity: (5, 10sec) },
        ],
    };
}
