use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        auto_shutdown: Never,
        workers: [("a", || todo(), Transient, significant: true)],
        supervisors: [
            {
                name: "b",
                auto_shutdown: AnySignificant,
                workers: [
                    ("c", || todo(), Permanent, significant: true),
                    ("d", || todo(), Permanent, significant: false),
                ],
                supervisors: [{ name: "e", significant: true }],
            },
        ],
    };
}
