//! Outer headers (PP-46).

use super::{
    header,
    parse::{Packet, Part},
    wire::{TCP, UDP, array, internet, put},
};
use evenkeel_model::{GueChecksum, Tunnel};
use std::net::IpAddr;

/// From whom to whom, and how, a packet is wrapped.
pub(super) struct Outer {
    pub(super) own: IpAddr,
    pub(super) server: IpAddr,
    pub(super) kind: Tunnel,
    /// Of the connection.
    pub(super) hash: u64,
}

/// IANA number.
const GRE: u8 = 47;
/// First of the ports that GUE packets come from.
const FIRST_PORT: u16 = 49_152;

impl Outer {
    /// Bytes of the outer headers.
    pub(super) fn length(&self, packet: &Packet) -> usize {
        let ip = if self.server.is_ipv4() { 20 } else { 40 };
        ip + self.shim(packet, &[]).len()
    }

    /// The packet in its outer headers.
    pub(super) fn wrap(&self, packet: &Packet, ip: &[u8]) -> Vec<u8> {
        let shim = self.shim(packet, &righted(packet, ip));
        let carried = shim.len() + packet.bytes;
        let outer = if self.server.is_ipv4() { self.header4(packet, carried) } else { self.header6(packet, carried) };
        [&outer, &*shim, ip].concat()
    }

    fn protocol(&self, packet: &Packet) -> u8 {
        match self.kind {
            Tunnel::Ipip => inner_protocol(packet),
            Tunnel::Gue { .. } => UDP,
            Tunnel::Gre { .. } => GRE,
        }
    }

    fn header4(&self, packet: &Packet, carried: usize) -> Vec<u8> {
        let mut header = vec![0x45, traffic_class(packet)];
        header.extend(((20 + carried) as u16).to_be_bytes());
        header.extend([0, 0, 0x40, 0, 64, self.protocol(packet), 0, 0]);
        for address in [self.own, self.server] {
            if let IpAddr::V4(address) = address {
                header.extend(address.octets());
            }
        }
        let sum = internet(&header);
        put(&mut header, 10, &sum.to_be_bytes());
        header
    }

    fn header6(&self, packet: &Packet, carried: usize) -> Vec<u8> {
        let class = traffic_class(packet);
        let mut header = vec![0x60 | class >> 4, class << 4, 0, 0];
        header.extend((carried as u16).to_be_bytes());
        header.extend([self.protocol(packet), 64]);
        header.extend(header::octets(self.own));
        header.extend(header::octets(self.server));
        header
    }

    /// What stands between the outer IP header and the inner one.
    fn shim(&self, packet: &Packet, inner: &[u8]) -> Vec<u8> {
        match self.kind {
            Tunnel::Ipip => Vec::new(),
            Tunnel::Gre { checksum } => {
                let kind = if header::is_version4(&packet.ip) { [0x08, 0x00] } else { [0x86, 0xdd] };
                if !checksum {
                    return [[0, 0], kind].concat();
                }
                let mut shim = [[0x80, 0], kind, [0, 0], [0, 0]].concat();
                let covered = inner.get(..packet.bytes.min(inner.len())).unwrap_or_default();
                let sum = internet(&[&shim, covered].concat());
                put(&mut shim, 4, &sum.to_be_bytes());
                shim
            }
            Tunnel::Gue { port, checksum } => {
                // Of variant 1 the inner packet follows at once; of variant 0 a word without options.
                let header = match checksum {
                    GueChecksum::Remote => vec![0, inner_protocol(packet), 0, 0],
                    GueChecksum::None | GueChecksum::Full => Vec::new(),
                };
                let length = 8 + header.len() + packet.bytes;
                let from = FIRST_PORT + (self.hash >> 50) as u16;
                let mut shim = Vec::new();
                for word in [from, port, length as u16, 0] {
                    shim.extend(word.to_be_bytes());
                }
                shim.extend(header);
                if checksum == GueChecksum::Full || !self.server.is_ipv4() {
                    let pseudo = header::pseudo(self.own, self.server, UDP, length);
                    let covered = inner.get(..packet.bytes.min(inner.len())).unwrap_or_default();
                    let sum = internet(&[&pseudo, &*shim, covered].concat());
                    put(&mut shim, 6, &if sum == 0 { 0xffff } else { sum }.to_be_bytes());
                }
                shim
            }
        }
    }
}

/// The packet with the checksums it would have if they were right: who sums up a packet takes them for right, so that one
/// which came with a wrong one does not get a right outer one.
fn righted(packet: &Packet, ip: &[u8]) -> Vec<u8> {
    let mut righted = ip.get(..packet.bytes.min(ip.len())).unwrap_or_default().to_vec();
    let at = packet.transport + if packet.protocol == TCP { 16 } else { 6 };
    let is_told = match packet.protocol {
        TCP => true,
        UDP => array(ip, at) != Some([0, 0]),
        _ => false,
    };
    let v4 = header::is_version4(ip);
    // Behind extension headers, and in fragments, nothing is told.
    if !is_told || packet.part != Part::Whole || !v4 && packet.transport != 40 {
        return righted;
    }
    put(&mut righted, at, &[0, 0]);
    let length = packet.bytes - packet.transport;
    let pseudo = header::pseudo(packet.source, packet.destination, packet.protocol, length);
    let sum = internet(&[&pseudo, &righted[packet.transport..]].concat());
    put(&mut righted, at, &sum.to_be_bytes());
    if v4 {
        put(&mut righted, 10, &[0, 0]);
        let sum = internet(&righted[..packet.transport]);
        put(&mut righted, 10, &sum.to_be_bytes());
    }
    righted
}

/// IPv4 or IPv6 as the next header.
fn inner_protocol(packet: &Packet) -> u8 {
    if header::is_version4(&packet.ip) { 4 } else { 41 }
}

/// TOS or traffic class.
fn traffic_class(packet: &Packet) -> u8 {
    match array(&packet.ip, 0) {
        Some([first, second]) if first >> 4 == 6 => first << 4 | second >> 4,
        Some([_, second]) => second,
        None => 0,
    }
}
