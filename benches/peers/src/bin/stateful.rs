//! ash-flare's stateful trees.

fn main() {
    peers::program::<benches::stateful::Stateful>()
}
