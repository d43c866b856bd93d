use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        backoff: exponentail(100ms, 30s),
        workers: [
            ("a", || todo(), Permanent, backoff: exponential(100ms)),
            ("b", || todo(), Permanent, backoff: constant(1s, jiter: 0.1)),
            ("c", || todo(), Permanent, backoff: constant),
            ("d", || todo(), Permanent, backoff: none(1s)),
            ("e", || todo(), Permanent, backoff: constant(10)),
            ("f", || todo(), Permanent, backoff: 10s),
            ("g", || todo(), Permanent, backoff: mine),
        ],
    };
}
