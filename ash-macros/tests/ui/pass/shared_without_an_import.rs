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

fn main() {
    let spec = ::ash_macros::stateful_supervision_tree! {
        name: "app",
        workers: [("a", |_| Idle, Permanent)],
        supervisors: [{ name: "b", workers: [("c", |_| Idle, Permanent)] }],
    };
    ::std::assert!(spec.context().is_empty());
}
