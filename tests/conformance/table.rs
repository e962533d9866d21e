//! Tables of cases that are played: `case NAME`, a line that says who plays, and a line for each input, with what is then said
//! behind a bar. Included by the tests that play them.

#![allow(clippy::expect_used, reason = "a table that cannot be read is a test that has failed")]

use std::time::Duration;

/// A case of a table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Words of who plays.
    pub(crate) player: Vec<&'static str>,
    pub(crate) steps: Vec<Step>,
}

/// A line of a case.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// As it is written, for whoever has to understand a failure.
    pub(crate) line: &'static str,
    pub(crate) input: Vec<&'static str>,
    /// What is said.
    pub(crate) wanted: &'static str,
}

/// Reads a table; the line of who plays begins with `player`.
pub(crate) fn read(table: &'static str, player: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("case ") {
            cases.push(Case { name, player: Vec::new(), steps: Vec::new() });
            continue;
        }
        let case = cases.last_mut().expect("a case");
        let (input, wanted) = line.split_once('|').map_or((line, ""), |(input, wanted)| (input, wanted.trim()));
        let input: Vec<&str> = input.split_whitespace().collect();
        match input.split_first() {
            Some((first, words)) if *first == player => case.player = words.to_vec(),
            _ => case.steps.push(Step { line, input, wanted }),
        }
    }
    assert!(cases.iter().all(|case| !case.player.is_empty() && !case.steps.is_empty()), "who plays what in each case");
    cases
}

/// A time as tables have it, to the nanosecond.
pub(crate) fn seconds(text: &str) -> Duration {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let nanoseconds = format!("{part:0<9}").parse().expect("nine digits at most");
    Duration::new(whole.parse().expect("seconds"), nanoseconds)
}
