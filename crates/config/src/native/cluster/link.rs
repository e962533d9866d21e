//! `links`: how nodes hear each other.

use super::node::Node;
use crate::{
    codes,
    heartbeat::{
        here,
        lower::report_single_path,
        media::{PORT, interface_name, is_nobody},
    },
    host::{Host, shown},
    native::reader::{Keys, Table, quoted, string_of},
};
use evenkeel_model::heartbeat::{MOST_MEDIA, Medium, NodeName};
use evenkeel_source::{Diagnostic, Spanned};
use std::{net::IpAddr, num::NonZeroU32, path::PathBuf};
use toml::de::DeValue;

const KEYS: Keys = Keys {
    of: "a link",
    known: &["bcast", "ucast", "peer", "mcast", "group", "port", "ttl", "loop", "serial", "baud"],
    later: &[],
    instead: &[
        ("hops", "write `ttl`"),
        ("mcast6", "write `mcast`: the group tells the family"),
        ("ucast6", "write `ucast`"),
    ],
};

/// What a link is read with.
pub(super) struct About<'a> {
    pub(super) nodes: &'a [Node],
    /// The node that this host is.
    pub(super) own: Option<&'a NodeName>,
    /// Of links that name none.
    pub(super) port: u16,
    pub(super) host: &'a Host<'a>,
}

/// Reads `links`.
pub(super) fn read(table: &Table<'_>, about: &About<'_>, out: &mut Vec<Diagnostic>) -> Vec<Medium> {
    let Some(value) = table.get("links") else {
        let d = Diagnostic::error(codes::MISSING_KEY, table.span, "nodes have no way to hear each other");
        out.push(d.help("write links = [\"eth0\", \"eth1\"]"));
        return Vec::new();
    };
    let items = match value.value {
        DeValue::String(_) => vec![value],
        _ => table.items(value, out).unwrap_or_default(),
    };
    let mut media: Vec<Spanned<Medium>> = Vec::new();
    let is_empty = items.is_empty();
    for (at, item) in items.into_iter().enumerate() {
        let found = match table.inner(item) {
            Some(inner) => of_table(&inner, about, out).into_iter().collect(),
            None => string_of(item, out).map(|text| by_name(text, at == 0, about, out)).unwrap_or_default(),
        };
        for medium in found {
            if media.iter().any(|known| known.value == medium) {
                out.push(Diagnostic::error(codes::MEDIUM, item.span, "this link is there twice"));
            } else {
                media.push(Spanned::new(medium, item.span));
            }
        }
    }
    if is_empty && matches!(value.value, DeValue::Array(_)) {
        out.push(Diagnostic::error(codes::MEDIUM, value.span, "nodes have no way to hear each other"));
    }
    if media.len() > MOST_MEDIA {
        out.push(Diagnostic::error(codes::MEDIUM, value.span, format!("more than {MOST_MEDIA} heartbeat paths")));
    }
    if here::leave_out_own(&mut media, about.host, out) {
        report_single_path(&media, out);
    }
    media.into_iter().map(|medium| medium.value).collect()
}

/// An interface: to the other nodes one by one where they have addresses on it, to its broadcast address otherwise.
fn by_name(text: Spanned<&str>, first: bool, about: &About<'_>, out: &mut Vec<Diagnostic>) -> Vec<Medium> {
    let About { nodes, own, port, host } = *about;
    let Some(interface) = interface(text, host, out) else { return Vec::new() };
    let address = |node: &Node| {
        let on_it = |(link, _): &&(Option<String>, IpAddr)| match link {
            Some(link) => *link == interface,
            None => first,
        };
        node.addresses.iter().find(on_it).map(|(_, address)| *address)
    };
    let others: Vec<&Node> = nodes.iter().filter(|node| Some(&node.name.value) != own).collect();
    let peers: Vec<IpAddr> = others.iter().filter_map(|node| address(node)).collect();
    if peers.is_empty() {
        return vec![Medium::Broadcast { interface, port }];
    }
    for node in others.iter().filter(|node| address(node).is_none()) {
        let message = format!("node {} has no address on {interface}, and others have", node.name.value);
        out.push(
            Diagnostic::error(codes::MEDIUM, node.name.span, message).help("write addr for all nodes, or for none"),
        );
    }
    peers.into_iter().map(|peer| Medium::Unicast { interface: interface.clone(), peer, port }).collect()
}

fn interface(text: Spanned<&str>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<String> {
    let name = interface_name(text.value);
    out.extend(name.as_ref().and_then(|name| here::interface(name, text.span, host)));
    if name.is_none() {
        let message = format!("`{}` cannot be the name of an interface", shown(text.value));
        out.push(Diagnostic::error(codes::MEDIUM, text.span, message));
    }
    name
}

/// `{ ucast = "eth1", peer = "10.0.0.2" }` and its like.
fn of_table(inner: &Table<'_>, about: &About<'_>, out: &mut Vec<Diagnostic>) -> Option<Medium> {
    inner.only(&KEYS, out);
    let kinds: Vec<&str> = ["bcast", "ucast", "mcast", "serial"].into_iter().filter(|kind| inner.has(kind)).collect();
    let [kind] = kinds[..] else {
        let d = Diagnostic::error(codes::MEDIUM, inner.span, "a link is one of bcast, ucast, mcast and serial");
        out.push(d.help("write { ucast = \"eth1\", peer = \"10.0.0.2\" }"));
        return None;
    };
    let own_port = inner.integer("port", 1..=65_535, out).and_then(|n| u16::try_from(n.value).ok());
    let port = own_port.unwrap_or(about.port);
    let text = inner.string(kind, out)?;
    if kind == "serial" {
        return serial(inner, text, about.host, out);
    }
    let interface = interface(text, about.host, out)?;
    match kind {
        "ucast" => {
            let peer = address(inner, "peer", out)?.value;
            Some(Medium::Unicast { interface, peer, port })
        }
        "mcast" => mcast(inner, interface, port, out),
        _ => Some(Medium::Broadcast { interface, port }),
    }
}

fn serial(inner: &Table<'_>, text: Spanned<&str>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<Medium> {
    let baud = inner.integer("baud", 9600..=460_800, out).map_or(19_200, |n| n.value);
    if !text.value.starts_with('/') {
        let message = format!("`{}` is no absolute path", shown(text.value));
        out.push(Diagnostic::error(codes::MEDIUM, text.span, message).help("write serial = \"/dev/ttyS0\""));
        return None;
    }
    out.extend(here::device(text.value, Some("tty"), text.span, host));
    Some(Medium::Serial { device: PathBuf::from(text.value), baud: NonZeroU32::new(baud)? })
}

fn mcast(inner: &Table<'_>, interface: String, port: u16, out: &mut Vec<Diagnostic>) -> Option<Medium> {
    let group = address(inner, "group", out)?;
    let most = if group.value.is_ipv4() { 255 } else { 4 };
    let hops = inner.integer("ttl", 0..=most, out).and_then(|n| u8::try_from(n.value).ok()).unwrap_or(1);
    let own = inner.boolean("loop", out).is_some_and(|yes| yes.value);
    match group.value {
        IpAddr::V4(group) if group.is_multicast() => Some(Medium::Multicast { interface, group, port, ttl: hops, own }),
        IpAddr::V6(group) if group.is_multicast() => Some(Medium::Multicast6 { interface, group, port, hops, own }),
        _ => {
            let d = Diagnostic::error(codes::MEDIUM, group.span, "this is no multicast group");
            out.push(d.help("write an address such as 225.0.0.1 or ff02::694"));
            None
        }
    }
}

fn address(inner: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<IpAddr>> {
    let Some(text) = inner.string(key, out) else {
        if !inner.has(key) {
            let d = Diagnostic::error(codes::MISSING_KEY, inner.span, format!("the link has no {key}"));
            out.push(d.help(format!("write {key} = \"…\"")));
        }
        return None;
    };
    match text.value.parse() {
        Ok(address) if key == "group" || !is_nobody(address) => Some(Spanned::new(address, text.span)),
        _ => {
            let message = format!("`{}` is no address of a host", shown(text.value));
            out.push(Diagnostic::error(codes::ADDRESS, text.span, message));
            None
        }
    }
}

/// As [`read`] reads it.
pub(super) fn text(medium: &Medium) -> String {
    let of = |kind: &str, interface: &str, rest: String, port: u16| {
        let port = if port == PORT { String::new() } else { format!(", port = {port}") };
        format!("{{ {kind} = {}{rest}{port} }}", quoted(interface))
    };
    match medium {
        Medium::Broadcast { interface, port: PORT } => quoted(interface),
        Medium::Broadcast { interface, port } => of("bcast", interface, String::new(), *port),
        Medium::Unicast { interface, peer, port } => of("ucast", interface, format!(", peer = \"{peer}\""), *port),
        Medium::Multicast { interface, group, port, ttl, own } => {
            of("mcast", interface, format!(", group = \"{group}\", ttl = {ttl}, loop = {own}"), *port)
        }
        Medium::Multicast6 { interface, group, port, hops, own } => {
            of("mcast", interface, format!(", group = \"{group}\", ttl = {hops}, loop = {own}"), *port)
        }
        Medium::Serial { device, baud } => {
            format!("{{ serial = {}, baud = {baud} }}", quoted(&device.to_string_lossy()))
        }
    }
}
