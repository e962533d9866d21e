//! What would change of a heartbeat cluster: nodes, ways of messages, ping nodes, groups with their resources in order.

use super::line;
use evenkeel_api::{PlanAction, PlanLine};
use evenkeel_model::heartbeat::{
    Agent, Change, Fence, FenceAgent, Group, Heartbeat, IpResource, Medium, NodeName, PingNode, Resource,
};
use std::time::Duration;

/// From the cluster this node takes part in, none where no daemon runs, to the one that is wanted.
pub(super) fn compare(have: Option<&Heartbeat>, wanted: Option<&Heartbeat>) -> Vec<PlanLine> {
    let mut lines = Vec::new();
    match (have, wanted) {
        (_, None) => {}
        (None, Some(wanted)) => add(wanted, &mut lines),
        (Some(have), Some(wanted)) => change(have, wanted, &mut lines),
    }
    lines
}

fn add(wanted: &Heartbeat, lines: &mut Vec<PlanLine>) {
    let mut tell = |kind: &str, text: String| lines.push(line(PlanAction::Add, kind, false, text));
    for node in &wanted.nodes {
        let own = if *node == wanted.node { "   this one" } else { "" };
        tell("node", format!("{node}{own}"));
    }
    wanted.media.iter().for_each(|one| tell("medium", medium(one)));
    wanted.pings.iter().for_each(|one| tell("ping", ping(one)));
    let settings = settings(wanted).map(|(name, value)| format!("{name} {value}"));
    tell("cluster", settings.join("   "));
    wanted.fences.iter().for_each(|one| tell("fence", fence(one)));
    wanted.watchdog.iter().for_each(|device| tell("watchdog", device.display().to_string()));
    wanted.children.iter().for_each(|child| tell("program", child.command.join(" ")));
    wanted.groups.iter().for_each(|group| add_group(wanted, group, lines));
}

fn add_group(wanted: &Heartbeat, group: &Group, lines: &mut Vec<PlanLine>) {
    lines.push(line(PlanAction::Add, "group", false, header(wanted, group)));
    lines.extend(group.resources.iter().map(|one| resource(PlanAction::Add, one)));
}

fn change(have: &Heartbeat, wanted: &Heartbeat, lines: &mut Vec<PlanLine>) {
    differ("medium", (&have.media, &wanted.media), medium, lines);
    differ("ping", (&have.pings, &wanted.pings), ping, lines);
    let both = settings(have).into_iter().zip(settings(wanted));
    let other = both.filter(|(old, new)| old != new).map(|((name, old), (_, new))| format!("{name} {old} -> {new}"));
    let other: Vec<String> = other.collect();
    if !other.is_empty() {
        lines.push(line(PlanAction::Change, "cluster", false, other.join("   ")));
    }
    if have.keys != wanted.keys {
        lines.push(line(PlanAction::Change, "cluster", false, "other keys".to_owned()));
    }
    differ("fence", (&have.fences, &wanted.fences), fence, lines);
    let device = |cluster: &Heartbeat| cluster.watchdog.iter().map(|it| it.display().to_string()).collect::<Vec<_>>();
    differ("watchdog", (&device(have), &device(wanted)), String::clone, lines);
    differ("program", (&have.children, &wanted.children), |child| child.command.join(" "), lines);
    let origins = Change::between(have, wanted).groups;
    for (group, origin) in wanted.groups.iter().zip(&origins) {
        let before = origin.filter(|origin| origin.same).and_then(|origin| have.groups.get(origin.place));
        match before {
            Some(before) => change_group(wanted, before, group, lines),
            None => add_group(wanted, group, lines),
        }
    }
    let goes_on = |place: usize| origins.iter().flatten().any(|origin| origin.same && origin.place == place);
    let gone = have.groups.iter().enumerate().filter(|(place, _)| !goes_on(*place));
    lines.extend(gone.map(|(_, group)| line(PlanAction::Remove, "group", false, header(have, group))));
}

fn change_group(wanted: &Heartbeat, old: &Group, new: &Group, lines: &mut Vec<PlanLine>) {
    let known = |one: &Resource| old.resources.iter().find(|old| old.agent == one.agent);
    let mut nested = Vec::new();
    for one in &new.resources {
        match known(one) {
            None => nested.push(resource(PlanAction::Add, one)),
            Some(old) if old != one => nested.push(resource(PlanAction::Change, one)),
            Some(_) => {}
        }
    }
    let gone = old.resources.iter().filter(|old| !new.resources.iter().any(|one| one.agent == old.agent));
    nested.extend(gone.map(|one| resource(PlanAction::Remove, one)));
    let mut text = header(wanted, new);
    if old.key != new.key {
        text = format!("{} -> {text}", old.key);
    } else if old.prefer != new.prefer {
        text = format!("{}: on {} -> on {}", new.key, order(wanted, old), order(wanted, new));
    } else if nested.is_empty() {
        if old != new {
            lines.push(line(PlanAction::Change, "group", false, format!("{}: another order", new.key)));
        }
        return;
    }
    lines.push(line(PlanAction::Change, "group", false, text));
    lines.append(&mut nested);
}

fn differ<T: PartialEq>(kind: &str, (old, new): (&[T], &[T]), text: impl Fn(&T) -> String, lines: &mut Vec<PlanLine>) {
    let mut tell = |action: PlanAction, one: &T| lines.push(line(action, kind, false, text(one)));
    new.iter().filter(|one| !old.contains(one)).for_each(|one| tell(PlanAction::Add, one));
    old.iter().filter(|one| !new.contains(one)).for_each(|one| tell(PlanAction::Remove, one));
}

/// `10.0.0.1/24/eth0: on ha1, else ha2`
fn header(cluster: &Heartbeat, group: &Group) -> String {
    format!("{}: on {}", group.key, order(cluster, group))
}

/// The nodes that are named, then the others.
fn order(cluster: &Heartbeat, group: &Group) -> String {
    let rest = cluster.nodes.iter().filter(|node| !group.prefer.contains(node));
    group.prefer.iter().chain(rest).map(NodeName::as_str).collect::<Vec<_>>().join(", else ")
}

fn resource(action: PlanAction, resource: &Resource) -> PlanLine {
    let (kind, text) = match &resource.agent {
        Agent::Ip(ip) => ("address", address(ip)),
        Agent::Script { .. } => ("script", resource.name.clone()),
        Agent::Ocf { provider, name, .. } => ("agent", format!("{} (ocf:{provider}:{name})", resource.name)),
        Agent::Systemd { unit } => ("unit", unit.clone()),
        Agent::Services { file } => ("services", format!("of {}", file.display())),
    };
    let looked = resource.monitor.map(|monitor| format!("   looked at every {}", time(monitor.every)));
    let looked = looked.filter(|_| !matches!(resource.agent, Agent::Services { .. })).unwrap_or_default();
    line(action, kind, true, text + &looked)
}

fn address(ip: &IpResource) -> String {
    let prefix = ip.prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
    let way = "the interface that leads there";
    let label = ip.label.as_ref().map(|label| format!(" as {label}")).unwrap_or_default();
    format!("{}{prefix} on {}{label}", ip.address, ip.interface.as_deref().unwrap_or(way))
}

fn medium(medium: &Medium) -> String {
    match medium {
        Medium::Unicast { interface, peer, port } => format!("ucast {interface} {peer} port {port}"),
        Medium::Broadcast { interface, port } => format!("bcast {interface} port {port}"),
        Medium::Multicast { interface, group, port, .. } => format!("mcast {interface} {group} port {port}"),
        Medium::Multicast6 { interface, group, port, .. } => format!("mcast6 {interface} {group} port {port}"),
        Medium::Serial { device, baud } => format!("serial {} {baud} baud", device.display()),
    }
}

fn ping(ping: &PingNode) -> String {
    let addresses: Vec<String> = ping.addresses.iter().map(ToString::to_string).collect();
    let addresses = addresses.join(" ");
    if addresses == ping.name.as_str() { addresses } else { format!("{} {addresses}", ping.name) }
}

fn fence(fence: &Fence) -> String {
    let device = match &fence.agent {
        FenceAgent::Stonith { kind, .. } => format!("stonith:{kind}"),
        FenceAgent::Agent { program, .. } => program.clone(),
    };
    let nodes: Vec<&str> = fence.nodes.iter().map(NodeName::as_str).collect();
    let nodes = if nodes.is_empty() { "the nodes it lists".to_owned() } else { nodes.join(", ") };
    format!("{device} for {nodes}")
}

/// By heartbeat's names.
fn settings(cluster: &Heartbeat) -> [(&'static str, String); 8] {
    let timing = &cluster.timing;
    let ipfail = if cluster.ipfail { "on" } else { "off" };
    [
        ("keepalive", time(timing.keepalive)),
        ("deadtime", time(timing.deadtime)),
        ("warntime", time(timing.warntime)),
        ("initdead", time(timing.initdead)),
        ("deadping", time(timing.deadping)),
        ("auto_failback", cluster.failback.word().to_owned()),
        ("ipfail", ipfail.to_owned()),
        ("msgfmt", cluster.form.word().to_owned()),
    ]
}

fn time(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

#[cfg(test)]
mod tests;
