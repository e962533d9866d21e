//! What the relay needs of the table: who has which real server, and meeting points for data connections.

use super::Core;
use crate::relay::{Call, Line, Opening, Rest, carry, refuse};
use evenkeel_api::Severity;
use evenkeel_dataplane::{Change, ConnectionFilter, Table};
use evenkeel_engine::{Input, kept};
use evenkeel_ftp::Order;
use evenkeel_model::{Cluster, Forwarding, Protocol, ServiceKey};
use std::{collections::BTreeSet, io, net::SocketAddr};
use tokio::{net::TcpStream, time::Instant};

/// The services that a relay has something to do for, before the engine knows any.
pub(crate) fn relayed(cluster: &Cluster, observed: &Table, keep_all: bool) -> BTreeSet<ServiceKey> {
    let by_files = cluster.services.iter().filter(|service| {
        let fallback = service.fallback.iter().map(|fallback| fallback.forwarding);
        let mut methods = service.real_servers.iter().map(|server| server.forwarding).chain(fallback);
        service.ftp && methods.any(|method| method == Forwarding::Nat)
    });
    let left = kept(observed, cluster, keep_all).filter(|(key, service)| {
        let mut methods = service.real_servers.values().map(|server| server.forwarding.unrelayed());
        key.is_ftp() && methods.any(|method| method == Forwarding::Nat)
    });
    by_files.map(|service| service.key).chain(left.map(|(key, _)| *key)).collect()
}

impl Core {
    /// What the data plane holds, but for meeting points: those are the relay's.
    pub(crate) fn observe(&mut self) -> io::Result<Table> {
        let mut table = self.path.observe()?;
        table.services.retain(|_, service| !service.options.note.is_meeting);
        Ok(table)
    }

    /// Ends the meeting points of an earlier run. Data connections that came there go on.
    pub(crate) fn forget_meetings(&mut self) -> io::Result<()> {
        let table = self.path.observe()?;
        let over = table.services.into_iter().filter(|(_, service)| service.options.note.is_meeting);
        self.end_meetings(over.map(|(key, _)| key).collect());
        Ok(())
    }

    /// Relays these services, as far as they can be listened for, and no others.
    pub(crate) fn relay_for(&mut self, wanted: &BTreeSet<ServiceKey>) {
        let (relayed, trouble) = self.relay.want(wanted);
        for text in trouble {
            self.say(Severity::Warning, &text);
        }
        if let Some(relayed) = relayed {
            self.tell(Input::Relays(relayed));
        }
    }

    /// As services come and go, and meeting points are not used.
    pub(crate) fn tend_relay(&mut self) {
        let wanted = self.engine.wanted_relays().collect();
        self.relay_for(&wanted);
        let unused = self.relay.unused(Instant::now());
        self.end_meetings(unused);
    }

    /// A session or a listener calls.
    pub(crate) fn relay_call(&mut self, call: Call) {
        match call {
            Call::Accepted { service, stream, client } => self.accepted(service, stream, client),
            Call::Open { session, order, answer } => {
                let port = self.meet(session, order);
                // Gone with its session.
                let _ = answer.send(port);
            }
            Call::Ended { session } => {
                let rest = self.relay.ended(session);
                self.clear(rest);
            }
        }
    }

    fn accepted(&mut self, service: ServiceKey, stream: TcpStream, client: SocketAddr) {
        let Some(address) = service.address() else { return };
        let virtual_address = SocketAddr::new(address, service.port());
        let found = match self.path.find(Protocol::Tcp, client, virtual_address) {
            Ok(found) => found.filter(|(of, _)| *of == service),
            Err(e) => {
                self.say(Severity::Error, &format!("the connections cannot be reached: {e}"));
                None
            }
        };
        let why = match found {
            // From the director itself, say: nothing has been chosen for it.
            None => "421 No real server was chosen for this connection.",
            Some((_, real_server)) => match self.relay.admit(service, client, real_server) {
                Some(session) => {
                    let (calls, clock) = (self.relay.calls(), self.clock);
                    let line = Line { session, client, virtual_address, real_server, calls, clock };
                    let task = tokio::task::spawn_local(carry(line, stream));
                    return self.relay.carried_by(session, task.abort_handle());
                }
                None => "421 There are too many connections.",
            },
        };
        tokio::task::spawn_local(refuse(stream, why));
    }

    /// Makes a meeting point for a data connection; its port.
    fn meet(&mut self, session: u64, order: Order) -> Option<u16> {
        let in_force = self.engine.in_force();
        let Opening { key, changes, to } =
            self.relay.opening(session, order, |key| in_force.services.contains_key(key))?;
        if !self.network.own_of(&BTreeSet::from([to.ip()])).is_empty() {
            self.say(Severity::Warning, &format!("no data connection of FTP is made to {to}, which is this host"));
            return None;
        }
        if let Order::Active(_) = order {
            self.network.want(to.ip());
            self.resolve();
        }
        if let Err(e) = self.path.apply(&changes) {
            self.say(Severity::Warning, &format!("a data connection of FTP finds no place: {}", e.cause));
            if e.applied > 0 {
                self.end_meetings(vec![key]);
            }
            return None;
        }
        let before = self.relay.opened(Instant::now(), session, key, order);
        self.end_meetings(before.into_iter().collect());
        Some(key.port())
    }

    /// Ends control connections that `filter` means.
    pub(crate) fn cut_relayed(&mut self, filter: &ConnectionFilter) {
        let rest = self.relay.cut(filter);
        self.clear(rest);
    }

    fn clear(&mut self, rest: Rest) {
        let Rest { meetings, clients } = rest;
        self.end_meetings(meetings);
        for client in clients {
            if !self.follows.names(client) {
                self.network.forget(client);
            }
        }
    }

    fn end_meetings(&mut self, meetings: Vec<ServiceKey>) {
        let changes: Vec<Change> = meetings.into_iter().map(Change::RemoveService).collect();
        if changes.is_empty() {
            return;
        }
        if let Err(e) = self.path.apply(&changes) {
            self.say(Severity::Warning, &format!("a place for data connections of FTP is not removed: {e}"));
        }
    }
}
