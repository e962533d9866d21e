//! Makes changes true: what each one writes, and in which order.
//!
//! An element is complete before anything names it, and nothing names it any more before it is used again.

use crate::{
    mapped::{PUBLISH, word},
    maps::key_bytes,
    plane::EbpfDataplane,
    state::{self, Entry, abi_key, folded, octets, scheduler_number, words},
};
use aya::maps::lpm_trie::Key;
use evenkeel_abi as abi;
use evenkeel_dataplane::{ApplyError, Change, NextHop, RealServer, ServiceOptions};
use evenkeel_model::{Forwarding, Prefix, ServiceKey, Sources};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};

fn refuse(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl EbpfDataplane {
    pub(crate) fn apply_all(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        self.set_applying(1);
        let mut result = Ok(());
        for (applied, change) in changes.iter().enumerate() {
            if let Err(cause) = self.apply_one(change) {
                result = Err(ApplyError { change: change.clone(), applied, cause });
                break;
            }
        }
        // Lists are written once however many changes touch them, and also those of the changes before a failed one.
        let published = self.publish_dirty();
        self.set_applying(0);
        match (published, result, changes.first()) {
            (Err(cause), Ok(()), Some(change)) => Err(ApplyError { change: change.clone(), applied: 0, cause }),
            (_, result, _) => result,
        }
    }

    /// Says in the maps themselves that they are being changed, for whoever adopts them.
    fn set_applying(&self, applying: u64) {
        let header = self.maps.header.at(0);
        // SAFETY: a word of the one element.
        unsafe { word(&raw mut (*header).applying) }.store(applying, PUBLISH);
    }

    fn apply_one(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::AddService(key, options) => self.add_service(key, options),
            Change::EditService(key, options) => self.edit_service(key, options),
            Change::RemoveService(key) => self.remove_service(key),
            Change::AddRealServer(key, address, server) => self.add_real_server(key, *address, *server),
            Change::EditRealServer(key, address, server) => self.edit_real_server(key, *address, *server),
            Change::RemoveRealServer(key, address) => self.remove_real_server(key, *address),
        }
    }

    /// The index of a service that packets find.
    fn live(&self, key: &ServiceKey) -> io::Result<u32> {
        match self.state.services.get(key) {
            Some(index) if self.state.entries.get(index).is_some_and(|e| e.live) => Ok(*index),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such service")),
        }
    }

    fn member(&self, service: u32, address: SocketAddr) -> io::Result<u32> {
        match self.state.dests.get(&(service, address)) {
            Some(dest) if self.maps.dest_infos.get(*dest).member != 0 => Ok(*dest),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no real server {address}"))),
        }
    }

    fn add_service(&mut self, key: &ServiceKey, options: &ServiceOptions) -> io::Result<()> {
        if self.live(key).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the service is there already"));
        }
        let index = match self.state.services.get(key) {
            Some(index) => *index,
            None => self
                .state
                .free_services
                .pop_first()
                .ok_or_else(|| refuse("no room for another service; restart to make more"))?,
        };
        let mut info = self.maps.service_infos.get(index);
        if info.used == 0 {
            info = abi::ServiceInfo { used: 1, key: abi_key(key), ..abi::ServiceInfo::default() };
        }
        info.scheduler = scheduler_number(options.scheduler);
        self.maps.services.set(index, abi::Service::default());
        self.maps.service_infos.set(index, info);
        self.set_sources(index, key, &options.sources)?;
        self.maps.service_ids.insert(key_bytes(&abi_key(key)), index, 0).map_err(io::Error::other)?;
        let (members, listed) = (Vec::new(), Vec::new());
        let entry =
            Entry { key: *key, live: true, options: options.clone(), members, extent: None, listed, weight: None };
        self.state.entries.insert(index, entry);
        self.state.services.insert(*key, index);
        self.filter(key.address, true);
        Ok(())
    }

    fn edit_service(&mut self, key: &ServiceKey, options: &ServiceOptions) -> io::Result<()> {
        let index = self.live(key)?;
        self.set_sources(index, key, &options.sources)?;
        let mut info = self.maps.service_infos.get(index);
        info.scheduler = scheduler_number(options.scheduler);
        self.maps.service_infos.set(index, info);
        if let Some(entry) = self.state.entries.get_mut(&index) {
            if entry.options.scheduler != options.scheduler {
                entry.listed.clear();
                entry.weight = Some(0);
            }
            entry.options = options.clone();
        }
        self.state.dirty.insert(index);
        Ok(())
    }

    fn remove_service(&mut self, key: &ServiceKey) -> io::Result<()> {
        let index = self.live(key)?;
        self.maps.service_ids.remove(&key_bytes(&abi_key(key))).map_err(io::Error::other)?;
        self.filter(key.address, false);
        self.set_sources(index, key, &Sources::default())?;
        let Some(entry) = self.state.entries.get_mut(&index) else { return Ok(()) };
        entry.live = false;
        for dest in std::mem::take(&mut entry.members) {
            self.retire(dest);
        }
        self.state.dirty.insert(index);
        Ok(())
    }

    fn add_real_server(&mut self, key: &ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
        let service = self.live(key)?;
        if self.member(service, address).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("real server {address} is there already"),
            ));
        }
        if address.is_ipv4() != key.address.is_ipv4() && server.forwarding == Forwarding::DirectRouting {
            return Err(refuse(&format!(
                "real server {address} is of the other address family, which direct routing cannot reach"
            )));
        }
        let known = self.state.dests.get(&(service, address)).copied();
        let dest = match known {
            Some(dest) => dest,
            None => self
                .state
                .free_dests
                .pop_first()
                .ok_or_else(|| refuse("no room for another real server; restart to make more"))?,
        };
        self.state.sequence += 1;
        let mut info = abi::DestInfo {
            used: 1,
            member: 1,
            address: octets(address.ip()),
            port: address.port(),
            family: if address.is_ipv4() { 4 } else { 6 },
            service,
            sequence: self.state.sequence,
            ..abi::DestInfo::default()
        };
        if known.is_some() {
            info.last_weight = self.maps.dest_infos.get(dest).last_weight;
        } else {
            self.maps.dests.set(dest, abi::Dest { service, ..abi::Dest::default() });
        }
        set_server(&mut info, server);
        self.maps.dest_infos.set(dest, info);
        if known.is_none() {
            self.state.dests.insert((service, address), dest);
            self.state.by_address.entry(address.ip()).or_default().push(dest);
        }
        self.state.draining.remove(&dest);
        self.write_dest(dest);
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry.members.insert(0, dest);
        }
        self.touched(service);
        Ok(())
    }

    fn edit_real_server(&mut self, key: &ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
        let service = self.live(key)?;
        let dest = self.member(service, address)?;
        let mut info = self.maps.dest_infos.get(dest);
        set_server(&mut info, server);
        self.maps.dest_infos.set(dest, info);
        self.write_dest(dest);
        self.touched(service);
        Ok(())
    }

    fn remove_real_server(&mut self, key: &ServiceKey, address: SocketAddr) -> io::Result<()> {
        let service = self.live(key)?;
        let dest = self.member(service, address)?;
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry.members.retain(|d| *d != dest);
        }
        self.retire(dest);
        self.touched(service);
        Ok(())
    }

    /// No new connections; kept until the last one it has is over.
    fn retire(&mut self, dest: u32) {
        let mut info = self.maps.dest_infos.get(dest);
        info.member = 0;
        self.maps.dest_infos.set(dest, info);
        self.write_dest(dest);
        self.state.draining.insert(dest, 0);
    }

    /// A service's real servers or weights have changed.
    fn touched(&mut self, service: u32) {
        self.step_wrr(service);
        self.state.dirty.insert(service);
    }

    /// Counts a service's address in or out of the filter.
    fn filter(&mut self, address: IpAddr, add: bool) {
        let bit = abi::filter_bit(folded(address));
        let users = self.state.filter.entry(bit).or_default();
        *users = if add { *users + 1 } else { users.saturating_sub(1) };
        let set = *users > 0;
        if !set {
            self.state.filter.remove(&bit);
        }
        let filter = self.maps.filter.at(0);
        // SAFETY: a word of the one element; only this thread writes it.
        let word = unsafe { word((&raw mut (*filter).words).cast::<u64>().add(bit as usize / 64)) };
        let mask = 1u64 << (bit % 64);
        if set {
            word.fetch_or(mask, PUBLISH)
        } else {
            word.fetch_and(!mask, PUBLISH)
        };
    }

    /// Replaces a service's lists of sources: the new prefixes first, then the flags, then the old ones go.
    fn set_sources(&mut self, index: u32, key: &ServiceKey, sources: &Sources) -> io::Result<()> {
        let old = self.state.entries.get(&index).map(|e| e.options.sources.clone()).unwrap_or_default();
        if old == *sources && self.state.entries.get(&index).is_some_and(|e| e.live) {
            return Ok(());
        }
        let rules = |s: &Sources| -> Vec<(Prefix, u32)> {
            let allow = s.allow.iter().filter(|p| !s.deny.contains(p)).map(|p| (*p, abi::ACL_ALLOW));
            allow.chain(s.deny.iter().map(|p| (*p, abi::ACL_DENY))).collect()
        };
        let wanted: Vec<_> =
            rules(sources).into_iter().filter(|(p, _)| p.address().is_ipv4() == key.address.is_ipv4()).collect();
        for (prefix, rule) in &wanted {
            self.maps.acl.insert(&acl_key(index, *prefix), rule, 0).map_err(io::Error::other)?;
        }
        let mut flags = 0;
        if !sources.allow.is_empty() || !sources.deny.is_empty() {
            flags |= abi::SERVICE_ACL;
        }
        if !sources.allow.is_empty() {
            flags |= abi::SERVICE_DEFAULT_DENY;
        }
        let service = self.maps.services.at(index);
        // SAFETY: an element of the array.
        unsafe { (&raw mut (*service).flags).write_volatile(flags) };
        for (prefix, _) in rules(&old) {
            if !wanted.iter().any(|(p, _)| *p == prefix) {
                // A prefix of the other family was never put in.
                let _ = self.maps.acl.remove(&acl_key(index, prefix));
            }
        }
        Ok(())
    }

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
            Some(NextHop::Resolved { interface, source, destination, gateway }) => {
                wanted.interface = *interface;
                wanted.source = mac(source);
                wanted.destination = mac(destination);
                wanted.flags |= abi::DEST_RESOLVED;
                next_hop = gateway.unwrap_or(address);
            }
            Some(NextHop::Unresolved { interface, gateway }) => {
                wanted.interface = *interface;
                next_hop = gateway.unwrap_or(address);
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
        if info.local != 0 {
            wanted.flags |= abi::DEST_LOCAL;
        }
        if info.member == 0 || info.weight == 0 {
            wanted.flags |= abi::DEST_NO_NEW;
        }
        self.store_dest(dest, wanted);
    }

    /// The MAC addresses are never read half old and half new while the real server counts as resolved.
    fn store_dest(&mut self, dest: u32, wanted: abi::Dest) {
        let old = self.maps.dests.get(dest);
        if old == wanted {
            return;
        }
        let moved =
            old.destination != wanted.destination || old.source != wanted.source || old.interface != wanted.interface;
        let element = self.maps.dests.at(dest);
        // SAFETY: fields of an element of the array.
        unsafe {
            if moved && old.flags & abi::DEST_RESOLVED != 0 {
                (&raw mut (*element).flags).write_volatile(wanted.flags & !abi::DEST_RESOLVED);
            }
            self.maps.dests.set(dest, abi::Dest { flags: wanted.flags & !abi::DEST_RESOLVED, ..wanted });
            std::sync::atomic::fence(PUBLISH);
            (&raw mut (*element).flags).write_volatile(wanted.flags);
        }
    }
}

fn set_server(info: &mut abi::DestInfo, server: RealServer) {
    info.local = u8::from(server.forwarding == Forwarding::Local);
    info.weight = server.weight.get();
    if info.weight > 0 {
        info.last_weight = info.weight;
    }
}

fn acl_key(service: u32, prefix: Prefix) -> Key<[u32; 5]> {
    let [a, b, c, d] = words(prefix.address());
    Key::new(32 + u32::from(prefix.length()), [service, a, b, c, d])
}

fn mac(octets: &[u8; 6]) -> [u16; 3] {
    std::array::from_fn(|i| u16::from_ne_bytes([octets[2 * i], octets[2 * i + 1]]))
}
