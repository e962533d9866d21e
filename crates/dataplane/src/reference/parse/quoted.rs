//! The packet that an ICMP error is about (PP-27, PP-45).

use super::{
    super::wire::{array, has_ports, number},
    Flow,
    skip::{self, Head},
};
use std::net::{IpAddr, SocketAddr};

/// What an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reference) struct Quoted {
    /// From whom to whom it was.
    pub(in crate::reference) flow: Flow,
    /// Where its IP header begins, counted from the error's.
    pub(in crate::reference) at: usize,
    /// Where its transport header begins, counted likewise.
    pub(in crate::reference) transport: usize,
}

/// What the error quotes; `None`: it is no error about a packet that the rules know.
pub(super) fn error(head: &Head, ip: &[u8]) -> Option<Quoted> {
    let [kind] = array(ip, head.transport)?;
    if head.bytes > ip.len() {
        return None;
    }
    let at = head.transport + 8;
    let quoted = ip.get(at..)?;
    let [first] = array(quoted, 0)?;
    let (length, source, client, protocol) = if head.source.is_ipv4() {
        let length = usize::from(first & 15) * 4;
        let fragment = number(quoted, 6)?;
        if !matches!(kind, 3 | 11 | 12) || first >> 4 != 4 || length < 20 || fragment & 0x1fff != 0 {
            return None;
        }
        let [protocol] = array(quoted, 9)?;
        (length, IpAddr::from(array::<4>(quoted, 12)?), IpAddr::from(array::<4>(quoted, 16)?), protocol)
    } else {
        if !matches!(kind, 1..=4) || first >> 4 != 6 {
            return None;
        }
        let (length, protocol) = skip::quoted(quoted)?;
        (length, IpAddr::from(array::<16>(quoted, 8)?), IpAddr::from(array::<16>(quoted, 24)?), protocol)
    };
    let ports = if has_ports(protocol) {
        (number(quoted, length)?, number(quoted, length + 2)?)
    } else {
        quoted.get(..length)?;
        (0, 0)
    };
    // PP-27: nobody but the host an answer was from is told about it.
    let flow = Flow { protocol, client: SocketAddr::new(source, ports.0), service: SocketAddr::new(client, ports.1) };
    (source == head.destination).then_some(Quoted { flow, at, transport: at + length })
}
