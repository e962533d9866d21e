//! Reads what the Rust test harness prints, and adds it up with the checks that are no Rust tests.

use std::fmt;

/// How many tests passed, failed and were skipped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Summary {
    /// Adds the outcome of one check.
    pub(crate) fn check(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Follows the lines of `cargo test -- --show-output`.
///
/// A test that cannot run prints `skipped: why` and returns; the harness calls that passed, we do not. Other output of
/// tests that passed is left out, except lines that start with `measured:`.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) total: Summary,
    in_successes: bool,
    skipped_in_binary: u64,
    running: bool,
}

impl Reader {
    /// Takes one line, and says whether it is worth showing.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if is_start(line) {
            // A binary that began and never said its result was killed: that is a failure too.
            self.finish();
            self.running = true;
            self.in_successes = false;
            self.skipped_in_binary = 0;
            return !line.contains("running 0 tests");
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.result(result);
            return !result.contains(" 0 passed; 0 failed; 0 ignored");
        }
        match line.trim_end() {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        if self.in_successes && line.starts_with("skipped: ") {
            self.skipped_in_binary += 1;
        }
        !self.in_successes || line.starts_with("skipped: ") || line.starts_with("measured: ")
    }

    /// Called at the end of the output.
    pub(crate) fn finish(&mut self) {
        if std::mem::take(&mut self.running) {
            self.total.failed += 1;
        }
    }

    fn result(&mut self, result: &str) {
        self.running = false;
        self.in_successes = false;
        let skipped = std::mem::take(&mut self.skipped_in_binary);
        let passed = count(result, " passed");
        self.total.passed += passed.saturating_sub(skipped);
        self.total.failed += count(result, " failed");
        self.total.skipped += count(result, " ignored") + skipped.min(passed);
    }
}

/// `running 3 tests`, and no other line that happens to begin so.
fn is_start(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    matches!(words.as_slice(), ["running", number, "test" | "tests"] if number.parse::<u64>().is_ok())
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    let Some((before, _)) = result.split_once(word) else { return 0 };
    before.rsplit([' ', ';']).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Summary, Vec<&str>) {
        let mut reader = Reader::default();
        let shown = text.lines().filter(|line| reader.line(line)).collect();
        reader.finish();
        (reader.total, shown)
    }

    #[test]
    fn a_test_that_says_skipped_is_not_counted_as_passed() {
        let (total, shown) = read(
            "running 2 tests\ntest a ... ok\ntest b ... ok\n\nsuccesses:\n\n---- a stdout ----\nskipped: needs root\n\n\
             successes:\n    a\n    b\n\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(total, Summary { passed: 1, failed: 0, skipped: 1 });
        assert!(shown.contains(&"skipped: needs root"));
        assert!(!shown.contains(&"    a"));
    }

    #[test]
    fn results_of_several_binaries_add_up() {
        let ok = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n";
        let bad = "running 4 tests\ntest result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured\n";
        let (total, _) = read(&format!("{ok}{bad}"));
        assert_eq!(total, Summary { passed: 4, failed: 2, skipped: 1 });
    }

    #[test]
    fn a_binary_that_dies_without_a_result_has_failed() {
        let (total, _) = read("running 3 tests\ntest a ... ok\n");
        assert_eq!(total, Summary { passed: 0, failed: 1, skipped: 0 });
    }

    #[test]
    fn output_of_a_failed_test_is_shown() {
        let (_, shown) = read("running 1 test\ntest a ... FAILED\n\nfailures:\n\n---- a stdout ----\nwhy it failed\n");
        assert!(shown.contains(&"why it failed"));
    }
}
