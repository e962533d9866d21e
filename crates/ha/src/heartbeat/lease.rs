//! For how long the kernel keeps an address that nobody renews.
//!
//! The peer claims it a dead time after the last status it heard. Renewed just before each status, it has to be gone by
//! then, and as late as can be. The kernel counts whole seconds, and looks at lifetimes (`check_lifetime`,
//! `addrconf_verify_rtnl`) by a timer that is the coarser the further away it is. It looks at the end of the preferred
//! lifetime too, which means nothing for IPv4 and for connections from outside: put a little before the end, it has the
//! kernel set its timer once more, from near.
//!
//! Ends after the whole seconds of the lease, measured at HZ=250, eight of each, IPv4 and IPv6 alike: 30 s 0.7-1.7 s late;
//! preferred for 24-26 s of the 30 0.0-0.4 s; 10 s 0.0-0.6 s; 3 s 0.0-0.6 s; 1 s 0.0-0.3 s, and up to 0.8 s while hundreds
//! of others ended.

use std::time::Duration;

/// A timer is late by up to this part of the time that it was set for.
const COARSE: u32 = 8;
/// A look is put off to a whole second of the kernel's if that is less than this away.
const ROUNDED: Duration = Duration::from_millis(250);
/// Between two looks there is at least so much.
const BETWEEN: Duration = Duration::from_secs(1);
/// And then it has to run.
const BUSY: Duration = Duration::from_millis(150);
/// Longer ones gain nothing, however long the dead time is.
const LONGEST: Duration = Duration::from_mins(10);
const SECOND: Duration = Duration::from_secs(1);

/// Lifetimes of an address, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// When it is removed.
    pub(crate) valid: Duration,
    /// When the kernel looks before that.
    pub(crate) preferred: Duration,
}

impl Lease {
    /// The longest that is over by the end of `deadtime`; one second where that is not to be had.
    pub(crate) fn within(deadtime: Duration) -> Lease {
        let longest = deadtime.min(LONGEST).as_secs();
        let mut all = (1..=longest).rev().map(|valid| Lease::of(Duration::from_secs(valid)));
        all.find(|lease| lease.ends() <= deadtime).unwrap_or(Lease { valid: SECOND, preferred: SECOND })
    }

    /// The one of this length that ends soonest.
    fn of(valid: Duration) -> Lease {
        let looks = (1..=valid.as_secs()).rev().map(|seconds| Lease { valid, preferred: Duration::from_secs(seconds) });
        looks.min_by_key(|lease| lease.ends()).unwrap_or(Lease { valid, preferred: valid })
    }

    /// How long after it was renewed the address is gone at the latest.
    fn ends(self) -> Duration {
        let late = |set_for: Duration| set_for + set_for / COARSE;
        let first = late(self.preferred) + ROUNDED;
        if self.preferred == self.valid {
            return first + BUSY;
        }
        let second = self.preferred + late(self.valid - self.preferred) + ROUNDED;
        second.max(first + late(BETWEEN)) + BUSY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_before_the_peer_may_claim_and_not_long_before() {
        let table = [
            (150, (1, 1)),
            (600, (1, 1)),
            (1_500, (1, 1)),
            (2_000, (1, 1)),
            (3_000, (2, 2)),
            (5_000, (4, 2)),
            (10_000, (9, 7)),
            (30_000, (29, 25)),
            (60_000, (58, 51)),
            (86_400_000, (600, 539)),
        ];
        for (dead, (valid, preferred)) in table {
            let lease = Lease::within(Duration::from_millis(dead));
            assert_eq!(
                (lease.valid.as_secs(), lease.preferred.as_secs()),
                (valid, preferred),
                "{dead} ms: {:?}",
                lease.ends()
            );
        }
    }

    #[test]
    fn every_dead_time_from_1_6_s_has_a_lease_that_is_over_by_then() {
        for dead in (1_600..120_000).step_by(100).map(Duration::from_millis) {
            let lease = Lease::within(dead);
            assert!(lease.ends() <= dead, "{dead:?} {lease:?}");
            assert!(lease.preferred <= lease.valid);
        }
    }
}
