//! How long an address may outlive the daemon that holds it.
//!
//! The kernel removes an address whose lifetime ends, so that a daemon that died leaves nothing for ever. It counts whole
//! seconds and is up to [`KERNEL_LATE`] late. One second, at every interval, ends before a peer may claim the address
//! wherever that comes more than 1.4 s after the daemon's end (docs/adr/0014).

use evenkeel_machine::Instant;
use std::time::Duration;

/// The lifetime of an address: the least that the kernel can count.
pub const LENGTH: Duration = Duration::from_secs(1);

/// How much later than told the kernel may remove an address (measured on 6.1 and 6.18 under load).
pub const KERNEL_LATE: Duration = Duration::from_millis(400);

/// At half of it, so that one renewal may be late.
const RENEWED_AFTER: Duration = Duration::from_millis(500);

/// A lease that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
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
    pub(crate) fn new(now: Instant) -> Lease {
        Lease { renewed: now }
    }

    pub(crate) fn renew_at(self) -> Instant {
        self.renewed + RENEWED_AFTER
    }

    pub(crate) fn due(self, now: Instant) -> Due {
        match now - self.renewed {
            elapsed if elapsed >= LENGTH => Due::Lapsed,
            elapsed if elapsed >= RENEWED_AFTER => Due::Renew,
            _ => Due::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_daemons_address_is_gone_before_a_peer_may_claim_it_where_adverts_are_a_second_apart() {
        let gone = LENGTH + KERNEL_LATE;
        assert!(gone <= Duration::from_millis(1700));
        for interval in [1, 2, 3, 10, 40].map(Duration::from_secs) {
            // It may have died just before it would have spoken again.
            assert!(gone < interval * 2, "{interval:?}");
        }
    }

    #[test]
    fn a_lease_is_renewed_at_half_of_it_and_lapses_at_its_end() {
        let lease = Lease::new(Instant::START);
        let after = |millis| lease.due(Instant::START + Duration::from_millis(millis));
        assert_eq!([499, 500, 999, 1000].map(after), [Due::Later, Due::Renew, Due::Renew, Due::Lapsed]);
        assert_eq!(lease.renew_at(), Instant::START + Duration::from_millis(500));
    }
}
