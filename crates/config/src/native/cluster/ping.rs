//! Ping nodes.

use crate::{
    codes,
    host::shown,
    native::reader::{Keys, Table, Value, string_of},
};
use evenkeel_model::heartbeat::{NodeName, PingNode};
use evenkeel_source::{Diagnostic, Spanned};
use std::net::IpAddr;
use toml::de::DeValue;

const PING: Keys =
    Keys { of: "a ping node", known: &["name", "any"], later: &[], instead: &[("addresses", "write `any`")] };

/// `must_reach` turns ipfail on; `ping` only watches.
pub(super) fn read(table: &Table<'_>, nodes: &[Spanned<NodeName>], out: &mut Vec<Diagnostic>) -> (Vec<PingNode>, bool) {
    let (must, watched) = (table.get("must_reach"), table.get("ping"));
    if let (Some(must), Some(watched)) = (&must, &watched) {
        let d = Diagnostic::error(codes::CONFLICTING_KEYS, watched.span, "must_reach and ping exclude each other");
        out.push(d.label(must.span, "must_reach").help("put all of them into must_reach, or into ping"));
    }
    let Some(value) = must.or(watched) else { return (Vec::new(), false) };
    let items = match value.value {
        DeValue::String(_) => vec![value],
        _ => table.items(value, out).unwrap_or_default(),
    };
    let mut pings: Vec<PingNode> = Vec::new();
    for item in items {
        let Some(ping) = ping(table, item, out) else { continue };
        if let Some(node) = nodes.iter().find(|node| node.value == ping.name) {
            let d = Diagnostic::error(codes::NODE, item.span, format!("{} is a node and a ping node", ping.name));
            out.push(d.label(node.span, "the node"));
        } else if pings.iter().any(|known| known.name == ping.name) {
            out.push(Diagnostic::error(codes::NODE, item.span, format!("ping node {} is there twice", ping.name)));
        } else {
            pings.push(ping);
        }
    }
    (pings, must.is_some())
}

/// `"192.0.2.254"`, or `{ name = "gateways", any = ["192.0.2.253", "192.0.2.254"] }`.
fn ping(table: &Table<'_>, item: Value<'_>, out: &mut Vec<Diagnostic>) -> Option<PingNode> {
    let address = |text: &Spanned<&str>, out: &mut Vec<Diagnostic>| {
        let address: Option<IpAddr> = text.value.parse().ok();
        if address.is_none() {
            let message = format!("`{}` is no address", shown(text.value));
            out.push(Diagnostic::error(codes::ADDRESS, text.span, message));
        }
        address
    };
    let Some(inner) = table.inner(item) else {
        let text = string_of(item, out)?;
        return Some(PingNode { addresses: vec![address(&text, out)?], name: NodeName::new(text.value)? });
    };
    inner.only(&PING, out);
    let name = inner.string("name", out);
    let any = inner.strings("any", out)?;
    let addresses: Vec<IpAddr> = any.value.iter().filter_map(|text| address(text, out)).collect();
    let Some(name) = name.filter(|_| !addresses.is_empty()) else {
        let d =
            Diagnostic::error(codes::MISSING_KEY, inner.span, "several ping nodes as one have a name and addresses");
        out.push(d.help("write { name = \"gateways\", any = [\"192.0.2.253\", \"192.0.2.254\"] }"));
        return None;
    };
    let called = NodeName::new(name.value);
    if called.is_none() {
        let message = format!("`{}` cannot be the name of a ping node", shown(name.value));
        out.push(Diagnostic::error(codes::NODE, name.span, message));
    }
    (addresses.len() == any.value.len()).then_some(PingNode { name: called?, addresses })
}
