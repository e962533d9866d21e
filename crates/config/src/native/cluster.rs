//! `[cluster]`, `[cluster.nodes]`, `[group.NAME]`, `[vip.NAME]` and `[fence.NODE]`: a cluster as heartbeat has it.

mod fence;
mod group;
mod link;
mod resource;
mod secret;
mod write;

use super::{
    not_empty,
    reader::{Keys, Table, Value, string_of, wrong_type},
};
use crate::{
    codes,
    draft::{ClusterDraft, HeartbeatDraft},
    heartbeat::{
        here,
        lower::{self, Places},
        node::this_host,
        other::is_variable,
    },
    host::{Host, Resolver, shown},
};
use evenkeel_model::heartbeat::{Child, Failback, Form, Heartbeat, MOST_NODES, NodeName, PingNode, Timing};
use evenkeel_source::{Diagnostic, Spanned};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use toml::de::DeValue;
pub(super) use write::write;

const KEYS: Keys = Keys {
    of: "[cluster]",
    known: &[
        "name",
        "nodes",
        "links",
        "heartbeat",
        "secret",
        "failback",
        "watchdog",
        "must_reach",
        "ping",
        "form",
        "children",
        "environment",
        "hop_fudge",
        "rexmit_delay",
        "scripts",
        "notify_dir",
        "log_file",
        "log_facility",
    ],
    later: &[],
    instead: &[
        ("node", "write [cluster.nodes]"),
        ("auto_failback", "write `failback`"),
        ("keepalive", "write heartbeat = { every = \"1s\" }"),
        ("deadtime", "write heartbeat = { dead = \"10s\" }"),
        ("authkeys", "write secret = { file = \"/etc/ha.d/authkeys\" }"),
        ("protocol", "leave it out; for VRRP write [vrrp.NAME]"),
        ("vrid", "write [vrrp.NAME] for VRRP"),
        ("bcast", "write `links`"),
        ("ucast", "write `links`"),
    ],
};

const TIMES: Keys = Keys {
    of: "heartbeat",
    known: &["every", "warn", "dead", "first", "ping", "port"],
    later: &[],
    instead: &[
        ("keepalive", "write `every`"),
        ("deadtime", "write `dead`"),
        ("warntime", "write `warn`"),
        ("initdead", "write `first`"),
        ("deadping", "write `ping`"),
    ],
};

const CHILD: Keys = Keys {
    of: "a program kept running",
    known: &["user", "run", "vital"],
    later: &[],
    instead: &[("command", "write `run`")],
};

const PING: Keys =
    Keys { of: "a ping node", known: &["name", "any"], later: &[], instead: &[("addresses", "write `any`")] };

/// Short enough that nobody waits, long enough for a host that is busy.
const EVERY: Duration = Duration::from_millis(500);
const DEAD: Duration = Duration::from_secs(5);
/// As heartbeat counts them.
const SHORTEST: Duration = Duration::from_millis(1);

const FORMS: [(&str, Form); 2] = [("classic", Form::Classic), ("netstring", Form::Netstring)];

/// Reads what a file says about a cluster.
pub(super) fn read(
    root: &Table<'_>,
    path: &Path,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> HeartbeatDraft {
    let mut draft = HeartbeatDraft::default();
    let scripts = match root.table("cluster", out) {
        Some(table) => {
            secret::report_readers(&table, path, resolver.ask(), out);
            let scripts = scripts(&table, out);
            draft.cluster = Some(cluster(&table, scripts.clone(), resolver, out));
            scripts
        }
        None => usual_scripts(),
    };
    group::read(root, &scripts, resolver.ask(), &mut draft, out);
    fence::read(root, resolver.ask(), &mut draft, out);
    draft
}

fn usual_scripts() -> Vec<PathBuf> {
    lower::resource_dirs("/etc/ha.d".as_ref(), &Host::NONE)
}

fn scripts(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let list = table.strings("scripts", out);
    list.map_or_else(usual_scripts, |list| list.value.iter().map(|path| PathBuf::from(path.value)).collect())
}

fn cluster(
    table: &Table<'_>,
    scripts: Vec<PathBuf>,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> ClusterDraft {
    table.only(&KEYS, out);
    let errors = count_errors(out);
    let host = resolver.ask();
    let nodes = nodes(table, resolver, out);
    let names: Vec<Spanned<NodeName>> = nodes.iter().map(|node| node.name.clone()).collect();
    let node = this_host(&names, host, out);
    let (timing, port) = timing(table, out);
    let media = link::read(table, &link::About { nodes: &nodes, own: node.as_ref(), port, host }, out);
    let keys = secret::read(table, host, out);
    let (pings, ipfail) = pings(table, &names, out);
    let text = |key, out: &mut Vec<Diagnostic>| table.string(key, out).filter(|text| not_empty(key, text, out));
    let path = |key, out: &mut Vec<Diagnostic>| text(key, out).map(|path| PathBuf::from(path.value));
    let name = text("name", out).map_or(Heartbeat::NAME, |name| name.value).to_owned();
    let failback = failback(table, out);
    let form = table.word("form", &FORMS, out).map_or(Form::Classic, |word| word.value);
    let watchdog = text("watchdog", out);
    let missing = watchdog.as_ref().and_then(|device| here::device(device.value, None, device.span, host));
    out.extend(missing.map(|d| d.help("modprobe softdog")));
    let watchdog = watchdog.map(|path| PathBuf::from(path.value));
    let children = children(table, out);
    let environment = environment(table, out);
    let hop_fudge = table.integer("hop_fudge", 0..=255, out).and_then(|n| u8::try_from(n.value).ok());
    let rexmit_delay = table.duration("rexmit_delay", SHORTEST, out).map_or(Heartbeat::REXMIT_DELAY, |time| time.value);
    let notify_dir = path("notify_dir", out);
    let log_file = path("log_file", out);
    let log_facility = text("log_facility", out).map(|name| {
        if !lower::is_facility(name.value) {
            let message = format!("`{}` is no syslog facility", shown(name.value));
            let d = Diagnostic::error(codes::VALUE, name.span, message);
            out.push(d.help("write daemon or local0 to local7"));
        }
        name.value.to_owned()
    });
    let heartbeat = node.zip(keys).zip(timing).filter(|_| count_errors(out) == errors);
    let heartbeat = heartbeat.map(|((node, keys), timing)| Heartbeat {
        cluster: name,
        media,
        pings,
        form,
        failback,
        ipfail,
        watchdog,
        children,
        environment,
        hop_fudge: hop_fudge.unwrap_or(Heartbeat::HOP_FUDGE),
        rexmit_delay,
        resource_dirs: scripts,
        notify_dir,
        log_file,
        log_facility,
        ..Heartbeat::new(node, names.iter().map(|name| name.value.clone()).collect(), timing, keys)
    });
    ClusterDraft { heartbeat, nodes: names, order: order(&nodes), place: table.span }
}

fn count_errors(out: &[Diagnostic]) -> usize {
    out.iter().filter(|d| d.severity == evenkeel_source::Severity::Error).count()
}

/// A node as written.
struct Node {
    name: Spanned<NodeName>,
    /// For each link, in their order; `None` where nothing is said. One address alone is that of the first link.
    addresses: Vec<(Option<String>, IpAddr)>,
    prefer: u32,
}

const NODE: Keys = Keys {
    of: "a node",
    known: &["addr", "prefer"],
    later: &[],
    instead: &[("address", "write `addr`"), ("priority", "write `prefer`")],
};

fn nodes(table: &Table<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let Some(inner) = table.table("nodes", out) else {
        if !table.has("nodes") {
            let d = Diagnostic::error(codes::MISSING_KEY, table.span, "the cluster has no nodes");
            out.push(d.help("write [cluster.nodes] with a line for each: node1 = { addr = \"192.0.2.1\" }"));
        }
        return nodes;
    };
    for (name, value) in inner.values() {
        let Some(called) = NodeName::new(name.value) else {
            let message = format!("`{}` cannot be the name of a node", shown(name.value));
            out.push(
                Diagnostic::error(codes::NODE, name.span, message).help("write what `uname -n` says on that host"),
            );
            continue;
        };
        if let Some(first) = nodes.iter().find(|node| node.name.value == called) {
            let d = Diagnostic::error(codes::NODE, name.span, format!("node {called} is there twice"));
            out.push(d.label(first.name.span, "first here").note("names are the same in any case"));
            continue;
        }
        let (addresses, prefer) = node(&inner, value, resolver, out);
        nodes.push(Node { name: Spanned::new(called, name.span), addresses, prefer });
    }
    if nodes.is_empty() {
        out.push(Diagnostic::error(codes::NODE, inner.span, "no node is named").help("write a line for each node"));
    }
    if nodes.len() > MOST_NODES {
        out.push(Diagnostic::error(codes::NODE, inner.span, format!("more than {MOST_NODES} nodes")));
    }
    nodes
}

/// `"192.0.2.1"`, or `{ addr = "192.0.2.1", prefer = 100 }`, or `{ addr = { eth0 = "192.0.2.1", eth1 = "10.0.0.1" } }`.
fn node(
    nodes: &Table<'_>,
    value: Value<'_>,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> (Vec<(Option<String>, IpAddr)>, u32) {
    let address = |text: Spanned<&str>, out: &mut Vec<Diagnostic>| match text.value.parse::<IpAddr>() {
        Ok(address) => Some(address),
        Err(_) => resolver.host(text.value, crate::host::Family::Any, text.span, out),
    };
    let Some(inner) = nodes.inner(value) else {
        let one = string_of(value, out).and_then(|text| address(text, out));
        return (one.map(|address| (None, address)).into_iter().collect(), 0);
    };
    inner.only(&NODE, out);
    let prefer = inner.integer("prefer", 0..=u32::MAX, out).map_or(0, |n| n.value);
    let mut addresses = Vec::new();
    if let Some(value) = inner.get("addr") {
        match inner.inner(value) {
            Some(links) => {
                for (link, value) in links.values() {
                    let one = string_of(value, out).and_then(|text| address(text, out));
                    addresses.extend(one.map(|address| (Some(link.value.to_owned()), address)));
                }
            }
            None => {
                let one = string_of(value, out).and_then(|text| address(text, out));
                addresses.extend(one.map(|address| (None, address)));
            }
        }
    }
    (addresses, prefer)
}

/// Nodes by preference; empty where nobody is preferred.
fn order(nodes: &[Node]) -> Vec<NodeName> {
    if nodes.iter().all(|node| node.prefer == 0) {
        return Vec::new();
    }
    let mut order: Vec<&Node> = nodes.iter().collect();
    order.sort_by_key(|node| std::cmp::Reverse(node.prefer));
    order.into_iter().map(|node| node.name.value.clone()).collect()
}

/// How fast, and the port of links that name none.
fn timing(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> (Option<Timing>, u16) {
    let inner = table.table("heartbeat", out);
    if let Some(inner) = &inner {
        inner.only(&TIMES, out);
    }
    let before = count_errors(out);
    let mut time = |key| inner.as_ref()?.duration(key, SHORTEST, out);
    let (every, dead, warn) = (time("every"), time("dead"), time("warn"));
    let (first, ping) = (time("first"), time("ping"));
    let port = inner.as_ref().and_then(|inner| inner.integer("port", 1..=65_535, out));
    let port = port.and_then(|port| u16::try_from(port.value).ok()).unwrap_or(crate::heartbeat::media::PORT);
    let or = |time: Option<Spanned<Duration>>, usual| time.map_or(usual, |time| time.value);
    let keepalive = or(every, EVERY);
    // Ten statuses where only their rhythm is said.
    let deadtime = or(dead, if every.is_some() { keepalive.saturating_mul(10) } else { DEAD });
    let usual = Timing::usual(keepalive, deadtime);
    let timing = Timing {
        warntime: or(warn, usual.warntime),
        initdead: or(first, usual.initdead),
        deadping: or(ping, usual.deadping),
        ..usual
    };
    let place = |time: Option<Spanned<Duration>>| time.map(|time| time.span);
    let places = Places {
        keepalive: place(every),
        deadtime: place(dead),
        warntime: place(warn),
        initdead: place(first),
        deadping: place(ping),
    };
    let good =
        count_errors(out) == before && lower::judge(timing, &places, ["every", "dead", "warn", "first", "ping"], out);
    (good.then_some(timing), port)
}

/// `must_reach` turns ipfail on; `ping` only watches.
fn pings(table: &Table<'_>, nodes: &[Spanned<NodeName>], out: &mut Vec<Diagnostic>) -> (Vec<PingNode>, bool) {
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

/// `true`, `false` or `"legacy"`.
fn failback(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Failback {
    match table.get("failback").map(|value| (value.value, value.span)) {
        None | Some((DeValue::Boolean(true), _)) => Failback::On,
        Some((DeValue::Boolean(false), _)) => Failback::Off,
        Some((DeValue::String(text), _)) if text == "legacy" => Failback::Legacy,
        Some((other, span)) => {
            wrong_type(span, "true, false or \"legacy\"", other, out);
            Failback::On
        }
    }
}

fn children(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Vec<Child> {
    let Some(value) = table.get("children") else { return Vec::new() };
    let mut children = Vec::new();
    for item in table.items(value, out).unwrap_or_default() {
        let Some(inner) = table.inner(item) else {
            wrong_type(item.span, "{ user = \"…\", run = [\"…\"] }", item.value, out);
            continue;
        };
        inner.only(&CHILD, out);
        let account = inner.string("user", out).and_then(|text| super::notify::account(text, out));
        let command = inner.strings("run", out).map(|run| run.value).unwrap_or_default();
        let vital = inner.boolean("vital", out).is_some_and(|yes| yes.value);
        let is_path = command.first().is_some_and(|program| program.value.starts_with('/'));
        let Some(account) = account.filter(|_| is_path) else {
            let d =
                Diagnostic::error(codes::CHILD, item.span, "a program kept running has a user and an absolute path");
            out.push(d.help("write { user = \"nobody\", run = [\"/usr/bin/program\", \"argument\"] }"));
            continue;
        };
        let command = command.iter().map(|word| word.value.to_owned()).collect();
        children.push(Child { account, command, vital });
    }
    children
}

fn environment(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let Some(inner) = table.table("environment", out) else { return Vec::new() };
    let mut variables = Vec::new();
    for (name, value) in inner.values() {
        let Some(text) = string_of(value, out) else { continue };
        if is_variable(name.value) {
            variables.push((name.value.to_owned(), text.value.to_owned()));
        } else {
            let message = format!("`{}` is no name of a variable", shown(name.value));
            out.push(Diagnostic::error(codes::VALUE, name.span, message));
        }
    }
    variables
}
