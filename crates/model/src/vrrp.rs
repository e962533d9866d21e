//! What a VRRP instance is called and how it is told from others.

use std::{fmt, num::NonZeroU8, time::Duration};

/// Number of a virtual router on its link, 1 to 255 (RFC 9568 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// `None` for 0.
    pub fn new(raw: u8) -> Option<Vrid> {
        NonZeroU8::new(raw).map(Vrid)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Priority of a router in an election: 255 owns the addresses, 1 to 254 are backups by choice (RFC 9568 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// Of the router whose own addresses these are; it is master whenever it lives.
    pub const OWNER: Priority = Priority(NonZeroU8::MAX);
    /// What a router has when nothing is written.
    pub const DEFAULT: Priority = Priority(NonZeroU8::new(100).expect("100 is not 0"));

    /// `None` for 0, which only says that a master leaves.
    pub fn new(raw: u8) -> Option<Priority> {
        NonZeroU8::new(raw).map(Priority)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0.get()
    }

    /// After what is tracked has added or taken `by`: 1 to 254, as only an owner may say 255. An owner keeps 255.
    pub fn adjusted(self, by: i32) -> Priority {
        if self == Priority::OWNER {
            return self;
        }
        let sum = i32::from(self.get()).saturating_add(by).clamp(1, 254);
        u8::try_from(sum).ok().and_then(Priority::new).unwrap_or(self)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The versions of VRRP that are spoken; they never mix on one virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VrrpVersion {
    /// RFC 3768: IPv4, whole seconds, a password or none. Keepalived's default.
    Two,
    /// RFC 9568 and 5798: IPv4 and IPv6, hundredths of a second.
    Three,
}

impl VrrpVersion {
    /// As it stands in a packet.
    pub fn number(self) -> u8 {
        match self {
            VrrpVersion::Two => 2,
            VrrpVersion::Three => 3,
        }
    }
}

/// Time between two advertisements of a master, as the version of the protocol can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertInterval(Duration);

impl AdvertInterval {
    /// What a router has when nothing is written.
    pub const DEFAULT: AdvertInterval = AdvertInterval(Duration::from_secs(1));

    /// `None` where the version cannot say it: version 2 whole seconds from 1 to 255, version 3 hundredths from 10 ms
    /// to 40.95 s.
    pub fn new(version: VrrpVersion, interval: Duration) -> Option<AdvertInterval> {
        let (unit, most) = match version {
            VrrpVersion::Two => (Duration::from_secs(1), 255),
            VrrpVersion::Three => (Duration::from_millis(10), 4095),
        };
        let whole = interval.as_nanos().is_multiple_of(unit.as_nanos());
        let units = interval.as_nanos() / unit.as_nanos();
        (whole && (1..=most).contains(&units)).then_some(AdvertInterval(interval))
    }

    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_stays_below_that_of_an_owner_whatever_is_tracked() {
        let base = Priority::DEFAULT;
        assert_eq!(base.adjusted(400).get(), 254);
        assert_eq!(base.adjusted(-400).get(), 1);
        assert_eq!(base.adjusted(-20).get(), 80);
        assert_eq!(Priority::OWNER.adjusted(-20), Priority::OWNER);
    }

    #[test]
    fn an_interval_is_what_a_packet_can_say() {
        let of = |version, millis| AdvertInterval::new(version, Duration::from_millis(millis)).is_some();
        assert!(of(VrrpVersion::Two, 1000) && of(VrrpVersion::Two, 255_000));
        assert!(!of(VrrpVersion::Two, 1500) && !of(VrrpVersion::Two, 256_000) && !of(VrrpVersion::Two, 0));
        assert!(of(VrrpVersion::Three, 10) && of(VrrpVersion::Three, 40_950));
        assert!(!of(VrrpVersion::Three, 5) && !of(VrrpVersion::Three, 40_960) && !of(VrrpVersion::Three, 15));
    }
}
