//! Persistence: templates that lead clients back to their real server (PP-34 to PP-36).

mod sip;

use super::{
    Memory,
    parse::{Flow, Packet},
    servers::ServerId,
    state::Event,
    wire::UDP,
};
use evenkeel_abi::Reason;
use evenkeel_model::{Persistence, PersistenceEngine, Prefix, ServiceKey};
use std::net::IpAddr;

/// Whose template it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TemplateName {
    pub(super) service: ServiceKey,
    pub(super) client: Client,
}

/// What a client is to a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Client {
    /// Whoever has an address in this prefix.
    Network(IpAddr, u8),
    /// Whoever takes part in a call.
    Call(Vec<u8>),
}

/// Leads a client to its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) server: ServerId,
    /// When the client's last connection was made.
    pub(super) seen: u64,
    /// How long it lasts from then on, where its service has gone.
    pub(super) seconds: u32,
    /// A connection of it has been more than a handshake.
    pub(super) is_assured: bool,
}

/// A template's least rest of life while connections of the client live.
const REST: u32 = 60;

impl Client {
    /// Whether a connection from `address` is one of the client's.
    pub(super) fn is(&self, address: IpAddr) -> bool {
        match self {
            Client::Network(network, length) => {
                Prefix::new(*network, *length).is_ok_and(|prefix| prefix.contains(address))
            }
            // The call is not remembered with each connection.
            Client::Call(_) => false,
        }
    }
}

impl Memory {
    /// The client that a packet of a persistent service comes from.
    pub(super) fn template_name(&self, key: ServiceKey, flow: &Flow, packet: &Packet) -> Option<TemplateName> {
        let Persistence { prefix, engine, .. } = self.services.get(&key)?.options.persistence?;
        let call = match engine {
            PersistenceEngine::Sip if flow.protocol == UDP => {
                sip::call_id(packet.ip.get(packet.transport + 8..packet.bytes.min(packet.ip.len()))?)
            }
            PersistenceEngine::Sip | PersistenceEngine::Address => None,
        };
        let network = Prefix::new(flow.client.ip(), prefix).ok()?;
        let client = call.map_or(Client::Network(network.address(), prefix), |call| Client::Call(call.to_vec()));
        Some(TemplateName { service: key, client })
    }

    /// The real server that a client's template leads to (PP-34, PP-35).
    pub(super) fn led(&self, name: &TemplateName) -> Option<ServerId> {
        let template = self.table.templates.get(name)?;
        let server = self.servers.get(&template.server)?;
        let options = &self.services.get(&name.service)?.options;
        let is_given_up = !server.takes_new() && options.behaviour.expire_quiescent_template;
        (!self.is_ended(name, template) && !server.is_gone() && !is_given_up).then_some(template.server)
    }

    /// How long a template lasts: as its service says now.
    pub(super) fn template_seconds(&self, name: &TemplateName, template: &Template) -> u32 {
        let service = self.services.get(&name.service);
        service.and_then(|service| service.options.persistence).map_or(template.seconds, |now| now.timeout)
    }

    fn is_ended(&self, name: &TemplateName, template: &Template) -> bool {
        self.clock.is_past(template.seen, self.template_seconds(name, template))
    }

    /// A connection of the client is established: its template is assured.
    pub(super) fn assure(&mut self, key: ServiceKey, client: IpAddr) {
        let of_client = |(name, _): &(&TemplateName, &mut Template)| name.service == key && name.client.is(client);
        self.table.templates.iter_mut().filter(of_client).for_each(|(_, template)| template.is_assured = true);
    }

    /// Makes or changes a client's template, or lets its timeout begin anew.
    pub(super) fn lead(&mut self, name: TemplateName, server: ServerId, event: Event) -> Result<(), Reason> {
        let persistence = self.services.get(&name.service).and_then(|service| service.options.persistence);
        let seconds = persistence.ok_or(Reason::Internal)?.timeout;
        let old = self.table.templates.get(&name).copied();
        if old.is_none() {
            let time = (self.clock, &self.timeouts);
            self.table.make_room(&mut self.servers, None, 1, self.limits.connections, time)?;
        }
        let was_assured = old.is_some_and(|old| old.is_assured && !self.is_ended(&name, &old));
        // What shakes hands has not shown yet that it is somebody.
        let shakes_hands = !matches!(event, Event::Other) && event.opens();
        let is_assured = was_assured || !shakes_hands;
        self.table.remove_template(&mut self.servers, &name);
        if let Some(server) = self.servers.get_mut(&server) {
            server.counters.persistent += 1;
        }
        self.table.templates.insert(name, Template { server, seen: self.clock.now, seconds, is_assured });
        Ok(())
    }

    /// Ends templates whose timeout has passed, and those of removed real servers without connections; keeps those whose
    /// clients have connections.
    pub(super) fn sweep_templates(&mut self) {
        let names: Vec<TemplateName> = self.table.templates.keys().cloned().collect();
        for name in names {
            let Some(template) = self.table.templates.get(&name).copied() else { continue };
            if self.is_ended(&name, &template) || self.is_bereft(&template) {
                self.table.remove_template(&mut self.servers, &name);
                continue;
            }
            let seconds = self.template_seconds(&name, &template);
            if self.clock.left(template.seen, seconds) <= REST && self.has_connections(&name) {
                let rest = self.clock.ticks(seconds.saturating_sub(REST));
                let seen = self.clock.now.saturating_sub(rest);
                self.table.templates.insert(name, Template { seen: seen.max(template.seen), ..template });
            }
        }
    }

    /// Whether the client of a template has connections to its service.
    fn has_connections(&self, name: &TemplateName) -> bool {
        self.table.iter().any(|(flow, connection)| {
            let service = self.servers.get(&connection.server).map(|server| server.service);
            service == Some(name.service) && name.client.is(flow.client.ip()) && !self.is_over(connection)
        })
    }

    /// Whether it leads to a removed real server that has no connections any more.
    fn is_bereft(&self, template: &Template) -> bool {
        let has = |server: &super::servers::Server| server.counters.active > 0 || server.counters.inactive > 0;
        self.servers.get(&template.server).is_none_or(|server| !server.is_member && !has(server))
    }
}
