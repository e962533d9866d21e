//! What a frame is, as far as the rules ask (PP-1 to PP-7, PP-27, PP-51). Never panics, whatever the bytes.

mod quoted;
mod skip;

pub(super) use quoted::Quoted;

use super::{
    Door,
    state::{Event, Flags},
    wire::{ETHERNET, ICMP, ICMPV6, SCTP, TCP, UDP, array, has_ports, number},
};
use evenkeel_abi::Reason;
use std::net::{IpAddr, SocketAddr};

/// From where to where, and by what: a connection's name (PP-9). Protocols without ports have ports 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    pub(super) protocol: u8,
    pub(super) client: SocketAddr,
    pub(super) service: SocketAddr,
}

impl Flow {
    /// As seen from the other end.
    pub(super) fn turned(self) -> Flow {
        Flow { client: self.service, service: self.client, ..self }
    }
}

/// A frame that holds an IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// MAC addresses: destination, source.
    pub(super) macs: [u8; 12],
    /// The tag it came with, at the XDP door.
    pub(super) tag: Option<[u8; 4]>,
    /// All that follows the type: the packet, and whatever padding is behind it.
    pub(super) ip: Vec<u8>,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// IP length: of the packet without padding.
    pub(super) bytes: usize,
    /// Of what follows the last header that is skipped.
    pub(super) protocol: u8,
    /// Where that begins in `ip`.
    pub(super) transport: usize,
    pub(super) part: Part,
    pub(super) content: Content,
}

/// Which part of a packet this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// The first fragment, which has the transport header.
    First(FragmentName),
    /// Another one.
    Later(FragmentName),
}

/// What the fragments of a packet have in common (PP-50).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FragmentName {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) identification: u32,
    /// IPv6: 0.
    pub(super) protocol: u8,
}

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Something that can have a connection.
    Transport {
        flow: Flow,
        event: Event,
        /// What is wrong with it.
        fault: Option<Reason>,
    },
    /// An ICMP error about another packet.
    Error(Quoted),
    /// No header, as it is the later part of a packet.
    Rest { fault: Option<Reason> },
    /// A fragment that no stack sends (PP-51).
    Bad,
}

/// Whether it is ICMP of either family.
pub(super) fn is_icmp(protocol: u8) -> bool {
    matches!(protocol, ICMP | ICMPV6)
}

/// The frame, if it is of a kind that the rules know; what it is not, passes.
pub(super) fn packet(door: Door, frame: &[u8]) -> Option<Packet> {
    let macs = array(frame, 0)?;
    let (tag, kind, at) = match array(frame, 12)? {
        // PP-1: at the tc door the kernel has taken the tag out, so that what is there is a second one.
        [0x81, 0x00] | [0x88, 0xa8] if door == Door::Xdp => (array(frame, 12), array(frame, 16)?, ETHERNET + 4),
        kind => (None, kind, ETHERNET),
    };
    let ip = frame.get(at..)?;
    let head = match kind {
        [0x08, 0x00] => skip::version4(door, ip)?,
        [0x86, 0xdd] => skip::version6(door, ip)?,
        _ => return None,
    };
    let content = head.content(ip)?;
    let skip::Head { source, destination, bytes, protocol, transport, part, .. } = head;
    Some(Packet { macs, tag, ip: ip.to_vec(), source, destination, bytes, protocol, transport, part, content })
}

impl skip::Head {
    fn content(&self, ip: &[u8]) -> Option<Content> {
        if self.is_bad_fragment {
            return Some(Content::Bad);
        }
        let too_long = self.bytes > ip.len();
        if let Part::Later(_) = self.part {
            let fault = too_long.then_some(Reason::BadLength);
            return Some(Content::Rest { fault });
        }
        let payload = ip.get(self.transport..)?;
        if self.protocol == if self.source.is_ipv4() { ICMP } else { ICMPV6 } {
            return quoted::error(self, ip).map(Content::Error);
        }
        // What carries the other family's ICMP is nothing the rules know.
        if is_icmp(self.protocol) {
            return None;
        }
        let needed = match self.protocol {
            TCP => 20,
            UDP => 8,
            SCTP => 16,
            _ => 0,
        };
        let is_first = matches!(self.part, Part::First(_));
        if payload.len() < needed {
            return is_first.then_some(Content::Bad);
        }
        let room = self.bytes.saturating_sub(self.transport);
        let (event, fits) = match self.protocol {
            TCP => {
                let [offset, flags] = array(payload, 12)?;
                let length = usize::from(offset >> 4) * 4;
                (Event::Tcp(Flags::new(flags)), (20..=room).contains(&length))
            }
            UDP => {
                let stated = usize::from(number(payload, 4)?);
                // That of a first fragment is the whole datagram's.
                (Event::Other, stated >= 8 && room >= if is_first { 8 } else { stated })
            }
            SCTP => (Event::Sctp(*payload.get(12)?), room >= 16),
            _ => (Event::Other, self.bytes >= self.transport),
        };
        let fault = match event {
            _ if too_long || !fits => Some(if is_first { Reason::BadFragment } else { Reason::BadLength }),
            Event::Tcp(flags) if flags.are_bad() => Some(Reason::BadFlags),
            Event::Tcp(_) | Event::Sctp(_) | Event::Other => None,
        };
        let ports = if has_ports(self.protocol) { (number(payload, 0)?, number(payload, 2)?) } else { (0, 0) };
        let flow = Flow {
            protocol: self.protocol,
            client: SocketAddr::new(self.source, ports.0),
            service: SocketAddr::new(self.destination, ports.1),
        };
        Some(Content::Transport { flow, event, fault })
    }
}
