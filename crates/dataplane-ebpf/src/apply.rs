//! Makes changes true: what each one writes, and in which order.
//!
//! An element is complete before anything names it, and nothing names it any more before it is used again.

use crate::{
    mapped::{PUBLISH, word},
    maps::key_bytes,
    options,
    plane::EbpfDataplane,
    room,
    state::{Entry, abi_key, folded, octets, scheduler_number},
    unbuilt,
};
use evenkeel_abi as abi;
use evenkeel_dataplane::{ApplyError, Change, RealServer, ServiceOptions};
use evenkeel_model::{Family, Forwarding, ServiceKey, Sources};
use std::{io, mem, net::SocketAddr, sync::atomic::fence};

fn refuse(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl EbpfDataplane {
    pub(crate) fn apply_all(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        self.set_applying(1);
        let mut result = Ok(());
        for (applied, change) in changes.iter().enumerate() {
            if let Err(cause) = self.apply_one(change) {
                result = Err(ApplyError { change: Box::new(change.clone()), applied, cause });
                break;
            }
        }
        // Lists are written once however many changes touch them, and also those of the changes before a failed one.
        let published = self.publish_dirty();
        self.set_applying(0);
        match (published, result) {
            (Err((key, cause)), Ok(())) => Err(not_published(changes, &key, cause)),
            (_, result) => result,
        }
    }

    /// Says in the maps themselves that they are being changed, for whoever adopts them.
    pub(crate) fn set_applying(&self, applying: u64) {
        let header = self.maps.header.at(0);
        // SAFETY: a word of the one element.
        unsafe { word(&raw mut (*header).applying) }.store(applying, PUBLISH);
    }

    fn apply_one(&mut self, change: &Change) -> io::Result<()> {
        unbuilt::refuse(change)?;
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
        let drains = self.state.services.get(key).copied();
        let free = drains.or_else(|| self.state.free_services.first().copied());
        let index =
            free.ok_or_else(|| refuse("no room for another service; stop and start the instance to make more"))?;
        let mut info = self.maps.service_infos.get(index);
        if info.used == 0 {
            info = abi::ServiceInfo { key: abi_key(key), ..abi::ServiceInfo::default() };
        }
        info.scheduler = scheduler_number(options.scheduler);
        info.flags = options::flags(options);
        self.maps.services.set(index, abi::Service::default());
        self.maps.service_infos.set(index, info);
        if let Err(cause) = self.set_sources(index, &Sources::default(), &options.sources, info.flags) {
            // A service that only drains has no lists, and one that is not `used` does not exist.
            self.set_service_flags(index, 0);
            return Err(cause);
        }
        fence(PUBLISH);
        self.maps.service_infos.set(index, abi::ServiceInfo { used: 1, ..info });
        if drains.is_none() {
            self.state.free_services.remove(&index);
            self.filter(key, true);
        }
        if let Some(old) = self.state.entries.insert(index, Entry::new(*key, options.clone())) {
            self.state.cells.give_back_all([old.extent, old.reserved]);
        }
        self.state.services.insert(*key, index);
        self.maps.service_ids.insert(key_bytes(&abi_key(key)), index, 0).map_err(io::Error::other)
    }

    fn edit_service(&mut self, key: &ServiceKey, options: &ServiceOptions) -> io::Result<()> {
        let index = self.live(key)?;
        let old = self.state.entries.get(&index).map(|e| e.options.clone());
        let old = old.ok_or_else(|| refuse("the service is not known"))?;
        if old.scheduler != options.scheduler {
            self.reserve(index, options.scheduler)?;
        }
        self.set_sources(index, &old.sources, &options.sources, options::flags(options))?;
        let mut info = self.maps.service_infos.get(index);
        info.scheduler = scheduler_number(options.scheduler);
        info.flags = options::flags(options);
        self.maps.service_infos.set(index, info);
        if let Some(entry) = self.state.entries.get_mut(&index) {
            entry.options = options.clone();
            if old.scheduler == options.scheduler {
                return Ok(());
            }
            entry.listed.clear();
            entry.weight = Some(0);
        }
        self.state.dirty.insert(index);
        Ok(())
    }

    fn remove_service(&mut self, key: &ServiceKey) -> io::Result<()> {
        let index = self.live(key)?;
        self.maps.service_ids.remove(&key_bytes(&abi_key(key))).map_err(io::Error::other)?;
        let Some(entry) = self.state.entries.get_mut(&index) else { return Ok(()) };
        entry.live = false;
        entry.weights.clear();
        let sources = mem::take(&mut entry.options.sources);
        let members = mem::take(&mut entry.members);
        self.drop_sources(index, &sources);
        for dest in members {
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
        check_family(key, address, server)?;
        let known = self.state.dests.get(&(service, address)).copied();
        let free = known.or_else(|| self.state.free_dests.first().copied());
        let dest =
            free.ok_or_else(|| refuse("no room for another real server; stop and start the instance to make more"))?;
        self.reweigh(service, None, Some(server.weight.get()))?;
        self.state.sequence += 1;
        let mut info = abi::DestInfo {
            member: 1,
            address: octets(address.ip()),
            port: address.port(),
            family: if address.is_ipv4() { 4 } else { 6 },
            service,
            sequence: self.state.sequence,
            ..abi::DestInfo::default()
        };
        if known.is_some() {
            info = abi::DestInfo { used: 1, last_weight: self.maps.dest_infos.get(dest).last_weight, ..info };
        } else {
            self.maps.dests.set(dest, abi::Dest { service, ..abi::Dest::default() });
            self.state.free_dests.remove(&dest);
            self.state.dests.insert((service, address), dest);
            self.state.by_address.entry(address.ip()).or_default().insert(dest);
        }
        set_server(&mut info, server);
        self.maps.dest_infos.set(dest, info);
        fence(PUBLISH);
        self.maps.dest_infos.set(dest, abi::DestInfo { used: 1, ..info });
        self.state.draining.remove(&dest);
        self.set_down(dest, server.is_down);
        self.write_dest(dest);
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry.members.push(dest);
        }
        self.touched(service);
        Ok(())
    }

    fn edit_real_server(&mut self, key: &ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
        let service = self.live(key)?;
        let dest = self.member(service, address)?;
        check_family(key, address, server)?;
        let mut info = self.maps.dest_infos.get(dest);
        self.reweigh(service, Some(info.weight), Some(server.weight.get()))?;
        set_server(&mut info, server);
        self.maps.dest_infos.set(dest, info);
        self.set_down(dest, server.is_down);
        self.write_dest(dest);
        self.touched(service);
        Ok(())
    }

    fn set_down(&mut self, dest: u32, is_down: bool) {
        if is_down {
            self.state.down.insert(dest);
        } else {
            self.state.down.remove(&dest);
        }
    }

    fn remove_real_server(&mut self, key: &ServiceKey, address: SocketAddr) -> io::Result<()> {
        let service = self.live(key)?;
        let dest = self.member(service, address)?;
        self.reweigh(service, Some(self.maps.dest_infos.get(dest).weight), None)?;
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry.members.retain(|d| *d != dest);
        }
        self.retire(dest);
        self.touched(service);
        Ok(())
    }

    /// Counts a service's real server of one weight out, of another one in, and sees that the list it then has will find
    /// room. `Err`: nothing has changed.
    fn reweigh(&mut self, service: u32, from: Option<u32>, to: Option<u32>) -> io::Result<()> {
        let Some(entry) = self.state.entries.get_mut(&service) else { return Ok(()) };
        let scheduler = entry.options.scheduler;
        room::reweigh(&mut entry.weights, from, to);
        let reserved = self.reserve(service, scheduler);
        if reserved.is_err()
            && let Some(entry) = self.state.entries.get_mut(&service)
        {
            room::reweigh(&mut entry.weights, to, from);
        }
        reserved
    }

    /// No new connections; kept until the last one it has is over.
    pub(crate) fn retire(&mut self, dest: u32) {
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

    /// Counts the address of a service, draining ones included, in or out of the filter.
    pub(crate) fn filter(&mut self, key: &ServiceKey, add: bool) {
        let Some(address) = key.address() else { return };
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
}

/// A list that could not be written: the changes of its service are not in force.
fn not_published(changes: &[Change], key: &ServiceKey, cause: io::Error) -> ApplyError {
    let applied = changes.iter().position(|change| change.service() == key).unwrap_or(0);
    ApplyError { change: Box::new(changes[applied].clone()), applied, cause }
}

fn check_family(key: &ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
    if Family::of(address.ip()) == key.family() || server.forwarding == Forwarding::Local {
        return Ok(());
    }
    Err(refuse(&format!("real server {address} is of the other address family, which direct routing cannot reach")))
}

fn set_server(info: &mut abi::DestInfo, server: RealServer) {
    info.method = if server.forwarding == Forwarding::Local { abi::METHOD_LOCAL } else { abi::METHOD_DIRECT };
    info.weight = server.weight.get();
    if info.weight > 0 {
        info.last_weight = info.weight;
    }
}
