//! Examples of ash-flare, one file each: `cargo run --example counter`.
