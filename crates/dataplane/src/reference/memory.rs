//! The in-memory data plane: the table's side of the reference.

use super::{
    Door, Sighting, Traffic,
    parse::Flow,
    path::Connection,
    servers::{Server, ServerId, Servers, Service},
    unbuilt,
};
use crate::{
    ApplyError, Capabilities, Change, ConnectionFilter, Counters, Dataplane, NextHop, RealServer, ServiceOptions, Table,
};
use evenkeel_abi::{Reason, hash::Secret};
use evenkeel_model::{Family, ServiceKey, Timeouts, Weight};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
};

/// Connections that one call of [`Dataplane::connections`] looks at.
const LISTED_AT_ONCE: usize = 1024;

/// A data plane in memory. Time stands still but for [`Memory::set_now`] and [`Traffic::elapse`].
#[derive(Debug)]
pub struct Memory {
    pub(super) limits: Capabilities,
    pub(super) secret: Secret,
    pub(super) ticks_per_second: u32,
    pub(super) now: u32,
    pub(super) services: BTreeMap<ServiceKey, Service>,
    pub(super) servers: Servers,
    /// Every real server there is, removed ones included, by service and address.
    ids: BTreeMap<(ServiceKey, SocketAddr), ServerId>,
    last_id: ServerId,
    pub(super) hops: BTreeMap<IpAddr, NextHop>,
    pub(super) connections: BTreeMap<Flow, Connection>,
    pub(super) drops: [u64; Reason::SLOTS],
}

impl Memory {
    /// An empty one. `secret` keys its maglev tables; a second has `ticks_per_second` ticks.
    pub fn new(limits: Capabilities, secret: Secret, ticks_per_second: u32) -> Memory {
        Memory {
            limits,
            secret,
            ticks_per_second,
            now: 0,
            services: BTreeMap::new(),
            servers: Servers::new(),
            ids: BTreeMap::new(),
            last_id: 0,
            hops: BTreeMap::new(),
            connections: BTreeMap::new(),
            drops: [0; Reason::SLOTS],
        }
    }

    /// Sets the clock, in ticks, which may wrap.
    pub fn set_now(&mut self, ticks: u32) {
        self.now = ticks;
    }

    fn change(&mut self, change: &Change) -> io::Result<()> {
        unbuilt::refuse(change)?;
        match change {
            Change::AddService(key, options) => self.add_service(*key, options),
            Change::EditService(key, options) => {
                let service = self.services.get_mut(key).ok_or_else(no_service)?;
                service.edit(options.clone(), &self.servers);
                Ok(())
            }
            Change::RemoveService(key) => {
                let service = self.services.remove(key).ok_or_else(no_service)?;
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
        if Family::of(address.ip()) != key.family() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the real server is of another address family"));
        }
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
            let entry = servers.entry(id).or_insert_with(|| Server::new(address, server));
            entry.member = entry.member.with_weight(server.weight.get());
            entry.forwarding = server.forwarding;
            entry.is_down = server.is_down;
            list.insert(0, id);
        });
        Ok(())
    }

    fn edit_real_server(&mut self, key: ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
        let id = self.member(key, address)?;
        let service = self.services.get_mut(&key).ok_or_else(no_service)?;
        // The kernel starts wrr's scan over whatever it is that was edited.
        service.change(&mut self.servers, |_, servers| {
            if let Some(entry) = servers.get_mut(&id) {
                entry.member = entry.member.with_weight(server.weight.get());
                entry.forwarding = server.forwarding;
                entry.is_down = server.is_down;
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
        }
    }

    /// Active and inactive connections of each real server.
    fn loads(&self) -> BTreeMap<ServerId, (u32, u32)> {
        let mut loads = BTreeMap::new();
        for connection in self.connections.values() {
            let (active, inactive) = loads.entry(connection.server).or_insert((0, 0));
            *if connection.state.is_active() { active } else { inactive } += 1;
        }
        loads
    }
}

fn no_service() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such service")
}

fn no_server() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such real server")
}

fn add(sum: &mut Counters, more: Counters) {
    sum.connections += more.connections;
    sum.packets_in += more.packets_in;
    sum.bytes_in += more.bytes_in;
    sum.packets_out += more.packets_out;
    sum.bytes_out += more.bytes_out;
    sum.active += more.active;
    sum.inactive += more.inactive;
    sum.persistent += more.persistent;
}

impl Dataplane for Memory {
    fn capabilities(&self) -> Capabilities {
        self.limits
    }

    fn observe(&mut self) -> io::Result<Table> {
        let server = |server: &Server| RealServer {
            is_down: server.is_down,
            ..RealServer::new(Weight::new(server.member.weight).unwrap_or(Weight::MAX), server.forwarding)
        };
        let service = |service: &Service| crate::Service {
            options: service.options.clone(),
            real_servers: service
                .list
                .iter()
                .filter_map(|id| self.servers.get(id))
                .map(|entry| (entry.member.address, server(entry)))
                .collect(),
        };
        Ok(Table { services: self.services.iter().map(|(key, entry)| (*key, service(entry))).collect() })
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        for (applied, change) in changes.iter().enumerate() {
            self.change(change).map_err(|cause| ApplyError { change: Box::new(change.clone()), applied, cause })?;
        }
        Ok(())
    }

    fn counters(&mut self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) -> io::Result<()> {
        let loads = self.loads();
        let mut sums: BTreeMap<ServiceKey, Counters> = self.services.iter().map(|(key, s)| (*key, s.past)).collect();
        let mut servers = Vec::new();
        for ((key, address), id) in &self.ids {
            let (true, Some(server)) = (self.services.contains_key(key), self.servers.get(id)) else { continue };
            let (active, inactive) = loads.get(id).copied().unwrap_or_default();
            let counters = Counters { active, inactive, ..server.counters };
            add(sums.entry(*key).or_default(), counters);
            servers.push((*key, *address, counters));
        }
        sums.into_iter().for_each(|(key, sum)| sink(key, None, sum));
        servers.into_iter().for_each(|(key, address, counters)| sink(key, Some(address), counters));
        Ok(())
    }

    fn drops(&mut self, sink: &mut dyn FnMut(&'static str, u64)) -> io::Result<()> {
        let counted = Reason::ALL.iter().filter(|reason| **reason != Reason::NotOurs);
        counted.for_each(|reason| sink(reason.name(), self.drops[*reason as usize]));
        Ok(())
    }

    fn next_hop(&mut self, real_server: IpAddr, hop: NextHop) -> io::Result<()> {
        self.hops.insert(real_server, hop);
        Ok(())
    }

    fn connections(
        &mut self,
        filter: &ConnectionFilter,
        from: u64,
        sink: &mut dyn FnMut(crate::Connection) -> bool,
    ) -> io::Result<Option<u64>> {
        let names: BTreeMap<ServerId, (ServiceKey, SocketAddr)> =
            self.ids.iter().map(|(name, id)| (*id, *name)).collect();
        let first = usize::try_from(from).unwrap_or(usize::MAX);
        for (flow, connection) in self.connections.iter().skip(first).take(LISTED_AT_ONCE) {
            let Some((service, real_server)) = names.get(&connection.server) else { continue };
            if self.is_over(connection) {
                continue;
            }
            let idle = self.now.wrapping_sub(connection.seen) / self.ticks_per_second;
            let shown = crate::Connection {
                protocol: flow.protocol.number(),
                client: flow.client,
                virtual_address: flow.service,
                real_server: *real_server,
                service: *service,
                translated_client: None,
                state: connection.state.name(),
                expires_s: connection.state.seconds().saturating_sub(idle),
                is_template: false,
            };
            if filter.means(&shown) && !sink(shown) {
                return Ok(None);
            }
        }
        let next = first.saturating_add(LISTED_AT_ONCE);
        Ok((next < self.connections.len()).then_some(next as u64))
    }

    fn flush(&mut self, _: &ConnectionFilter) -> io::Result<u64> {
        Err(unbuilt::unsupported("ending connections"))
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        Ok(Timeouts { tcp: Some(900), tcp_fin: Some(120), udp: Some(300) })
    }

    fn set_timeouts(&mut self, _: &Timeouts) -> io::Result<()> {
        Err(unbuilt::unsupported("other timeouts"))
    }

    fn zero(&mut self, _: Option<&ServiceKey>) -> io::Result<()> {
        Err(unbuilt::unsupported("counting from 0 again"))
    }

    fn sweep(&mut self) -> io::Result<()> {
        let over: Vec<Flow> =
            self.connections.iter().filter(|(_, connection)| self.is_over(connection)).map(|(flow, _)| *flow).collect();
        for flow in over {
            self.connections.remove(&flow);
        }
        let in_use: BTreeSet<ServerId> = self.connections.values().map(|connection| connection.server).collect();
        let Memory { ids, services, servers, .. } = self;
        ids.retain(|(key, _), id| {
            let service = services.get_mut(key);
            if in_use.contains(id) || service.as_ref().is_some_and(|service| service.list.contains(id)) {
                return true;
            }
            if let (Some(server), Some(service)) = (servers.remove(id), service) {
                add(&mut service.past, server.counters);
            }
            false
        });
        Ok(())
    }
}

impl Traffic for Memory {
    fn frame(&mut self, door: Door, interface: u32, frame: &[u8]) -> io::Result<Sighting> {
        Ok(self.packet(door, frame).sighting(door, interface, frame))
    }

    fn elapse(&mut self, seconds: u32) -> io::Result<()> {
        self.now = self.now.wrapping_add(seconds * self.ticks_per_second);
        Ok(())
    }
}
