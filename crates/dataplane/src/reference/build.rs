//! Frames for tests, whole or broken on purpose. Lengths and checksums are right unless set otherwise.

use std::net::{IpAddr, SocketAddr};

/// MAC address a client's frames come from.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// MAC address a client's frames go to.
pub const DIRECTOR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// TCP flag.
pub const FIN: u8 = 0x01;
/// TCP flag.
pub const SYN: u8 = 0x02;
/// TCP flag.
pub const RST: u8 = 0x04;
/// TCP flag.
pub const PSH: u8 = 0x08;
/// TCP flag.
pub const ACK: u8 = 0x10;

/// SCTP chunk type.
pub const INIT: u8 = 1;
/// SCTP chunk type.
pub const INIT_ACK: u8 = 2;
/// SCTP chunk type.
pub const ABORT: u8 = 6;
/// SCTP chunk type.
pub const SHUTDOWN: u8 = 7;
/// SCTP chunk type.
pub const COOKIE_ECHO: u8 = 10;
/// SCTP chunk type.
pub const COOKIE_ACK: u8 = 11;
/// SCTP chunk type.
pub const DATA: u8 = 0;

/// What follows the IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Tcp { ports: [u16; 2], flags: u8, offset: u8 },
    Udp { ports: [u16; 2], length: Option<u16> },
    Sctp { ports: [u16; 2], chunk: u8 },
    Icmp { kind: u8, code: u8, rest: [u8; 4] },
    Raw { protocol: u8 },
}

/// A frame to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    destination_mac: [u8; 6],
    source_mac: [u8; 6],
    tags: Vec<[u8; 4]>,
    ether_type: Option<u16>,
    source: IpAddr,
    destination: IpAddr,
    version: Option<u8>,
    header_words: Option<u8>,
    options: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
    traffic_class: u8,
    checksum: Option<u16>,
    total_length: Option<u16>,
    fragment: u16,
    identification: u16,
    ttl: u8,
    content: Content,
    payload: Vec<u8>,
    padding: usize,
    cut: Option<usize>,
}

/// A TCP segment without payload.
pub fn tcp(client: SocketAddr, service: SocketAddr, flags: u8) -> Frame {
    Frame::new(client.ip(), service.ip(), Content::Tcp { ports: [client.port(), service.port()], flags, offset: 5 })
}

/// A UDP datagram with four bytes of payload.
pub fn udp(client: SocketAddr, service: SocketAddr) -> Frame {
    let content = Content::Udp { ports: [client.port(), service.port()], length: None };
    Frame::new(client.ip(), service.ip(), content).payload(b"ping")
}

/// An SCTP packet of one chunk of eight bytes.
pub fn sctp(client: SocketAddr, service: SocketAddr, chunk: u8) -> Frame {
    Frame::new(client.ip(), service.ip(), Content::Sctp { ports: [client.port(), service.port()], chunk })
}

/// An ICMP or ICMPv6 message, by the family of the addresses; `payload` follows its eight bytes of header.
pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, payload: &[u8]) -> Frame {
    Frame::new(source, destination, Content::Icmp { kind, code: 0, rest: [0; 4] }).payload(payload)
}

/// An IP packet of another protocol.
pub fn raw(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Frame {
    Frame::new(source, destination, Content::Raw { protocol }).payload(payload)
}

impl Frame {
    fn new(source: IpAddr, destination: IpAddr, content: Content) -> Frame {
        Frame {
            destination_mac: DIRECTOR_MAC,
            source_mac: CLIENT_MAC,
            tags: Vec::new(),
            ether_type: None,
            source,
            destination,
            version: None,
            header_words: None,
            options: Vec::new(),
            extensions: Vec::new(),
            traffic_class: 0,
            checksum: None,
            total_length: None,
            fragment: 0,
            identification: 0x1234,
            ttl: 64,
            content,
            payload: Vec::new(),
            padding: 0,
            cut: None,
        }
    }

    /// From and to other MAC addresses.
    pub fn macs(mut self, destination: [u8; 6], source: [u8; 6]) -> Frame {
        (self.destination_mac, self.source_mac) = (destination, source);
        self
    }

    /// A tag of four bytes, such as a VLAN's, before the type.
    pub fn tag(mut self, tag: [u8; 4]) -> Frame {
        self.tags.push(tag);
        self
    }

    /// Another type than the IP version's.
    pub fn ether_type(mut self, ether_type: u16) -> Frame {
        self.ether_type = Some(ether_type);
        self
    }

    /// Another IP version number.
    pub fn version(mut self, version: u8) -> Frame {
        self.version = Some(version);
        self
    }

    /// Another IPv4 header length, in words.
    pub fn header_words(mut self, words: u8) -> Frame {
        self.header_words = Some(words);
        self
    }

    /// IPv4 options; a multiple of four bytes.
    pub fn options(mut self, options: &[u8]) -> Frame {
        self.options = options.to_vec();
        self
    }

    /// An IPv6 extension header behind those that are there: its number and what follows next header and length, 6 bytes
    /// and any multiple of 8.
    pub fn extension(mut self, kind: u8, rest: &[u8]) -> Frame {
        self.extensions.push((kind, rest.to_vec()));
        self
    }

    /// IPv4 TOS or IPv6 traffic class.
    pub fn traffic_class(mut self, class: u8) -> Frame {
        self.traffic_class = class;
        self
    }

    /// Other addresses.
    pub fn between(mut self, source: IpAddr, destination: IpAddr) -> Frame {
        (self.source, self.destination) = (source, destination);
        self
    }

    /// Another transport checksum than the right one.
    pub fn checksum(mut self, checksum: u16) -> Frame {
        self.checksum = Some(checksum);
        self
    }

    /// Another code of an ICMP message.
    pub fn code(mut self, number: u8) -> Frame {
        if let Content::Icmp { code, .. } = &mut self.content {
            *code = number;
        }
        self
    }

    /// The last four bytes of an ICMP message's header.
    pub fn rest(mut self, bytes: [u8; 4]) -> Frame {
        if let Content::Icmp { rest, .. } = &mut self.content {
            *rest = bytes;
        }
        self
    }

    /// The transport header and payload alone.
    pub fn transport(&self) -> Vec<u8> {
        self.segment()
    }

    /// Another IPv4 total length, or IPv6 payload length.
    pub fn stated_length(mut self, length: u16) -> Frame {
        self.total_length = Some(length);
        self
    }

    /// Fragment offset in units of eight bytes, and whether more fragments follow. IPv6: by an extension header.
    pub fn fragment(mut self, offset: u16, more: bool) -> Frame {
        if self.source.is_ipv6() {
            let word = offset << 3 | u16::from(more);
            let identification = u32::from(self.identification).to_be_bytes();
            return self.extension(44, &[word.to_be_bytes().as_slice(), &identification].concat());
        }
        self.fragment = offset & 0x1fff | u16::from(more) << 13;
        self
    }

    /// Sets the IPv4 flag "don't fragment".
    pub fn dont_fragment(mut self) -> Frame {
        self.fragment |= 0x4000;
        self
    }

    /// Identification of IPv4, and of the fragments of IPv6 that are made of this: free to choose, so that a test can choose the header's checksum.
    pub fn identification(mut self, identification: u16) -> Frame {
        self.identification = identification;
        self
    }

    /// The TTL or hop limit it has.
    pub fn time_to_live(&self) -> u8 {
        self.ttl
    }

    /// TTL or hop limit.
    pub fn ttl(mut self, ttl: u8) -> Frame {
        self.ttl = ttl;
        self
    }

    /// TCP header length in words.
    pub fn data_offset(mut self, words: u8) -> Frame {
        if let Content::Tcp { offset, .. } = &mut self.content {
            *offset = words;
        }
        self
    }

    /// Another UDP length.
    pub fn udp_length(mut self, stated: u16) -> Frame {
        if let Content::Udp { length, .. } = &mut self.content {
            *length = Some(stated);
        }
        self
    }

    /// Other bytes after the transport header.
    pub fn payload(mut self, payload: &[u8]) -> Frame {
        self.payload = payload.to_vec();
        self
    }

    /// Zeroes behind the packet, as short frames have.
    pub fn padding(mut self, bytes: usize) -> Frame {
        self.padding = bytes;
        self
    }

    /// Only the first bytes.
    pub fn cut(mut self, bytes: usize) -> Frame {
        self.cut = Some(bytes);
        self
    }

    /// The IP packet alone, as an ICMP error quotes it.
    pub fn quote(&self) -> Vec<u8> {
        let whole = Frame { tags: Vec::new(), padding: 0, ..self.clone() }.bytes();
        whole.get(14..).unwrap_or_default().to_vec()
    }

    /// The frame's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let segment = self.segment();
        let mut frame = [self.destination_mac, self.source_mac].concat();
        self.tags.iter().for_each(|tag| frame.extend(tag));
        let own_type = if self.source.is_ipv4() { 0x0800u16 } else { 0x86dd };
        frame.extend(self.ether_type.unwrap_or(own_type).to_be_bytes());
        frame.extend(match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.header4(source.octets(), destination.octets(), segment.len())
            }
            (source, destination) => self.header6(octets(source), octets(destination), segment.len()),
        });
        frame.extend(segment);
        frame.resize(frame.len() + self.padding, 0);
        frame.truncate(self.cut.unwrap_or(usize::MAX));
        frame
    }

    fn protocol(&self) -> u8 {
        match self.content {
            Content::Tcp { .. } => 6,
            Content::Udp { .. } => 17,
            Content::Sctp { .. } => 132,
            Content::Icmp { .. } if self.source.is_ipv4() => 1,
            Content::Icmp { .. } => 58,
            Content::Raw { protocol } => protocol,
        }
    }

    fn header4(&self, source: [u8; 4], destination: [u8; 4], segment: usize) -> Vec<u8> {
        let length = 20 + self.options.len();
        let words = self.header_words.unwrap_or((length / 4) as u8);
        let total = self.total_length.unwrap_or((length + segment) as u16);
        let mut header = vec![self.version.unwrap_or(4) << 4 | words & 15, self.traffic_class];
        for word in [total, self.identification, self.fragment] {
            header.extend(word.to_be_bytes());
        }
        header.extend([self.ttl, self.protocol(), 0, 0]);
        header.extend(source);
        header.extend(destination);
        header.extend(&self.options);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn header6(&self, source: [u8; 16], destination: [u8; 16], segment: usize) -> Vec<u8> {
        let class = self.traffic_class;
        let mut header = vec![self.version.unwrap_or(6) << 4 | class >> 4, class << 4, 0, 0];
        let mut kinds: Vec<u8> = self.extensions.iter().map(|(kind, _)| *kind).collect();
        kinds.push(self.protocol());
        let mut chain = Vec::new();
        for ((kind, rest), next) in self.extensions.iter().zip(&kinds[1..]) {
            // The fragment header's second byte is reserved, its length always eight.
            let length = if *kind == 44 { 0 } else { (rest.len() / 8) as u8 };
            chain.extend([*next, length]);
            chain.extend(rest);
        }
        header.extend(self.total_length.unwrap_or((chain.len() + segment) as u16).to_be_bytes());
        header.extend([kinds[0], self.ttl]);
        header.extend(source);
        header.extend(destination);
        header.extend(chain);
        header
    }

    /// Transport header and payload.
    fn segment(&self) -> Vec<u8> {
        let mut segment = Vec::new();
        let checksum_at = match self.content {
            Content::Tcp { ports, flags, offset } => {
                ports.iter().for_each(|port| segment.extend(port.to_be_bytes()));
                segment.extend([0, 0, 0, 1, 0, 0, 0, 0, offset << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
                Some(16)
            }
            Content::Udp { ports, length } => {
                ports.iter().for_each(|port| segment.extend(port.to_be_bytes()));
                segment.extend(length.unwrap_or(8 + self.payload.len() as u16).to_be_bytes());
                segment.extend([0, 0]);
                Some(6)
            }
            Content::Sctp { ports, chunk } => {
                ports.iter().for_each(|port| segment.extend(port.to_be_bytes()));
                segment.extend([0, 0, 0, 7, 0, 0, 0, 0, chunk, 0, 0, 8, 1, 2, 3, 4]);
                None
            }
            Content::Icmp { kind, code, rest } => {
                segment.extend([kind, code, 0, 0]);
                segment.extend(rest);
                Some(2)
            }
            Content::Raw { .. } => None,
        };
        segment.extend(&self.payload);
        if let Some(at) = checksum_at {
            let pseudo = if self.protocol() == 1 { Vec::new() } else { self.pseudo_header(segment.len()) };
            let sum = checksum(&[pseudo, segment.clone()].concat());
            // RFC 768: 0 says that there is none.
            let sum = if sum == 0 && self.protocol() == 17 { 0xffff } else { sum };
            segment[at..at + 2].copy_from_slice(&self.checksum.unwrap_or(sum).to_be_bytes());
        }
        if let Content::Sctp { .. } = self.content {
            let crc = super::wire::crc32c(&segment);
            segment[8..12].copy_from_slice(&crc.to_le_bytes());
        }
        segment
    }

    fn pseudo_header(&self, segment: usize) -> Vec<u8> {
        let mut header = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => [source.octets(), destination.octets()].concat(),
            (source, destination) => [octets(source), octets(destination)].concat(),
        };
        header.extend((segment as u32).to_be_bytes());
        header.extend([0, 0, 0, self.protocol()]);
        header
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// RFC 1071.
pub fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
