//! `-L`.

use super::{SIZE, Writer, is_ipv6, mask, protocol_name, protocol_of, signed};
use crate::{
    call::{Columns, View},
    flags,
    names::Names,
    order,
};
use evenkeel_api::table::{Forward, Key, ServiceEntry, Table, TableServer, TableService, Traffic};
use std::{fmt::Write, net::SocketAddr};

/// The list of a table. That of one service has no line about the version.
pub fn list(table: &Table, one: bool, view: View, names: &dyn Names) -> String {
    let writer = Writer { numeric: view.numeric, names };
    let mut out = String::new();
    if !one {
        let _ = writeln!(out, "IP Virtual Server version 1.2.1 (size={SIZE})");
    }
    title(&mut out, view.columns);
    let services = if view.unsorted { table.services.iter().collect() } else { order::services(&table.services) };
    for service in services {
        let name = service_name(&service.key, writer);
        let _ = match view.columns {
            Columns::Stats | Columns::Rates => {
                writeln!(out, "{name:<33}{}", numbers(&service.traffic, view))
            }
            Columns::Plain | Columns::Tunnels | Columns::Thresholds | Columns::Persistent => {
                writeln!(out, "{name} {}", about(service))
            }
        };
        servers(&mut out, service, view, writer);
    }
    out
}

/// `-L --timeout`.
pub fn timeouts(of: [u32; 3]) -> String {
    let [tcp, tcp_fin, udp] = of;
    format!("Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}\n")
}

fn title(out: &mut String, columns: Columns) {
    let (local, remote) = ("Prot LocalAddress:Port", "  -> RemoteAddress:Port");
    let _ = match columns {
        Columns::Stats => writeln!(
            out,
            "{local:<33} {:>8} {:>8} {:>8} {:>8} {:>8}\n{remote}",
            "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"
        ),
        Columns::Rates => writeln!(
            out,
            "{local:<33} {:>8} {:>8} {:>8} {:>8} {:>8}\n{remote}",
            "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"
        ),
        Columns::Thresholds => {
            writeln!(out, "{local:<33} Uthreshold Lthreshold ActiveConn InActConn \n{remote}")
        }
        Columns::Persistent => {
            writeln!(out, "{local:<33} Weight    PersistConn ActiveConn InActConn \n{remote}")
        }
        Columns::Tunnels => {
            writeln!(out, "{local} Scheduler Flags\n{remote:<33} Forward TunnelInfo    Weight ActiveConn InActConn")
        }
        Columns::Plain => {
            writeln!(out, "{local} Scheduler Flags\n{remote:<33} Forward Weight ActiveConn InActConn")
        }
    };
}

fn service_name(key: &Key, writer: Writer<'_>) -> String {
    match key {
        Key::Address { address, protocol, port } => {
            let address = writer.address(SocketAddr::new(*address, *port), *protocol);
            format!("{:<4} {address}", protocol_name(*protocol))
        }
        Key::Mark { mark, ipv6: false } => format!("FWM  {}", signed(*mark)),
        Key::Mark { mark, ipv6: true } => format!("FWM  {} IPv6", signed(*mark)),
    }
}

/// The scheduler and all that is set of a service.
fn about(service: &TableService) -> String {
    let ServiceEntry { scheduler, flags, persistent_s, prefix, engine, one_packet } = &service.entry;
    let mut out = scheduler.clone();
    if *flags != 0 {
        let _ = write!(out, " ({})", flags::names(scheduler, *flags));
    }
    if let Some(seconds) = persistent_s {
        let ipv6 = is_ipv6(&service.key);
        let _ = write!(out, " persistent {seconds}");
        if let Some(prefix) = prefix.filter(|prefix| *prefix != if ipv6 { 128 } else { 32 }) {
            let _ = write!(out, " mask {}", mask(prefix, ipv6));
        }
        if let Some(engine) = engine {
            let _ = write!(out, " pe {engine}");
        }
    }
    if *one_packet {
        out.push_str(" ops");
    }
    out
}

fn servers(out: &mut String, service: &TableService, view: View, writer: Writer<'_>) {
    let servers = if view.unsorted { service.servers.iter().collect() } else { order::servers(&service.servers) };
    for server in servers {
        let address = writer.address(server.address, protocol_of(&service.key));
        let _ = match view.columns {
            Columns::Stats | Columns::Rates => {
                writeln!(out, "  -> {address:<28}{}", numbers(&server.traffic, view))
            }
            Columns::Plain | Columns::Tunnels | Columns::Thresholds | Columns::Persistent => {
                writeln!(out, "  -> {address:<28} {}", columns(server, view.columns))
            }
        };
    }
}

fn columns(server: &TableServer, columns: Columns) -> String {
    let TableServer { entry, active, inactive, persistent, .. } = server;
    let connections = format!("{active:<10} {inactive:<10}");
    match columns {
        Columns::Thresholds => format!("{:<10} {:<10} {connections}", entry.upper, entry.lower),
        Columns::Persistent => format!("{:<9} {persistent:<11} {connections}", entry.weight),
        Columns::Tunnels => {
            let (method, tunnel) = (method(entry.forward), tunnel(entry.forward));
            format!("{method:<7} {tunnel:<13} {:<6} {connections}", entry.weight)
        }
        Columns::Plain | Columns::Stats | Columns::Rates => {
            format!("{:<7} {:<6} {connections}", method(entry.forward), entry.weight)
        }
    }
}

pub(super) fn method(forward: Forward) -> &'static str {
    match forward {
        Forward::Dr => "Route",
        Forward::Nat => "Masq",
        // ipvsadm has no word for it.
        Forward::Fullnat => "FullNAT",
        Forward::Ipip | Forward::Gue { .. } | Forward::Gre { .. } => "Tunnel",
        Forward::Local => "Local",
    }
}

fn tunnel(forward: Forward) -> String {
    match forward {
        Forward::Dr | Forward::Nat | Forward::Fullnat | Forward::Local => "n/a".to_owned(),
        Forward::Ipip => "ipip".to_owned(),
        Forward::Gue { port, checksum } => {
            let checksum = ["-c", "+c", "r+c"].get(usize::from(checksum)).copied().unwrap_or("-c");
            format!("gue:{port}:{checksum}")
        }
        Forward::Gre { checksum } => format!("gre:{}", if checksum { "+c" } else { "-c" }),
    }
}

fn numbers(traffic: &Traffic, view: View) -> String {
    let Traffic { connections, packets_in, packets_out, bytes_in, bytes_out, .. } = *traffic;
    let numbers = match view.columns {
        Columns::Rates => [
            traffic.connections_rate,
            traffic.packets_in_rate,
            traffic.packets_out_rate,
            traffic.bytes_in_rate,
            traffic.bytes_out_rate,
        ],
        Columns::Stats | Columns::Plain | Columns::Tunnels | Columns::Thresholds | Columns::Persistent => {
            [connections, packets_in, packets_out, bytes_in, bytes_out]
        }
    };
    numbers.iter().map(|n| number(*n, view.exact)).collect()
}

/// Nine columns, or a blank before what needs more.
fn number(n: u64, exact: bool) -> String {
    if exact {
        let digits = n.to_string();
        return format!("{digits:>width$}", width = (digits.len() + 1).max(9));
    }
    match n {
        0..100_000_000 => format!("{n:>9}"),
        100_000_000..1_000_000_000 => format!("{:>8}K", n / 1000),
        1_000_000_000..100_000_000_000 => format!("{:>8}M", n / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{:>8}G", n / 1_000_000_000),
        100_000_000_000_000.. => format!("{:>8}T", n / 1_000_000_000_000),
    }
}
