//! Translation of packets and of the errors about them (PP-40, PP-42, PP-44, PP-45).

use super::{
    header::{self, Ends},
    parse::{Packet, Part, Quoted},
    wire::{ICMP, ICMPV6, SCTP, TCP, UDP, array, carried, carried_crc, has_ports, put},
};
use std::net::IpAddr;

/// The packet between other ends, from its IP header on.
pub(super) fn packet(packet: &Packet, ends: Ends) -> Vec<u8> {
    let mut ip = packet.ip.clone();
    let (source, destination) = ends;
    header::address(&mut ip, 0, source.ip(), destination.ip());
    if matches!(packet.part, Part::Later(_)) || !has_ports(packet.protocol) {
        return ip;
    }
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    put(&mut ip, packet.transport, &ports);
    let old = (packet.source, packet.destination);
    let new = (source.ip(), destination.ip());
    match packet.protocol {
        TCP => sum(packet, &mut ip, 16, old, new),
        // RFC 768: 0 says that there is none.
        UDP if packet.ip.get(packet.transport + 6..packet.transport + 8) == Some(&[0, 0]) => {}
        UDP => {
            sum(packet, &mut ip, 6, old, new);
            let at = packet.transport + 6;
            if array(&ip, at) == Some([0, 0]) {
                put(&mut ip, at, &[0xff, 0xff]);
            }
        }
        SCTP => crc(packet, &mut ip),
        _ => {}
    }
    ip
}

/// Brings the checksum `place` bytes into what follows the IP header in line.
fn sum(packet: &Packet, ip: &mut [u8], place: usize, old: (IpAddr, IpAddr), new: (IpAddr, IpAddr)) {
    let at = packet.transport + place;
    let Some(field) = array(ip, at).map(u16::from_be_bytes) else { return };
    let covered = |ip: &[u8], (source, destination)| {
        let mut rest = ip.get(packet.transport..).unwrap_or_default().to_vec();
        put(&mut rest, place, &[0, 0]);
        // ICMP of IPv4 covers itself alone.
        if packet.protocol == ICMP {
            return rest;
        }
        let length = packet.bytes.saturating_sub(packet.transport);
        [header::pseudo(source, destination, packet.protocol, length), rest].concat()
    };
    let sum = carried(field, &covered(&packet.ip, old), &covered(ip, new));
    put(ip, at, &sum.to_be_bytes());
}

/// The same of SCTP, whose CRC covers no addresses.
fn crc(packet: &Packet, ip: &mut [u8]) {
    let at = packet.transport + 8;
    let Some(field) = array(ip, at).map(u32::from_le_bytes) else { return };
    // The sender's device was to compute it.
    if field == 0 {
        return;
    }
    let covered = |ip: &[u8]| {
        let mut rest = ip.get(packet.transport..packet.bytes).unwrap_or_default().to_vec();
        put(&mut rest, 8, &[0; 4]);
        rest
    };
    let crc = carried_crc(field, &covered(&packet.ip), &covered(ip));
    put(ip, at, &crc.to_le_bytes());
}

/// An error from and to other addresses, about a packet between other ends. Of the quoted packet all checksums
/// are brought in line that are there, but for SCTP's, which covers what is not quoted.
pub(super) fn error(packet: &Packet, quoted: &Quoted, (source, destination): (IpAddr, IpAddr), ends: Ends) -> Vec<u8> {
    let mut ip = packet.ip.clone();
    header::address(&mut ip, 0, source, destination);
    header::address(&mut ip, quoted.at, ends.0.ip(), ends.1.ip());
    if has_ports(quoted.flow.protocol) {
        let ports = [ends.0.port().to_be_bytes(), ends.1.port().to_be_bytes()].concat();
        let old = &packet.ip[quoted.transport..quoted.transport + 4];
        let covered = |(source, destination): (IpAddr, IpAddr), ports: &[u8]| {
            [header::pseudo(source, destination, quoted.flow.protocol, 0), ports.to_vec()].concat()
        };
        let before = covered((quoted.flow.client.ip(), quoted.flow.service.ip()), old);
        let after = covered((ends.0.ip(), ends.1.ip()), &ports);
        put(&mut ip, quoted.transport, &ports);
        let place = match quoted.flow.protocol {
            TCP => Some(16),
            UDP => Some(6),
            _ => None,
        };
        let at = place.map(|place| quoted.transport + place).filter(|at| at + 2 <= packet.bytes);
        if let Some((at, field)) = at.and_then(|at| Some((at, array(&ip, at).map(u16::from_be_bytes)?))) {
            let sum = carried(field, &before, &after);
            let is_udp = quoted.flow.protocol == UDP;
            if !(is_udp && field == 0) {
                put(&mut ip, at, &if is_udp && sum == 0 { 0xffff } else { sum }.to_be_bytes());
            }
        }
    }
    debug_assert!(matches!(packet.protocol, ICMP | ICMPV6));
    sum(packet, &mut ip, 2, (packet.source, packet.destination), (source, destination));
    ip
}
