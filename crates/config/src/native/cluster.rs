//! `[cluster]`, `[cluster.nodes]`, `[group.NAME]`, `[vip.NAME]` and `[fence.NODE]`: a cluster as heartbeat has it.

mod fence;
mod group;
mod link;
mod node;
mod ping;
mod resource;
mod secret;
mod write;

use super::{
    not_empty,
    reader::{Keys, Table, string_of, wrong_type},
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
use evenkeel_model::heartbeat::{Child, Failback, Form, Heartbeat, NodeName, Timing};
use evenkeel_source::{Diagnostic, Spanned};
use std::{
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
    let nodes = node::read(table, resolver, out);
    let names: Vec<Spanned<NodeName>> = nodes.iter().map(|node| node.name.clone()).collect();
    let node = this_host(&names, host, out);
    let (timing, port) = timing(table, out);
    let media = link::read(table, &link::About { nodes: &nodes, own: node.as_ref(), port, host }, out);
    let keys = secret::read(table, host, out);
    let (pings, ipfail) = ping::read(table, &names, out);
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
    ClusterDraft { heartbeat, nodes: names, order: node::order(&nodes), place: table.span }
}

fn count_errors(out: &[Diagnostic]) -> usize {
    out.iter().filter(|d| d.severity == evenkeel_source::Severity::Error).count()
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
