//! Any text as a Perl pattern, and the rest as a body: an answer or a refusal, never a panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (pattern, body) = bytes.split_at(bytes.len().min(32));
    if let Ok(pattern) = std::str::from_utf8(pattern)
        && let Ok(regex) = evenkeel_probe::compile(pattern)
    {
        let _ = regex.is_match(body);
    }
});
