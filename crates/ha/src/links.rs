//! What is known of the host's interfaces and addresses, and which address an instance sends from.

use evenkeel_model::vrrp;
use evenkeel_netlink::{Address, Event, Link};
use std::net::IpAddr;

/// A picture of the host, kept true by its events.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<Address>,
}

impl Links {
    /// Takes one event; says whether anything is different.
    pub(crate) fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Link(link) => match self.links.iter_mut().find(|known| known.index == link.index) {
                Some(known) if *known == link => return false,
                Some(known) => *known = link,
                None => self.links.push(link),
            },
            Event::LinkGone(index) => {
                self.links.retain(|link| link.index != index);
                self.addresses.retain(|address| address.ifindex != index);
            }
            Event::Address(address) => match self.addresses.iter_mut().find(|known| is_same(known, &address)) {
                // A renewal changes what is left of a lifetime, and nothing else.
                Some(known) => {
                    let changed = (known.tentative, known.duplicate, known.secondary)
                        != (address.tentative, address.duplicate, address.secondary);
                    *known = address;
                    return changed;
                }
                None => self.addresses.push(address),
            },
            Event::AddressGone(address) => self.addresses.retain(|known| !is_same(known, &address)),
            Event::Route(_)
            | Event::RouteGone(_)
            | Event::Rule(_)
            | Event::RuleGone(_)
            | Event::Neighbour(_)
            | Event::NeighbourGone(_)
            | Event::Overrun => {
                return false;
            }
        }
        true
    }

    /// The interface of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The address `instance` sends from: the one it was told, while it is there, else the first of its interface that
    /// is none that moves. IPv6 speaks from the link-local address (RFC 9568 5.1.2.1).
    pub(crate) fn source(&self, instance: &vrrp::Instance) -> Option<IpAddr> {
        let index = self.named(&instance.interface)?.index;
        let moves = |ip: IpAddr| instance.vips().any(|vip| vip.address == ip);
        let mut fitting = self.addresses.iter().filter(|address| {
            address.ifindex == index
                && address.protocol != Some(crate::PROTOCOL)
                && !moves(address.address)
                && !address.tentative
                && !address.duplicate
        });
        let unicast = matches!(instance.reach, vrrp::Reach::Unicast { .. });
        fitting
            .find(|address| match (instance.source, address.address) {
                (Some(wanted), ip) => wanted == ip,
                (None, IpAddr::V4(_)) => !instance.is_ipv6() && !address.secondary,
                (None, IpAddr::V6(ip)) => instance.is_ipv6() && (unicast || ip.is_unicast_link_local()),
            })
            .map(|address| address.address)
    }
}

/// Whether two readings are of one address.
fn is_same(left: &Address, right: &Address) -> bool {
    (left.ifindex, left.address, left.prefix) == (right.ifindex, right.address, right.prefix)
}
