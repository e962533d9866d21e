//! The interfaces that XDP can send by, as the program reads them (PP-43, docs/adr/0004).

use crate::{error::Error, plane::EbpfDataplane};
use evenkeel_abi::link::{self, LINK_ENTRIES, Way};
use evenkeel_dataplane::{Egress, Vlan};
use evenkeel_netlink::{Link, LinkKind, Netlink};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

/// How each of these interfaces is left by XDP. Those that are missing cannot be: XDP sends by drivers, and by a VLAN's device
/// only as far as the interface below it has one.
pub fn ways_out(links: &[Link]) -> BTreeMap<u32, Egress> {
    let drivers: BTreeSet<u32> = links.iter().filter(|link| sends(&link.kind)).map(|link| link.index).collect();
    let way = |link: &Link| {
        if drivers.contains(&link.index) {
            return Some(Egress { interface: link.index, vlan: None });
        }
        let tag = link.vlan.filter(|tag| (1..=4094).contains(&tag.id))?;
        let lower = link.peer.filter(|lower| !link.peer_elsewhere && drivers.contains(lower))?;
        Some(Egress { interface: lower, vlan: Some(Vlan { id: tag.id, is_service: tag.is_service }) })
    };
    links.iter().filter_map(|link| Some((link.index, way(link)?))).collect()
}

/// Whether the kernel has a way for frames of XDP into interfaces of this kind.
fn sends(kind: &LinkKind) -> bool {
    match kind {
        LinkKind::Physical | LinkKind::Veth | LinkKind::Bond => true,
        LinkKind::Other(word) => word == "tun",
        LinkKind::Bridge | LinkKind::Vlan | LinkKind::Macvlan | LinkKind::Dummy | LinkKind::Loopback => false,
    }
}

impl EbpfDataplane {
    /// Fills the table from what there is now. Before any program runs: a door that is adopted must not lead into one that
    /// knows no interface.
    pub(crate) fn read_links(&mut self) -> Result<(), Error> {
        let read = Netlink::open().and_then(|mut netlink| netlink.links());
        let links = read.map_err(|e| Error::Load(format!("the interfaces cannot be read: {e}")))?;
        self.write_links(&ways_out(&links)).map_err(|cause| Error::Io { what: "cannot fill the table of links", cause })
    }

    /// Has the program send by these interfaces and no others.
    pub(crate) fn write_links(&mut self, ways: &BTreeMap<u32, Egress>) -> io::Result<()> {
        let wanted = wanted(ways);
        let there: Result<BTreeMap<_, _>, _> = self.maps.links.iter().collect();
        let there = there.map_err(io::Error::other)?;
        for gone in there.keys().filter(|key| !wanted.contains_key(*key)) {
            self.maps.links.remove(gone).map_err(io::Error::other)?;
        }
        for (key, value) in wanted.iter().filter(|(key, value)| there.get(*key) != Some(*value)) {
            self.maps.links.insert(key, value, 0).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Whether XDP can send by an interface that it has been told to.
    pub(crate) fn sends_by(&self, interface: u32) -> bool {
        self.maps.links.get(&[interface, 0], 0).is_ok()
    }
}

/// All elements for these interfaces; of more than there is room for, those of the interfaces that were made first.
fn wanted(ways: &BTreeMap<u32, Egress>) -> BTreeMap<[u32; 2], [u32; 2]> {
    ways.iter().flat_map(|(index, way)| elements(*index, way)).take(LINK_ENTRIES as usize).collect()
}

/// What leaves by an interface, and what comes by the one below it with the VLAN's tag.
fn elements(index: u32, way: &Egress) -> impl Iterator<Item = ([u32; 2], [u32; 2])> {
    let tag = way.vlan.map_or(0, word);
    let words = |link: Way| [link.interface, link.tag];
    let out = (words(Way { interface: index, tag: 0 }), words(Way { interface: way.interface, tag }));
    let back = (words(Way { interface: way.interface, tag }), words(Way { interface: index, tag: 0 }));
    std::iter::once(out).chain((tag != 0).then_some(back))
}

fn word(vlan: Vlan) -> u32 {
    u32::from(link::tag(vlan.id, vlan.is_service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_netlink::VlanTag;

    fn link(index: u32, kind: LinkKind) -> Link {
        Link::new(index, format!("if{index}"), kind)
    }

    fn vlan(index: u32, lower: u32, id: u16, is_service: bool) -> Link {
        Link { vlan: Some(VlanTag { id, is_service }), peer: Some(lower), ..link(index, LinkKind::Vlan) }
    }

    #[test]
    fn a_vlan_is_left_by_the_card_below_it_and_by_nothing_else() {
        let elsewhere = Link { peer_elsewhere: true, ..vlan(9, 1, 11, false) };
        let links = [
            link(1, LinkKind::Physical),
            link(2, LinkKind::Bond),
            link(3, LinkKind::Bridge),
            vlan(4, 1, 7, false),
            vlan(5, 2, 8, true),
            vlan(6, 3, 9, false),
            vlan(7, 4, 10, false),
            vlan(8, 1, 4095, false),
            elsewhere,
            link(10, LinkKind::Other("tun".to_owned())),
            link(11, LinkKind::Other("wireguard".to_owned())),
        ];
        let itself = |index| (index, Egress { interface: index, vlan: None });
        let tagged =
            |index, interface, id, is_service| (index, Egress { interface, vlan: Some(Vlan { id, is_service }) });
        let expected = [itself(1), itself(2), tagged(4, 1, 7, false), tagged(5, 2, 8, true), itself(10)];
        assert_eq!(ways_out(&links), expected.into());
    }

    #[test]
    fn of_more_interfaces_than_there_is_room_for_the_first_ones_count() {
        let itself = |index| (index, Egress { interface: index, vlan: None });
        let elements = wanted(&(1..=2 * LINK_ENTRIES).map(itself).collect());
        assert_eq!(elements.len(), LINK_ENTRIES as usize);
        assert!(elements.contains_key(&[1, 0]) && !elements.contains_key(&[LINK_ENTRIES + 1, 0]));
    }

    #[test]
    fn what_comes_with_a_tag_is_known_by_the_card_and_the_tag() {
        let way = Egress { interface: 1, vlan: Some(Vlan { id: 7, is_service: true }) };
        assert_eq!(elements(4, &way).collect::<Vec<_>>(), [([4, 0], [1, 0x8007]), ([1, 0x8007], [4, 0])]);
        let itself = Egress { interface: 1, vlan: None };
        assert_eq!(elements(1, &itself).collect::<Vec<_>>(), [([1, 0], [1, 0])]);
    }
}
