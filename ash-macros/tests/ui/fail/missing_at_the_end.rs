//! What is missing at the very end is reported there, not at the whole call.

use ash_macros::supervision_tree;

fn main() {
    let _ = supervision_tree! { name: "app", strategy: };
    let _ = supervision_tree! { name: "app", max_children: };
    let _ = supervision_tree! { name: "app", workers };
    let _ = supervision_tree! { name };
}
