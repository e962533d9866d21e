//! Any bytes on the control socket, in pieces of any size.

#![no_main]

use evenkeel_api::{Lines, Reply, Request};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut lines = Lines::new(4096);
    let piece = bytes.first().map_or(1, |n| usize::from(*n).max(1));
    for chunk in bytes.chunks(piece) {
        lines.push(chunk);
        while let Ok(Some(line)) = lines.next_line() {
            let _ = serde_json::from_str::<Request>(&line);
            let _ = serde_json::from_str::<Reply>(&line);
        }
    }
});
