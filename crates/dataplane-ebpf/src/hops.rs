//! How real servers are reached, as the program reads it.

use crate::{
    mapped::PUBLISH,
    options,
    plane::EbpfDataplane,
    servers,
    state::{self, words},
};
use evenkeel_abi as abi;
use evenkeel_dataplane::{NextHop, Route};
use std::{
    net::IpAddr,
    sync::atomic::{AtomicU32, fence},
};

/// What a next hop says.
const OF_THE_WAY: u32 = abi::DEST_RESOLVED | abi::DEST_V6 | abi::DEST_OWN | abi::DEST_VLAN | abi::DEST_BY_STACK;

impl EbpfDataplane {
    /// How a real server's address is reached, for all real servers that have it.
    pub(crate) fn set_next_hop(&mut self, address: IpAddr, hop: NextHop) {
        // Next hops of real servers that are gone stay known for when they come back, within bounds.
        if self.state.hops.len() > 2 * self.sizes.dests as usize {
            self.state.hops.retain(|address, _| self.state.by_address.contains_key(address));
        }
        if self.state.hops.insert(address, hop) == Some(hop) {
            return;
        }
        for dest in self.state.by_address.get(&address).cloned().unwrap_or_default() {
            self.write_dest(dest);
        }
    }

    /// Writes what the program needs of a real server.
    pub(crate) fn write_dest(&mut self, dest: u32) {
        let info = self.maps.dest_infos.get(dest);
        let address = state::dest_address(&info).ip();
        // A service of every port, or by mark, has no port of its own that could be translated.
        let service = self.maps.service_infos.get(info.service);
        let keeps_port = service.key.port == 0;
        let mut wanted = servers::element(&info, words(address), keeps_port);
        match self.state.hops.get(&address) {
            Some(NextHop::Resolved { route, source, destination }) => {
                wanted.source = mac(source);
                wanted.destination = mac(destination);
                wanted.flags |= abi::DEST_RESOLVED;
                lead(&mut wanted, route, address);
            }
            Some(NextHop::Unresolved { route }) => lead(&mut wanted, route, address),
            Some(NextHop::Unreachable) => {
                wanted.next_hop = words(address);
                wanted.flags |= if address.is_ipv6() { abi::DEST_V6 } else { 0 };
            }
            // Nothing is known since the last daemon: what it knew goes on.
            None => {
                let old = self.maps.dests.get(dest);
                wanted = abi::Dest {
                    flags: wanted.flags | old.flags & OF_THE_WAY,
                    interface: old.interface,
                    destination: old.destination,
                    source: old.source,
                    next_hop: old.next_hop,
                    mtu: old.mtu,
                    vlan: old.vlan,
                    own: old.own,
                    ..wanted
                };
            }
        }
        if service.flags & options::NOTE_MEETING != 0 {
            // PP-55: both know the director by this address.
            let meeting = state::model_key(&service.key).address();
            wanted.own = meeting.map_or(wanted.own, words);
            wanted.flags |= abi::DEST_OWN;
        }
        self.store_dest(dest, wanted);
    }

    /// While addresses change the real server counts as unresolved. A CPU that has read the flags just before may still
    /// send its one packet to a mixture of both.
    fn store_dest(&mut self, dest: u32, wanted: abi::Dest) {
        let old = self.maps.dests.get(dest);
        let mixed = abi::Dest { overloaded: old.overloaded, ..wanted };
        if old == mixed {
            return;
        }
        let element = self.maps.dests.at(dest);
        // SAFETY: a field of an element of the array.
        let at = unsafe { &raw mut (*element).flags };
        // SAFETY: as before.
        let store_flags = |flags: u32| unsafe { at.write_volatile(flags) };
        let limits = |dest: &abi::Dest| (dest.weight, dest.upper, dest.lower);
        let (weight, upper, lower) = limits(&old);
        if (abi::Dest { flags: old.flags, weight, upper, lower, ..mixed }) != old {
            store_flags(wanted.flags & !abi::DEST_RESOLVED);
            fence(PUBLISH);
        }
        self.store_words(dest, &abi::Dest { flags: 0, ..old }, &abi::Dest { flags: 0, ..mixed });
        if (upper, lower) != (wanted.upper, wanted.lower) {
            // SAFETY: a field of an element of the array that is otherwise changed by atomics only.
            unsafe { AtomicU32::from_ptr(&raw mut (*element).overloaded) }.store(0, PUBLISH);
        }
        fence(PUBLISH);
        store_flags(wanted.flags);
    }

    /// Writes those words of an element that differ.
    fn store_words(&mut self, dest: u32, old: &abi::Dest, wanted: &abi::Dest) {
        const WORDS: usize = size_of::<abi::Dest>() / size_of::<u32>();
        // SAFETY: plain data without padding between its fields, of that many words.
        let words = |of: &abi::Dest| unsafe { (&raw const *of).cast::<[u32; WORDS]>().read() };
        let first = self.maps.dests.at(dest).cast::<u32>();
        for (at, (old, wanted)) in words(old).into_iter().zip(words(wanted)).enumerate() {
            if old != wanted {
                // SAFETY: a word of an element of the array.
                unsafe { first.add(at).write_volatile(wanted) };
            }
        }
    }
}

/// The way to an address.
fn lead(dest: &mut abi::Dest, route: &Route, address: IpAddr) {
    let next_hop = route.gateway.unwrap_or(address);
    dest.interface = route.interface;
    dest.mtu = route.mtu;
    dest.vlan = route.vlan.map_or(0, |vlan| abi::link::tag(vlan.id, vlan.is_service));
    dest.flags |= if route.by_stack { abi::DEST_BY_STACK } else { 0 };
    dest.flags |= if dest.vlan != 0 { abi::DEST_VLAN } else { 0 };
    dest.next_hop = words(next_hop);
    dest.flags |= if next_hop.is_ipv6() { abi::DEST_V6 } else { 0 };
    // An address of the other family could stand in no header beside the real server's.
    if let Some(own) = route.own_address.filter(|own| own.is_ipv6() == address.is_ipv6()) {
        dest.own = words(own);
        dest.flags |= abi::DEST_OWN;
    }
}

fn mac(octets: &[u8; 6]) -> [u16; 3] {
    std::array::from_fn(|i| u16::from_ne_bytes([octets[2 * i], octets[2 * i + 1]]))
}
