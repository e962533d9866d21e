//! Status in words and tables, as a terminal shows it. No colour: the caller may add it, and no meaning depends on it.

use crate::{
    DataplaneStatus, RealServerStatus, ServerState, ServiceStatus, Status,
    words::{bytes, count, lasting, span},
};
use std::fmt::Write as _;

/// Everything: the node, then one line a service and one a real server.
pub fn status(status: &Status) -> String {
    let mut text = node(status);
    for group in &status.ha {
        let addresses = group.addresses.join(", ");
        let _ = writeln!(text, "\n{} {} {}  {addresses}  {}", group.name, group.protocol, group.state, group.reason);
    }
    let mut rows = vec![Vec::from(HEADINGS.map(str::to_owned))];
    rows.extend(status.services.iter().map(row));
    let lines = aligned(&rows, &SUMS);
    let mut lines = lines.into_iter();
    if let Some(heading) = lines.next().filter(|_| !status.services.is_empty()) {
        let _ = write!(text, "\n{heading}\n");
    }
    for (service, line) in status.services.iter().zip(lines) {
        let _ = writeln!(text, "{line}");
        let servers: Vec<Vec<String>> = service.real_servers.iter().map(server_row).collect();
        for line in aligned(&servers, &[3]) {
            let _ = writeln!(text, "  {line}");
        }
        if let Some(fallback) = service.fallback.as_ref().filter(|fallback| fallback.in_use) {
            let _ = writeln!(text, "  fallback {} answers", fallback.address);
        }
    }
    if status.services.iter().any(|service| mode(service) == "dr") {
        text += "replies go straight to the client in dr mode and are not counted\n";
    }
    text
}

/// The services of `status` at length: what is wrong, since when, and how to look at it by hand.
pub fn service(status: &Status) -> String {
    let mut text = String::new();
    for service in &status.services {
        let _ = writeln!(text, "{}", aligned(&[row(service)], &SUMS).concat());
        let heads: Vec<Vec<String>> = service.real_servers.iter().map(server_row).collect();
        for (server, head) in service.real_servers.iter().zip(aligned(&heads, &[3])) {
            let _ = writeln!(text, "  {head}");
            for line in details(server) {
                let _ = writeln!(text, "         {line}");
            }
        }
        if let Some(fallback) = &service.fallback {
            let answers = if fallback.in_use { "answers, since no real server is up" } else { "stands by" };
            let _ = writeln!(text, "  fallback {} {answers}", fallback.address);
        }
    }
    for warning in &status.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// One line and an exit status, as Nagios wants them: 0 fine, 1 degraded, 2 down.
pub fn brief(status: &Status) -> (String, u8) {
    let wanted = status.services.iter().filter(|service| !service.disabled);
    let (mut down, mut degraded) = (Vec::new(), Vec::new());
    for service in wanted {
        let (up, of) = (ups(service), service.real_servers.len());
        let trouble = service.real_servers.iter().find(|server| server.state == ServerState::Down);
        if up == 0 && (of > 0 || service.fallback.is_none()) {
            let answers = match service.fallback.as_ref().filter(|fallback| fallback.in_use) {
                Some(fallback) => format!("fallback {} answers", fallback.address),
                None => "nothing answers".to_owned(),
            };
            down.push(format!("{} has no real server up, {answers}", service.name));
        } else if let Some(server) = trouble {
            degraded.push(format!("{} {up}/{of} up ({} {})", service.name, server.name, server.reason));
        }
    }
    if let Some(error) = &status.config.error {
        degraded.push(format!("last reload refused: {error}"));
    }
    if !status.warnings.is_empty() {
        degraded.push(count(status.warnings.len(), "warning"));
    }
    let more = |list: &[String]| match list.len() {
        0..=3 => list.join("; "),
        length => format!("{}; and {} more", list.get(..3).unwrap_or_default().join("; "), length - 3),
    };
    if !down.is_empty() {
        return (format!("down: {}", more(&down)), 2);
    }
    if !degraded.is_empty() {
        return (format!("degraded: {}", more(&degraded)), 1);
    }
    let servers = status.services.iter().map(|service| service.real_servers.len()).sum();
    let up: usize = status.services.iter().map(ups).sum();
    (format!("fine: {}, {up} of {} up", count(status.services.len(), "service"), count(servers, "real server")), 0)
}

/// `evenkeel 0.1.0  node1  up 12d  config ok (3d ago)  data plane ebpf (xdp on eth0)` and what to know besides.
fn node(status: &Status) -> String {
    let config = match &status.config.error {
        None => format!("config ok ({} ago)", lasting(status.config.since_s)),
        Some(_) => format!("config of {} ago, last reload REFUSED", lasting(status.config.since_s)),
    };
    let (version, node, up) = (&status.version, &status.node, lasting(status.uptime_s));
    let mut text = format!("evenkeel {version}  {node}  up {up}  {config}  {}\n", dataplane(&status.dataplane));
    if let Some(error) = &status.config.error {
        let _ = writeln!(text, "refused: {error}");
    }
    let drops: Vec<String> =
        status.dataplane.drops.iter().filter(|(_, n)| **n > 0).map(|(why, n)| format!("{why} {n}")).collect();
    if !drops.is_empty() {
        let _ = writeln!(text, "not forwarded: {}", drops.join(", "));
    }
    for warning in &status.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn dataplane(dataplane: &DataplaneStatus) -> String {
    let doors: Vec<String> =
        dataplane.attachments.iter().map(|door| format!("{} on {}", door.mode, door.interface)).collect();
    match doors.is_empty() {
        true => format!("data plane {} (attached NOWHERE)", dataplane.kind),
        false => format!("data plane {} ({})", dataplane.kind, doors.join(", ")),
    }
}

const HEADINGS: [&str; 8] = ["SERVICE", "SCHED", "MODE", "ACTIVE", "INACTIVE", "CONNS", "IN", "REAL SERVERS"];
/// The columns of numbers.
const SUMS: [usize; 4] = [3, 4, 5, 6];

fn row(service: &ServiceStatus) -> Vec<String> {
    let key = format!("{}/{}", service.address, service.protocol);
    let name = if service.name == key { key } else { format!("{} {key}", service.name) };
    let sum = |number: fn(&RealServerStatus) -> u64| service.real_servers.iter().map(number).sum::<u64>().to_string();
    let servers = match service.disabled {
        true => "DISABLED".to_owned(),
        false => format!("{}/{} up", ups(service), service.real_servers.len()),
    };
    vec![
        name,
        service.scheduler.clone(),
        mode(service),
        sum(|server| server.connections.active),
        sum(|server| server.connections.inactive),
        service.counters.connections.to_string(),
        bytes(service.counters.bytes_in),
        servers,
    ]
}

fn server_row(server: &RealServerStatus) -> Vec<String> {
    let name = match server.name == server.address {
        true => server.address.clone(),
        false => format!("{} {}", server.name, server.address),
    };
    let (full, now) = (server.full_weight, server.weight);
    let weight = match (server.in_table, now == full) {
        (true, true) => format!("w{now}"),
        (true, false) if now == 0 => format!("w{full}, now w0 (quiescent)"),
        (true, false) => format!("w{full}, now w{now}"),
        (false, _) => format!("w{full}, now out"),
    };
    let state = match server.state {
        ServerState::Down => "DOWN".to_owned(),
        other => other.to_string(),
    };
    let active = format!("{} active", server.connections.active);
    vec![name, format!("{state} {}", lasting(server.since_s)), weight, active, server.reason.clone()]
}

/// What helps with a real server that is not simply up.
fn details(server: &RealServerStatus) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(check) = &server.check else { return lines };
    let troubled = matches!(server.state, ServerState::Down | ServerState::Unchecked) || check.failed > 0;
    if troubled {
        let good = match check.last_good_ms {
            Some(ms) => format!("last good {} ago", span(ms)),
            None => "never good".to_owned(),
        };
        let next = match check.next_ms {
            Some(ms) => format!("next try in {}", span(ms)),
            None => "a try is under way".to_owned(),
        };
        lines.push(format!(
            "{good}, {} failed since;  {next}",
            count(check.failed.try_into().unwrap_or(usize::MAX), "check")
        ));
        lines.extend(check.by_hand.iter().map(|command| format!("try: {command}")));
    } else {
        lines.push(check.what.clone());
    }
    lines.extend(server.next_hop.iter().map(|hop| format!("reached at {hop}")));
    lines
}

fn ups(service: &ServiceStatus) -> usize {
    let up = |server: &&RealServerStatus| server.state == ServerState::Up;
    service.real_servers.iter().filter(up).count()
}

fn mode(service: &ServiceStatus) -> String {
    let mut modes: Vec<&str> = Vec::new();
    for server in &service.real_servers {
        if !modes.contains(&server.forward.as_str()) {
            modes.push(&server.forward);
        }
    }
    if modes.is_empty() { "-".to_owned() } else { modes.join("+") }
}

/// Rows with columns as wide as their widest cell; those of `right` end, the others begin, at the same place.
fn aligned(rows: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match right.contains(&column) {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
