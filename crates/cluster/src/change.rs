//! What cannot change while a cluster runs, and what others do not follow.

use evenkeel_model::heartbeat::{Failback, Group, Heartbeat, NodeName};

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

/// What an operator has to do besides when groups change and one of the `real` nodes, which live and run heartbeat, is not
/// told of it; `None`: nothing.
pub fn caution(before: &Heartbeat, after: &Heartbeat, real: &[NodeName]) -> Option<String> {
    let peer = real.first()?;
    let like = |one: &Group, groups: &[Group]| {
        let agents = |group: &Group| group.resources.iter().map(|resource| resource.agent.clone()).collect::<Vec<_>>();
        groups.iter().any(|other| other.key == one.key && other.prefer == one.prefer && agents(other) == agents(one))
    };
    let new = after.groups.iter().filter(|group| !like(group, &before.groups));
    let gone = before.groups.iter().filter(|group| after.groups.iter().all(|other| other.key != group.key));
    let keys: Vec<&str> = new.chain(gone).map(|group| group.key.as_str()).collect();
    (!keys.is_empty()).then(|| {
        format!(
            "{peer} runs heartbeat, which goes by its own haresources and looks at it only when groups move: until then what has \
             changed in {} stays there as it was, and what is new and counts as held by {peer} is started on no node.  Next: \
             write the same lines there, and start what is new there by /usr/share/heartbeat/ResourceManager takegroup KEY",
            keys.join(", ")
        )
    })
}

fn names(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}
