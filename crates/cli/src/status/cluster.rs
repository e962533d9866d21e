//! A heartbeat cluster in the picture: nodes, ping nodes, groups with what they are made of, fencing.

use crate::terminal::{Tone, paint};
use evenkeel_api::{ClusterStatus, FenceStatus, GroupStatus, LinkStatus, NodeStatus, lasting};
use evenkeel_source::Colour;
use std::fmt::Write;

pub(super) fn render(cluster: &ClusterStatus, colour: Colour) -> String {
    let state =
        if cluster.stable { String::new() } else { paint("  something is being moved", Tone::Doubtful, colour) };
    let mut text = format!("CLUSTER  {}  this node has {} of the groups{state}\n", cluster.name, cluster.holds);
    for node in cluster.nodes.iter().chain(&cluster.pings) {
        text.push_str(&of_node(node, colour));
    }
    for group in &cluster.groups {
        text.push_str(&of_group(group, colour));
    }
    for fence in &cluster.fencing {
        text.push_str(&of_fence(fence, colour));
    }
    text
}

fn of_node(node: &NodeStatus, colour: Colour) -> String {
    let tone = match node.state.as_str() {
        "active" | "ping" => Tone::Good,
        "up" | "init" => Tone::Doubtful,
        _ => Tone::Bad,
    };
    let word = if node.state == "ping" { "answers" } else { &node.state };
    let mut text = format!("  node {}  {} for {}", node.name, paint(word, tone, colour), lasting(node.since_s));
    if tone == Tone::Bad && !node.reason.is_empty() {
        let _ = write!(text, ": {}", node.reason);
    }
    if let Some(heard) = node.heard_ms {
        let _ = write!(text, "  heard {:.1} s ago", heard as f64 / 1000.0);
    }
    // Several media may be by one interface, as with more than one unicast peer.
    let same = |a: &LinkStatus, b: &LinkStatus| (&a.name, &a.state) == (&b.name, &b.state);
    let first = |(at, link): &(usize, &LinkStatus)| !node.links.iter().take(*at).any(|before| same(before, link));
    let links: Vec<String> = node
        .links
        .iter()
        .enumerate()
        .filter(first)
        .map(|(_, link)| {
            let (tone, since) = match link.state.as_str() {
                "up" => (Tone::Good, String::new()),
                _ => (Tone::Bad, format!(" for {}", lasting(link.since_s))),
            };
            format!("{} {}{since}", link.name, paint(&link.state, tone, colour))
        })
        .collect();
    if !links.is_empty() {
        let _ = write!(text, "  by {}", links.join(", "));
    }
    if let Some(version) = &node.version {
        let _ = write!(text, "  evenkeel {version}");
    }
    if let Some(ahead) = node.clock_s {
        let way = if ahead > 0 { "ahead" } else { "behind" };
        let _ = write!(text, "  {}", paint(&format!("clock {} s {way}", ahead.unsigned_abs()), Tone::Bad, colour));
    }
    if node.other_configuration {
        let _ = write!(text, "  {}", paint("other configuration", Tone::Bad, colour));
    }
    text.push('\n');
    text
}

fn of_group(group: &GroupStatus, colour: Colour) -> String {
    let since = lasting(group.owner_since_s);
    let place = match &group.owner {
        Some(owner) => format!("on {} for {since}", paint(owner, Tone::Good, colour)),
        None => format!("{} for {since}", paint("on no node", Tone::Bad, colour)),
    };
    let prefer = group.prefer.join(", ");
    let mut text = format!("  group {}  {place}  prefers {prefer}\n", group.name);
    let since = lasting(group.since_s);
    let _ = writeln!(text, "    here {} for {since}: {}", group.state, group.reason);
    for resource in &group.resources {
        let tone = match resource.state.as_str() {
            "running" => Tone::Good,
            "failed" => Tone::Bad,
            _ => Tone::Doubtful,
        };
        let why = if resource.reason.is_empty() { String::new() } else { format!(": {}", resource.reason) };
        let state = paint(&resource.state, tone, colour);
        let _ = writeln!(text, "      {}  {}  {state}{why}", resource.name, resource.agent);
    }
    text
}

fn of_fence(fence: &FenceStatus, colour: Colour) -> String {
    let tone = if fence.state == "ready" { Tone::Good } else { Tone::Bad };
    let nodes = if fence.nodes.is_empty() { "any node".to_owned() } else { fence.nodes.join(", ") };
    let state = match fence.state.as_str() {
        "waits" => "waits for an operator",
        other => other,
    };
    let since = if fence.state == "ready" { String::new() } else { format!(" for {}", lasting(fence.since_s)) };
    let why = if fence.reason.is_empty() { String::new() } else { format!(": {}", fence.reason) };
    let by = fence.by.as_ref().map(|by| format!("  {by} tries")).unwrap_or_default();
    format!("  fencing {} of {nodes}  {}{since}{by}{why}\n", fence.device, paint(state, tone, colour))
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_api::ResourceStatus;

    #[test]
    fn nodes_links_groups_and_fencing_are_shown() {
        let link = |name: &str, state: &str| LinkStatus { name: name.to_owned(), state: state.to_owned(), since_s: 1 };
        let node = |name: &str, state: &str| NodeStatus {
            name: name.to_owned(),
            state: state.to_owned(),
            since_s: 65,
            ..NodeStatus::default()
        };
        let cluster = ClusterStatus {
            name: "linux-ha".to_owned(),
            holds: "local".to_owned(),
            stable: true,
            nodes: vec![
                node("ha1", "active"),
                NodeStatus {
                    version: Some("0.1.0".to_owned()),
                    heard_ms: Some(340),
                    links: vec![link("eth1", "up"), link("eth1", "up"), link("eth0", "dead")],
                    clock_s: Some(-12),
                    other_configuration: true,
                    ..node("ha2", "active")
                },
            ],
            pings: vec![NodeStatus { reason: "it does not answer".to_owned(), ..node("10.168.0.1", "dead") }],
            groups: vec![GroupStatus {
                name: "web".to_owned(),
                owner: Some("ha1".to_owned()),
                owner_since_s: 70,
                prefer: vec!["ha1".to_owned()],
                state: "running".to_owned(),
                since_s: 9,
                reason: "nobody had it".to_owned(),
                resources: vec![ResourceStatus {
                    name: "nginx".to_owned(),
                    agent: "lsb:nginx".to_owned(),
                    state: "failed".to_owned(),
                    reason: "`nginx` did not start: exit status 1".to_owned(),
                }],
            }],
            fencing: vec![FenceStatus {
                device: "stonith:null".to_owned(),
                nodes: vec!["ha2".to_owned()],
                state: "failed".to_owned(),
                since_s: 5,
                by: Some("ha3".to_owned()),
                reason: "ha2: null: exit status 1".to_owned(),
            }],
            ..ClusterStatus::default()
        };
        let expected = "\
CLUSTER  linux-ha  this node has local of the groups
  node ha1  active for 1m05s
  node ha2  active for 1m05s  heard 0.3 s ago  by eth1 up, eth0 dead for 1s  evenkeel 0.1.0  clock 12 s behind  other \
configuration
  node 10.168.0.1  dead for 1m05s: it does not answer
  group web  on ha1 for 1m10s  prefers ha1
    here running for 9s: nobody had it
      nginx  lsb:nginx  failed: `nginx` did not start: exit status 1
  fencing stonith:null of ha2  failed for 5s  ha3 tries: ha2: null: exit status 1
";
        assert_eq!(render(&cluster, Colour::No), expected);
    }
}
