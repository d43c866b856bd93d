use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        kill_grace: 10,
        workers: [
            ("a", || todo(), Permanent, shutdown: 10sec),
            ("b", || todo(), Permanent, init_timeout: "10s"),
            ("c", || todo(), Permanent, init_timeout: 1.5s),
            ("d", || todo(), Permanent, init_timeout: 99999999999999999999s),
            ("e", || todo(), Permanent, init_timeout: 9999999999999999h),
            ("f", || todo(), Permanent, liveness: 0ms),
            ("g", || todo(), Permanent, liveness: ),
        ],
    };
}
