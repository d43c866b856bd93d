//! ash-flare measured beside bare tokio: `cargo run --release -p benches --bin figures`.
