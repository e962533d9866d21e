//! Whatever words there are, reading them ends, and what is not understood is said.

use evenkeel_keepalived::{Parsed, parse};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_words_are_too_odd(words in proptest::collection::vec("-{0,3}[a-zA-Z_0-9=é -]{0,12}", 0..8)) {
        match parse(&words) {
            Parsed::Wrong(lines) => prop_assert!(!lines.is_empty() && lines.iter().all(|line| !line.is_empty())),
            Parsed::Call(_) | Parsed::Help | Parsed::Version | Parsed::Signal(_) => {}
        }
    }
}
