//! The reference as a [`Dataplane`].

use super::{
    super::{
        parse::Flow,
        persist::{Client, Template, TemplateName},
        servers::{Server, ServerId},
        state::{State, Tcp},
        table,
    },
    Memory, no_service,
};
use crate::{
    ApplyError, Capabilities, Change, Connection, ConnectionFilter, Counters, Dataplane, Egress, NextHop, RealServer,
    Table,
};
use evenkeel_abi::Reason;
use evenkeel_model::{Family, Protocol, ServiceKey, Timeouts, Weight};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Connections that one call of [`Dataplane::connections`] looks at.
const LISTED_AT_ONCE: usize = 1024;

/// Seconds a data connection of a relay is kept that both sides have ended.
const MET: u32 = 2;

/// Services and addresses of real servers.
type Names = BTreeMap<ServerId, (ServiceKey, SocketAddr)>;

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

/// Counts from 0 again what is not there now.
fn zero(counters: &mut Counters) {
    let Counters { active, inactive, persistent, .. } = *counters;
    *counters = Counters { active, inactive, persistent, ..Counters::default() };
}

impl Memory {
    fn names(&self) -> Names {
        self.ids.iter().map(|(name, id)| (*id, *name)).collect()
    }

    /// A connection as it is listed.
    fn shown(&self, names: &Names, flow: &Flow, connection: &table::Connection) -> Option<Connection> {
        let (service, mut real_server) = *names.get(&connection.server)?;
        if real_server.port() == 0 {
            real_server.set_port(flow.service.port());
        }
        let seconds = connection.state.seconds(&self.timeouts);
        (!self.is_over(connection)).then(|| Connection {
            protocol: flow.protocol,
            client: flow.client,
            virtual_address: flow.service,
            real_server,
            service,
            translated_client: connection.inside.map(|inside| inside.client).filter(|client| *client != flow.client),
            state: connection.state.name(),
            expires_s: self.clock.left(connection.seen, seconds),
            is_template: false,
        })
    }

    /// Whether it is a data connection of a relay that both sides have ended (PP-55).
    fn has_met(&self, connection: &table::Connection) -> bool {
        let service = self.servers.get(&connection.server).and_then(|server| self.services.get(&server.service));
        let meets = service.is_some_and(|service| service.options.note.is_meeting);
        meets && connection.state == State::Tcp(Tcp::TimeWait) && self.clock.is_past(connection.seen, MET)
    }

    /// A template as it is listed.
    fn shown_template(&self, names: &Names, name: &TemplateName, template: &Template) -> Option<Connection> {
        let (_, real_server) = *names.get(&template.server)?;
        let service = name.service;
        let client = match &name.client {
            Client::Network(address, _) => *address,
            Client::Call(_) => service.family().unspecified(),
        };
        let virtual_address = match service {
            ServiceKey::Address { address, port, .. } => SocketAddr::new(address, port),
            ServiceKey::Mark { mark, family: Family::V4 } => SocketAddr::new(Ipv4Addr::from(mark.get()).into(), 0),
            ServiceKey::Mark { mark, family: Family::V6 } => {
                SocketAddr::new(Ipv6Addr::from(u128::from(mark.get()) << 96).into(), 0)
            }
        };
        let seconds = self.template_seconds(name, template);
        (!self.clock.is_past(template.seen, seconds)).then(|| Connection {
            protocol: service.protocol().map_or(0, Protocol::number),
            client: SocketAddr::new(client, 0),
            virtual_address,
            real_server,
            service,
            translated_client: None,
            state: if template.is_assured { "ASSURED" } else { "NONE" },
            expires_s: self.clock.left(template.seen, seconds),
            is_template: true,
        })
    }
}

impl Dataplane for Memory {
    fn capabilities(&self) -> Capabilities {
        self.limits
    }

    fn observe(&mut self) -> io::Result<Table> {
        let server = |server: &Server| RealServer {
            weight: Weight::new(server.member.weight).unwrap_or(Weight::MAX),
            forwarding: server.forwarding,
            shown: server.shown,
            thresholds: server.thresholds,
            is_down: server.is_down,
        };
        let mut services = BTreeMap::new();
        for (key, service) in &self.services {
            let members = service.list.iter().filter_map(|id| self.servers.get(id));
            let real_servers = members.map(|entry| (entry.member.address, server(entry))).collect();
            services.insert(*key, crate::Service { options: service.options.clone(), real_servers });
        }
        Ok(Table { services })
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        for (applied, change) in changes.iter().enumerate() {
            self.change(change).map_err(|cause| ApplyError { change: Box::new(change.clone()), applied, cause })?;
        }
        Ok(())
    }

    fn counters(&mut self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) -> io::Result<()> {
        let mut sums: BTreeMap<ServiceKey, Counters> = self.services.iter().map(|(key, s)| (*key, s.past)).collect();
        let mut servers = Vec::new();
        for ((key, address), id) in &self.ids {
            let (Some(sum), Some(server)) = (sums.get_mut(key), self.servers.get(id)) else { continue };
            add(sum, server.counters);
            servers.push((*key, *address, server.counters));
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

    fn links(&mut self, ways: &BTreeMap<u32, Egress>) -> io::Result<()> {
        self.links.clone_from(ways);
        Ok(())
    }

    fn connections(
        &mut self,
        filter: &ConnectionFilter,
        from: u64,
        sink: &mut dyn FnMut(Connection) -> bool,
    ) -> io::Result<Option<u64>> {
        let (names, first) = (self.names(), usize::try_from(from).unwrap_or(usize::MAX));
        let connections = self.table.iter().map(|(flow, connection)| self.shown(&names, flow, connection));
        let templates = self.table.templates.iter();
        let all = connections.chain(templates.map(|(name, template)| self.shown_template(&names, name, template)));
        for shown in all.skip(first).take(LISTED_AT_ONCE).flatten() {
            if filter.means(&shown) && !sink(shown) {
                return Ok(None);
            }
        }
        let next = first.saturating_add(LISTED_AT_ONCE);
        Ok((next < self.table.len() + self.table.templates.len()).then_some(next as u64))
    }

    fn find(
        &mut self,
        protocol: Protocol,
        client: SocketAddr,
        virtual_address: SocketAddr,
    ) -> io::Result<Option<(ServiceKey, SocketAddr)>> {
        let flow = Flow { protocol: protocol.number(), client, service: virtual_address };
        let found = self.table.get(&flow).and_then(|known| self.shown(&self.names(), &flow, &known));
        Ok(found.map(|shown| (shown.service, shown.real_server)))
    }

    fn flush(&mut self, filter: &ConnectionFilter) -> io::Result<u64> {
        let names = self.names();
        let is_meant = |shown: Option<Connection>| shown.is_some_and(|shown| filter.means(&shown));
        let connections = self.table.iter().filter(|(flow, known)| is_meant(self.shown(&names, flow, known)));
        let flows: Vec<Flow> = connections.map(|(flow, _)| *flow).collect();
        let templates = self.table.templates.iter();
        let templates = templates.filter(|(name, template)| is_meant(self.shown_template(&names, name, template)));
        let templates: Vec<TemplateName> = templates.map(|(name, _)| name.clone()).collect();
        flows.iter().for_each(|flow| self.table.remove(&mut self.servers, flow));
        templates.iter().for_each(|name| self.table.remove_template(&mut self.servers, name));
        Ok((flows.len() + templates.len()) as u64)
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        Ok(self.timeouts)
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> io::Result<()> {
        let Timeouts { tcp, tcp_fin, udp } = self.timeouts;
        self.timeouts =
            Timeouts { tcp: timeouts.tcp.or(tcp), tcp_fin: timeouts.tcp_fin.or(tcp_fin), udp: timeouts.udp.or(udp) };
        Ok(())
    }

    fn zero(&mut self, service: Option<&ServiceKey>) -> io::Result<()> {
        if service.is_some_and(|key| !self.services.contains_key(key)) {
            return Err(no_service());
        }
        let is_meant = |key: &ServiceKey| service.is_none_or(|service| service == key);
        let services = self.services.iter_mut().filter(|(key, _)| is_meant(key));
        services.for_each(|(_, service)| zero(&mut service.past));
        let servers = self.servers.values_mut().filter(|server| is_meant(&server.service));
        servers.for_each(|server| zero(&mut server.counters));
        Ok(())
    }

    fn sweep(&mut self) -> io::Result<()> {
        self.sweep_templates();
        let over = self.table.iter().filter(|(_, connection)| self.is_over(connection) || self.has_met(connection));
        let over: Vec<Flow> = over.map(|(flow, _)| *flow).collect();
        over.iter().for_each(|flow| self.table.remove(&mut self.servers, flow));
        self.locality.sweep(self.clock);
        let connections = self.table.iter().map(|(_, connection)| connection.server);
        let in_use: BTreeSet<ServerId> =
            connections.chain(self.table.templates.values().map(|template| template.server)).collect();
        let Memory { ids, services, servers, .. } = self;
        ids.retain(|(key, _), id| {
            if in_use.contains(id) || servers.get(id).is_some_and(|server| server.is_member) {
                return true;
            }
            if let (Some(server), Some(service)) = (servers.remove(id), services.get_mut(key)) {
                add(&mut service.past, server.counters);
            }
            false
        });
        Ok(())
    }
}
