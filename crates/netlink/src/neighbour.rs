//! The kernel's neighbour table: who answers to which address on the link.

use std::net::IpAddr;

use crate::{
    error::Error,
    mac::MacAddress,
    message::{Message, Request, address, attributes, family, u8_at, u16_at, u32_at},
    socket::Netlink,
};

const NDMSG: usize = 12;

/// How sure the kernel is of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// Nothing done yet.
    Idle,
    /// Asked, no answer yet.
    Incomplete,
    /// Answered lately.
    Reachable,
    /// Answered once.
    Stale,
    /// In use, to be asked soon.
    Delay,
    /// Being asked again.
    Probe,
    /// Did not answer.
    Failed,
    /// The link needs no resolution.
    Noarp,
    /// Set by an administrator.
    Permanent,
}

/// An entry of the neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface.
    pub ifindex: u32,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its MAC address as far as known.
    pub mac: Option<MacAddress>,
    /// How sure that is.
    pub state: NeighbourState,
}

impl Netlink {
    /// The whole table, both families.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, Error> {
        self.dump("read the neighbours", libc::RTM_GETNEIGH, &[0; NDMSG], read_neighbour)
    }

    /// Makes the kernel resolve `ip` on the interface as if a packet went there. The entry ages like any other.
    pub fn resolve(&mut self, ifindex: u32, ip: IpAddr) -> Result<(), Error> {
        let mut body = [0; NDMSG];
        body[0] = family(ip);
        body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        body[10] = libc::NTF_USE;
        let request =
            Request::new(libc::RTM_NEWNEIGH, libc::NLM_F_ACK | libc::NLM_F_CREATE, &body).address(libc::NDA_DST, ip);
        self.change(&format!("resolve {ip} on interface {ifindex}"), request)
    }
}

/// Reads RTM_NEWNEIGH and RTM_DELNEIGH of the two IP families.
pub(crate) fn read_neighbour(message: Message<'_>) -> Option<Neighbour> {
    let body = message.body;
    if !matches!(i32::from(u8_at(body, 0)?), libc::AF_INET | libc::AF_INET6) {
        return None;
    }
    let state = match u16_at(body, 8)? {
        libc::NUD_INCOMPLETE => NeighbourState::Incomplete,
        libc::NUD_REACHABLE => NeighbourState::Reachable,
        libc::NUD_STALE => NeighbourState::Stale,
        libc::NUD_DELAY => NeighbourState::Delay,
        libc::NUD_PROBE => NeighbourState::Probe,
        libc::NUD_FAILED => NeighbourState::Failed,
        libc::NUD_NOARP => NeighbourState::Noarp,
        libc::NUD_PERMANENT => NeighbourState::Permanent,
        _ => NeighbourState::Idle,
    };
    let mut ip = None;
    let mut mac = None;
    for (kind, value) in attributes(body, NDMSG) {
        match kind {
            libc::NDA_DST => ip = address(value),
            libc::NDA_LLADDR => mac = MacAddress::from_bytes(value),
            _ => {}
        }
    }
    Some(Neighbour { ifindex: u32_at(body, 4)?, address: ip?, mac, state })
}
