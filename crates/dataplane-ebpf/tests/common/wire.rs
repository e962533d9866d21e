//! Packets as they stand on the wire, and their checksums from scratch.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::{IpAddr, SocketAddr};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const SCTP: u8 = 132;
/// ICMP and ICMPv6.
pub(crate) const ICMP_ERROR: [u8; 2] = [1, 58];
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// An IP packet with a transport header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) protocol: u8,
    /// TCP's; SCTP takes INIT for SYN, INIT ACK for SYN and ACK, else DATA.
    pub(crate) flags: u8,
    pub(crate) ttl: u8,
    pub(crate) mac: [u8; 6],
    /// Of ICMP: the whole message.
    pub(crate) payload: Vec<u8>,
    /// The bytes this was read from, from the IP header on.
    pub(crate) raw: Vec<u8>,
}

pub(crate) fn segment() -> Segment {
    let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
    let mac = [2, 0, 0, 0, 0, 0xee];
    Segment { from: nobody, to: nobody, protocol: TCP, flags: SYN, ttl: 64, mac, payload: Vec::new(), raw: Vec::new() }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The ones' complement sum of bytes, folded.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Makes the checksum of an IPv4 header.
pub(crate) fn seal(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum = !sum(&[header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 9260 appendix A, a bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

impl Segment {
    fn is_v6(&self) -> bool {
        self.from.is_ipv6()
    }

    /// Where the checksum stands in the transport header.
    fn checksum_at(&self) -> usize {
        match self.protocol {
            TCP => 16,
            UDP => 6,
            SCTP => 8,
            _ => 2,
        }
    }

    fn transport(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ports = [self.from.port().to_be_bytes(), self.to.port().to_be_bytes()].concat();
        match self.protocol {
            TCP => {
                bytes.extend(ports);
                bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, self.flags, 0x20, 0, 0, 0, 0, 0]);
            }
            UDP => {
                bytes.extend(ports);
                bytes.extend((8 + self.payload.len() as u16).to_be_bytes());
                bytes.extend([0, 0]);
            }
            SCTP => {
                bytes.extend(ports);
                let chunk = match self.flags {
                    SYN => 1,
                    f if f == SYN | ACK => 2,
                    _ => 0,
                };
                bytes.extend([1, 2, 3, 4, 0, 0, 0, 0, chunk, 3]);
                bytes.extend((4 + self.payload.len() as u16).to_be_bytes());
            }
            _ => {}
        }
        bytes.extend(&self.payload);
        let at = self.checksum_at();
        if self.protocol == SCTP {
            let crc = crc32c(&bytes);
            bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        } else {
            bytes[at..at + 2].fill(0);
            let sum = !sum(&[&self.pseudo_header(bytes.len()), &bytes]);
            let sum = if self.protocol == UDP && sum == 0 { 0xffff } else { sum };
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    fn pseudo_header(&self, length: usize) -> Vec<u8> {
        if self.protocol == ICMP_ERROR[0] {
            return Vec::new();
        }
        let mut pseudo = [octets(self.from.ip()), octets(self.to.ip())].concat();
        pseudo.extend([0, self.protocol]);
        pseudo.extend((length as u16).to_be_bytes());
        pseudo
    }

    /// From the IP header on.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let transport = self.transport();
        let mut packet = Vec::new();
        if self.is_v6() {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((transport.len() as u16).to_be_bytes());
            packet.extend([self.protocol, self.ttl]);
        } else {
            packet.extend([0x45, 0]);
            packet.extend((20 + transport.len() as u16).to_be_bytes());
            packet.extend([0, 1, 0x40, 0, self.ttl, self.protocol, 0, 0]);
        }
        packet.extend(octets(self.from.ip()));
        packet.extend(octets(self.to.ip()));
        if !self.is_v6() {
            let sum = !sum(&[&packet]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        packet.extend(transport);
        packet
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = self.mac.to_vec();
        frame.extend([2, 0, 0, 0, 0, 0xcc]);
        frame.extend(if self.is_v6() { [0x86, 0xdd] } else { [8, 0] });
        frame.extend(self.packet());
        frame
    }

    /// What a frame holds.
    pub(crate) fn read(frame: &[u8]) -> Segment {
        let raw = frame[14..].to_vec();
        let v6 = raw[0] >> 4 == 6;
        let address = |at: usize| -> IpAddr {
            if v6 {
                IpAddr::from(<[u8; 16]>::try_from(&raw[at..at + 16]).unwrap())
            } else {
                IpAddr::from(<[u8; 4]>::try_from(&raw[at..at + 4]).unwrap())
            }
        };
        let (from, to) = if v6 { (address(8), address(24)) } else { (address(12), address(16)) };
        let (protocol, ttl, at) = if v6 { (raw[6], raw[7], 40) } else { (raw[9], raw[8], 20) };
        let ports = [u16::from_be_bytes([raw[at], raw[at + 1]]), u16::from_be_bytes([raw[at + 2], raw[at + 3]])];
        let header = match protocol {
            TCP => 20,
            UDP => 8,
            SCTP => 16,
            _ => 0,
        };
        let ports = if header == 0 { [0, 0] } else { ports };
        let flags = match (protocol, raw.get(at + 13), raw.get(at + 12)) {
            (TCP, Some(flags), _) => *flags,
            (SCTP, _, Some(1)) => SYN,
            (SCTP, _, Some(2)) => SYN | ACK,
            (SCTP, _, Some(0)) => ACK,
            _ => SYN,
        };
        Segment {
            from: SocketAddr::new(from, ports[0]),
            to: SocketAddr::new(to, ports[1]),
            protocol,
            flags,
            ttl,
            mac: frame[..6].try_into().unwrap(),
            payload: raw[at + header..].to_vec(),
            raw,
        }
    }

    /// Everything that was read, checksums included, is as it is made from scratch.
    pub(crate) fn verify(&self) {
        assert_eq!(hex(&self.raw), hex(&self.packet()), "{:?} to {:?} of {}", self.from, self.to, self.protocol);
    }

    /// The quoted packet, of which `quote` bytes stand behind its IP header, is `original`.
    pub(crate) fn verify_quote(&self, original: &Segment, quote: usize, what: &str) {
        let whole = original.packet();
        let header = if original.is_v6() { 40 } else { 20 };
        let mut wanted = whole[..header + quote.min(whole.len() - header)].to_vec();
        let mut have = self.payload[8..].to_vec();
        if original.protocol == SCTP && wanted.len() >= header + 12 {
            wanted[header + 8..header + 12].fill(0);
            have[header + 8..header + 12].fill(0);
        }
        assert_eq!(hex(&have), hex(&wanted), "{what}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(4).map(|c| c.iter().map(|b| format!("{b:02x}")).collect::<String>() + " ").collect()
}

/// An error of `router` about a packet, to whom it came from: not reachable, `quote` bytes behind the IP header quoted.
pub(crate) fn error(router: IpAddr, about: &Segment, quote: usize) -> Segment {
    let v6 = router.is_ipv6();
    let header = if v6 { 40 } else { 20 };
    let end = (header + quote).min(about.raw.len());
    let mut payload = if v6 { vec![1, 3, 0, 0, 0, 0, 0, 0] } else { vec![3, 1, 0, 0, 0, 0, 0, 0] };
    payload.extend(&about.raw[..end]);
    Segment {
        from: SocketAddr::new(router, 0),
        to: SocketAddr::new(about.from.ip(), 0),
        protocol: ICMP_ERROR[usize::from(v6)],
        payload,
        ..segment()
    }
}
