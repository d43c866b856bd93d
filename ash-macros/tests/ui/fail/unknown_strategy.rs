use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        strategy: one_for_one,
        supervisors: [
            { name: "a", strategy: RestartStrategy::SimpleOneForOne },
            { name: "b", strategy: "OneForAll" },
            { name: "c", strategy: },
        ],
    };
}
