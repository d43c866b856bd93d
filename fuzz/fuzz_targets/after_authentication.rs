//! Bytes of a client that has been admitted.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ash_net::fuzzing::after_authentication(bytes));
