//! Any bytes as what `ipvsadm -R` reads.

#![no_main]

use evenkeel_ipvsadm::{NoNames, Rules, parse};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for (_, words) in Rules::new(&text) {
        if let Err(fault) = parse("ipvsadm", &words, &NoNames) {
            assert!(!fault.text.is_empty());
        }
    }
});
