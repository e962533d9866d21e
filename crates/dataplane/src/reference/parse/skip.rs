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
    let is_bad_fragment = part != Part::Whole && is_bad(offset, bytes.saturating_sub(transport));
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
            let carried = bytes.saturating_sub(head.transport);
            head.part = part(name, offset, more);
            head.is_bad_fragment |=
                head.part != Part::Whole && (is_bad(offset, carried) || more && !carried.is_multiple_of(8));
        } else {
            head.transport += (usize::from(length) + 1) * 8;
        }
        protocol = next;
    }
    let is_extension = matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | OPTIONS);
    if is_extension && !matches!(head.part, Part::Later(_)) && !head.is_bad_fragment {
        return None;
    }
    Some(Head { protocol, ..head })
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

/// Whether it could overwrite TCP flags, or ends where no packet does.
fn is_bad(offset: usize, carried: usize) -> bool {
    offset == 8 || offset + carried > 0xffff
}
