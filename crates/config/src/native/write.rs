//! A cluster as TOML that reads as the same cluster.

use super::{
    check::RHYTHM,
    reader::quoted,
    units::{duration_text, size_text},
};
use crate::{
    address::{forwarding, host_header, server_name, socket_text},
    ldirectord::{
        check::{REDIRECTS, SIZE_CAP},
        words::ALERT_STATES,
    },
};
use evenkeel_model::{
    Alerts, Body, Check, Cluster, Fallback, Forwarding, HashFlags, Http, HttpMethod, OnFail, Prefix, Probe, Protocol,
    RealServer, Rhythm, Scheduler, Service, ServiceKey, Settings, StartState, Weight,
};
use std::{fmt::Write, net::SocketAddr, path::Path};

/// The cluster in the native format. `load` reads the text as the same cluster.
pub fn to_toml(cluster: &Cluster) -> String {
    let mut text = String::new();
    settings(&cluster.settings, &mut text);
    let shared = shared_alerts(cluster);
    if let Some(alerts) = shared {
        text += "[alert.mail]\n";
        for (key, value) in alert_keys(alerts) {
            line(&mut text, key, &value);
        }
        text.push('\n');
    }
    for one in &cluster.services {
        service(one, shared.is_some(), &mut text);
    }
    text
}

/// The alerts, when every service has the same.
fn shared_alerts(cluster: &Cluster) -> Option<&Alerts> {
    let first = cluster.services.first()?.alerts.as_ref()?;
    cluster.services.iter().all(|s| s.alerts.as_ref() == Some(first)).then_some(first)
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let items: Vec<String> = texts.into_iter().map(|text| quoted(text)).collect();
    format!("[{}]", items.join(", "))
}

fn inline(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn settings(settings: &Settings, text: &mut String) {
    if *settings == Settings::default() {
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

fn service(service: &Service, alerts_are_shared: bool, text: &mut String) {
    let key = service.key;
    let _ = writeln!(text, "[service.{}]", table_name(&service.name));
    line(text, "listen", &quoted(&listen(key)));
    line(text, "forward", "\"dr\"");
    line(text, "schedule", &quoted(schedule(service.scheduler)));
    let checks: Vec<String> = service.real_servers.iter().map(|real| check(&real.check, real.address)).collect();
    let shared = checks.first().filter(|first| checks.iter().all(|check| check == *first));
    let mut reals = service.real_servers.iter().zip(&checks).peekable();
    if reals.peek().is_none() {
        line(text, "real_servers", "[]");
    } else {
        text.push_str("real_servers = [\n");
        for (real, check) in reals {
            let own = Some(check).filter(|_| shared.is_none());
            let _ = writeln!(text, "  {},", real_server(real, key, own.map(String::as_str)));
        }
        text.push_str("]\n");
    }
    if let Some(shared) = shared {
        line(text, "check", shared);
    }
    if let Some(to) = &service.fallback {
        line(text, "fallback", &fallback(to, key));
    }
    if let Some(command) = &service.fallback_command {
        let program = command.program.to_string_lossy().into_owned();
        line(text, "fallback_command", &list(std::iter::once(&program).chain(&command.arguments)));
    }
    line(text, "on_fail", if service.on_fail == OnFail::Quiesce { "\"quiesce\"" } else { "\"remove\"" });
    if service.start == StartState::Up {
        line(text, "start", "\"up\"");
    }
    for (key, prefixes) in [("allow", &service.sources.allow), ("deny", &service.sources.deny)] {
        if !prefixes.is_empty() {
            line(text, key, &list(&prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>()));
        }
    }
    if !service.clean_stop {
        line(text, "clean_stop", "false");
    }
    if let Some(file) = &service.monitor_file {
        line(text, "monitor_file", &path(file));
    }
    if let Some(alerts) = service.alerts.as_ref().filter(|_| !alerts_are_shared) {
        line(text, "alert", &inline(&alert_keys(alerts)));
    }
    text.push('\n');
}

/// A bare key where TOML takes one.
fn table_name(name: &str) -> String {
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

fn schedule(scheduler: Scheduler) -> &'static str {
    match scheduler {
        Scheduler::MaglevHash(HashFlags { port: true, .. }) => "mh-port",
        _ => scheduler.name(),
    }
}

fn real_server(real: &RealServer, key: ServiceKey, own_check: Option<&str>) -> String {
    let mut keys = Vec::new();
    if real.name != socket_text(real.address) {
        keys.push(("name", quoted(&real.name)));
    }
    let address = quoted(&real.address.ip().to_string());
    keys.push(("addr", address.clone()));
    if real.weight != Weight::ONE {
        keys.push(("weight", real.weight.to_string()));
    }
    if real.forwarding != forwarding(real.address.ip(), key.address()) {
        keys.push(("forward", quoted(real.forwarding.name())));
    }
    if !real.aliases.is_empty() {
        keys.push(("aliases", list(&real.aliases)));
    }
    keys.extend(own_check.map(|check| ("check", check.to_owned())));
    if keys.len() == 1 { address } else { inline(&keys) }
}

fn fallback(fallback: &Fallback, key: ServiceKey) -> String {
    let address = match fallback.address.port() {
        0 => quoted(&fallback.address.ip().to_string()),
        _ => quoted(&fallback.address.to_string()),
    };
    if fallback.forwarding == forwarding(fallback.address.ip(), key.address()) {
        return address;
    }
    let forward: Forwarding = fallback.forwarding;
    inline(&[("addr", address), ("forward", quoted(forward.name()))])
}

/// A check as seen from its real server, so that equal ones read the same.
fn check(check: &Check, real: SocketAddr) -> String {
    let mut keys = Vec::new();
    match &check.probe {
        Probe::AlwaysOn => keys.push(("on", "true".to_owned())),
        Probe::AlwaysOff => keys.push(("off", "true".to_owned())),
        Probe::Tcp { target: to } => {
            keys.push(("tcp", "true".to_owned()));
            target(*to, real, &mut keys);
        }
        Probe::Ping { target, tries } => {
            keys.push(("ping", "true".to_owned()));
            if *target != real.ip() {
                keys.push(("connect", quoted(&target.to_string())));
            }
            if *tries != 1 {
                keys.push(("echoes", tries.to_string()));
            }
        }
        Probe::Http(probe) => http(probe, real, &mut keys),
        Probe::Script(script) => {
            let program = script.program.to_string_lossy().into_owned();
            keys.push(("script", list(std::iter::once(&program).chain(&script.arguments))));
            if !script.environment.is_empty() {
                let names: Vec<(String, String)> =
                    script.environment.iter().map(|(name, value)| (table_name(name), quoted(value))).collect();
                let pairs: Vec<(&str, String)> = names.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
                keys.push(("env", inline(&pairs)));
            }
            if script.shell {
                keys.push(("shell", "true".to_owned()));
            }
        }
    }
    if check.connects_between != 0 {
        keys.push(("connects_between", check.connects_between.to_string()));
    }
    rhythm(&check.rhythm, &mut keys);
    inline(&keys)
}

/// `port` and `connect`, as far as they differ from the real server.
fn target(to: SocketAddr, real: SocketAddr, keys: &mut Vec<(&'static str, String)>) {
    if to.ip() != real.ip() {
        keys.push(("connect", quoted(&to.to_string())));
    } else if to.port() != real.port() {
        keys.push(("port", to.port().to_string()));
    }
}

fn http(http: &Http, real: SocketAddr, keys: &mut Vec<(&'static str, String)>) {
    let word = if http.tls { "https" } else { "http" };
    keys.push((word, quoted(&http.path)));
    if let Body::PerlRegex(pattern) = &http.body {
        keys.push(("expect", quoted(pattern)));
    }
    let ranges = &http.status.0;
    if *ranges != [(200, 299)] {
        let texts: Vec<String> = ranges.iter().map(|(low, high)| format!("{low}-{high}")).collect();
        keys.push(("status", list(&texts)));
    }
    let host_is_standard = http.host == host_header(real.ip());
    if !host_is_standard {
        keys.push(("host", quoted(&http.host)));
    }
    let standard_name = server_name(&http.host).filter(|_| http.tls && !host_is_standard);
    if http.server_name != standard_name {
        keys.push(("sni", quoted(http.server_name.as_deref().unwrap_or(""))));
    }
    if http.verify {
        keys.push(("verify", "true".to_owned()));
    }
    if http.method == HttpMethod::Head {
        keys.push(("method", "\"HEAD\"".to_owned()));
    }
    if http.redirects != REDIRECTS {
        keys.push(("redirects", http.redirects.to_string()));
    }
    if http.size_cap != SIZE_CAP {
        keys.push(("size_cap", quoted(&size_text(http.size_cap as u64))));
    }
    target(http.target, real, keys);
}

fn rhythm(rhythm: &Rhythm, keys: &mut Vec<(&'static str, String)>) {
    keys.push(("every", quoted(&duration_text(rhythm.every))));
    keys.push(("timeout", quoted(&duration_text(rhythm.timeout))));
    if let Some(retry) = rhythm.retry_after {
        keys.push(("retry_after", quoted(&duration_text(retry))));
    }
    if rhythm.rise != RHYTHM.rise {
        keys.push(("rise", rhythm.rise.to_string()));
    }
    if rhythm.fall != RHYTHM.fall {
        keys.push(("fall", rhythm.fall.to_string()));
    }
    if rhythm.jitter_percent != RHYTHM.jitter_percent {
        keys.push(("jitter", quoted(&format!("{}%", rhythm.jitter_percent))));
    }
}
