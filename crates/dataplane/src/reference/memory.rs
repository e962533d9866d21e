//! The in-memory data plane: the table's side of the reference.

mod plane;

use super::{
    Door, Routes, Sighting, Traffic,
    clock::Clock,
    fragments::Notes,
    limit::Budgets,
    servers::{Locality, Server, ServerId, Servers, Service},
    table::Table,
};
use crate::{Capabilities, Change, Egress, NextHop, RealServer, ServiceOptions};
use evenkeel_abi::{Reason, hash::Secret};
use evenkeel_model::{Family, ServiceKey, Timeouts};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
};

/// A data plane in memory. Time stands still but for [`Memory::set_now`] and [`Traffic::elapse`].
#[derive(Debug)]
pub struct Memory {
    pub(super) limits: Capabilities,
    pub(super) secret: Secret,
    pub(super) clock: Clock,
    pub(super) timeouts: Timeouts,
    pub(super) services: BTreeMap<ServiceKey, Service>,
    pub(super) servers: Servers,
    /// Every real server there is, removed ones included, by service and address.
    pub(super) ids: BTreeMap<(ServiceKey, SocketAddr), ServerId>,
    last_id: ServerId,
    pub(super) hops: BTreeMap<IpAddr, NextHop>,
    pub(super) routes: Routes,
    /// By which interfaces XDP can send.
    pub(super) links: BTreeMap<u32, Egress>,
    /// The interface that the frame came in by.
    pub(super) ingress: u32,
    pub(super) table: Table,
    pub(super) locality: Locality,
    pub(super) notes: Notes,
    pub(super) budgets: Budgets,
    /// First and last port that FullNAT gives clients.
    pub(super) ports: (u16, u16),
    /// Whom chance is to choose, where it chooses.
    pub(super) lot: Option<IpAddr>,
    pub(super) drops: [u64; Reason::SLOTS],
}

impl Memory {
    /// An empty one. `secret` keys its maglev tables; a second has `ticks_per_second` ticks.
    pub fn new(limits: Capabilities, secret: Secret, ticks_per_second: u32) -> Memory {
        Memory {
            limits,
            secret,
            clock: Clock { now: 0, ticks_per_second },
            timeouts: Timeouts { tcp: Some(900), tcp_fin: Some(120), udp: Some(300) },
            services: BTreeMap::new(),
            servers: Servers::new(),
            ids: BTreeMap::new(),
            last_id: 0,
            hops: BTreeMap::new(),
            routes: Routes::default(),
            links: BTreeMap::new(),
            ingress: 0,
            table: Table::default(),
            locality: Locality::default(),
            notes: Notes::default(),
            budgets: Budgets::default(),
            ports: (4_096, 32_767),
            lot: None,
            drops: [0; Reason::SLOTS],
        }
    }

    /// Sets the clock, in ticks.
    pub fn set_now(&mut self, ticks: u64) {
        self.clock.now = ticks;
    }

    /// Sets the host's routes, which answers to clients follow.
    pub fn set_routes(&mut self, routes: Routes) {
        self.routes = routes;
    }

    /// Where a scheduler leaves the choice to chance it falls on the real server with this address, if that is usable.
    pub fn set_lot(&mut self, real_server: Option<IpAddr>) {
        self.lot = real_server;
    }

    /// The translated connections as their real servers see them: protocol, real server, client.
    pub(super) fn translated(&self) -> impl Iterator<Item = (u8, SocketAddr, SocketAddr)> {
        let known = self.table.iter();
        known.filter_map(|(flow, known)| known.inside.map(|inside| (flow.protocol, inside.server, inside.client)))
    }

    fn change(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::AddService(key, options) => self.add_service(*key, options),
            Change::EditService(key, options) => {
                let service = self.services.get_mut(key).ok_or_else(no_service)?;
                service.edit(options.clone(), &self.servers);
                Ok(())
            }
            Change::RemoveService(key) => {
                let service = self.services.remove(key).ok_or_else(no_service)?;
                self.budgets.forget(key);
                service.list.iter().for_each(|id| self.retire(*id));
                Ok(())
            }
            Change::AddRealServer(key, address, server) => self.add_real_server(*key, *address, *server),
            Change::EditRealServer(key, address, server) => self.edit_real_server(*key, *address, *server),
            Change::RemoveRealServer(key, address) => {
                let id = self.member(*key, *address)?;
                let service = self.services.get_mut(key).ok_or_else(no_service)?;
                service.change(&mut self.servers, |list, _| list.retain(|member| *member != id));
                self.retire(id);
                Ok(())
            }
        }
    }

    fn add_service(&mut self, key: ServiceKey, options: &ServiceOptions) -> io::Result<()> {
        if self.services.contains_key(&key) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the service is there already"));
        }
        if self.services.len() >= self.limits.services as usize {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "no room for another service"));
        }
        self.services.insert(key, Service::new(options.clone()));
        Ok(())
    }

    fn add_real_server(&mut self, key: ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
        let service = self.services.get_mut(&key).ok_or_else(no_service)?;
        check_family(key, address, server)?;
        let known = self.ids.get(&(key, address)).copied();
        if known.is_some_and(|id| service.list.contains(&id)) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the real server is there already"));
        }
        if known.is_none() && self.ids.len() >= self.limits.real_servers as usize {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "no room for another real server"));
        }
        let id = known.unwrap_or_else(|| {
            self.last_id += 1;
            self.last_id
        });
        self.ids.insert((key, address), id);
        service.change(&mut self.servers, |list, servers| {
            servers.entry(id).or_insert_with(|| Server::new(key, address, server)).edit(server);
            list.insert(0, id);
        });
        Ok(())
    }

    fn edit_real_server(&mut self, key: ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
        let id = self.member(key, address)?;
        let service = self.services.get_mut(&key).ok_or_else(no_service)?;
        check_family(key, address, server)?;
        // The kernel starts wrr's scan over whatever it is that was edited.
        service.change(&mut self.servers, |_, servers| {
            if let Some(entry) = servers.get_mut(&id) {
                entry.edit(server);
            }
        });
        Ok(())
    }

    /// A real server that is in its service's list.
    fn member(&self, key: ServiceKey, address: SocketAddr) -> io::Result<ServerId> {
        let service = self.services.get(&key).ok_or_else(no_service)?;
        let id = self.ids.get(&(key, address)).copied().filter(|id| service.list.contains(id));
        id.ok_or_else(no_server)
    }

    /// Quiesces a real server that is in no list any more; [`Dataplane::sweep`] takes it away after its connections.
    fn retire(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.member = server.member.with_weight(0);
            server.is_member = false;
        }
    }
}

fn check_family(key: ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
    if Family::of(address.ip()) != key.family() && !server.forwarding.crosses_families() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the real server is of another address family"));
    }
    Ok(())
}

fn no_service() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such service")
}

fn no_server() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such real server")
}

impl Traffic for Memory {
    fn frame(&mut self, door: Door, interface: u32, frame: &[u8]) -> io::Result<Sighting> {
        self.ingress = interface;
        Ok(self.packet(door, frame).sighting(door, interface, frame))
    }

    fn elapse(&mut self, seconds: u32) -> io::Result<()> {
        self.clock.now += self.clock.ticks(seconds);
        Ok(())
    }
}
