use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: ,
        intensity: (5, ),
        workers: [(if, || todo(), Permanent)],
    };
}
