//! Bytes of a server, as a client takes them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ash_net::fuzzing::answers(bytes));
