//! A cluster as TOML that reads as the same cluster.

mod check;

use super::{conduct, firewall, notify, reader::quoted, units::duration_text};
use crate::{
    address::{forwarding, host_header, method, served_port, service_name, socket_text},
    ldirectord::words::ALERT_STATES,
};
use check::check;
use evenkeel_model::{
    Alerts, Behaviour, Cluster, ExpireGone, Fallback, Family, Forwarding, GueChecksum, HashFlags, Match, OnFail,
    Persistence, PersistenceEngine, Prefix, Protocol, Quorum, RealServer, Service, ServiceKey, Settings, StartState,
    Thresholds, Timeouts, Tunnel, Weight,
    notify::{ServerNotify, ServiceNotify},
    vrrp::{Elections, Firewall},
};
use std::{fmt::Write, net::SocketAddr, path::Path, time::Duration};

/// The cluster in the native format. `load` reads the text as the same cluster.
pub fn to_toml(cluster: &Cluster) -> String {
    let mut text = String::new();
    settings(&cluster.settings, &cluster.vrrp, &mut text);
    let shared = shared_alerts(cluster);
    if let Some(alerts) = shared {
        text += "[alert.mail]\n";
        for (key, value) in alert_keys(alerts) {
            line(&mut text, key, &value);
        }
        text.push('\n');
    }
    if let Some(route) = &cluster.notify.mail {
        notify::mail_text(route, &mut text);
    }
    notify::write(&cluster.notify, &mut text);
    let silent = ServiceNotify::default();
    for one in &cluster.services {
        let told = cluster.notify.services.get(&one.key).unwrap_or(&silent);
        let told = Told { told, each: cluster.notify.mail.is_some() };
        service(one, shared.is_some(), &told, &mut text);
    }
    for instance in &cluster.vrrp.instances {
        super::vrrp::write(instance, cluster.notify.instances.get(&instance.name), &mut text);
    }
    super::track::write(&cluster.vrrp, &mut text);
    super::routing::write_fixed(&cluster.vrrp.fixed, &mut text);
    if let Some(heartbeat) = &cluster.heartbeat {
        super::cluster::write(heartbeat, &mut text);
    }
    for session in &cluster.vrrp.bfd {
        super::bfd::write(session, &mut text);
    }
    text
}

/// Who is told about a service.
struct Told<'a> {
    told: &'a ServiceNotify,
    /// Real servers are mailed about that say nothing.
    each: bool,
}

/// The alerts, when every service has the same; where mails of single changes have their place, each says its own.
fn shared_alerts(cluster: &Cluster) -> Option<&Alerts> {
    if cluster.notify.mail.is_some() {
        return None;
    }
    let first = cluster.services.first()?.alerts.as_ref()?;
    cluster.services.iter().all(|s| s.alerts.as_ref() == Some(first)).then_some(first)
}

pub(super) fn line(text: &mut String, key: &str, value: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let items: Vec<String> = texts.into_iter().map(|text| quoted(text)).collect();
    format!("[{}]", items.join(", "))
}

pub(super) fn inline(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn settings(settings: &Settings, elections: &Elections, text: &mut String) {
    let says_anything = conduct::says_anything(elections) || elections.firewall != Firewall::default();
    if *settings == Settings::default() && !says_anything {
        return;
    }
    text.push_str("[settings]\n");
    if let Some(connections) = settings.connections {
        line(text, "connections", &connections.to_string());
    }
    if !settings.interfaces.is_empty() {
        line(text, "interfaces", &list(&settings.interfaces));
    }
    if let Some(attach) = &settings.attach {
        line(text, "attach", &quoted(attach));
    }
    if settings.autoreload {
        line(text, "autoreload", "true");
    }
    if let Some(callback) = &settings.callback {
        line(text, "callback", &path(callback));
    }
    if !settings.execute.is_empty() {
        line(text, "execute", &list(&settings.execute));
    }
    if let Some(directory) = &settings.maintenance_dir {
        line(text, "maintenance_dir", &path(directory));
    }
    if let Some(file) = &settings.log_file {
        line(text, "log_file", &path(file));
    }
    if let Some(facility) = &settings.log_facility {
        line(text, "log_facility", &quoted(facility));
    }
    if settings.supervised {
        line(text, "supervised", "true");
    }
    if settings.timeouts != Timeouts::default() {
        let Timeouts { tcp, tcp_fin, udp } = settings.timeouts;
        let keys: Vec<_> = [("tcp", tcp), ("tcp_fin", tcp_fin), ("udp", udp)]
            .into_iter()
            .filter_map(|(key, seconds)| Some((key, in_seconds(seconds?))))
            .collect();
        line(text, "timeouts", &inline(&keys));
    }
    conduct::write(elections, text);
    firewall::write(&elections.firewall, text);
    text.push('\n');
}

fn alert_keys(alerts: &Alerts) -> Vec<(&'static str, String)> {
    let mut keys = vec![("to", list(&alerts.to))];
    keys.extend(alerts.from.as_ref().map(|from| ("from", quoted(from))));
    keys.extend(alerts.smtp.as_ref().map(|server| ("server", quoted(server))));
    if !alerts.repeat.is_zero() {
        keys.push(("repeat", quoted(&duration_text(alerts.repeat))));
    }
    if alerts.status != ALERT_STATES {
        keys.push(("on", list(&alerts.status)));
    }
    keys
}

fn service(service: &Service, alerts_are_shared: bool, told: &Told<'_>, text: &mut String) {
    let key = service.key;
    head(service, text);
    let shared_method = shared_method(service);
    for (key, value) in forward(shared_method) {
        line(text, key, &value);
    }
    line(text, "schedule", &quoted(service.scheduler.name()));
    if let Some(flags) = service.scheduler.flags().and_then(schedule_flags) {
        line(text, "schedule_flags", &flags);
    }
    let checks: Vec<String> = service.real_servers.iter().map(|real| check(&real.check, real.address)).collect();
    let shared = checks.first().filter(|first| checks.iter().all(|check| check == *first));
    let mut reals = service.real_servers.iter().zip(&checks).peekable();
    if reals.peek().is_none() {
        line(text, "real_servers", "[]");
    } else {
        text.push_str("real_servers = [\n");
        for (real, check) in reals {
            let own = Some(check).filter(|_| shared.is_none());
            let _ = writeln!(text, "  {},", real_server(real, key, shared_method, own.map(String::as_str), told));
        }
        text.push_str("]\n");
    }
    if let Some(shared) = shared {
        line(text, "check", shared);
    }
    if let Some(to) = &service.fallback {
        line(text, "fallback", &fallback(to, key, shared_method));
    }
    if let Some(command) = &service.fallback_command {
        let program = command.program.to_string_lossy().into_owned();
        line(text, "fallback_command", &list(std::iter::once(&program).chain(&command.arguments)));
    }
    line(text, "on_fail", &on_fail(service.on_fail));
    if service.quorum != Quorum::default() {
        line(text, "quorum", &quorum(service.quorum));
    }
    if service.suspend {
        line(text, "suspend", "true");
    }
    if service.start == StartState::Up {
        line(text, "start", "\"up\"");
    }
    for (key, prefixes) in [("allow", &service.sources.allow), ("deny", &service.sources.deny)] {
        if !prefixes.is_empty() {
            line(text, key, &list(&prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>()));
        }
    }
    if let Some(persistence) = service.persistence {
        line(text, "persist", &persist(persistence, key.family()));
    }
    if service.one_packet {
        line(text, "one_packet", "true");
    }
    if service.ftp != key.is_ftp() {
        line(text, "ftp", if service.ftp { "true" } else { "false" });
    }
    behaviour(&service.behaviour, text);
    if !service.clean_stop {
        line(text, "clean_stop", "false");
    }
    if let Some(file) = &service.monitor_file {
        line(text, "monitor_file", &path(file));
    }
    if let Some(alerts) = service.alerts.as_ref().filter(|_| !alerts_are_shared) {
        line(text, "alert", &inline(&alert_keys(alerts)));
    }
    if let Some(told) = notify::service_text(told.told) {
        line(text, "notify", &told);
    }
    text.push('\n');
}

/// A bare key where TOML takes one.
pub(super) fn table_name(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

fn listen(key: ServiceKey) -> String {
    let ServiceKey::Address { address, protocol, port } = key else { return key.to_string() };
    let protocol = match protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "udp://",
        Protocol::Sctp => "sctp://",
    };
    let port = if port == 0 { "*".to_owned() } else { port.to_string() };
    format!("{protocol}{}:{port}", host_header(address))
}

/// The table's name and what the service answers for.
fn head(service: &Service, text: &mut String) {
    let ServiceKey::Mark { mark, family } = service.key else {
        let _ = writeln!(text, "[service.{}]", table_name(&service.name));
        return line(text, "listen", &quoted(&listen(service.key)));
    };
    let is_told = service.matches.iter().any(|one| one.destination.address().is_ipv6());
    let suffix = if family == Family::V6 && !is_told { "-ipv6" } else { "" };
    let _ = writeln!(text, "[mark.{mark}{suffix}]");
    if service.name != service_name(service.key) {
        line(text, "name", &quoted(&service.name));
    }
    if !service.matches.is_empty() {
        line(text, "match", &list(&service.matches.iter().map(Match::to_string).collect::<Vec<_>>()));
    }
}

/// The flags of `sh` and `mh`, where they are not what is meant without.
fn schedule_flags(flags: HashFlags) -> Option<String> {
    let mut words = Vec::new();
    if flags.port {
        words.push("port".to_owned());
    }
    if !flags.fallback {
        words.push("no-fallback".to_owned());
    }
    (!words.is_empty()).then(|| list(&words))
}

/// The method of the first real server that is another host.
fn shared_method(service: &Service) -> Forwarding {
    let mut methods = service.real_servers.iter().map(|real| real.forwarding);
    methods.find(|method| *method != Forwarding::Local).unwrap_or(Forwarding::DirectRouting)
}

fn forward(method: Forwarding) -> Vec<(&'static str, String)> {
    let Forwarding::Tunnel(tunnel) = method else { return vec![("forward", quoted(method.name()))] };
    let checksum = |word: Option<&str>| word.map(|word| ("checksum", quoted(word)));
    match tunnel {
        Tunnel::Ipip => vec![("forward", quoted("tun"))],
        Tunnel::Gue { port, checksum: sum } => {
            let word = match sum {
                GueChecksum::None => None,
                GueChecksum::Full => Some("full"),
                GueChecksum::Remote => Some("remote"),
            };
            let mut keys = vec![("kind", quoted("gue")), ("port", port.to_string())];
            keys.extend(checksum(word));
            vec![("tunnel", inline(&keys))]
        }
        Tunnel::Gre { checksum: sum } => {
            let mut keys = vec![("kind", quoted("gre"))];
            keys.extend(checksum(sum.then_some("full")));
            vec![("tunnel", inline(&keys))]
        }
    }
}

fn in_seconds(seconds: u32) -> String {
    quoted(&duration_text(Duration::from_secs(u64::from(seconds))))
}

fn persist(persistence: Persistence, family: Family) -> String {
    let Persistence { timeout, prefix, engine } = persistence;
    let mut keys = vec![("for", in_seconds(timeout))];
    if prefix != family.bits() {
        keys.push(("prefix", prefix.to_string()));
    }
    if engine == PersistenceEngine::Sip {
        keys.push(("by", quoted("sip")));
    }
    if keys.len() == 1 { in_seconds(timeout) } else { inline(&keys) }
}

fn behaviour(behaviour: &Behaviour, text: &mut String) {
    let standard = Behaviour::default();
    let mut limit = Vec::new();
    limit.extend(behaviour.new_rate.map(|rate| ("per_second", rate.to_string())));
    limit.extend(behaviour.source_rate.map(|rate| ("per_second_of_a_source", rate.to_string())));
    if !limit.is_empty() {
        line(text, "limit", &inline(&limit));
    }
    if behaviour.expire_gone != standard.expire_gone {
        let word = match behaviour.expire_gone {
            ExpireGone::Never => "never",
            ExpireGone::Udp => "udp",
            ExpireGone::All => "all",
        };
        line(text, "expire_gone", &quoted(word));
    }
    for (key, value, usual) in [
        ("expire_quiescent_template", behaviour.expire_quiescent_template, standard.expire_quiescent_template),
        ("reuse", behaviour.reuse, standard.reuse),
        ("sloppy", behaviour.sloppy, standard.sloppy),
    ] {
        if value != usual {
            line(text, key, &value.to_string());
        }
    }
}

fn real_server(
    real: &RealServer,
    key: ServiceKey,
    shared: Forwarding,
    own_check: Option<&str>,
    told: &Told<'_>,
) -> String {
    let mut keys = Vec::new();
    if real.name != socket_text(real.address) {
        keys.push(("name", quoted(&real.name)));
    }
    let address = address(real.address, key, real.forwarding);
    keys.push(("addr", address.clone()));
    if real.weight != Weight::ONE {
        keys.push(("weight", real.weight.to_string()));
    }
    if real.forwarding != method(forwarding(real.address.ip(), key.address()), Some(shared)) {
        keys.extend(forward(real.forwarding));
    }
    match real.thresholds {
        Thresholds { upper: 0, lower: 0 } => {}
        Thresholds { upper, lower: 0 } => keys.push(("limit", upper.to_string())),
        Thresholds { upper, lower } => {
            keys.push(("limit", inline(&[("upper", upper.to_string()), ("lower", lower.to_string())])));
        }
    }
    keys.extend(real.on_fail.map(|word| ("on_fail", on_fail(word))));
    if !real.aliases.is_empty() {
        keys.push(("aliases", list(&real.aliases)));
    }
    keys.extend(own_check.map(|check| ("check", check.to_owned())));
    let silent = ServerNotify::default();
    let server = told.told.servers.get(&real.address).unwrap_or(&silent);
    keys.extend(notify::server_text(server, told.each).map(|told| ("notify", told)));
    if keys.len() == 1 { address } else { inline(&keys) }
}

/// Without its port where that goes without saying.
fn address(address: SocketAddr, key: ServiceKey, forwarding: Forwarding) -> String {
    if address.port() == served_port(key, None, forwarding) {
        quoted(&address.ip().to_string())
    } else {
        quoted(&address.to_string())
    }
}

fn on_fail(on_fail: OnFail) -> String {
    quoted(match on_fail {
        OnFail::Quiesce => "quiesce",
        OnFail::Remove => "remove",
    })
}

fn quorum(quorum: Quorum) -> String {
    let Quorum { weight, hysteresis, begins_lost } = quorum;
    if hysteresis == 0 && !begins_lost {
        return weight.to_string();
    }
    let mut keys = vec![("weight", weight.to_string())];
    if hysteresis != 0 {
        keys.push(("hysteresis", hysteresis.to_string()));
    }
    if begins_lost {
        keys.push(("begins_lost", "true".to_owned()));
    }
    inline(&keys)
}

fn fallback(fallback: &Fallback, key: ServiceKey, shared: Forwarding) -> String {
    let address = match fallback.address.port() {
        0 => quoted(&fallback.address.ip().to_string()),
        _ => quoted(&fallback.address.to_string()),
    };
    let mut keys = vec![("addr", address.clone())];
    if fallback.forwarding != method(forwarding(fallback.address.ip(), key.address()), Some(shared)) {
        keys.extend(forward(fallback.forwarding));
    }
    if fallback.quiesce {
        keys.push(("quiesce", "true".to_owned()));
    }
    if keys.len() == 1 { address } else { inline(&keys) }
}
