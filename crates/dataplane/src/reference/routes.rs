//! The host's routes, which answers to clients follow (PP-43). In place of the kernel's own, which the program asks.

use evenkeel_model::Prefix;
use std::net::IpAddr;

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// The address is the host's own.
    Own,
    /// Out of an interface.
    Neighbour {
        /// Which one.
        interface: u32,
        /// Its own MAC address.
        source: [u8; 6],
        /// That of the next hop.
        destination: [u8; 6],
    },
    /// Out of an interface, but the next hop's MAC address is not known.
    Unresolved {
        /// Which one.
        interface: u32,
        /// The next hop.
        next_hop: IpAddr,
    },
}

/// The routes of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Whether it forwards packets at all.
    pub forwards: bool,
    /// Interfaces that it forwards nothing from all the same.
    pub closed: Vec<u32>,
    /// In no order.
    pub routes: Vec<(Prefix, Towards)>,
    /// Largest packets towards some prefixes, in no order; 1500 bytes go everywhere else.
    pub mtus: Vec<(Prefix, u32)>,
}

impl Routes {
    /// The longest packet that the address can be sent.
    pub(super) fn mtu(&self, address: IpAddr) -> u32 {
        let held = self.mtus.iter().filter(|(prefix, _)| prefix.contains(address));
        held.max_by_key(|(prefix, _)| prefix.length()).map_or(1500, |(_, mtu)| *mtu)
    }

    /// Whether what comes in by the interface is forwarded.
    pub(super) fn forwards_from(&self, interface: u32) -> bool {
        self.forwards && !self.closed.contains(&interface)
    }

    /// That of the longest prefix which holds the address.
    pub(super) fn towards(&self, address: IpAddr) -> Option<Towards> {
        let held = self.routes.iter().filter(|(prefix, _)| prefix.contains(address));
        held.max_by_key(|(prefix, _)| prefix.length()).map(|(_, towards)| *towards)
    }
}
