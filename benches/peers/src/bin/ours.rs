//! ash-flare.

fn main() {
    peers::program::<benches::ours::Ours>()
}
