use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        workers: [
            "a",
            { name: "b" },
            (),
            ("c"),
            ("d", || todo()),
            ("e", || todo(), shutdown: 10s),
            ("f", || todo(), Permanent, 10),
            ("g" || todo(), Permanent),
            ("h", |a, b| todo(), Permanent),
            ("i", || todo(), Permanent) ("j", || todo(), Permanent),
        ],
    };
}
