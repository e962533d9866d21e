//! The state of the node as clients see it.

use crate::{
    Sample, ServerSample,
    balance::Balance,
    program::weight_in,
    service::{Cover, Server, Service, place},
    watches::{Slot, Watches},
    words,
};
use evenkeel_api::{self as api, ServerState};
use evenkeel_dataplane as dataplane;
use evenkeel_machine::Instant;
use evenkeel_model::{Alerts, ServiceKey, Weight};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

impl Balance {
    /// Everything, or one service.
    pub(crate) fn report(&self, now: Instant, sample: &Sample, only: Option<ServiceKey>) -> api::Status {
        let service = |service| self.service_status(now, sample, service);
        let services = match &only {
            Some(key) => self.services.get(key).into_iter().map(service).collect(),
            None => self.in_order().map(service).collect(),
        };
        let mut warnings = sample.warnings.clone();
        warnings.extend(self.program.complaints());
        api::Status {
            version: self.setup.version.clone(),
            node: self.setup.node.clone(),
            uptime_s: (now - self.began).as_secs(),
            dataplane: sample.dataplane.clone(),
            ha: sample.ha.clone(),
            bfd: sample.bfd.clone(),
            cluster: sample.cluster.clone(),
            services,
            config: api::ConfigStatus {
                ok: self.config.error.is_none(),
                since_s: (now - self.config.since).as_secs(),
                error: self.config.error.clone(),
            },
            warnings,
        }
    }

    fn service_status(&self, now: Instant, sample: &Sample, service: &Service) -> api::ServiceStatus {
        let numbers = sample.services.get(&service.key);
        let in_force = |address: &SocketAddr| weight_in(self.program.in_force(), &service.key, address);
        let fallback = service.fallback.as_ref().map(|fallback| api::FallbackStatus {
            address: fallback.address.to_string(),
            in_use: matches!(service.cover, Cover::Fallback { .. }) && in_force(&fallback.address) > Some(Weight::ZERO),
        });
        let server = |server| self.server_status(now, sample, service, server, numbers);
        api::ServiceStatus {
            name: service.name.clone(),
            protocol: service.key.protocol_name().to_owned(),
            address: place(&service.key),
            scheduler: service.options.scheduler.name().to_owned(),
            fallback,
            real_servers: service.servers.iter().map(server).collect(),
            disabled: service.disabled,
            counters: numbers.map(|numbers| counters(&numbers.total)).unwrap_or_default(),
        }
    }

    fn server_status(
        &self,
        now: Instant,
        sample: &Sample,
        service: &Service,
        server: &Server,
        numbers: Option<&ServerSample>,
    ) -> api::RealServerStatus {
        let weight = weight_in(self.program.in_force(), &service.key, &server.address);
        let numbers =
            numbers.and_then(|numbers| numbers.real_servers.get(&server.address)).copied().unwrap_or_default();
        api::RealServerStatus {
            address: server.address.to_string(),
            forward: server.forwarding.name().to_owned(),
            weight: weight.map_or(0, Weight::get),
            state: server.state,
            reason: reason(service, server, &self.watches),
            since_s: (now - server.since).as_secs(),
            connections: api::Connections {
                active: numbers.active.into(),
                inactive: numbers.inactive.into(),
                persistent: numbers.persistent.into(),
            },
            counters: counters(&numbers),
            name: server.name.to_string(),
            full_weight: server.full_weight().get(),
            in_table: weight.is_some(),
            check: self.check_status(now, server),
            next_hop: sample.next_hops.get(&server.address.ip()).cloned(),
            unreachable: sample.unreachable.contains(&server.address.ip()),
        }
    }

    fn check_status(&self, now: Instant, server: &Server) -> Option<api::CheckStatus> {
        let (check, watch) = self.watches.get(server.watch)?;
        let status = watch.status();
        let last = status.last.as_ref();
        let failed = last.is_some_and(|last| !last.verdict.is_good());
        Some(api::CheckStatus {
            what: self.watches.check(server.watch).map_or_else(|| words::check(check), words::check),
            last: last.map(|last| words::verdict(&check.probe, &last.verdict)),
            last_good_ms: status.last_good.map(|at| millis(now - at)),
            failed: if failed { status.counts.failed } else { 0 },
            next_ms: watch.next_attempt().map(|at| millis(at - now)),
            by_hand: words::by_hand(&check.probe),
        })
    }
}

/// Why the real server is in its state.
fn reason(service: &Service, server: &Server, watches: &Watches) -> String {
    let last = watches.get(server.watch).and_then(|(check, watch)| {
        let last = watch.status().last.as_ref()?;
        Some(words::verdict(&check.probe, &last.verdict))
    });
    match server.state {
        ServerState::Disabled if service.disabled => "the service is disabled by an operator".into(),
        ServerState::Disabled => "disabled by an operator".into(),
        ServerState::Drained => "drained by an operator".into(),
        ServerState::Down if server.maintenance => "a maintenance file names it".into(),
        ServerState::Up if server.watch == Slot::NONE => "nobody checks it: a client added it to the table".into(),
        ServerState::Up => last.unwrap_or_else(|| "served before this daemon started, not checked since".into()),
        ServerState::Down => last.unwrap_or_else(|| "its earlier check failed".into()),
        ServerState::Unchecked => match last {
            Some(last) => format!("not decided yet: {last}"),
            None => "waits for its first check".into(),
        },
    }
}

/// One line for each real server of these alerts that is down, for `emailalertfreq`.
pub(crate) fn inaccessible(
    now: Instant,
    services: &BTreeMap<ServiceKey, Service>,
    watches: &Watches,
    alerts: &Alerts,
) -> Vec<String> {
    let concerned = services.values().filter(|service| service.alerts.as_deref() == Some(alerts));
    let lines = concerned.flat_map(|service| {
        let down = service.servers.iter().filter(|server| server.state == ServerState::Down);
        down.map(move |server| {
            let (name, address) = (&server.name, server.address);
            let (lasting, why) = (words::time(now - server.since), reason(service, server, watches));
            format!("Inaccessible real server: {}/{name} ({address}) down for {lasting}: {why}", service.name)
        })
    });
    lines.collect()
}

fn counters(counters: &dataplane::Counters) -> api::Counters {
    api::Counters {
        connections: counters.connections,
        packets_in: counters.packets_in,
        packets_out: counters.packets_out,
        bytes_in: counters.bytes_in,
        bytes_out: counters.bytes_out,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
