//! What is known of this host: its interfaces and addresses.

use std::{collections::BTreeMap, net::IpAddr};

use evenkeel_model::Prefix;

use crate::{address::Address, link::Link, mac::MacAddress};

/// What counts of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// Packets can leave, from this MAC address.
    Usable(MacAddress),
    /// Down, or without carrier.
    Down,
    /// Its neighbours have no Ethernet addresses.
    NoEthernet,
}

#[derive(Debug, Default)]
pub(super) struct Facts {
    links: BTreeMap<u32, LinkState>,
    addresses: BTreeMap<(u32, IpAddr), Address>,
}

impl Facts {
    /// Remembers an interface; says whether that changed anything.
    pub(super) fn link(&mut self, link: &Link) -> bool {
        let state = match link.mac {
            Some(mac) if !link.noarp && link.running => LinkState::Usable(mac),
            Some(_) if !link.noarp => LinkState::Down,
            Some(_) | None => LinkState::NoEthernet,
        };
        self.links.insert(link.index, state) != Some(state)
    }

    /// Forgets an interface; says whether it was known.
    pub(super) fn link_gone(&mut self, ifindex: u32) -> bool {
        self.links.remove(&ifindex).is_some()
    }

    pub(super) fn indexes(&self) -> Vec<u32> {
        self.links.keys().copied().collect()
    }

    /// An interface that is not known (yet) counts as down.
    pub(super) fn state(&self, ifindex: u32) -> LinkState {
        self.links.get(&ifindex).copied().unwrap_or(LinkState::Down)
    }

    pub(super) fn address(&mut self, address: Address) {
        self.addresses.insert((address.ifindex, address.address), address);
    }

    pub(super) fn address_gone(&mut self, address: &Address) {
        self.addresses.remove(&(address.ifindex, address.address));
    }

    pub(super) fn forget_addresses(&mut self) {
        self.addresses.clear();
    }

    /// The address to ask for `neighbour` from. A real server does not answer a question that comes from the VIP: it
    /// has that address itself. So only an address whose prefix holds the neighbour will do, the first of its prefix
    /// before any other, and for IPv6 the link-local one before all.
    pub(super) fn source(&self, ifindex: u32, neighbour: IpAddr) -> Option<IpAddr> {
        let range = super::on_link(ifindex);
        let mut candidates: Vec<_> = self
            .addresses
            .range(range)
            .map(|(_, address)| address)
            .filter(|a| !a.tentative && !a.duplicate && a.address.is_ipv4() == neighbour.is_ipv4())
            .filter_map(|a| rank(a, neighbour).map(|rank| (rank, a.address)))
            .collect();
        candidates.sort();
        candidates.first().map(|(_, address)| *address)
    }
}

fn rank(address: &Address, neighbour: IpAddr) -> Option<u8> {
    if let IpAddr::V6(v6) = address.address
        && v6.is_unicast_link_local()
    {
        return Some(0);
    }
    let single = Prefix::new(address.address, address.prefix).ok()?;
    let bits = if neighbour.is_ipv4() { 32 } else { 128 };
    (address.prefix < bits && single.contains(neighbour)).then_some(if address.secondary { 2 } else { 1 })
}
