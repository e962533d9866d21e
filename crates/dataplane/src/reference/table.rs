//! The connection table: connections, the ways back of translated ones, and templates share its room (PP-9, PP-16, PP-41).

use super::{
    clock::Clock,
    parse::Flow,
    persist::{Template, TemplateName},
    servers::{ServerId, Servers},
    state::State,
};
use evenkeel_abi::Reason;
use evenkeel_model::Timeouts;
use std::{collections::BTreeMap, net::SocketAddr};

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) server: ServerId,
    pub(super) state: State,
    /// When its last packet came.
    pub(super) seen: u64,
    /// What it is between director and real server, if that is something else (PP-40, PP-44).
    pub(super) inside: Option<Inside>,
}

/// A translated connection as the real server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    /// Of FullNAT the director's own address and a port.
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

impl Inside {
    /// What the real server's answers carry.
    pub(super) fn way_back(self, protocol: u8) -> Flow {
        Flow { protocol, client: self.server, service: self.client }
    }
}

/// All that takes a slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    connections: BTreeMap<Flow, Connection>,
    /// By what answers carry: the connection.
    ways_back: BTreeMap<Flow, Flow>,
    pub(super) templates: BTreeMap<TemplateName, Template>,
}

impl Table {
    /// A connection, also one whose timeout has passed.
    pub(super) fn get(&self, flow: &Flow) -> Option<Connection> {
        self.connections.get(flow).copied()
    }

    /// The connection whose answers these are.
    pub(super) fn answered(&self, answer: &Flow) -> Option<Flow> {
        self.ways_back.get(answer).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Flow, &Connection)> {
        self.connections.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Slots in use.
    pub(super) fn slots(&self) -> usize {
        self.connections.len() + self.ways_back.len() + self.templates.len()
    }

    /// Puts a connection in place of one that may be there.
    pub(super) fn put(&mut self, servers: &mut Servers, flow: Flow, connection: Connection) {
        self.remove(servers, &flow);
        count(servers, &connection, 1);
        if let Some(inside) = connection.inside {
            self.ways_back.insert(inside.way_back(flow.protocol), flow);
        }
        self.connections.insert(flow, connection);
    }

    /// Ends a connection and its way back.
    pub(super) fn remove(&mut self, servers: &mut Servers, flow: &Flow) {
        let Some(connection) = self.connections.remove(flow) else { return };
        count(servers, &connection, -1);
        if let Some(inside) = connection.inside {
            self.ways_back.remove(&inside.way_back(flow.protocol));
        }
    }

    /// Takes away what can be spared where there is no room for so many slots more; those of `flow` are about to be free
    /// (PP-16).
    pub(super) fn make_room(
        &mut self,
        servers: &mut Servers,
        flow: Option<&Flow>,
        needed: usize,
        room: u32,
        (clock, timeouts): (Clock, &Timeouts),
    ) -> Result<(), Reason> {
        let own = flow.and_then(|flow| self.get(flow));
        let own = own.map_or(0, |own| 1 + usize::from(own.inside.is_some()));
        while self.slots() + needed > room as usize + own {
            let rank = |connection: &Connection| {
                if clock.is_past(connection.seen, connection.state.seconds(timeouts)) {
                    return Some(0);
                }
                connection.state.dispensable()
            };
            let others = self.connections.iter().filter(|(other, _)| Some(*other) != flow);
            let ranked = others.filter_map(|(flow, other)| Some((rank(other)?, other.seen, *flow)));
            let victim = ranked.min();
            let unsure = self.templates.iter().filter(|(_, template)| !template.is_assured);
            let template =
                unsure.min_by_key(|(_, template)| template.seen).map(|(name, template)| (template.seen, name));
            match (victim, template) {
                (Some((rank, seen, flow)), template)
                    if rank < UNSURE || template.as_ref().is_none_or(|(its, _)| seen <= *its) =>
                {
                    self.remove(servers, &flow);
                }
                (_, Some((_, name))) => {
                    let name = name.clone();
                    self.remove_template(servers, &name);
                }
                (_, None) => return Err(Reason::TableFull),
            }
        }
        Ok(())
    }

    /// Ends a template.
    pub(super) fn remove_template(&mut self, servers: &mut Servers, name: &TemplateName) {
        let server = self.templates.remove(name).and_then(|template| servers.get_mut(&template.server));
        if let Some(server) = server {
            server.counters.persistent = server.counters.persistent.saturating_sub(1);
        }
    }
}

/// How willingly a template that is not assured is given away, as [`State::dispensable`] has it.
const UNSURE: u8 = 2;

/// Counts a connection as what its real server has, or as what it has no more.
fn count(servers: &mut Servers, connection: &Connection, by: i32) {
    let Some(server) = servers.get_mut(&connection.server) else { return };
    let counters = &mut server.counters;
    let number = if connection.state.is_active() { &mut counters.active } else { &mut counters.inactive };
    *number = number.saturating_add_signed(by);
}
