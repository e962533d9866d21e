//! Any bytes as a native file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evenkeel_config::fuzzing::native(bytes));
