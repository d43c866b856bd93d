use ash_macros::stateful_supervision_tree;
use ash_stateful::StatefulSupervisorSpec;

fn main() {
    let _spec: StatefulSupervisorSpec = stateful_supervision_tree! {
        nmae: "auction",
        workers: [
            ("a", |ctx, child, third| todo(), Permanent),
            ("b", |ctx| todo(), Permanent, liveness: 30),
        ],
        supervisors: [{ name: "c", crate: ash_core }],
    };
}
