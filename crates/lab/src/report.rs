//! What a load has seen, and the questions that tests and the tour ask of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Before the connection was asked for.
    pub started: Instant,
    /// After the last byte, or the error.
    pub ended: Instant,
    /// The body of an answer with status 200, else what went wrong.
    pub outcome: Result<String, String>,
}

impl Exchange {
    /// How long it took.
    pub fn duration(&self) -> Duration {
        self.ended.duration_since(self.started)
    }

    /// Whether it was answered as it should be.
    pub fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }
}

/// Requests in the order of their ends.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The requests.
    pub exchanges: Vec<Exchange>,
}

impl Report {
    /// A report of these requests.
    pub fn new(exchanges: Vec<Exchange>) -> Self {
        Self { exchanges }
    }

    /// How many requests there were.
    pub fn total(&self) -> usize {
        self.exchanges.len()
    }

    /// Those that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter().filter(|exchange| !exchange.is_ok())
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.failures().count()
    }

    /// How often each body came.
    pub fn bodies(&self) -> BTreeMap<&str, usize> {
        let mut bodies = BTreeMap::new();
        for body in self.exchanges.iter().filter_map(|exchange| exchange.outcome.as_deref().ok()) {
            *bodies.entry(body).or_insert(0) += 1;
        }
        bodies
    }

    /// The longest time without the end of a good request.
    pub fn longest_gap(&self) -> Duration {
        let good: Vec<Instant> = self.exchanges.iter().filter(|e| e.is_ok()).map(|e| e.ended).collect();
        let gaps = good.iter().zip(good.iter().skip(1)).map(|(one, next)| next.duration_since(*one));
        gaps.max().unwrap_or_default()
    }

    /// The time that 99 of 100 good requests stayed below.
    pub fn p99(&self) -> Duration {
        let good = self.exchanges.iter().filter(|exchange| exchange.is_ok());
        let mut durations: Vec<Duration> = good.map(Exchange::duration).collect();
        durations.sort();
        let place = durations.len().saturating_sub(1) * 99 / 100;
        durations.get(place).copied().unwrap_or_default()
    }

    /// How long after `moment` the last request began that does not meet `good`; nothing when all do.
    pub fn last_bad_after(&self, moment: Instant, good: impl Fn(&Exchange) -> bool) -> Option<Duration> {
        let bad = self.exchanges.iter().filter(|exchange| exchange.ended >= moment && !good(exchange));
        bad.map(|exchange| exchange.started.saturating_duration_since(moment)).max()
    }

    /// Failures that no window explains: neither under way at its begin nor begun before its end.
    pub fn failures_outside(&self, windows: &[(Instant, Instant)]) -> Vec<&Exchange> {
        let explained = |exchange: &Exchange| {
            windows.iter().any(|(begin, end)| exchange.ended >= *begin && exchange.started <= *end)
        };
        self.failures().filter(|exchange| !explained(exchange)).collect()
    }
}

/// Whether bodies alternate strictly between exactly two.
pub fn alternates(bodies: &[String]) -> bool {
    let pairs = bodies.iter().zip(bodies.iter().skip(1));
    let next_but_one = bodies.iter().zip(bodies.iter().skip(2));
    bodies.len() > 2 && pairs.into_iter().all(|(a, b)| a != b) && next_but_one.into_iter().all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(base: Instant, from: u64, to: u64, outcome: Result<&str, &str>) -> Exchange {
        Exchange {
            started: base + Duration::from_millis(from),
            ended: base + Duration::from_millis(to),
            outcome: outcome.map(str::to_owned).map_err(str::to_owned),
        }
    }

    fn texts(bodies: &[&str]) -> Vec<String> {
        bodies.iter().map(|body| (*body).to_owned()).collect()
    }

    #[test]
    fn alternation_is_strict_and_between_two() {
        assert!(alternates(&texts(&["a", "b", "a", "b"])));
        assert!(!alternates(&texts(&["a", "b", "b", "a"])));
        assert!(!alternates(&texts(&["a", "b", "c", "a"])));
        assert!(!alternates(&texts(&["a", "a"])));
    }

    #[test]
    fn the_longest_gap_is_between_good_answers() {
        let base = Instant::now();
        let report = Report::new(vec![
            exchange(base, 0, 1, Ok("a")),
            exchange(base, 5, 6, Err("refused")),
            exchange(base, 10, 11, Ok("a")),
            exchange(base, 15, 16, Ok("b")),
        ]);
        assert_eq!(report.longest_gap(), Duration::from_millis(10));
        assert_eq!((report.total(), report.failed()), (4, 1));
    }

    #[test]
    fn a_failure_outside_its_window_is_found() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let report = Report::new(vec![
            exchange(base, 90, 110, Err("under way as the window began")),
            exchange(base, 190, 400, Err("begun before its end")),
            exchange(base, 210, 220, Err("unexplained")),
        ]);
        let outside = report.failures_outside(&[(at(100), at(200))]);
        assert_eq!(outside.len(), 1);
        assert_eq!(outside[0].outcome, Err("unexplained".into()));
    }

    #[test]
    fn the_last_bad_request_counts_from_the_moment() {
        let base = Instant::now();
        let report = Report::new(vec![
            exchange(base, 0, 5, Err("before")),
            exchange(base, 130, 140, Err("after")),
            exchange(base, 150, 160, Ok("a")),
        ]);
        let moment = base + Duration::from_millis(100);
        assert_eq!(report.last_bad_after(moment, Exchange::is_ok), Some(Duration::from_millis(30)));
        assert_eq!(report.last_bad_after(base + Duration::from_millis(145), Exchange::is_ok), None);
    }
}
