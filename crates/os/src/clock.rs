//! The clock the node runs by.

use std::time::Duration;

use evenkeel_machine::Instant;
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

/// Counts the machine's [`Instant`] from the moment it was made. Never goes backwards, stands still while suspended.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Duration,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Clock {
        Clock { start: since_boot() }
    }

    /// The present instant.
    pub fn now(&self) -> Instant {
        Instant::at(since_boot().saturating_sub(self.start))
    }

    /// The instant of a moment told as time since boot, as the packet path stamps its connections.
    pub fn at_since_boot(&self, since_boot: Duration) -> Instant {
        Instant::at(since_boot.saturating_sub(self.start))
    }
}

/// CLOCK_MONOTONIC: what `bpf_ktime_get_ns` counts.
pub fn since_boot() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

/// How coarse the kernel's cheap clock is: the length of one timer tick (1/HZ).
pub fn coarse_tick() -> Duration {
    duration(clock_getres(ClockId::MonotonicCoarse))
}

fn duration(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forwards_from_its_start() {
        let clock = Clock::start();
        let first = clock.now();
        let boot = since_boot();
        let second = clock.at_since_boot(boot);
        assert!(Instant::START <= first && first <= second && second <= clock.now());
        assert_eq!(clock.at_since_boot(Duration::ZERO), Instant::START, "before the start counts as the start");
    }

    #[test]
    fn the_tick_is_one_that_linux_can_be_built_with() {
        let hz = 1_000_000_000 / coarse_tick().as_nanos().max(1);
        assert!((100..=1000).contains(&hz), "{hz} Hz");
    }
}
