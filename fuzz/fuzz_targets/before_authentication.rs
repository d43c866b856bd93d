//! Bytes of a peer that has not shown who it is, for both sides of the handshake.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ash_net::fuzzing::before_authentication(bytes));
