//! Makes connections (PP-8, PP-16, PP-17, PP-23, PP-34, PP-37, PP-38, PP-41, PP-44).

use super::{
    Memory,
    parse::{Flow, Packet},
    servers::{self, Scene, ServerId, admits, answerable},
    state::{Direction, Event, State},
    table::{Connection, Inside},
    wire::{UDP, has_ports},
};
use crate::NextHop;
use evenkeel_abi::{Reason, hash::own_port};
use evenkeel_model::{Forwarding, ServiceKey};
use std::net::SocketAddr;

/// How many ports FullNAT tries besides the client's own.
const PORTS: u32 = 16;

impl Memory {
    /// Makes a connection in place of one that the flow may have.
    pub(super) fn open(
        &mut self,
        packet: &Packet,
        flow: &Flow,
        event: Event,
        key: ServiceKey,
    ) -> Result<(ServerId, Option<Inside>), Reason> {
        let options = self.services.get(&key).ok_or(Reason::NotOurs)?.options.clone();
        if !answerable(flow) {
            return Err(Reason::BadSource);
        }
        if !admits(&options.sources, flow.client.ip()) {
            return Err(Reason::Denied);
        }
        self.spend(key, flow)?;
        let server = self.choose(packet, flow, event, key)?;
        let inside = self.inside(flow, server)?;
        if !(options.one_packet && flow.protocol == UDP) {
            self.keep(flow, event, server, inside)?;
        }
        if let Some(server) = self.servers.get_mut(&server) {
            server.counters.connections += 1;
            server.fill();
        }
        Ok((server, inside))
    }

    /// The real server: that of the client's template, or the scheduler's choice.
    fn choose(&mut self, packet: &Packet, flow: &Flow, event: Event, key: ServiceKey) -> Result<ServerId, Reason> {
        let template = self.template_name(key, flow, packet);
        if let Some(name) = &template
            && let Some(server) = self.led(name)
        {
            self.lead(name.clone(), server, event)?;
            return Ok(server);
        }
        let Memory { services, servers, locality, secret, clock, lot, .. } = self;
        let mut scene = Scene { servers, locality, secret: *secret, clock: *clock, lot: *lot };
        let service = services.get_mut(&key).ok_or(Reason::NotOurs)?;
        let server = service.choose(key, &mut scene, flow).ok_or(Reason::NoServer)?;
        if let Some(name) = template {
            self.lead(name, server, event)?;
        }
        Ok(server)
    }

    /// What the connection is to its real server, where that is translated (PP-40, PP-44).
    fn inside(&mut self, flow: &Flow, id: ServerId) -> Result<Option<Inside>, Reason> {
        let server = self.servers.get(&id).ok_or(Reason::Internal)?;
        let mut address = server.member.address;
        if server.service.port() == 0 {
            address.set_port(flow.service.port());
        }
        let inside = |client| Inside { client, server: address };
        match server.forwarding {
            Forwarding::DirectRouting | Forwarding::Tunnel(_) | Forwarding::Local | Forwarding::Relay => Ok(None),
            Forwarding::Nat => {
                let inside = inside(flow.client);
                let way_back = inside.way_back(flow.protocol);
                if let Some(other) = self.user_of(flow, &way_back) {
                    let is_over = self.table.get(&other).is_none_or(|other| other.state.is_over());
                    is_over.then_some(()).ok_or(Reason::NoPort)?;
                    self.table.remove(&mut self.servers, &other);
                }
                Ok(Some(inside))
            }
            Forwarding::FullNat => {
                let route = match self.hops.get(&address.ip()) {
                    Some(NextHop::Resolved { route, .. } | NextHop::Unresolved { route }) => Some(route),
                    Some(NextHop::Unreachable) | None => None,
                };
                let service = self.services.get(&server.service);
                let meets = service.is_some_and(|service| service.options.note.is_meeting);
                let meeting = server.service.address().filter(|_| meets);
                let own = meeting.or(route.and_then(|route| route.own_address)).ok_or(Reason::NoOwnAddress)?;
                let mut tried = self.ports(flow).into_iter().map(|port| inside(SocketAddr::new(own, port)));
                let free = tried.find(|inside| self.user_of(flow, &inside.way_back(flow.protocol)).is_none());
                free.map(Some).ok_or(Reason::NoPort)
            }
        }
    }

    /// The ports FullNAT tries for a connection, in order.
    fn ports(&self, flow: &Flow) -> Vec<u16> {
        if !has_ports(flow.protocol) {
            return vec![0];
        }
        let (first, last) = self.ports;
        let own = flow.client.port();
        let hash = servers::hash(flow, self.secret);
        let hashed = (1..=PORTS).map(|attempt| own_port(hash, attempt, first, last));
        (first..=last).contains(&own).then_some(own).into_iter().chain(hashed).collect()
    }

    /// Another living connection that has this way back.
    fn user_of(&self, flow: &Flow, way_back: &Flow) -> Option<Flow> {
        let other = self.table.answered(way_back).filter(|other| other != flow)?;
        self.connection(&other).map(|_| other)
    }

    /// Puts the connection into the table.
    fn keep(&mut self, flow: &Flow, event: Event, server: ServerId, inside: Option<Inside>) -> Result<(), Reason> {
        // One whose timeout has passed may still be in the way.
        if let Some(inside) = inside
            && let Some(other) = self.table.answered(&inside.way_back(flow.protocol)).filter(|other| other != flow)
        {
            self.table.remove(&mut self.servers, &other);
        }
        let needed = 1 + usize::from(inside.is_some());
        let time = (self.clock, &self.timeouts);
        self.table.make_room(&mut self.servers, Some(flow), needed, self.limits.connections, time)?;
        let direction = if inside.is_some() { Direction::Input } else { Direction::InputOnly };
        let state = State::first(flow.protocol, event, direction);
        let connection = Connection { server, state, seen: self.clock.now, inside };
        self.table.put(&mut self.servers, *flow, connection);
        Ok(())
    }
}
