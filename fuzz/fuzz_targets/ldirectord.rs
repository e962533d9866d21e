//! Any bytes as an ldirectord.cf.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_config::fuzzing::ldirectord(bytes));
