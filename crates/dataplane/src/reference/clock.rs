//! Time as the reference counts it.

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// In ticks; goes on beyond what a tick of the program can hold.
    pub(super) now: u64,
    pub(super) ticks_per_second: u32,
}

impl Clock {
    pub(super) fn ticks(self, seconds: u32) -> u64 {
        u64::from(seconds) * u64::from(self.ticks_per_second)
    }

    /// Whether more than `seconds` have gone since.
    pub(super) fn is_past(self, since: u64, seconds: u32) -> bool {
        self.idle(since) > self.ticks(seconds)
    }

    /// Ticks since.
    pub(super) fn idle(self, since: u64) -> u64 {
        self.now.saturating_sub(since)
    }

    /// Whole seconds of `seconds` since `since` that are left.
    pub(super) fn left(self, since: u64, seconds: u32) -> u32 {
        let gone = self.idle(since) / u64::from(self.ticks_per_second.max(1));
        seconds.saturating_sub(u32::try_from(gone).unwrap_or(u32::MAX))
    }
}
