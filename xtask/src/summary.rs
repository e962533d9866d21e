//! Reads what the Rust test harness prints, and adds it up with the checks that are no Rust tests.

use std::fmt;

/// How many tests passed, failed and were skipped, and which failed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    failures: Vec<String>,
}

impl Summary {
    /// Adds the outcome of one check and says how it went.
    pub(crate) fn check(&mut self, name: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                println!("test: {name}: ok");
                self.passed += 1;
            }
            Err(message) => self.fail(format!("{name}: {message}")),
        }
    }

    /// Adds something that failed and has no other outcome.
    pub(crate) fn fail(&mut self, what: String) {
        println!("test: FAILED: {what}");
        self.failed += 1;
        self.failures.push(what);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

/// What failed by name, for who only reads the last lines, and the sums.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in &self.failures {
            writeln!(f, "failed: {what}")?;
        }
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
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.total.failures.push(name.to_owned());
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
            self.total.fail("a test program that ended without a result".to_owned());
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
        assert_eq!(total, Summary { passed: 1, failed: 0, skipped: 1, failures: Vec::new() });
        assert!(shown.contains(&"skipped: needs root"));
        assert!(!shown.contains(&"    a"));
    }

    #[test]
    fn results_of_several_binaries_add_up() {
        let ok = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n";
        let bad = "running 4 tests\ntest result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured\n";
        let (total, _) = read(&format!("{ok}{bad}"));
        assert_eq!(total, Summary { passed: 4, failed: 2, skipped: 1, failures: Vec::new() });
    }

    #[test]
    fn a_binary_that_dies_without_a_result_has_failed() {
        let (total, _) = read("running 3 tests\ntest a ... ok\n");
        assert_eq!(
            total.to_string(),
            "failed: a test program that ended without a result\n0 passed, 1 failed, 0 skipped"
        );
    }

    #[test]
    fn a_failed_test_is_shown_and_named_at_the_end() {
        let (total, shown) = read(
            "running 1 test\ntest a ... FAILED\n\nfailures:\n\n---- a stdout ----\nwhy it failed\n\n\
             test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured\n",
        );
        assert!(shown.contains(&"why it failed"));
        assert_eq!(total.to_string(), "failed: a\n0 passed, 1 failed, 0 skipped");
    }
}
