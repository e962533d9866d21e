//! `[service.NAME]` into a service.

use super::{
    Mails,
    check::{self, CheckPlan},
    method::{behaviour, forward, persistence, scheduler, thresholds},
    notify,
    reader::{Keys, Table, Value, inside, string_of, wrong_type},
};
use crate::{
    address::{self, forwarding, method, served_port, service_name, socket_text},
    codes,
    draft::{ServiceDraft, report_port},
    host::{Family, Resolver, shown},
};
use evenkeel_model::{
    Fallback, FallbackCommand, Forwarding, Match, OnFail, Prefix, Protocol, RealServer, Scheduler, Service, ServiceKey,
    Sources, StartState, Weight, notify::ServerNotify,
};
use evenkeel_source::{Diagnostic, Severity, Span, Spanned};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};
use toml::de::DeValue;

/// What services on an address and by mark share.
macro_rules! keys {
    ($of:literal, $own:literal, $another:literal, [$($instead:expr),*]) => {
        Keys {
            of: $of,
            known: &[
                $own, $another, "forward", "tunnel", "schedule", "schedule_flags", "real_servers", "fallback",
                "fallback_command", "on_fail", "quorum", "suspend", "start", "check", "allow", "deny", "persist", "one_packet", "ftp", "limit",
                "expire_gone", "expire_quiescent_template", "reuse", "sloppy", "clean_stop", "monitor_file", "alert",
                "notify",
            ],
            later: &["gateway", "mss", "group"],
            instead: &[
                $($instead,)*
                ("persistence", "write `persist`"),
                ("ops", "write `one_packet`"),
                ("servers", "write `real_servers`"),
                ("backends", "write `real_servers`"),
                ("scheduler", "write `schedule`"),
                ("mode", "write `forward`"),
                ("sorry_server", "write `fallback`"),
            ],
        }
    };
}

#[rustfmt::skip]
const KEYS: Keys = keys!("a virtual service", "listen", "listen", [
    ("protocol", "write listen = \"udp://ADDRESS:PORT\" for UDP"),
    ("match", "write [mark.1] for a service by mark")
]);

#[rustfmt::skip]
const MARK_KEYS: Keys = keys!("a service by mark", "match", "name", [
    ("listen", "write match = [\"ADDRESS tcp PORT\"]")
]);

const REAL_SERVER: Keys = Keys {
    of: "a real server",
    known: &["name", "addr", "weight", "check", "forward", "tunnel", "limit", "aliases", "on_fail", "notify"],
    later: &["slow_start"],
    instead: &[("address", "write `addr`"), ("port", "write it into `addr`")],
};

const FALLBACK: Keys =
    Keys { of: "a fallback", known: &["addr", "forward", "tunnel", "quiesce"], later: &[], instead: &[] };

/// The words of `on_fail`.
const ON_FAIL: &[(&str, OnFail)] = &[("quiesce", OnFail::Quiesce), ("remove", OnFail::Remove)];

/// What all real servers of a service share.
struct Shared<'a> {
    key: ServiceKey,
    forward: Option<Forwarding>,
    check: Option<CheckPlan>,
    mails: &'a Mails,
    resolver: &'a Resolver<'a>,
}

/// Reads one service on an address, all its mistakes reported; `None` when it is not known what it answers for.
pub(crate) fn read(
    name: Spanned<&str>,
    table: &Table<'_>,
    mails: &Mails,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<ServiceDraft> {
    let errors = out.len();
    table.only(&KEYS, out);
    if name.value.is_empty() || name.value.chars().any(char::is_control) {
        out.push(Diagnostic::error(codes::VALUE, name.span, format!("`{}` is no name", shown(name.value))));
    }
    let listen = listen(table, resolver, out);
    let head = Head { name: name.value.to_owned(), name_span: name.span, key: listen, matches: Vec::new(), errors };
    body(head, table, mails, resolver, out)
}

/// Reads `[mark.N]` likewise.
pub(crate) fn read_mark(
    number: Spanned<&str>,
    table: &Table<'_>,
    mails: &Mails,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<ServiceDraft> {
    let errors = out.len();
    table.only(&MARK_KEYS, out);
    let matches = matches(table, out);
    let family = match matches.first() {
        Some(first) if first.destination.address().is_ipv6() => evenkeel_model::Family::V6,
        Some(_) | None => evenkeel_model::Family::V4,
    };
    // `[mark.3-ipv6]` where nothing else says which family it is.
    let (digits, family) = match number.value.strip_suffix("-ipv6") {
        Some(digits) => (digits, evenkeel_model::Family::V6),
        None => (number.value, family),
    };
    let mark: Option<NonZeroU32> = digits.parse().ok();
    if mark.is_none() {
        let message = format!("`{}` is no firewall mark", shown(number.value));
        let d = Diagnostic::error(codes::FIREWALL_MARK, number.span, message);
        out.push(d.help("write a number from 1 to 4294967295, with -ipv6 behind it where no match tells the family"));
    }
    let mixed = matches.iter().any(|one| evenkeel_model::Family::of(one.destination.address()) != family);
    if let (true, Some(value)) = (mixed, table.get("match")) {
        let message = "the matches of one mark are of both address families";
        out.push(Diagnostic::error(codes::FAMILY, value.span, message).help("write [mark.N] and [mark.N-ipv6]"));
    }
    let key = mark.map(|mark| Spanned::new(ServiceKey::Mark { mark, family }, number.span));
    let name = table.string("name", out).filter(|name| super::not_empty("name", name, out));
    let name = match (name, key) {
        (Some(name), _) => name.value.to_owned(),
        (None, Some(key)) => service_name(key.value),
        (None, None) => number.value.to_owned(),
    };
    body(Head { name, name_span: number.span, key, matches, errors }, table, mails, resolver, out)
}

fn matches(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Vec<Match> {
    let mut matches: Vec<Match> = Vec::new();
    for text in table.strings("match", out).into_iter().flat_map(|list| list.value) {
        match text.value.parse() {
            Ok(one) if matches.contains(&one) => {
                let message = format!("the match `{}` is there twice", shown(text.value));
                out.push(Diagnostic::error(codes::VALUE, text.span, message));
            }
            Ok(one) => matches.push(one),
            Err(why) => out.push(Diagnostic::error(codes::VALUE, text.span, why.to_string())),
        }
    }
    matches
}

/// What tells one service from another.
struct Head {
    name: String,
    name_span: Span,
    key: Option<Spanned<ServiceKey>>,
    matches: Vec<Match>,
    /// Diagnostics before the first of this service.
    errors: usize,
}

fn body(
    head: Head,
    table: &Table<'_>,
    mails: &Mails,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<ServiceDraft> {
    let Head { name, name_span, key: listen, matches, errors } = head;
    let scheduler = scheduler(table, out);
    let forward = forward(table, out);
    let check = match table.get("check") {
        Some(value) => check::read(table, value, resolver, out),
        None => listen.map(|key| {
            let protocol = key.value.protocol().unwrap_or(Protocol::Tcp);
            CheckPlan::standard(protocol, key.value.port(), table.span)
        }),
    };
    // Without a key the rest is read all the same, for the sake of its mistakes.
    let nowhere = ServiceKey::Address { address: IpAddr::from([0, 0, 0, 0]), protocol: Protocol::Tcp, port: 0 };
    let key = listen.map_or(nowhere, |key| key.value);
    let shared = Shared { key, forward, check, mails, resolver };
    let family = match listen.map(|key| key.value.family()) {
        Some(evenkeel_model::Family::V4) => Family::V4,
        Some(evenkeel_model::Family::V6) => Family::V6,
        None => Family::Any,
    };
    let mut real_servers = Vec::new();
    let mut spans = Vec::new();
    let mut told = notify::service(table, out);
    for (real, server, span) in read_real_servers(table, &shared, family, listen.is_some(), out) {
        told.tell(real.address, server);
        real_servers.push(real);
        spans.push(span);
    }
    let fallback = fallback(table, &shared, family, listen.is_some(), out);
    let fallback_command = fallback_command(table, out);
    let on_fail = table.word("on_fail", ON_FAIL, out);
    let quorum = super::method::quorum(table, out);
    let suspend = table.boolean("suspend", out);
    if let Some(suspend) = suspend.filter(|yes| yes.value && key.mark().is_some()) {
        let d = Diagnostic::error(codes::CONFLICTING_KEYS, suspend.span, "a service by mark has no address to go by");
        out.push(d.help("leave `suspend` out"));
    }
    let start = table.word("start", &[("down", StartState::Down), ("up", StartState::Up)], out);
    let sources = Sources { allow: prefixes(table, "allow", out), deny: prefixes(table, "deny", out) };
    let clean_stop = table.boolean("clean_stop", out);
    let monitor_file = table.string("monitor_file", out);
    let alerts = match table.get("alert").map(|value| (value, value.value)) {
        None => mails.alerts.clone(),
        Some((_, DeValue::Boolean(false))) => None,
        Some(_) => table.table("alert", out).and_then(|alert| super::alerts(&alert, out)),
    };
    let persistence = persistence(table, key.family(), out);
    let one_packet = table.boolean("one_packet", out);
    if let Some(one_packet) =
        one_packet.filter(|yes| yes.value && !matches!(key.protocol(), None | Some(Protocol::Udp)))
    {
        let message = format!("one_packet of a {} service", key.protocol_name());
        out.push(Diagnostic::error(codes::CONFLICTING_KEYS, one_packet.span, message).help("only UDP has it"));
    }
    let ftp = table.boolean("ftp", out);
    if let Some(ftp) = ftp.filter(|yes| yes.value && (key.protocol(), key.port() > 0) != (Some(Protocol::Tcp), true)) {
        let message = format!("ftp of {key}");
        let d = Diagnostic::error(codes::CONFLICTING_KEYS, ftp.span, message);
        out.push(d.help("only a TCP service on one port can be relayed"));
    }
    let behaviour = behaviour(table, out);
    let broken = out[errors..].iter().any(|d| d.severity == Severity::Error);
    let listen = listen?;
    Some(ServiceDraft {
        service: Service {
            name,
            key: listen.value,
            scheduler: scheduler.map_or(Scheduler::WeightedRoundRobin, |s| s.value),
            real_servers,
            fallback,
            fallback_command,
            on_fail: on_fail.map_or(OnFail::Quiesce, |o| o.value),
            quorum,
            suspend: suspend.is_some_and(|yes| yes.value),
            start: start.map_or(StartState::Down, |s| s.value),
            sources,
            persistence,
            one_packet: one_packet.is_some_and(|yes| yes.value),
            behaviour,
            matches,
            ftp: ftp.map_or_else(|| key.is_ftp(), |yes| yes.value),
            clean_stop: clean_stop.is_none_or(|yes| yes.value),
            monitor_file: monitor_file.map(|file| PathBuf::from(file.value)),
            alerts,
        },
        name: Some(name_span),
        key: listen.span,
        scheduler: scheduler.map(|s| s.span),
        real_servers: spans,
        told,
        broken,
    })
}

/// `ADDRESS:PORT`, `tcp://`, `udp://` or `sctp://ADDRESS:PORT`; the port may be `*` for every port.
fn listen(table: &Table<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Option<Spanned<ServiceKey>> {
    let Some(text) = table.string("listen", out) else {
        if !table.has("listen") {
            let d = Diagnostic::error(codes::MISSING_KEY, table.span, "the virtual service has no address");
            out.push(d.help("write listen = \"ADDRESS:PORT\""));
        }
        return None;
    };
    let (protocol, rest) = match text.value.split_once("://") {
        None => (Protocol::Tcp, text.value),
        Some(("tcp", rest)) => (Protocol::Tcp, rest),
        Some(("udp", rest)) => (Protocol::Udp, rest),
        Some(("sctp", rest)) => (Protocol::Sctp, rest),
        Some((other, _)) => {
            let d =
                Diagnostic::error(codes::VALUE, text.span, format!("`{}` is none of tcp, udp and sctp", shown(other)));
            out.push(d);
            return None;
        }
    };
    let Some(split) = address::split(rest) else {
        out.push(Diagnostic::error(codes::ADDRESS, text.span, format!("`{}` is no address", shown(rest))));
        return None;
    };
    let at = text.value.len() - rest.len();
    let host_span = inside(text, at + split.host_at, split.host.len());
    let address = address::resolve(split.host, Family::Any, host_span, resolver, out);
    let address = address.map(|resolved| resolved.address);
    if let Some(address) = address
        && let Some(why) = address::no_virtual_address(address)
    {
        out.push(Diagnostic::error(codes::ADDRESS, host_span, format!("{address} {why}")));
        return None;
    }
    let port = match split.port {
        Some("*") => Some(0),
        Some("0") => {
            let d = Diagnostic::error(codes::PORT, inside(text, at + split.port_at, 1), "port 0 is no port");
            out.push(d.help("write * for every port"));
            None
        }
        Some(port) => address::port(port, protocol, inside(text, at + split.port_at, port.len()), resolver, out),
        None => {
            let d = Diagnostic::error(codes::PORT, text.span, format!("`{}` has no port", shown(rest)));
            out.push(d.help("write ADDRESS:PORT, or ADDRESS:* for every port; IPv6 as [ADDRESS]:PORT"));
            None
        }
    };
    Some(Spanned::new(ServiceKey::Address { address: address?, protocol, port: port? }, text.span))
}

fn read_real_servers(
    table: &Table<'_>,
    shared: &Shared<'_>,
    family: Family,
    complete: bool,
    out: &mut Vec<Diagnostic>,
) -> Vec<(RealServer, ServerNotify, Span)> {
    let Some(value) = table.get("real_servers") else { return Vec::new() };
    let items = table.items(value, out).unwrap_or_default();
    let mut real_servers = Vec::with_capacity(items.len());
    for item in items {
        if let Some(real) = real_server(table, item, shared, family, complete, out) {
            real_servers.push(real);
        }
    }
    real_servers
}

fn real_server(
    table: &Table<'_>,
    item: Value<'_>,
    shared: &Shared<'_>,
    family: Family,
    complete: bool,
    out: &mut Vec<Diagnostic>,
) -> Option<(RealServer, ServerNotify, Span)> {
    let inner = match item.value {
        DeValue::String(_) => None,
        DeValue::Table(_) => table.inner(item),
        other => {
            wrong_type(item.span, "a real server, a string or a table,", other, out);
            return None;
        }
    };
    let text = match &inner {
        None => string_of(item, out),
        Some(inner) => {
            inner.only(&REAL_SERVER, out);
            let addr = inner.string("addr", out);
            if !inner.has("addr") {
                let d = Diagnostic::error(codes::MISSING_KEY, item.span, "the real server has no address");
                out.push(d.help("write addr = \"ADDRESS\""));
            }
            addr
        }
    };
    let name = inner.and_then(|t| t.string("name", out)).filter(|name| super::not_empty("name", name, out));
    let weight = inner.and_then(|t| t.integer("weight", 0..=Weight::MAX.get(), out));
    let own_forward = inner.and_then(|t| forward(&t, out));
    let thresholds = inner.map(|t| thresholds(&t, out)).unwrap_or_default();
    let own_check = inner.and_then(|t| t.get("check").map(|value| check::read(&t, value, shared.resolver, out)));
    let on_fail = inner.and_then(|t| t.word("on_fail", ON_FAIL, out)).map(|word| word.value);
    let more_names = inner.and_then(|t| t.strings("aliases", out));
    let told = notify::server(inner.as_ref(), shared.mails, out);
    let family = reachable(family, own_forward.or(shared.forward));
    let (address, written_port, alias) = target(&text?, shared, family, out)?;
    if !complete {
        return None;
    }
    let key = shared.key;
    let automatic = forwarding(address, key.address());
    let forwarding = own_forward.unwrap_or(method(automatic, shared.forward));
    if let Some(port) = written_port {
        report_port(codes::PORT_REWRITE, port, key.port(), forwarding, item.span, out);
    }
    let plan = match &own_check {
        Some(own) => own.as_ref(),
        None => shared.check.as_ref(),
    };
    let check = plan?.check(address, written_port.unwrap_or(key.port()), out)?;
    let address = SocketAddr::new(address, served_port(key, written_port, forwarding));
    let mut aliases: Vec<String> = alias.into_iter().collect();
    for alias in more_names.into_iter().flat_map(|names| names.value) {
        if !aliases.iter().any(|known| known == alias.value) {
            aliases.push(alias.value.to_owned());
        }
    }
    let real = RealServer {
        name: name.map_or_else(|| socket_text(address), |name| name.value.to_owned()),
        aliases,
        address,
        forwarding,
        weight: weight.and_then(|w| Weight::new(w.value)).unwrap_or(Weight::ONE),
        thresholds,
        on_fail,
        check,
    };
    Some((real, told, item.span))
}

/// The families of addresses that a method reaches.
fn reachable(family: Family, method: Option<Forwarding>) -> Family {
    if method.is_some_and(Forwarding::crosses_families) { Family::Any } else { family }
}

/// `ADDRESS[:PORT]` or a host name; the address, the port that is written and the name.
fn target(
    text: &Spanned<&str>,
    shared: &Shared<'_>,
    family: Family,
    out: &mut Vec<Diagnostic>,
) -> Option<(IpAddr, Option<u16>, Option<String>)> {
    let Some(split) = address::split(text.value) else {
        out.push(Diagnostic::error(codes::ADDRESS, text.span, format!("`{}` is no address", shown(text.value))));
        return None;
    };
    let host_span = inside(*text, split.host_at, split.host.len());
    let resolved = address::resolve(split.host, family, host_span, shared.resolver, out);
    let port = match split.port {
        Some(port) => {
            let port_span = inside(*text, split.port_at, port.len());
            Some(address::port(port, shared.key.protocol().unwrap_or(Protocol::Tcp), port_span, shared.resolver, out)?)
        }
        None => None,
    };
    let resolved = resolved?;
    Some((resolved.address, port, resolved.name))
}

fn fallback(
    table: &Table<'_>,
    shared: &Shared<'_>,
    family: Family,
    complete: bool,
    out: &mut Vec<Diagnostic>,
) -> Option<Fallback> {
    let value = table.get("fallback")?;
    let inner = table.inner(value);
    let text = match &inner {
        None => string_of(value, out),
        Some(inner) => {
            inner.only(&FALLBACK, out);
            inner.string("addr", out)
        }
    };
    let own_forward = inner.and_then(|t| forward(&t, out));
    let Some(text) = text else {
        if inner.is_some_and(|t| !t.has("addr")) {
            let d = Diagnostic::error(codes::MISSING_KEY, value.span, "the fallback has no address");
            out.push(d.help("write addr = \"ADDRESS\""));
        }
        return None;
    };
    let family = reachable(family, own_forward.or(shared.forward));
    let (address, port, _) = target(&text, shared, family, out)?;
    let key = shared.key;
    let forwarding = own_forward.unwrap_or(method(forwarding(address, key.address()), shared.forward));
    if let Some(port) = port.filter(|_| complete) {
        report_port(codes::PORT_REWRITE, port, key.port(), forwarding, text.span, out);
    }
    let quiesce = inner.and_then(|t| t.boolean("quiesce", out)).is_some_and(|yes| yes.value);
    Some(Fallback { address: SocketAddr::new(address, served_port(key, port, forwarding)), forwarding, quiesce })
}

/// A program, or an array of a program and its arguments.
fn fallback_command(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<FallbackCommand> {
    let words = table.strings("fallback_command", out)?;
    let mut texts = words.value.iter().map(|word| word.value.to_owned());
    let Some(program) = texts.next().filter(|program| !program.is_empty()) else {
        out.push(Diagnostic::error(codes::MISSING_KEY, words.span, "the fallback command has no name"));
        return None;
    };
    Some(FallbackCommand { program: PathBuf::from(program), arguments: texts.collect() })
}

fn prefixes(table: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    for text in table.strings(key, out).into_iter().flat_map(|list| list.value) {
        match text.value.parse::<Prefix>() {
            Ok(prefix) => prefixes.push(prefix),
            Err(why) => {
                let message = format!("`{}`: {why}", shown(text.value));
                out.push(Diagnostic::error(codes::ADDRESS, text.span, message).help("write a prefix: 192.0.2.0/24"));
            }
        }
    }
    prefixes.sort();
    prefixes.dedup();
    prefixes
}
