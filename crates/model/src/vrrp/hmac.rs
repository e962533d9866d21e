//! Keyed hashes behind advertisements: `auth_hmac` of keepalived 2.4.

use super::AdvertInterval;
use std::{collections::BTreeMap, fmt, num::NonZeroU8, ops::RangeInclusive, time::Duration};

/// A key that the routers of a virtual router share.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey(Vec<u8>);

impl HmacKey {
    /// How many bytes a key has.
    pub const LENGTHS: RangeInclusive<usize> = 32..=64;

    /// `None` for a key that is too short or too long.
    pub fn new(bytes: Vec<u8>) -> Option<HmacKey> {
        HmacKey::LENGTHS.contains(&bytes.len()).then_some(HmacKey(bytes))
    }

    /// The secret itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HmacKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(..)")
    }
}

/// What is sent, and what is heard without a hash. A hash that is there is judged in every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacMode {
    /// Nothing is signed; advertisements without a hash count.
    ReceiveOnly,
    /// All is signed; advertisements without a hash count.
    Permissive,
    /// All is signed; advertisements without a hash are dropped.
    Enforce,
}

/// How a repeated advertisement is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AntiReplay {
    /// By its time, which is within the window of this node's, and after the last of its sender.
    Time,
    /// By its time being after the last of its sender; clocks need not agree.
    Monotonic,
}

/// `auth_hmac` of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hmac {
    /// By the number that stands in each advertisement; all are good for what is heard.
    pub keys: BTreeMap<NonZeroU8, HmacKey>,
    /// The key that signs; one of `keys`. `None`: nothing is signed, which only [`HmacMode::ReceiveOnly`] allows.
    pub active: Option<NonZeroU8>,
    /// What is sent and asked for.
    pub mode: HmacMode,
    /// How far the time of an advertisement may be from this node's, 1 to 300 s.
    pub window: Duration,
    /// How a repeated one is told.
    pub anti_replay: AntiReplay,
}

impl Hmac {
    /// The shortest and the longest window.
    pub const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

    /// The window where nothing is said: three times the whole seconds of an interval, and at least 5 s.
    pub fn usual_window(interval: AdvertInterval) -> Duration {
        Duration::from_secs(interval.get().as_secs() * 3).clamp(Duration::from_secs(5), *Hmac::WINDOWS.end())
    }

    /// The key that signs, and its number; `None` where nothing is signed.
    pub fn signs(&self) -> Option<(NonZeroU8, &HmacKey)> {
        if self.mode == HmacMode::ReceiveOnly {
            return None;
        }
        self.active.and_then(|id| Some((id, self.keys.get(&id)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::Version;

    #[test]
    fn a_key_has_32_to_64_bytes_and_is_not_shown() {
        let made = |length| HmacKey::new(vec![b'k'; length]);
        assert_eq!([31, 32, 64, 65].map(|length| made(length).is_some()), [false, true, true, false]);
        assert_eq!(format!("{:?}", made(32)), "Some(HmacKey(..))");
    }

    #[test]
    fn the_usual_window_follows_the_interval() {
        let window = |millis| {
            Hmac::usual_window(AdvertInterval::nearest(Version::Three, Duration::from_millis(millis))).as_millis()
        };
        assert_eq!([100, 1000, 2000, 2900, 40_950].map(window), [5000, 5000, 6000, 6000, 120_000]);
        let longest = AdvertInterval::nearest(Version::Two, Duration::from_secs(255));
        assert_eq!(Hmac::usual_window(longest), Duration::from_secs(300));
    }
}
