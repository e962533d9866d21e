//! The only place that reads clocks: the machine's time and the wall's.

use evenkeel_machine::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is due within so long is done together: for thousands of checks a second the loop would wake up for each.
const TOGETHER: Duration = Duration::from_millis(10);

/// Time since the daemon started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(tokio::time::Instant);

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Clock {
        Clock(tokio::time::Instant::now())
    }

    /// Now, as machines know it.
    pub(crate) fn now(self) -> Instant {
        Instant::at(self.0.elapsed())
    }

    /// A machine's instant as the timer of the loop wants it: not before, and less than [`TOGETHER`] after.
    pub(crate) fn timer(self, at: Instant) -> tokio::time::Instant {
        let at = at.since_start();
        let beyond = at.as_nanos() % TOGETHER.as_nanos();
        let beyond = Duration::from_nanos(u64::try_from(beyond).unwrap_or(0));
        let rest = if beyond.is_zero() { Duration::ZERO } else { TOGETHER - beyond };
        self.0 + at + rest
    }
}

/// Wall-clock time since 1970.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2026-11-20T09:59:07.204Z`.
pub(crate) fn utc(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since_1970.subsec_millis()
    )
}

/// Year, month and day of a day since 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400 years that
/// begin on the first of March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_nearly_the_same_time_has_one_timer_and_none_is_early() {
        let clock = Clock::start();
        let timer = |micros| clock.timer(Instant::at(Duration::from_micros(micros))) - clock.0;
        assert_eq!(timer(0), Duration::ZERO);
        for micros in [20_001, 23_000, 29_999, 30_000] {
            assert_eq!(timer(micros), Duration::from_millis(30));
        }
    }

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_168_747, "2026-11-20T09:59:07.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(Duration::from_secs(seconds)), text);
        }
    }
}
