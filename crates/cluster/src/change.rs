//! What cannot change while a cluster runs.

use evenkeel_model::heartbeat::{Failback, Heartbeat, NodeName};

/// Why a running cluster cannot be configured so, as a sentence; `None`: it can. `real` are the nodes that live and run
/// heartbeat itself, which knows nothing of what changes here.
pub fn refusal(before: &Heartbeat, after: &Heartbeat, real: &[NodeName]) -> Option<String> {
    let again = "Next: take it back, or start evenkeel again on this node";
    if before.node != after.node {
        let (was, is) = (&before.node, &after.node);
        return Some(format!("this node is {was} and cannot become {is} while the cluster runs.  {again}"));
    }
    if before.nodes != after.nodes {
        let (was, is) = (names(&before.nodes), names(&after.nodes));
        return Some(format!(
            "the nodes of the cluster ({was}) cannot become {is} while it runs: the others count on them.  {again}"
        ));
    }
    let legacy = |cluster: &Heartbeat| cluster.failback == Failback::Legacy;
    if legacy(before) != legacy(after) {
        let to = if legacy(after) { "to legacy" } else { "from legacy" };
        return Some(format!(
            "auto_failback cannot change {to} while the cluster runs: the nodes speak another protocol.  {again}"
        ));
    }
    let asks = |cluster: &Heartbeat| cluster.pings.iter().map(|ping| ping.name.clone()).collect::<Vec<_>>();
    if let Some(peer) = real.first()
        && (before.ipfail || after.ipfail)
        && asks(before) != asks(after)
    {
        return Some(format!(
            "the ping nodes cannot change while {peer} runs heartbeat: its ipfail compares how many each node reaches, and \
             would move the groups.  {again}"
        ));
    }
    None
}

fn names(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}
