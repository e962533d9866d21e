//! A heartbeat cluster as TOML that reads as the same cluster.

use super::{fence, link, resource, secret, usual_scripts};
use crate::native::{
    reader::quoted,
    units::duration_text,
    write::{inline, line, list, table_name},
};
use evenkeel_model::heartbeat::{Child, Failback, Form, Group, Heartbeat, NodeName, PingNode, Timing};
use std::path::Path;

/// Writes the cluster, its groups and its fence devices.
pub(crate) fn write(heartbeat: &Heartbeat, text: &mut String) {
    text.push_str("[cluster]\n");
    if heartbeat.cluster != Heartbeat::NAME {
        line(text, "name", &quoted(&heartbeat.cluster));
    }
    let links: Vec<String> = heartbeat.media.iter().map(link::text).collect();
    line(text, "links", &format!("[{}]", links.join(", ")));
    line(text, "heartbeat", &times(&heartbeat.timing));
    line(text, "secret", &secret::text_of(&heartbeat.keys));
    let failback = match heartbeat.failback {
        Failback::On => "true",
        Failback::Off => "false",
        Failback::Legacy => "\"legacy\"",
    };
    line(text, "failback", failback);
    if heartbeat.ipfail || !heartbeat.pings.is_empty() {
        let pings: Vec<String> = heartbeat.pings.iter().map(ping).collect();
        let key = if heartbeat.ipfail { "must_reach" } else { "ping" };
        line(text, key, &format!("[{}]", pings.join(", ")));
    }
    if heartbeat.form == Form::Netstring {
        line(text, "form", "\"netstring\"");
    }
    let path = |path: &Path| quoted(&path.to_string_lossy());
    for (key, value) in
        [("watchdog", &heartbeat.watchdog), ("notify_dir", &heartbeat.notify_dir), ("log_file", &heartbeat.log_file)]
    {
        if let Some(value) = value {
            line(text, key, &path(value));
        }
    }
    if let Some(facility) = &heartbeat.log_facility {
        line(text, "log_facility", &quoted(facility));
    }
    if !heartbeat.children.is_empty() {
        let children: Vec<String> = heartbeat.children.iter().map(child).collect();
        line(text, "children", &format!("[{}]", children.join(", ")));
    }
    if !heartbeat.environment.is_empty() {
        line(text, "environment", &resource::parameters_text(&heartbeat.environment));
    }
    if heartbeat.hop_fudge != Heartbeat::HOP_FUDGE {
        line(text, "hop_fudge", &heartbeat.hop_fudge.to_string());
    }
    if heartbeat.rexmit_delay != Heartbeat::REXMIT_DELAY {
        line(text, "rexmit_delay", &quoted(&duration_text(heartbeat.rexmit_delay)));
    }
    if heartbeat.resource_dirs != usual_scripts() {
        let places: Vec<String> =
            heartbeat.resource_dirs.iter().map(|one| one.to_string_lossy().into_owned()).collect();
        line(text, "scripts", &list(&places));
    }
    text.push_str("\n[cluster.nodes]\n");
    for node in &heartbeat.nodes {
        line(text, &table_name(node.as_str()), "{}");
    }
    text.push('\n');
    for group in &heartbeat.groups {
        write_group(group, text);
    }
    for (at, fence) in (1..).zip(&heartbeat.fences) {
        let alone = heartbeat.fences.iter().filter(|other| other.nodes == fence.nodes).count() == 1;
        fence::write(fence, at, alone, text);
    }
}

fn times(timing: &Timing) -> String {
    let Timing { keepalive, deadtime, warntime, initdead, deadping } = *timing;
    let time = |time| quoted(&duration_text(time));
    let mut keys = vec![("every", time(keepalive)), ("warn", time(warntime)), ("dead", time(deadtime))];
    keys.push(("first", time(initdead)));
    if deadping != deadtime {
        keys.push(("ping", time(deadping)));
    }
    inline(&keys)
}

fn ping(ping: &PingNode) -> String {
    let addresses: Vec<String> = ping.addresses.iter().map(ToString::to_string).collect();
    match &addresses[..] {
        [address] if address == ping.name.as_str() => quoted(address),
        _ => inline(&[("name", quoted(ping.name.as_str())), ("any", list(&addresses))]),
    }
}

fn child(child: &Child) -> String {
    let mut keys = vec![("user", quoted(&child.account.to_string())), ("run", list(&child.command))];
    if child.vital {
        keys.push(("vital", "true".to_owned()));
    }
    inline(&keys)
}

fn write_group(group: &Group, text: &mut String) {
    text.push_str(&format!("[group.{}]\n", table_name(&group.key)));
    match &group.prefer[..] {
        [node] => line(text, "prefer", &quoted(node.as_str())),
        nodes => {
            let nodes: Vec<String> = nodes.iter().map(NodeName::to_string).collect();
            line(text, "prefer", &list(&nodes));
        }
    }
    let resources: Vec<String> = group.resources.iter().map(resource::text).collect();
    line(text, "resources", &format!("[{}]", resources.join(", ")));
    text.push('\n');
}
