use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        workers: [
            ("a", || todo(), Permanent, shutdwon: 10s),
            ("b", || todo(), Permanent, restart: Transient),
            ("c", || todo(), Permanent, strategy: OneForOne),
            ("d", || todo(), Permanent, shutdown = 10s),
        ],
    };
}
