//! What a way to a real server rests on: interfaces, their largest packets and VLANs, the addresses of this host.

use evenkeel_dataplane::{Egress, Route as Way};
use evenkeel_dataplane_ebpf::ways_out;
use evenkeel_model::Prefix;
use evenkeel_netlink::{Address, Event, Link, MacAddress, Route};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// The kernel's scope of addresses that others may use.
const GLOBAL: u8 = 0;
/// The largest packet of Ethernet, where an interface is not known.
const ETHERNET: u32 = 1500;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ground {
    links: BTreeMap<u32, Link>,
    /// How XDP leaves by those of them that it can send by.
    ways_out: BTreeMap<u32, Egress>,
    addresses: BTreeMap<u32, Vec<Address>>,
    vips: BTreeSet<IpAddr>,
}

impl Ground {
    pub(super) fn links(&mut self, links: &[Link]) {
        self.links = links.iter().map(|link| (link.index, link.clone())).collect();
        self.ways_out = ways_out(links);
    }

    /// How XDP leaves by the interfaces that it can send by.
    pub(super) fn ways_out(&self) -> &BTreeMap<u32, Egress> {
        &self.ways_out
    }

    pub(super) fn addresses(&mut self, addresses: &[Address]) {
        self.addresses.clear();
        for address in addresses {
            self.addresses.entry(address.ifindex).or_default().push(address.clone());
        }
    }

    /// The interface of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// Whether an interface of this host has this MAC address.
    pub(super) fn has_mac(&self, mac: MacAddress) -> bool {
        self.links.values().any(|link| link.mac == Some(mac))
    }

    /// Learns from what happens on the network; whether ways may be others now.
    pub(super) fn note(&mut self, event: &Event) -> bool {
        match event {
            Event::Link(link) => {
                let before = self.links.insert(link.index, link.clone());
                let stands = |link: &Link| (link.kind.clone(), link.vlan, link.peer, link.peer_elsewhere);
                if before.as_ref().map(stands) != Some(stands(link)) {
                    self.look_for_ways_out();
                    return true;
                }
                before.is_none_or(|old| old.mtu != link.mtu)
            }
            Event::LinkGone(index) => {
                let was_there = self.links.remove(index).is_some();
                self.look_for_ways_out();
                was_there
            }
            Event::Address(address) => {
                let all = self.addresses.entry(address.ifindex).or_default();
                match all.iter_mut().find(|old| old.address == address.address) {
                    Some(old) => {
                        let changed = old != address;
                        old.clone_from(address);
                        changed
                    }
                    None => {
                        all.push(address.clone());
                        true
                    }
                }
            }
            Event::AddressGone(address) => {
                let Some(all) = self.addresses.get_mut(&address.ifindex) else { return false };
                let before = all.len();
                all.retain(|old| old.address != address.address);
                all.len() != before
            }
            Event::Route(_)
            | Event::RouteGone(_)
            | Event::Rule(_)
            | Event::RuleGone(_)
            | Event::Neighbour(_)
            | Event::NeighbourGone(_)
            | Event::Overrun => false,
        }
    }

    pub(super) fn set_vips(&mut self, vips: BTreeSet<IpAddr>) {
        self.vips = vips;
    }

    pub(super) fn vips_mut(&mut self) -> &mut BTreeSet<IpAddr> {
        &mut self.vips
    }

    pub(super) fn name(&self, index: u32) -> Option<&str> {
        self.links.get(&index).map(|link| link.name.as_str())
    }

    /// The address of this host that packets to `target` come from, and none that is virtual: whoever has that as well would
    /// answer to itself.
    pub(super) fn source(&self, target: IpAddr, route: &Route) -> Option<IpAddr> {
        let chosen = route.source.filter(|source| source.is_ipv4() == target.is_ipv4());
        match chosen {
            Some(source) if !self.vips.contains(&source) => Some(source),
            Some(_) | None => self.other_source(target, route.ifindex),
        }
    }

    /// Whether the kernel would choose a virtual address towards `target`, and what is to be taken instead.
    pub(super) fn instead_of_vip(&self, target: IpAddr, route: &Route) -> Option<IpAddr> {
        let chosen = route.source?;
        self.vips.contains(&chosen).then(|| self.other_source(target, route.ifindex)).flatten()
    }

    /// An address of the interface that is not virtual: best one of the target's own subnet, then one that is global.
    fn other_source(&self, target: IpAddr, ifindex: u32) -> Option<IpAddr> {
        let fits = |a: &&Address| {
            a.address.is_ipv4() == target.is_ipv4() && !a.tentative && !a.duplicate && !self.vips.contains(&a.address)
        };
        let candidates = || self.addresses.get(&ifindex).into_iter().flatten().filter(fits);
        let near = |a: &&Address| Prefix::new(a.address, a.prefix).is_ok_and(|subnet| subnet.contains(target));
        let global = |a: &&Address| a.scope == GLOBAL;
        let found = candidates().filter(global).find(near).or_else(|| candidates().find(global));
        found.or_else(|| candidates().next()).map(|a| a.address)
    }

    fn look_for_ways_out(&mut self) {
        let links: Vec<Link> = self.links.values().cloned().collect();
        self.ways_out = ways_out(&links);
    }

    /// The way for the data plane. One by a VLAN of a card is, once the MAC addresses are known, one by the card with the
    /// VLAN's tag: a packet can then leave where the program is, without the stack.
    pub(super) fn way(&self, target: IpAddr, route: &Route, is_resolved: bool) -> Way {
        let link = self.links.get(&route.ifindex);
        let itself = Egress { interface: route.ifindex, vlan: None };
        let out = self.ways_out.get(&route.ifindex).filter(|_| is_resolved);
        let Egress { interface, vlan } = out.copied().unwrap_or(itself);
        // Of an interface that has yet to be heard of nothing is known.
        let by_stack = is_resolved && link.is_some() && out.is_none();
        let of_link = link.map(|link| link.mtu).filter(|mtu| *mtu > 0).unwrap_or(ETHERNET);
        let mtu = route.mtu.map_or(of_link, |mtu| mtu.min(of_link));
        Way { interface, gateway: route.gateway, mtu, own_address: self.source(target, route), vlan, by_stack }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_dataplane::Vlan;
    use evenkeel_netlink::{LinkKind, VlanTag};

    fn link(index: u32, kind: LinkKind) -> Link {
        Link::new(index, format!("if{index}"), kind)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn route(source: Option<&str>) -> Route {
        Route { ifindex: 2, gateway: None, source: source.map(ip), mtu: None, is_local: false }
    }

    #[test]
    fn packets_never_come_from_a_virtual_address() {
        let mut ground = Ground::default();
        let address = |index, text: &str, prefix| Address::new(index, ip(text), prefix);
        let mut link_local = address(2, "fe80::2", 64);
        link_local.scope = 253;
        ground.addresses(&[
            address(1, "fd00::2", 64),
            link_local,
            address(2, "fd77::100", 128),
            address(2, "fd66::2", 64),
            address(2, "fd77::2", 64),
            address(2, "10.0.0.2", 8),
        ]);
        ground.set_vips(BTreeSet::from([ip("fd77::100")]));
        let chosen = |target: &str| ground.source(ip(target), &route(Some("fd77::100")));
        assert_eq!(chosen("fd77::11"), Some(ip("fd77::2")));
        assert_eq!(chosen("fd55::11"), Some(ip("fd66::2")));
        assert_eq!(ground.source(ip("192.0.2.1"), &route(None)), Some(ip("10.0.0.2")));
        assert_eq!(ground.source(ip("fd55::11"), &route(Some("fd66::2"))), Some(ip("fd66::2")));
        assert_eq!(ground.instead_of_vip(ip("fd55::11"), &route(Some("fd66::2"))), None);
        let elsewhere = Route { ifindex: 3, ..route(Some("fd77::100")) };
        assert_eq!(ground.source(ip("fd77::11"), &elsewhere), None);
    }

    #[test]
    fn a_vlan_is_left_by_the_card_below_it_once_the_way_is_resolved() {
        let mut ground = Ground::default();
        let tag = VlanTag { id: 7, is_service: false };
        let vlan = Link { vlan: Some(tag), peer: Some(1), mtu: 1400, ..link(2, LinkKind::Vlan) };
        ground.links(&[link(1, LinkKind::Physical), vlan.clone()]);
        let way = |ground: &Ground, resolved| {
            let way = ground.way(ip("10.0.0.9"), &route(None), resolved);
            (way.interface, way.vlan.map(|vlan| vlan.id), way.mtu, way.by_stack)
        };
        assert_eq!(way(&ground, true), (1, Some(7), 1400, false));
        assert_eq!(way(&ground, false), (2, None, 1400, false));
        assert!(ground.note(&Event::Link(Link { mtu: 1300, ..vlan.clone() })));
        assert!(!ground.note(&Event::Link(Link { mtu: 1300, running: false, ..vlan.clone() })));
        assert_eq!(way(&ground, true), (1, Some(7), 1300, false));
        ground.links(&[link(1, LinkKind::Vlan), vlan.clone()]);
        assert_eq!(way(&ground, true), (2, None, 1400, true), "two tags");
        ground.links(&[link(1, LinkKind::Bridge), vlan]);
        assert_eq!(way(&ground, true), (2, None, 1400, true), "no driver");
    }

    #[test]
    fn ways_out_follow_what_becomes_of_vlans() {
        let mut ground = Ground::default();
        ground.links(&[link(1, LinkKind::Physical)]);
        let tag = |id| VlanTag { id, is_service: false };
        let vlan = |id| Link { vlan: Some(tag(id)), peer: Some(1), ..link(2, LinkKind::Vlan) };
        let out = |ground: &Ground| ground.ways_out().get(&2).and_then(|way| way.vlan);
        assert!(ground.note(&Event::Link(vlan(7))));
        assert_eq!(out(&ground), Some(Vlan { id: 7, is_service: false }));
        assert!(!ground.note(&Event::Link(Link { name: "renamed".to_owned(), ..vlan(7) })));
        assert_eq!(out(&ground), Some(Vlan { id: 7, is_service: false }));
        assert!(ground.note(&Event::Link(vlan(8))));
        assert_eq!(out(&ground), Some(Vlan { id: 8, is_service: false }));
        assert!(ground.note(&Event::LinkGone(1)));
        assert_eq!(out(&ground), None, "nothing is below it");
        assert!(ground.note(&Event::Link(link(1, LinkKind::Physical))));
        assert!(ground.note(&Event::LinkGone(2)));
        assert_eq!(ground.ways_out().keys().collect::<Vec<_>>(), [&1]);
    }

    #[test]
    fn a_route_may_allow_less_than_its_interface() {
        let mut ground = Ground::default();
        ground.links(&[link(2, LinkKind::Physical)]);
        let narrow = Route { mtu: Some(1280), ..route(None) };
        assert_eq!(ground.way(ip("10.0.0.9"), &narrow, true).mtu, 1280);
        let wide = Route { mtu: Some(9000), ..route(None) };
        assert_eq!(ground.way(ip("10.0.0.9"), &wide, true).mtu, 1500);
    }
}
