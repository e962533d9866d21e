//! The real server's side of tunnels (PP-48): what becomes of a frame that comes in, and of one that goes out.

use super::{
    header,
    routes::{Routes, Towards},
    wire::{ETHERNET, TCP, UDP, array, carried, number, put},
};
use std::{collections::BTreeMap, net::IpAddr};

/// What holds for a virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest TCP segment that is asked of clients; 0: whatever the host likes.
    pub mss: u16,
    /// UDP port of GUE.
    pub gue_port: u16,
}

/// A real server's host.
#[derive(Clone, Debug, Default)]
pub struct Unwrapper {
    vips: BTreeMap<IpAddr, Limits>,
    routes: Routes,
}

impl Unwrapper {
    /// A host that forwards by these routes and has these virtual addresses.
    pub fn new(routes: Routes, vips: impl IntoIterator<Item = (IpAddr, Limits)>) -> Unwrapper {
        Unwrapper { vips: vips.into_iter().collect(), routes }
    }

    /// A frame that has come in, as the host's stack gets it.
    pub fn take_in(&self, frame: &[u8]) -> Vec<u8> {
        self.unwrapped(frame).unwrap_or_else(|| frame.to_vec())
    }

    fn unwrapped(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let ip = frame.get(ETHERNET..)?;
        let (v6, from, protocol) = match (array(frame, 12)?, array(ip, 0)?) {
            ([0x08, 0x00], [first]) if first >> 4 == 4 && first & 15 >= 5 => {
                let is_fragment = number(ip, 6)? & 0x3fff != 0;
                (false, usize::from(first & 15) * 4, (!is_fragment).then_some(*ip.get(9)?)?)
            }
            ([0x86, 0xdd], [first]) if first >> 4 == 6 => (true, 40, *ip.get(6)?),
            (_, _) => return None,
        };
        let carried = ip.get(from..)?;
        let (shim, port) = shim(protocol, carried)?;
        let inner = carried.get(shim..)?;
        let version = *inner.first()? >> 4;
        if version != 4 && version != 6 {
            return None;
        }
        let is_named = match protocol {
            4 => version == 4,
            41 => version == 6,
            GRE => carried.get(2..4)? == if version == 4 { [0x08, 0x00] } else { [0x86, 0xdd] },
            // Variant 0 names it, variant 1 is it.
            _ => shim == 8 || *carried.get(9)? == if version == 4 { 4 } else { 41 },
        };
        let to = address(inner, version == 6, 1)?;
        let limits = self.vips.get(&to)?;
        let is_ours = matches!(self.routes.towards(address(ip, v6, 1)?), None | Some(Towards::Own));
        // A header that is looked at has 20 bytes behind the outer one at least.
        if !is_named || port.is_some_and(|port| port != limits.gue_port) || !is_ours || carried.len() < 20 {
            return None;
        }
        let kind = if version == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
        Some([&frame[..12], &kind, inner].concat())
    }

    /// A frame that the host sends, as it leaves.
    pub fn send_out(&self, frame: &[u8]) -> Vec<u8> {
        self.clamped(frame).unwrap_or_else(|| frame.to_vec())
    }

    fn clamped(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let ip = frame.get(ETHERNET..)?;
        let (v6, transport, protocol) = match (array(frame, 12)?, array(ip, 0)?) {
            ([0x08, 0x00], [first]) if first & 15 >= 5 => {
                let is_later = number(ip, 6)? & 0x1fff != 0;
                (false, usize::from(first & 15) * 4, (!is_later).then_some(*ip.get(9)?)?)
            }
            ([0x86, 0xdd], _) => (true, 40, *ip.get(6)?),
            (_, _) => return None,
        };
        let limit = self.vips.get(&address(ip, v6, 0)?)?.mss;
        let segment = ip.get(transport..)?;
        let [offset, flags] = array(segment, 12)?;
        let length = usize::from(offset >> 4) * 4;
        if protocol != TCP || flags & 2 == 0 || limit == 0 || segment.len() < 20 {
            return None;
        }
        let options = segment.get(20..length)?;
        let at = 20 + mss(options)?;
        let old = number(segment, at)?;
        if old <= limit {
            return None;
        }
        let mut new = frame.to_vec();
        put(&mut new, ETHERNET + transport + at, &limit.to_be_bytes());
        let (mut before, mut after) = (segment.to_vec(), new.get(ETHERNET + transport..)?.to_vec());
        [&mut before, &mut after].into_iter().for_each(|bytes| put(bytes, 16, &[0, 0]));
        let pseudo = |bytes: Vec<u8>| -> Option<Vec<u8>> {
            let (source, destination) = (address(ip, v6, 0)?, address(ip, v6, 1)?);
            Some([header::pseudo(source, destination, TCP, segment.len()), bytes].concat())
        };
        let sum = carried(number(segment, 16)?, &pseudo(before)?, &pseudo(after)?);
        put(&mut new, ETHERNET + transport + 16, &sum.to_be_bytes());
        Some(new)
    }
}

/// IANA number.
const GRE: u8 = 47;

/// Bytes between the outer IP header and the inner one, and the UDP port.
fn shim(protocol: u8, carried: &[u8]) -> Option<(usize, Option<u16>)> {
    match protocol {
        4 | 41 => Some((0, None)),
        // RFC 2784: a checksum or nothing.
        GRE => match number(carried, 0)? {
            0 => Some((4, None)),
            0x8000 => Some((8, None)),
            _ => None,
        },
        UDP => {
            let port = Some(number(carried, 2)?);
            match *carried.get(8)? {
                0 => Some((12, port)),
                first => matches!(first >> 4, 4 | 6).then_some((8, port)),
            }
        }
        _ => None,
    }
}

/// The source (0) or destination (1) of an IP header that is there.
fn address(ip: &[u8], v6: bool, which: usize) -> Option<IpAddr> {
    if v6 {
        ip.get(..40)?;
        return array::<16>(ip, 8 + 16 * which).map(IpAddr::from);
    }
    ip.get(..20)?;
    array::<4>(ip, 12 + 4 * which).map(IpAddr::from)
}

/// Where the MSS stands in TCP options.
fn mss(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match options.get(at..)? {
            [1, ..] => at += 1,
            [2, 4, _, _, ..] => return Some(at + 2),
            [kind, length, ..] if *kind != 0 && *length >= 2 => at += usize::from(*length),
            _ => return None,
        }
    }
}
