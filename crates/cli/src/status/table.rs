//! The status as a table for people.

use super::{Health, bfd, cluster, health};
use crate::terminal::{Tone, paint};
use evenkeel_api::{HaCounters, HaFault, HaStatus, RealServerStatus, ServerState, ServiceStatus, Status, lasting};
use evenkeel_source::Colour;
use std::{fmt::Write, time::Duration};

/// The whole picture. With an earlier one, rates; `details` tells more of each real server that is not up.
pub(super) fn render(status: &Status, before: Option<&Status>, details: bool, colour: Colour) -> String {
    let mut text = head(status, colour);
    let mut rows = vec![Row::head()];
    for service in &status.services {
        rows.push(service_row(status, service, before));
        for server in &service.real_servers {
            rows.push(server_row(server));
            if let Some(why) = server.next_hop.as_ref().filter(|_| server.unreachable) {
                rows.push(Row::sentence(format!("      no way to it: {why}"), Tone::Bad));
            }
            if server.state == ServerState::Down {
                rows.extend(down_rows(server, details));
            }
        }
        rows.extend(
            service
                .fallback
                .iter()
                .filter(|f| f.in_use)
                .map(|f| Row::sentence(format!("  fallback {} answers: {}", f.address, nobody(service)), Tone::Bad)),
        );
    }
    // A cluster may move other things than services.
    if status.cluster.is_none() || !status.services.is_empty() {
        text.push_str(&align(&rows, colour));
    }
    for warning in &status.warnings {
        let _ = writeln!(text, "{} {warning}", paint("warning:", Tone::Doubtful, colour));
    }
    if status.services.iter().any(|s| s.real_servers.iter().any(|r| r.forward == "dr")) {
        text.push_str("replies go straight to the client in dr mode and are not counted\n");
    }
    text
}

/// Why no real server answers.
fn nobody(service: &ServiceStatus) -> &'static str {
    if service.real_servers.iter().any(|s| matches!(s.state, ServerState::Up | ServerState::Drained)) {
        "no real server that is up takes connections"
    } else {
        "no real server is up"
    }
}

fn head(status: &Status, colour: Colour) -> String {
    let doors: Vec<String> =
        status.dataplane.attachments.iter().map(|a| format!("{} on {}", a.mode, a.interface)).collect();
    let doors = if doors.is_empty() { paint("not attached", Tone::Bad, colour) } else { doors.join(", ") };
    let config = match &status.config.error {
        None => format!("config ok ({} ago)", lasting(status.config.since_s)),
        Some(_) => paint("config NOT TAKEN", Tone::Bad, colour),
    };
    let mut text = format!(
        "evenkeel {}  {}  up {}  {config}  data plane {} ({doors})\n",
        status.version,
        status.node,
        lasting(status.uptime_s),
        status.dataplane.kind,
    );
    if let Some(error) = &status.config.error {
        let _ = writeln!(text, "  the last reload was refused, the state before it runs on: {error}");
    }
    let drops: Vec<String> =
        status.dataplane.drops.iter().map(|(reason, n)| format!("{reason} {}", number(*n))).collect();
    if !drops.is_empty() {
        let _ = writeln!(text, "  packets not forwarded: {}", drops.join(", "));
    }
    text.push('\n');
    if let Some(cluster) = &status.cluster {
        text.push_str(&cluster::render(cluster, colour));
    }
    let drawn = |group: &&HaStatus| group.protocol != "heartbeat";
    for group in status.ha.iter().filter(drawn) {
        text.push_str(&failover(group, colour));
    }
    for session in &status.bfd {
        text.push_str(&bfd::line(session, colour));
    }
    if !(status.ha.is_empty() && status.bfd.is_empty()) {
        text.push('\n');
    }
    text
}

/// One failover group and how it stands.
fn failover(group: &HaStatus, colour: Colour) -> String {
    let state = match group.state.as_str() {
        "master" => paint("MASTER", Tone::Good, colour),
        "fault" => paint("FAULT", Tone::Bad, colour),
        other => other.to_owned(),
    };
    let HaStatus { name, priority, addresses, since_s, reason, base_priority, faults, counters, .. } = group;
    let (since, addresses) = (lasting(*since_s), addresses.join(", "));
    let base = base_priority.filter(|base| base != priority).map_or_else(String::new, |base| format!(" of {base}"));
    let line = format!("FAILOVER  {name}  {state} for {since}: {reason}  priority {priority}{base}  {addresses}");
    let mut text = line.trim_end().to_owned() + "\n";
    if let Some(counters) = counters {
        let _ = writeln!(text, "  {}", counted(counters));
    }
    for HaFault { unfit, what, why, since_s } in faults {
        let kind = if *unfit { paint("fault", Tone::Bad, colour) } else { "lower".to_owned() };
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let _ = writeln!(text, "  {kind}: {what} for {}{why}", lasting(*since_s));
    }
    text
}

/// `12 adverts sent, 3 400 heard, 5 wrong (checksum 5), master twice`
fn counted(counters: &HaCounters) -> String {
    let HaCounters { sent, received, became_master, wrong, .. } = counters;
    let mut text = format!("adverts: {} sent, {} heard", number(*sent), number(*received));
    if !wrong.is_empty() {
        let each: Vec<String> = wrong.iter().map(|(reason, count)| format!("{reason} {}", number(*count))).collect();
        let _ = write!(text, ", {} wrong ({})", number(wrong.values().sum()), each.join(", "));
    }
    let times = if *became_master == 1 { "time" } else { "times" };
    let _ = write!(text, "; became master {} {times}", number(*became_master));
    text
}

struct Row {
    cells: Vec<String>,
    tone: Option<Tone>,
    /// One text over all columns.
    sentence: bool,
}

impl Row {
    fn head() -> Row {
        let cells = ["SERVICE", "SCHED", "MODE", "ACTIVE", "INACT", "CONNS", "IN", "STATE"];
        Row { cells: cells.map(str::to_owned).into(), tone: None, sentence: false }
    }

    fn sentence(text: String, tone: Tone) -> Row {
        Row { cells: vec![text], tone: Some(tone), sentence: true }
    }
}

fn service_row(status: &Status, service: &ServiceStatus, before: Option<&Status>) -> Row {
    let up = service.real_servers.iter().filter(|s| s.state == ServerState::Up).count();
    let of = service.real_servers.len();
    let (state, tone) = match health(service) {
        _ if service.disabled => ("disabled".to_owned(), Tone::Doubtful),
        Health::Fine => (format!("{up}/{of} up"), Tone::Good),
        Health::Degraded => (format!("{up}/{of} up"), Tone::Doubtful),
        // Nobody takes connections, but that is as it was asked for.
        Health::Down if up > 0 => (format!("{up}/{of} up, weight 0"), Tone::Bad),
        Health::Down => (format!("{up}/{of} up: DOWN"), Tone::Bad),
    };
    let key = format!("{}/{}", service.address, service.protocol);
    let shown = format!("{}/{}", every_port(&service.address), service.protocol);
    let name = if service.name == key { shown } else { format!("{} {shown}", service.name) };
    let mode = service.real_servers.first().map(|s| s.forward.clone()).unwrap_or_default();
    let sum = |f: fn(&RealServerStatus) -> u64| service.real_servers.iter().map(f).sum();
    let earlier = before.and_then(|b| b.services.iter().find(|s| s.name == service.name).map(|s| (b, s)));
    let (conns, bytes) = match earlier {
        Some((old, s)) => {
            let seconds = status.uptime_s.saturating_sub(old.uptime_s).max(1);
            let rate = |now: u64, then: u64| now.saturating_sub(then) / seconds;
            (
                format!("{}/s", number(rate(service.counters.connections, s.counters.connections))),
                format!("{}/s", bytes(rate(service.counters.bytes_in, s.counters.bytes_in))),
            )
        }
        None => (number(service.counters.connections), bytes(service.counters.bytes_in)),
    };
    let cells = vec![
        name,
        service.scheduler.clone(),
        mode,
        number(sum(|s| s.connections.active)),
        number(sum(|s| s.connections.inactive)),
        conns,
        bytes,
        state,
    ];
    Row { cells, tone: Some(tone), sentence: false }
}

/// `192.0.2.1:*` for a service of every port, as the files have it.
fn every_port(address: &str) -> String {
    address.strip_suffix(":0").map_or_else(|| address.to_owned(), |host| format!("{host}:*"))
}

fn server_row(server: &RealServerStatus) -> Row {
    let name = if server.name.is_empty() || server.name == server.address {
        format!("  {}", server.address)
    } else {
        format!("  {} {}", server.name, server.address)
    };
    let weight = if server.weight == server.full_weight {
        format!("w{}", server.weight)
    } else {
        format!("w{} of {}", server.weight, server.full_weight)
    };
    let (state, tone) = match server.state {
        ServerState::Up => (server.reason.clone(), Tone::Good),
        ServerState::Down => (format!("DOWN {}", lasting(server.since_s)), Tone::Bad),
        ServerState::Drained | ServerState::Disabled | ServerState::Unchecked => {
            (format!("{} {}  {}", server.state, lasting(server.since_s), server.reason), Tone::Doubtful)
        }
    };
    let cells = vec![
        name,
        weight,
        server.forward.clone(),
        number(server.connections.active),
        number(server.connections.inactive),
        number(server.counters.connections),
        bytes(server.counters.bytes_in),
        state,
    ];
    Row { cells, tone: Some(tone), sentence: false }
}

fn down_rows(server: &RealServerStatus, details: bool) -> Vec<Row> {
    let mut rows = vec![Row::sentence(format!("      {}", server.reason), Tone::Bad)];
    let Some(check) = server.check.as_ref().filter(|_| details) else { return rows };
    let mut line = format!("      {}", check.what);
    if let Some(ms) = check.last_good_ms {
        let _ = write!(line, ";  last good {} ago", lasting(ms / 1000));
    }
    if check.failed > 0 {
        let _ = write!(line, ", {} failed since", check.failed);
    }
    if let Some(ms) = check.next_ms {
        let _ = write!(line, ";  next try in {:.1} s", Duration::from_millis(ms).as_secs_f64());
    }
    rows.push(Row::sentence(line, Tone::Bad));
    if let Some(hop) = server.next_hop.as_ref().filter(|_| !server.unreachable) {
        rows.push(Row::sentence(format!("      reached: {hop}"), Tone::Doubtful));
    }
    if let Some(command) = &check.by_hand {
        rows.push(Row::sentence(format!("      try: {command}"), Tone::Doubtful));
    }
    rows
}

/// Columns as wide as their widest cell: the first and the last to the left, numbers to the right.
fn align(rows: &[Row], colour: Colour) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows.iter().filter(|row| !row.sentence) {
        widths.resize(widths.len().max(row.cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(&row.cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let last = row.cells.len().saturating_sub(1);
        for (column, cell) in row.cells.iter().enumerate() {
            let width = if row.sentence { 0 } else { widths.get(column).copied().unwrap_or(0) };
            let painted = row.tone.filter(|_| column == last).map_or(cell.clone(), |tone| paint(cell, tone, colour));
            let _ = match column {
                _ if column == last => write!(text, "{painted}"),
                0..=2 => write!(text, "{cell:<width$}  "),
                _ => write!(text, "{cell:>width$}  "),
            };
        }
        text.push('\n');
    }
    text
}

/// `8 113`: groups of three, so that a column of numbers can be read.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `61 MB`
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut left = bytes;
    let mut unit = 0;
    while left >= 10_000 && unit + 1 < UNITS.len() {
        left /= 1000;
        unit += 1;
    }
    format!("{} {}", number(left), UNITS.get(unit).copied().unwrap_or("B"))
}
