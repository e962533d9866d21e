//! A resource of a group, as a word or as a table.

use crate::{
    codes,
    heartbeat::{
        agent::{self, Places, RESTARTS},
        here,
        media::interface_name,
        other::is_variable,
    },
    host::{is_program, shown},
    native::{
        reader::{Keys, Table, Value, quoted, string_of, wrong_type},
        units::duration_text,
        write::{inline, list},
    },
};
use evenkeel_model::heartbeat::{Agent, IpResource, Monitor, Resource};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{net::IpAddr, path::PathBuf, time::Duration};
use toml::de::DeValue;

const KEYS: Keys = Keys {
    of: "a resource",
    known: &[
        "ip",
        "dev",
        "label",
        "broadcast",
        "script",
        "args",
        "ocf",
        "params",
        "systemd",
        "services",
        "name",
        "start",
        "stop",
        "monitor",
    ],
    later: &[],
    instead: &[("address", "write `ip`"), ("service", "write \"service:NAME\"")],
};

const MONITOR: Keys = Keys {
    of: "monitor",
    known: &["every", "within", "restarts"],
    later: &[],
    instead: &[("interval", "write `every`"), ("timeout", "write `within`")],
};

/// What a resource may be called by; one of them is in a table.
const KINDS: [&str; 5] = ["ip", "script", "ocf", "systemd", "services"];

const LONGEST: Duration = Duration::from_millis(1);

/// Reads `"ip:192.0.2.100/24@eth0"`, `"service:nginx"` or a table.
pub(super) fn read(
    table: &Table<'_>,
    item: Value<'_>,
    places: &Places<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Resource> {
    let Some(inner) = table.inner(item) else {
        if !matches!(item.value, DeValue::String(_)) {
            wrong_type(item.span, "a resource such as \"ip:192.0.2.100/24@eth0\"", item.value, out);
            return None;
        }
        let agent = word(string_of(item, out)?, places, out)?;
        out.extend(here::resource(&agent, item.span, places));
        return Some(agent::resource(usual_name(&agent), agent));
    };
    inner.only(&KEYS, out);
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| inner.has(kind)).collect();
    let [kind] = kinds[..] else {
        let d =
            Diagnostic::error(codes::RESOURCE, item.span, "a resource is one of ip, script, ocf, systemd and services");
        out.push(d.help("write { script = \"drbddisk\", args = [\"r0\"] }"));
        return None;
    };
    let text = inner.string(kind, out)?;
    let agent = match kind {
        "ip" => {
            let (dev, label) = (inner.string("dev", out), inner.string("label", out));
            let broadcast = inner.string("broadcast", out);
            Agent::Ip(address(text, dev, label, broadcast, out)?)
        }
        "script" => {
            let arguments = inner.strings("args", out).map(|list| list.value).unwrap_or_default();
            let arguments = arguments.iter().map(|one| one.value.to_owned()).collect();
            script(text, arguments, out)?
        }
        "ocf" => ocf(text, parameters(&inner, out)?, out)?,
        "systemd" => unit(text, out)?,
        _ => Agent::Services { file: PathBuf::from(text.value) },
    };
    out.extend(here::resource(&agent, text.span, places));
    let name = inner.string("name", out).map_or_else(|| usual_name(&agent), |name| name.value.to_owned());
    let mut resource = agent::resource(name, agent);
    if let Some(time) = inner.duration("start", LONGEST, out) {
        resource.start_within = time.value;
    }
    if let Some(time) = inner.duration("stop", LONGEST, out) {
        resource.stop_within = time.value;
    }
    if let Some(value) = inner.get("monitor") {
        resource.monitor = monitor(&inner, value, resource.monitor, out);
    }
    Some(resource)
}

/// `false`, or what differs from the usual.
fn monitor(inner: &Table<'_>, value: Value<'_>, usual: Option<Monitor>, out: &mut Vec<Diagnostic>) -> Option<Monitor> {
    let second = Duration::from_secs(1);
    let usual = usual.unwrap_or(Monitor { every: 10 * second, within: 30 * second, restarts: RESTARTS });
    match value.value {
        DeValue::Boolean(false) => None,
        DeValue::Boolean(true) => Some(usual),
        DeValue::Table(_) => {
            let table = inner.inner(value)?;
            table.only(&MONITOR, out);
            Some(Monitor {
                every: table.duration("every", LONGEST, out).map_or(usual.every, |time| time.value),
                within: table.duration("within", LONGEST, out).map_or(usual.within, |time| time.value),
                restarts: table.integer("restarts", 0..=u32::MAX, out).map_or(usual.restarts, |n| n.value),
            })
        }
        other => {
            wrong_type(value.span, "false or { every = \"10s\", within = \"30s\", restarts = 3 }", other, out);
            None
        }
    }
}

/// `kind:what`
fn word(text: Spanned<&str>, places: &Places<'_>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let (kind, what) = text.value.split_once(':').unwrap_or(("", text.value));
    let what = Spanned::new(what, text.span);
    match kind {
        "ip" => {
            let (address_text, dev) = what.value.split_once('@').map_or((what.value, None), |(a, dev)| (a, Some(dev)));
            let (dev, label) = match dev.and_then(|dev| dev.split_once(':')) {
                Some((name, _)) => (Some(name), dev),
                None => (dev, None),
            };
            let at = |text| Spanned::new(text, what.span);
            address(at(address_text), dev.map(at), label.map(at), None, out).map(Agent::Ip)
        }
        "service" => service(what, places, out),
        "lsb" | "script" => script(what, Vec::new(), out),
        "systemd" => unit(what, out),
        "ocf" => ocf(text, Vec::new(), out),
        "services" => Some(Agent::Services { file: PathBuf::from(what.value) }),
        _ => {
            let message = format!("`{}` is no resource", shown(text.value));
            let d = Diagnostic::error(codes::RESOURCE, text.span, message);
            out.push(
                d.help("begin with ip:, service:, systemd:, lsb:, script: or ocf:, as in \"ip:192.0.2.100/24@eth0\""),
            );
            None
        }
    }
}

/// A script where the host has one, else a unit of systemd.
fn service(name: Spanned<&str>, places: &Places<'_>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let made = script(name, Vec::new(), out)?;
    let is_there =
        places.scripts.iter().any(|place| (places.host.file_mode)(&place.join(name.value)).is_some_and(is_program));
    let unit = agent::unit_name(name.value).filter(|unit| here::has_unit(places.host, unit));
    match unit {
        Some(unit) if !is_there => Some(Agent::Systemd { unit }),
        _ => Some(made),
    }
}

fn script(name: Spanned<&str>, arguments: Vec<String>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let is_path = name.value.starts_with('/');
    let fits = !name.value.is_empty() && (is_path || !name.value.contains('/')) && !name.value.starts_with('.');
    if !fits {
        let message = format!("`{}` is neither the name of a script nor an absolute path", shown(name.value));
        out.push(Diagnostic::error(codes::RESOURCE, name.span, message));
        return None;
    }
    Some(Agent::Script { name: name.value.to_owned(), arguments })
}

fn unit(name: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let unit = agent::unit_name(name.value);
    if unit.is_none() {
        let message = format!("`{}` is no unit of systemd", shown(name.value));
        out.push(Diagnostic::error(codes::RESOURCE, name.span, message));
    }
    unit.map(|unit| Agent::Systemd { unit })
}

/// `ocf:heartbeat:Filesystem`, or without `ocf:` in a table.
fn ocf(text: Spanned<&str>, parameters: Vec<(String, String)>, out: &mut Vec<Diagnostic>) -> Option<Agent> {
    let parts: Vec<&str> = text.value.strip_prefix("ocf:").unwrap_or(text.value).split(':').collect();
    let is_name = |text: &str| !text.is_empty() && !text.contains('/') && !text.starts_with('.');
    match parts[..] {
        [provider, name] if is_name(provider) && is_name(name) => {
            Some(Agent::Ocf { provider: provider.to_owned(), name: name.to_owned(), parameters })
        }
        _ => {
            let message = format!("`{}` names no OCF agent", shown(text.value));
            let d = Diagnostic::error(codes::RESOURCE, text.span, message);
            out.push(d.help("write { ocf = \"heartbeat:Filesystem\", params = { device = \"/dev/sdb1\" } }"));
            None
        }
    }
}

/// `params`, by name.
pub(super) fn parameters(inner: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Vec<(String, String)>> {
    let Some(table) = inner.table("params", out) else {
        return if inner.has("params") { None } else { Some(Vec::new()) };
    };
    let mut parameters = Vec::new();
    for (name, value) in table.values() {
        if !is_variable(name.value) {
            let message = format!("`{}` cannot be the name of a parameter", shown(name.value));
            out.push(Diagnostic::error(codes::VALUE, name.span, message));
        }
        parameters.push((name.value.to_owned(), string_of(value, out)?.value.to_owned()));
    }
    Some(parameters)
}

/// `192.0.2.100/24` with what goes with it.
pub(super) fn address(
    text: Spanned<&str>,
    dev: Option<Spanned<&str>>,
    label: Option<Spanned<&str>>,
    broadcast: Option<Spanned<&str>>,
    out: &mut Vec<Diagnostic>,
) -> Option<IpResource> {
    let ip = agent::ip(text, out)?;
    if ip.interface.is_some() || ip.broadcast.is_some() {
        let d = Diagnostic::error(codes::ADDRESS, text.span, "an address has nothing behind its prefix here");
        out.push(d.help("write \"ip:192.0.2.100/24@eth0\", or { ip = \"192.0.2.100/24\", dev = \"eth0\" }"));
        return None;
    }
    let interface = match dev {
        None => None,
        Some(dev) => match interface_name(dev.value) {
            Some(name) => Some(name),
            None => {
                out.push(wrong(dev.span, dev.value, "is no name of an interface"));
                return None;
            }
        },
    };
    if let Some(label) = label.filter(|label| !fits(label.value, interface.as_deref())) {
        out.push(
            wrong(label.span, label.value, "is no label of it").help("begin it with the interface, as in eth0:web"),
        );
        return None;
    }
    let broadcast = match broadcast {
        None => None,
        Some(written) => match written.value.parse::<IpAddr>() {
            Ok(broadcast) if broadcast.is_ipv4() && ip.address.is_ipv4() => Some(broadcast),
            _ => {
                out.push(wrong(written.span, written.value, "is no broadcast address"));
                return None;
            }
        },
    };
    Some(IpResource { interface, label: label.map(|label| label.value.to_owned()), broadcast, ..ip })
}

/// A label begins with its interface and has 15 bytes at most.
fn fits(label: &str, interface: Option<&str>) -> bool {
    let rest = interface.and_then(|interface| label.strip_prefix(interface)?.strip_prefix(':'));
    rest.is_some_and(|rest| !rest.is_empty()) && label.len() <= 15 && label.bytes().all(|b| b.is_ascii_graphic())
}

fn wrong(span: Span, text: &str, what: &str) -> Diagnostic {
    Diagnostic::error(codes::VALUE, span, format!("`{}` {what}", shown(text)))
}

/// What a resource is called by where no name is given: the word that haresources has for it.
pub(super) fn usual_name(agent: &Agent) -> String {
    match agent {
        Agent::Ip(ip) => {
            let mut name = ip.address.to_string();
            let nic = ip.label.as_ref().or(ip.interface.as_ref());
            if let Some(prefix) = ip.prefix {
                name += &format!("/{prefix}");
            } else if nic.is_some() || ip.broadcast.is_some() {
                name += "/";
            }
            name += &nic.map_or(String::new(), |nic| format!("/{nic}"));
            name + &ip.broadcast.map_or(String::new(), |broadcast| format!("/{broadcast}"))
        }
        Agent::Script { name, arguments } => {
            arguments.iter().fold(name.clone(), |name, argument| format!("{name}::{argument}"))
        }
        Agent::Ocf { provider, name, .. } => format!("ocf:{provider}:{name}"),
        Agent::Systemd { unit } => format!("systemd:{}", short_unit(unit)),
        Agent::Services { file } => format!("ldirectord::{}", file.display()),
    }
}

/// Without its suffix, where that goes without saying.
fn short_unit(unit: &str) -> &str {
    let short = unit.strip_suffix(".service").unwrap_or(unit);
    if agent::unit_name(short).as_deref() == Some(unit) { short } else { unit }
}

/// As [`read`] reads it.
pub(super) fn text(resource: &Resource) -> String {
    let usual = agent::resource(usual_name(&resource.agent), resource.agent.clone());
    if usual == *resource
        && let Some(word) = word_of(&resource.agent)
    {
        return quoted(&word);
    }
    let mut keys = keys_of(&resource.agent);
    if resource.name != usual.name {
        keys.push(("name", quoted(&resource.name)));
    }
    for (key, time, usual) in
        [("start", resource.start_within, usual.start_within), ("stop", resource.stop_within, usual.stop_within)]
    {
        if time != usual {
            keys.push((key, quoted(&duration_text(time))));
        }
    }
    if resource.monitor != usual.monitor {
        keys.push(("monitor", resource.monitor.map_or("false".to_owned(), monitor_text)));
    }
    inline(&keys)
}

fn monitor_text(monitor: Monitor) -> String {
    let Monitor { every, within, restarts } = monitor;
    let time = |time| quoted(&duration_text(time));
    inline(&[("every", time(every)), ("within", time(within)), ("restarts", restarts.to_string())])
}

/// The word for what needs no table.
fn word_of(agent: &Agent) -> Option<String> {
    match agent {
        Agent::Ip(ip) if ip.broadcast.is_none() => {
            let nic = ip.label.as_ref().or(ip.interface.as_ref());
            let nic = nic.map_or(String::new(), |nic| format!("@{nic}"));
            Some(format!("ip:{}{nic}", prefixed(ip)))
        }
        Agent::Script { name, arguments } if arguments.is_empty() => {
            Some(if name.starts_with('/') { format!("script:{name}") } else { format!("service:{name}") })
        }
        Agent::Systemd { unit } => Some(format!("systemd:{}", short_unit(unit))),
        Agent::Ocf { provider, name, parameters } if parameters.is_empty() => Some(format!("ocf:{provider}:{name}")),
        Agent::Services { file } => Some(format!("services:{}", file.display())),
        Agent::Ip(_) | Agent::Script { .. } | Agent::Ocf { .. } => None,
    }
}

fn prefixed(ip: &IpResource) -> String {
    ip.prefix.map_or_else(|| ip.address.to_string(), |prefix| format!("{}/{prefix}", ip.address))
}

fn keys_of(agent: &Agent) -> Vec<(&'static str, String)> {
    match agent {
        Agent::Ip(ip) => {
            let mut keys = vec![("ip", quoted(&prefixed(ip)))];
            keys.extend(ip.interface.as_ref().map(|dev| ("dev", quoted(dev))));
            keys.extend(ip.label.as_ref().map(|label| ("label", quoted(label))));
            keys.extend(ip.broadcast.map(|broadcast| ("broadcast", quoted(&broadcast.to_string()))));
            keys
        }
        Agent::Script { name, arguments } => {
            let mut keys = vec![("script", quoted(name))];
            if !arguments.is_empty() {
                keys.push(("args", list(arguments)));
            }
            keys
        }
        Agent::Ocf { provider, name, parameters } => {
            let mut keys = vec![("ocf", quoted(&format!("{provider}:{name}")))];
            if !parameters.is_empty() {
                keys.push(("params", parameters_text(parameters)));
            }
            keys
        }
        Agent::Systemd { unit } => vec![("systemd", quoted(unit))],
        Agent::Services { file } => vec![("services", quoted(&file.to_string_lossy()))],
    }
}

/// Parameters by name.
pub(super) fn parameters_text(parameters: &[(String, String)]) -> String {
    let pairs: Vec<(&str, String)> = parameters.iter().map(|(name, value)| (name.as_str(), quoted(value))).collect();
    inline(&pairs)
}
