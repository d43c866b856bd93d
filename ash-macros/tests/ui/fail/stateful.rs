use ash_core::SupervisorSpec;
use ash_macros::stateful_supervision_tree;

fn main() {
    let _spec: SupervisorSpec = stateful_supervision_tree! {
        crate: ash_core,
        nmae: "auction",
        workers: [
            ("a", |ctx, child, third| todo(), Permanent),
            ("b", |ctx| todo(), Permanent, liveness: 30),
        ],
        supervisors: [{ name: "c", crate: ash_core }],
    };
}
