//! The table: its sets, its rules, and keys of elements as bytes. One is made for each family that needs it.

use evenkeel_model::{Protocol, ServiceKey, vrrp::Firewall};
use evenkeel_netlink::{NfBatch, NfEnd, NfFamily, NfMeta, NfRegister, NfRule, NfTable, NfTables, NfVerdict};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The comment by which our tables are known.
const MARK: &str = "evenkeel: addresses whose packets are not accepted";
/// Sets. Link-local addresses are closed on one interface only.
const VIPS: &str = "vips";
const LINK_LOCAL: &str = "vips_link_local";
const SERVICES: &str = "services";
const WHOLE_SERVICES: &str = "services_all_ports";
/// nft(8)'s numbers of kinds; those of a key of several parts stand behind each other, six bits each.
const KIND_IPV4: u32 = 7;
const KIND_IPV6: u32 = 8;
const KIND_PROTOCOL: u32 = 12;
const KIND_PORT: u32 = 13;
const KIND_INTERFACE: u32 = 20;
/// Neighbour solicitations and advertisements: without them nobody finds the address.
const NEIGHBOUR_DISCOVERY: [u8; 2] = [135, 136];
const ICMPV6: u8 = 58;

/// A closed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The address.
    pub(crate) address: IpAddr,
    /// Index of its interface, where the address means something there only; else 0.
    ifindex: u32,
}

impl Key {
    pub(crate) fn new(address: IpAddr, ifindex: u32) -> Key {
        let is_link_local = matches!(address, IpAddr::V6(ip) if ip.is_unicast_link_local());
        Key { address, ifindex: if is_link_local { ifindex } else { 0 } }
    }

    fn set(self) -> &'static str {
        if self.ifindex == 0 { VIPS } else { LINK_LOCAL }
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = octets(self.address);
        if self.ifindex != 0 {
            bytes.extend(self.ifindex.to_ne_bytes());
        }
        bytes
    }

    /// Reads a key of the kernel's, of any length.
    fn read(bytes: &[u8]) -> Option<Key> {
        if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
            return Some(Key::new(Ipv4Addr::from(octets).into(), 0));
        }
        let (octets, rest) = bytes.split_first_chunk::<16>()?;
        let address = Ipv6Addr::from(*octets).into();
        match <[u8; 4]>::try_from(rest) {
            Ok(index) => Some(Key { address, ifindex: u32::from_ne_bytes(index) }),
            Err(_) => rest.is_empty().then_some(Key { address, ifindex: 0 }),
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// How the table of one family looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) family: NfFamily,
    pub(super) firewall: Firewall,
    /// Services that are let through.
    pub(super) answered: Vec<ServiceKey>,
}

impl Layout {
    pub(super) fn table(&self) -> NfTable<'_> {
        NfTable { family: self.family, name: &self.firewall.table }
    }

    /// Whether the table is there; somebody else's is a mistake.
    pub(super) fn find(&self, tables: &mut NfTables) -> Result<bool, String> {
        match tables.comment(self.table()).map_err(|e| super::words(&e))?.as_deref() {
            None => Ok(false),
            Some(MARK) => Ok(true),
            Some(_) => {
                let name = &self.firewall.table;
                Err(format!("the nftables table {name} is somebody else's.  Next: write `nftables` with another name"))
            }
        }
    }

    /// What is closed by the table that is there.
    pub(super) fn keys(&self, tables: &mut NfTables) -> Result<BTreeSet<Key>, String> {
        let mut keys = BTreeSet::new();
        for (set, ..) in self.address_sets() {
            let found = tables.elements(self.table(), set).map_err(|e| super::words(&e))?;
            keys.extend(found.iter().filter_map(|bytes| Key::read(bytes)));
        }
        Ok(keys)
    }

    /// Kind of an address and its length in bytes.
    fn address(&self) -> (u32, u32) {
        match self.family {
            NfFamily::Ipv4 => (KIND_IPV4, 4),
            NfFamily::Ipv6 => (KIND_IPV6, 16),
        }
    }

    /// Sets of addresses, each with the kind and length of its keys.
    fn address_sets(&self) -> impl Iterator<Item = (&'static str, u32, u32)> {
        let (kind, length) = self.address();
        let link_local =
            (self.family == NfFamily::Ipv6).then_some((LINK_LOCAL, kind << 6 | KIND_INTERFACE, length + 4));
        [(VIPS, kind, length)].into_iter().chain(link_local)
    }

    /// The register behind an address.
    fn behind(&self) -> u8 {
        if self.family == NfFamily::Ipv4 { 1 } else { 4 }
    }

    /// Every rule with its chain, in order.
    pub(super) fn rules(&self) -> Vec<(&'static str, NfRule)> {
        let ends =
            [("in", NfEnd::Destination, NfMeta::InputInterface), ("out", NfEnd::Source, NfMeta::OutputInterface)];
        let behind = self.behind();
        let mut rules = Vec::new();
        for (chain, end, interface) in ends {
            let first = NfRegister(0);
            let begin = || NfRule::new().load_address(self.family, end, first);
            let last =
                |rule: NfRule, verdict| if self.firewall.counters { rule.counted() } else { rule }.verdict(verdict);
            if self.family == NfFamily::Ipv6 {
                for kind in NEIGHBOUR_DISCOVERY {
                    let rule = NfRule::new().load(NfMeta::Protocol, first).equals(first, &[ICMPV6]);
                    let rule = rule.load_icmp_type(first).equals(first, &[kind]);
                    rules.push((chain, last(rule, NfVerdict::Accept)));
                }
            }
            let protocol = || begin().load(NfMeta::Protocol, NfRegister(behind));
            let port = protocol().load_port(end, NfRegister(behind + 1));
            rules.push((chain, last(port.is_in(SERVICES, first), NfVerdict::Accept)));
            rules.push((chain, last(protocol().is_in(WHOLE_SERVICES, first), NfVerdict::Accept)));
            if self.family == NfFamily::Ipv6 {
                let rule = begin().load(interface, NfRegister(behind)).is_in(LINK_LOCAL, first);
                rules.push((chain, last(rule, NfVerdict::Drop)));
            }
            rules.push((chain, last(begin().is_in(VIPS, first), NfVerdict::Drop)));
        }
        rules
    }

    /// The whole table with these elements, in the place of the one that is `there`.
    pub(super) fn whole(&self, there: bool, elements: &BTreeSet<Key>) -> NfBatch {
        let table = self.table();
        let mut batch = NfBatch::new();
        if there {
            batch.delete_table(table);
        }
        batch.add_table(table, MARK);
        for (chain, output) in [("in", false), ("out", true)] {
            batch.add_chain(table, chain, output, self.firewall.priority);
        }
        for (set, kind, length) in self.address_sets() {
            batch.add_set(table, set, kind, length);
        }
        let (kind, length) = self.address();
        let protocol = kind << 6 | KIND_PROTOCOL;
        batch.add_set(table, SERVICES, protocol << 6 | KIND_PORT, length + 8);
        batch.add_set(table, WHOLE_SERVICES, protocol, length + 4);
        for (chain, rule) in self.rules() {
            batch.add_rule(table, chain, &rule);
        }
        let services: Vec<_> = self.answered.iter().filter_map(|key| service(key, self.family)).collect();
        for name in [SERVICES, WHOLE_SERVICES] {
            let of = services.iter().filter(|(set, _)| *set == name).map(|(_, bytes)| bytes.as_slice());
            batch.add_elements(table, name, of);
        }
        self.each(elements, |set, keys| batch.add_elements(table, set, keys.iter().map(Vec::as_slice)));
        batch
    }

    /// Adds and takes out elements.
    pub(super) fn change(&self, new: &BTreeSet<Key>, gone: &BTreeSet<Key>) -> NfBatch {
        let table = self.table();
        let mut batch = NfBatch::new();
        self.each(new, |set, keys| batch.add_elements(table, set, keys.iter().map(Vec::as_slice)));
        self.each(gone, |set, keys| batch.delete_elements(table, set, keys.iter().map(Vec::as_slice)));
        batch
    }

    /// No table any more.
    pub(super) fn none(&self) -> NfBatch {
        let mut batch = NfBatch::new();
        batch.delete_table(self.table());
        batch
    }

    fn each(&self, elements: &BTreeSet<Key>, mut take: impl FnMut(&str, &[Vec<u8>])) {
        for (set, ..) in self.address_sets() {
            let keys: Vec<Vec<u8>> = elements.iter().filter(|key| key.set() == set).map(|key| key.bytes()).collect();
            take(set, &keys);
        }
    }
}

/// The set and the key of a service of this family.
fn service(key: &ServiceKey, family: NfFamily) -> Option<(&'static str, Vec<u8>)> {
    let ServiceKey::Address { address, protocol, port } = *key else { return None };
    if address.is_ipv6() != (family == NfFamily::Ipv6) {
        return None;
    }
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    let mut bytes = octets(address);
    bytes.extend([number, 0, 0, 0]);
    if port == 0 {
        return Some((WHOLE_SERVICES, bytes));
    }
    let [high, low] = port.to_be_bytes();
    bytes.extend([high, low, 0, 0]);
    Some((SERVICES, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_a_link_local_one_has_its_interface() {
        let one = |text: &str, ifindex| Key::new(text.parse().unwrap(), ifindex);
        for key in [one("192.0.2.1", 7), one("2001:db8::1", 7), one("fe80::1", 7)] {
            assert_eq!(Key::read(&key.bytes()), Some(key));
        }
        assert_ne!(one("fe80::1", 7), one("fe80::1", 8));
        assert_eq!(one("192.0.2.1", 7), one("192.0.2.1", 8));
        for length in [0, 3, 5, 15, 17, 19, 21, 64] {
            assert_eq!(Key::read(&vec![1; length]), None, "{length}");
        }
    }
}
