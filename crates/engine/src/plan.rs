//! What would change: the lines of a dry run and of `evenkeel diff`.

mod elections;
mod heartbeat;

use crate::{Held, balance::Balance, service::place, words};
use evenkeel_api::{PlanAction, PlanLine};
use evenkeel_dataplane::{ServiceOptions, Table};
use evenkeel_model::{Check, Cluster, Fallback, Forwarding, RealServer, Service, ServiceKey, Weight, vrrp::Elections};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// A service as it is; what is not known is not compared.
struct Have<'a> {
    options: ServiceOptions,
    fallback: Option<Option<Fallback>>,
    real_servers: BTreeMap<SocketAddr, HaveServer<'a>>,
}

struct HaveServer<'a> {
    weight: Option<Weight>,
    forwarding: Forwarding,
    check: Option<&'a Check>,
}

/// What running `cluster` would change on a host whose data plane holds `observed`; an empty table where none runs.
pub fn plan(observed: &Table, cluster: &Cluster) -> Vec<PlanLine> {
    let have = |service: &evenkeel_dataplane::Service| Have {
        options: service.options.clone(),
        fallback: None,
        real_servers: service
            .real_servers
            .iter()
            .map(|(address, server)| {
                // Weight 0 is also the mark of one that is down.
                let weight = (server.weight > Weight::ZERO).then_some(server.weight);
                (*address, HaveServer { weight, forwarding: server.forwarding, check: None })
            })
            .collect(),
    };
    let named = named_by(cluster);
    let services = observed.services.iter().filter(|(key, service)| concerns(&service.options, key, &named));
    let mut lines = heartbeat::compare(None, cluster.heartbeat.as_ref());
    lines.extend(elections::compare(&Elections::default(), &cluster.vrrp));
    lines.extend(compare(services.map(|(key, service)| (*key, have(service))).collect(), cluster));
    lines
}

/// What a reload with `cluster` would change, of what is held elsewhere too.
pub(crate) fn against(balance: &Balance, held: &Held, cluster: &Cluster) -> Vec<PlanLine> {
    let server = |server: &crate::service::Server| {
        let check = balance.watches.check(server.watch);
        (server.address, HaveServer { weight: Some(server.weight), forwarding: server.forwarding, check })
    };
    let have = |service: &crate::service::Service| Have {
        options: service.options.clone(),
        fallback: Some(service.fallback.clone()),
        real_servers: service.servers.iter().map(server).collect(),
    };
    let named = named_by(cluster);
    let services = balance.services.iter().filter(|(key, service)| concerns(&service.options, key, &named));
    let mut lines = heartbeat::compare(held.heartbeat.as_ref(), cluster.heartbeat.as_ref());
    lines.extend(elections::compare(&held.vrrp, &cluster.vrrp));
    lines.extend(compare(services.map(|(key, service)| (*key, have(service))).collect(), cluster));
    lines
}

/// What a client made stays, where the files do not name it.
fn concerns(options: &ServiceOptions, key: &ServiceKey, named: &BTreeSet<ServiceKey>) -> bool {
    !options.note.by_edit || named.contains(key)
}

fn named_by(cluster: &Cluster) -> BTreeSet<ServiceKey> {
    cluster.services.iter().map(|service| service.key).collect()
}

fn compare(mut have: BTreeMap<ServiceKey, Have<'_>>, cluster: &Cluster) -> Vec<PlanLine> {
    let mut lines = Vec::new();
    for service in &cluster.services {
        match have.remove(&service.key) {
            None => add(service, &mut lines),
            Some(have) => change(service, have, &mut lines),
        }
    }
    for key in have.keys() {
        lines.push(line(PlanAction::Remove, "service", false, named(key)));
    }
    lines
}

fn add(service: &Service, lines: &mut Vec<PlanLine>) {
    lines.push(line(PlanAction::Add, "service", false, header(service)));
    for server in &service.real_servers {
        lines.push(line(PlanAction::Add, "real server", true, described(server)));
    }
    if let Some(fallback) = &service.fallback {
        lines.push(line(PlanAction::Add, "fallback", true, sorry(fallback)));
    }
}

fn change(service: &Service, mut have: Have<'_>, lines: &mut Vec<PlanLine>) {
    let mut nested = Vec::new();
    for server in &service.real_servers {
        match have.real_servers.remove(&server.address) {
            None => nested.push(line(PlanAction::Add, "real server", true, described(server))),
            Some(old) => {
                if let Some(text) = differences(server, &old) {
                    nested.push(line(PlanAction::Change, "real server", true, text));
                }
            }
        }
    }
    let known = have.fallback.is_some();
    let kept = |address: &SocketAddr| !known && service.fallback.as_ref().is_some_and(|f| f.address == *address);
    for address in have.real_servers.keys().filter(|address| !kept(address)) {
        nested.push(line(PlanAction::Remove, "real server", true, address.to_string()));
    }
    if let Some(old) = have.fallback.filter(|old| *old != service.fallback) {
        let (action, text) = match (&old, &service.fallback) {
            (None, Some(new)) => (PlanAction::Add, sorry(new)),
            (Some(old), None) => (PlanAction::Remove, sorry(old)),
            (Some(old), Some(new)) => (PlanAction::Change, format!("{} -> {}", sorry(old), sorry(new))),
            (None, None) => return,
        };
        nested.push(line(action, "fallback", true, text));
    }
    let mut text = header(service);
    if have.options.scheduler != service.scheduler {
        text = format!("{} {} -> {}", named(&service.key), have.options.scheduler, service.scheduler);
    } else if have.options.sources != service.sources {
        text += "  other allow or deny lists";
    } else if nested.is_empty() {
        return;
    }
    lines.push(line(PlanAction::Change, "service", false, text));
    lines.append(&mut nested);
}

fn differences(server: &RealServer, old: &HaveServer<'_>) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(weight) = old.weight.filter(|weight| *weight != server.weight) {
        parts.push(format!("w{weight} -> w{}", server.weight));
    }
    if old.forwarding != server.forwarding {
        parts.push(format!("{} -> {}", old.forwarding.name(), server.forwarding.name()));
    }
    if let Some(old) = old.check.filter(|old| **old != *server.check) {
        let (old, new) = (words::check(old), words::check(&server.check));
        parts.push(if old == new { format!("other {new}") } else { format!("{old} -> {new}") });
    }
    (!parts.is_empty()).then(|| format!("{} {}", server.address, parts.join("   ")))
}

fn line(action: PlanAction, kind: &str, nested: bool, text: String) -> PlanLine {
    PlanLine { action, kind: kind.to_owned(), nested, text }
}

fn named(key: &ServiceKey) -> String {
    format!("{} {}", key.protocol_name(), place(key))
}

/// `tcp 192.0.2.1:80 rr dr`.
fn header(service: &Service) -> String {
    let methods: BTreeSet<&str> = service.real_servers.iter().map(|server| server.forwarding.name()).collect();
    let methods: Vec<&str> = methods.into_iter().collect();
    format!("{} {} {}", named(&service.key), service.scheduler, methods.join("+")).trim_end().to_owned()
}

/// `192.0.2.2:80 w1   tcp check every 6 s`.
fn described(server: &RealServer) -> String {
    format!("{} w{}   {}", server.address, server.weight, words::check(&server.check))
}

fn sorry(fallback: &Fallback) -> String {
    format!("{} {}", fallback.address, fallback.forwarding.name())
}
