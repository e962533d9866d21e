//! Which rules of the host's firewall the services' traffic goes past, since the packet path lies in front of them; and
//! which keep out what this node has to hear of its neighbours.

mod deaf;

use evenkeel_api::Event;
use evenkeel_model::{Cluster, Forwarding};
use evenkeel_netlink::nf_tables;
use evenkeel_os::firewall::{AnswerEndpoint, BypassedRule, HostRules, ServiceEndpoint, Traffic};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};
use tokio::sync::mpsc;

pub(crate) use deaf::{Deaf, Listener};
use deaf::{Listeners, listeners};

/// Services named in one sentence.
const NAMED: usize = 3;

/// What a look at the firewall found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// One for each rule.
    pub bypassed: Vec<Event>,
    /// One for each kind of message that a rule keeps out.
    pub deaf: Vec<Deaf>,
    /// What could not be seen, a sentence each.
    pub unseen: Vec<String>,
}

/// What a cluster's packets are to the firewall's rules, and the services each belongs to.
type Names = BTreeMap<Traffic, BTreeSet<String>>;

/// What a cluster has to do with a firewall.
#[derive(Debug, Default)]
pub(crate) struct Concerns {
    names: Names,
    listeners: Listeners,
    /// The table of evenkeel's own rules, which let services through.
    own: String,
}

impl Concerns {
    pub(crate) fn of(cluster: &Cluster) -> Concerns {
        let own = cluster.vrrp.firewall.table.clone();
        Concerns { names: names(cluster), listeners: listeners(cluster), own }
    }

    /// Everybody who wants to hear something.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.values().flatten()
    }
}

/// Looks now; waits for the host's tools.
pub(crate) fn look(cluster: &Cluster) -> Found {
    look_for(&Concerns::of(cluster))
}

/// Looks on a thread of its own and tells what was found; a large set of rules takes a second.
pub(crate) fn look_aside(concerns: Arc<Concerns>, tell: mpsc::Sender<Found>) {
    tokio::task::spawn_local(async move {
        let found = tokio::task::spawn_blocking(move || look_for(&concerns)).await.unwrap_or_default();
        // Nobody listens any more when the daemon ends.
        let _ = tell.send(found).await;
    });
}

fn names(cluster: &Cluster) -> Names {
    let mut names = Names::new();
    for service in &cluster.services {
        let key = &service.key;
        let mut name = |traffic| {
            names.entry(traffic).or_default().insert(service.name.clone());
        };
        if let Some((address, protocol)) = key.address().zip(key.protocol()) {
            name(Traffic::Requests(ServiceEndpoint { address, protocol, port: key.port() }));
        }
        let fallback = service.fallback.iter().map(|fallback| (fallback.address, fallback.forwarding));
        let servers = service.real_servers.iter().map(|server| (server.address, server.forwarding));
        for (server, forwarding) in servers.chain(fallback) {
            if is_translated(forwarding, server.ip()) {
                let (address, port) = (server.ip(), server.port());
                name(Traffic::Answers(AnswerEndpoint { address, protocol: key.protocol(), port }));
            }
        }
    }
    names
}

/// Whether answers come back through the director from outside.
fn is_translated(forwarding: Forwarding, address: IpAddr) -> bool {
    match forwarding {
        Forwarding::Nat | Forwarding::FullNat => !address.is_loopback(),
        // What a relay carries on meets the rules of INPUT as any other program's.
        Forwarding::DirectRouting | Forwarding::Tunnel(_) | Forwarding::Local | Forwarding::Relay => false,
    }
}

fn look_for(concerns: &Concerns) -> Found {
    let Concerns { names, listeners, own } = concerns;
    let is_own = |table: &String| table.split_once(' ').is_some_and(|(_, name)| name == own);
    let (tables, trouble) = match nf_tables() {
        Ok(tables) => (tables.into_iter().filter(|table| !is_own(table)).collect(), None),
        Err(e) => (Vec::new(), Some(format!("whether the firewall is bypassed cannot be seen: {e}"))),
    };
    let rules = HostRules::read(&tables, own);
    let traffic: Vec<Traffic> = names.keys().copied().collect();
    let bypassed = rules.bypassed(&traffic).iter().map(|rule| event(rule, names)).collect();
    let deaf = deaf::look(&rules, listeners);
    Found { bypassed, deaf, unseen: trouble.into_iter().chain(rules.unseen).collect() }
}

fn event(rule: &BypassedRule, names: &Names) -> Event {
    let met: BTreeSet<&String> = rule.traffic.iter().filter_map(|one| names.get(one)).flatten().collect();
    let met: Vec<&str> = met.into_iter().map(String::as_str).collect();
    let shown = met.get(..NAMED.min(met.len())).unwrap_or_default().join(", ");
    let service = match met.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    };
    Event::FirewallBypassed { service, rule: rule.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::Protocol;
    use evenkeel_os::firewall::{Rules, bypassed};

    #[test]
    fn a_rule_is_told_once_with_the_services_it_would_have_met() {
        let names: Names = (1..=5)
            .map(|n| {
                let address = format!("192.0.2.{n}").parse().unwrap();
                let service = ServiceEndpoint { address, protocol: Protocol::Tcp, port: 80 };
                (Traffic::Requests(service), BTreeSet::from([format!("web{n}")]))
            })
            .collect();
        let text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 80 -j DROP\nCOMMIT\n";
        let rules = Rules::from_iptables_save(text, true);
        let traffic: Vec<Traffic> = names.keys().copied().collect();
        let events: Vec<Event> = bypassed(&rules, &traffic).iter().map(|rule| event(rule, &names)).collect();
        let [Event::FirewallBypassed { service, rule }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(service, "web1, web2, web3 and 2 more");
        assert!(rule.contains("--dport 80"), "{rule}");
    }
}
