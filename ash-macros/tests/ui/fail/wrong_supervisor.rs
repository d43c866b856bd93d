use ash_core::SupervisorSpec;
use ash_macros::supervision_tree;

fn main() {
    let _spec: SupervisorSpec = supervision_tree! {
        name: "app",
        supervisors: [
            (),
            (other,),
            ({ name: "a" }, Transient),
            (other, Transient, 10s),
            other another,
            { name: "b", liveness: 10s },
            (other, Transient, strategy: OneForAll),
            ("worker", || Worker::new(), Transient, liveness: 10s),
        ],
        workers: {},
    };
}
