//! Routes and rules in keepalived's words, with numbers for names.

use evenkeel_model::{
    Prefix,
    vrrp::{Action, Hop, Metric, MetricValue, Placement, Route, RouteKind, Rule, TABLE_MAIN},
};
use std::{
    fmt::{Display, Write},
    net::IpAddr,
};

/// A host's address stands without its length.
fn prefix(prefix: Prefix) -> String {
    super::instance::with_prefix(prefix.address(), prefix.length())
}

/// ` word value`
fn say(text: &mut String, word: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        // A String takes whatever is written to it.
        let _ = write!(text, " {word} {value}");
    }
}

fn way(text: &mut String, hop: &Hop) {
    let family = |via: IpAddr| if via.is_ipv6() { "inet6" } else { "inet" };
    say(text, "via", hop.via.map(|via| format!("{} {via}", family(via))));
    say(text, "dev", hop.interface.as_ref());
}

/// `prepend 203.0.113.0/24 via inet 198.51.100.2 dev eth1 proto 18`
pub(super) fn route(route: &Route) -> String {
    let mut text = match route.placement {
        Placement::Prepend => "prepend",
        Placement::Append => "append",
        Placement::Only => "add",
    }
    .to_owned();
    if route.kind != RouteKind::Unicast {
        let word = RouteKind::WORDS.iter().find(|(_, kind)| *kind == route.kind).map_or("", |(word, _)| word);
        text += &format!(" {word}");
    }
    match route.to.length() {
        0 => text += " default",
        _ => text += &format!(" {}", prefix(route.to)),
    }
    say(&mut text, "from", route.from.map(prefix));
    say(&mut text, "src", route.source);
    say(&mut text, "tos", Some(route.tos).filter(|tos| *tos != 0));
    if let [hop] = route.hops.as_slice() {
        way(&mut text, hop);
    }
    say(&mut text, "table", Some(route.table).filter(|table| *table != TABLE_MAIN));
    say(&mut text, "proto", Some(route.protocol));
    say(&mut text, "scope", route.scope);
    say(&mut text, "metric", route.metric);
    if let [Hop { onlink: true, .. }] = route.hops.as_slice() {
        text += " onlink";
    }
    say(&mut text, "expires", route.expires.map(|seconds| format!("{seconds}sec")));
    say(&mut text, "congctl", route.congestion.as_ref().map(|(name, _)| name));
    for MetricValue { metric, value, locked } in &route.metrics {
        let word = Metric::WORDS.iter().find(|(_, known)| known == metric).map_or("", |(word, _)| word);
        say(&mut text, word, Some(format!("{}{value}", if *locked { "lock " } else { "" })));
    }
    if route.hops.len() > 1 {
        for hop in &route.hops {
            text += " nexthop";
            way(&mut text, hop);
            say(&mut text, "weight", hop.weight);
        }
    }
    ends(text, route.tracked)
}

/// `from 192.0.2.0/24 priority 16384 tos 0x0 protocol 18 lookup 100`
pub(super) fn rule(rule: &Rule) -> String {
    let mut text = if rule.not { "not " } else { "" }.to_owned();
    text += &format!("from {}", rule.from.map_or("all".to_owned(), prefix));
    say(&mut text, "to", rule.to.map(prefix));
    text += &format!(" priority {} tos 0x{:x}", rule.priority, rule.tos);
    if let Some((mark, mask)) = rule.mark {
        text += &format!(" fwmark 0x{mark:x}{}", mask.map_or(String::new(), |mask| format!("/0x{mask:x}")));
    }
    say(&mut text, "iif", rule.input.as_ref());
    say(&mut text, "oif", rule.output.as_ref());
    say(&mut text, "suppress_prefixlen", rule.suppress_prefix);
    say(&mut text, "suppress_ifgroup", rule.suppress_group);
    say(&mut text, "tunnel-id", Some(rule.tunnel).filter(|tunnel| *tunnel != 0));
    say(&mut text, "uidrange", rule.users.as_ref().map(|range| format!("{}-{}", range.start(), range.end())));
    if rule.action == Action::L3mdev {
        text += " l3mdev";
    }
    say(&mut text, "protocol", Some(rule.protocol));
    say(&mut text, "ipproto", rule.ip_protocol);
    say(&mut text, "sport", rule.source_ports.as_ref().map(|range| format!("{}-{}", range.start(), range.end())));
    say(&mut text, "dport", rule.destination_ports.as_ref().map(|range| format!("{}-{}", range.start(), range.end())));
    say(&mut text, "realms", rule.realms.map(|realms| format!("{}/{}", realms >> 16, realms & 0xffff)));
    match rule.action {
        Action::Lookup(table) => say(&mut text, "lookup", Some(table)),
        Action::Goto(priority) => say(&mut text, "goto", Some(priority)),
        Action::Nop => text += " nop",
        Action::L3mdev => {}
        Action::Blackhole => text += " type blackhole",
        Action::Unreachable => text += " type unreachable",
        Action::Prohibit => text += " type prohibit",
    }
    ends(text, rule.tracked)
}

fn ends(mut text: String, tracked: bool) -> String {
    if !tracked {
        text += " no_track";
    }
    text
}

/// Behind a route or rule that stays.
pub(super) fn group(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!(" track_group {name}"))
}
