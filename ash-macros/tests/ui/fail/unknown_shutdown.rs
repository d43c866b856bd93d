use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        workers: [
            ("a", || todo(), Permanent, shutdown: Infinite),
            ("b", || todo(), Permanent, shutdown: Shutdown::brutal_kill),
            ("c", || todo(), Permanent, shutdown: Timeout()),
            ("d", || todo(), Permanent, shutdown: true),
        ],
    };
}
