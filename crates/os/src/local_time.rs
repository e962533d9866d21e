//! The time of day where this host is.

#![allow(unsafe_code, reason = "time zones are the C library's")]

use std::mem::MaybeUninit;

/// A point of time as people here write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

impl LocalTime {
    /// Of so many seconds since 1970.
    pub fn of(since_1970: u64) -> LocalTime {
        let time = libc::time_t::try_from(since_1970).unwrap_or(libc::time_t::MAX);
        let mut parts = MaybeUninit::<libc::tm>::zeroed();
        // SAFETY: both pointers are to live memory of the right types; all zeros is a valid `tm`, so that it is
        // initialised whether or not the call can make sense of the time.
        let parts = unsafe {
            libc::localtime_r(&raw const time, parts.as_mut_ptr());
            parts.assume_init()
        };
        let part = |number: libc::c_int| u8::try_from(number).unwrap_or(0);
        LocalTime {
            year: i64::from(parts.tm_year) + 1900,
            month: part(parts.tm_mon) + 1,
            day: part(parts.tm_mday),
            weekday: part(parts.tm_wday),
            hour: part(parts.tm_hour),
            minute: part(parts.tm_min),
            second: part(parts.tm_sec),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_weekday_it_had_wherever_this_is() {
        // Noon in UTC, 2026-11-18: the zones of the world are within a day of it.
        let LocalTime { year, month, day, weekday, minute, .. } = LocalTime::of(1_795_003_200);
        assert_eq!((year, month), (2026, 11));
        assert!((17..=19).contains(&day), "{day}");
        // 2026-11-18 was a Wednesday.
        assert_eq!(weekday, day - 15);
        assert!(minute % 15 == 0);
    }
}
