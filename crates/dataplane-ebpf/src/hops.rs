//! How real servers are reached, as the program reads it.

use crate::{
    mapped::PUBLISH,
    plane::EbpfDataplane,
    state::{self, words},
};
use evenkeel_abi as abi;
use evenkeel_dataplane::NextHop;
use std::{net::IpAddr, sync::atomic::fence};

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
        let mut wanted = abi::Dest { service: info.service, next_hop: words(address), ..abi::Dest::default() };
        let mut next_hop = address;
        match self.state.hops.get(&address) {
            Some(NextHop::Resolved { route, source, destination }) => {
                wanted.interface = route.interface;
                wanted.source = mac(source);
                wanted.destination = mac(destination);
                wanted.flags |= abi::DEST_RESOLVED;
                next_hop = route.gateway.unwrap_or(address);
            }
            Some(NextHop::Unresolved { route }) => {
                wanted.interface = route.interface;
                next_hop = route.gateway.unwrap_or(address);
            }
            Some(NextHop::Unreachable) => {}
            // Nothing is known since the last daemon: what it knew goes on.
            None => {
                let old = self.maps.dests.get(dest);
                wanted = abi::Dest { flags: old.flags & (abi::DEST_RESOLVED | abi::DEST_V6), ..old };
                next_hop = IpAddr::from(std::net::Ipv4Addr::UNSPECIFIED);
            }
        }
        if self.state.hops.contains_key(&address) {
            wanted.next_hop = words(next_hop);
            wanted.flags |= if next_hop.is_ipv6() { abi::DEST_V6 } else { 0 };
        }
        if info.method == abi::METHOD_LOCAL {
            wanted.flags |= abi::DEST_LOCAL;
        }
        if info.member == 0 || info.weight == 0 {
            wanted.flags |= abi::DEST_NO_NEW;
        }
        self.store_dest(dest, wanted);
    }

    /// While addresses change the real server counts as unresolved. A CPU that has read the flags just before may still
    /// send its one packet to a mixture of both.
    fn store_dest(&mut self, dest: u32, wanted: abi::Dest) {
        let old = self.maps.dests.get(dest);
        if old == wanted {
            return;
        }
        let element = self.maps.dests.at(dest);
        // SAFETY: a field of an element of the array.
        let store_flags = |flags: u32| unsafe { (&raw mut (*element).flags).write_volatile(flags) };
        let unresolved = wanted.flags & !abi::DEST_RESOLVED;
        if (abi::Dest { flags: wanted.flags, ..old }) != wanted {
            store_flags(unresolved);
            fence(PUBLISH);
            self.maps.dests.set(dest, abi::Dest { flags: unresolved, ..wanted });
            fence(PUBLISH);
        }
        store_flags(wanted.flags);
    }
}

fn mac(octets: &[u8; 6]) -> [u16; 3] {
    std::array::from_fn(|i| u16::from_ne_bytes([octets[2 * i], octets[2 * i + 1]]))
}
