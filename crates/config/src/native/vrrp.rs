//! `[vrrp.NAME]` into a VRRP instance.

use super::{
    hmac, notify,
    reader::{Keys, Table, integer_of, quoted, string_of},
    routing::{self, ADDRESS_KEYS},
    track,
    units::duration_text,
    vmac,
    write::line,
};
use crate::{
    codes,
    draft::VrrpDraft,
    host::{Host, shown},
};
use evenkeel_model::notify::RoleNotify;
use evenkeel_model::vrrp::{
    AdvertInterval, Authentication, Instance, MOST_ADDRESSES, Peer, Preempt, Priority, Reach, Rounds, SECRET, Version,
    Vip, VipOptions, Vrid, secret,
};
use evenkeel_source::{Diagnostic, Severity, Spanned};
use std::{net::IpAddr, ops::RangeInclusive, time::Duration};
use toml::de::DeValue;

const KEYS: Keys = Keys {
    of: "a VRRP instance",
    known: &[
        "interface",
        "vrid",
        "version",
        "priority",
        "interval",
        "misses",
        "preempt",
        "addresses",
        "excluded",
        "routes",
        "rules",
        "password",
        "authentication",
        "hmac",
        "peers",
        "listen_to",
        "source",
        "announce",
        "answer_lower",
        "group",
        "track",
        "needs_interface",
        "notify",
        "vmac",
        "multicast",
        "ttl",
        "promote_secondaries",
        "accept",
    ],
    later: &[],
    instead: &[
        ("no_accept", "write accept = false"),
        ("virtual_router_id", "write `vrid`"),
        ("virtual_ipaddress", "write `addresses`"),
        ("address", "write `addresses`"),
        ("advert_int", "write `interval`"),
        ("advert", "write `interval`"),
        ("auth_pass", "write `password`"),
        ("auth_hmac", "write `hmac`"),
        ("unicast_peer", "write `peers`"),
        ("state", "leave it out: the priority decides"),
        ("nopreempt", "write preempt = false"),
        ("bfd", "leave it out: a session [bfd.NAME] whose neighbour is the master is heeded"),
    ],
};

const ADDRESS: Keys = Keys {
    of: "an address",
    known: ADDRESS_KEYS,
    later: &[],
    instead: &[("address", "write `addr`"), ("interface", "write `dev`")],
};

const PEER: Keys = Keys { of: "a peer", known: &["addr", "hops"], later: &[], instead: &[("address", "write `addr`")] };

const ANNOUNCE: Keys = Keys {
    of: "announce",
    known: &["repeat", "again", "refresh", "refresh_repeat", "contested_repeat", "contested_again"],
    later: &[],
    instead: &[("delay", "write `again`")],
};

/// What `authentication` can be.
const AUTHENTICATIONS: [(&str, bool); 2] = [("password", false), ("header", true)];
/// Who is listened to where `peers` are named.
const LISTENERS: [(&str, bool); 2] = [("peers", true), ("all", false)];

const VERSIONS: RangeInclusive<u32> = 2..=3;

/// Reads one instance, all its mistakes reported.
pub(crate) fn read(
    name: Spanned<&str>,
    table: &Table<'_>,
    known: &track::Known,
    host: &Host<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<VrrpDraft> {
    table.only(&KEYS, out);
    let errors = out.len();
    let interface = text(table, "interface", out);
    let vrid = table.integer("vrid", 1..=255, out);
    let addresses = addresses(table, "addresses", host, out);
    let excluded = if table.has("excluded") { self::addresses(table, "excluded", host, out) } else { None };
    if let Some(list) = &addresses {
        one_family(list, out);
    }
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
    let source = address(table, "source", out);
    let ipv6 = match addresses.as_deref() {
        Some([]) | None => {
            let first = excluded.iter().flatten().next().map(|vip| vip.value.address);
            first.or(source).is_some_and(|address| address.is_ipv6())
        }
        Some(list) => list.iter().any(|vip| vip.value.address.is_ipv6()),
    };
    let version = version(table, password.is_some(), ipv6, out);
    let interval = interval(table, version, out);
    let priority = table.integer("priority", 1..=255, out).and_then(|n| Priority::new(u8::try_from(n.value).ok()?));
    let preempt = preempt(table, out);
    let header = table.word("authentication", &AUTHENTICATIONS, out);
    let authentication = password.map(|password| authentication(&password, header, version, out));
    let hmac = hmac::read(table, interval.unwrap_or(AdvertInterval::DEFAULT), host, out);
    let reach = peers(table, ipv6, out);
    let rounds = announce(table, out);
    let misses = table.integer("misses", 1..=100, out).and_then(|n| u8::try_from(n.value).ok());
    let answer_lower = table.boolean("answer_lower", out);
    let accept = table.boolean("accept", out);
    let group = text(table, "group", out);
    let tracks = track::tracks(table, known, out);
    let needs_interface = table.boolean("needs_interface", out);
    let told = notify::role(table, "notify", out);
    let routes = routing::routes(table, host, out);
    let rules = routing::rules(table, host, out);
    let (interface, vrid, addresses) = (interface?, vrid?, addresses?);
    let vips = addresses.iter().map(|vip| vip.value.clone()).collect();
    let id = Vrid::new(u8::try_from(vrid.value).ok()?)?;
    let mut instance = Instance::new(name.value.to_owned(), interface.value.to_owned(), id, version, vips);
    instance.interval = interval?;
    instance.priority = priority.unwrap_or(instance.priority);
    instance.preempt = preempt.unwrap_or(instance.preempt);
    instance.authentication = authentication.unwrap_or(instance.authentication);
    instance.hmac = hmac;
    instance.reach = reach.unwrap_or(instance.reach);
    instance.source = source;
    instance.routes = routes;
    instance.rules = rules;
    instance.excluded = excluded.iter().flatten().map(|vip| vip.value.clone()).collect();
    instance.rounds = rounds;
    instance.down_adverts = misses.unwrap_or(instance.down_adverts);
    instance.accept = accept.is_none_or(|yes| yes.value);
    instance.answer_lower = answer_lower.is_none_or(|yes| yes.value);
    instance.group = group.map(|group| group.value.to_owned());
    instance.tracks = tracks;
    instance.needs_interface = needs_interface.is_none_or(|yes| yes.value);
    instance.multicast = multicast(table, ipv6, out);
    let ttl = table.integer("ttl", 1..=255, out).and_then(|n| u8::try_from(n.value).ok());
    instance.hops = ttl.unwrap_or(instance.hops);
    instance.promote_secondaries = table.boolean("promote_secondaries", out).is_some_and(|yes| yes.value);
    vmac::read(table, &mut instance, out);
    let broken = out.get(errors..).unwrap_or_default().iter().any(|d| d.severity == Severity::Error);
    Some(VrrpDraft {
        instance,
        name: name.span,
        vrid: vrid.span,
        addresses: addresses.iter().map(|vip| vip.span).collect(),
        told,
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

fn authentication(
    password: &Spanned<&str>,
    header: Option<Spanned<bool>>,
    version: Version,
    out: &mut Vec<Diagnostic>,
) -> Authentication {
    if version == Version::Three {
        let d = Diagnostic::error(codes::VRRP_VERSION, password.span, "version 3 of VRRP has no password");
        out.push(d.help("leave it out, or write version = 2"));
    }
    let bytes = password.value.as_bytes();
    if bytes.is_empty() || bytes.len() > SECRET {
        let message = format!("the password has {} bytes; VRRP has room for 1 to {SECRET}", bytes.len());
        out.push(Diagnostic::error(codes::VALUE, password.span, message));
    }
    let secret = secret(password.value);
    if header.is_some_and(|header| header.value) {
        Authentication::Header(secret)
    } else {
        Authentication::Password(secret)
    }
}

/// Addresses: a text, or a table with where it is put.
pub(super) fn addresses(
    table: &Table<'_>,
    key: &str,
    host: &Host<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<Spanned<Vip>>> {
    let value = table.get(key)?;
    let items = match value.value {
        DeValue::String(_) => vec![value],
        _ => table.items(value, out)?,
    };
    let mut vips = Vec::new();
    for item in items {
        let Some(inner) = table.inner(item) else {
            let text = string_of(item, out);
            vips.extend(text.and_then(|text| vip(text, out)));
            continue;
        };
        inner.only(&ADDRESS, out);
        let found = inner.string("addr", out).and_then(|text| vip(text, out));
        let (dev, label) = (text(&inner, "dev", out), text(&inner, "label", out));
        if let Some(mut found) = found {
            found.value.interface = dev.map(|dev| dev.value.to_owned());
            found.value.label = label.map(|label| label.value.to_owned());
            found.value.options = routing::options(&inner, &found.value, host, out);
            vips.push(found);
        } else if !inner.has("addr") {
            let d = Diagnostic::error(codes::MISSING_KEY, item.span, "an address without addr");
            out.push(d.help("write { addr = \"192.0.2.10/24\" }"));
        }
    }
    if vips.len() > MOST_ADDRESSES {
        let message = format!("{key} are {MOST_ADDRESSES} at most");
        out.push(Diagnostic::error(codes::VALUE, value.span, message));
        return None;
    }
    Some(vips)
}

/// `192.0.2.10/24`; without a prefix length, the address alone.
fn vip(text: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Spanned<Vip>> {
    let (address, prefix) = text.value.split_once('/').map_or((text.value, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else {
        let message = format!("`{}` is no address", shown(text.value));
        out.push(Diagnostic::error(codes::ADDRESS, text.span, message).help("write 192.0.2.10/24"));
        return None;
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(bits), |prefix| prefix.parse().ok().filter(|n| *n <= bits));
    if prefix.is_none() {
        let message = format!("an address of this family has a prefix of 0 to {bits} bits");
        out.push(Diagnostic::error(codes::ADDRESS, text.span, message));
    }
    prefix.map(|prefix| Spanned::new(Vip::new(address, prefix), text.span))
}

/// What is advertised is of one family, and the first of IPv6 is link-local (RFC 9568 5.2.9).
fn one_family(vips: &[Spanned<Vip>], out: &mut Vec<Diagnostic>) {
    let Some(first) = vips.first() else { return };
    for vip in vips.iter().filter(|vip| vip.value.address.is_ipv4() != first.value.address.is_ipv4()) {
        let d = Diagnostic::error(codes::VRRP_FAMILY, vip.span, "an instance has addresses of one family");
        out.push(d.label(first.span, "the first one").help("make an instance for each family; they may share a vrid"));
    }
    if let IpAddr::V6(ip) = first.value.address
        && !ip.is_unicast_link_local()
    {
        let d = Diagnostic::warning(codes::VRRP_FAMILY, first.span, "the first IPv6 address is not link-local");
        out.push(d.note("RFC 9568 5.2.9 asks for it; other makes may refuse the instance"));
    }
}

/// When the addresses are announced.
fn announce(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Rounds {
    let usual = Rounds::default();
    let Some(inner) = table.table("announce", out) else { return usual };
    inner.only(&ANNOUNCE, out);
    let mut count = |key, least| inner.integer(key, least..=255, out).and_then(|n| u8::try_from(n.value).ok());
    let (burst, refresh_burst) = (count("repeat", 0), count("refresh_repeat", 0));
    let contested_burst = count("contested_repeat", 0);
    let mut time = |key| inner.duration(key, Duration::ZERO, out).map(|time| time.value);
    Rounds {
        burst: burst.unwrap_or(usual.burst),
        again_after: time("again").unwrap_or(usual.again_after),
        refresh: time("refresh").unwrap_or(usual.refresh),
        refresh_burst: refresh_burst.unwrap_or(usual.refresh_burst),
        contested_burst: contested_burst.unwrap_or(usual.contested_burst),
        contested_again_after: time("contested_again").unwrap_or(usual.contested_again_after),
    }
}

/// Unicast where peers are named.
fn peers(table: &Table<'_>, ipv6: bool, out: &mut Vec<Diagnostic>) -> Option<Reach> {
    let value = table.get("peers")?;
    let items = match value.value {
        DeValue::String(_) => vec![value],
        _ => table.items(value, out)?,
    };
    let mut peers = Vec::new();
    let items_are_none = items.is_empty();
    for item in items {
        let inner = table.inner(item);
        let text = match &inner {
            Some(inner) => {
                inner.only(&PEER, out);
                inner.string("addr", out)
            }
            None => string_of(item, out),
        };
        let Some(text) = text else { continue };
        let hops = inner.and_then(|inner| hops(&inner, out)).unwrap_or(0..=u8::MAX);
        match text.value.parse::<IpAddr>() {
            Ok(address) if address.is_ipv6() == ipv6 => peers.push(Peer { address, hops }),
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
    if items_are_none {
        let d = Diagnostic::warning(codes::VRRP_STATE, value.span, "peers is empty: the instance is at fault");
        out.push(d.help("leave it out for multicast"));
    }
    let check_source = table.word("listen_to", &LISTENERS, out).is_none_or(|word| word.value);
    Some(Reach::Unicast { peers, check_source })
}

/// Least and most hop limit a peer's packets may arrive with.
fn hops(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<RangeInclusive<u8>> {
    let value = table.get("hops")?;
    let items = table.items(value, out)?;
    let numbers: Vec<u8> = items.iter().filter_map(|item| u8::try_from(integer_of(*item, out)?).ok()).collect();
    match numbers[..] {
        [least, most] if least <= most => Some(least..=most),
        _ => {
            let d = Diagnostic::error(codes::VALUE, value.span, "hops are the least and the most hop limit");
            out.push(d.help("write hops = [254, 255]"));
            None
        }
    }
}

fn address(table: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> Option<IpAddr> {
    let text = table.string(key, out)?;
    let address: Option<IpAddr> = text.value.parse().ok();
    if address.is_none() {
        out.push(Diagnostic::error(codes::ADDRESS, text.span, format!("`{}` is no address", shown(text.value))));
    }
    address
}

/// The group that advertisements go to.
fn multicast(table: &Table<'_>, ipv6: bool, out: &mut Vec<Diagnostic>) -> Option<IpAddr> {
    let group = address(table, "multicast", out)?;
    let fits = group.is_multicast() && group.is_ipv6() == ipv6;
    if !fits {
        let place = table.key_span("multicast").unwrap_or(table.span);
        let d = Diagnostic::error(codes::ADDRESS, place, format!("{group} is no group of the family that moves"));
        out.push(d.help("write \"224.0.0.18\" or \"ff02::12\", or another group that all routers of it have"));
    }
    fits.then_some(group)
}

/// Writes an instance so that [`read`] reads it as the same.
pub(super) fn write(instance: &Instance, told: Option<&RoleNotify>, text: &mut String) {
    text.push_str(&format!("[vrrp.{}]\n", quoted(&instance.name)));
    line(text, "interface", &quoted(&instance.interface));
    line(text, "vrid", &instance.vrid.to_string());
    line(text, "version", &instance.version.number().to_string());
    line(text, "priority", &instance.priority.to_string());
    line(text, "interval", &quoted(&duration_text(instance.interval.get())));
    if instance.down_adverts != 3 {
        line(text, "misses", &instance.down_adverts.to_string());
    }
    match instance.preempt {
        Preempt::No => line(text, "preempt", "false"),
        Preempt::After(Duration::ZERO) => {}
        Preempt::After(delay) => line(text, "preempt", &quoted(&duration_text(delay))),
    }
    line(text, "addresses", &vip_list(&instance.addresses));
    if !instance.excluded.is_empty() {
        line(text, "excluded", &vip_list(&instance.excluded));
    }
    routing::write(&instance.routes, &instance.rules, text);
    if let Authentication::Password(secret) | Authentication::Header(secret) = instance.authentication {
        let length = secret.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        line(text, "password", &quoted(&String::from_utf8_lossy(secret.get(..length).unwrap_or_default())));
    }
    if let Authentication::Header(_) = instance.authentication {
        line(text, "authentication", "\"header\"");
    }
    if let Some(hmac) = &instance.hmac {
        hmac::write(hmac, text);
    }
    if let Reach::Unicast { peers, check_source } = &instance.reach {
        let peer = |peer: &Peer| match (peer.hops.start(), peer.hops.end()) {
            (0, 255) => quoted(&peer.address.to_string()),
            (least, most) => format!("{{ addr = \"{}\", hops = [{least}, {most}] }}", peer.address),
        };
        let peers: Vec<String> = peers.iter().map(peer).collect();
        line(text, "peers", &format!("[{}]", peers.join(", ")));
        if !check_source {
            line(text, "listen_to", "\"all\"");
        }
    }
    if let Some(source) = instance.source {
        line(text, "source", &quoted(&source.to_string()));
    }
    if let Some(group) = instance.multicast {
        line(text, "multicast", &quoted(&group.to_string()));
    }
    if instance.hops != u8::MAX {
        line(text, "ttl", &instance.hops.to_string());
    }
    if instance.promote_secondaries {
        line(text, "promote_secondaries", "true");
    }
    vmac::write(instance, text);
    if !instance.accept {
        line(text, "accept", "false");
    }
    if !instance.answer_lower {
        line(text, "answer_lower", "false");
    }
    if let Some(group) = &instance.group {
        line(text, "group", &quoted(group));
    }
    let Rounds { burst, again_after, refresh, refresh_burst, contested_burst, contested_again_after } = instance.rounds;
    if instance.rounds != Rounds::default() {
        let time = |time| quoted(&duration_text(time));
        let announce = format!(
            "{{ repeat = {burst}, again = {}, refresh = {}, refresh_repeat = {refresh_burst}, contested_repeat = \
             {contested_burst}, contested_again = {} }}",
            time(again_after),
            time(refresh),
            time(contested_again_after)
        );
        line(text, "announce", &announce);
    }
    if !instance.needs_interface {
        line(text, "needs_interface", "false");
    }
    if !instance.tracks.is_empty() {
        line(text, "track", &track::track_list(&instance.tracks));
    }
    if let Some(told) = told.and_then(notify::role_text) {
        line(text, "notify", &told);
    }
    text.push('\n');
}

pub(super) fn vip_list(vips: &[Vip]) -> String {
    let one = |vip: &Vip| {
        let address = quoted(&vip.to_string());
        let named = |key: &str, value: &Option<String>| {
            value.as_ref().map_or(String::new(), |value| format!(", {key} = {}", quoted(value)))
        };
        match (&vip.interface, &vip.label) {
            (None, None) if vip.options == VipOptions::default() => address,
            (dev, label) => {
                let options = routing::option_keys(&vip.options);
                format!("{{ addr = {address}{}{}{options} }}", named("dev", dev), named("label", label))
            }
        }
    };
    format!("[{}]", vips.iter().map(one).collect::<Vec<_>>().join(", "))
}
