//! Keyed hashes behind messages, as keepalived 2.4 has them (`auth_hmac`, draft-cassen-vrrp-auth-hmac).
//!
//! ```text
//!  message   1   key   0 0   seconds, 4 bytes   fraction, 2   counter, 2   hash, 16
//! ```
//!
//! The hash is the first half of an HMAC-SHA256 over a pseudo header, the message with a checksum of 0, and these 28
//! bytes with a hash of 0. Time and counter are one number of 64 bits that only grows, and is compared as RFC 1982 does.

use crate::Reason;
use evenkeel_model::vrrp::{AntiReplay, Hmac, HmacKey, HmacMode};
use hmac::{Mac, digest::InvalidLength};
use sha2::Sha256;
use std::{net::IpAddr, num::NonZeroU8, time::Duration};

/// Bytes that follow a message.
pub const LENGTH: usize = 28;
/// Senders whose last sequence number is kept; the one heard longest ago makes room.
pub const MARKS: usize = 16;

const TYPE: u8 = 1;
const PREFIX: usize = 12;
const TAG: usize = LENGTH - PREFIX;
/// Where a message has its checksum.
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// A time of day as a signature says it: seconds since 1970 in UTC, modulo 2^32, and a fraction in 65536ths; with room
/// for a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time that is `since` after the beginning of 1970 (UTC).
    pub fn new(since: Duration) -> Timestamp {
        Timestamp(span(since))
    }

    /// Whole seconds since 1970, modulo 2^32.
    pub(crate) fn seconds(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }

    /// How far it is after `other`; negative: before. RFC 1982: right for 68 years either way.
    fn after(self, other: Timestamp) -> i64 {
        self.0.wrapping_sub(other.0) as i64
    }

    /// The same in whole seconds, by which keepalived judges windows.
    fn seconds_after(self, other: Timestamp) -> i32 {
        self.seconds().wrapping_sub(other.seconds()) as i32
    }
}

/// In units of 2^-32 s, the last 16 bits zero; years wrap.
fn span(time: Duration) -> u64 {
    let fraction = u64::from(time.subsec_nanos()) * 65_536 / 1_000_000_000;
    time.as_secs() << 32 | fraction << 16
}

/// A length of time to compare [`Timestamp::seconds_after`] with.
fn bound(window: Duration) -> i32 {
    i32::try_from(window.min(*Hmac::WINDOWS.end()).as_secs()).unwrap_or(i32::MAX)
}

/// Signs what one instance sends.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    id: NonZeroU8,
    key: HmacKey,
    anti_replay: AntiReplay,
    window: i32,
    now: Timestamp,
    last: Option<Timestamp>,
}

impl Signer {
    /// `None` where nothing is signed.
    pub(crate) fn new(hmac: &Hmac) -> Option<Signer> {
        let (id, key) = hmac.signs()?;
        let window = bound(hmac.window);
        let (anti_replay, now) = (hmac.anti_replay, Timestamp::default());
        Some(Signer { id, key: key.clone(), anti_replay, window, now, last: None })
    }

    /// Goes on where `before` was.
    pub(crate) fn after(self, before: Option<Signer>) -> Signer {
        let Some(before) = before else { return self };
        Signer { now: before.now, last: before.last, ..self }
    }

    pub(crate) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// What follows `message`, which `source` sends.
    pub(crate) fn sign(&mut self, message: &[u8], source: IpAddr) -> [u8; LENGTH] {
        let sequence = self.next();
        let mut trailer = [0; LENGTH];
        let (prefix, tag) = trailer.split_at_mut(PREFIX);
        let [s0, s1, s2, s3, f0, f1, c0, c1] = sequence.0.to_be_bytes();
        prefix.copy_from_slice(&[TYPE, self.id.get(), 0, 0, s0, s1, s2, s3, f0, f1, c0, c1]);
        // A key of a wrong length cannot be, and a hash of zeros proves nothing to anybody.
        if let Ok(mac) = digest(&self.key, message, prefix, source) {
            let whole = mac.finalize().into_bytes();
            tag.iter_mut().zip(whole).for_each(|(place, byte)| *place = byte);
        }
        trailer
    }

    /// After the last one always, unless a clock was put back so far that nobody would take that for a time of today.
    fn next(&mut self) -> Timestamp {
        let next = match self.last {
            Some(last) if self.now.after(last) <= 0 => {
                let behind = last.seconds_after(self.now);
                let holds = self.anti_replay == AntiReplay::Monotonic || behind <= self.window;
                if holds { Timestamp(last.0.wrapping_add(1)) } else { self.now }
            }
            Some(_) | None => self.now,
        };
        self.last = Some(next);
        next
    }
}

/// Judges what one instance hears.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verifier {
    now: Timestamp,
    marks: [Option<Mark>; MARKS],
    heard: u64,
}

/// The last sequence number of a sender.
#[derive(Clone, Copy, Debug)]
struct Mark {
    address: IpAddr,
    sequence: Timestamp,
    /// Which signature was its last.
    heard: u64,
}

impl Verifier {
    pub(crate) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Judges the `trailer` behind `message` from `source`.
    pub(crate) fn verify(&mut self, hmac: &Hmac, message: &[u8], trailer: &[u8], source: IpAddr) -> Result<(), Reason> {
        if trailer.is_empty() {
            return if hmac.mode == HmacMode::Enforce { Err(Reason::Unsigned) } else { Ok(()) };
        }
        let whole: &[u8; LENGTH] = trailer.try_into().map_err(|_| Reason::TrailerLength)?;
        let (prefix, tag) = whole.split_at(PREFIX);
        let [kind, id, r0, r1, s0, s1, s2, s3, f0, f1, c0, c1, ..] = *whole;
        if kind != TYPE {
            return Err(Reason::TrailerType);
        }
        if (r0, r1) != (0, 0) {
            return Err(Reason::TrailerReserved);
        }
        let sequence = Timestamp(u64::from_be_bytes([s0, s1, s2, s3, f0, f1, c0, c1]));
        // What is old costs no hash; nothing is believed yet.
        self.judge_time(hmac, sequence)?;
        let key = NonZeroU8::new(id).and_then(|id| hmac.keys.get(&id)).ok_or(Reason::UnknownKey)?;
        let mac = digest(key, message, prefix, source).map_err(|_| Reason::Hash)?;
        // In a time that does not tell how much of it is right.
        mac.verify_truncated_left(tag).map_err(|_| Reason::Hash)?;
        self.judge_order(hmac, sequence, source)
    }

    fn judge_time(&self, hmac: &Hmac, sequence: Timestamp) -> Result<(), Reason> {
        let window = bound(hmac.window);
        match hmac.anti_replay {
            AntiReplay::Time if self.now.seconds_after(sequence) > window => Err(Reason::Stale),
            AntiReplay::Time if sequence.seconds_after(self.now) > window => Err(Reason::Future),
            AntiReplay::Time | AntiReplay::Monotonic => Ok(()),
        }
    }

    fn judge_order(&mut self, hmac: &Hmac, sequence: Timestamp, source: IpAddr) -> Result<(), Reason> {
        let by_time = hmac.anti_replay == AntiReplay::Time;
        let window = bound(hmac.window);
        let known = self.marks.iter().position(|mark| mark.is_some_and(|mark| mark.address == source));
        let mark = known.and_then(|at| self.marks.get(at).copied().flatten());
        // A mark that is still to come is of a clock that has been put back since.
        let mark = mark.filter(|mark| !by_time || mark.sequence.seconds_after(self.now) <= window);
        if mark.is_some_and(|mark| sequence.after(mark.sequence) <= 0) {
            return Err(Reason::Replay);
        }
        self.heard += 1;
        let oldest = || (0..MARKS).min_by_key(|&at| self.marks.get(at).copied().flatten().map_or(0, |mark| mark.heard));
        if let Some(place) = known.or_else(oldest).and_then(|at| self.marks.get_mut(at)) {
            *place = Some(Mark { address: source, sequence, heard: self.heard });
        }
        Ok(())
    }
}

/// Over all that is signed. A message has a header of 8 bytes.
fn digest(key: &HmacKey, message: &[u8], prefix: &[u8], source: IpAddr) -> Result<hmac::Hmac<Sha256>, InvalidLength> {
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(key.bytes())?;
    mac.update(&pseudo_header(message, source));
    mac.update(message.get(..CHECKSUM.start).unwrap_or_default());
    mac.update(&[0; 2]);
    mac.update(message.get(CHECKSUM.end..).unwrap_or_default());
    mac.update(prefix);
    mac.update(&[0; TAG]);
    Ok(mac)
}

/// Family (4 or 6), version, virtual router, 0, and the address of the sender; one of IPv4 is followed by zeros.
fn pseudo_header(message: &[u8], source: IpAddr) -> [u8; 20] {
    let mut header = [0; 20];
    let (fields, address) = header.split_at_mut(4);
    let version = message.first().map_or(0, |first| first >> 4);
    let vrid = message.get(1).copied().unwrap_or(0);
    let mut write = |family, octets: &[u8]| {
        fields.copy_from_slice(&[family, version, vrid, 0]);
        address.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    };
    match source {
        IpAddr::V4(four) => write(4, &four.octets()),
        IpAddr::V6(six) => write(6, &six.octets()),
    }
    header
}
