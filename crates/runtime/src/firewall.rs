//! Which rules of the host's firewall the services' traffic goes past: the packet path lies in front of them.

use evenkeel_api::Event;
use evenkeel_model::Cluster;
use evenkeel_netlink::nf_tables;
use evenkeel_os::firewall::{BypassedRule, HostRules, ServiceEndpoint};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Services named in one sentence.
const NAMED: usize = 3;

/// What a look at the firewall found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// One for each rule.
    pub bypassed: Vec<Event>,
    /// What could not be seen, a sentence each.
    pub unseen: Vec<String>,
}

/// The services of a cluster as the firewall's rules speak of them.
type Names = BTreeMap<ServiceEndpoint, String>;

/// Looks now; waits for the host's tools.
pub(crate) fn look(cluster: &Cluster) -> Found {
    look_for(&names(cluster))
}

/// Looks on a thread of its own and tells what was found; a large set of rules takes a second.
pub(crate) fn look_aside(cluster: &Cluster, tell: mpsc::Sender<Found>) {
    let names = names(cluster);
    tokio::task::spawn_local(async move {
        let found = tokio::task::spawn_blocking(move || look_for(&names)).await.unwrap_or_default();
        // Nobody listens any more when the daemon ends.
        let _ = tell.send(found).await;
    });
}

fn names(cluster: &Cluster) -> Names {
    let one = |service: &evenkeel_model::Service| {
        let key = service.key;
        let endpoint = ServiceEndpoint { address: key.address()?, protocol: key.protocol()?, port: key.port() };
        Some((endpoint, service.name.clone()))
    };
    cluster.services.iter().filter_map(one).collect()
}

fn look_for(names: &Names) -> Found {
    let (tables, trouble) = match nf_tables() {
        Ok(tables) => (tables, None),
        Err(e) => (Vec::new(), Some(format!("whether the firewall is bypassed cannot be seen: {e}"))),
    };
    let rules = HostRules::read(&tables);
    let endpoints: Vec<ServiceEndpoint> = names.keys().copied().collect();
    let bypassed = rules.bypassed(&endpoints).iter().map(|rule| event(rule, names)).collect();
    Found { bypassed, unseen: trouble.into_iter().chain(rules.unseen).collect() }
}

fn event(rule: &BypassedRule, names: &Names) -> Event {
    let met: Vec<&str> = rule.services.iter().filter_map(|s| names.get(s)).map(String::as_str).collect();
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
                (ServiceEndpoint { address, protocol: Protocol::Tcp, port: 80 }, format!("web{n}"))
            })
            .collect();
        let text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 80 -j DROP\nCOMMIT\n";
        let rules = Rules::from_iptables_save(text, true);
        let endpoints: Vec<ServiceEndpoint> = names.keys().copied().collect();
        let events: Vec<Event> = bypassed(&rules, &endpoints).iter().map(|rule| event(rule, &names)).collect();
        let [Event::FirewallBypassed { service, rule }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(service, "web1, web2, web3 and 2 more");
        assert!(rule.contains("--dport 80"), "{rule}");
    }
}
