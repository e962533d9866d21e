//! How often something may be done: evenly, with a small burst after a pause.

use std::time::Duration;

use evenkeel_machine::Instant;

/// Grants turns at a bounded rate.
#[derive(Debug)]
pub(super) struct Pace {
    spacing: Duration,
    burst: Duration,
    /// The time up to which turns are given away; at most `burst` ahead of now.
    spent: Duration,
}

impl Pace {
    pub(super) fn new(spacing: Duration, burst: u32) -> Pace {
        Pace { spacing, burst: spacing.saturating_mul(burst), spent: Duration::ZERO }
    }

    /// Takes a turn if there is one at `now`.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let now = now.since_start();
        let from = self.spent.max(now);
        if from > now + self.burst {
            return false;
        }
        self.spent = from + self.spacing;
        true
    }

    /// When there is a turn next.
    pub(super) fn next(&self) -> Instant {
        Instant::at(self.spent.saturating_sub(self.burst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_a_burst_and_then_evenly() {
        let mut pace = Pace::new(Duration::from_millis(1), 4);
        let mut now = Instant::at(Duration::from_secs(1));
        let first = (0..100).filter(|_| pace.take(now)).count();
        assert_eq!(first, 5);
        let mut later = 0;
        for _ in 0..100 {
            now = pace.next();
            later += u32::from(pace.take(now)) + u32::from(pace.take(now));
        }
        assert_eq!(later, 100);
        assert_eq!(now, Instant::at(Duration::from_millis(1100)));
        let mut fresh = Pace::new(Duration::from_millis(1), 4);
        assert_eq!((0..100).filter(|_| fresh.take(Instant::START)).count(), 5, "also at the very start");
    }
}
