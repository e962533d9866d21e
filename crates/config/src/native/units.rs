//! Durations, sizes and shares as the native file writes them.

use std::time::Duration;

/// No duration of a configuration is longer: a hundred years.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// `500ms`, `3s`, `1m30s`; `None` when it is none of these or longer than [`LONGEST`].
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(u128::from(number.parse::<u64>().ok()?) * u128::from(*nanoseconds))?;
        rest = tail;
    }
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    let duration = Duration::new(seconds, (total % 1_000_000_000) as u32);
    (duration <= LONGEST).then_some(duration)
}

/// The shortest text [`duration`] reads as the same.
pub(crate) fn duration_text(duration: Duration) -> String {
    let mut left = duration.as_nanos();
    if left == 0 {
        return "0s".to_owned();
    }
    // 90s reads better than 1m30s: the largest unit that divides it, or the parts when none but the smallest does.
    for (name, nanoseconds) in &UNITS[..5] {
        if left.is_multiple_of(u128::from(*nanoseconds)) {
            return format!("{}{name}", left / u128::from(*nanoseconds));
        }
    }
    let mut text = String::new();
    for (name, nanoseconds) in &UNITS[3..] {
        let count = left / u128::from(*nanoseconds);
        left %= u128::from(*nanoseconds);
        if count > 0 {
            text += &format!("{count}{name}");
        }
    }
    text
}

/// `64KiB`, `1MiB`, `500`; bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The shortest text [`size`] reads as the same.
pub(crate) fn size_text(bytes: u64) -> String {
    if bytes > 0 && bytes.is_multiple_of(1 << 20) {
        format!("{}MiB", bytes >> 20)
    } else if bytes > 0 && bytes.is_multiple_of(1 << 10) {
        format!("{}KiB", bytes >> 10)
    } else {
        format!("{bytes}B")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("1d"), Some(Duration::from_secs(86_400)));
        for wrong in ["", "5", "s", "1 s", "-1s", "1.5s", "1S", "1x", "99999999999999999999s", "40000d", "1µs"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
        assert_eq!(duration_text(Duration::from_secs(7200)), "2h");
        assert_eq!(duration_text(Duration::from_micros(1_500)), "1ms500us");
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("500"), Some(500));
        assert_eq!(size("5 MiB"), Some(5 << 20));
        assert_eq!(size("x"), None);
        assert_eq!(size_text(65_536), "64KiB");
        assert_eq!(size_text(0), "0B");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(seconds in 0..LONGEST.as_secs(), nanoseconds in 0..1_000_000_000u32, bytes: u32) {
            let value = Duration::new(seconds, nanoseconds);
            prop_assert_eq!(duration(&duration_text(value)), Some(value));
            prop_assert_eq!(size(&size_text(u64::from(bytes))), Some(u64::from(bytes)));
        }
    }
}
