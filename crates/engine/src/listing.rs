//! The table as clients list it: what is in force, in the order it was made, with what the data plane has counted.

use crate::{
    Rate, Rates, ServerSample,
    balance::Balance,
    entry::{forward, key_of, service_entry},
    service::Service,
};
use evenkeel_api::table::{ServerEntry, Table, TableServer, TableService, Traffic};
use evenkeel_dataplane::{self as dataplane, Counters};
use evenkeel_model::{Forwarding, ServiceKey, Timeouts};
use std::{collections::BTreeMap, net::SocketAddr};

/// What the data plane has counted, and what it is set to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Counters of each service and of each real server in it.
    pub services: BTreeMap<ServiceKey, ServerSample>,
    /// Capacity of the connection table.
    pub connections: u64,
    /// How long connections last.
    pub timeouts: Timeouts,
}

impl Balance {
    /// The table, or one service of it; `None`: there is no such service.
    pub fn table(&self, only: Option<&ServiceKey>, tally: &Tally, rates: &Rates) -> Option<Table> {
        let listed = |service: &Service| {
            let entry = self.program.in_force().services.get(&service.key)?;
            Some(list(service, entry, tally.services.get(&service.key), rates))
        };
        let services = match only {
            Some(key) => vec![listed(self.services.get(key)?)?],
            None => self.in_order().filter_map(listed).collect(),
        };
        let Timeouts { tcp, tcp_fin, udp } = tally.timeouts;
        let timeouts = [tcp, tcp_fin, udp].map(Option::unwrap_or_default);
        Some(Table { services, connections: tally.connections, timeouts })
    }

    /// The name of a service, and its key in words where there is none.
    pub fn service_name(&self, key: &ServiceKey) -> String {
        self.services.get(key).map_or_else(|| key.to_string(), |service| service.name.clone())
    }
}

fn list(service: &Service, entry: &dataplane::Service, numbers: Option<&ServerSample>, rates: &Rates) -> TableService {
    let key = service.key;
    let counted = |address: &SocketAddr| {
        let counters = numbers.and_then(|numbers| numbers.real_servers.get(address));
        counters.copied().unwrap_or_default()
    };
    let server = |address: SocketAddr, server: &dataplane::RealServer, shown: Forwarding| {
        let counters = counted(&address);
        let (weight, thresholds) = (server.weight.get(), server.thresholds);
        let entry = ServerEntry { forward: forward(shown), weight, upper: thresholds.upper, lower: thresholds.lower };
        TableServer {
            address,
            entry,
            active: counters.active,
            inactive: counters.inactive,
            persistent: counters.persistent,
            traffic: traffic(&counters, rates.rate(key, Some(address))),
        }
    };
    // The sorry server is always the last that was added.
    let sorry = service.fallback.as_ref().filter(|fallback| service.server(&fallback.address).is_none());
    let sorry = sorry.and_then(|fallback| {
        let found = entry.real_servers.get(&fallback.address)?;
        Some(server(fallback.address, found, found.forwarding))
    });
    let real = service.servers.iter().rev().filter_map(|real| {
        let found = entry.real_servers.get(&real.address)?;
        let shown = if found.forwarding == real.forwarding { real.shown } else { found.forwarding };
        Some(server(real.address, found, shown))
    });
    let total = numbers.map(|numbers| numbers.total).unwrap_or_default();
    TableService {
        key: key_of(&key),
        entry: service_entry(&entry.options),
        traffic: traffic(&total, rates.rate(key, None)),
        servers: sorry.into_iter().chain(real).collect(),
    }
}

fn traffic(counters: &Counters, rate: Rate) -> Traffic {
    Traffic {
        connections: counters.connections,
        packets_in: counters.packets_in,
        packets_out: counters.packets_out,
        bytes_in: counters.bytes_in,
        bytes_out: counters.bytes_out,
        connections_rate: rate.connections,
        packets_in_rate: rate.packets_in,
        packets_out_rate: rate.packets_out,
        bytes_in_rate: rate.bytes_in,
        bytes_out_rate: rate.bytes_out,
    }
}
