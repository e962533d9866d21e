//! The forwarding table, desired or observed, and the changes between two of them.

use evenkeel_model::{Behaviour, Forwarding, Match, Persistence, Scheduler, ServiceKey, Sources, Thresholds, Weight};
use std::{collections::BTreeMap, net::SocketAddr};

/// Every service a data plane serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// By key.
    pub services: BTreeMap<ServiceKey, Service>,
}

/// One virtual service and its real servers. The order in which real servers were added, which schedulers depend on,
/// is the data plane's own history and not part of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What can be edited.
    pub options: ServiceOptions,
    /// By address and port.
    pub real_servers: BTreeMap<SocketAddr, RealServer>,
}

/// What can be edited of a service while it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceOptions {
    /// How connections are spread.
    pub scheduler: Scheduler,
    /// Who may connect.
    pub sources: Sources,
    /// Clients come back to their real server.
    pub persistence: Option<Persistence>,
    /// Every packet is scheduled by itself; UDP only.
    pub one_packet: bool,
    /// What becomes of connections in special cases.
    pub behaviour: Behaviour,
    /// What has the service's mark; empty for services on an address.
    pub matches: Vec<Match>,
    /// What is kept beside, without effect on packets.
    pub note: Note,
}

/// What a data plane keeps of a service for those who list it and for the next daemon; packets do not feel it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Scheduler flags, bits 0 to 2, that the scheduler does not know and listings show.
    pub flags: u8,
    /// The SIP persistence engine was asked for where there is no persistence.
    pub sip: bool,
    /// A client made the service and no file names it: it is kept over reloads and restarts.
    pub by_edit: bool,
    /// It is there for a data connection that a relay has announced, and nobody's to list. This one packets do feel: connections
    /// that FullNAT makes of it come from the virtual address.
    pub is_meeting: bool,
}

impl ServiceOptions {
    /// A scheduler, and everything else as it is when nobody says otherwise.
    pub fn new(scheduler: Scheduler) -> ServiceOptions {
        ServiceOptions {
            scheduler,
            sources: Sources::default(),
            persistence: None,
            one_packet: false,
            behaviour: Behaviour::default(),
            matches: Vec::new(),
            note: Note::default(),
        }
    }
}

impl From<&evenkeel_model::Service> for ServiceOptions {
    fn from(service: &evenkeel_model::Service) -> ServiceOptions {
        ServiceOptions {
            scheduler: service.scheduler,
            sources: service.sources.clone(),
            persistence: service.persistence,
            one_packet: service.one_packet,
            behaviour: service.behaviour,
            matches: service.matches.clone(),
            note: Note::default(),
        }
    }
}

/// One real server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// 0: no new connections.
    pub weight: Weight,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// How many connections it may have.
    pub thresholds: Thresholds,
    /// It does not answer: connections that [`evenkeel_model::ExpireGone`] names are given up, as after its removal. Always
    /// with weight 0.
    pub is_down: bool,
}

impl RealServer {
    /// Without thresholds and not down.
    pub fn new(weight: Weight, forwarding: Forwarding) -> RealServer {
        RealServer { weight, forwarding, thresholds: Thresholds::default(), is_down: false }
    }
}

/// One step from a table to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new service without real servers.
    AddService(ServiceKey, ServiceOptions),
    /// Other options for a service that is there.
    EditService(ServiceKey, ServiceOptions),
    /// The service and all its real servers; their connections drain.
    RemoveService(ServiceKey),
    /// A new real server, which becomes the newest. One that was removed and still drains is taken up again with its
    /// connections and counters.
    AddRealServer(ServiceKey, SocketAddr, RealServer),
    /// Other weight, forwarding, thresholds or state.
    EditRealServer(ServiceKey, SocketAddr, RealServer),
    /// No new connections; those it has drain.
    RemoveRealServer(ServiceKey, SocketAddr),
}

impl Change {
    /// The service it touches.
    pub fn service(&self) -> &ServiceKey {
        match self {
            Change::AddService(key, _)
            | Change::EditService(key, _)
            | Change::RemoveService(key)
            | Change::AddRealServer(key, _, _)
            | Change::EditRealServer(key, _, _)
            | Change::RemoveRealServer(key, _) => key,
        }
    }
}

impl Table {
    /// The changes that turn `self` into `desired`: additions first, so that no service is empty on the way, removals
    /// last.
    pub fn changes_to(&self, desired: &Table) -> Vec<Change> {
        let (mut changes, mut removals) = (Vec::new(), Vec::new());
        for (key, want) in &desired.services {
            match self.services.get(key) {
                None => {
                    changes.push(Change::AddService(*key, want.options.clone()));
                    changes.extend(want.real_servers.iter().map(|(a, r)| Change::AddRealServer(*key, *a, *r)));
                }
                Some(have) => have.changes_to(key, want, &mut changes, &mut removals),
            }
        }
        let gone = self.services.keys().filter(|key| !desired.services.contains_key(key));
        removals.extend(gone.map(|key| Change::RemoveService(*key)));
        changes.append(&mut removals);
        changes
    }
}

impl Service {
    fn changes_to(&self, key: &ServiceKey, want: &Service, changes: &mut Vec<Change>, removals: &mut Vec<Change>) {
        for (address, server) in &want.real_servers {
            match self.real_servers.get(address) {
                None => changes.push(Change::AddRealServer(*key, *address, *server)),
                Some(have) if have != server => changes.push(Change::EditRealServer(*key, *address, *server)),
                Some(_) => {}
            }
        }
        if self.options != want.options {
            changes.push(Change::EditService(*key, want.options.clone()));
        }
        let gone = self.real_servers.keys().filter(|address| !want.real_servers.contains_key(address));
        removals.extend(gone.map(|address| Change::RemoveRealServer(*key, *address)));
    }
}
