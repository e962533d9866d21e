//! What clients made and an earlier run left in the data plane.

use crate::{
    balance::Balance,
    service::{Server, Service},
};
use evenkeel_dataplane::{self as dataplane, Table};
use evenkeel_machine::Instant;
use evenkeel_model::{Cluster, Forwarding, ServiceKey};
use std::{collections::BTreeSet, net::SocketAddr};

/// The services of `observed` that are kept although `cluster` does not name them: those that clients made, or all.
pub fn kept<'a>(
    observed: &'a Table,
    cluster: &Cluster,
    all: bool,
) -> impl Iterator<Item = (&'a ServiceKey, &'a dataplane::Service)> + use<'a> {
    let named: BTreeSet<ServiceKey> = cluster.services.iter().map(|service| service.key).collect();
    let is_kept = move |service: &dataplane::Service| all || service.options.note.by_edit;
    observed.services.iter().filter(move |(key, service)| is_kept(service) && !named.contains(*key))
}

impl Balance {
    /// Takes over what clients made; returns how many real servers that are.
    pub(crate) fn take_over(&mut self, now: Instant, observed: &Table, all: bool) -> usize {
        let mut taken = 0;
        for (key, found) in &observed.services {
            if self.services.contains_key(key) || !(all || found.options.note.by_edit) {
                continue;
            }
            self.edits.places += 1;
            let mut service = Service::by_edit(*key, found.options.clone(), self.edits.places);
            service.relayed = self.relays.contains(key);
            for (address, entry) in &found.real_servers {
                let mut server = Server::unchecked(*address, entry.forwarding.unrelayed(), entry.weight, now);
                server.thresholds = entry.thresholds;
                server.asked = self.book.asked(*key, Some(*address));
                service.servers.push(server);
            }
            taken += service.servers.len();
            service.restate(now, &self.watches);
            self.edited.insert(service.place, *key);
            self.services.insert(*key, service);
            self.program.touch(*key);
        }
        taken
    }

    /// The services that clients made, with their real servers, for those who follow the host's network.
    pub fn made_by_clients(&self) -> impl Iterator<Item = (ServiceKey, Vec<(SocketAddr, Forwarding)>)> + '_ {
        self.edited.values().filter_map(|key| self.services.get(key)).map(|service| {
            (service.key, service.servers.iter().map(|server| (server.address, server.forwarding)).collect())
        })
    }
}
