//! Regular expressions as Perl reads them.

use fancy_regex::{BytesMode, Regex, RegexBuilder};

/// Steps back the matcher may take.
const MAX_BACKTRACKS: usize = 100_000;

/// A compiled pattern.
#[derive(Debug)]
pub struct PerlRegex(Regex);

/// Whether the text matches could not be decided within the bound of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooCostly;

/// Compiles `pattern`; the error says what of it is no pattern.
pub fn compile(pattern: &str) -> Result<PerlRegex, String> {
    RegexBuilder::new(pattern)
        .bytes_mode(BytesMode::Ascii)
        .backtrack_limit(MAX_BACKTRACKS)
        .build()
        .map(PerlRegex)
        .map_err(|error| error.to_string())
}

impl PerlRegex {
    /// Whether `text` matches anywhere.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, TooCostly> {
        self.0.is_match(text).map_err(|_| TooCostly)
    }
}
