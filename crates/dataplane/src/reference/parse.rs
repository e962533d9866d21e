//! What a frame is, as far as the rules ask (PP-1 to PP-7, PP-27). Never panics, whatever the bytes.

use super::{Door, state::Flags};
use evenkeel_abi::Reason;
use evenkeel_model::Protocol;
use std::net::{IpAddr, SocketAddr};

/// Length of an Ethernet header.
pub(super) const ETHERNET: usize = 14;

/// A connection's name (PP-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    pub(super) protocol: Protocol,
    pub(super) client: SocketAddr,
    pub(super) service: SocketAddr,
}

/// A frame that may concern a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// TCP or UDP to a service.
    Transport {
        flow: Flow,
        /// UDP has none.
        flags: Option<Flags>,
        /// What is wrong with it.
        fault: Option<Reason>,
        /// IP length.
        bytes: u64,
    },
    /// An ICMP error about what a service sent to a client.
    Error { flow: Flow, bytes: u64 },
}

/// The frame, if it is of a kind that the rules know; what it is not, passes.
pub(super) fn packet(door: Door, frame: &[u8]) -> Option<Packet> {
    // The shortest IP header must follow, of whichever version.
    let ip = frame.get(ETHERNET..).filter(|ip| ip.len() >= 20)?;
    match array(frame, 12)? {
        [0x08, 0x00] => version4(door, frame.len(), ip),
        [0x86, 0xdd] => version6(door, frame.len(), ip),
        _ => None,
    }
}

/// What the IP header says.
struct Ip {
    source: IpAddr,
    destination: IpAddr,
    header: usize,
    bytes: usize,
    frame: usize,
}

fn version4(door: Door, frame: usize, ip: &[u8]) -> Option<Packet> {
    let [first] = array(ip, 0)?;
    let header = usize::from(first & 15) * 4;
    let fragment = u16::from_be_bytes(array(ip, 6)?);
    if first >> 4 != 4 || header < 20 || fragment & 0x1fff != 0 {
        return None;
    }
    let source = IpAddr::from(array::<4>(ip, 12)?);
    let destination = IpAddr::from(array::<4>(ip, 16)?);
    let bytes = length(door, u16::from_be_bytes(array(ip, 2)?).into(), 0, frame);
    let ip_header = Ip { source, destination, header, bytes, frame };
    let payload = ip.get(header..)?;
    let [protocol] = array(ip, 9)?;
    if protocol == 1 {
        return error4(&ip_header, payload);
    }
    let more_fragments = fragment & 0x2000 != 0;
    match transport(&ip_header, protocol, payload)? {
        Packet::Transport { flow, flags, bytes, .. } if more_fragments => {
            Some(Packet::Transport { flow, flags, bytes, fault: Some(Reason::Fragment) })
        }
        packet => Some(packet),
    }
}

fn version6(door: Door, frame: usize, ip: &[u8]) -> Option<Packet> {
    let ([first], [protocol]) = (array(ip, 0)?, array(ip, 6)?);
    if first >> 4 != 6 {
        return None;
    }
    let source = IpAddr::from(array::<16>(ip, 8)?);
    let destination = IpAddr::from(array::<16>(ip, 24)?);
    let bytes = length(door, u16::from_be_bytes(array(ip, 4)?).into(), 40, frame);
    let ip_header = Ip { source, destination, header: 40, bytes, frame };
    let payload = ip.get(40..)?;
    if protocol == 58 { error6(&ip_header, payload) } else { transport(&ip_header, protocol, payload) }
}

/// The packet's length; `own` is the part of the header that `stated` does not count. At the tc door 0 stands for a merged
/// packet whose length no header can state.
fn length(door: Door, stated: usize, own: usize, frame: usize) -> usize {
    if door == Door::Tc && stated == 0 { frame - ETHERNET } else { stated + own }
}

fn transport(ip: &Ip, protocol: u8, payload: &[u8]) -> Option<Packet> {
    let too_long = ip.bytes + ETHERNET > ip.frame;
    let room = ip.bytes.saturating_sub(ip.header);
    let (protocol, flags, header) = match protocol {
        6 => {
            let [offset, flags] = array(payload.get(..20)?, 12)?;
            (Protocol::Tcp, Some(Flags::new(flags)), (usize::from(offset >> 4) * 4, 20))
        }
        17 => (Protocol::Udp, None, (usize::from(u16::from_be_bytes(array(payload.get(..8)?, 4)?)), 8)),
        _ => return None,
    };
    let (stated, least) = header;
    let fault = if too_long || stated < least || stated > room {
        Some(Reason::BadLength)
    } else if flags.is_some_and(Flags::are_bad) {
        Some(Reason::BadFlags)
    } else {
        None
    };
    let flow = flow(protocol, ip.source, port(payload, 0)?, ip.destination, port(payload, 2)?);
    Some(Packet::Transport { flow, flags, fault, bytes: ip.bytes as u64 })
}

fn error4(ip: &Ip, icmp: &[u8]) -> Option<Packet> {
    let [kind] = array(icmp, 0)?;
    let quoted = icmp.get(8..)?;
    let [first] = array(quoted, 0)?;
    let header = usize::from(first & 15) * 4;
    let fragment = u16::from_be_bytes(array(quoted, 6)?);
    if !matches!(kind, 3 | 11 | 12) || first >> 4 != 4 || header < 20 || fragment & 0x1fff != 0 {
        return None;
    }
    let (source, client) = (IpAddr::from(array::<4>(quoted, 12)?), IpAddr::from(array::<4>(quoted, 16)?));
    let [protocol] = array(quoted, 9)?;
    error(ip, source, client, protocol, quoted.get(header..)?)
}

fn error6(ip: &Ip, icmp: &[u8]) -> Option<Packet> {
    let [kind] = array(icmp, 0)?;
    let quoted = icmp.get(8..)?;
    let ([first], [protocol]) = (array(quoted, 0)?, array(quoted, 6)?);
    if !matches!(kind, 1..=4) || first >> 4 != 6 {
        return None;
    }
    let (source, client) = (IpAddr::from(array::<16>(quoted, 8)?), IpAddr::from(array::<16>(quoted, 24)?));
    error(ip, source, client, protocol, quoted.get(40..)?)
}

/// The quoted packet went the other way: from the service to the client.
fn error(ip: &Ip, source: IpAddr, client: IpAddr, protocol: u8, quoted: &[u8]) -> Option<Packet> {
    let protocol = match protocol {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return None,
    };
    let flow = flow(protocol, client, port(quoted, 2)?, source, port(quoted, 0)?);
    (source == ip.destination).then_some(Packet::Error { flow, bytes: ip.bytes as u64 })
}

fn flow(protocol: Protocol, client: IpAddr, client_port: u16, service: IpAddr, service_port: u16) -> Flow {
    Flow { protocol, client: SocketAddr::new(client, client_port), service: SocketAddr::new(service, service_port) }
}

fn port(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// `N` bytes at `at`.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
