//! From the first byte of the IP header to what is carried (PP-2, PP-6, PP-51).

use super::{
    super::{
        Door,
        wire::{array, number},
    },
    FragmentName, Part,
};
use std::net::IpAddr;

/// What IP headers say.
pub(super) struct Head {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) bytes: usize,
    pub(super) protocol: u8,
    pub(super) transport: usize,
    pub(super) part: Part,
    /// PP-51.
    pub(super) is_bad_fragment: bool,
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;
/// How many of these are skipped.
const EXTENSIONS: usize = 6;

pub(super) fn version4(door: Door, ip: &[u8]) -> Option<Head> {
    let ([first, _], [protocol]) = (array(ip, 0)?, array(ip, 9)?);
    let transport = usize::from(first & 15) * 4;
    if first >> 4 != 4 || transport < 20 || ip.len() < transport.max(20) {
        return None;
    }
    let source = IpAddr::from(array::<4>(ip, 12)?);
    let destination = IpAddr::from(array::<4>(ip, 16)?);
    let bytes = length(door, number(ip, 2)?.into(), 0, ip);
    let identification = number(ip, 4)?.into();
    let name = FragmentName { source, destination, identification, protocol };
    let word = number(ip, 6)?;
    let (offset, more) = (usize::from(word & 0x1fff) * 8, word & 0x2000 != 0);
    let part = part(name, offset, more);
    let is_bad_fragment = part != Part::Whole && is_bad(offset, bytes.checked_sub(transport));
    Some(Head { source, destination, bytes, protocol, transport, part, is_bad_fragment })
}

pub(super) fn version6(door: Door, ip: &[u8]) -> Option<Head> {
    let ([first], [mut protocol]) = (array(ip, 0)?, array(ip, 6)?);
    if first >> 4 != 6 || ip.len() < 40 {
        return None;
    }
    let source = IpAddr::from(array::<16>(ip, 8)?);
    let destination = IpAddr::from(array::<16>(ip, 24)?);
    let bytes = length(door, number(ip, 4)?.into(), 40, ip);
    let mut head =
        Head { source, destination, bytes, protocol, transport: 40, part: Part::Whole, is_bad_fragment: false };
    for _ in 0..EXTENSIONS {
        if !matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | OPTIONS) || matches!(head.part, Part::Later(_)) {
            break;
        }
        let [next, length, ..]: [u8; 8] = array(ip, head.transport)?;
        if protocol == FRAGMENT {
            let word = number(ip, head.transport + 2)?;
            let identification = u32::from_be_bytes(array(ip, head.transport + 4)?);
            // RFC 8200 section 4.5: the identification alone tells packets apart.
            let name = FragmentName { source, destination, identification, protocol: 0 };
            let (offset, more) = (usize::from(word & !7), word & 1 != 0);
            head.transport += 8;
            let carried = bytes.checked_sub(head.transport);
            head.part = part(name, offset, more);
            let is_odd = more && !carried.is_some_and(|carried| carried.is_multiple_of(8));
            if head.part != Part::Whole && (is_bad(offset, carried) || is_odd) {
                return Some(Head { is_bad_fragment: true, ..head });
            }
        } else {
            head.transport += (usize::from(length) + 1) * 8;
        }
        protocol = next;
    }
    let is_extension = matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | OPTIONS);
    if is_extension && !matches!(head.part, Part::Later(_)) {
        return None;
    }
    Some(Head { protocol, ..head })
}

/// Where the transport header of a quoted IPv6 packet begins, and of what; `None`: it is not there, or beyond what is skipped.
pub(super) fn quoted(ip: &[u8]) -> Option<(usize, u8)> {
    let [mut protocol] = array(ip, 6)?;
    let mut at = 40;
    for _ in 0..EXTENSIONS {
        let [next, length, high, low]: [u8; 4] = match protocol {
            HOP_BY_HOP | ROUTING | FRAGMENT | OPTIONS => array::<8>(ip, at).and_then(|header| array(&header, 0))?,
            _ => break,
        };
        let is_later = protocol == FRAGMENT && u16::from_be_bytes([high, low]) >> 3 != 0;
        if is_later {
            return None;
        }
        at += if protocol == FRAGMENT { 8 } else { (usize::from(length) + 1) * 8 };
        protocol = next;
    }
    let is_extension = matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | OPTIONS);
    (!is_extension).then_some((at, protocol))
}

/// The packet's length; `own` is the part of the header that `stated` does not count. At the tc door 0 stands for a merged
/// packet whose length no header can state.
fn length(door: Door, stated: usize, own: usize, ip: &[u8]) -> usize {
    if door == Door::Tc && stated == 0 { ip.len() } else { stated + own }
}

fn part(name: FragmentName, offset: usize, more: bool) -> Part {
    match (offset, more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First(name),
        (_, _) => Part::Later(name),
    }
}

/// Whether it could overwrite TCP flags, or ends where no packet does, or within its headers.
fn is_bad(offset: usize, carried: Option<usize>) -> bool {
    offset == 8 || carried.is_none_or(|carried| offset + carried > 0xffff)
}
