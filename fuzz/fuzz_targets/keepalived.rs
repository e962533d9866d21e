//! Any bytes as a keepalived.conf.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_config::fuzzing::keepalived(bytes));
