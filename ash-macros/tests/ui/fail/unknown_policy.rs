use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        workers: [
            ("a", || todo(), Permament),
            ("b", || todo(), RestartPolicy::Sometimes),
            ("c", || todo(), 3),
            ("d", || todo(), policy, shutdown: 10s),
        ],
        supervisors: [{ name: "e", restart: always }, (other, never)],
    };
}
