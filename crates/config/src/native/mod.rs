//! The native TOML: `[service.NAME]`, `[mark.N]`, `[vrrp.NAME]`, `[bfd.NAME]`, `[settings]`, `[alert.mail]` and
//! `[notify]`. Unknown keys are errors, and every mistake of a file is reported with its place.

mod bfd;
pub(crate) mod check;
mod cluster;
mod conduct;
mod firewall;
mod hmac;
mod method;
mod notify;
pub(crate) mod probes;
mod reader;
mod routing;
mod service;
mod track;
mod units;
mod vmac;
mod vrrp;
mod write;

use crate::{
    codes,
    draft::{Draft, SettingsDraft},
    host::{Resolver, shown},
};
use evenkeel_model::{Alerts, Timeouts};
use evenkeel_source::{Diagnostic, FileId, Sources, Span, Spanned};
pub(crate) use reader::inside;
use reader::{Keys, Table};
use std::{path::PathBuf, time::Duration};
use toml::de::DeTable;

pub(crate) use units::duration_text;
pub use write::to_toml;

const ROOT: Keys = Keys {
    of: "a file",
    known: &[
        "service",
        "mark",
        "vrrp",
        "track",
        "link",
        "sync_group",
        "bfd",
        "static",
        "settings",
        "alert",
        "notify",
        "cluster",
        "group",
        "vip",
        "fence",
    ],
    later: &["web", "api", "metrics", "log", "network", "include"],
    instead: &[
        ("virtual_server", "write [service.NAME]"),
        ("services", "write [service.NAME]"),
        ("vrrp_instance", "write [vrrp.NAME]"),
        ("bfd_instance", "write [bfd.NAME]"),
        ("vrrp_script", "write [track.NAME]"),
        ("vrrp_sync_group", "write [sync_group.NAME]"),
    ],
};

const SETTINGS: Keys = Keys {
    of: "[settings]",
    known: &[
        "connections",
        "interfaces",
        "attach",
        "autoreload",
        "callback",
        "execute",
        "maintenance_dir",
        "log_file",
        "log_facility",
        "supervised",
        "timeouts",
        "startup_delay",
        "boot_delay",
        "announce_pauses",
        "quiet_igmp",
        "nftables",
    ],
    later: &["dataplane", "node"],
    instead: &[("interface", "write interfaces = [\"eth0\"]")],
};

const TIMEOUTS: Keys =
    Keys { of: "timeouts", known: &["tcp", "tcp_fin", "udp"], later: &[], instead: &[("tcpfin", "write `tcp_fin`")] };

const ALERT: Keys = Keys { of: "[alert]", known: &["mail"], later: &["command", "webhook", "snmp"], instead: &[] };

const MAIL: Keys = Keys {
    of: "[alert.mail]",
    known: &["to", "from", "server", "repeat", "on", "style", "helo", "timeout", "name", "faults"],
    later: &[],
    instead: &[("smtp", "write `server`")],
};

/// The front doors `attach` can name.
const DOORS: [(&str, &str); 5] =
    [("auto", "auto"), ("tcx", "tcx"), ("clsact", "clsact"), ("xdp", "xdp"), ("generic", "generic")];

/// Largest connection table.
const MOST_CONNECTIONS: u32 = 1 << 24;

/// Reads one TOML file.
pub(crate) fn read(sources: &Sources, file: FileId, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Draft {
    let text = sources.text(file);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(crate::load::MOST_DIAGNOSTICS) {
        let range = error.span().unwrap_or(0..0);
        let (start, end) = (text.floor_char_boundary(range.start), text.ceil_char_boundary(range.end.min(text.len())));
        let message = error.message().lines().next().unwrap_or("this is not TOML");
        out.push(Diagnostic::error(codes::TOML_SYNTAX, Span::new(file, start, end), shown(message)));
    }
    let root = Table { file, entries: root.get_ref(), span: Span::new(file, 0, 0) };
    root.only(&ROOT, out);
    let mut draft = Draft::default();
    if let Some(table) = root.table("settings", out) {
        draft.settings = settings(&table, out);
        draft.conduct = conduct::read(&table, out);
    }
    let mut mails = Mails::default();
    if let Some(table) = root.table("alert", out) {
        table.only(&ALERT, out);
        if let Some(mail) = table.table("mail", out) {
            mails = self::mails(&mail, &mut draft, out);
        }
    }
    if let Some(table) = root.table("notify", out) {
        notify::read(&table, &mut draft.notify, out);
    }
    if let Some(services) = root.table("service", out) {
        for (name, table) in services.tables(out) {
            if out.len() > crate::load::MOST_DIAGNOSTICS {
                break;
            }
            match service::read(name, &table, &mails, resolver, out) {
                Some(service) => draft.services.push(service),
                None => draft.broken_services += 1,
            }
        }
    }
    if let Some(marks) = root.table("mark", out) {
        for (number, table) in marks.tables(out) {
            if out.len() > crate::load::MOST_DIAGNOSTICS {
                break;
            }
            match service::read_mark(number, &table, &mails, resolver, out) {
                Some(service) => draft.services.push(service),
                None => draft.broken_services += 1,
            }
        }
    }
    let known = track::trackers(&root, &mut draft, out);
    track::groups(&root, &known, &mut draft, out);
    if let Some(instances) = root.table("vrrp", out) {
        for (name, table) in instances.tables(out) {
            if out.len() > crate::load::MOST_DIAGNOSTICS {
                break;
            }
            draft.elections.extend(vrrp::read(name, &table, &known, resolver.ask(), out));
        }
    }
    if let Some(sessions) = root.table("bfd", out) {
        for (name, table) in sessions.tables(out) {
            if out.len() > crate::load::MOST_DIAGNOSTICS {
                break;
            }
            draft.bfd.extend(bfd::read(name, &table, out));
        }
    }
    if let Some(table) = root.table("static", out) {
        draft.fixed = routing::fixed(&table, resolver.ask(), out);
    }
    draft.heartbeat = cluster::read(&root, sources.path(file), resolver, out);
    // As they stand in the file, services by mark among the others.
    draft.services.sort_by_key(|service| service.name.map(|name| name.start));
    draft
}

/// How long connections last.
fn timeouts(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Timeouts {
    const LONGEST: u64 = 31 * 24 * 60 * 60;
    let Some(inner) = table.table("timeouts", out) else { return Timeouts::default() };
    inner.only(&TIMEOUTS, out);
    let mut seconds = |key| {
        let duration = inner.duration(key, Duration::from_secs(1), out)?;
        let whole = duration.value.subsec_nanos() == 0 && duration.value.as_secs() <= LONGEST;
        if !whole {
            let message = format!("{key} is counted in whole seconds, 31 days at most");
            out.push(Diagnostic::error(codes::DURATION, duration.span, message));
        }
        u32::try_from(duration.value.as_secs()).ok().filter(|_| whole)
    };
    Timeouts { tcp: seconds("tcp"), tcp_fin: seconds("tcp_fin"), udp: seconds("udp") }
}

fn settings(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> SettingsDraft {
    table.only(&SETTINGS, out);
    let text = |key, out: &mut Vec<Diagnostic>| table.string(key, out).filter(|text| not_empty(key, text, out));
    let path = |key, out: &mut Vec<Diagnostic>| text(key, out).map(|p| Spanned::new(PathBuf::from(p.value), p.span));
    let texts = |key, out: &mut Vec<Diagnostic>| {
        let list = table.strings(key, out)?;
        Some(Spanned::new(list.value.iter().map(|text| text.value.to_owned()).collect::<Vec<_>>(), list.span))
    };
    SettingsDraft {
        connections: table.integer("connections", 1..=MOST_CONNECTIONS, out),
        interfaces: texts("interfaces", out),
        attach: table.word("attach", &DOORS, out).map(|door| Spanned::new(door.value.to_owned(), door.span)),
        autoreload: table.boolean("autoreload", out),
        callback: path("callback", out),
        execute: texts("execute", out).map(|list| list.value).unwrap_or_default(),
        maintenance_dir: path("maintenance_dir", out),
        log_file: path("log_file", out),
        log_facility: text("log_facility", out).map(|t| Spanned::new(t.value.to_owned(), t.span)),
        supervised: table.boolean("supervised", out),
        timeouts: table.get("timeouts").map(|value| Spanned::new(timeouts(table, out), value.span)),
        firewall: table.get("nftables").map(|value| Spanned::new(firewall::read(table, out), value.span)),
    }
}

fn not_empty(key: &str, text: &Spanned<&str>, out: &mut Vec<Diagnostic>) -> bool {
    if text.value.is_empty() {
        out.push(Diagnostic::error(codes::VALUE, text.span, format!("{key} is empty")).help("leave it out"));
    }
    !text.value.is_empty()
}

/// Who gets mails where nothing else is said.
#[derive(Default)]
struct Mails {
    /// Gathered ones.
    alerts: Option<Alerts>,
    /// One for each change of a real server.
    each: bool,
}

/// How mails are made.
const STYLES: [(&str, bool); 2] = [("gathered", false), ("keepalived", true)];

/// `[alert.mail]`
fn mails(table: &Table<'_>, draft: &mut Draft, out: &mut Vec<Diagnostic>) -> Mails {
    let each = table.word("style", &STYLES, out).is_some_and(|style| style.value);
    if !each {
        return Mails { alerts: alerts(table, out), each };
    }
    table.only(&MAIL, out);
    let route = recipients(table, out).map(|to| notify::mail(table, to, out));
    draft.notify.mail = route.map(|route| Spanned::new(route, table.span));
    Mails { alerts: None, each }
}

fn recipients(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Vec<String>> {
    let to = table.strings("to", out);
    if !table.has("to") {
        let d = Diagnostic::error(codes::MISSING_KEY, table.span, "nobody is named who gets the mail");
        out.push(d.help("write to = [\"admin@example.org\"]"));
    }
    Some(to?.value.iter().map(|text| text.value.to_owned()).collect())
}

/// Who is told what by mail, gathered.
fn alerts(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Alerts> {
    use crate::ldirectord::words::ALERT_STATES;
    table.only(&MAIL, out);
    for key in notify::OF_SINGLE_CHANGES {
        if let Some(span) = table.key_span(key) {
            let d = Diagnostic::error(codes::CONFLICTING_KEYS, span, format!("{key} is for mails of single changes"));
            out.push(d.help("write style = \"keepalived\", or leave it out"));
        }
    }
    let to = recipients(table, out);
    let from = table.string("from", out);
    let server = table.string("server", out);
    let repeat = table.duration("repeat", Duration::ZERO, out);
    let status = match table.strings("on", out) {
        None => ALERT_STATES.map(str::to_owned).to_vec(),
        Some(words) => {
            for word in words.value.iter().filter(|word| !ALERT_STATES.contains(&word.value)) {
                let message = format!("`{}` is no state of the daemon", shown(word.value));
                let d = Diagnostic::error(codes::VALUE, word.span, message);
                out.push(d.help(format!("some of {}", ALERT_STATES.join(", "))));
            }
            words.value.iter().map(|word| word.value.to_owned()).collect()
        }
    };
    Some(Alerts {
        to: to?,
        from: from.map(|text| text.value.to_owned()),
        smtp: server.map(|text| text.value.to_owned()),
        repeat: repeat.map_or(Duration::ZERO, |d| d.value),
        status,
    })
}
