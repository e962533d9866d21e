//! `[vrrp.NAME]` into a VRRP instance.

use super::{
    reader::{Keys, Table, quoted, string_of},
    units::duration_text,
    write::{line, list},
};
use crate::{codes, draft::VrrpDraft, host::shown};
use evenkeel_model::vrrp::{
    AdvertInterval, Authentication, Instance, Peer, Preempt, Priority, Reach, SECRET, Version, Vip, Vrid,
};
use evenkeel_source::{Diagnostic, Spanned};
use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};
use toml::de::DeValue;

const KEYS: Keys = Keys {
    of: "a VRRP instance",
    known: &[
        "interface",
        "vrid",
        "version",
        "priority",
        "interval",
        "preempt",
        "addresses",
        "password",
        "peers",
        "source",
        "group",
    ],
    later: &["track", "notify", "vmac", "bfd", "accept"],
    instead: &[
        ("virtual_router_id", "write `vrid`"),
        ("virtual_ipaddress", "write `addresses`"),
        ("address", "write `addresses`"),
        ("advert_int", "write `interval`"),
        ("advert", "write `interval`"),
        ("auth_pass", "write `password`"),
        ("unicast_peer", "write `peers`"),
        ("state", "leave it out: the priority decides"),
        ("nopreempt", "write preempt = false"),
    ],
};

/// The most addresses one message can name.
const MOST_ADDRESSES: usize = 255;
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;

/// Reads one instance, all its mistakes reported.
pub(crate) fn read(name: Spanned<&str>, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<VrrpDraft> {
    table.only(&KEYS, out);
    let errors = out.len();
    let interface = text(table, "interface", out);
    let vrid = table.integer("vrid", 1..=255, out);
    let addresses = addresses(table, out);
    for (key, example, missing) in [
        ("interface", "interface = \"eth0\"", interface.is_none()),
        ("vrid", "vrid = 51", vrid.is_none()),
        ("addresses", "addresses = [\"192.0.2.10/24\"]", addresses.is_none()),
    ] {
        if missing && !table.has(key) {
            let d = Diagnostic::error(codes::MISSING_KEY, table.span, format!("`{}` has no {key}", shown(name.value)));
            out.push(d.help(format!("write {example}")));
        }
    }
    let password = table.string("password", out);
    let ipv6 = addresses.as_ref().is_some_and(|list| list.iter().any(|vip| vip.value.address.is_ipv6()));
    let version = version(table, password.is_some(), ipv6, out);
    let interval = interval(table, version, out);
    let priority = table.integer("priority", 1..=255, out).and_then(|n| Priority::new(u8::try_from(n.value).ok()?));
    let preempt = preempt(table, out);
    let authentication = password.map(|password| authentication(&password, version, out));
    let reach = peers(table, ipv6, out);
    let source = address(table, "source", out);
    let group = text(table, "group", out);
    let (interface, vrid, addresses) = (interface?, vrid?, addresses?);
    let vips = addresses.iter().map(|vip| vip.value.clone()).collect();
    let id = Vrid::new(u8::try_from(vrid.value).ok()?)?;
    let mut instance = Instance::new(name.value.to_owned(), interface.value.to_owned(), id, version, vips);
    instance.interval = interval?;
    instance.priority = priority.unwrap_or(instance.priority);
    instance.preempt = preempt.unwrap_or(instance.preempt);
    instance.authentication = authentication.unwrap_or(instance.authentication);
    instance.reach = reach.unwrap_or(instance.reach);
    instance.source = source;
    instance.group = group.map(|group| group.value.to_owned());
    let broken = out.len() > errors;
    Some(VrrpDraft {
        instance,
        name: name.span,
        vrid: vrid.span,
        addresses: addresses.iter().map(|vip| vip.span).collect(),
        broken,
    })
}

fn text<'a>(table: &Table<'a>, key: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<&'a str>> {
    table.string(key, out).filter(|text| super::not_empty(key, text, out))
}

/// The version that is written, else 2 where there is a password and 3 otherwise.
fn version(table: &Table<'_>, password: bool, ipv6: bool, out: &mut Vec<Diagnostic>) -> Version {
    let written = table.integer("version", VERSIONS, out);
    let version = match written.map_or(if password { 2 } else { 3 }, |number| number.value) {
        2 => Version::Two,
        _ => Version::Three,
    };
    if let (Version::Two, true) = (version, ipv6) {
        let place = written.map(|number| number.span).or_else(|| table.key_span("password")).unwrap_or(table.span);
        let d = Diagnostic::error(codes::VRRP_VERSION, place, "version 2 of VRRP has no IPv6");
        out.push(d.help("write version = 3, without a password"));
    }
    version
}

fn interval(table: &Table<'_>, version: Version, out: &mut Vec<Diagnostic>) -> Option<AdvertInterval> {
    if !table.has("interval") {
        return Some(AdvertInterval::DEFAULT);
    }
    let written = table.duration("interval", Duration::from_millis(10), out)?;
    let interval = AdvertInterval::new(version, written.value);
    if interval.is_none() {
        let what = match version {
            Version::Two => "version 2 of VRRP counts whole seconds, from 1s to 255s",
            Version::Three => "version 3 of VRRP counts hundredths of a second, from 10ms to 40s950ms",
        };
        out.push(Diagnostic::error(codes::VRRP_VERSION, written.span, what));
    }
    interval
}

fn preempt(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Preempt> {
    match table.get("preempt")?.value {
        DeValue::Boolean(true) => Some(Preempt::After(Duration::ZERO)),
        DeValue::Boolean(false) => Some(Preempt::No),
        _ => table.duration("preempt", Duration::ZERO, out).map(|delay| Preempt::After(delay.value)),
    }
}

fn authentication(password: &Spanned<&str>, version: Version, out: &mut Vec<Diagnostic>) -> Authentication {
    if version == Version::Three {
        let d = Diagnostic::error(codes::VRRP_VERSION, password.span, "version 3 of VRRP has no password");
        out.push(d.help("leave it out, or write version = 2"));
    }
    let bytes = password.value.as_bytes();
    if bytes.is_empty() || bytes.len() > SECRET {
        let message = format!("the password has {} bytes; VRRP has room for 1 to {SECRET}", bytes.len());
        out.push(Diagnostic::error(codes::VALUE, password.span, message));
    }
    let mut secret = [0; SECRET];
    for (place, byte) in secret.iter_mut().zip(bytes) {
        *place = *byte;
    }
    Authentication::Password(secret)
}

/// The addresses that move, of one family.
fn addresses(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Vec<Spanned<Vip>>> {
    let value = table.get("addresses")?;
    let items = match value.value {
        DeValue::String(_) => vec![value],
        _ => table.items(value, out)?,
    };
    let mut vips: Vec<Spanned<Vip>> = Vec::new();
    for item in items {
        let Some(text) = string_of(item, out) else { continue };
        let (address, prefix) = text.value.split_once('/').unwrap_or((text.value, ""));
        let Ok(ip) = address.parse::<IpAddr>() else {
            let message = format!("`{}` is no address", shown(text.value));
            out.push(Diagnostic::error(codes::ADDRESS, text.span, message).help("write 192.0.2.10/24"));
            continue;
        };
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = if prefix.is_empty() { Some(bits) } else { prefix.parse().ok().filter(|n| *n <= bits) };
        let Some(prefix) = prefix else {
            let message = format!("an address of this family has a prefix of 0 to {bits} bits");
            out.push(Diagnostic::error(codes::ADDRESS, text.span, message));
            continue;
        };
        if let Some(first) = vips.first().filter(|first| first.value.address.is_ipv4() != ip.is_ipv4()) {
            let d = Diagnostic::error(codes::VRRP_FAMILY, text.span, "an instance has addresses of one family");
            out.push(
                d.label(first.span, "the first one").help("make an instance for each family; they may share a vrid"),
            );
            continue;
        }
        vips.push(Spanned::new(Vip { address: ip, prefix, interface: None, label: None }, text.span));
    }
    if vips.is_empty() || vips.len() > MOST_ADDRESSES {
        let message = format!("an instance has 1 to {MOST_ADDRESSES} addresses");
        out.push(Diagnostic::error(codes::VALUE, value.span, message));
        return None;
    }
    // RFC 9568 5.2.9: the first of IPv6 is the link-local one.
    if let Some(first) = vips.first()
        && let IpAddr::V6(ip) = first.value.address
        && !ip.is_unicast_link_local()
    {
        let d = Diagnostic::warning(codes::VRRP_FAMILY, first.span, "the first IPv6 address is not link-local");
        out.push(d.note("RFC 9568 5.2.9 asks for it; other makes may refuse the instance"));
    }
    Some(vips)
}

/// Unicast where peers are named.
fn peers(table: &Table<'_>, ipv6: bool, out: &mut Vec<Diagnostic>) -> Option<Reach> {
    let list = table.strings("peers", out)?;
    let mut peers = Vec::new();
    for text in &list.value {
        match text.value.parse::<IpAddr>() {
            Ok(address) if address.is_ipv6() == ipv6 => peers.push(Peer { address, hops: 0..=255 }),
            Ok(_) => {
                let message = "a peer has an address of the family that moves";
                out.push(Diagnostic::error(codes::VRRP_FAMILY, text.span, message));
            }
            Err(_) => {
                let message = format!("`{}` is no address", shown(text.value));
                out.push(Diagnostic::error(codes::ADDRESS, text.span, message));
            }
        }
    }
    if peers.is_empty() {
        out.push(Diagnostic::error(codes::VALUE, list.span, "peers is empty").help("leave it out for multicast"));
    }
    Some(Reach::Unicast { peers, check_source: true })
}

fn address(table: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> Option<IpAddr> {
    let text = table.string(key, out)?;
    let address = text.value.parse().ok();
    if address.is_none() {
        out.push(Diagnostic::error(codes::ADDRESS, text.span, format!("`{}` is no address", shown(text.value))));
    }
    address.filter(|address: &IpAddr| *address != IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// Writes an instance so that [`read`] reads it as the same.
pub(super) fn write(instance: &Instance, text: &mut String) {
    text.push_str(&format!("[vrrp.{}]\n", quoted(&instance.name)));
    line(text, "interface", &quoted(&instance.interface));
    line(text, "vrid", &instance.vrid.to_string());
    line(text, "version", &instance.version.number().to_string());
    line(text, "priority", &instance.priority.to_string());
    line(text, "interval", &quoted(&duration_text(instance.interval.get())));
    match instance.preempt {
        Preempt::No => line(text, "preempt", "false"),
        Preempt::After(Duration::ZERO) => {}
        Preempt::After(delay) => line(text, "preempt", &quoted(&duration_text(delay))),
    }
    let addresses: Vec<String> =
        instance.addresses.iter().map(|vip| format!("{}/{}", vip.address, vip.prefix)).collect();
    line(text, "addresses", &list(&addresses));
    if let Authentication::Password(secret) = instance.authentication {
        let length = secret.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        line(text, "password", &quoted(&String::from_utf8_lossy(secret.get(..length).unwrap_or_default())));
    }
    if let Reach::Unicast { peers, .. } = &instance.reach {
        let peers: Vec<String> = peers.iter().map(|peer| peer.address.to_string()).collect();
        line(text, "peers", &list(&peers));
    }
    if let Some(source) = instance.source {
        line(text, "source", &quoted(&source.to_string()));
    }
    if let Some(group) = &instance.group {
        line(text, "group", &quoted(group));
    }
    text.push('\n');
}
