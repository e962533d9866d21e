//! `[group.NAME]` and `[vip.NAME]`: what moves between nodes.

use super::resource;
use crate::{
    codes,
    draft::{GroupDraft, HeartbeatDraft},
    heartbeat::agent::{self, Places},
    host::{Host, shown},
    native::reader::{Keys, Table, string_of},
};
use evenkeel_model::heartbeat::{Agent, Group, NodeName};
use evenkeel_source::{Diagnostic, Spanned};
use std::path::{Path, PathBuf};
use toml::de::DeValue;

const GROUP: Keys = Keys {
    of: "a resource group",
    known: &["prefer", "resources"],
    later: &[],
    instead: &[("nodes", "write `prefer`"), ("resource", "write `resources`"), ("node", "write `prefer`")],
};

const VIP: Keys = Keys {
    of: "a virtual address",
    known: &["address", "dev", "prefer"],
    later: &[],
    instead: &[("addr", "write `address`"), ("addresses", "write `address`"), ("interface", "write `dev`")],
};

/// Reads the groups of a file; a second of one name is for the whole to tell.
pub(super) fn read(
    root: &Table<'_>,
    scripts: &[PathBuf],
    host: &Host<'_>,
    draft: &mut HeartbeatDraft,
    out: &mut Vec<Diagnostic>,
) {
    let places = Places { host, scripts, directory: Path::new("/etc/ha.d") };
    if let Some(groups) = root.table("group", out) {
        for (name, table) in groups.tables(out) {
            if out.len() > crate::load::MOST_DIAGNOSTICS {
                break;
            }
            draft.groups.push(group(name, &table, &places, out));
        }
    }
    if let Some(vips) = root.table("vip", out) {
        for (name, table) in vips.tables(out) {
            if out.len() > crate::load::MOST_DIAGNOSTICS {
                break;
            }
            draft.groups.push(vip(name, &table, out));
        }
    }
}

fn group(name: Spanned<&str>, table: &Table<'_>, places: &Places<'_>, out: &mut Vec<Diagnostic>) -> GroupDraft {
    table.only(&GROUP, out);
    let prefer = prefer(table, out);
    let mut resources = Vec::new();
    let mut addresses = Vec::new();
    let mut broken = false;
    match table.get("resources") {
        Some(value) => {
            let items = match value.value {
                DeValue::String(_) => vec![value],
                _ => table.items(value, out).unwrap_or_default(),
            };
            let is_array = matches!(value.value, DeValue::Array(_));
            if items.is_empty() && is_array {
                out.push(nothing(name).help("write resources = [\"ip:192.0.2.100/24@eth0\"]"));
            }
            for item in items {
                let Some(resource) = resource::read(table, item, places, out) else {
                    broken = true;
                    continue;
                };
                if let Agent::Ip(ip) = &resource.agent {
                    addresses.push(Spanned::new(ip.address, item.span));
                }
                resources.push(resource);
            }
        }
        None => out.push(nothing(name).help("write resources = [\"ip:192.0.2.100/24@eth0\", \"service:nginx\"]")),
    }
    broken |= resources.is_empty();
    let group = Group { key: name.value.to_owned(), prefer: values(&prefer), resources };
    GroupDraft { group, key: name.span, prefer, addresses, broken }
}

fn nothing(name: Spanned<&str>) -> Diagnostic {
    Diagnostic::error(codes::RESOURCE, name.span, format!("group `{}` has no resources", shown(name.value)))
}

fn values(nodes: &[Spanned<NodeName>]) -> Vec<NodeName> {
    nodes.iter().map(|node| node.value.clone()).collect()
}

/// The nodes as written, best first.
fn prefer(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Vec<Spanned<NodeName>> {
    let mut nodes: Vec<Spanned<NodeName>> = Vec::new();
    for text in table.strings("prefer", out).map(|list| list.value).unwrap_or_default() {
        match NodeName::new(text.value) {
            Some(node) if nodes.iter().any(|known| known.value == node) => {
                out.push(Diagnostic::error(codes::NODE, text.span, format!("node {node} is there twice")));
            }
            Some(node) => nodes.push(Spanned::new(node, text.span)),
            None => {
                let message = format!("`{}` cannot be the name of a node", shown(text.value));
                out.push(Diagnostic::error(codes::NODE, text.span, message));
            }
        }
    }
    nodes
}

/// A group of addresses alone.
fn vip(name: Spanned<&str>, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> GroupDraft {
    table.only(&VIP, out);
    let prefer = prefer(table, out);
    let dev = table.string("dev", out).filter(|dev| dev.value != "auto");
    let mut resources = Vec::new();
    let mut addresses = Vec::new();
    let items = match table.get("address") {
        Some(value) if matches!(value.value, DeValue::String(_)) => vec![value],
        Some(value) => table.items(value, out).unwrap_or_default(),
        None => {
            let message = format!("`{}` has no address", shown(name.value));
            let d = Diagnostic::error(codes::MISSING_KEY, name.span, message);
            out.push(d.help("write address = \"192.0.2.100/24\""));
            Vec::new()
        }
    };
    let mut broken = items.is_empty();
    for item in items {
        let ip = string_of(item, out).and_then(|text| resource::address(text, dev, None, None, out));
        let Some(ip) = ip else {
            broken = true;
            continue;
        };
        addresses.push(Spanned::new(ip.address, item.span));
        let agent = Agent::Ip(ip);
        resources.push(agent::resource(resource::usual_name(&agent), agent));
    }
    let group = Group { key: name.value.to_owned(), prefer: values(&prefer), resources };
    GroupDraft { group, key: name.span, prefer, addresses, broken }
}
