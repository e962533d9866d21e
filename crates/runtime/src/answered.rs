//! Services that this host answers itself, in part at least: their packets go on to its own stack.

use evenkeel_model::{Cluster, Forwarding, ServiceKey};

/// Those of a cluster that have an address. They are let through where an address is closed to all else.
pub(crate) fn answered(cluster: &Cluster) -> Vec<ServiceKey> {
    let here = |service: &&evenkeel_model::Service| {
        let servers = service.real_servers.iter().map(|server| server.forwarding);
        let mut methods = servers.chain(service.fallback.iter().map(|fallback| fallback.forwarding));
        service.key.address().is_some() && methods.any(|method| method == Forwarding::Local)
    };
    cluster.services.iter().filter(here).map(|service| service.key).collect()
}
