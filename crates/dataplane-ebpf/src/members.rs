//! Changes of a service's real servers.

use crate::{
    apply::refuse,
    attach::Mode,
    mapped::PUBLISH,
    plane::EbpfDataplane,
    room, servers,
    state::{dest_address, octets},
};
use evenkeel_abi::{self as abi, DestInfo};
use evenkeel_dataplane::RealServer;
use evenkeel_model::ServiceKey;
use std::{io, net::SocketAddr, sync::atomic::fence};

impl EbpfDataplane {
    fn member(&self, service: u32, address: SocketAddr) -> io::Result<u32> {
        match self.state.dests.get(&(service, address)) {
            Some(dest) if self.maps.dest_infos.get(*dest).member != 0 => Ok(*dest),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no real server {address}"))),
        }
    }

    pub(crate) fn add_real_server(
        &mut self,
        key: &ServiceKey,
        address: SocketAddr,
        server: RealServer,
    ) -> io::Result<()> {
        let service = self.live(key)?;
        if self.member(service, address).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("real server {address} is there already"),
            ));
        }
        servers::check_family(key, address, server)?;
        self.check_doors(address, server)?;
        // One that drains is taken up again, unless its connections were made for another translation.
        let same = |dest: &u32| self.is_translated_as(*dest, server);
        let known = self.state.dests.get(&(service, address)).copied().filter(same);
        let dest = known.map_or_else(|| self.free_dest(), Ok)?;
        self.reweigh(service, None, Some(server.weight.get()))?;
        self.state.sequence += 1;
        let mut info = fresh(service, address, self.state.sequence);
        if known.is_some() {
            let old = self.maps.dest_infos.get(dest);
            info = DestInfo { used: 1, last_weight: old.last_weight, zero: old.zero, ..info };
        }
        servers::note(&mut info, server);
        self.take_up(dest, known.is_none(), info, address);
        self.count_thresholds(service, 0, server.thresholds.upper);
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry.members.push(dest);
        }
        self.touched(service);
        Ok(())
    }

    pub(crate) fn edit_real_server(
        &mut self,
        key: &ServiceKey,
        address: SocketAddr,
        server: RealServer,
    ) -> io::Result<()> {
        let service = self.live(key)?;
        let dest = self.member(service, address)?;
        servers::check_family(key, address, server)?;
        self.check_doors(address, server)?;
        let mut info = self.maps.dest_infos.get(dest);
        let from = info.upper;
        let next = if self.is_translated_as(dest, server) { None } else { Some(self.free_dest()?) };
        self.reweigh(service, Some(info.weight), Some(server.weight.get()))?;
        servers::note(&mut info, server);
        match next {
            Some(next) => self.supersede(service, dest, next, info, address),
            None => {
                self.maps.dest_infos.set(dest, info);
                self.write_dest(dest);
            }
        }
        self.count_thresholds(service, from, server.thresholds.upper);
        self.touched(service);
        Ok(())
    }

    pub(crate) fn remove_real_server(&mut self, key: &ServiceKey, address: SocketAddr) -> io::Result<()> {
        let service = self.live(key)?;
        let dest = self.member(service, address)?;
        let info = self.maps.dest_infos.get(dest);
        self.reweigh(service, Some(info.weight), None)?;
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry.members.retain(|d| *d != dest);
        }
        self.retire(dest);
        self.count_thresholds(service, info.upper, 0);
        self.touched(service);
        Ok(())
    }

    /// Another index takes a real server's place in its service, as its connections were made for another translation:
    /// they drain under the old one.
    fn supersede(&mut self, service: u32, old: u32, next: u32, info: DestInfo, address: SocketAddr) {
        self.retire(old);
        self.take_up(next, true, DestInfo { used: 0, zero: [0; 5], ..info }, address);
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry
                .members
                .iter_mut()
                .chain(&mut entry.listed)
                .filter(|dest| **dest == old)
                .for_each(|dest| *dest = next);
        }
    }

    /// Makes an index a real server's.
    fn take_up(&mut self, dest: u32, is_new: bool, info: DestInfo, address: SocketAddr) {
        if is_new {
            self.maps.dests.set(dest, abi::Dest { service: info.service, ..abi::Dest::default() });
            self.state.free_dests.remove(&dest);
            self.state.dests.insert((info.service, address), dest);
            self.state.by_address.entry(address.ip()).or_default().insert(dest);
            if servers::translation(info.method).is_some() {
                self.filter_answers(address.ip(), true);
            }
        }
        self.maps.dest_infos.set(dest, info);
        fence(PUBLISH);
        self.maps.dest_infos.set(dest, DestInfo { used: 1, ..info });
        self.state.draining.remove(&dest);
        self.write_dest(dest);
    }

    fn free_dest(&self) -> io::Result<u32> {
        let free = self.state.free_dests.first().copied();
        free.ok_or_else(|| refuse("no room for another real server; stop and start the instance to make more"))
    }

    /// Whether an index has the translation that a real server is to have.
    fn is_translated_as(&self, dest: u32, server: RealServer) -> bool {
        let has = self.maps.dest_infos.get(dest).method;
        servers::translation(has) == servers::translation(servers::method(server.forwarding))
    }

    /// Generic XDP sees packets whose checksums are not whole yet, and cannot translate them.
    fn check_doors(&self, address: SocketAddr, server: RealServer) -> io::Result<()> {
        if !servers::is_answered(servers::method(server.forwarding)) {
            return Ok(());
        }
        let generic = self.links.doors.values().find(|door| door.attachment.mode == Mode::Generic);
        generic.map_or(Ok(()), |door| {
            Err(refuse(&format!(
                "real server {address} cannot be reached by {} through {}, where the program is attached as generic XDP: \
                 attach it there by tcx, clsact or native XDP",
                server.forwarding.name(),
                door.attachment.interface
            )))
        })
    }

    /// A real server that is translated, removed ones included that still drain.
    pub(crate) fn translated(&self) -> Option<SocketAddr> {
        let all = self.state.dests.values().chain(self.state.draining.keys());
        let mut infos = all.map(|dest| self.maps.dest_infos.get(*dest));
        infos.find(|info| servers::is_answered(info.method)).map(|info| dest_address(&info))
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
}

/// A member that is nothing yet.
fn fresh(service: u32, address: SocketAddr, sequence: u64) -> DestInfo {
    DestInfo {
        member: 1,
        address: octets(address.ip()),
        port: address.port(),
        family: if address.is_ipv4() { 4 } else { 6 },
        service,
        sequence,
        ..DestInfo::default()
    }
}
