//! Routes and rules, which are texts in the words of `ip route` and `ip rule`; what stays on the node; and the options
//! that few addresses need.

use super::{
    reader::{Keys, Table, quoted, string_of},
    units::duration_text,
    vrrp::addresses,
    write::line,
};
use crate::{
    codes,
    host::{Host, shown},
    routing::{Dialect, Kind, Names, native_words, route, rule},
};
use evenkeel_model::vrrp::{Fixed, Route, Rule, Vip, VipOptions};
use evenkeel_source::{Diagnostic, Spanned};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use toml::de::DeValue;

/// Routes, or rules, of one list.
const MOST: usize = 10_000;

const STATIC: Keys = Keys {
    of: "[static]",
    known: &["addresses", "routes", "rules"],
    later: &[],
    instead: &[("address", "write `addresses`"), ("route", "write `routes`"), ("rule", "write `rules`")],
};

/// The keys of an address besides `addr`, `dev` and `label`.
pub(super) const ADDRESS_KEYS: &[&str] = &[
    "addr",
    "dev",
    "label",
    "scope",
    "broadcast",
    "peer",
    "preferred",
    "detect_duplicates",
    "home",
    "temporary",
    "prefix_route",
    "join",
    "track",
];

/// The routes of an instance, or of the node.
pub(super) fn routes(table: &Table<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Vec<Route> {
    let names = Names::new(host);
    texts(table, "routes", out)
        .into_iter()
        .filter_map(|text| route(&native_words(text), None, Dialect::Native, &names, out))
        .collect()
}

/// The rules of an instance, or of the node.
pub(super) fn rules(table: &Table<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Vec<Rule> {
    let names = Names::new(host);
    texts(table, "rules", out)
        .into_iter()
        .filter_map(|text| rule(&native_words(text), None, Dialect::Native, &names, out).map(|(rule, _)| rule))
        .collect()
}

fn texts<'a>(table: &Table<'a>, key: &str, out: &mut Vec<Diagnostic>) -> Vec<Spanned<&'a str>> {
    let Some(list) = table.strings(key, out) else { return Vec::new() };
    if list.value.len() > MOST {
        let message = format!("{} {key}; {MOST} is the most", list.value.len());
        out.push(Diagnostic::error(codes::VALUE, list.span, message));
        return Vec::new();
    }
    for text in list.value.iter().filter(|text| text.value.trim().is_empty()) {
        out.push(Diagnostic::error(codes::VALUE, text.span, format!("one of the {key} is empty")));
    }
    list.value
}

/// `[static]`
pub(super) fn fixed(table: &Table<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Fixed {
    table.only(&STATIC, out);
    let addresses = if table.has("addresses") { addresses(table, "addresses", host, out) } else { None };
    for vip in addresses.iter().flatten().filter(|vip| vip.value.interface.is_none()) {
        let d = Diagnostic::error(codes::MISSING_KEY, vip.span, "an address that stays has no dev");
        out.push(d.help(format!("write {{ addr = \"{}\", dev = \"eth0\" }}", vip.value)));
    }
    Fixed {
        addresses: addresses.into_iter().flatten().map(|vip| vip.value).collect(),
        routes: routes(table, host, out),
        rules: rules(table, host, out),
    }
}

/// What few addresses need.
pub(super) fn options(table: &Table<'_>, vip: &Vip, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> VipOptions {
    let yes = |key: &str, out: &mut Vec<Diagnostic>| table.boolean(key, out).map(|yes| yes.value);
    let only = |key: &str, ipv6: bool, out: &mut Vec<Diagnostic>| {
        if let Some(span) = table.key_span(key).filter(|_| vip.address.is_ipv6() != ipv6) {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            out.push(Diagnostic::error(codes::VALUE, span, format!("{key} is of {family} addresses only")));
        }
    };
    for key in ["scope", "broadcast", "label"] {
        only(key, false, out);
    }
    for key in ["preferred", "detect_duplicates", "home", "temporary"] {
        only(key, true, out);
    }
    VipOptions {
        scope: scope(table, host, out),
        broadcast: address(table, "broadcast", false, out).and_then(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None::<Ipv4Addr>,
        }),
        peer: address(table, "peer", vip.address.is_ipv6(), out),
        preferred: preferred(table, out),
        detect_duplicates: yes("detect_duplicates", out).unwrap_or(false),
        home: yes("home", out).unwrap_or(false),
        temporary: yes("temporary", out).unwrap_or(false),
        no_prefix_route: yes("prefix_route", out) == Some(false),
        join: yes("join", out).unwrap_or(false),
        untracked: yes("track", out) == Some(false),
    }
}

fn scope(table: &Table<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<u8> {
    let value = table.get("scope")?;
    if let DeValue::Integer(_) = value.value {
        return table.integer("scope", 0..=255, out).and_then(|number| u8::try_from(number.value).ok());
    }
    let text = string_of(value, out)?;
    let scope = Names::new(host).find(Kind::Scope, text.value).and_then(|scope| u8::try_from(scope).ok());
    if scope.is_none() {
        let d = Diagnostic::error(codes::VALUE, text.span, format!("`{}` is no scope", shown(text.value)));
        out.push(d.help("one of global, site, link, host, nowhere"));
    }
    scope
}

fn address(table: &Table<'_>, key: &str, ipv6: bool, out: &mut Vec<Diagnostic>) -> Option<IpAddr> {
    let text = table.string(key, out)?;
    let address = text.value.parse().ok().filter(|address: &IpAddr| address.is_ipv6() == ipv6);
    if address.is_none() {
        let message = format!("{key} `{}` is no address of the same family", shown(text.value));
        out.push(Diagnostic::error(codes::ADDRESS, text.span, message));
    }
    address
}

fn preferred(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<u32> {
    if !table.has("preferred") {
        return None;
    }
    let time = table.duration("preferred", Duration::ZERO, out)?;
    let seconds = u32::try_from(time.value.as_secs()).ok().filter(|_| time.value.subsec_nanos() == 0);
    if seconds.is_none() {
        out.push(Diagnostic::error(codes::DURATION, time.span, "preferred is counted in whole seconds"));
    }
    seconds
}

/// Writes the routes and rules of an instance.
pub(super) fn write(routes: &[Route], rules: &[Rule], text: &mut String) {
    if !routes.is_empty() {
        line(text, "routes", &list(routes));
    }
    if !rules.is_empty() {
        line(text, "rules", &list(rules));
    }
}

/// Writes what stays on the node.
pub(super) fn write_fixed(fixed: &Fixed, text: &mut String) {
    if fixed.is_empty() {
        return;
    }
    text.push_str("[static]\n");
    if !fixed.addresses.is_empty() {
        line(text, "addresses", &super::vrrp::vip_list(&fixed.addresses));
    }
    write(&fixed.routes, &fixed.rules, text);
    text.push('\n');
}

/// One a line where there are several.
fn list<T: ToString>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    match &texts[..] {
        [one] => format!("[{one}]"),
        several => format!("[\n  {},\n]", several.join(",\n  ")),
    }
}

/// The options of an address as keys.
pub(super) fn option_keys(options: &VipOptions) -> String {
    let mut keys = String::new();
    let mut key = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            keys.push_str(&format!(", {name} = {value}"));
        }
    };
    let yes = |yes: bool| yes.then(|| "true".to_owned());
    let no = |no: bool| no.then(|| "false".to_owned());
    key("scope", options.scope.map(|scope| scope.to_string()));
    key("broadcast", options.broadcast.map(|address| quoted(&address.to_string())));
    key("peer", options.peer.map(|address| quoted(&address.to_string())));
    let time = |seconds: u32| quoted(&duration_text(Duration::from_secs(seconds.into())));
    key("preferred", options.preferred.map(time));
    key("detect_duplicates", yes(options.detect_duplicates));
    key("home", yes(options.home));
    key("temporary", yes(options.temporary));
    key("prefix_route", no(options.no_prefix_route));
    key("join", yes(options.join));
    key("track", no(options.untracked));
    keys
}
