//! Holds fragments that came before the first one of their packet (docs/packet-path.md, PP-50). Pure: it is given times and
//! frames.

use evenkeel_abi::fragment::Fragment;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Packets that are held at most.
pub(crate) const PACKETS: usize = 256;
/// Bytes of one packet.
pub(crate) const BYTES: usize = 64 * 1024;
/// Fragments of one packet.
pub(crate) const FRAGMENTS: usize = 16;
/// How long one is held.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A fragment's key, in an order.
type Key = ([u32; 4], [u32; 4], u32, u16, u16);

fn order(key: &Fragment) -> Key {
    (key.source, key.destination, key.identification, key.protocol, key.family)
}

struct Packet {
    key: Fragment,
    since: Instant,
    frames: Vec<Vec<u8>>,
}

/// See above.
#[derive(Default)]
pub(crate) struct Early {
    packets: BTreeMap<Key, Packet>,
}

impl Early {
    /// Holds a frame; whether there was room for it.
    pub(crate) fn hold(&mut self, now: Instant, frame: Vec<u8>) -> bool {
        self.expire(now);
        let Some(key) = key(&frame) else { return false };
        let full = self.packets.len() >= PACKETS;
        let packet = match self.packets.entry(order(&key)) {
            std::collections::btree_map::Entry::Vacant(_) if full => return false,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(Packet { key, since: now, frames: Vec::new() })
            }
            std::collections::btree_map::Entry::Occupied(place) => place.into_mut(),
        };
        let bytes: usize = packet.frames.iter().map(Vec::len).sum();
        if packet.frames.len() >= FRAGMENTS || bytes + frame.len() > BYTES {
            return false;
        }
        packet.frames.push(frame);
        true
    }

    /// The packets whose fragments are held.
    pub(crate) fn waiting(&mut self, now: Instant) -> Vec<Fragment> {
        self.expire(now);
        self.packets.values().map(|packet| packet.key).collect()
    }

    /// Gives up the fragments of a packet, in the order they came.
    pub(crate) fn release(&mut self, key: &Fragment) -> Vec<Vec<u8>> {
        self.packets.remove(&order(key)).map(|packet| packet.frames).unwrap_or_default()
    }

    fn expire(&mut self, now: Instant) {
        self.packets.retain(|_, packet| now.saturating_duration_since(packet.since) < PATIENCE);
    }
}

fn word(frame: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(frame.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn words(frame: &[u8], at: usize) -> Option<[u32; 4]> {
    Some([word(frame, at)?, word(frame, at + 4)?, word(frame, at + 8)?, word(frame, at + 12)?])
}

/// What the program notes the frame's packet by; `None`: it is no fragment.
pub(crate) fn key(frame: &[u8]) -> Option<Fragment> {
    const IP: usize = 14;
    match frame.get(12..14)? {
        [8, 0] => {
            let identification = u32::from(u16::from_ne_bytes([*frame.get(IP + 4)?, *frame.get(IP + 5)?]));
            Some(Fragment {
                source: [word(frame, IP + 12)?, 0, 0, 0],
                destination: [word(frame, IP + 16)?, 0, 0, 0],
                identification,
                protocol: u16::from(*frame.get(IP + 9)?),
                family: 4,
            })
        }
        [0x86, 0xdd] => {
            let (mut next, mut at) = (*frame.get(IP + 6)?, IP + 40);
            for _ in 0..6 {
                match next {
                    44 => {
                        let (source, destination) = (words(frame, IP + 8)?, words(frame, IP + 24)?);
                        let identification = word(frame, at + 4)?;
                        return Some(Fragment { source, destination, identification, protocol: 0, family: 6 });
                    }
                    0 | 43 | 60 => {
                        next = *frame.get(at)?;
                        at += (usize::from(*frame.get(at + 1)?) + 1) * 8;
                    }
                    _ => return None,
                }
            }
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(identification: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0; 14 + 20 + length];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[19] = identification;
        frame[23] = 17;
        frame
    }

    #[test]
    fn fragments_of_a_packet_come_out_together_in_their_order() {
        let (mut early, now) = (Early::default(), Instant::now());
        for length in [8, 16] {
            assert!(early.hold(now, frame(1, length)));
            assert!(early.hold(now, frame(2, length)));
        }
        let waiting = early.waiting(now);
        assert_eq!(waiting.len(), 2);
        let sizes: Vec<usize> = early.release(&waiting[0]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [42, 50]);
        assert_eq!(early.waiting(now).len(), 1);
        assert!(early.release(&waiting[0]).is_empty());
    }

    #[test]
    fn every_bound_is_kept() {
        let (mut early, now) = (Early::default(), Instant::now());
        let held = (0..20).filter(|_| early.hold(now, frame(1, 8))).count();
        assert_eq!(held, FRAGMENTS);
        let held = (0..70).filter(|_| early.hold(now, frame(2, 8 * 1024))).count();
        assert_eq!(held, 7, "the eighth would be past 64 KiB with its headers");
        let mut many = (0..300u16).map(|n| {
            let mut frame = frame(0, 8);
            frame[26..28].copy_from_slice(&n.to_be_bytes());
            frame
        });
        assert_eq!(many.by_ref().filter(|frame| early.hold(now, frame.clone())).count(), PACKETS - 2);
    }

    #[test]
    fn patience_ends() {
        let (mut early, now) = (Early::default(), Instant::now());
        early.hold(now, frame(1, 8));
        assert_eq!(early.waiting(now + PATIENCE - Duration::from_millis(1)).len(), 1);
        assert!(early.waiting(now + PATIENCE).is_empty());
    }

    #[test]
    fn what_is_no_fragment_is_not_held() {
        let mut arp = frame(1, 8);
        arp[13] = 6;
        assert!(!Early::default().hold(Instant::now(), arp));
    }
}
