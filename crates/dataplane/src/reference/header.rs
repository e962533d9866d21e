//! Changes of IP headers and of the checksums that cover them (PP-24, PP-40).

use super::wire::{array, carried, put};
use std::net::{IpAddr, SocketAddr};

/// Addresses and their ports, or ports 0.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// Whether an IPv4 header begins the bytes.
pub(super) fn is_version4(ip: &[u8]) -> bool {
    ip.first().is_some_and(|first| first >> 4 == 4)
}

/// Writes source and destination into the header that begins at `at`.
pub(super) fn address(ip: &mut [u8], at: usize, source: IpAddr, destination: IpAddr) {
    change(ip, at, |header| match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            put(header, 12, &[source.octets(), destination.octets()].concat());
        }
        (source, destination) => put(header, 8, &[octets(source), octets(destination)].concat()),
    });
}

/// One less to live; `None`: it has lived long enough.
pub(super) fn aged(mut ip: Vec<u8>) -> Option<Vec<u8>> {
    let place = if is_version4(&ip) { 8 } else { 7 };
    let left = ip.get(place)?.checked_sub(1).filter(|left| *left > 0)?;
    change(&mut ip, 0, |header| put(header, place, &[left]));
    Some(ip)
}

/// Changes the header that begins at `at`, of IPv4 with its checksum.
fn change(ip: &mut [u8], at: usize, change: impl Fn(&mut [u8])) {
    let rest = ip.get_mut(at..).unwrap_or_default();
    let length = if is_version4(rest) { usize::from(rest[0] & 15) * 4 } else { 40 };
    let length = length.min(rest.len());
    let header = &mut rest[..length];
    if !is_version4(header) {
        return change(header);
    }
    let Some(field) = array(header, 10).map(u16::from_be_bytes) else { return };
    put(header, 10, &[0, 0]);
    let before = header.to_vec();
    change(header);
    let sum = carried(field, &before, header);
    put(header, 10, &sum.to_be_bytes());
}

/// What transport checksums cover besides the packet's own bytes.
pub(super) fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => [source.octets(), destination.octets()].concat(),
        (source, destination) => [octets(source), octets(destination)].concat(),
    };
    header.extend((length as u32).to_be_bytes());
    header.extend([0, 0, 0, protocol]);
    header
}

/// An IPv6 address's bytes.
pub(super) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
