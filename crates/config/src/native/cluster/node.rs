//! `[cluster.nodes]`: who takes part, and where each is.

use crate::{
    codes,
    host::{Resolver, shown},
    native::reader::{Keys, Table, Value, string_of},
};
use evenkeel_model::heartbeat::{MOST_NODES, NodeName};
use evenkeel_source::{Diagnostic, Spanned};
use std::net::IpAddr;

/// A node as written.
pub(super) struct Node {
    pub(super) name: Spanned<NodeName>,
    /// For each link, in their order; `None` where nothing is said. One address alone is that of the first link.
    pub(super) addresses: Vec<(Option<String>, IpAddr)>,
    prefer: u32,
}

const NODE: Keys = Keys {
    of: "a node",
    known: &["addr", "prefer"],
    later: &[],
    instead: &[("address", "write `addr`"), ("priority", "write `prefer`")],
};

pub(super) fn read(table: &Table<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let Some(inner) = table.table("nodes", out) else {
        if !table.has("nodes") {
            let d = Diagnostic::error(codes::MISSING_KEY, table.span, "the cluster has no nodes");
            out.push(d.help("write [cluster.nodes] with a line for each: node1 = { addr = \"192.0.2.1\" }"));
        }
        return nodes;
    };
    for (name, value) in inner.values() {
        let Some(called) = NodeName::new(name.value) else {
            let message = format!("`{}` cannot be the name of a node", shown(name.value));
            out.push(
                Diagnostic::error(codes::NODE, name.span, message).help("write what `uname -n` says on that host"),
            );
            continue;
        };
        if let Some(first) = nodes.iter().find(|node| node.name.value == called) {
            let d = Diagnostic::error(codes::NODE, name.span, format!("node {called} is there twice"));
            out.push(d.label(first.name.span, "first here").note("names are the same in any case"));
            continue;
        }
        let (addresses, prefer) = node(&inner, value, resolver, out);
        nodes.push(Node { name: Spanned::new(called, name.span), addresses, prefer });
    }
    if nodes.is_empty() {
        out.push(Diagnostic::error(codes::NODE, inner.span, "no node is named").help("write a line for each node"));
    }
    if nodes.len() > MOST_NODES {
        out.push(Diagnostic::error(codes::NODE, inner.span, format!("more than {MOST_NODES} nodes")));
    }
    nodes
}

/// `"192.0.2.1"`, or `{ addr = "192.0.2.1", prefer = 100 }`, or `{ addr = { eth0 = "192.0.2.1", eth1 = "10.0.0.1" } }`.
fn node(
    nodes: &Table<'_>,
    value: Value<'_>,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> (Vec<(Option<String>, IpAddr)>, u32) {
    let address = |text: Spanned<&str>, out: &mut Vec<Diagnostic>| match text.value.parse::<IpAddr>() {
        Ok(address) => Some(address),
        Err(_) => resolver.host(text.value, crate::host::Family::Any, text.span, out),
    };
    let Some(inner) = nodes.inner(value) else {
        let one = string_of(value, out).and_then(|text| address(text, out));
        return (one.map(|address| (None, address)).into_iter().collect(), 0);
    };
    inner.only(&NODE, out);
    let prefer = inner.integer("prefer", 0..=u32::MAX, out).map_or(0, |n| n.value);
    let mut addresses = Vec::new();
    if let Some(value) = inner.get("addr") {
        match inner.inner(value) {
            Some(links) => {
                for (link, value) in links.values() {
                    let one = string_of(value, out).and_then(|text| address(text, out));
                    addresses.extend(one.map(|address| (Some(link.value.to_owned()), address)));
                }
            }
            None => {
                let one = string_of(value, out).and_then(|text| address(text, out));
                addresses.extend(one.map(|address| (None, address)));
            }
        }
    }
    (addresses, prefer)
}

/// Nodes by preference; empty where nobody is preferred.
pub(super) fn order(nodes: &[Node]) -> Vec<NodeName> {
    if nodes.iter().all(|node| node.prefer == 0) {
        return Vec::new();
    }
    let mut order: Vec<&Node> = nodes.iter().collect();
    order.sort_by_key(|node| std::cmp::Reverse(node.prefer));
    order.into_iter().map(|node| node.name.value.clone()).collect()
}
