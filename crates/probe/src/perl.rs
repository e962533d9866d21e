//! Regular expressions as Perl reads them, for those who come from ldirectord.
//!
//! ldirectord writes `$body =~ /$receive/`, both strings of bytes. The pattern is translated here into a small core
//! (bytes, explicit sets of bytes, groups, repetitions, look-around, back references) whose meaning no flag changes, and
//! the engine, fancy-regex, matches that on bytes. So `ok$` matches "ok\n", `\w` is ASCII, `.` is one byte, as in Perl.
//! What the engine cannot do is refused with a reason, never read as something else. The one deliberate difference:
//! `\Q...\E` quotes, where Perl would take the letters Q and E because it quotes before the pattern is read.

mod escape;
mod set;
mod translate;

use fancy_regex::{BytesMode, Regex, RegexBuilder};

/// Bytes of a pattern at the most.
const MAX_PATTERN: usize = 4096;

/// Steps back the matcher may take, which bounds the time of one match to some ten milliseconds. A pattern that needs the
/// backtracking matcher takes about one a byte of body just to look at every place.
const MAX_BACKTRACKS: usize = 200_000;

/// Bytes the compiled form of a pattern may take.
const MAX_COMPILED: usize = 1 << 20;

/// Instructions of the backtracking matcher.
const MAX_PROGRAM: usize = 20_000;

/// Bytes a lazily built automaton may take.
const MAX_AUTOMATON: usize = 256 << 10;

/// A compiled pattern.
#[derive(Debug)]
pub struct PerlRegex(Regex);

/// Whether the text matches could not be decided within the bound of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooCostly;

/// Compiles `pattern`; the error says, after "pattern ...:", what of it cannot be read.
pub fn compile(pattern: &str) -> Result<PerlRegex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("longer than {MAX_PATTERN} bytes"));
    }
    let core = translate::translate(pattern.as_bytes())?;
    RegexBuilder::new(&core)
        .bytes_mode(BytesMode::Ascii)
        .backtrack_limit(MAX_BACKTRACKS)
        .delegate_size_limit(MAX_COMPILED)
        .delegate_dfa_size_limit(MAX_AUTOMATON)
        .delegate_dfa_skip_cache_capacity_check(false)
        .max_prog_size(MAX_PROGRAM)
        .build()
        .map(PerlRegex)
        .map_err(|error| refusal(&error))
}

/// The engine's error speaks of the translated pattern, which the operator has not written.
fn refusal(error: &fancy_regex::Error) -> String {
    let text = error.to_string();
    let too_big = text.contains("size limit") || text.contains("too complex") || text.contains("building NFA");
    if too_big { "too large once its repetitions are written out".to_owned() } else { text }
}

impl PerlRegex {
    /// Whether `text` matches anywhere.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, TooCostly> {
        self.0.is_match(text).map_err(|_| TooCostly)
    }

    /// Whether `text` has a match that begins at `least` or behind it, and in front of `most`.
    pub fn matches_within(&self, text: &[u8], least: usize, most: Option<usize>) -> Result<bool, TooCostly> {
        if least == 0 && most.is_none() {
            return self.is_match(text);
        }
        if least > text.len() {
            return Ok(false);
        }
        // The leftmost match is the first to begin, so it alone decides.
        let found = self.0.find_from_pos(text, least).map_err(|_| TooCostly)?;
        Ok(found.is_some_and(|found| most.is_none_or(|most| found.start() < most)))
    }
}

#[cfg(test)]
mod tests;
