//! How long an address may outlive the daemon that holds it.
//!
//! The kernel removes an address whose lifetime ends, so that a daemon that died leaves nothing for ever. It counts whole
//! seconds and is up to [`KERNEL_LATE`] late. The lease is as long as still ends before a peer may claim the address,
//! and a second where the interval is too short for that.

use evenkeel_machine::Instant;
use std::time::Duration;

/// How much later than told the kernel may remove an address (measured on 6.1 and 6.18 under load).
pub const KERNEL_LATE: Duration = Duration::from_millis(400);

/// The least a kernel can count.
const SHORTEST: Duration = Duration::from_secs(1);

/// The lease for a master that speaks every `interval` and is given up after `down_adverts` of them.
pub fn length(interval: Duration, down_adverts: u8) -> Duration {
    let claimed_after = interval * u32::from(down_adverts);
    Duration::from_secs(claimed_after.saturating_sub(KERNEL_LATE).as_secs()).max(SHORTEST)
}

/// A lease that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    length: Duration,
    renewed: Instant,
}

/// What a lease asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Later,
    /// To be renewed.
    Renew,
    /// It was not renewed in time: the kernel may have removed the address.
    Lapsed,
}

impl Lease {
    pub(crate) fn new(now: Instant, length: Duration) -> Lease {
        Lease { length, renewed: now }
    }

    pub(crate) fn length(self) -> Duration {
        self.length
    }

    /// At half of it, so that one renewal may be late.
    pub(crate) fn renew_at(self) -> Instant {
        self.renewed + self.length / 2
    }

    pub(crate) fn due(self, now: Instant) -> Due {
        match now - self.renewed {
            elapsed if elapsed >= self.length => Due::Lapsed,
            elapsed if elapsed >= self.length / 2 => Due::Renew,
            _ => Due::Later,
        }
    }

    /// Gives the length to tell the kernel.
    pub(crate) fn renew(&mut self, now: Instant) -> Duration {
        self.renewed = now;
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_before_a_peer_may_claim_wherever_a_second_allows_it() {
        for millis in [500, 1000, 1500, 2000, 10_000, 40_950] {
            let interval = Duration::from_millis(millis);
            assert!(length(interval, 3) + KERNEL_LATE <= interval * 3, "{interval:?}");
        }
        assert_eq!(length(Duration::from_millis(10), 3), Duration::from_secs(1));
        assert_eq!(length(Duration::from_secs(1), 3), Duration::from_secs(2));
    }
}
