//! Any bytes as an ha.cf, an authkeys and a haresources.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_config::fuzzing::heartbeat(bytes));
