//! The reference.

fn main() {
    peers::answer(benches::bare::measure)
}
