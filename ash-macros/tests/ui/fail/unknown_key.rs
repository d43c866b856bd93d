use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        stratgy: OneForOne,
        children: [],
        "workers": [],
        restart: Transient,
    };
}
