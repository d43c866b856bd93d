#![deny(warnings)]
#![no_implicit_prelude]

use ::std::boxed::Box;

struct Idle;

#[::ash_core::async_trait]
impl ::ash_core::Worker for Idle {
    type Error = ::std::io::Error;

    async fn run(&mut self) -> ::std::result::Result<(), ::std::io::Error> {
        ::std::result::Result::Ok(())
    }
}

// Names of the expansion's paths, as other things of the user.
mod ash_core {}
mod core {}
mod std {}

fn main() {
    let spec = ::ash_macros::supervision_tree! {
        name: "app",
        strategy: OneForAll,
        intensity: (1, 1),
        backoff: exponential(100ms, 30s, jitter: 0.1),
        auto_shutdown: AllSignificant,
        max_children: 10,
        kill_grace: 1s,
        workers: [("a", || Idle, Transient, shutdown: 10s, significant: true)],
        supervisors: [{ name: "b", shutdown: Infinity, workers: [("c", |_| Idle, Permanent)] }],
    };
    ::std::assert!(spec.check().is_ok());
}
