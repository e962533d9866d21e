//! Checks, verdicts and changes in the operator's words.

use crate::entry::model_key;
use evenkeel_api::table::{Edit, Key};
use evenkeel_dataplane::Change;
use evenkeel_health::{Outcome, Verdict};
use evenkeel_model::{Check, Http, HttpMethod, Probe};
use std::{net::SocketAddr, time::Duration};

/// `0.4 s`, `3 ms`, `1 s`.
pub(crate) fn time(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
    }
}

/// `http`, `https`, `tcp`, `udp`, `dns`, `smtp`, `ping`, `file`, `bfd`, `external`, `on`, `off`; `several` for a group.
pub(crate) fn kind(probe: &Probe) -> &'static str {
    match probe {
        Probe::AlwaysOn => "on",
        Probe::AlwaysOff => "off",
        Probe::Tcp { .. } => "tcp",
        Probe::Ping { .. } => "ping",
        Probe::Http(http) if http.tls => "https",
        Probe::Http(_) => "http",
        Probe::Script(_) => "external",
        Probe::Udp(_) => "udp",
        Probe::Dns(_) => "dns",
        Probe::Smtp { .. } => "smtp",
        Probe::File(_) => "file",
        Probe::Bfd { .. } => "bfd",
        Probe::All(_) => "several",
    }
}

/// `http check every 1 s`.
pub(crate) fn check(check: &Check) -> String {
    match &check.probe {
        Probe::AlwaysOn => "always on".into(),
        Probe::AlwaysOff => "always off".into(),
        Probe::Bfd { name } => format!("BFD session {name}"),
        Probe::All(checks) => checks.iter().map(|one| self::check(one)).collect::<Vec<_>>().join(", "),
        Probe::Tcp { .. }
        | Probe::Ping { .. }
        | Probe::Http(_)
        | Probe::Script(_)
        | Probe::Udp(_)
        | Probe::Dns(_)
        | Probe::Smtp { .. }
        | Probe::File(_) => format!("{} check every {}", kind(&check.probe), time(check.rhythm.every)),
    }
}

/// `http 200, 12 bytes in 3 ms`; `http: got 503, wanted 200-299`.
pub(crate) fn verdict(probe: &Probe, verdict: &Verdict) -> String {
    match (&verdict.outcome, probe) {
        (Outcome::Good { detail }, Probe::AlwaysOn | Probe::AlwaysOff | Probe::Bfd { .. } | Probe::File(_)) => {
            detail.clone()
        }
        (Outcome::Good { detail }, _) => format!("{} {detail} in {}", kind(probe), time(verdict.took)),
        (Outcome::Bad(why), Probe::Http(_) | Probe::Dns(_) | Probe::Smtp { .. } | Probe::Udp(_)) => {
            format!("{}: {why}", kind(probe))
        }
        (Outcome::Bad(why), _) => why.to_string(),
    }
}

/// A command that does the same attempt by hand.
pub(crate) fn by_hand(probe: &Probe) -> Option<String> {
    match probe {
        Probe::AlwaysOn | Probe::AlwaysOff | Probe::Bfd { .. } | Probe::All(_) => None,
        Probe::Udp(udp) => Some(format!("nc -vzu {} {}", udp.target.ip(), udp.target.port())),
        Probe::Dns(dns) => {
            let (target, record) = (dns.target, dns.record.name());
            Some(format!("dig @{} -p {} {} {record}", target.ip(), target.port(), quoted(&dns.name)))
        }
        Probe::Smtp { target, .. } => Some(format!("nc -v {} {}", target.ip(), target.port())),
        Probe::File(file) => Some(format!("cat {}", quoted(&file.path.to_string_lossy()))),
        Probe::Tcp { target } => Some(format!("nc -vz {} {}", target.ip(), target.port())),
        Probe::Ping { target, .. } => Some(format!("ping -c 1 {target}")),
        Probe::Http(http) => Some(curl(http)),
        Probe::Script(script) if script.shell => Some(format!("sh -c {}", quoted(&script.program.to_string_lossy()))),
        Probe::Script(script) => {
            let words = script.arguments.iter().map(|argument| quoted(argument));
            let program = quoted(&script.program.to_string_lossy());
            Some(std::iter::once(program).chain(words).collect::<Vec<_>>().join(" "))
        }
    }
}

fn curl(http: &Http) -> String {
    let mut words = vec!["curl -v".to_owned()];
    if http.method == HttpMethod::Head {
        words.push("-I".into());
    }
    if http.tls && !http.verify {
        words.push("-k".into());
    }
    let SocketAddrText { ip, port } = text_of(http.target);
    let scheme = if http.tls { "https" } else { "http" };
    let usual = if http.tls { 443 } else { 80 };
    let named = http.server_name.as_deref().filter(|_| http.tls).unwrap_or(&http.host);
    let name = named.strip_suffix(&format!(":{port}")).unwrap_or(named);
    let suffix = if port == usual { String::new() } else { format!(":{port}") };
    if !name.is_empty() && name != ip && name.parse::<std::net::IpAddr>().is_err() {
        words.push(format!("--resolve {}", quoted(&format!("{name}:{port}:{ip}"))));
        words.push(quoted(&format!("{scheme}://{name}{suffix}{}", http.path)));
    } else {
        words.push(quoted(&format!("{scheme}://{ip}{suffix}{}", http.path)));
    }
    words.join(" ")
}

struct SocketAddrText {
    ip: String,
    port: u16,
}

fn text_of(address: SocketAddr) -> SocketAddrText {
    let ip = match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    };
    SocketAddrText { ip, port: address.port() }
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,[]".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.contains('[') {
        return text.to_owned();
    }
    if !text.is_empty() && text.chars().all(plain) {
        return format!("'{text}'");
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `added service 192.0.2.1:80/tcp`.
pub(crate) fn edit(edit: &Edit) -> String {
    let key = |key: &Key| match model_key(key) {
        Ok(key) => key.to_string(),
        Err(why) => why,
    };
    match edit {
        Edit::AddService(service, entry) => {
            format!("added service {} with scheduler {}", key(service), entry.scheduler)
        }
        Edit::EditService(service, entry) => {
            format!("changed service {} to scheduler {}", key(service), entry.scheduler)
        }
        Edit::RemoveService(service) => format!("removed service {}", key(service)),
        Edit::Clear {} => "removed every service".to_owned(),
        Edit::AddServer(service, address, entry) => {
            format!("added real server {address} with weight {} to {}", entry.weight, key(service))
        }
        Edit::EditServer(service, address, entry) => {
            format!("gave real server {address} of {} weight {}", key(service), entry.weight)
        }
        Edit::RemoveServer(service, address) => format!("took real server {address} out of {}", key(service)),
        Edit::Zero(Some(service)) => format!("counted service {} from 0 again", key(service)),
        Edit::Zero(None) => "counted from 0 again".to_owned(),
        Edit::Timeouts { .. } => "set other timeouts".to_owned(),
    }
}

/// `take 192.0.2.2:80 out of 192.0.2.1:80/tcp`: continues "refused to".
pub(crate) fn change(change: &Change) -> String {
    match change {
        Change::AddService(key, options) => format!("add service {key} with scheduler {}", options.scheduler),
        Change::EditService(key, options) => format!("change service {key} to scheduler {}", options.scheduler),
        Change::RemoveService(key) => format!("remove service {key}"),
        Change::AddRealServer(key, address, server) => {
            format!("add real server {address} with weight {} to {key}", server.weight)
        }
        Change::EditRealServer(key, address, server) => {
            format!("give real server {address} of {key} weight {}", server.weight)
        }
        Change::RemoveRealServer(key, address) => format!("take real server {address} out of {key}"),
    }
}
